//! The thread that owns graph, sessions and classes: the one writer of all three.

#![forbid(unsafe_code)]

mod addresses;
mod classes;
mod interest;
mod jobs;
mod relief;
mod turn;

pub use jobs::Jobs;
pub use turn::{
    Control, ControlFacts, ControlLanes, FilesDesk, LookLanes, McpDesk, Past, Room, SettingsFacts, SharedControl,
    SourcesDesk, StoreDesk, budgets, net_limits, steer_facts,
};
