//! A graph as every layout here gets it: simple, undirected, unweighted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use swarmcast::graph::formats::{Format, ImportOptions, import_path};
use swarmcast::graph::{Csr, NodeIndex};

use crate::generate;

/// Nodes 0 to `node_count`, each pair joined at most once, no loops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// What the reports call it.
    pub name: String,
    /// Nodes.
    pub node_count: usize,
    /// Lower end first, ascending.
    pub edges: Vec<[u32; 2]>,
    /// Community or group of each node, where one is known: `[node_count]`, else empty.
    pub group: Vec<u32>,
}

impl Network {
    /// Drops loops and repeated edges.
    ///
    /// # Panics
    /// When an edge names a node that is not there, or some nodes have a group and others have none.
    #[must_use]
    pub fn new(name: &str, node_count: usize, edges: impl IntoIterator<Item = [u32; 2]>, group: Vec<u32>) -> Self {
        let ordered = edges.into_iter().map(|[left, right]| [left.min(right), left.max(right)]);
        let mut edges: Vec<[u32; 2]> = ordered.filter(|[left, right]| left != right).collect();
        edges.sort_unstable();
        edges.dedup();
        assert!(edges.iter().all(|[_, upper]| (*upper as usize) < node_count), "an edge ends at a node of the graph");
        assert!(group.is_empty() || group.len() == node_count, "every node has a group or none has");
        Self { name: name.to_owned(), node_count, edges, group }
    }

    /// One of [`generate::NAMES`], or a file in any format that the server imports.
    ///
    /// # Errors
    /// When there is neither.
    pub fn open(name: &str) -> Result<Self> {
        if let Some(network) = generate::by_name(name) {
            return Ok(network);
        }
        let path = Path::new(name);
        if !path.exists() {
            bail!("{name} is neither a file nor one of {}", generate::NAMES.join(", "));
        }
        let options = ImportOptions {
            format: Format::Auto,
            skip_bad: false,
            vault_all_pages: true,
            nodes_max: usize::MAX,
            edges_max: usize::MAX,
        };
        let imported = import_path(path, &options, &mut ())?;
        let graph = imported.graph;
        let mut known = BTreeMap::new();
        let group = graph.nodes().iter().map(|node| {
            let fresh = known.len() as u32;
            *known.entry(node.group.clone()).or_insert(fresh)
        });
        let group: Vec<u32> = group.collect();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let edges = graph.edges().iter().map(|edge| [edge.source.0, edge.target.0]);
        let group = if known.len() > 1 { group } else { Vec::new() };
        Ok(Self::new(&stem, graph.nodes().len(), edges, group))
    }

    /// The rows of every node.
    #[must_use]
    pub fn rows(&self) -> Csr {
        let edges = self.edges.iter().map(|[left, right]| (NodeIndex(*left), NodeIndex(*right), 1.0));
        Csr::new(self.node_count, edges)
    }

    /// Writes what the adapters of other programs read: a line with the counts of nodes and edges, then a line for each
    /// edge with its two ends, counted from 0.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = format!("{} {}\n", self.node_count, self.edges.len());
        for [left, right] in &self.edges {
            writeln!(text, "{left} {right}")?;
        }
        fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// The graph without the nodes that `keep` refuses, and the old number of each node that is left.
    #[must_use]
    pub fn part(&self, keep: impl Fn(u32) -> bool) -> (Self, Vec<u32>) {
        let old: Vec<u32> = (0..self.node_count as u32).filter(|node| keep(*node)).collect();
        let mut new_of = vec![None; self.node_count];
        for (new, old) in (0u32..).zip(&old) {
            if let Some(slot) = new_of.get_mut(*old as usize) {
                *slot = Some(new);
            }
        }
        let new_of = |node: u32| new_of.get(node as usize).copied().flatten();
        let edges = self.edges.iter().filter_map(|[left, right]| Some([new_of(*left)?, new_of(*right)?]));
        let group = old.iter().filter_map(|node| self.group.get(*node as usize)).copied().collect();
        (Self::new(&self.name, old.len(), edges, group), old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_and_repeats_are_dropped() {
        let network = Network::new("x", 3, [[1, 0], [0, 1], [2, 2], [2, 1]], Vec::new());
        assert_eq!(network.edges, [[0, 1], [1, 2]]);
        assert_eq!(network.rows().half_edge_count(), 4);
    }

    #[test]
    fn a_part_is_numbered_anew() {
        let network = Network::new("x", 4, [[0, 1], [1, 2], [2, 3]], vec![7, 8, 9, 9]);
        let (part, old) = network.part(|node| node != 1);
        assert_eq!((part.node_count, part.edges, part.group), (3, vec![[1, 2]], vec![7, 9, 9]));
        assert_eq!(old, [0, 2, 3]);
    }

    #[test]
    fn an_example_graph_opens_with_its_groups() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/graphs");
        let karate = Network::open(folder.join("karate.gexf").to_str().unwrap()).unwrap();
        assert_eq!((karate.name.as_str(), karate.node_count, karate.edges.len()), ("karate", 34, 78));
        assert_eq!(karate.group.len(), 34);
        assert!(Network::open("no such graph").unwrap_err().to_string().contains("grid1k"));
    }
}
