//! Clock, pinning, host facts, slots: knows nothing of graphs or sockets.
//!
//! Unsafe code lives in [`clock`] only: three libc calls.

pub mod clock;
pub mod cores;
pub mod effort;
pub mod fault;
pub mod host;
mod idle;
mod rate;
mod slab;

pub use idle::Idle;
pub use rate::Rate;
pub use slab::{Handle, Slab};
