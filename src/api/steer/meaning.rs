//! What nodes have in common: their class, their group, or the value of an attribute.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::fields::{Fields, RestError};
use crate::graph::{Graph, Node, Value};
use crate::handoff::UNTYPED;

/// By what nodes are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The kind of their class.
    Class,
    /// Their group.
    Group,
    /// The value of this attribute.
    Attribute(Box<str>),
}

impl Meaning {
    /// Reads `class`, `group`, or the name of an attribute.
    pub(super) fn read(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<Self>, RestError> {
        Ok(fields.text(name)?.map(|text| match text {
            "class" => Self::Class,
            "group" => Self::Group,
            other => Self::Attribute(other.into()),
        }))
    }

    /// As it is read.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Class => "class",
            Self::Group => "group",
            Self::Attribute(name) => name,
        }
    }

    /// `[node_count]`: a number for each node, the same for nodes of one meaning, counted from 0 in node order; and how many there are.
    /// Nodes without a value have [`UNTYPED`].
    #[must_use]
    pub fn of(&self, graph: &Graph) -> (Vec<u32>, u32) {
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut text = String::new();
        let of = graph.nodes().iter().map(|node| {
            text.clear();
            self.write(node, &mut text);
            if text.is_empty() {
                return UNTYPED;
            }
            let next = known.len() as u32;
            match known.get(&text) {
                Some(number) => *number,
                None => *known.entry(text.clone()).or_insert(next),
            }
        });
        let of = of.collect();
        (of, known.len() as u32)
    }

    fn write(&self, node: &Node, text: &mut String) {
        let written = match self {
            Self::Class => text.write_str(node.class.kind.name()),
            Self::Group => node.group.as_deref().map_or(Ok(()), |group| write!(text, "={group}")),
            Self::Attribute(name) => match node.attributes.iter().find(|(key, _)| key == name) {
                None => Ok(()),
                Some((_, Value::Bool(value))) => write!(text, "={value}"),
                Some((_, Value::Int(value))) => write!(text, "={value}"),
                Some((_, Value::Float(value))) => write!(text, "={value}"),
                Some((_, Value::Text(value))) => write!(text, "={value}"),
            },
        };
        debug_assert!(written.is_ok(), "a String takes every write");
    }
}
