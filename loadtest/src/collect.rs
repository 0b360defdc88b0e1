//! Merges what generating threads and generators on other hosts recorded into one account of the run.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Slice};
use crate::record::{Record, histogram};

/// Slices that a run keeps at most; beyond it neighbours are merged in pairs, so that a day fits into memory.
pub const SERIES_MAX: usize = 1_200;

/// What one generating thread recorded in one slice.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Place in [`Plan::slices`].
    pub slice: usize,
    /// One per group, in the plan's order.
    pub groups: Vec<Record>,
    /// The thread about itself.
    pub watch: Watch,
}

/// What the tool saw of itself: of one thread and slice, or summed.
#[derive(Clone, Debug)]
pub struct Watch {
    /// How late its own timers ran, ns: a frame may have waited as long before it was read.
    pub lateness: Histogram<u64>,
    /// Greatest share of a core that any one thread used.
    pub thread_cpu: f64,
    /// Greatest share of the time that any one thread was ready and waited for a core; `None` where the kernel does
    /// not say.
    pub thread_wait: Option<f64>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { lateness: histogram(), thread_cpu: 0.0, thread_wait: None }
    }
}

impl Watch {
    /// Adds another thread's, or another slice's.
    pub fn merge(&mut self, other: &Self) {
        let added = self.lateness.add(&other.lateness);
        debug_assert!(added.is_ok(), "all histograms have the same bounds");
        self.thread_cpu = self.thread_cpu.max(other.thread_cpu);
        self.thread_wait = match (self.thread_wait, other.thread_wait) {
            (Some(mine), Some(theirs)) => Some(mine.max(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }
}

/// One slice of the run, of all threads and generators.
#[derive(Clone, Debug)]
pub struct Merged {
    /// When, and whether it counts. Of a merged pair: from the first's start to the second's end.
    pub slice: Slice,
    /// One per group.
    pub groups: Vec<Record>,
    /// The tool about itself.
    pub watch: Watch,
}

/// The clock of the server against ours.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockNote {
    /// Server's clock minus ours, ns; 0 when they are one.
    pub offset_ns: i64,
    /// The offset is off by at most this, ns; 0 when the clocks are one, `None` when nobody knows.
    pub error_ns: Option<u64>,
    /// Round trips that it was estimated from.
    pub samples: u64,
}

/// One generating process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorNote {
    /// Its address, or `local`.
    pub name: String,
    /// Processor, cores and kernel.
    pub machine: String,
    /// Threads that generated load.
    pub threads: usize,
    /// Why some of its clients could not be made, when so.
    pub trouble: Option<String>,
}

/// A run's whole account.
#[derive(Clone, Debug)]
pub struct Collected {
    /// What was to be done.
    pub plan: Plan,
    /// The command line.
    pub command: String,
    /// Start of the run, ms since 1970.
    pub started_unix_ms: u64,
    /// In order of time, at most [`SERIES_MAX`]. Their records are packed in reports.
    pub series: Vec<Merged>,
    /// Per group: measured slices, and what counts always.
    pub totals: Vec<Record>,
    /// The tool about itself, in measured slices.
    pub watch: Watch,
    /// Measured seconds.
    pub measured_s: f64,
    /// Per group: the clock of its target.
    pub clocks: Vec<ClockNote>,
    /// Who generated.
    pub generators: Vec<GeneratorNote>,
    /// Ended before its time: by a signal, or because nothing could connect.
    pub cut_short: Option<String>,
}
