//! The worker's loop: take an order, do it, report. It sleeps while there is none.
//!
//! Not pinned, and nothing waits for it. A job that panics is reported as failed; what it had half done is dropped with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::sync::Parker;

use super::{Failure, Product, Ticket, WorkOrder, WorkReport};
use crate::analytics::{AnalyticsError, Watch};
use crate::api::analytics::{planes, show};
use crate::base::clock::monotonic_ns;
use crate::handoff::{Consumer, Doorbell, Producer};
use crate::limits::ANALYTICS_RESULT_BYTES_MAX;
use crate::metrics::{Metrics, WorkerMetrics};
use crate::wire::NodeRecord;

/// Longest sleep.
const NAP: Duration = Duration::from_millis(500);

/// Bytes of one result.
const RESULT_BYTES_MAX: usize = ANALYTICS_RESULT_BYTES_MAX / 4;

/// The lanes of the worker.
#[derive(Debug)]
pub struct WorkerLanes {
    /// control → worker.
    pub orders: Consumer<WorkOrder>,
    /// worker → control.
    pub reports: Producer<WorkReport>,
}

/// Everything the thread owns.
pub struct Worker {
    lanes: WorkerLanes,
    bell: Arc<Doorbell>,
    metrics: Arc<Metrics>,
}

/// Watches one job for its ticket and for the end of the process.
struct Reins<'run> {
    ticket: &'run Ticket,
    stop: &'run AtomicBool,
    metrics: &'run WorkerMetrics,
}

impl Watch for Reins<'_> {
    fn progress(&self, part: f64) -> Result<(), AnalyticsError> {
        self.ticket.advance(part);
        self.metrics.progress.set(part);
        self.metrics.beat();
        match self.ticket.is_cancelled() || self.stop.load(Ordering::Relaxed) {
            true => Err(AnalyticsError::Stopped),
            false => Ok(()),
        }
    }
}

impl Worker {
    /// A worker whose parker `bell` unparks.
    #[must_use]
    pub fn new(lanes: WorkerLanes, bell: Arc<Doorbell>, metrics: Arc<Metrics>) -> Self {
        Self { lanes, bell, metrics }
    }

    /// Works until `stop` is set. A job that runs then is stopped.
    pub fn run(mut self, parker: &Parker, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.metrics.worker.beat();
            if let Some(order) = self.lanes.orders.pop() {
                self.serve(order, stop);
                continue;
            }
            self.bell.arm();
            if self.lanes.orders.is_empty() && !stop.load(Ordering::Relaxed) {
                parker.park_timeout(NAP);
            }
            self.bell.disarm();
        }
    }

    fn serve(&mut self, order: WorkOrder, stop: &AtomicBool) {
        let started_ns = monotonic_ns();
        let worker = &self.metrics.worker;
        worker.busy.set(1.0);
        let (id, ticket) = (order.id, Arc::clone(&order.ticket));
        let reins = Reins { ticket: &ticket, stop, metrics: worker };
        let outcome = guarded(|| work(order, &reins));
        match &outcome {
            Ok(_) => worker.done.add(1),
            Err(Failure::Cancelled) => worker.cancelled.add(1),
            Err(Failure::Error(_)) => worker.failed.add(1),
            Err(Failure::Panic(reason)) => {
                worker.panics.add(1);
                tracing::error!(job = id, reason, "an analytics job panicked; the worker goes on");
            }
        }
        worker.busy.set(0.0);
        worker.progress.set(0.0);
        let took_ns = monotonic_ns().saturating_sub(started_ns);
        // `control` gives no second order before it has the report of the first, so there is room.
        let _ = self.lanes.reports.push(WorkReport { id, outcome, took_ns });
    }
}

/// Runs a job so that its panic is an answer.
fn guarded(job: impl FnOnce() -> Result<Product, Failure>) -> Result<Product, Failure> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Failure::Panic(text.unwrap_or_else(|| "without a text".to_owned())))
    })
}

fn work(order: WorkOrder, watch: &dyn Watch) -> Result<Product, Failure> {
    let WorkOrder { job, snapshot, frame, values, publish, .. } = order;
    let (mut positions, mut tick) = (Vec::new(), None);
    if job.needs_positions() {
        let frame = frame
            .filter(|frame| frame.stamp().epoch == snapshot.epoch && frame.nodes().len() == snapshot.csr.node_count());
        let Some(frame) = frame else {
            return Err(Failure::Error("there are no positions of this graph yet".to_owned()));
        };
        positions = frame.nodes().iter().map(NodeRecord::position).collect();
        tick = Some(frame.stamp().tick);
        // Here the lease ends: the pool is short, and the job may be long.
    } else {
        drop(frame);
    }
    let failed = |error: AnalyticsError| match error {
        AnalyticsError::Stopped => Failure::Cancelled,
        other => Failure::Error(other.to_string()),
    };
    let outcome = job.run(&snapshot.csr, &positions, watch).map_err(failed)?;
    let mut body = show(&job, &outcome, &snapshot.ids, values, watch).map_err(failed)?;
    if body.len() > RESULT_BYTES_MAX {
        let bytes = body.len();
        let message = format!("the result has {bytes} bytes, the limit is {RESULT_BYTES_MAX}: ask without values");
        return Err(Failure::Error(message));
    }
    let planes = if publish { planes(snapshot.epoch, &outcome, &snapshot.ids) } else { None };
    // The result is the last member of an object that is completed here, so that its bytes can be shared.
    body.push(b'}');
    Ok(Product { body: body.into(), planes, tick })
}

