//! Counters that one thread writes and anybody reads, histograms of the same kind, and their Prometheus text.
//!
//! A block belongs to one thread, which stores without read-modify-write; `control` sums and prints.

#![forbid(unsafe_code)]

mod block;
mod cell;
mod health;
mod text;

pub use block::{DoorMetrics, Metrics, ShardMetrics, SimMetrics};
pub use cell::{Counter, Gauge, Histogram};
pub use health::{Health, Phase};
pub use text::Extra;
