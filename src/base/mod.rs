//! Clock, pinning, host facts, slots: knows nothing of graphs or sockets.
//!
//! Unsafe code lives in [`clock`] only: two libc calls.

pub mod clock;
pub mod cores;
pub mod fault;
pub mod host;
mod slab;

pub use slab::{Handle, Slab};
