//! Counters that one thread writes and anybody reads, histograms of the same kind, budgets, and the text of it all.
//!
//! A block belongs to one thread, which stores without read-modify-write; `control` sums and prints.

#![forbid(unsafe_code)]

mod block;
mod cell;
mod hdr;
mod health;
mod hlog;
mod stage;
mod store;
mod text;

pub use block::{Budgets, DoorMetrics, Metrics, ShardMetrics, SimMetrics, StageRow, WorkerMetrics};
pub use cell::{Counter, Gauge, Histogram};
pub use health::{Health, Phase};
pub use hlog::LatencyLog;
pub use stage::Stage;
pub use store::StoreMetrics;
pub use text::Extra;
