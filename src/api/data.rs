//! `GET /api/graph/data`: the graph with positions, and the place in the stream that they come from.

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::graph::{Attributes, Edge, Graph, Node, NodeIndex, Value};
use crate::handoff::Frame;

/// The whole graph as JSON, without its opening: what [`graph_data_lead`] precedes. Positions are those of `frame`,
/// null without one. O(nodes + edges), so it is rendered once for all who ask about the same time.
#[must_use]
pub fn graph_data(graph: &Graph, name: &str, (version, epoch): (u64, u32), frame: Option<&Frame>) -> Vec<u8> {
    let frame = frame.filter(|frame| frame.stamp().epoch == epoch);
    let data = Data {
        version,
        epoch,
        tick: frame.map(|frame| frame.stamp().tick),
        name,
        node_count: graph.nodes().len(),
        edge_count: graph.edges().len(),
        nodes: Nodes { graph, frame },
        edges: Edges { graph },
    };
    let mut out = Vec::with_capacity(256 * (1 + graph.nodes().len()) + 64 * graph.edges().len());
    let written = serde_json::to_writer(&mut out, &data);
    debug_assert!(written.is_ok(), "string keys, finite or null numbers, and a Vec takes every write");
    // The lead has the opening brace.
    out.drain(..out.len().min(1));
    out
}

/// The opening of the answer to one client: the sequence that its class had reached in the frame of the positions, 0
/// when it had had none, null when the client names no class.
#[must_use]
pub fn graph_data_lead(sequence: Option<u64>) -> String {
    match sequence {
        Some(sequence) => format!("{{\"sequence\":{sequence},"),
        None => "{\"sequence\":null,".to_owned(),
    }
}

/// Class serials and the frames they had had when `frame` was published.
#[must_use]
pub fn sequences(frame: &Frame) -> Vec<(u16, u64)> {
    let slots = 0..crate::limits::CLASSES_MAX as u8;
    slots.filter_map(|slot| frame.class_state(slot)).map(|head| (head.class().serial, head.sequence())).collect()
}

#[derive(Serialize)]
struct Data<'graph> {
    version: u64,
    epoch: u32,
    tick: Option<u64>,
    name: &'graph str,
    node_count: usize,
    edge_count: usize,
    nodes: Nodes<'graph>,
    edges: Edges<'graph>,
}

struct Nodes<'graph> {
    graph: &'graph Graph,
    frame: Option<&'graph Frame>,
}

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.graph.nodes().len()))?;
        let records = self.frame.map_or(&[][..], Frame::nodes);
        for (index, node) in self.graph.nodes().iter().enumerate() {
            let position = records.get(index).map(|record| record.position());
            seq.serialize_element(&NodeRow::new(node, position))?;
        }
        seq.end()
    }
}

/// A node as every answer shows it.
#[derive(Serialize)]
pub(super) struct NodeRow<'graph> {
    id: u32,
    key: &'graph str,
    label: &'graph str,
    class: &'static str,
    private: bool,
    group: Option<&'graph str>,
    weight: f32,
    colour: Option<Colour>,
    pinned: bool,
    x: Option<f32>,
    y: Option<f32>,
    z: Option<f32>,
    #[serde(skip_serializing_if = "AttributeMap::is_empty")]
    attributes: AttributeMap<'graph>,
}

impl<'graph> NodeRow<'graph> {
    pub(super) fn new(node: &'graph Node, position: Option<[f32; 3]>) -> Self {
        let axis = |axis: usize| position.and_then(|xyz| xyz.get(axis).copied());
        Self {
            id: node.id.get(),
            key: &node.key,
            label: &node.label,
            class: node.class.kind.name(),
            private: node.class.private,
            group: node.group.as_deref(),
            weight: node.weight,
            colour: node.colour.map(Colour),
            pinned: node.pinned,
            x: axis(0),
            y: axis(1),
            z: axis(2),
            attributes: AttributeMap(&node.attributes),
        }
    }
}

