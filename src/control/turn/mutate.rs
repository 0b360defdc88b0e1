//! Changing the graph: a batch is worked out, made durable, made true, told, taken by the simulation, and then answered.
//!
//! Batches wait in three places, in order: on their way to the disk, for their turn to be told, and for `sim` to have taken them. Several that
//! wait together become one structure. A structure costs `control` and `sim` time that grows with the graph, and telling it costs
//! the shards time that grows with the audience, so the next one waits for the answer to the one before, and then for a while that
//! keeps nine tenths of the time for everything else, or half of it when nobody watches.

mod answer;
mod history;
mod keep;
mod retry;
mod room;
mod structure;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use self::answer::{agreed_of, answer};
use self::history::{Deeds, History};
use self::keep::Keeping;
pub use self::keep::StoreDesk;
use self::retry::Retries;
pub(super) use self::retry::RetryKey;
use self::room::Admission;
pub use self::room::Room;
pub(super) use self::structure::Missed;
use self::structure::Sent;
use super::{Control, HELD_BACK_MAX, JSON, Past};
use crate::api::graph as pages;
use crate::api::steer::RestError;
use crate::base::Handle;
use crate::base::clock::{thread_cpu_ns, unix_ms};
use crate::graph::{
    Author, Batch, Change, EdgeId, Graph, GraphLimits, IdIndex, NodeId, NodeIndex, NodePatch, NodeRef, Op, OpError,
    Outcome, Pending, Staged,
};
use crate::handoff::{DoorReply, Origin, RestCall};
use crate::mcp::{CallKey, Refusal};
use crate::wire::ServerMessage;

/// A structure is begun again, and streams are told again, after so many times what that took the last time.
const REST: u64 = 9;

/// What telling one stream costs its shard, ns: a write to a socket.
const TELL_NS: u64 = 8_000;

/// Changes are told after so long at the latest, however many streams there are, ns.
const TELL_REST_NS_MAX: u64 = 250_000_000;

/// Everything that has to do with changes.
pub(super) struct Mutations {
    limits: GraphLimits,
    admission: Admission,
    /// Worked out, not true yet.
    pending: Pending,
    /// Batches that are true.
    version: u64,
    /// Batches that were worked out.
    staged: u64,
    /// At least the epoch that the last of them leads to.
    staged_epoch: u32,
    /// On their way to the disk, oldest first.
    unsafe_yet: VecDeque<Waiting>,
    /// Durable, and neither true nor told yet.
    untold: Vec<Waiting>,
    /// One of them alters what the simulation knows.
    structural: bool,
    /// Nodes next to what they changed.
    touched: HashSet<NodeId>,
    /// Nodes that are to stand elsewhere, or to be pinned or free, than they were. The last word counts.
    moved: BTreeMap<NodeId, Moved>,
    /// Nodes that had no edge and have one now: they look for a place among their neighbours, as new ones do.
    adrift: HashSet<NodeId>,
    /// Told, and not taken by `sim` yet.
    untaken: Vec<Waiting>,
    /// The structure that `sim` has been sent and has not answered.
    sent: Option<Sent>,
    /// It could not take the last one, and gets another though nothing has changed.
    behind: bool,
    /// What it was told of single nodes with that structure and since, in case that it does not take it.
    unsure: BTreeMap<NodeId, Moved>,
    /// The next structure waits until then.
    due_ns: u64,
    /// Streams are told nothing until then.
    tell_due_ns: u64,
    /// Indices that `sim` knows nodes by.
    known: IdIndex,
    retries: Retries,
    history: History,
    keeping: Keeping,
    /// Ids in ascending order, of an epoch.
    order: Option<(u32, Arc<[NodeId]>)>,
}

