//! Who hears of which resource: one notice at most waits for each, the newest stands for all before, and nothing is queued.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::rpc::text;
use super::uri::{Uri, parse};
use crate::graph::{Change, Graph, NodeId};
use crate::limits::{MCP_NOTICE_INTERVAL_NS, MCP_SUBSCRIPTION_URIS_MAX, MCP_SUBSCRIPTIONS_MAX, MCP_URI_BYTES_MAX};

/// What has changed since the last time.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Nodes or edges came, went or changed: the overview, the schema, the list of changes.
    pub structure: bool,
    /// Agents came, went or reported.
    pub agents: bool,
    /// Nodes moved.
    pub layout: bool,
    /// The engine's figures.
    pub stats: bool,
    /// Keys of nodes that changed or ended, or whose edges did, agents' among them.
    pub nodes: HashSet<Box<str>>,
    /// Agents that reported events.
    pub heard: HashSet<Box<str>>,
}

impl Touched {
    /// Notes what becomes of nodes: a change of their own, an edge that comes, changes or goes at one of its ends, their end, and another
    /// key, under the one before as well. `before` has not had the changes yet. O(changes).
    pub fn take(&mut self, changes: &[Change], before: &Graph) {
        let key_of = |id: NodeId| before.index_of(id).and_then(|index| before.node(index)).map(|node| node.key.clone());
        for change in changes {
            match change {
                Change::PutNode(node) => {
                    self.nodes.extend(key_of(node.id).filter(|key| *key != node.key));
                    self.nodes.insert(node.key.clone());
                }
                Change::RemoveNode(id) => self.nodes.extend(key_of(*id)),
                // An end that is new is among the nodes that are put.
                Change::PutEdge(edge) => self.nodes.extend([edge.source, edge.target].into_iter().filter_map(key_of)),
                Change::RemoveEdge(id) => {
                    let ends = before.edge_row(*id).into_iter().flat_map(|edge| [edge.source, edge.target]);
                    self.nodes.extend(ends.filter_map(key_of));
                }
            }
        }
    }
}

/// What a subscription is of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Topic {
    Structure,
    Agents,
    Layout,
    Stats,
    Node(Box<str>),
    Agent(Box<str>),
    Events(Box<str>),
}

impl Topic {
    /// `fixed` are resources that are always there.
    fn of(uri: &str, fixed: &[Box<str>]) -> Option<Self> {
        let Some(parsed) = parse(uri) else {
            return fixed.iter().any(|known| **known == *uri).then(|| Self::Node(uri.into()));
        };
        Some(match parsed {
            Uri::Overview | Uri::Schema | Uri::Changes => Self::Structure,
            // There where its set is switched on.
            Uri::Memory if fixed.iter().any(|known| **known == *uri) => Self::Structure,
            Uri::Memory => return None,
            Uri::Agents => Self::Agents,
            Uri::Layout => Self::Layout,
            Uri::Stats => Self::Stats,
            Uri::Node { key } | Uri::Task { key } => Self::Node(key.into()),
            Uri::Agent { key } => Self::Agent(key.into()),
            Uri::AgentEvents { key } => Self::Events(key.into()),
            Uri::App
            | Uri::Help { .. }
            | Uri::Neighbours { .. }
            | Uri::Edge { .. }
            | Uri::View { .. }
            | Uri::Snapshot { .. }
            | Uri::Export { .. } => return None,
        })
    }

    fn is_in(&self, touched: &Touched) -> bool {
        match self {
            Self::Structure => touched.structure,
            Self::Agents => touched.agents,
            Self::Layout => touched.layout,
            Self::Stats => touched.stats,
            Self::Node(key) => touched.nodes.contains(key),
            // Figures that it reports are in no node.
            Self::Agent(key) => touched.nodes.contains(key) || touched.heard.contains(key),
            Self::Events(key) => touched.heard.contains(key),
        }
    }
}

