//! The names that a file gives its nodes: their keys, as far as the format can hold them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::loss::{Losses, Lost};
use crate::graph::{Graph, NodeIndex};
use crate::limits::TEXT_BYTES_MAX;

/// Room for the number that makes a replaced key unique.
const NUMBER_BYTES: usize = 12;

/// A text that the format can hold; borrowed where it is the one that was given.
pub(super) type Clean = fn(&str) -> Cow<'_, str>;

/// Keys by node.
pub(super) struct Keys<'g> {
    graph: &'g Graph,
    replaced: HashMap<u32, Box<str>>,
}

impl<'g> Keys<'g> {
    /// Replaces those that are empty or that `clean` changes.
    pub(super) fn new(graph: &'g Graph, clean: Clean, losses: &mut Losses) -> Self {
        let mut bad: Vec<(u32, Cow<'g, str>)> = Vec::new();
        for (index, node) in (0_u32..).zip(graph.nodes()) {
            let cleaned = clean(&node.key);
            if cleaned.is_empty() || *cleaned != *node.key {
                losses.add(Lost::Keys, &node.key);
                bad.push((index, cleaned));
            }
        }
        let mut replaced = HashMap::new();
        if !bad.is_empty() {
            let mut used: HashSet<Box<str>> = graph.nodes().iter().map(|node| node.key.clone()).collect();
            let mut numbers: HashMap<Box<str>, u32> = HashMap::new();
            for (index, cleaned) in bad {
                let end = cleaned.floor_char_boundary(TEXT_BYTES_MAX - NUMBER_BYTES);
                let base = cleaned.get(..end).filter(|base| !base.is_empty()).unwrap_or("node");
                let number = numbers.entry(base.into()).or_insert(1);
                let mut key: Box<str> = base.into();
                while !used.insert(key.clone()) {
                    *number += 1;
                    key = format!("{base}-{number}").into();
                }
                replaced.insert(index, key);
            }
        }
        Self { graph, replaced }
    }

    /// The name of a node; empty for one that the graph does not have.
    pub(super) fn get(&self, index: NodeIndex) -> &str {
        match self.replaced.get(&index.0) {
            Some(key) => key,
            None => self.graph.node(index).map_or("", |node| &node.key),
        }
    }
}
