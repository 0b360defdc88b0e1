//! The store's loop: take what waits, commit it as one transaction, report. It sleeps while there is nothing.
//!
//! Not pinned. The only thread that touches the file: an fsync that takes a second delays acknowledgements, and nothing else.
//! After an error it commits nothing, says so, and opens the store anew every second until that works. No fsync is tried twice:
//! what a failed one left in the kernel's cache is not what is on the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use std::collections::VecDeque;

use crossbeam::sync::Parker;

use super::{BackupSize, Entry, Layout, Store, StoreError, StoreOrder, StoreReport};
use crate::base::clock::{SECOND_NS, monotonic_ns};
use crate::handoff::{Consumer, Doorbell, Producer};
use crate::limits::{STORE_GROUP_BATCHES_MAX, STORE_GROUP_BYTES_MAX};
use crate::metrics::Metrics;

/// Longest sleep.
const NAP: Duration = Duration::from_millis(500);

/// Sleep while a report waits for room, or a backup runs.
const SHORT_NAP: Duration = Duration::from_millis(5);

/// Without orders for this long, what was committed is moved to its place.
const IDLE_NS: u64 = SECOND_NS;

/// Time between two tries to open a store that failed.
const RETRY_NS: u64 = SECOND_NS;

/// Orders that one turn takes.
const ORDERS_PER_TURN_MAX: usize = STORE_GROUP_BATCHES_MAX;

/// The lanes of the store.
#[derive(Debug)]
pub struct StoreLanes {
    /// control → store.
    pub orders: Consumer<StoreOrder>,
    /// store → control.
    pub reports: Producer<StoreReport>,
}

/// Everything the thread owns.
pub struct StoreThread {
    store: Box<dyn Store>,
    lanes: StoreLanes,
    bell: Arc<Doorbell>,
    metrics: Arc<Metrics>,
    /// Reports that found the lane full; no order is taken meanwhile.
    unsent: VecDeque<StoreReport>,
    term: u64,
    /// The last version that was reported as durable.
    committed: u64,
    failure: Option<Failure>,
    layout: Option<LayoutInHand>,
    next_layout: Option<Box<Layout>>,
    backups: Vec<BackupInHand>,
    last_order_ns: u64,
    is_tidy: bool,
}

/// What is remembered of a commit that failed.
struct Failure {
    why: StoreError,
    /// The entries of the transaction: some may be in the file in spite of the error.
    doubtful: Vec<Entry>,
    next_try_ns: u64,
}

struct LayoutInHand {
    layout: Box<Layout>,
    part: usize,
}

struct BackupInHand {
    id: u64,
    outcome: Receiver<Result<BackupSize, StoreError>>,
}

impl StoreThread {
    /// The thread of `store`, whose parker `bell` unparks.
    #[must_use]
    pub fn new(store: Box<dyn Store>, lanes: StoreLanes, bell: Arc<Doorbell>, metrics: Arc<Metrics>) -> Self {
        let committed = store.version();
        Self {
            store,
            lanes,
            bell,
            metrics,
            unsent: VecDeque::new(),
            term: 0,
            committed,
            failure: None,
            layout: None,
            next_layout: None,
            backups: Vec::new(),
            last_order_ns: monotonic_ns(),
            is_tidy: false,
        }
    }

    /// Works until `stop` is set and nothing waits. Then the file stands for itself.
    pub fn run(mut self, parker: &Parker, stop: &AtomicBool) {
        loop {
            let stopping = stop.load(Ordering::Acquire);
            self.metrics.store.beat();
            if self.turn(monotonic_ns()) {
                continue;
            }
            if stopping && self.lanes.orders.is_empty() {
                break;
            }
            self.bell.arm();
            if self.lanes.orders.is_empty() && !stop.load(Ordering::Acquire) || !self.unsent.is_empty() {
                parker.park_timeout(self.nap());
            }
            self.bell.disarm();
        }
        if self.failure.is_none()
            && let Err(error) = self.store.checkpoint(true)
        {
            tracing::warn!("at the end: {error}; nothing is lost, the next start takes longer");
        }
    }

