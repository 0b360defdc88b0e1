//! The configuration: read once at start, from a file, the environment and flags, into types that cannot be wrong.
//!
//! `main` calls [`resolve`] before any other thread exists. Every key is declared once, in `table.rs`: file,
//! environment and flags are three ways to give a value to a row of that table, and `default.toml` is the table printed.
//! Each source overrides the one before it: default, file, environment, flag. All problems are reported together.
//! Settings, which change while the engine runs, are `control`'s.

#![forbid(unsafe_code)]

mod args;
mod choice;
mod document;
mod environment;
mod error;
mod file;
mod nearest;
mod options;
mod resolved;
mod table;
mod value;

pub use args::{Action, Args, Command, CommonArgs, ConfigCommand, McpArgs, StoreAction};
pub use choice::{AgentsHttp, AnonymousAgents, BackendChoice, GraphFormat, IdleStrategy, LogFormat, LogLevel};
pub use document::default_toml;
pub use error::{ConfigError, Origin, Problem, Wrong};
pub use options::{
    BudgetOptions, Config, CpuId, GraphOptions, LogOptions, McpOptions, MetricsOptions, NetOptions, SimOptions,
    StoreOptions, ThreadOptions,
};
pub use resolved::{Resolved, resolve};
