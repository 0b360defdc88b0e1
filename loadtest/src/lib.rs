//! A load tester for streams over WebSocket and TCP: open loop, HDR histograms, thresholds, reports.
//!
//! In reading order: [`args`] and a [`scenario`] file become a [`plan`]; [`generate`] plays it on threads of its own and
//! fills [`record`]s, one per group and slice of time; [`collect`] merges them, from threads and from other hosts;
//! [`figures`] reads numbers off them; [`report`] writes them down and [`compare`] sets two of them side by side.

#![forbid(unsafe_code)]

pub mod agents;
pub mod args;
pub mod clock;
pub mod collect;
pub mod compare;
pub mod figures;
pub mod generate;
pub mod machine;
mod nearest;
pub mod offset;
pub mod plan;
pub mod quantity;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod target;
pub mod threshold;
pub mod validity;
pub mod verify;
