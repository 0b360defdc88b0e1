//! Servers of others, and the contest in which they, the floor and Swarmcast send the same bytes to the same clients.

#![forbid(unsafe_code)]

pub mod contest;
pub mod field;
pub mod frame;
pub mod report;
pub mod servers;
