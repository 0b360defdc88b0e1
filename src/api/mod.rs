//! REST answers: from graph and frame to bytes. Pure functions that `control` calls; no sockets, no clocks.

#![forbid(unsafe_code)]

pub mod analytics;
mod data;
pub mod graph;
pub mod settings;
mod state;
pub mod steer;

pub use data::{graph_data, graph_data_lead, sequences};
pub use state::{ClassRow, DeviceRow, LaneRow, StateFacts, TimedStage, graph_state, health_detail, stage_rows};
