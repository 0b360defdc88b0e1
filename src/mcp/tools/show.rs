//! Nodes and edges as tools show them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::graph::{Attributes, Edge, Graph, NodeIndex, Value};
use crate::mcp::args::{ToolError, choice};
use crate::mcp::view::{Budget, View};

/// Bytes of a text property that are shown.
const TEXT_SHOWN_MAX: usize = 1_024;

/// Bytes of a node's or edge's properties that are shown.
const PROPS_SHOWN_MAX: usize = 8 << 10;

/// Bytes of a label that are shown.
const LABEL_SHOWN_MAX: usize = 512;

/// What of a node is shown: bits, in the order of [`FIELDS`].
#[derive(Clone, Copy, Debug)]
pub struct Fields(u16);

const FIELDS: [(&str, u16); 9] = [
    ("label", 1),
    ("kind", 2),
    ("group", 4),
    ("weight", 8),
    ("degree", 16),
    ("pinned", 32),
    ("colour", 64),
    ("pos", 128),
    ("props", 256),
];

impl Default for Fields {
    fn default() -> Self {
        Self(0x1FF & !(64 | 128))
    }
}

impl Fields {
    /// What was asked for; without it everything but colour and position.
    ///
    /// # Errors
    /// The names there are.
    pub fn read(names: Option<&[std::borrow::Cow<'_, str>]>) -> Result<Self, ToolError> {
        let Some(names) = names else { return Ok(Self::default()) };
        let mut bits = 0;
        for name in names {
            bits |= choice("fields", Some(name), &FIELDS, 0)?;
        }
        Ok(Self(bits))
    }

    /// Label and kind alone, for lists of many.
    #[must_use]
    pub const fn brief() -> Self {
        Self(1 | 2 | 4 | 16)
    }

    const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    const fn without_props(self) -> Self {
        Self(self.0 & !256)
    }
}

/// The beginning of a text, cut between characters.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or("")
}

/// A node.
pub struct ShownNode<'a> {
    view: &'a View<'a>,
    index: NodeIndex,
    fields: Fields,
}

/// Properties, each cut, and together bounded.
struct Props<'a>(&'a Attributes);

impl Serialize for Props<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut left = PROPS_SHOWN_MAX;
        for (key, value) in self.0 {
            let bytes = key.len() + if let Value::Text(text) = value { text.len().min(TEXT_SHOWN_MAX) } else { 8 };
            let Some(rest) = left.checked_sub(bytes) else { break };
            left = rest;
            match value {
                Value::Text(text) => map.serialize_entry(key, cut(text, TEXT_SHOWN_MAX))?,
                other => map.serialize_entry(key, other)?,
            }
        }
        map.end()
    }
}

impl Serialize for ShownNode<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let Some(node) = self.view.graph.node(self.index) else { return map.end() };
        map.serialize_entry("id", &node.key)?;
        map.serialize_entry("node_id", &node.id.get())?;
        let fields = self.fields;
        if fields.has(1) {
            map.serialize_entry("label", cut(&node.label, LABEL_SHOWN_MAX))?;
        }
        if fields.has(2) {
            map.serialize_entry("kind", node.class.kind.name())?;
        }
        if fields.has(4) {
            map.serialize_entry("group", &node.group.as_deref().map(|group| cut(group, LABEL_SHOWN_MAX)))?;
        }
        if fields.has(8) {
            map.serialize_entry("weight", &node.weight)?;
        }
        if fields.has(16) {
            map.serialize_entry("degree", &self.view.graph.incident(self.index).len())?;
        }
        if fields.has(32) {
            map.serialize_entry("pinned", &node.pinned)?;
        }
        if fields.has(64) {
            map.serialize_entry("colour", &node.colour.map(|rgb| format!("#{rgb:06x}")))?;
        }
        if let Some(at) = self.view.position(self.index.get()).filter(|_| fields.has(128)) {
            map.serialize_entry("pos", &at)?;
        }
        if fields.has(256) {
            map.serialize_entry("props", &Props(&node.attributes))?;
        }
        map.end()
    }
}

/// A node.
#[must_use]
pub fn node<'a>(view: &'a View<'a>, index: NodeIndex, fields: Fields) -> ShownNode<'a> {
    ShownNode { view, index, fields }
}

/// An edge.
#[derive(Serialize)]
pub struct ShownEdge<'a> {
    id: u32,
    from: &'a str,
    to: &'a str,
    #[serde(rename = "type")]
    relation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    weight: f32,
    directed: bool,
    #[serde(skip_serializing_if = "no_props")]
    props: Props<'a>,
}

fn no_props(props: &Props<'_>) -> bool {
    props.0.is_empty()
}

/// The key of a node.
#[must_use]
pub fn key(graph: &Graph, index: NodeIndex) -> &str {
    graph.node(index).map_or("", |node| &*node.key)
}

/// An edge.
#[must_use]
pub fn edge<'a>(graph: &'a Graph, edge: &'a Edge) -> ShownEdge<'a> {
    ShownEdge {
        id: edge.id.0,
        from: key(graph, edge.source),
        to: key(graph, edge.target),
        relation: edge.relation.as_deref().map(|relation| cut(relation, LABEL_SHOWN_MAX)),
        label: edge.label().map(|label| cut(label, LABEL_SHOWN_MAX)),
        weight: edge.weight,
        directed: edge.directed,
        props: Props(edge.attributes()),
    }
}

/// Takes a node into a result, without its properties when it would be the only one and does not fit.
pub fn take_node(
    budget: &mut Budget,
    view: &View<'_>,
    index: NodeIndex,
    fields: Fields,
    taken: &mut Vec<Box<RawValue>>,
) -> bool {
    let whole = budget.take(&node(view, index, fields));
    let fits = whole.or_else(|| match taken.is_empty() {
        true => budget.take(&node(view, index, fields.without_props())),
        false => None,
    });
    fits.map(|json| taken.push(json)).is_some()
}
