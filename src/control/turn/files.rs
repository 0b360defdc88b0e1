//! Files over HTTP, and the source that the graph follows. Reading and writing them is `files`'; what a file comes to is a batch like any
//! other.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::mutate::{Answering, Reply, RetryKey};
use super::{Control, JSON};
use crate::api::graph::terms_of;
use crate::api::steer::RestError;
use crate::base::Handle;
use crate::graph::Batch;
use crate::graph::formats::Format;
use crate::graph::formats::export::ExportFormat;
use crate::handoff::{Consumer, DoorReply, Producer, Query, RestCall};
use crate::limits::FILE_ORDERS_MAX;
use crate::worker::{FileOrder, FileReport, Meeting, Remarks};

/// What a file could not hold, in a header of the answer; joined by semicolons.
const LOSSES: &str = "Swarmcast-Losses";

/// Who changes the graph when its source does.
const SOURCE: &str = "source";

/// The lanes to and from `files`.
#[derive(Debug)]
pub struct FilesDesk {
    /// control → files.
    pub orders: Producer<FileOrder>,
    /// files → control.
    pub reports: Consumer<FileReport>,
    /// Time between two looks at the source; `None` when it is not followed.
    pub follow_ns: Option<u64>,
}

/// What is asked of `files`.
#[derive(Debug, Default)]
pub(super) struct Filing {
    /// Orders of clients that are on their way.
    orders: usize,
    /// What their imports are known by when they come again.
    retries: HashMap<Handle, RetryKey>,
    /// A look at the source is on its way, or what it found is.
    following: bool,
    due_ns: u64,
    /// Who asked for a look that has not begun: what one under way has seen already may be older than what they mean.
    asked: Vec<Handle>,
    /// Who wants to hear of the one under way.
    waiting: Vec<Handle>,
    /// Why the source could not be followed at the last look, so that it is said once in the log.
    said: Option<String>,
}

impl Filing {
    /// Warns of what keeps the source from being followed, unless that was said of the last look.
    fn say_once(&mut self, what: &str, message: &str) {
        if self.said.as_deref() != Some(message) {
            tracing::warn!("{what}: {message}");
            self.said = Some(message.to_owned());
        }
    }
}

impl Control {
    /// Whether `files` has said nothing.
    pub(super) fn files_are_quiet(&self) -> bool {
        self.lanes.files.reports.is_empty()
    }

    /// `GET /api/graph/export`.
    ///
    /// # Errors
    /// `unknown_value`, `busy`.
    pub(super) fn export_by_rest(&mut self, token: Handle, query: &Query) -> Result<(), RestError> {
        let format = match query.get("format") {
            None => ExportFormat::Json,
            Some(name) => name.parse().map_err(|error| unknown("format", &error))?,
        };
        let with_positions = flag(query, "positions")?.unwrap_or(true);
        self.take_latest();
        let frame = self.latest.clone().filter(|frame| with_positions && frame.stamp().epoch == self.epoch);
        self.order_file(FileOrder::Export { token, graph: Arc::clone(&self.graph), frame, format })
    }

    /// `POST /api/graph/import`.
    ///
    /// # Errors
    /// `unknown_value`, `out_of_range`, `busy`, and what refuses any change.
    pub(super) fn import_by_rest(&mut self, token: Handle, call: &RestCall) -> Result<(), RestError> {
        let query = &call.query;
        let format = match query.get("format") {
            None => Format::Auto,
            Some(name) => name.parse().map_err(|error| unknown("format", &error))?,
        };
        let meeting = match query.get("mode") {
            None | Some("merge") => Meeting::Merge,
            Some("replace") => Meeting::Replace,
            Some(_) => return Err(RestError::at(400, "unknown_value", "mode", "mode must be merge or replace")),
        };
        let terms = terms_of(query)?;
        let skip_bad = flag(query, "skip_bad")?.unwrap_or(false);
        // Of the file: what it comes to is not the same twice.
        let how = format!("{format} {meeting:?} {skip_bad} {:?}", terms.if_version);
        let retry = terms.idempotency_key.clone().map(|key| RetryKey::of_parts(key, &[how.as_bytes(), &call.body]));
        if self.answer_retry(retry.as_ref(), Reply::Rest { token, status: 200 })? {
            return Ok(());
        }
        if let Some(refused) = self.refuse_changes() {
            return Err(refused);
        }
        self.order_file(FileOrder::Import {
            token,
            graph: Arc::clone(&self.graph),
            version: self.version(),
            body: call.body.clone(),
            format,
            skip_bad,
            meeting,
            limits: self.facts.limits,
            terms,
        })?;
        self.filing.retries.extend(retry.map(|retry| (token, retry)));
        Ok(())
    }

