//! The simulation: parameters, the backend trait, start placement, and the CPU backend.
//!
//! All of it runs on the `sim` thread. A backend knows nodes by [`crate::graph::NodeIndex`] only; ids, epochs,
//! frames and the clock belong to its caller.

#![forbid(unsafe_code)]

mod backend;
pub mod cpu;
mod hash;
mod params;
mod start;

pub use backend::{Backend, BackendError, StepReport, Topology};
pub use params::{Dimensions, ParamError, SimParams};
