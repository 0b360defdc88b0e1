//! What `control` asks of the worker, and what it hears back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use crate::analytics::Job;
use crate::graph::Csr;
use crate::handoff::{Frame, SidePlanes};

/// The structure of a graph at one epoch, shared and never changed.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Which.
    pub epoch: u32,
    /// Who is next to whom.
    pub csr: Csr,
    /// Ids in index order.
    pub ids: Box<[u32]>,
}

/// What the two sides share while a job runs: how far it is, and whether it shall stop.
#[derive(Debug, Default)]
pub struct Ticket {
    /// Bits of a f64 from 0 to 1. Relaxed on both sides: a figure to look at.
    progress: AtomicU64,
    /// Relaxed on both sides: it says to stop, and nothing hangs on what was written before.
    stop: Arc<AtomicBool>,
}

impl Ticket {
    /// How far the job is, 0 to 1.
    #[must_use]
    pub fn progress(&self) -> f64 {
        f64::from_bits(self.progress.load(Ordering::Relaxed))
    }

    /// The job is to stop.
    pub fn cancel(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it shall stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Set once it shall stop.
    pub(super) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(super) fn advance(&self, part: f64) {
        self.progress.store(part.to_bits(), Ordering::Relaxed);
    }
}

/// control → worker.
#[derive(Debug)]
pub struct WorkOrder {
    /// Comes back in the report.
    pub id: u64,
    /// What to do.
    pub job: Job,
    /// The graph to do it on.
    pub snapshot: Arc<Snapshot>,
    /// Where its nodes are. The worker copies positions and lets go of it.
    pub frame: Option<Arc<Frame>>,
    /// How far it is.
    pub ticket: Arc<Ticket>,
    /// The values of all nodes are listed in the result.
    pub values: bool,
    /// The result goes on the wire.
    pub publish: bool,
}

/// What came of a job.
#[derive(Debug)]
pub struct Product {
    /// The result, a JSON object, and the brace that ends the object it is the last member of.
    pub body: Bytes,
    /// What the wire is to carry.
    pub planes: Option<SidePlanes>,
    /// Tick of the positions, when it looked at them.
    pub tick: Option<u64>,
}

/// Why nothing came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was cancelled.
    Cancelled,
    /// It could not be done.
    Error(String),
    /// It panicked.
    Panic(String),
}

/// worker → control.
#[derive(Debug)]
pub struct WorkReport {
    /// Of the order.
    pub id: u64,
    /// What came of it.
    pub outcome: Result<Product, Failure>,
    /// How long it took, ns.
    pub took_ns: u64,
}
