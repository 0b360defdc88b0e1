//! A load tester for streams over WebSocket and TCP: open loop, HDR histograms, thresholds, reports.
//!
//! In reading order: a scenario file or the command line becomes a [`plan`]; the generator plays it on threads of
//! its own and fills [`record`]s, one per group and slice of time; [`collect`] merges them, from threads and from other
//! hosts; [`figures`] reads numbers off them; [`report`] writes them down and [`compare`] holds two reports against each
//! other.

#![forbid(unsafe_code)]

pub mod clock;
pub mod collect;
pub mod compare;
pub mod figures;
pub mod generate;
pub mod plan;
pub mod record;
pub mod report;
pub mod threshold;
