//! Analytics: pure functions of a graph's rows.

#![forbid(unsafe_code)]

pub mod layout;