/// A batch and who waits for it.
struct Waiting {
    version: u64,
    changes: Arc<[Change]>,
    /// Nodes that an update puts somewhere, be it where an earlier one put them: they may have moved since.
    placed: Vec<(NodeId, [f32; 3])>,
    author: Author,
    at_unix_ms: u64,
    /// The key that makes a retry safe.
    key: Option<RetryKey>,
    answer: Bytes,
    /// Settings that it saves, by path; `None` is the configured value again.
    settings: Vec<(Box<str>, Option<Value>)>,
    reply: Reply,
    /// It has a place among the pending ones.
    staged: bool,
}

/// What of a node `sim` is told besides the structure.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    /// Where it is put, world units.
    place: Option<[f32; 3]>,
    /// Pinned, or free.
    pinned: Option<bool>,
}

impl Moved {
    /// What is said later counts.
    fn follow(&mut self, later: Self) {
        (self.place, self.pinned) = (later.place.or(self.place), later.pinned.or(self.pinned));
    }
}

/// Who is told that a batch is done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// A request, with this status.
    Rest { token: Handle, status: u16 },
    /// A client that pinned a node, or freed it.
    Pin { origin: Origin, node: u32, pinned: bool },
    /// A client that ended a drag with a pin, which `sim` has already: only if it fails.
    Drag { origin: Origin, node: NodeId },
    /// An agent's call.
    Mcp { conn: Handle, key: CallKey },
    /// The source that the graph follows.
    Source,
    /// Nobody.
    Nobody,
}

/// What an answer says of a batch.
#[derive(Debug)]
pub(super) enum Answering {
    /// Every operation's outcome.
    Rows,
    /// The same, and these fields besides.
    RowsAnd(Value),
    /// How many there were of each kind, besides these fields.
    Counts(Value),
}

/// Why nothing of a batch is done.
#[derive(Debug)]
pub(super) enum Refused {
    /// An operation cannot be done.
    Op(OpError),
    /// The graph is at another version than was asked for.
    Version { at: u64 },
    /// Every operation by itself cannot be done.
    All(Vec<Refusal>),
    /// Anything else.
    Other(RestError),
}

/// What came of an agent's batch.
#[derive(Debug)]
pub(super) struct Agreed {
    /// The version that it makes.
    pub(super) version: u64,
    /// One for each operation that is done.
    pub(super) outcomes: Vec<Outcome>,
    /// The others.
    pub(super) refused: Vec<Refusal>,
    /// Of a retry: what was answered the first time.
    pub(super) first: Option<Value>,
}

impl From<Refused> for RestError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Op(error) => of_op(&error),
            Refused::Version { at } => Self::at(409, "version", "if_version", format!("the graph is at version {at}")),
            Refused::All(refused) => {
                let first = refused.into_iter().next().map(|refusal| refusal.message).unwrap_or_default();
                Self::new(422, "refused", format!("no operation can be done; the first: {first}"))
            }
            Refused::Other(error) => error,
        }
    }
}

impl Mutations {
    pub(super) fn new(limits: GraphLimits, room: Room, graph: &Graph, past: Past) -> Self {
        let version = past.version;
        let mut mutations = Self {
            limits,
            admission: Admission::new(room, (graph.nodes().len(), graph.edges().len())),
            pending: Pending::default(),
            version,
            staged: version,
            staged_epoch: past.epoch,
            unsafe_yet: VecDeque::new(),
            untold: Vec::new(),
            structural: false,
            touched: HashSet::new(),
            moved: BTreeMap::new(),
            adrift: HashSet::new(),
            untaken: Vec::new(),
            sent: None,
            behind: false,
            unsure: BTreeMap::new(),
            due_ns: 0,
            tell_due_ns: 0,
            known: graph.ids(),
            retries: Retries::default(),
            history: History::new(version),
            keeping: Keeping::default(),
            order: None,
        };
        for (key, kept) in past.answers {
            let (retry, answer) = RetryKey::of_kept(key, &kept);
            mutations.retries.remember(retry, answer);
        }
        mutations
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// What the graph may grow to from now on.
    pub(super) fn set_limits(&mut self, limits: GraphLimits) {
        self.limits = limits;
    }

    /// Whether something will be due before a lane rings.
    pub(super) fn is_busy(&self) -> bool {
        !self.untold.is_empty() || self.sent.is_some() || self.behind
    }

    /// Whether a batch with this key is done, or on its way.
    pub(super) fn knows(&self, retry: &RetryKey) -> bool {
        self.under_way(retry).is_some() || self.retries.knows(retry)
    }

    /// The batch with this key that is on its way to the disk.
    fn under_way(&self, retry: &RetryKey) -> Option<&RetryKey> {
        self.unsafe_yet.iter().filter_map(|waiting| waiting.key.as_ref()).find(|before| before.key == retry.key)
    }

    fn in_flight(&self) -> usize {
        self.unsafe_yet.len() + self.untold.len() + self.untaken.len()
    }
}

impl Control {
    /// Paths of the graph; false when it is another one.
    pub(super) fn graph_by_rest(&mut self, token: Handle, call: &RestCall) -> bool {
        let Some(path) = call.path.strip_prefix("/api/graph/") else { return false };
        if let Err(error) = self.try_graph(token, path, call) {
            self.refuse_rest(token, &error);
        }
        true
    }

