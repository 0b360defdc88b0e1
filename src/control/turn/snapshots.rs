//! Copies of the store, made while the engine runs. `store` makes them, `files` lists and removes them; `swarmcast restore` takes one.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Control;
use super::steer::body;
use crate::api::steer::{Fields, RestError};
use crate::base::Handle;
use crate::base::clock::unix_ms;
use crate::handoff::RestCall;
use crate::limits::SNAPSHOTS_WAITING_MAX;
use crate::mcp::CallKey;
use crate::store::{BackupSize, FailureKind, StoreError, StoreOrder};
use crate::worker::FileOrder;

/// Ending of their files.
pub(super) const ENDING: &str = ".db";

/// Letters of a name.
const NAME_BYTES_MAX: usize = 64;

/// Who waits for a copy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiter {
    /// A request.
    Rest(Handle),
    /// An agent's call.
    Agent {
        /// Whose.
        conn: Handle,
        /// Which.
        key: CallKey,
    },
}

/// Copies that are being made.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    last_id: u64,
    /// The time in the last name that was made up, Unix ms.
    last_ms: u64,
    /// Order, who waits for it, and the copy's name. No two have one name: they would write one file.
    waiting: Vec<(u64, Waiter, String)>,
}

impl Snapshots {
    /// A name that was not made up before, be it in the same millisecond.
    fn made_up(&mut self, version: u64, now_ms: u64) -> String {
        self.last_ms = now_ms.max(self.last_ms + 1);
        format!("v{version}-{}", self.last_ms)
    }
}

impl Control {
    /// Paths of the snapshots; false when it is another one.
    pub(super) fn snapshots_by_rest(&mut self, token: Handle, call: &RestCall) -> bool {
        let Some(name) = call.path.strip_prefix("/api/snapshots") else { return false };
        if let Err(error) = self.try_snapshots(token, name.trim_start_matches('/'), call) {
            self.refuse_rest(token, &error);
        }
        true
    }

    fn try_snapshots(&mut self, token: Handle, name: &str, call: &RestCall) -> Result<(), RestError> {
        let folder = self.snapshots_folder()?;
        match (call.method.as_str(), name) {
            ("POST", "") => self.begin_snapshot(token, call),
            ("DELETE", name) => {
                let path = folder.join(format!("{}{ENDING}", checked(name)?));
                self.order_file(FileOrder::Remove { token, path })
            }
            _ => self.order_file(FileOrder::List { token, folder, ending: ENDING }),
        }
    }

    /// Where copies are kept.
    pub(super) fn snapshots_folder(&self) -> Result<PathBuf, RestError> {
        let folder = self.lanes.store.as_ref().map(|desk| desk.snapshots.clone());
        folder.ok_or_else(|| RestError::new(409, "not_kept", "nothing is kept of this graph: start with --store FILE"))
    }

    fn begin_snapshot(&mut self, token: Handle, call: &RestCall) -> Result<(), RestError> {
        let name = if call.body.is_empty() {
            None
        } else {
            let body = body(call)?;
            let mut fields = Fields::of_body(&body)?;
            let name = fields.text("name")?.map(checked).transpose()?.map(str::to_owned);
            fields.end()?;
            name
        };
        self.copy_store(Waiter::Rest(token), name.as_deref())
    }

    /// Has a copy made under a name that was checked, or one of its own.
    pub(super) fn copy_store(&mut self, waiter: Waiter, name: Option<&str>) -> Result<(), RestError> {
        let folder = self.snapshots_folder()?;
        let version = self.version();
        let name = name.map(str::to_owned).unwrap_or_else(|| self.snapshots.made_up(version, unix_ms()));
        if self.snapshots.waiting.iter().any(|(.., waiting)| *waiting == name) {
            let message = format!("the snapshot {name} is being made: choose another name, or wait for it");
            return Err(RestError::at(409, "in_progress", "name", message));
        }
        let busy = || RestError::new(503, "busy", "other snapshots are being made; send it again");
        if self.snapshots.waiting.len() >= SNAPSHOTS_WAITING_MAX {
            return Err(busy());
        }
        let failed = |reason| RestError::new(507, "disk", format!("{}: {reason}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(failed)?;
        // Places of now, where the store gets round to them in time.
        self.send_layout();
        let (id, to) = (self.snapshots.last_id + 1, folder.join(format!("{name}{ENDING}")));
        let desk = self.lanes.store.as_mut().ok_or_else(busy)?;
        desk.orders.push(StoreOrder::Backup { id, to }).map_err(|_| busy())?;
        self.snapshots.last_id = id;
        self.snapshots.waiting.push((id, waiter, name));
        Ok(())
    }

    /// A copy is made, or is not.
    pub(super) fn snapshot_made(&mut self, id: u64, outcome: Result<BackupSize, StoreError>) {
        let place = self.snapshots.waiting.iter().position(|(waiting, ..)| *waiting == id);
        let Some((_, waiter, name)) = place.map(|place| self.snapshots.waiting.swap_remove(place)) else { return };
        let outcome = match outcome {
            Ok(size) => Ok(json!({ "name": name, "version": size.version, "bytes": size.bytes })),
            Err(error @ StoreError::Exists { .. }) => {
                let message = format!("there is a snapshot {name} already: {error}");
                Err(RestError::at(409, "exists", "name", message))
            }
            Err(error) => {
                let status = if error.kind() == FailureKind::Full { 507 } else { 500 };
                Err(RestError::new(status, "disk", error.to_string()))
            }
        };
        match (waiter, outcome) {
            (Waiter::Rest(token), Ok(row)) => self.answer_rest(token, 201, &row),
            (Waiter::Rest(token), Err(error)) => self.refuse_rest(token, &error),
            (Waiter::Agent { conn, key }, outcome) => {
                self.snapshot_made_for(conn, key, outcome.map_err(|error| error.message));
            }
        }
    }

    /// What `files` has found of them.
    pub(super) fn snapshots_listed(&mut self, token: Handle, outcome: Result<Vec<(String, u64, u64)>, String>) {
        match outcome {
            Ok(rows) => {
                let row = |(name, bytes, modified_ms): (String, u64, u64)| -> Value {
                    json!({ "name": name, "bytes": bytes, "modified": modified_ms })
                };
                let rows: Vec<Value> = rows.into_iter().map(row).collect();
                self.answer_rest(token, 200, &json!({ "snapshots": rows }));
            }
            Err(message) => self.refuse_rest(token, &RestError::new(500, "disk", message)),
        }
    }

    /// One is gone, or was not there.
    pub(super) fn snapshot_removed(&mut self, token: Handle, outcome: Result<bool, String>) {
        match outcome {
            Ok(true) => self.answer_rest(token, 200, &json!({ "removed": true })),
            Ok(false) => self.refuse_rest(token, &RestError::new(404, "unknown_snapshot", "there is no such snapshot")),
            Err(message) => self.refuse_rest(token, &RestError::new(500, "disk", message)),
        }
    }
}

/// A name that is a file's and no path.
pub(super) fn checked(name: &str) -> Result<&str, RestError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(fits) {
        return Ok(name);
    }
    let message =
        format!("name must be 1 to {NAME_BYTES_MAX} of letters, digits, dots, dashes and underlines, no dot first");
    Err(RestError::at(400, "out_of_range", "name", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_made_up_twice() {
        let mut snapshots = Snapshots::default();
        let names = [5, 5, 5, 4, 9].map(|now_ms| snapshots.made_up(2, now_ms));
        assert_eq!(names, ["v2-5", "v2-6", "v2-7", "v2-8", "v2-9"], "the clock may stand, and go back");
    }
}