/// One resource of one subscription.
#[derive(Debug)]
struct Watched {
    uri: Box<str>,
    topic: Topic,
    /// The listen it belongs to; `None` for `resources/subscribe`.
    listen: Option<u64>,
    waits: bool,
    sent_ns: Option<u64>,
}

/// A `subscriptions/listen` that goes on.
#[derive(Debug)]
struct Listen {
    serial: u64,
    id: Box<RawValue>,
}

/// The subscriptions of one connection.
#[derive(Debug, Default)]
pub struct Subscriptions {
    listens: Vec<Listen>,
    watched: Vec<Watched>,
    serial: u64,
}

/// Why a resource cannot be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWatched {
    /// There is no such resource, or it never changes.
    Unknown,
    /// The connection has as many subscriptions as it may.
    Full,
}

impl Subscriptions {
    /// Whether a request of this id is a listen that goes on.
    #[must_use]
    pub fn listens_as(&self, id: &RawValue) -> bool {
        self.listens.iter().any(|listen| listen.id.get() == id.get())
    }

    /// Whether a listen goes on.
    #[must_use]
    pub fn listens(&self) -> bool {
        !self.listens.is_empty()
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// `resources/subscribe`. Twice is once.
    ///
    /// # Errors
    /// [`NotWatched`].
    pub fn subscribe(&mut self, uri: &str, fixed: &[Box<str>]) -> Result<(), NotWatched> {
        let topic = Topic::of(uri, fixed).filter(|_| uri.len() <= MCP_URI_BYTES_MAX).ok_or(NotWatched::Unknown)?;
        let mut own = self.watched.iter().filter(|watched| watched.listen.is_none());
        if own.clone().any(|watched| &*watched.uri == uri) {
            return Ok(());
        }
        if own.by_ref().count() >= MCP_SUBSCRIPTION_URIS_MAX {
            return Err(NotWatched::Full);
        }
        self.watched.push(Watched { uri: uri.into(), topic, listen: None, waits: false, sent_ns: None });
        Ok(())
    }

    /// `resources/unsubscribe`.
    pub fn unsubscribe(&mut self, uri: &str) {
        self.watched.retain(|watched| watched.listen.is_some() || &*watched.uri != uri);
    }

    /// `subscriptions/listen`: what of `uris` will be heard of. `None` when there are too many listens: nothing is kept then.
    pub fn listen(&mut self, id: &RawValue, uris: &[&str], fixed: &[Box<str>]) -> Option<Vec<Box<str>>> {
        if self.listens.len() >= MCP_SUBSCRIPTIONS_MAX {
            return None;
        }
        self.serial += 1;
        let serial = self.serial;
        self.listens.push(Listen { serial, id: id.to_owned() });
        let mut honoured: Vec<Box<str>> = Vec::new();
        for uri in uris {
            let Some(topic) = Topic::of(uri, fixed).filter(|_| uri.len() <= MCP_URI_BYTES_MAX) else { continue };
            if honoured.len() < MCP_SUBSCRIPTION_URIS_MAX && !honoured.iter().any(|known| **known == **uri) {
                honoured.push((*uri).into());
                let watched = Watched { uri: (*uri).into(), topic, listen: Some(serial), waits: false, sent_ns: None };
                self.watched.push(watched);
            }
        }
        Some(honoured)
    }

    /// Ends the listen of this id; false when there is none.
    pub fn cancel(&mut self, id: &RawValue) -> bool {
        let Some(at) = self.listens.iter().position(|listen| listen.id.get() == id.get()) else { return false };
        let serial = self.listens.swap_remove(at).serial;
        self.watched.retain(|watched| watched.listen != Some(serial));
        true
    }

    /// Ends every listen; their ids are to be answered.
    pub fn end_listens(&mut self) -> Vec<Box<RawValue>> {
        self.watched.retain(|watched| watched.listen.is_none());
        self.listens.drain(..).map(|listen| listen.id).collect()
    }

    /// Notes what has changed.
    pub fn touch(&mut self, touched: &Touched) {
        for watched in &mut self.watched {
            watched.waits |= watched.topic.is_in(touched);
        }
    }

    /// Whether a notice waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.watched.iter().any(|watched| watched.waits)
    }

