//! The simulation.

pub mod cpu;
