//! A record of each call that may change something, on its way to the file of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::McpDesk;
use crate::base::Handle;
use crate::base::clock::unix_ms;
use crate::mcp::{AuditRecord, Call, CallKey, Outcome, Server};

/// Records that wait for the lane. Beyond that they are lost, which the log says.
const WAITING_MAX: usize = 16_384;

/// The calls under way, and the records of those that are over.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// `None` while nobody keeps records.
    server: Option<Arc<Server>>,
    open: HashMap<(Handle, CallKey), AuditRecord>,
    over: VecDeque<AuditRecord>,
    lost: u64,
}

impl Audit {
    pub(super) fn new(desk: Option<&McpDesk>) -> Self {
        let server = desk.filter(|desk| desk.audit.is_some()).map(|desk| Arc::clone(&desk.server));
        Self { server, ..Self::default() }
    }

    /// What is known of a call so far.
    pub(super) fn begin(&self, call: &Call<'_>, name: impl FnOnce() -> Option<Box<str>>) -> Option<AuditRecord> {
        let record = AuditRecord::of(self.server.as_deref()?, call)?;
        Some(record.named(name()))
    }

    pub(super) fn defer(&mut self, conn: Handle, key: CallKey, record: Option<AuditRecord>) {
        if let Some(record) = record {
            self.open.insert((conn, key), record);
        }
    }

    pub(super) fn end(&mut self, record: Option<AuditRecord>, revision: u64, outcome: Outcome) {
        let Some(record) = record else { return };
        if self.over.len() >= WAITING_MAX {
            self.lost += 1;
            if self.lost.is_power_of_two() {
                tracing::error!(lost = self.lost, "the audit log does not keep up: records are lost");
            }
            return;
        }
        self.over.push_back(record.over(unix_ms(), revision, outcome));
    }

    pub(super) fn finish(&mut self, conn: Handle, key: CallKey, revision: u64, outcome: Outcome) {
        let record = self.open.remove(&(conn, key));
        self.end(record, revision, outcome);
    }

    /// Nobody waits for the calls of a talk any more.
    pub(super) fn forget(&mut self, conn: Handle, revision: u64) {
        let left: Vec<CallKey> = self.open.keys().filter(|(of, _)| *of == conn).map(|(_, key)| *key).collect();
        for key in left {
            self.finish(conn, key, revision, Outcome::Left);
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.over.is_empty()
    }

    /// Hands records over, as many as there is room for.
    pub(super) fn send(&mut self, desk: &mut McpDesk) {
        let Some(lane) = &mut desk.audit else { return };
        while let Some(record) = self.over.pop_front() {
            if let Err(record) = lane.push(record) {
                return self.over.push_front(record);
            }
        }
    }
}