    /// Writes the notices that are due: at most one for each resource in [`MCP_NOTICE_INTERVAL_NS`]. A caller whose connection
    /// is full does not call; what waits then is still one notice.
    pub fn flush(&mut self, now_ns: u64, out: &mut Vec<u8>) -> usize {
        let due = |sent_ns: Option<u64>| sent_ns.is_none_or(|sent_ns| now_ns >= sent_ns + MCP_NOTICE_INTERVAL_NS);
        let mut sent = 0;
        for watched in self.watched.iter_mut().filter(|watched| watched.waits && due(watched.sent_ns)) {
            watched.waits = false;
            watched.sent_ns = Some(now_ns);
            sent += 1;
            out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"#);
            let listen = self.listens.iter().find(|listen| Some(listen.serial) == watched.listen);
            if let Some(listen) = listen {
                out.extend_from_slice(br#""_meta":{"io.modelcontextprotocol/subscriptionId":"#);
                out.extend_from_slice(listen.id.get().as_bytes());
                out.extend_from_slice(b"},");
            }
            out.extend_from_slice(br#""uri":"#);
            text(&watched.uri, out);
            out.extend_from_slice(b"}}\n");
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn flushed(subscriptions: &mut Subscriptions, now_ns: u64) -> String {
        let mut out = Vec::new();
        subscriptions.flush(now_ns, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_thousand_changes_are_one_notice_and_the_last_is_not_lost() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.subscribe("graph://overview", &[]).unwrap();
        let touched = Touched { structure: true, ..Touched::default() };
        let mut notices = 0;
        for millisecond in 0..1_000u64 {
            subscriptions.touch(&touched);
            notices += flushed(&mut subscriptions, millisecond * 1_000_000).lines().count();
        }
        assert_eq!(notices, 10);
        assert!(subscriptions.waits(), "the changes after the last notice");
        assert_eq!(flushed(&mut subscriptions, 1_000_000_000).lines().count(), 1);
        assert_eq!(flushed(&mut subscriptions, 9_000_000_000), "", "nothing has changed since");
    }

    #[test]
    fn a_notice_names_the_listen_it_belongs_to_and_only_what_it_asked_for() {
        let mut subscriptions = Subscriptions::default();
        let honoured =
            subscriptions.listen(&id("\"l1\""), &["graph://node/a%20b", "graph://help/tools", "file:///x"], &[]);
        assert_eq!(honoured, Some(vec!["graph://node/a%20b".into()]));
        subscriptions.subscribe("graph://agents", &[]).unwrap();
        let nodes = HashSet::from(["a b".into(), "other".into()]);
        subscriptions.touch(&Touched { nodes, ..Touched::default() });
        let out = flushed(&mut subscriptions, 0);
        assert_eq!(out.lines().count(), 1);
        assert!(out.contains(r#""io.modelcontextprotocol/subscriptionId":"l1""#) && out.contains("a%20b"), "{out}");
        assert!(subscriptions.cancel(&id("\"l1\"")) && !subscriptions.cancel(&id("\"l1\"")));
    }

    #[test]
    fn there_are_only_so_many() {
        let mut subscriptions = Subscriptions::default();
        let uris: Vec<String> = (0..150).map(|node| format!("graph://node/{node}")).collect();
        let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
        for listen in 0..MCP_SUBSCRIPTIONS_MAX {
            assert_eq!(subscriptions.listen(&id(&listen.to_string()), &uris, &[]).unwrap().len(), 100);
        }
        assert_eq!(subscriptions.listen(&id("\"more\""), &uris, &[]), None);
        for uri in &uris[..100] {
            subscriptions.subscribe(uri, &[]).unwrap();
        }
        assert_eq!(subscriptions.subscribe("graph://agents", &[]), Err(NotWatched::Full));
        assert_eq!(subscriptions.subscribe("graph://help/tools", &[]), Err(NotWatched::Unknown));
    }
}
