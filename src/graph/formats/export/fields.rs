//! A node or an edge as names and values, named so that the importers give the same node or edge back.
//!
//! The importers know fields by several names ([`crate::graph::formats`]); a value that is written by the first of
//! them keeps the others free for attributes. Where a field is absent, an attribute that would be taken for it is
//! written behind [`OWN`].

use std::borrow::Cow;
use std::collections::HashSet;

use super::loss::{Losses, Lost};
use crate::graph::formats::properties::{OWN, direction};
use crate::graph::{Attributes, Edge, Node, NodeKind, Value};

/// A value to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Datum<'a> {
    Bool(bool),
    Int(i64),
    /// Finite.
    Float(f64),
    Text(Cow<'a, str>),
}

impl Datum<'_> {
    /// Number of its type, for tables of columns.
    pub(super) const fn kind(&self) -> usize {
        match self {
            Self::Bool(_) => 0,
            Self::Int(_) => 1,
            Self::Float(_) => 2,
            Self::Text(_) => 3,
        }
    }

    /// The value as the importers read it: a float has a point or an exponent.
    pub(super) fn spelled(&self) -> Cow<'_, str> {
        match self {
            Self::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
            Self::Int(whole) => whole.to_string().into(),
            Self::Float(float) => format!("{float:?}").into(),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// A name with its value.
pub(super) type Named<'a> = (Cow<'a, str>, Datum<'a>);

fn text(text: &str) -> Datum<'_> {
    Datum::Text(Cow::Borrowed(text))
}

/// A number of the graph as the shortest decimal that reads back as the same `f32`.
pub(super) fn widen(narrow: f32) -> Datum<'static> {
    let short: Option<f64> = narrow.to_string().parse().ok();
    // Rounding twice, by way of a double, may end at the neighbour.
    Datum::Float(short.filter(|short| *short as f32 == narrow).unwrap_or_else(|| f64::from(narrow)))
}

/// Collects the fields of one record.
struct Record<'a, 'l> {
    list: Vec<Named<'a>>,
    attributes: &'a Attributes,
    losses: &'l mut Losses,
}

impl<'a> Record<'a, '_> {
    fn push(&mut self, name: &'static str, value: Datum<'a>) {
        self.list.push((Cow::Borrowed(name), value));
    }

    /// A field that an importer takes for absent when it is empty; whether there is one.
    fn push_text(&mut self, name: &'static str, value: Option<&'a str>, of: &str) -> bool {
        match value {
            Some("") => {
                self.losses.add(Lost::EmptyTexts, of);
                false
            }
            Some(value) => {
                self.push(name, text(value));
                true
            }
            None => false,
        }
    }

    /// Whether an attribute goes by one of `names`.
    fn has(&self, names: &[&str]) -> bool {
        self.attributes.iter().any(|(name, _)| one_of(name, names))
    }

    /// The attributes; those for which `taken` holds, behind [`OWN`].
    fn push_attributes(&mut self, taken: impl Fn(&str, &Value) -> bool) {
        for (name, value) in self.attributes {
            let shown: Cow<'_, str> = if name.is_empty() || name.starts_with(OWN) || taken(name, value) {
                format!("{OWN}{name}").into()
            } else {
                Cow::Borrowed(name)
            };
            let value = match value {
                Value::Bool(truth) => Datum::Bool(*truth),
                Value::Int(whole) => Datum::Int(*whole),
                Value::Float(float) if !float.is_finite() => {
                    self.losses.add(Lost::Infinite, name);
                    Datum::Text(float.to_string().into())
                }
                Value::Float(float) => Datum::Float(*float),
                Value::Text(words) => text(words),
            };
            self.list.push((shown, value));
        }
    }
}