    /// `POST /api/graph/refresh`.
    ///
    /// # Errors
    /// `not_followed`, and what refuses any change. Later `import`: it cannot be read, or is being written still.
    pub(super) fn refresh_by_rest(&mut self, token: Handle) -> Result<(), RestError> {
        if self.lanes.files.follow_ns.is_none() {
            let message = "the graph follows no file or folder: start with --graph PATH --watch";
            return Err(RestError::new(409, "not_followed", message));
        }
        if let Some(refused) = self.refuse_changes() {
            return Err(refused);
        }
        self.filing.asked.push(token);
        self.filing.due_ns = 0;
        Ok(())
    }

    /// Sends an order whose report somebody waits for.
    pub(super) fn order_file(&mut self, order: FileOrder) -> Result<(), RestError> {
        let busy = RestError::new(503, "busy", "other files are being read and written; send it again");
        if self.filing.orders >= FILE_ORDERS_MAX {
            return Err(busy);
        }
        self.lanes.files.orders.push(order).map_err(|_| busy)?;
        self.filing.orders += 1;
        Ok(())
    }

    /// Looks at the source when it is time to, and takes what `files` has done; returns how much that was.
    pub(super) fn take_files(&mut self, now_ns: u64) -> usize {
        self.follow(now_ns);
        let mut taken = 0;
        while let Some(report) = self.lanes.files.reports.pop() {
            taken += 1;
            match report {
                FileReport::Exported { token, format, outcome } => {
                    self.filing.orders -= 1;
                    self.send_file(token, format, outcome);
                }
                FileReport::Read { token, outcome } => {
                    self.filing.orders -= 1;
                    let retry = self.filing.retries.remove(&token);
                    let read = outcome.map_err(|message| RestError::new(422, "import", message));
                    let done = read.and_then(|(batch, format, remarks)| {
                        let answering = Answering::Counts(about(format, &remarks));
                        self.mutate_as(&batch, retry, Reply::Rest { token, status: 200 }, answering)
                    });
                    if let Err(error) = done {
                        self.refuse_rest(token, &error);
                    }
                }
                FileReport::ForAgent { conn, key, product } => {
                    self.filing.orders -= 1;
                    self.errand_done(conn, key, product);
                }
                FileReport::Changed { outcome } => self.source_changed(outcome),
                FileReport::Listed { token, outcome } => {
                    self.filing.orders -= 1;
                    self.snapshots_listed(token, outcome);
                }
                FileReport::Removed { token, outcome } => {
                    self.filing.orders -= 1;
                    self.snapshot_removed(token, outcome);
                }
            }
        }
        taken
    }

    fn send_file(&mut self, token: Handle, format: ExportFormat, outcome: Result<(Bytes, Vec<String>), String>) {
        match outcome {
            Ok((body, losses)) => {
                let name = format!("attachment; filename=\"graph.{}\"", format.extension());
                let mut headers = vec![("Content-Disposition", name)];
                if !losses.is_empty() {
                    headers.push((LOSSES, header_text(&losses.join("; "))));
                }
                let content_type = format.media_type();
                self.reply(DoorReply::Headed { token, status: 200, content_type, headers, body });
            }
            Err(message) => self.refuse_rest(token, &RestError::new(507, "export", message)),
        }
    }

