//! Bytes <-> types: our own frame, the legacy profiles, client messages. No sockets, no clocks.

#![forbid(unsafe_code)]

mod node;

pub use node::NodeRecord;
