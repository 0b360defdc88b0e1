//! The simulation: parameters, the backend trait, start placement, and the CPU backend.
//!
//! All of it runs on the `sim` thread. A backend knows nodes by [`crate::graph::NodeIndex`] only; ids, epochs,
//! frames and the clock belong to its caller.

#![deny(unsafe_code)]

mod backend;
mod classes;
pub mod cpu;
pub mod cuda;
mod dealer;
mod drags;
mod hash;
mod params;
pub mod rules;
mod slots;
mod start;
mod tick_clock;
mod turn;

pub use backend::{Backend, BackendError, Condition, Dealt, StepReport, Topology};
pub use turn::{Identity, Sim, SimLanes};

pub use crate::settings::{Dimensions, ForceModel, ParamError, SimParams};
