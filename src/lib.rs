#![doc = include_str!("ARCHITECTURE.md")]

pub mod base;
pub mod limits;

pub mod graph;
pub mod wire;

pub mod metrics;

pub mod handoff;

pub mod sim;

pub mod api;
pub mod control;

pub mod net;

pub mod config;
pub mod supervise;