    fn try_graph(&mut self, token: Handle, path: &str, call: &RestCall) -> Result<(), RestError> {
        let read = |what: fn(&[u8]) -> Result<Batch, RestError>| what(&call.body);
        let (part, id) = path.split_once('/').map_or((path, None), |(part, id)| (part, Some(id)));
        match (call.method.as_str(), part, id) {
            ("POST", "nodes", None) => self.mutate(&read(pages::read_nodes)?, Reply::Rest { token, status: 201 }),
            ("POST", "edges", None) => self.mutate(&read(pages::read_edges)?, Reply::Rest { token, status: 201 }),
            ("GET" | "HEAD", "data", Some("paginated")) => {
                let page = pages::Numbered::of(&call.query)?;
                let order = self.ascending();
                self.take_latest();
                let state = (self.mutations.version, self.epoch);
                let body = pages::numbered_page(&self.graph, &order, page, state, self.latest.as_deref());
                self.answer_bytes(token, 200, body.into());
                Ok(())
            }
            ("POST", "batch" | "update", None) => {
                self.mutate(&read(pages::read_batch)?, Reply::Rest { token, status: 200 })
            }
            ("GET" | "HEAD", "export", None) => self.export_by_rest(token, &call.query),
            ("POST", "import", None) => self.import_by_rest(token, call),
            ("POST", "refresh", None) => self.refresh_by_rest(token),
            ("GET" | "HEAD", "changes", None) => {
                let body = self.mutations.history.since(&call.query)?;
                self.answer_bytes(token, 200, body);
                Ok(())
            }
            ("GET" | "HEAD", "nodes", None) => {
                let (filter, page) = (pages::NodeFilter::of(&call.query)?, pages::Page::of(&call.query)?);
                let order = self.ascending();
                self.take_latest();
                let state = (self.mutations.version, self.epoch);
                let body = pages::node_page(&self.graph, &order, &filter, page, state, self.latest.as_deref());
                self.answer_bytes(token, 200, body.into());
                Ok(())
            }
            ("GET" | "HEAD", "edges", None) => {
                let (filter, page) = (pages::EdgeFilter::of(&call.query)?, pages::Page::of(&call.query)?);
                let body = pages::edge_page(&self.graph, &filter, page, (self.mutations.version, self.epoch));
                self.answer_bytes(token, 200, body.into());
                Ok(())
            }
            (method, "nodes", Some(id)) => self.one_node(token, method, id, call),
            (method, "edges", Some(id)) => self.one_edge(token, method, id, call),
            _ => Err(RestError::new(404, "not_found", "there is nothing at this path")),
        }
    }

