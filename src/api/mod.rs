//! REST answers: from graph and frame to bytes. Pure functions that `control` calls; no sockets, no clocks.

#![forbid(unsafe_code)]

pub mod analytics;
mod data;
pub mod graph;
pub mod settings;
mod state;
pub mod steer;

/// The interface as an OpenAPI 3.1 document; `tests/clients/openapi.rs` holds it against the engine.
pub const OPENAPI: &str = include_str!("openapi.json");

pub use data::{graph_data, graph_data_lead, sequences};
pub use state::{ClassRow, DeviceRow, LaneRow, StateFacts, TimedStage, graph_state, health_detail, stage_rows};
