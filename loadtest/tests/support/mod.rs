//! What the tests share: the fake server, a run of the real program against it, and the figures it reports.

#![allow(dead_code, unused_imports, reason = "each test program uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

pub mod fake;
pub mod run;
pub mod scenario;
