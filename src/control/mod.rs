//! The thread that owns graph, sessions and classes: the one writer of all three.

#![forbid(unsafe_code)]

mod addresses;
mod classes;
mod interest;
mod relief;
mod turn;

pub use turn::{Control, ControlFacts, ControlLanes};