    fn nap(&self) -> Duration {
        if self.unsent.is_empty() && self.backups.is_empty() { NAP } else { SHORT_NAP }
    }

    /// One pass. False when there was nothing to do.
    pub fn turn(&mut self, now_ns: u64) -> bool {
        self.flush();
        if !self.unsent.is_empty() {
            return false;
        }
        let recovered = self.failure.is_some() && self.recover(now_ns);
        let took = self.take_orders(now_ns);
        let wrote = self.write_layout();
        self.end_backups();
        if !took && !wrote {
            self.tidy(now_ns);
        }
        took || wrote || recovered
    }

    /// Takes orders, up to a group, and does them: all that is to be committed as one transaction.
    fn take_orders(&mut self, now_ns: u64) -> bool {
        let (mut group, mut bytes) = (Vec::new(), 0);
        let mut taken = 0;
        while taken < ORDERS_PER_TURN_MAX && group.len() < STORE_GROUP_BATCHES_MAX && bytes < STORE_GROUP_BYTES_MAX {
            let Some(order) = self.lanes.orders.pop() else { break };
            taken += 1;
            match order {
                StoreOrder::Append { term, entries } if term == self.term => {
                    bytes += entries.iter().map(Entry::bytes).sum::<usize>();
                    group.extend(entries);
                }
                // It was on its way when the failure was reported, and that report counts for it.
                StoreOrder::Append { .. } => {}
                StoreOrder::Layout(layout) => self.next_layout = Some(layout),
                StoreOrder::Log { id, from, limit } => {
                    // Whoever asks has been told of no version that is not in the file.
                    self.commit(std::mem::take(&mut group));
                    let outcome = self.store.read_log(from, limit);
                    self.report(StoreReport::Log { id, outcome });
                }
                StoreOrder::Backup { id, to } => {
                    self.commit(std::mem::take(&mut group));
                    self.begin_backup(id, to);
                }
            }
        }
        self.commit(group);
        if taken > 0 {
            self.last_order_ns = now_ns;
            self.is_tidy = false;
        }
        taken > 0
    }

    fn commit(&mut self, group: Vec<Entry>) {
        let Some(first) = group.first().map(|entry| entry.version) else { return };
        if let Some(Failure { why, .. }) = &self.failure {
            let (kind, text) = (why.kind(), why.to_string());
            self.report(StoreReport::Failed { version: first, term: self.term, kind, text });
            return;
        }
        let began_ns = monotonic_ns();
        match self.store.append(&group) {
            Ok(()) => {
                let took_ns = monotonic_ns().saturating_sub(began_ns);
                self.committed = self.store.version();
                let store = &self.metrics.store;
                store.commits.add(1);
                store.entries.add(group.len() as u64);
                store.commit.record(took_ns);
                self.report(StoreReport::Committed { version: self.committed, took_ns });
                self.checkpoint(false);
            }
            Err(why) => self.fail(why, group),
        }
    }

    /// Nothing is committed from here on.
    fn fail(&mut self, why: StoreError, doubtful: Vec<Entry>) {
        self.term += 1;
        self.metrics.store.failures.add(1);
        self.metrics.store.failed.set(1.0);
        tracing::error!("the graph is read-only: {why}; tried again every second");
        let version = self.committed + 1;
        let (kind, text) = (why.kind(), why.to_string());
        self.report(StoreReport::Failed { version, term: self.term, kind, text });
        // A layout that was half written is begun anew.
        self.layout = None;
        self.failure = Some(Failure { why, doubtful, next_try_ns: monotonic_ns().saturating_add(RETRY_NS) });
    }