/// `0xRRGGBB`, written `#rrggbb`.
struct Colour(u32);

impl Serialize for Colour {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("#{:06x}", self.0 & 0x00FF_FFFF))
    }
}

struct Edges<'graph> {
    graph: &'graph Graph,
}

impl Serialize for Edges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let id = |index: NodeIndex| self.graph.node(index).map(|node| node.id.get());
        let rows = self.graph.edges().iter().map(|edge| EdgeRow::new(edge, id(edge.source), id(edge.target)));
        serializer.collect_seq(rows)
    }
}

/// An edge as every answer shows it.
#[derive(Serialize)]
pub(super) struct EdgeRow<'graph> {
    id: u32,
    source: Option<u32>,
    target: Option<u32>,
    weight: f32,
    directed: bool,
    relation: Option<&'graph str>,
    label: Option<&'graph str>,
    #[serde(skip_serializing_if = "AttributeMap::is_empty")]
    attributes: AttributeMap<'graph>,
}

impl<'graph> EdgeRow<'graph> {
    pub(super) fn new(edge: &'graph Edge, source: Option<u32>, target: Option<u32>) -> Self {
        Self {
            id: edge.id.0,
            source,
            target,
            weight: edge.weight,
            directed: edge.directed,
            relation: edge.relation.as_deref(),
            label: edge.label(),
            attributes: AttributeMap(edge.attributes()),
        }
    }
}

struct AttributeMap<'graph>(&'graph Attributes);

impl AttributeMap<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for AttributeMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, AttributeValue(value))))
    }
}

struct AttributeValue<'graph>(&'graph Value);

impl Serialize for AttributeValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(value) => serializer.serialize_str(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;
    use crate::handoff::{ClassRef, FramePool, Stamp};
    use crate::wire::Profile;

    fn graph() -> Graph {
        let mut builder = GraphBuilder::new(10, 10);
        let (a, b) = (builder.node("300").unwrap(), builder.node("7").unwrap());
        builder.node_mut(a).unwrap().colour = Some(0x00FF_0080);
        builder.node_mut(a).unwrap().attributes.push(("size".into(), Value::Int(4)));
        builder.edge(a, b, 2.0, true).unwrap().relation = Some("needs".into());
        builder.finish()
    }

    #[test]
    fn rows_carry_ids_positions_and_the_sequence_of_the_frame() {
        let graph = graph();
        let class = ClassRef { slot: 1, serial: 12 };
        let frame = FramePool::new(1).publish(|frame| {
            frame.begin(Stamp { epoch: 5, tick: 90, ..Stamp::default() }, &[300, 7]);
            frame.nodes_mut()[1].set_motion([1.5, 0.0, -2.0], [0.0; 3]);
            frame.encode(class, Profile::Own, 41);
        });
        let frame = frame.as_deref().unwrap();
        assert_eq!(sequences(frame), [(12, 41)]);
        let whole = |epoch| {
            let mut text = graph_data_lead(Some(41)).into_bytes();
            text.extend(graph_data(&graph, "g", (3, epoch), Some(frame)));
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()
        };
        let json = whole(5);
        assert_eq!((&json["epoch"], &json["tick"], &json["sequence"]), (&5.into(), &90.into(), &41.into()));
        assert_eq!(json["version"], 3);
        assert_eq!(json["nodes"][0]["id"], 300);
        assert_eq!(json["nodes"][0]["colour"], "#ff0080");
        assert_eq!(json["nodes"][0]["attributes"]["size"], 4);
        assert_eq!(json["nodes"][1]["z"], -2.0);
        assert_eq!(json["edges"][0]["source"], 300);
        assert_eq!(json["edges"][0]["relation"], "needs");
        let other = whole(6);
        assert!(other["tick"].is_null() && other["nodes"][1]["x"].is_null(), "a frame of another epoch says nothing");
    }
}