    fn one_node(&mut self, token: Handle, method: &str, name: &str, call: &RestCall) -> Result<(), RestError> {
        let id = name.parse().ok().and_then(NodeId::new).ok_or_else(|| unknown("node", name))?;
        let there = self.graph.index_of(id).map(|_| ()).ok_or_else(|| unknown("node", name));
        let op = match method {
            "PATCH" => pages::read_one_node(NodeRef::Id(id), &call.body)?,
            "DELETE" => Op::RemoveNode { node: NodeRef::Id(id) },
            _ => {
                there?;
                self.take_latest();
                let state = (self.mutations.version, self.epoch);
                let row = pages::one_node(&self.graph, id, state, self.latest.as_deref());
                self.answer_rest(token, 200, &row.unwrap_or_default());
                return Ok(());
            }
        };
        self.change_one(token, &pages::batch_of(op, &call.query)?, there)
    }

    fn one_edge(&mut self, token: Handle, method: &str, name: &str, call: &RestCall) -> Result<(), RestError> {
        let id = name.parse().ok().map(EdgeId).ok_or_else(|| unknown("edge", name))?;
        let there = self.graph.edge(id).map(|_| ()).ok_or_else(|| unknown("edge", name));
        let op = match method {
            "PATCH" => pages::read_one_edge(id, &call.body)?,
            "DELETE" => Op::RemoveEdge { edge: crate::graph::EdgeRef::Id(id) },
            _ => {
                there?;
                let row = pages::one_edge(&self.graph, id, self.mutations.version);
                self.answer_rest(token, 200, &row.unwrap_or_default());
                return Ok(());
            }
        };
        self.change_one(token, &pages::batch_of(op, &call.query)?, there)
    }

    /// Changes or removes one node or edge. A retry is answered before `there` is looked at: what it removed is not there any more.
    fn change_one(&mut self, token: Handle, batch: &Batch, there: Result<(), RestError>) -> Result<(), RestError> {
        let retry = RetryKey::of(batch);
        if !retry.as_ref().is_some_and(|retry| self.mutations.knows(retry)) {
            there?;
        }
        self.mutate_as(batch, retry, Reply::Rest { token, status: 200 }, Answering::Rows)
    }

    /// Ids of all nodes, ascending.
    fn ascending(&mut self) -> Arc<[NodeId]> {
        if let Some((_, order)) = self.mutations.order.as_ref().filter(|(version, _)| *version == self.epoch) {
            return Arc::clone(order);
        }
        let mut ids: Vec<NodeId> = self.graph.nodes().iter().map(|node| node.id).collect();
        ids.sort_unstable();
        let order: Arc<[NodeId]> = ids.into();
        self.mutations.order = Some((self.epoch, Arc::clone(&order)));
        order
    }

    /// Works a batch out and sends it on its way; `reply` is told when it is durable, told to everybody and simulated.
    ///
    /// # Errors
    /// Why nothing of it is done.
    pub(super) fn mutate(&mut self, batch: &Batch, reply: Reply) -> Result<(), RestError> {
        self.mutate_as(batch, RetryKey::of(batch), reply, Answering::Rows)
    }

    /// Gives the answer of before to a retry; false when it is none.
    ///
    /// # Errors
    /// `key_reused`.
    pub(super) fn answer_retry(&mut self, retry: Option<&RetryKey>, reply: Reply) -> Result<bool, RestError> {
        let answer = self.mutations.retries.answer(retry)?;
        if let Some(answer) = &answer {
            self.deliver(reply, answer);
        }
        Ok(answer.is_some())
    }

    /// As [`Self::mutate`], known by `retry` when it comes again, and with another answer. Of what took its time, as a file that was read
    /// first, the same may have been done meanwhile: that is looked up here, and not only when it comes.
    ///
    /// # Errors
    /// Why nothing of it is done.
    pub(super) fn mutate_as(
        &mut self,
        batch: &Batch,
        retry: Option<RetryKey>,
        reply: Reply,
        answering: Answering,
    ) -> Result<(), RestError> {
        if !self.answer_retry(retry.as_ref(), reply)? {
            self.send_batch(batch, retry, reply, answering)?;
        }
        Ok(())
    }

