//! What became of a batch, as its tool says it.

use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::{Given, Refusal, Shape, Write};
use crate::graph::{Deed, Graph, NodeRef, Op, OpError, OpProblem, Outcome};
use crate::mcp::args::{self, ToolError, nearest};
use crate::mcp::reply::{Content, ToolResult};
use crate::mcp::tools::{Done, done};
use crate::mcp::view::Budget;

impl Write {
    /// The answer to one that is not tried, since it is all or nothing and some item cannot be read.
    #[must_use]
    pub fn turned_down(&self, revision: u64) -> Option<Done> {
        let first = self.unread.first().filter(|_| !self.batch.each)?;
        let more = match self.unread.len() - 1 {
            0 => String::new(),
            more => format!(" {more} more cannot be read: errors has them."),
        };
        let words = format!("{}{more} Nothing was changed.", ended(&first.message));
        Some(self.shown(Rows::default(), 0, &self.unread, revision).map(|shown| not_done(shown, words)))
    }

    /// What was refused, by places in the list that was sent.
    fn errors(&self, refused: &[Refusal]) -> Vec<Refusal> {
        let place = |op: usize| self.items.as_ref().and_then(|items| items.get(op).copied()).unwrap_or(op);
        let refused = refused.iter().map(|refusal| Refusal { index: place(refusal.index), ..refusal.clone() });
        let mut errors: Vec<Refusal> = self.unread.iter().cloned().chain(refused).collect();
        errors.sort_by_key(|error| error.index);
        errors
    }

    /// The answer, of the graph after it. `outcomes` are the batch's, one for each operation that is done, and `refused` has the
    /// others; of a `dry_run` those of its stage.
    ///
    /// # Errors
    /// Never in practice: the result is JSON of our own.
    pub fn answer(&self, graph: &Graph, outcomes: &[Outcome], refused: &[Refusal], revision: u64) -> Done {
        if let Shape::Given(Given { structured, text, counted, .. }) = &self.shape {
            let mut structured = structured.clone();
            if let Some(members) = structured.as_object_mut() {
                if let Some(cascaded) = counted {
                    members.extend(counts(outcomes, *cascaded));
                }
                if self.batch.each {
                    members.insert("written".to_owned(), json!(outcomes.len()));
                }
                members.insert("revision".to_owned(), json!(revision));
            }
            let result = done(&structured)?;
            return Ok(ToolResult { content: text.iter().cloned().map(Content::Text).collect(), ..result });
        }
        let errors = self.errors(refused);
        let ops = self.batch.ops.iter().enumerate();
        let done = ops.filter(|(place, _)| refused.binary_search_by_key(place, |refusal| refusal.index).is_err());
        let mut rows = Rows::default();
        for (outcome, (_, op)) in outcomes.iter().zip(done) {
            rows.take(outcome, op, graph);
        }
        let words = errors
            .first()
            .filter(|_| outcomes.is_empty())
            .map(|first| format!("{} No item of the list can be done: nothing was changed.", ended(&first.message)));
        let shown = self.shown(rows, outcomes.len(), &errors, revision)?;
        Ok(match words {
            Some(words) => not_done(shown, words),
            None => shown,
        })
    }

    /// The structure of an answer. Its lists end where a result is as long as it may be, those of refusals last.
    fn shown(&self, mut rows: Rows, done_count: usize, errors: &[Refusal], revision: u64) -> Done {
        let dry_run = self.dry_run;
        let unchanged = done_count - rows.created.len() - rows.updated.len();
        let mut budget = Budget::default();
        let mut fitting =
            |list: &[Json]| -> Vec<Box<RawValue>> { list.iter().map_while(|it| budget.take(it)).collect() };
        let told: Vec<Json> = errors.iter().map(|error| json!(error)).collect();
        let (told, created, updated) = (fitting(&told), fitting(&rows.created), fitting(&rows.updated));
        let truncated =
            told.len() < errors.len() || created.len() < rows.created.len() || updated.len() < rows.updated.len();
        done(&match &self.shape {
            Shape::Upsert => json!({
                "created": created, "updated": updated, "unchanged": unchanged, "errors": told, "refused": errors.len(),
                "truncated": truncated, "dry_run": dry_run, "revision": revision,
            }),
            Shape::Delete => json!({
                "deleted": { "nodes": rows.nodes, "edges": rows.edges + self.cascaded }, "missing": self.missing,
                "dry_run": dry_run, "revision": revision,
            }),
            Shape::Mutations => json!({
                "applied": done_count, "created": created, "errors": told, "refused": errors.len(),
                "truncated": truncated, "dry_run": dry_run, "revision": revision,
            }),
            Shape::Pin { pinned } => {
                rows.unchanged.append(&mut rows.updated);
                let (fixed, free) = if *pinned { (rows.unchanged, Vec::new()) } else { (Vec::new(), rows.unchanged) };
                json!({ "pinned": fixed, "released": free, "revision": revision })
            }
            Shape::Given(_) => Json::Null,
        })
    }

