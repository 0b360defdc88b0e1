//! What goes into the store and comes out of it.

use std::sync::Arc;

use crate::graph::{Author, Change, EdgeRow, Node, NodeId, Value};

/// One committed batch: a row of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Count of batches with this one; each is one more than the one before.
    pub version: u64,
    /// Epoch of the structure after it.
    pub epoch: u32,
    /// When it was accepted, ms since 1970.
    pub at_unix_ms: u64,
    /// Who asked for it, and why.
    pub author: Author,
    /// The key that makes a retry safe, where the client gave one.
    pub idempotency_key: Option<Box<str>>,
    /// What it did to the graph, in order.
    pub changes: Arc<[Change]>,
    /// Settings by path; `None`, and null, are the default again.
    pub settings: Vec<(Box<str>, Option<serde_json::Value>)>,
    /// The JSON that its client was answered; kept with an idempotency key only.
    pub answer: Box<str>,
}

impl Entry {
    /// About what it weighs, bytes: for the size of a group, not for memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let settings: usize = self.settings.iter().map(|(path, _)| path.len() + 32).sum();
        128 + self.answer.len() + self.author.bytes() + settings + self.changes.iter().map(change_bytes).sum::<usize>()
    }
}

fn change_bytes(change: &Change) -> usize {
    let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
    let attributes = |all: &[(Box<str>, Value)]| {
        let value = |value: &Value| if let Value::Text(text) = value { text.len() } else { 8 };
        all.iter().map(|(key, given)| key.len() + value(given) + 8).sum::<usize>()
    };
    match change {
        Change::PutNode(node) => {
            160 + node.key.len() + node.label.len() + text(&node.group) + attributes(&node.attributes)
        }
        Change::PutEdge(edge) => 128 + text(&edge.relation) + text(&edge.label) + attributes(&edge.attributes),
        Change::RemoveNode(_) | Change::RemoveEdge(_) => 24,
    }
}

/// What is known of a graph beyond its nodes and edges, when it is put into an empty store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// As it is shown.
    pub name: Box<str>,
    /// Where it came from: a path, or empty for the graph built into the engine.
    pub source: Box<str>,
    /// Its version; the log begins with the next one.
    pub version: u64,
    /// Its epoch.
    pub epoch: u32,
}

/// Where every node was at one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Epoch of that tick.
    pub epoch: u32,
    /// That tick.
    pub tick: u64,
    /// When, ms since 1970.
    pub at_unix_ms: u64,
    /// World units, finite; ids ascend.
    pub positions: Vec<(NodeId, [f32; 3])>,
}

/// A batch that had an idempotency key: what a retry is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The key.
    pub key: Box<str>,
    /// Version of the batch.
    pub version: u64,
    /// When it was accepted, ms since 1970.
    pub at_unix_ms: u64,
    /// Who sent it.
    pub author: Box<str>,
    /// JSON.
    pub answer: Box<str>,
}

/// A store as it is found at start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// What [`About`] said; `None` while no graph was ever put and no batch committed.
    pub about: Option<(Box<str>, Box<str>)>,
    /// Batches committed.
    pub version: u64,
    /// The last epoch that was used, as far as entries and layouts say.
    pub epoch: u32,
    /// Ids that were never dealt begin here.
    pub next_node_id: u32,
    /// The same of edges.
    pub next_edge_id: u32,
    /// By id, ascending. Each is valid for itself; that keys are unique and ends exist is for the graph to say.
    pub nodes: Vec<Node>,
    /// By id, ascending.
    pub edges: Vec<EdgeRow>,
    /// By path.
    pub settings: Vec<(Box<str>, serde_json::Value)>,
    /// The newest layout that is whole.
    pub layout: Option<Layout>,
    /// Newest first, at most [`crate::limits::STORE_RETRIES_MAX`].
    pub retries: Vec<Retry>,
    /// Oldest version that the log still has; `None` when it has none.
    pub log_first: Option<u64>,
}

/// A part of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogPage {
    /// From the one asked for on, without gaps.
    pub entries: Vec<Entry>,
    /// The newest version there is: when it is the last entry's, nothing is left to read.
    pub version: u64,
}
