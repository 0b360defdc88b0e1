//! Puts the rooms together: the table of threads and lanes, start, signals, heartbeats, the way down.
//!
//! Runs on `main`. Everything may be used from here, and nothing uses it but `main`.

#![forbid(unsafe_code)]

mod agents;
mod audit;
mod banner;
mod convert;
mod error;
mod keep;
mod latency_file;
mod load;
mod logging;
mod plan;
mod progress;
mod run;
mod saved;
mod sources;
mod tokens;
mod topology;

pub use convert::convert;
pub use error::StartError;
pub use keep::{Beginning, begin, look, store_command};
pub use load::{Loaded, load};
pub use plan::Plan;
pub use run::{check, serve};
pub use saved::shown;
