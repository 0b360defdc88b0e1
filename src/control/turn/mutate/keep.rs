//! Where `control` meets the store: batches on their way to the disk, what came of them, layouts.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::retry::RetryKey;
use super::{Mutations, Reply, Waiting};
use crate::api::steer::RestError;
use crate::base::Handle;
use crate::base::clock::unix_ms;
use crate::control::turn::Control;
use crate::graph::{Batch, NodeId};
use crate::handoff::{Consumer, Producer};
use crate::limits::BATCHES_IN_FLIGHT_MAX;
use crate::store::{Entry, Layout, StoreOrder, StoreReport};

/// The lanes to and from the store, and how often the layout is kept.
#[derive(Debug)]
pub struct StoreDesk {
    /// control → store.
    pub orders: Producer<StoreOrder>,
    /// store → control.
    pub reports: Consumer<StoreReport>,
    /// Time between two layouts.
    pub layout_ns: u64,
    /// Folder of the copies that are made on request.
    pub snapshots: PathBuf,
}

/// How the store is doing, as far as batches go.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// Comes with every order, so that the store knows what a failure took with it.
    term: u64,
    /// Why nothing can be changed; `None` when it can.
    failed: Option<String>,
    /// Nothing is changed before this version is true: it was committed, but not known to be.
    catching_up: u64,
    /// Tick of the layout that was sent last, and when.
    layout: (u64, u64),
}

impl Control {
    /// Why nothing can be changed now.
    pub(in crate::control::turn) fn refuse_changes(&self) -> Option<RestError> {
        let keeping = &self.mutations.keeping;
        if let Some(why) = &keeping.failed {
            return Some(RestError::new(503, "read_only", format!("the graph is read-only: {why}")));
        }
        let message = if self.mutations.version < keeping.catching_up {
            "what was committed before a failure is being taken; send it again"
        } else if self.mutations.in_flight() >= BATCHES_IN_FLIGHT_MAX {
            "too many changes are on their way; send it again"
        } else {
            return None;
        };
        Some(RestError::new(503, "busy", message))
    }

    /// Sends a batch to the disk; without a store it is as durable as it gets.
    pub(super) fn commit(&mut self, version: u64) {
        let term = self.mutations.keeping.term;
        let (Some(desk), Some(waiting)) = (&mut self.lanes.store, self.mutations.unsafe_yet.back()) else {
            return self.durable(version);
        };
        let entry = Entry {
            version,
            epoch: self.mutations.staged_epoch,
            at_unix_ms: waiting.at_unix_ms,
            author: waiting.author.clone(),
            idempotency_key: waiting.key.as_ref().map(|retry| retry.key.clone()),
            changes: Arc::clone(&waiting.changes),
            settings: waiting.settings.clone(),
            answer: waiting.key.as_ref().map(|retry| retry.kept(&waiting.answer)).unwrap_or_default(),
        };
        let sent = desk.orders.push(StoreOrder::Append { term, entries: vec![entry] });
        debug_assert!(sent.is_ok(), "the lane has room for every batch in flight");
    }

    /// Sends settings to the disk as a batch that changes no node and no edge; `answer` is what the request is told then.
    ///
    /// # Errors
    /// `read_only`, `busy`.
    pub(in crate::control::turn) fn keep_settings(
        &mut self,
        rows: Vec<(Box<str>, Option<Value>)>,
        answer: &Value,
        token: Handle,
    ) -> Result<(), RestError> {
        if let Some(refused) = self.refuse_changes() {
            return Err(refused);
        }
        // What is on its way is not known to be kept yet, and what this batch has to say depends on it.
        let under_way = self.mutations.unsafe_yet.iter().any(|waiting| !waiting.settings.is_empty());
        if under_way || self.mutations.in_flight() >= BATCHES_IN_FLIGHT_MAX {
            return Err(RestError::new(503, "busy", "settings are being saved; send it again"));
        }
        let Mutations { pending, limits, .. } = &mut self.mutations;
        // It has a place among the others, so that a failure takes back what it must.
        let staged = pending.stage(&self.graph, &Batch::default(), *limits);
        debug_assert!(staged.is_ok(), "a batch without operations can be done");
        self.mutations.staged += 1;
        let version = self.mutations.staged;
        self.mutations.unsafe_yet.push_back(Waiting {
            version,
            changes: Arc::from([]),
            placed: Vec::new(),
            author: "settings".into(),
            at_unix_ms: unix_ms(),
            key: None,
            answer: answer.to_string().into(),
            settings: rows,
            reply: Reply::Rest { token, status: 200 },
            staged: true,
        });
        self.commit(version);
        Ok(())
    }

