//! The engine's parts, called in this process.
//!
//! None of these starts a program. A child has for a moment, until it is another program, all that is open here; so a store
//! that another test closed would still be locked when it is opened again at once.

#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/random.rs"]
mod random;

mod compact;
mod config;
mod forces;
mod regressions;
mod simulate;
mod store;
mod wire_golden;
