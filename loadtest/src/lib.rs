//! A load tester for streams over WebSocket and TCP: open loop, HDR histograms, thresholds, reports.
//!
//! In reading order: a scenario file or the command line becomes a [`plan`]; the generator plays it on threads of
//! its own and fills [`record`]s, one per group and slice of time; [`collect`] merges them, from threads and from other
//! hosts; [`figures`] reads numbers off them.

#![forbid(unsafe_code)]

pub mod clock;
pub mod collect;
pub mod figures;
pub mod generate;
pub mod machine;
pub mod offset;
pub mod plan;
pub mod record;
pub mod run;
pub mod threshold;
pub mod validity;
pub mod verify;