    /// The same for an agent: what it came to.
    ///
    /// # Errors
    /// Why nothing of it is done.
    pub(super) fn mutate_for(&mut self, batch: &Batch, reply: Reply) -> Result<Agreed, Refused> {
        self.mutate_for_as(batch, RetryKey::of(batch), reply, Answering::Rows)
    }

    /// As [`Self::mutate_for`], known by `retry` when it comes again, and with another answer.
    ///
    /// # Errors
    /// Why nothing of it is done.
    pub(super) fn mutate_for_as(
        &mut self,
        batch: &Batch,
        retry: Option<RetryKey>,
        reply: Reply,
        answering: Answering,
    ) -> Result<Agreed, Refused> {
        match self.mutations.retries.answer(retry.as_ref()).map_err(Refused::Other)? {
            Some(answer) => {
                self.deliver(reply, &answer);
                Ok(agreed_of(&answer))
            }
            None => self.send_batch(batch, retry, reply, answering),
        }
    }

    /// What a batch would come to.
    ///
    /// # Errors
    /// The operation that cannot be done.
    pub(super) fn try_out(&mut self, batch: &Batch) -> Result<Staged, OpError> {
        let before = self.mutations.pending.len();
        let staged = self.mutations.stage(&self.graph, batch);
        self.mutations.pending.keep(before);
        staged
    }

    /// Of what is known not to be a retry of something done.
    fn send_batch(
        &mut self,
        batch: &Batch,
        key: Option<RetryKey>,
        reply: Reply,
        answering: Answering,
    ) -> Result<Agreed, Refused> {
        if let Some(refused) = self.refuse_changes() {
            return Err(Refused::Other(refused));
        }
        if let Some(retry) = &key
            && let Some(before) = self.mutations.under_way(retry)
        {
            retry.agrees_with(before).map_err(Refused::Other)?;
            let message = "the batch with this key is being done; ask again for its answer";
            return Err(Refused::Other(RestError::at(409, "in_progress", "idempotency_key", message)));
        }
        if batch.if_version.is_some_and(|wanted| wanted != self.mutations.staged) {
            return Err(Refused::Version { at: self.mutations.staged });
        }
        let before = self.mutations.pending.len();
        let staged = self.mutations.stage(&self.graph, batch).map_err(Refused::Op)?;
        let refused: Vec<Refusal> = staged.refused.iter().map(Refusal::from).collect();
        if staged.outcomes.is_empty() && !refused.is_empty() {
            self.mutations.pending.keep(before);
            return Err(Refused::All(refused));
        }
        self.mutations.staged += 1;
        let version = self.mutations.staged;
        let answer = Bytes::from(answer(version, &staged.outcomes, &refused, answering).to_string());
        // Against batches that the graph does not have yet nobody can tell; too high an epoch does no harm.
        let may_be = before > 0 && !staged.changes.is_empty();
        if may_be || self.graph.is_restructured_by(&staged.changes) {
            self.mutations.staged_epoch = self.mutations.staged_epoch.max(self.epoch).wrapping_add(1).max(1);
        }
        let outcomes = staged.outcomes;
        let waiting = Waiting {
            version,
            changes: staged.changes.into(),
            placed: placed(batch, &outcomes, &refused),
            author: batch.author.clone(),
            at_unix_ms: unix_ms(),
            key,
            answer,
            settings: Vec::new(),
            reply,
            staged: true,
        };
        self.mutations.unsafe_yet.push_back(waiting);
        self.commit(version);
        Ok(Agreed { version, outcomes, refused, first: None })
    }

    /// Every batch up to this version is on the disk.
    fn durable(&mut self, version: u64) {
        while let Some(waiting) = self.mutations.unsafe_yet.pop_front_if(|waiting| waiting.version <= version) {
            self.mutations.structural |= self.graph.is_restructured_by(&waiting.changes);
            if let Some(key) = &waiting.key {
                self.mutations.retries.remember(key.clone(), waiting.answer.clone());
            }
            self.settings_kept(&waiting.settings);
            self.mutations.untold.push(waiting);
        }
    }