    /// What a refusal of the batch means for a model. `all` has every operation that cannot be done, `error` the first.
    ///
    /// # Errors
    /// The words, where the answer has no list of errors.
    pub fn refused(&self, graph: &Graph, error: &OpError, all: &[Refusal], revision: u64) -> Done {
        let list = match &self.shape {
            Shape::Mutations => "ops",
            Shape::Pin { .. } => "ids",
            Shape::Delete => "nodes",
            Shape::Upsert if matches!(self.batch.ops.first(), Some(Op::UpsertEdge(_) | Op::UpdateEdge { .. })) => {
                "edges"
            }
            Shape::Upsert => "nodes",
            // One argument may come to several operations, or to none.
            Shape::Given(given) => {
                return Err(ToolError::new(format!(
                    "{}: {} ({}). Nothing was changed.",
                    given.list,
                    error.reason,
                    error.reason.code()
                )));
            }
        };
        let near = match &error.reason {
            OpProblem::UnknownNode { node: NodeRef::Key(key), .. } => {
                let near = args::did_you_mean(nearest(key, graph.nodes().iter().map(|node| &*node.key)));
                format!("{near} Use find_nodes to get ids, or make it first.")
            }
            _ => String::new(),
        };
        let (code, reason) = (error.reason.code(), &error.reason);
        let words = format!("{list}[{}]: {reason} ({code}).{near} Nothing was changed.", error.op);
        match &self.shape {
            Shape::Upsert | Shape::Mutations => {
                self.shown(Rows::default(), 0, &self.errors(all), revision).map(|shown| not_done(shown, words))
            }
            _ => Err(ToolError::new(words)),
        }
    }

    /// What it means that the graph is at another revision than asked for.
    #[must_use]
    pub fn stale(&self, revision: u64) -> ToolError {
        let asked = self.batch.if_version.unwrap_or_default();
        ToolError::new(format!(
            "if_revision is {asked}, and the graph is at {revision}: see get_changes since {asked}, then try again with {revision}. Nothing was changed."
        ))
    }
}

/// What operations came to, by name.
#[derive(Default)]
struct Rows {
    created: Vec<Json>,
    updated: Vec<Json>,
    unchanged: Vec<Json>,
    /// Removed.
    nodes: usize,
    edges: usize,
}

impl Rows {
    fn take(&mut self, outcome: &Outcome, op: &Op, graph: &Graph) {
        let name = match outcome {
            Outcome::Node { id, deed } => {
                self.nodes += usize::from(*deed == Deed::Removed);
                let known = graph.index_of(*id).and_then(|index| graph.node(index)).map(|node| json!(node.key));
                known.or_else(|| key_of(op)).unwrap_or_else(|| json!(id.get()))
            }
            Outcome::Edge { id, deed } => {
                self.edges += usize::from(*deed == Deed::Removed);
                json!(id.0)
            }
        };
        match outcome.deed() {
            Deed::Created => self.created.push(name),
            Deed::Updated => self.updated.push(name),
            Deed::Unchanged => self.unchanged.push(name),
            Deed::Removed => {}
        }
    }
}

/// A sentence with its end.
fn ended(words: &str) -> String {
    if words.ends_with(['.', '?']) { words.to_owned() } else { format!("{words}.") }
}

/// A structure that says what was refused, of a call that has done nothing.
fn not_done(shown: ToolResult, words: String) -> ToolResult {
    ToolResult { content: vec![Content::Text(words)], is_error: true, ..shown }
}

/// How many nodes and edges were added, removed and changed.
fn counts(outcomes: &[Outcome], cascaded: usize) -> serde_json::Map<String, Json> {
    let count = |wanted: Deed| {
        let done = outcomes.iter().filter(|outcome| outcome.deed() == wanted);
        let nodes = done.clone().filter(|outcome| matches!(outcome, Outcome::Node { .. })).count();
        (nodes, done.count() - nodes)
    };
    let rows =
        [("added", Deed::Created), ("removed", Deed::Removed), ("changed", Deed::Updated)].map(|(name, deed)| {
            let (nodes, edges) = count(deed);
            let edges = edges + if deed == Deed::Removed { cascaded } else { 0 };
            (name.to_owned(), json!({ "nodes": nodes, "edges": edges }))
        });
    rows.into_iter().collect()
}

/// The key that an operation gave a node which is not in the graph: of a dry run.
fn key_of(op: &Op) -> Option<Json> {
    match op {
        Op::AddNode(draft) | Op::UpsertNode(draft) => draft.key.as_ref().map(|key| json!(key)),
        _ => None,
    }
}
