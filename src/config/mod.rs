//! The configuration: read once at start, from a file, the environment and flags, into types that cannot be wrong.
//!
//! `main` calls [`resolve`] before any other thread exists. Every key is declared once, in the table of `settings`: file,
//! environment and flags are three ways to give a value to a row of that table, and `default.toml` is the table printed.
//! Each source overrides the one before it: default, file, environment, flag. All problems are reported together.
//! What changes while the engine runs is `control`'s.

#![forbid(unsafe_code)]

mod args;
mod document;
mod environment;
mod error;
mod file;
mod resolved;

pub use args::{Action, Args, AuditFilter, Command, CommonArgs, ConfigCommand, McpArgs, StoreAction};
pub use document::default_toml;
pub use error::{ConfigError, Origin, Problem, Wrong};
pub use resolved::{Resolved, resolve};

pub use crate::settings::{
    AgentOptions, AgentSource, AgentsHttp, AnonymousAgents, BackendChoice, BudgetOptions, Config, CpuId, GraphFormat,
    GraphOptions, IdleStrategy, LogFormat, LogLevel, LogOptions, McpOptions, MetricsOptions, NetOptions, SimOptions,
    StoreOptions, ThreadOptions, Toolset,
};
