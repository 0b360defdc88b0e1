//! Exporters: a [`Graph`] to the files of other tools.
//!
//! [`export`] writes one file and says in [`Losses`] what the format could not hold. What is not in that list comes
//! back: importing the file gives the same graph, attribute types included (`tests.rs` holds every format to it). They
//! write what they are given, private nodes too: who may see those is the caller's to decide.

mod csv;
mod dot;
mod fields;
mod gexf;
mod gml;
mod graphml;
mod json;
mod keys;
mod loss;
mod mermaid;
mod xml;

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::str::FromStr;

pub use self::loss::{Loss, Losses, Lost};
use super::Found;
use crate::graph::build::decimal_id;
use crate::graph::{Graph, NodeId, NodeIndex};

/// A format that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExportFormat {
    /// Node-link JSON, as networkx and d3 read it.
    Json,
    /// Edges as a table: `source,target,weight,directed,relation,label` and a column for each attribute.
    Csv,
    /// Nodes as a table. Beside [`Self::Csv`]; the importers read the edges only.
    CsvNodes,
    /// GraphML.
    GraphMl,
    /// GEXF 1.3 with its viz module.
    Gexf,
    /// GML.
    Gml,
    /// Graphviz's language.
    Dot,
    /// A Mermaid flowchart, for documents. Nothing reads it back.
    Mermaid,
}

/// No format that can be written has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {names}, found {0}", names = ExportFormat::NAMES)]
pub struct UnknownExportFormat(pub Found);

impl ExportFormat {
    /// Every format, by name.
    pub const NAMES: &'static str = "json, csv, csv-nodes, graphml, gexf, gml, dot, mermaid";

    /// Every format.
    pub const ALL: [Self; 8] =
        [Self::Json, Self::Csv, Self::CsvNodes, Self::GraphMl, Self::Gexf, Self::Gml, Self::Dot, Self::Mermaid];

    /// The name on the command line and in requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::CsvNodes => "csv-nodes",
            Self::GraphMl => "graphml",
            Self::Gexf => "gexf",
            Self::Gml => "gml",
            Self::Dot => "dot",
            Self::Mermaid => "mermaid",
        }
    }

    /// The format that a file name's extension asks for.
    #[must_use]
    pub fn of_extension(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "json" => Self::Json,
            "csv" => Self::Csv,
            "graphml" => Self::GraphMl,
            "gexf" => Self::Gexf,
            "gml" => Self::Gml,
            "dot" | "gv" => Self::Dot,
            "mmd" | "mermaid" => Self::Mermaid,
            _ => return None,
        })
    }

    /// Its media type, for an HTTP answer.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv | Self::CsvNodes => "text/csv; charset=utf-8",
            Self::GraphMl => "application/graphml+xml",
            Self::Gexf => "application/gexf+xml",
            Self::Gml | Self::Mermaid => "text/plain; charset=utf-8",
            Self::Dot => "text/vnd.graphviz",
        }
    }

    /// Extension of its files, without the point.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::CsvNodes => "csv",
            Self::Mermaid => "mmd",
            other => other.name(),
        }
    }
}

impl FromStr for ExportFormat {
    type Err = UnknownExportFormat;

    fn from_str(name: &str) -> Result<Self, UnknownExportFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownExportFormat(Found::new(name)))
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Writes `graph` to `out`, nodes and edges in their order, and says what `format` could not hold.
///
/// `positions` are those of the layout, `[x, y, z]` by node index, in world units; where it is `None`, too short or
/// not finite, the position that the graph's source asked for is written, if there is one. O(nodes + edges +
/// attributes); nothing but the names of columns is held.
///
/// # Errors
/// What `out` says.
pub fn export(
    format: ExportFormat,
    graph: &Graph,
    positions: Option<&[[f32; 3]]>,
    out: &mut dyn Write,
) -> io::Result<Losses> {
    let mut buffered = BufWriter::with_capacity(64 * 1024, out);
    let mut job = Job { graph, positions, losses: Losses::default() };
    let out: &mut dyn Write = &mut buffered;
    match format {
        ExportFormat::Json => json::write(&mut job, out)?,
        ExportFormat::Csv => csv::write_edges(&mut job, out)?,
        ExportFormat::CsvNodes => csv::write_nodes(&mut job, out)?,
        ExportFormat::GraphMl => graphml::write(&mut job, out)?,
        ExportFormat::Gexf => gexf::write(&mut job, out)?,
        ExportFormat::Gml => gml::write(&mut job, out)?,
        ExportFormat::Dot => dot::write(&mut job, out)?,
        ExportFormat::Mermaid => mermaid::write(&mut job, out)?,
    }
    buffered.flush()?;
    Ok(job.losses)
}

/// What every format is given.
struct Job<'g> {
    graph: &'g Graph,
    positions: Option<&'g [[f32; 3]]>,
    losses: Losses,
}

impl Job<'_> {
    fn position(&self, index: usize) -> Option<[f32; 3]> {
        self.positions.and_then(|positions| positions.get(index)).copied()
    }

    /// Notes the node ids that an import deals anew when it meets these keys, in `order` or else in that of the graph.
    fn note_ids(&mut self, keys: &keys::Keys<'_>, order: &[NodeIndex]) {
        let all: Vec<NodeIndex> = (0..self.graph.nodes().len() as u32).map(NodeIndex).collect();
        let order = if order.is_empty() { &all } else { order };
        let named: Vec<Option<NodeId>> = order.iter().map(|index| decimal_id(keys.get(*index))).collect();
        let numeric = named.iter().all(Option::is_some);
        for ((count, index), named) in (0_u32..).zip(order).zip(named) {
            let dealt = if numeric { named } else { NodeId::new(count) };
            if let Some(node) = self.graph.node(*index).filter(|node| dealt != Some(node.id)) {
                self.losses.add(Lost::NodeIds, &node.key);
            }
        }
        for (count, edge) in (0_u32..).zip(self.graph.edges()) {
            if edge.id.0 != count {
                self.losses.add(Lost::EdgeIds, &edge.id.0.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests;
