//! Who changed something, and what came of it: a record of each call that may, to be written by whoever has files. What was said in a call
//! is in none: a digest tells whether two calls said the same.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::catalogue::ToolRow;
use super::reply::{Reply, printable};
use super::rpc::RpcError;
use super::server::Server;
use super::session::{Ask, Call};
use crate::base::hex;

/// Bytes of a digest: two calls that say different things share one in no log that anybody keeps.
const DIGEST_BYTES: usize = 16;

/// Characters of a name that somebody gives himself.
const NAME_LETTERS_MAX: usize = 64;

/// Tools that say how somebody is doing, time and again: what they change is no more than that.
const REPORTING: [&str; 2] = ["report_agent", "read_inbox"];

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was tried, and nothing was changed.
    DryRun,
    /// It was not done.
    Refused,
    /// Whoever called took it back: what had begun may have been done.
    Cancelled,
    /// Whoever called was gone before the answer: what had begun may have been done.
    Left,
}

impl Outcome {
    /// Of an answer.
    #[must_use]
    pub fn of(result: &Result<Reply, RpcError>) -> Self {
        match result {
            Ok(Reply::Tool(result)) if result.is_error => Self::Refused,
            Ok(Reply::Tool(result)) => {
                let is_trial = |said: &String| said.contains("\"dry_run\":true");
                if result.structured.as_ref().is_some_and(is_trial) { Self::DryRun } else { Self::Done }
            }
            Ok(_) => Self::Done,
            Err(_) => Self::Refused,
        }
    }
}

/// One call, once it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Unix ms at which it was over.
    time_ms: u64,
    /// Who, by his token.
    principal: Arc<str>,
    /// What he or his program calls himself.
    name: Option<Box<str>>,
    /// What was called.
    tool: Box<str>,
    /// Of its arguments as they were written.
    digest: [u8; DIGEST_BYTES],
    /// Of the graph when it was over.
    revision: u64,
    /// What came of it.
    outcome: Outcome,
}

impl AuditRecord {
    /// What is known of a call before it is over; `None` of one that changes nothing.
    #[must_use]
    pub fn of(server: &Server, call: &Call<'_>) -> Option<Self> {
        let Ask::Tool { tool, arguments } = &call.ask else { return None };
        let row = server.catalogue.tools().get(*tool).filter(|row| may_change(row, arguments))?;
        let mut digest = [0; DIGEST_BYTES];
        digest.iter_mut().zip(blake3::hash(arguments.as_bytes()).as_bytes()).for_each(|(to, from)| *to = *from);
        Some(Self {
            time_ms: 0,
            principal: Arc::clone(&call.principal.name),
            name: None,
            tool: row.name.clone(),
            digest,
            revision: 0,
            outcome: Outcome::Left,
        })
    }

    /// The same of somebody who calls himself so.
    #[must_use]
    pub fn named(self, name: Option<Box<str>>) -> Self {
        Self { name: name.map(|name| printable(&name, NAME_LETTERS_MAX).into()), ..self }
    }

    /// The same once it is over.
    #[must_use]
    pub fn over(self, time_ms: u64, revision: u64, outcome: Outcome) -> Self {
        Self { time_ms, revision, outcome, ..self }
    }

    /// As a line of JSON, with its end.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { time_ms, principal, name, tool, digest, revision, outcome } = self;
        let row = json!({
            "time": time_ms, "principal": &**principal, "name": name, "tool": tool, "digest": hex(digest), "revision": revision,
            "outcome": outcome,
        });
        format!("{row}\n")
    }
}

fn may_change(row: &ToolRow, arguments: &str) -> bool {
    let writes = match row.writing.is_empty() {
        true => !row.only_looks,
        false => row.writing.iter().any(|name| arguments.contains(&**name)),
    };
    writes && !REPORTING.contains(&&*row.name)
}
