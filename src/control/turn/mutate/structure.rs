//! Another structure for `sim`, and everything that is of one structure made anew.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Waiting;
use super::history::told;
use crate::base::clock::thread_cpu_ns;
use crate::control::turn::Control;
use crate::graph::NodeIndex;
use crate::handoff::{ChainWriter, ClassRef, NEW_NODE, ShardMessage, SimCommand, Structure};
use crate::limits::CHANGES_TOLD_BYTES_MAX;
use crate::wire::{CloseCode, NodeRecord};

/// What a client that comes back has missed.
pub(in crate::control) enum Missed {
    Nothing,
    /// `graph_changed` with all of it.
    Told(Bytes),
    /// The same, naming where to fetch it: it is much.
    Elsewhere(Bytes),
    /// So much that it has to begin anew.
    TooMuch,
}

impl Missed {
    /// What it is told.
    pub(in crate::control) fn into_text(self) -> Option<Bytes> {
        match self {
            Self::Told(text) | Self::Elsewhere(text) => Some(text),
            Self::Nothing | Self::TooMuch => None,
        }
    }
}

impl Control {
    /// What has become true since that version.
    pub(in crate::control) fn missed(&self, since: u64) -> Missed {
        let (history, newest) = (&self.mutations.history, self.mutations.version);
        if since == newest {
            return Missed::Nothing;
        }
        let Some(rows) = history.rows_since(since) else { return Missed::TooMuch };
        let bytes: usize = rows.iter().map(|row| row.len() + 1).sum();
        let text = told(&rows, (since, newest), &self.counts(), CHANGES_TOLD_BYTES_MAX);
        if bytes > CHANGES_TOLD_BYTES_MAX { Missed::Elsewhere(text) } else { Missed::Told(text) }
    }

    /// How the graph stands, for `graph_changed`.
    fn counts(&self) -> Value {
        json!({
            "epoch": self.epoch,
            "node_count": self.graph.nodes().len(),
            "edge_count": self.graph.edges().len(),
        })
    }

    /// Tells every client, before `sim` hears of it: the words are in each shard before the first frame of the new epoch is.
    pub(super) fn tell_changes(&mut self, batches: &[Waiting]) {
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return };
        let span = (first.version - 1, last.version);
        let rows: Vec<_> = batches.iter().filter_map(|waiting| self.mutations.history.row(waiting.version)).collect();
        // One that was dropped already is not among the rows; then the whole is fetched.
        let bytes_max = if rows.len() == batches.len() { CHANGES_TOLD_BYTES_MAX } else { 0 };
        let text = told(&rows, span, &self.counts(), bytes_max);
        for shard in &mut self.lanes.shard_messages {
            // A shard whose lane is full does not hear of it; its clients see the gap in the versions.
            let _ = shard.push(ShardMessage::Broadcast { text: text.clone() });
        }
    }

    /// Sends `sim` the graph as it is. The thread's processor time was `began_cpu_ns` when work on it began.
    pub(super) fn restructure(&mut self, now_ns: u64, began_cpu_ns: u64) {
        self.expel_narrow();
        let nodes = self.graph.nodes();
        let node_count = nodes.len();
        let known = &self.mutations.known;
        let from: Vec<u32> = nodes.iter().map(|node| known.get(node.id).map_or(NEW_NODE, |index| index.0)).collect();
        let place = nodes.iter().zip(&from).map(|(node, from)| node.position.filter(|_| *from == NEW_NODE)).collect();
        let touched: Vec<NodeIndex> = self.mutations.touched.drain().filter_map(|id| self.graph.index_of(id)).collect();
        let adrift = self.mutations.adrift.drain().filter_map(|id| self.graph.index_of(id)).collect();
        let before = self.mutations.known.len();
        let index = self.graph.ids();
        self.mutations.known = index.clone();
        let structure = Structure {
            epoch: self.epoch,
            words: nodes.iter().map(|node| node.id.get() | node.class.wire_bits()).collect(),
            index,
            csr: self.graph.csr(),
            from,
            place,
            pinned: nodes.iter().map(|node| node.pinned).collect(),
            touched: {
                let mut touched = touched;
                touched.sort_unstable();
                touched
            },
            adrift,
            chains: self.chains(node_count),
            home: vec![[0.0; 3]; node_count].into(),
            records: vec![NodeRecord::default(); before],
            velocity: vec![[0.0; 3]; node_count],
        };
        self.command(SimCommand::Restructure { structure: Box::new(structure) });
        let made_ns = thread_cpu_ns().saturating_sub(began_cpu_ns);
        self.mutations.sent = Some((self.epoch, now_ns, made_ns));
        self.steer_anew();
    }

    /// Encoders for so many nodes, one for each compact class that lives.
    fn chains(&mut self, node_count: usize) -> Vec<(ClassRef, Box<ChainWriter>)> {
        let live: Vec<_> = self.classes.iter().filter(|entry| entry.spec.profile.is_chain()).copied().collect();
        let mut chains = Vec::with_capacity(live.len());
        for entry in live {
            match ChainWriter::new(entry.class, entry.spec, node_count) {
                Ok(chain) => chains.push((entry.class, Box::new(chain))),
                Err(error) => {
                    tracing::warn!(class = entry.class.serial, "the graph has outgrown the compact profile: {error}");
                    self.expel(entry.class, "the graph has outgrown this profile");
                }
            }
        }
        chains
    }

    /// Closes the streams of profiles that cannot carry an id of the graph any more: none is ever cut short.
    fn expel_narrow(&mut self) {
        let Some(id_max) = self.graph.id_max() else { return };
        let narrow = self.classes.iter().filter(|entry| entry.spec.profile.id_max() < id_max.get());
        let classes: Vec<ClassRef> = narrow.map(|entry| entry.class).collect();
        for class in classes {
            self.expel(class, "the graph has an id that this profile cannot carry; ask for v2");
        }
    }

    fn expel(&mut self, class: ClassRef, reason: &'static str) {
        self.command(SimCommand::CloseClass { class });
        for shard in &mut self.lanes.shard_messages {
            let _ = shard.push(ShardMessage::Expel { class, code: CloseCode::Unsupported, reason });
        }
    }
}