    /// What is durable becomes true. The graph, its version and its epoch change together, when it is told: whatever is read in
    /// between is of one moment, and fits the frames.
    fn make_true(&mut self, batches: &[Waiting]) -> bool {
        let mut structural = false;
        for waiting in batches {
            self.note_touched(&waiting.changes);
            for (id, place) in &waiting.placed {
                self.mutations.touched.insert(*id);
                self.mutations.moved.entry(*id).or_default().place = Some(*place);
            }
            if self.lanes.mcp.is_some() {
                self.mcp.note(waiting.version, &waiting.author, &waiting.changes, &self.graph);
            }
            let deeds = Deeds::of(&self.graph, &waiting.changes);
            structural |= Arc::make_mut(&mut self.graph).commit(&waiting.changes).any();
            let mutations = &mut self.mutations;
            if waiting.staged {
                mutations.pending.settle();
            }
            mutations.version = waiting.version;
            mutations.history.push(waiting.version, &waiting.author, waiting.at_unix_ms, deeds, &waiting.changes);
        }
        self.mutations.structural = false;
        structural
    }

    /// Nodes whose surroundings a change alters, as they are before it.
    fn note_touched(&mut self, changes: &[Change]) {
        let Self { graph, mutations, .. } = self;
        for change in changes {
            match change {
                Change::PutEdge(row) => {
                    let ends = [row.source, row.target];
                    let alone = |id: &NodeId| graph.index_of(*id).is_some_and(|index| graph.incident(index).is_empty());
                    mutations.adrift.extend(ends.into_iter().filter(alone));
                    mutations.touched.extend(ends);
                }
                Change::RemoveEdge(id) => {
                    mutations.touched.extend(graph.edge_row(*id).into_iter().flat_map(|row| [row.source, row.target]));
                }
                Change::PutNode(node) => {
                    let before = graph.index_of(node.id).and_then(|index| graph.node(index));
                    let place = node.position.filter(|_| before.is_none_or(|before| before.position != node.position));
                    let pinned = before.is_none_or(|before| before.pinned != node.pinned).then_some(node.pinned);
                    if place.is_some() {
                        mutations.touched.insert(node.id);
                    }
                    if place.is_some() || pinned.is_some() {
                        let moved = mutations.moved.entry(node.id).or_default();
                        (moved.place, moved.pinned) = (place.or(moved.place), pinned.or(moved.pinned));
                    }
                }
                Change::RemoveNode(_) => {}
            }
        }
    }

    /// Tells everybody what has become true, and has `sim` go on with it when it is time. Returns how many batches that were.
    pub(super) fn take_mutations(&mut self, now_ns: u64) -> usize {
        let Mutations { structural, behind, sent, due_ns, tell_due_ns, .. } = &self.mutations;
        let must_wait = now_ns < *tell_due_ns || ((*structural || *behind) && (sent.is_some() || now_ns < *due_ns));
        if (self.mutations.untold.is_empty() && !behind) || must_wait || self.held_back.len() >= HELD_BACK_MAX {
            return 0;
        }
        let began_cpu_ns = thread_cpu_ns();
        let told = std::mem::take(&mut self.mutations.untold);
        let structural = self.make_true(&told);
        let anew = structural || std::mem::take(&mut self.mutations.behind);
        let moved = self.moved(anew);
        if structural {
            self.epoch = self.epoch.wrapping_add(1).max(1);
        }
        self.tell_changes(&told);
        let streams_a_shard = self.sessions.len().div_ceil(self.lanes.shard_messages.len().max(1));
        self.mutations.tell_due_ns = now_ns + (streams_a_shard as u64 * TELL_NS * REST).min(TELL_REST_NS_MAX);
        if anew {
            self.restructure(now_ns, began_cpu_ns);
        }
        for command in moved {
            self.command(command);
        }
        self.outdate_data();
        let count = told.len();
        match anew {
            true => self.mutations.untaken.extend(told),
            false => told.into_iter().for_each(|waiting| self.deliver(waiting.reply, &waiting.answer)),
        }
        count
    }

