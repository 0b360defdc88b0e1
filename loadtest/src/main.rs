//! `swarmcast-load`: args -> plan -> run -> report, nothing else.

#![forbid(unsafe_code)]

fn main() {}
