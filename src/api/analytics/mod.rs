//! `POST /api/analytics/...`: from a request's body to a job, from what came of it to JSON and to what goes on the wire.
//! Pure.
#![doc = include_str!("../ANALYTICS.md")]

mod ask;
mod fields;
mod show;
#[cfg(test)]
mod tests;

pub use ask::{Ask, AskError, read};
pub use show::{planes, show};
