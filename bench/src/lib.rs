//! What the benches share: a server to measure, a floor to measure it against, clients that read, and the report.

#![forbid(unsafe_code)]

pub mod client;
pub mod limits;
pub mod machine;
pub mod made;
pub mod peek;
pub mod process;
pub mod receiver;
pub mod report;
pub mod round;
pub mod scrape;
pub mod sender;
pub mod server;
pub mod viewers;
