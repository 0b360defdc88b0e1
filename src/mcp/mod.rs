//! The Model Context Protocol: agents read the graph, change it and live in it. Bytes in, bytes out: no sockets, clocks, threads.
//!
//! A door frames lines ([`crate::wire::LineFramer`]) and hands them to the [`Session`] of their connection, which answers what it can and gives
//! out a [`Call`] for the rest. [`plan`] says what a call needs; whoever owns the graph does it: reads run on a [`View`] here or
//! on a worker, writes are a [`crate::graph::Batch`], steering and agents are values of their own.
#![doc = ""]
#![doc = include_str!("TRANSPORT.md")]
#![forbid(unsafe_code)]

mod agents;
mod app;
mod args;
mod audit;
mod catalogue;
mod changes;
mod confirm;
mod encoding;
mod era;
mod exports;
mod http;
mod lifecycle;
mod methods;
mod query;
mod rates;
mod reply;
mod resources;
mod rpc;
mod server;
mod session;
mod society;
mod sources;
mod stage;
mod subscribe;
mod talks;
mod tokens;
mod tools;
mod uploads;
mod uri;
mod view;

pub use agents::{AUTHOR, AgentEvent, AgentMetrics, AgentRow, Agents, Registered, Reported};
pub use app::app;
pub use args::{ToolError, why};
pub use audit::{AuditRecord, Outcome};
pub use catalogue::{Catalogue, CatalogueError, PromptRow, Scopes, ToolRow};
pub use changes::{Changed, Recent};
pub use confirm::{Confirm, confirm, has_agreed};
pub use encoding::{AUTO, Channel, Encoding, Icon, Rule, Shown};
pub use era::Version;
pub use exports::{Exports, Kept};
pub use lifecycle::{ActionSaid, Lifecycle};
pub use rates::{Admission, RateLimits, Rates};
pub use reply::{Body, Content, Reply, ToolResult};
pub use resources::{Looked, look, read};
pub use rpc::{RpcError, code};
pub use server::{Admitted, Principal, Server, TokenId};
pub use session::{AUTHENTICATE, AUTHORIZATION, Ask, Call, CallKey, LogLevel, Session, Step};
pub use society::{Caller, Next, Society, Spoken};
pub use sources::{BreakerState, Source, SourceAgent, SourceOptions, SourceReport, SourceState};
pub use stage::{Audience, Camera, OnStage, Placed, Scene, Stage, Staging};
pub use subscribe::Touched;
pub use talks::{Line, Talks};
pub use tokens::{NamedToken, Problem, tokens};
pub use tools::{
    Among, Done, Errand, Filter, Plan, Refusal, Register, Report, Selection, SimulationChange, Stepped, Stepping,
    Write, compared, done as structured, imported, plan, reply, restored, snapshot_shown, steered,
};
pub use uploads::{UPLOAD_BYTES_MAX, Uploads};
pub use view::{Bounds, SimFacts, View};
