//! What a format cannot hold of a graph, counted and with the first case named.

use std::fmt;

use crate::graph::formats::Found;

/// A kind of thing that a written file does not have, or has in another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lost {
    /// Characters that the format has no way to write; each is a `?` in the file.
    Characters,
    /// Keys that the format cannot hold; the file has others, still unique.
    Keys,
    /// Empty labels, groups, relations or values, which read back as absent.
    EmptyTexts,
    /// Values of a type that the format does not have; they read back as another type.
    Types,
    /// Numbers that are not finite.
    Infinite,
    /// Nodes without an edge.
    Nodes,
    /// Fields and attributes of nodes.
    NodeData,
    /// Fields and attributes of edges.
    EdgeData,
    /// Edges: the table holds nodes only.
    Edges,
    /// Node ids that an import deals anew.
    NodeIds,
    /// Edge ids that an import deals anew.
    EdgeIds,
}

impl Lost {
    const fn words(self) -> &'static str {
        match self {
            Self::Characters => "texts have characters that the format cannot hold, each written as `?`",
            Self::Keys => "keys of nodes cannot be held and were replaced by others",
            Self::EmptyTexts => "empty texts read back as absent",
            Self::Types => "values are of a type that the format does not have and read back as another",
            Self::Infinite => "numbers are not finite and were written as text",
            Self::Nodes => "nodes without an edge are not in the file",
            Self::NodeData => "fields and attributes of nodes are not in the file",
            Self::EdgeData => "fields and attributes of edges are not in the file",
            Self::Edges => "edges are not in the file",
            Self::NodeIds => "node ids are not in the file; an import deals others",
            Self::EdgeIds => "edge ids are not in the file; an import deals others",
        }
    }
}

/// One thing that was lost, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// What.
    pub lost: Lost,
    /// How often; at least 1.
    pub count: u64,
    /// The first: a key, a name or a text.
    pub first: Found,
}

impl fmt::Display for Loss {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}, the first {}", self.count, self.lost.words(), self.first)
    }
}

/// All that an export could not hold, in the order in which it was met. Empty: an import gives the same graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    list: Vec<Loss>,
}

impl Losses {
    /// One entry for each kind.
    #[must_use]
    pub fn list(&self) -> &[Loss] {
        &self.list
    }

    /// Whether the file holds all of the graph.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How often `lost` was met.
    #[must_use]
    pub fn count(&self, lost: Lost) -> u64 {
        self.list.iter().find(|loss| loss.lost == lost).map_or(0, |loss| loss.count)
    }

    pub(super) fn add(&mut self, lost: Lost, first: &str) {
        match self.list.iter_mut().find(|loss| loss.lost == lost) {
            Some(loss) => loss.count += 1,
            None => self.list.push(Loss { lost, count: 1, first: Found::new(first) }),
        }
    }
}
