#![doc = include_str!("ARCHITECTURE.md")]

pub mod base;
pub mod limits;
pub mod settings;

pub mod graph;
pub mod wire;

#[cfg(not(loom))]
pub mod analytics;
#[cfg(not(loom))]
pub mod metrics;

pub mod handoff;

// Under the model checker only the hand-off and what it stands on is built.
#[cfg(not(loom))]
pub mod sim;

#[cfg(not(loom))]
pub mod api;
#[cfg(not(loom))]
pub mod control;
#[cfg(not(loom))]
pub mod mcp;
#[cfg(not(loom))]
pub mod store;
#[cfg(not(loom))]
pub mod worker;

#[cfg(not(loom))]
pub mod net;

#[cfg(not(loom))]
pub mod bridge;
#[cfg(not(loom))]
pub mod config;
#[cfg(not(loom))]
pub mod supervise;
