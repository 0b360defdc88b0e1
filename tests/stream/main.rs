//! The stream: who gets which bytes when, and what becomes of the engine when clients misbehave or it is ended.

#[path = "../support/mod.rs"]
mod support;

mod agents;
mod backpressure;
mod compact;
mod dead_peers;
mod door;
mod drag;
mod latency_log;
mod lifecycle;
mod news;
mod profiles;
mod rest_snapshot;
mod resume;
mod sockets;
mod storm;