    fn deliver(&mut self, reply: Reply, answer: &Bytes) {
        match reply {
            Reply::Rest { token, status } => {
                let (lead, body) = (Bytes::new(), answer.clone());
                self.reply(DoorReply::Http { token, status, content_type: JSON, lead, body });
            }
            Reply::Pin { origin, node, pinned } => {
                self.say(origin, &ServerMessage::PinConfirmed { node_id: node, pinned });
            }
            Reply::Mcp { conn, key } => self.mcp_written(conn, key, None),
            Reply::Source => self.source_done(Ok(answer)),
            Reply::Drag { .. } | Reply::Nobody => {}
        }
    }

    fn refuse(&mut self, reply: Reply, error: &RestError) {
        match reply {
            Reply::Rest { token, .. } => self.refuse_rest(token, error),
            Reply::Pin { origin, .. } => self.refuse_origin(origin, error.code, &error.message, &["nodeId"], true),
            Reply::Drag { origin, node } => self.refuse_drag(origin, node, error),
            Reply::Mcp { conn, key } => self.mcp_written(conn, key, Some(error)),
            Reply::Source => self.source_done(Err(error)),
            Reply::Nobody => {}
        }
    }

    /// Fixes a node where it is, or frees it, as a batch like any other.
    pub(super) fn pin_at(
        &mut self,
        index: NodeIndex,
        pinned: bool,
        position: Option<[f32; 3]>,
        reply: Reply,
    ) -> Result<(), RestError> {
        let Some(id) = self.graph.node(index).map(|node| node.id) else { return Ok(()) };
        let patch = NodePatch { pinned: Some(pinned), position: position.map(Some), ..NodePatch::default() };
        let author = match reply {
            Reply::Pin { origin, .. } => Author::from(format!("session {}", origin.session.0)),
            _ => "viewer".into(),
        };
        let ops = vec![Op::UpdateNode { node: NodeRef::Id(id), patch }];
        self.mutate(&Batch { ops, author, ..Batch::default() }, reply)
    }

    /// Batches that are true.
    pub(super) fn version(&self) -> u64 {
        self.mutations.version
    }

    fn answer_bytes(&mut self, token: Handle, status: u16, body: Bytes) {
        self.reply(DoorReply::Http { token, status, content_type: JSON, lead: Bytes::new(), body });
    }
}

/// Where updates put nodes.
fn placed(batch: &Batch, outcomes: &[Outcome], refused: &[Refusal]) -> Vec<(NodeId, [f32; 3])> {
    let place = |(op, outcome): (&Op, &Outcome)| match (op, outcome) {
        (Op::UpdateNode { patch, .. }, Outcome::Node { id, .. }) => patch.position.flatten().map(|place| (*id, place)),
        _ => None,
    };
    let left_out = |place: usize| refused.binary_search_by_key(&place, |refusal| refusal.index).is_ok();
    let done = batch.ops.iter().enumerate().filter(|(op, _)| !left_out(*op)).map(|(_, op)| op);
    done.zip(outcomes).filter_map(place).collect()
}

fn unknown(what: &str, name: &str) -> RestError {
    let shown: String = name.chars().take(64).collect();
    RestError::new(404, "not_found", format!("there is no {what} {}", shown.escape_debug()))
}

fn of_op(error: &OpError) -> RestError {
    let status = match error.reason.code() {
        "key_taken" => 409,
        "graph_full" | "memory_full" => 507,
        "unknown_node" | "unknown_edge" => 422,
        _ => 400,
    };
    let field = format!("ops[{}].{}", error.op, error.reason.field());
    RestError::at(status, error.reason.code(), field, error.to_string())
}