fn one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The fields and attributes of `node` without its key. `reserved` are names that the format itself uses.
pub(super) fn of_node<'a>(
    node: &'a Node,
    position: Option<[f32; 3]>,
    reserved: &[&str],
    losses: &mut Losses,
) -> Vec<Named<'a>> {
    let list = Vec::with_capacity(node.attributes.len() + 8);
    let mut record = Record { list, attributes: &node.attributes, losses };
    record.push_text("label", Some(&node.label), &node.key);
    let classed = node.class.kind != NodeKind::default() || record.has(&["kind", "type"]);
    if classed {
        record.push("class", text(node.class.kind.name()));
    }
    if node.class.private {
        record.push("private", Datum::Bool(true));
    }
    let grouped = record.push_text("group", node.group.as_deref(), &node.key);
    if node.weight.to_bits() != 1.0_f32.to_bits() || record.has(&["size"]) {
        record.push("weight", widen(node.weight));
    }
    if let Some(colour) = node.colour {
        record.push("color", Datum::Text(format!("#{:06x}", colour & 0xff_ffff).into()));
    }
    let finite = |place: &[f32; 3]| place.iter().all(|part| part.is_finite());
    if let Some(place) = position.filter(finite).or_else(|| node.position.filter(finite)) {
        for (name, part) in ["x", "y", "z"].into_iter().zip(place) {
            record.push(name, widen(part));
        }
    }
    if node.pinned {
        record.push("pinned", Datum::Bool(true));
    }
    const FIELDS: [&str; 10] = ["label", "private", "group", "weight", "colour", "color", "x", "y", "z", "pinned"];
    let unlabelled = node.label.is_empty();
    let is_kind =
        |value: &Value| matches!(value, Value::Text(word) if NodeKind::from_name(&word.to_lowercase()).is_some());
    record.push_attributes(|name, value| {
        one_of(name, &FIELDS)
            || (one_of(name, &["class"]) && (classed || is_kind(value)))
            || one_of(name, reserved)
            || (!grouped && one_of(name, &["community", "modularity_class", "layer"]))
            || (unlabelled && one_of(name, &["name", "title"]))
    });
    record.list
}

/// The fields and attributes of `edge` without its ends. `directed` is what the file says of all edges: one that
/// agrees does not say it again; `None` where the format writes an edge's direction itself.
pub(super) fn of_edge<'a>(
    edge: &'a Edge,
    directed: Option<bool>,
    reserved: &[&str],
    losses: &mut Losses,
) -> Vec<Named<'a>> {
    let list = Vec::with_capacity(edge.attributes().len() + 4);
    let mut record = Record { list, attributes: edge.attributes(), losses };
    if edge.weight.to_bits() != 1.0_f32.to_bits() || record.has(&["value"]) {
        record.push("weight", widen(edge.weight));
    }
    if directed.is_some_and(|directed| directed != edge.directed) {
        record.push("directed", Datum::Bool(edge.directed));
    }
    let related = record.push_text("relation", edge.relation.as_deref(), "relation");
    let labelled = record.push_text("label", edge.label(), "label");
    record.push_attributes(|name, value| {
        one_of(name, &["weight", "directed", "relation", "label"])
            || one_of(name, reserved)
            || (!related && one_of(name, &["relationship", "predicate", "type", "kind"]))
            || (!labelled && one_of(name, &["name", "title"]))
            || (one_of(name, &["type"]) && matches!(value, Value::Text(words) if direction(words).is_some()))
    });
    record.list
}

/// Whether a file should say of its edges that they are directed: when one is.
pub(super) fn mostly_directed(edges: &[Edge]) -> bool {
    edges.iter().any(|edge| edge.directed)
}

/// Whether two edges join the same nodes, which some readers must be told. With `directed`, the way back is another.
pub(super) fn has_parallels(edges: &[Edge], directed: bool) -> bool {
    let mut seen = HashSet::with_capacity(edges.len());
    edges.iter().any(|edge| {
        let ends = (edge.source, edge.target);
        !seen.insert(if directed { ends } else { (ends.0.min(ends.1), ends.0.max(ends.1)) })
    })
}
