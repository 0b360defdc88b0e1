//! The Model Context Protocol: sessions and tools over an engine in this process, then agents, hosts and other servers over the
//! real one's doors.

#[path = "../support/engine.rs"]
mod engine;
#[path = "../support/schema.rs"]
mod schema;
#[path = "../support/mod.rs"]
mod support;

mod agents;
mod analysis;
mod audit;
mod bridge;
mod clients;
mod confirm;
mod contract;
mod door;
mod http;
mod lists;
mod long;
mod memory;
mod scenes;
mod sets;
mod sources;
mod steering;
mod talk;
mod tokens;
mod tools;
mod view;
mod wire;
