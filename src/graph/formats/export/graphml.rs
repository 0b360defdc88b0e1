//! GraphML: a `key` for each name and type that occurs, so that an attribute may have several types.

use std::collections::HashMap;
use std::io::{self, Write};

use super::Job;
use super::fields::{Named, mostly_directed, of_edge, of_node};
use super::keys::Keys;
use super::loss::Losses;
use super::xml::{clean, escaped};
use crate::graph::{Edge, NodeIndex, Value};

/// The types by [`super::fields::Datum::kind`].
const TYPES: [&str; 4] = ["boolean", "long", "double", "string"];

/// Columns by name, and by type the number of each.
#[derive(Default)]
pub(super) struct Columns {
    by_name: HashMap<String, [Option<u32>; 4]>,
    /// Name and type, in the order of first appearance.
    pub(super) list: Vec<(String, usize)>,
}

impl Columns {
    pub(super) fn add(&mut self, fields: &[Named<'_>]) {
        for (name, value) in fields {
            if !self.by_name.contains_key(&**name) {
                self.by_name.insert(name.to_string(), [None; 4]);
            }
            let slot = self.by_name.get_mut(&**name).and_then(|kinds| kinds.get_mut(value.kind()));
            if let Some(slot) = slot.filter(|slot| slot.is_none()) {
                *slot = Some(self.list.len() as u32);
                self.list.push((name.to_string(), value.kind()));
            }
        }
    }

    pub(super) fn get(&self, (name, value): &Named<'_>) -> u32 {
        self.by_name.get(&**name).and_then(|kinds| kinds.get(value.kind()).copied().flatten()).unwrap_or_default()
    }
}

/// An edge's attribute `id`, which is the element's own.
pub(super) fn own_id(edge: &Edge) -> Option<&str> {
    edge.attributes().iter().find_map(|(name, value)| match value {
        Value::Text(id) if &**name == "id" => Some(&**id),
        _ => None,
    })
}

/// The fields of `edge` that are not attributes of its element.
pub(super) fn edge_fields<'a>(edge: &'a Edge, losses: &mut Losses) -> Vec<Named<'a>> {
    let mut fields = of_edge(edge, None, &[], losses);
    if own_id(edge).is_some() {
        fields.retain(|(name, _)| name != "id");
    }
    fields
}

pub(super) fn write(job: &mut Job<'_>, out: &mut dyn Write) -> io::Result<()> {
    let graph = job.graph;
    let keys = Keys::new(graph, clean, &mut job.losses);
    job.note_ids(&keys, &[]);
    let directed = mostly_directed(graph.edges());
    let (mut nodes, mut edges) = (Columns::default(), Columns::default());
    // The losses are counted when the values are written.
    let mut uncounted = Losses::default();
    for (place, node) in graph.nodes().iter().enumerate() {
        nodes.add(&of_node(node, job.position(place), &[], &mut uncounted));
    }
    for edge in graph.edges() {
        edges.add(&edge_fields(edge, &mut uncounted));
    }
    out.write_all(
        b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
    )?;
    for (prefix, aim, columns) in [("n", "node", &nodes), ("e", "edge", &edges)] {
        for (number, (name, kind)) in columns.list.iter().enumerate() {
            write!(out, "<key id=\"{prefix}{number}\" for=\"{aim}\" attr.name=\"")?;
            escaped(name, &mut job.losses, out)?;
            writeln!(out, "\" attr.type=\"{}\"/>", TYPES.get(*kind).copied().unwrap_or("string"))?;
        }
    }
    writeln!(out, "<graph edgedefault=\"{}\">", if directed { "directed" } else { "undirected" })?;
    for (index, (place, node)) in (0_u32..).zip(graph.nodes().iter().enumerate()) {
        out.write_all(b"<node id=\"")?;
        escaped(keys.get(NodeIndex(index)), &mut uncounted, out)?;
        let fields = of_node(node, job.position(place), &[], &mut job.losses);
        data(&fields, "n", "node", &nodes, &mut job.losses, out)?;
    }
    for edge in graph.edges() {
        out.write_all(b"<edge ")?;
        if let Some(id) = own_id(edge) {
            out.write_all(b"id=\"")?;
            escaped(id, &mut job.losses, out)?;
            out.write_all(b"\" ")?;
        }
        if edge.directed != directed {
            write!(out, "directed=\"{}\" ", edge.directed)?;
        }
        out.write_all(b"source=\"")?;
        escaped(keys.get(edge.source), &mut uncounted, out)?;
        out.write_all(b"\" target=\"")?;
        escaped(keys.get(edge.target), &mut uncounted, out)?;
        let fields = edge_fields(edge, &mut job.losses);
        data(&fields, "e", "edge", &edges, &mut job.losses, out)?;
    }
    out.write_all(b"</graph>\n</graphml>\n")
}

/// The end of a start tag, the data, and the end tag.
fn data(
    fields: &[Named<'_>],
    prefix: &str,
    element: &str,
    columns: &Columns,
    losses: &mut Losses,
    out: &mut dyn Write,
) -> io::Result<()> {
    if fields.is_empty() {
        return out.write_all(b"\"/>\n");
    }
    out.write_all(b"\">")?;
    for field in fields {
        write!(out, "<data key=\"{prefix}{}\">", columns.get(field))?;
        escaped(&field.1.spelled(), losses, out)?;
        out.write_all(b"</data>")?;
    }
    writeln!(out, "</{element}>")
}