#[cfg(test)]
mod tests {
    use super::super::Snapshot;
    use super::*;
    use crate::analytics::{Job, LeidenOptions, Lengths};
    use crate::graph::{Csr, NodeIndex};
    use crate::handoff::{Overflow, lane};

    fn order(id: u64, job: Job, nodes: u32, ticket: &Arc<Ticket>) -> WorkOrder {
        let edges = (1..nodes).map(|node| (NodeIndex(node - 1), NodeIndex(node), 1.0));
        let csr = Csr::new(nodes as usize, edges);
        let snapshot = Arc::new(Snapshot { epoch: 1, csr, ids: (0..nodes).map(|node| node * 10).collect() });
        WorkOrder { id, job, snapshot, frame: None, ticket: Arc::clone(ticket), values: true, publish: true }
    }

    fn worker() -> (Worker, Producer<WorkOrder>, Consumer<WorkReport>) {
        let bell = Arc::new(Doorbell::silent());
        let (orders_out, orders) = lane("control->worker.order", 1, Overflow::Refuse, Arc::clone(&bell));
        let (reports, reports_in) = lane("worker->control.report", 2, Overflow::Refuse, Arc::clone(&bell));
        let metrics = Arc::new(Metrics::new(0));
        (Worker::new(WorkerLanes { orders, reports }, bell, metrics), orders_out, reports_in)
    }

    #[test]
    fn a_job_is_done_with_ids_and_planes() {
        let (mut worker, _orders, mut reports) = worker();
        let ticket = Arc::new(Ticket::default());
        worker.serve(order(7, Job::Paths { source: 1, lengths: Lengths::Hops }, 3, &ticket), &AtomicBool::new(false));
        let report = reports.pop().unwrap();
        let product = report.outcome.unwrap();
        assert_eq!((report.id, ticket.progress(), product.tick), (7, 1.0, None));
        assert!(product.body.ends_with(b"}}"), "the end of the object around it");
        let json: serde_json::Value = serde_json::from_slice(&product.body[..product.body.len() - 1]).unwrap();
        assert_eq!(json["ids"], serde_json::json!([0, 10, 20]));
        assert_eq!(json["distance"], serde_json::json!([1.0, 0.0, 1.0]));
        assert_eq!(json["parent"], serde_json::json!([10, null, 10]));
        let planes = product.planes.unwrap();
        assert_eq!(planes.parent.as_deref(), Some(&[10, -1, 10][..]));
        assert_eq!(planes.distance.as_deref(), Some(&[1.0, 0.0, 1.0][..]));
    }

    #[test]
    fn cancelled_failed_and_panicked_jobs_are_told_apart_and_the_worker_goes_on() {
        let (mut worker, _orders, mut reports) = worker();
        let ticket = Arc::new(Ticket::default());
        ticket.cancel();
        let stop = AtomicBool::new(false);
        worker.serve(order(1, Job::Leiden(LeidenOptions::default()), 100, &ticket), &stop);
        assert_eq!(reports.pop().unwrap().outcome.unwrap_err(), Failure::Cancelled);
        let ticket = Arc::new(Ticket::default());
        worker.serve(order(2, Job::Stress(Default::default()), 100, &ticket), &stop);
        let Failure::Error(reason) = reports.pop().unwrap().outcome.unwrap_err() else { panic!("no error") };
        assert!(reason.contains("no positions"), "{reason}");
        assert_eq!(guarded(|| panic!("by design")).unwrap_err(), Failure::Panic("by design".to_owned()));
        worker.serve(order(3, Job::Components, 5, &ticket), &stop);
        assert!(reports.pop().unwrap().outcome.is_ok());
        let counts = &worker.metrics.worker;
        assert_eq!((counts.done.get(), counts.cancelled.get(), counts.failed.get()), (1, 1, 1));
        stop.store(true, Ordering::Relaxed);
        worker.serve(order(4, Job::Components, 5, &ticket), &stop);
        assert_eq!(reports.pop().unwrap().outcome.unwrap_err(), Failure::Cancelled, "the process ends");
    }
}
