//! Another structure for `sim`, and everything that is of one structure made anew.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::{Value, json};

use super::history::told;
use super::{Moved, REST, Waiting};
use crate::api::steer::RestError;
use crate::base::clock::{monotonic_ns, thread_cpu_ns};
use crate::control::turn::Control;
use crate::graph::{IdIndex, NodeId, NodeIndex};
use crate::handoff::{ChainWriter, ClassRef, NEW_NODE, Origin, Replaced, ShardMessage, SimCommand, Structure};
use crate::limits::CHANGES_TOLD_BYTES_MAX;
use crate::wire::{CloseCode, NodeRecord};

/// As [`REST`], when there is no stream.
const REST_UNWATCHED: u64 = 1;

/// A structure that the simulation could not take is followed by another after so long, ns.
const REFUSED_NS: u64 = 2_000_000_000;

/// A structure on its way to `sim`, with what has to be said again if it is refused.
pub(super) struct Sent {
    epoch: u32,
    since_ns: u64,
    /// Processor time of making it, ns.
    made_ns: u64,
    /// Indices that `sim` knew nodes by before.
    known: IdIndex,
    touched: HashSet<NodeId>,
    adrift: HashSet<NodeId>,
}

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
        let news = history.news((since, newest));
        let text = told(&rows, (since, newest), &self.counts(), &news, CHANGES_TOLD_BYTES_MAX);
        if bytes > CHANGES_TOLD_BYTES_MAX { Missed::Elsewhere(text) } else { Missed::Told(text) }
    }

    /// How the graph stands, for `graph_changed`.
    fn counts(&self) -> Value {
        json!({
            "epoch": self.epoch,
            "tick": self.metrics.sim.ticks.get(),
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
        let news = self.mutations.history.news(span);
        let text = told(&rows, span, &self.counts(), &news, bytes_max);
        for shard in &mut self.lanes.shard_messages {
            // A shard whose lane is full does not hear of it; its clients see the gap in the versions.
            let _ = shard.push(ShardMessage::Changed { version: last.version, text: text.clone() });
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
        let sent_touched = std::mem::take(&mut self.mutations.touched);
        let sent_adrift = std::mem::take(&mut self.mutations.adrift);
        let mut touched: Vec<NodeIndex> = sent_touched.iter().filter_map(|id| self.graph.index_of(*id)).collect();
        touched.sort_unstable();
        let adrift = sent_adrift.iter().filter_map(|id| self.graph.index_of(*id)).collect();
        let before = self.mutations.known.len();
        let index = self.graph.ids();
        let known = std::mem::replace(&mut self.mutations.known, index.clone());
        let structure = Structure {
            epoch: self.epoch,
            words: nodes.iter().map(|node| node.id.get() | node.class.wire_bits()).collect(),
            index,
            csr: self.graph.csr(),
            from,
            place,
            pinned: nodes.iter().map(|node| node.pinned).collect(),
            touched,
            adrift,
            chains: self.chains(node_count),
            home: vec![[0.0; 3]; node_count].into(),
            records: vec![NodeRecord::default(); before],
            velocity: vec![[0.0; 3]; node_count],
        };
        self.command(SimCommand::Restructure { structure: Box::new(structure) });
        let made_ns = thread_cpu_ns().saturating_sub(began_cpu_ns);
        let (touched, adrift) = (sent_touched, sent_adrift);
        self.mutations.sent = Some(Sent { epoch: self.epoch, since_ns: now_ns, made_ns, known, touched, adrift });
        // What is next to the change is warm already, and the rest may stay cold.
        self.steer_anew(false);
    }

    /// What `sim` is told of nodes that it knew before: another pin, another place. New ones bring theirs with the structure.
    /// `anew` says whether a structure goes before.
    pub(super) fn moved(&mut self, anew: bool) -> Vec<SimCommand> {
        let moved = std::mem::take(&mut self.mutations.moved);
        if anew || self.mutations.sent.is_some() {
            for (id, moved) in &moved {
                self.mutations.unsure.entry(*id).or_default().follow(*moved);
            }
        }
        let mut commands = Vec::new();
        for (id, Moved { place, pinned }) in moved {
            let known = self.mutations.known.get(id).and_then(|_| self.graph.index_of(id));
            let Some(node) = known else { continue };
            commands.extend(place.map(|position| SimCommand::Place { node, position }));
            commands.extend(pinned.map(|pinned| SimCommand::Pin { node, pinned }));
        }
        commands
    }

    /// The graph does not take the pin that a drag ended with: who dragged hears of it, and `sim`, which has pinned the node already, is
    /// told what the graph says of it.
    pub(in crate::control) fn refuse_drag(&mut self, origin: Origin, node: NodeId, error: &RestError) {
        self.refuse_origin(origin, error.code, &error.message, &["nodeId"], error.status == 503);
        let Some(index) = self.graph.index_of(node) else { return };
        let pinned = self.graph.node(index).is_some_and(|node| node.pinned);
        let mutations = &mut self.mutations;
        if mutations.behind {
            // It has other indices, and is told with the structure that it gets next.
            mutations.moved.entry(node).or_default().pinned = Some(pinned);
            return;
        }
        if mutations.sent.is_some() {
            mutations.unsure.entry(node).or_default().pinned = Some(pinned);
        }
        self.command(SimCommand::Pin { node: index, pinned });
    }

    /// `sim` has taken a structure: whoever waits for it is answered.
    pub(in crate::control) fn restructured(&mut self, epoch: u32, replaced: Replaced) {
        let busy_ns = replaced.busy_ns;
        // Freed here, where nothing waits for it.
        drop(replaced);
        let Some(Sent { since_ns, made_ns, .. }) = self.mutations.sent.take_if(|sent| sent.epoch == epoch) else {
            return;
        };
        self.mutations.unsure.clear();
        let now_ns = monotonic_ns();
        let busy_ns = made_ns.max(busy_ns);
        let rest = if self.sessions.is_empty() { REST_UNWATCHED } else { REST };
        self.mutations.due_ns = (since_ns + busy_ns * rest).min(now_ns + 2_000_000_000);
        for waiting in std::mem::take(&mut self.mutations.untaken) {
            self.deliver(waiting.reply, &waiting.answer);
        }
    }

    /// `sim` could not take a structure, neither on a device nor without: it goes on with the one before, and gets the graph as it is
    /// then in a moment. Whoever waits is told.
    pub(in crate::control) fn structure_refused(&mut self, epoch: u32, reason: &str, spent: Replaced) {
        // Freed here, where nothing waits for it.
        drop(spent);
        let mutations = &mut self.mutations;
        let Some(sent) = mutations.sent.take_if(|sent| sent.epoch == epoch) else { return };
        mutations.known = sent.known;
        mutations.touched.extend(sent.touched);
        mutations.adrift.extend(sent.adrift);
        for (id, mut moved) in std::mem::take(&mut mutations.unsure) {
            let newer = mutations.moved.entry(id).or_default();
            moved.follow(*newer);
            *newer = moved;
        }
        mutations.behind = true;
        mutations.due_ns = monotonic_ns() + REFUSED_NS;
        let message = format!(
            "the change is made and kept, but the simulation cannot show it yet: {reason}; it goes on with the graph before, and tries \
             again every {} s",
            REFUSED_NS / 1_000_000_000
        );
        let error = RestError::new(503, "not_simulated", message);
        for waiting in std::mem::take(&mut self.mutations.untaken) {
            self.refuse(waiting.reply, &error);
        }
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

    /// Closes a class for good: its sessions are sent away, and nobody joins it meanwhile.
    fn expel(&mut self, class: ClassRef, reason: &'static str) {
        self.classes.expel(class);
        self.command(SimCommand::CloseClass { class });
        for shard in &mut self.lanes.shard_messages {
            let _ = shard.push(ShardMessage::Expel { class, code: CloseCode::Unsupported, reason });
        }
    }
}
