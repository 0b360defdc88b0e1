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

/// Says a line on standard error. One who has closed it does not want to know, and is no reason to end.
pub fn say(words: std::fmt::Arguments<'_>) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{words}\n").as_bytes());
}
