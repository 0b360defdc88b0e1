//! The store when something goes wrong: commands beside an engine, writers that are killed, disks that fail.

#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/random.rs"]
mod random;

mod commands;
mod crash;
mod faults;
