//! Every parameter of the engine, once: type, range, unit, default, whether it can change while the engine runs, what it is for.
//!
//! File, environment and flags (`config`), REST, the schema and the binary messages all follow from [`KEYS`]. Pure: no thread
//! calls in here for more than a value.

#![forbid(unsafe_code)]

mod choice;
mod ledger;
pub mod nearest;
mod options;
mod params;
mod path;
mod table;
mod tree;
mod value;

pub use choice::{AgentsHttp, AnonymousAgents, BackendChoice, GraphFormat, IdleStrategy, LogFormat, LogLevel, Toolset};
pub use ledger::{Ledger, SETTINGS_KEPT_MAX, SettingsDelta};
pub use options::{
    AgentOptions, AgentSource, BudgetOptions, Config, CpuId, GraphOptions, LogOptions, McpOptions, MetricsOptions,
    NetOptions, SimOptions, StoreOptions, ThreadOptions,
};
pub use params::{COORDINATE_MAX, Dimensions, ForceModel, ParamError, SimParams};
pub use path::{PATH_BYTES_MAX, PathError, Place, resolve};
pub use table::{Field, KEYS, Key, SECTIONS, VARIABLE_PREFIX, find, is_section};
pub use tree::Tree;
pub use value::{Kind, Setting, Value};