    fn follow(&mut self, now_ns: u64) {
        let Some(follow_ns) = self.lanes.files.follow_ns else { return };
        if self.filing.following || now_ns < self.filing.due_ns || self.refuse_changes().is_some() {
            return;
        }
        let asked = !self.filing.asked.is_empty();
        let order = FileOrder::Follow { graph: Arc::clone(&self.graph), asked };
        let filing = &mut self.filing;
        filing.following = self.lanes.files.orders.push(order).is_ok();
        if filing.following {
            filing.due_ns = now_ns + follow_ns;
            filing.waiting.append(&mut filing.asked);
        }
    }

    fn source_changed(&mut self, outcome: Result<Option<(Vec<crate::graph::Op>, Remarks)>, String>) {
        let ops = match outcome {
            Ok(None) => {
                self.filing.said = None;
                return self.followed(Ok(&json!({ "changed": false, "version": self.version() })));
            }
            Ok(Some((ops, remarks))) => {
                for warning in remarks.warnings.iter().chain(&remarks.skipped) {
                    tracing::warn!("the source: {warning}");
                }
                ops
            }
            Err(message) => {
                self.filing.say_once("the source is not taken; the graph stays as it is", &message);
                return self.followed(Err(&RestError::new(422, "import", message)));
            }
        };
        let batch = Batch { ops, author: SOURCE.into(), ..Batch::default() };
        let answering = Answering::Counts(json!({ "changed": true }));
        if let Err(error) = self.mutate_as(&batch, None, Reply::Source, answering) {
            self.filing.say_once("the changes of the source are not made", &error.message);
            self.followed(Err(&error));
        } else {
            self.filing.said = None;
        }
    }

    /// The changes of the source are in the graph, or are not.
    pub(super) fn source_done(&mut self, outcome: Result<&Bytes, &RestError>) {
        if outcome.is_ok() {
            // There is room: a look is one order, and its end another.
            let told = self.lanes.files.orders.push(FileOrder::Followed);
            debug_assert!(told.is_ok(), "the lane has room beside the clients' orders");
        }
        match outcome {
            Ok(answer) => self.followed(Ok(&serde_json::from_slice(answer).unwrap_or(Value::Null))),
            Err(error) => self.followed(Err(error)),
        }
    }

    fn followed(&mut self, outcome: Result<&Value, &RestError>) {
        self.filing.following = false;
        for token in std::mem::take(&mut self.filing.waiting) {
            match outcome {
                Ok(answer) => self.answer_rest(token, 200, answer),
                Err(error) => self.refuse_rest(token, error),
            }
        }
    }

    /// An answer with headers of its own.
    pub(super) fn answer_accepted(&mut self, token: Handle, location: String, body: Bytes) {
        let headers = vec![("Location", location)];
        self.reply(DoorReply::Headed { token, status: 202, content_type: JSON, headers, body });
    }
}

/// What a reading came to, for the answer.
pub(super) fn about(format: Format, remarks: &Remarks) -> Value {
    let Remarks { skipped, skipped_count, warnings } = remarks;
    json!({ "format": format.to_string(), "skipped": skipped, "skipped_count": skipped_count, "warnings": warnings })
}

fn unknown(field: &str, error: &dyn std::fmt::Display) -> RestError {
    RestError::at(400, "unknown_value", field, format!("{field}: {error}"))
}

fn flag(query: &Query, name: &str) -> Result<Option<bool>, RestError> {
    match query.get(name) {
        None => Ok(None),
        Some("" | "true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(RestError::at(400, "unknown_value", name, format!("{name} must be true or false"))),
    }
}

/// Words as a header may hold them: printable ASCII, the rest as `?`, cut at a thousand.
fn header_text(text: &str) -> String {
    text.chars()
        .take(1_000)
        .map(|letter| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' })
        .collect()
}