    /// Opens the store anew when it is time to. True when commits are possible again.
    fn recover(&mut self, now_ns: u64) -> bool {
        let Some(failure) = self.failure.as_mut().filter(|failure| now_ns >= failure.next_try_ns) else { return false };
        failure.next_try_ns = now_ns.saturating_add(RETRY_NS);
        if let Err(why) = self.store.reopen() {
            tracing::debug!("the store still fails: {why}");
            failure.why = why;
            return false;
        }
        let (found, acknowledged) = (self.store.version(), self.committed);
        let late = usize::try_from(found.saturating_sub(acknowledged)).unwrap_or(usize::MAX);
        if found < acknowledged || late > failure.doubtful.len() {
            failure.why = StoreError::Replaced { path: self.store.place(), found, acknowledged };
            return false;
        }
        failure.doubtful.truncate(late);
        let late = std::mem::take(&mut failure.doubtful);
        self.failure = None;
        self.committed = found;
        // What was sent meanwhile does not follow what is late.
        self.term += 1;
        self.metrics.store.failed.set(0.0);
        tracing::info!(version = found, late = late.len(), "the store works again");
        self.report(StoreReport::Recovered { version: found, term: self.term, late });
        true
    }

    /// Writes a part of the layout that is to be kept, if there is one; between two parts others commit.
    fn write_layout(&mut self) -> bool {
        if self.failure.is_some() {
            return false;
        }
        if self.layout.is_none() {
            self.layout = self.next_layout.take().map(|layout| LayoutInHand { layout, part: 0 });
        }
        let Some(LayoutInHand { layout, part }) = self.layout.as_mut() else { return false };
        match self.store.put_layout(layout, *part) {
            Ok(true) => *part += 1,
            Ok(false) => {
                let tick = layout.tick;
                self.layout = None;
                self.metrics.store.layouts.add(1);
                self.report(StoreReport::LayoutKept { tick });
                self.checkpoint(false);
            }
            Err(why) => self.fail(why, Vec::new()),
        }
        self.is_tidy = false;
        true
    }

    fn begin_backup(&mut self, id: u64, to: std::path::PathBuf) {
        let job = match self.store.backup(to) {
            Ok(job) => job,
            Err(error) => return self.report(StoreReport::BackedUp { id, outcome: Err(error) }),
        };
        let (sender, outcome) = channel();
        let started = std::thread::Builder::new().name("store-backup".to_owned()).spawn(move || {
            // Nobody listens any more when the process ends.
            let _ = sender.send(job());
        });
        match started {
            Ok(_) => self.backups.push(BackupInHand { id, outcome }),
            Err(error) => {
                let outcome = Err(StoreError::io("backing up", &self.store.place(), &error));
                self.report(StoreReport::BackedUp { id, outcome });
            }
        }
    }

    fn end_backups(&mut self) {
        let mut ended = Vec::new();
        self.backups.retain(|backup| match backup.outcome.try_recv() {
            Ok(outcome) => {
                ended.push((backup.id, outcome));
                false
            }
            Err(TryRecvError::Empty) => true,
            Err(TryRecvError::Disconnected) => {
                let reason = std::io::Error::other("it panicked");
                ended.push((backup.id, Err(StoreError::io("backing up", &self.store.place(), &reason))));
                false
            }
        });
        for (id, outcome) in ended {
            self.report(StoreReport::BackedUp { id, outcome });
        }
    }

    /// Moves what was committed to its place when there has been nothing else to do for a while.
    fn tidy(&mut self, now_ns: u64) {
        if !self.is_tidy && self.failure.is_none() && now_ns.saturating_sub(self.last_order_ns) >= IDLE_NS {
            self.is_tidy = true;
            self.checkpoint(true);
        }
    }

    fn checkpoint(&mut self, idle: bool) {
        if let Err(why) = self.store.checkpoint(idle) {
            self.fail(why, Vec::new());
        }
    }

    fn report(&mut self, report: StoreReport) {
        self.unsent.push_back(report);
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(report) = self.unsent.pop_front() {
            if let Err(report) = self.lanes.reports.push(report) {
                self.unsent.push_front(report);
                break;
            }
        }
    }
}