    /// Takes what the store says; returns how much that was.
    pub(in crate::control::turn) fn take_store_reports(&mut self) -> usize {
        let mut taken = 0;
        while let Some(report) = self.lanes.store.as_mut().and_then(|desk| desk.reports.pop()) {
            taken += 1;
            match report {
                StoreReport::Committed { version, .. } => self.durable(version),
                StoreReport::Failed { version, term, text, .. } => self.failed(version, term, text),
                StoreReport::Recovered { version, term, late } => self.recovered(version, term, late),
                StoreReport::LayoutKept { .. } => {}
                StoreReport::BackedUp { id, outcome } => self.snapshot_made(id, outcome),
                StoreReport::Log { .. } => debug_assert!(false, "it was not asked for"),
            }
        }
        taken
    }

    /// Nothing from `version` on is done: who waits for it is told, and later batches are refused.
    fn failed(&mut self, version: u64, term: u64, text: String) {
        let keeping = &mut self.mutations.keeping;
        keeping.term = term;
        keeping.failed = Some(text);
        let error = self.refuse_changes();
        while let Some(waiting) = self.mutations.unsafe_yet.pop_back_if(|waiting| waiting.version >= version) {
            if let Some(error) = &error {
                self.refuse(waiting.reply, error);
            }
        }
        let untold = self.mutations.untold.iter().filter(|waiting| waiting.staged).count();
        let kept = self.mutations.unsafe_yet.len() + untold;
        self.mutations.pending.keep(kept);
        self.mutations.staged = version.saturating_sub(1);
        // What becomes true of it after all is so before anything is asked for again.
        self.agents_batches_lost();
    }

    /// Changes are possible again. What is in the store though it was reported as failed becomes true first.
    fn recovered(&mut self, version: u64, term: u64, late: Vec<Entry>) {
        let mutations = &mut self.mutations;
        mutations.keeping.term = term;
        mutations.keeping.failed = None;
        mutations.keeping.catching_up = version;
        mutations.staged = version;
        let mut late_settings = Vec::new();
        for entry in late {
            let known = entry.idempotency_key.map(|key| RetryKey::of_kept(key, &entry.answer));
            let (key, answer) = known.map_or((None, Bytes::new()), |(retry, answer)| (Some(retry), answer));
            if let Some(retry) = &key {
                mutations.retries.remember(retry.clone(), answer.clone());
            }
            let waiting = Waiting {
                version: entry.version,
                changes: entry.changes,
                placed: Vec::new(),
                author: entry.author,
                at_unix_ms: entry.at_unix_ms,
                key,
                answer,
                settings: entry.settings,
                reply: Reply::Nobody,
                staged: false,
            };
            mutations.structural |= self.graph.is_restructured_by(&waiting.changes);
            late_settings.extend_from_slice(&waiting.settings);
            mutations.untold.push(waiting);
        }
        self.settings_kept(&late_settings);
    }

    /// Sends the layout to the store when it is time to, and it is another one.
    pub(in crate::control::turn) fn keep_layout(&mut self, now_ns: u64) {
        let Some(layout_ns) = self.lanes.store.as_ref().map(|desk| desk.layout_ns) else { return };
        let (_, since_ns) = self.mutations.keeping.layout;
        if now_ns.saturating_sub(since_ns) >= layout_ns {
            self.mutations.keeping.layout.1 = now_ns;
            self.send_layout();
        }
    }

    pub(in crate::control::turn) fn send_layout(&mut self) {
        self.take_latest();
        let Some(frame) = self.latest.as_deref() else { return };
        let stamp = frame.stamp();
        if stamp.tick == self.mutations.keeping.layout.0 {
            return;
        }
        let position = |record: &crate::wire::NodeRecord| Some((NodeId::new(record.id())?, record.position()));
        let mut positions: Vec<_> = frame.nodes().iter().filter_map(position).collect();
        positions.sort_unstable_by_key(|(id, _)| *id);
        let layout = Layout { epoch: stamp.epoch, tick: stamp.tick, at_unix_ms: unix_ms(), positions };
        if let Some(desk) = &mut self.lanes.store
            && desk.orders.push(StoreOrder::Layout(Box::new(layout))).is_ok()
        {
            self.mutations.keeping.layout.0 = stamp.tick;
        }
    }

    /// The last words of this thread to the store.
    pub(in crate::control::turn) fn leave_to_store(&mut self) {
        if self.lanes.store.is_some() {
            self.send_layout();
        }
    }
}
