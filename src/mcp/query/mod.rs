//! `query_graph`: a read-only part of openCypher. `help/query.md` has the grammar.
//!
//! Parsed by hand, since it is a small part: a recursive descent with a bounded depth. Patterns are matched by a stack of
//! candidates and not by recursion; every candidate counts as work, and rows and groups are bounded.

mod ast;
mod eval;
mod matcher;
mod parse;
mod project;
#[cfg(test)]
mod tests;
mod token;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::args::{ToolError, arguments, whole};
use super::tools::{Done, done};
use super::view::{Bounds, Budget, View};

/// Its name, which its cursors are bound to.
const TOOL: &str = "query_graph";

/// Bytes of a query.
const QUERY_BYTES_MAX: usize = 16 << 10;

arguments!(QueryGraph {
    #[serde(borrow)]
    query: Option<Cow<'line, str>>,
    params: BTreeMap<String, serde_json::Value>,
    limit: Option<i64>,
    #[serde(borrow)]
    cursor: Option<Cow<'line, str>>,
    timeout_ms: Option<i64>,
    explain: bool,
});

impl QueryGraph<'_> {
    /// How long it may run.
    ///
    /// # Errors
    /// Its bounds.
    pub(super) fn limit_ms(&self) -> Result<u64, ToolError> {
        whole("timeout_ms", self.timeout_ms, (1, 30_000), 2_000).map(|limit| limit as u64)
    }
}

#[derive(Serialize)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Box<RawValue>>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Vec<String>>,
    revision: u64,
}

/// What an answer cost.
#[derive(Serialize)]
struct Stats {
    us: u64,
    /// Nodes and edges that were looked at.
    expanded: u64,
}

pub(super) fn query_graph(asked: &QueryGraph<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let text = asked.query.as_deref().ok_or_else(|| ToolError::missing("query", "MATCH … RETURN …"))?;
    if text.len() > QUERY_BYTES_MAX {
        return Err(ToolError::field("query", format_args!("{} bytes long", text.len()), "at most 16384 bytes long"));
    }
    let limit = whole("limit", asked.limit, (1, 500), 100)?;
    asked.limit_ms()?;
    let offset = bounds.offset_at(TOOL, view.revision, asked.cursor.as_deref())?;
    let query = parse::parse(text, &asked.params)?;
    let columns: Vec<String> = query.returns.iter().map(|item| item.name.clone()).collect();
    let steps = matcher::steps(&query);
    if asked.explain {
        let plan = Some(matcher::describe(&query, &steps));
        return done(&Table {
            columns,
            rows: Vec::new(),
            truncated: false,
            next_cursor: None,
            stats: None,
            plan,
            revision: view.revision,
        });
    }
    let found = project::run(&query, &steps, (offset, limit), view, bounds)?;
    let (mut budget, mut rows) = (Budget::default(), Vec::new());
    for row in &found.rows {
        let Some(json) = budget.take(&eval::ShownRow { view, row }) else { break };
        rows.push(json);
    }
    let cut = rows.len() < found.rows.len();
    let truncated = found.truncated || cut;
    if rows.is_empty() && !found.rows.is_empty() {
        return Err(ToolError::new("the first row alone has more than 64 KiB: return less of it, or collect fewer"));
    }
    let next = offset + rows.len();
    let goes_on = (found.more || cut) && !rows.is_empty();
    done(&Table {
        columns,
        rows,
        truncated,
        next_cursor: goes_on.then(|| bounds.cursor_at(TOOL, view.revision, next)),
        stats: Some(Stats { us: bounds.us(), expanded: bounds.spent() }),
        plan: None,
        revision: view.revision,
    })
}
