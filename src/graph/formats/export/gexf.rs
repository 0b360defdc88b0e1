//! GEXF 1.3: labels, colours, positions and sizes in its own terms, the rest as declared attributes.

use std::io::{self, Write};

use super::Job;
use super::fields::{Named, mostly_directed, of_node};
use super::graphml::{Columns, edge_fields, own_id};
use super::keys::Keys;
use super::loss::Losses;
use super::xml::{clean, escaped};
use crate::graph::NodeIndex;

/// The types by [`super::fields::Datum::kind`].
const TYPES: [&str; 4] = ["boolean", "long", "double", "string"];

/// The fields that have elements or attributes of their own.
fn is_viz(name: &str) -> bool {
    matches!(name, "label" | "color" | "x" | "y" | "z")
}

fn split<'a>(fields: Vec<Named<'a>>) -> (Vec<Named<'a>>, Vec<Named<'a>>) {
    fields.into_iter().partition(|(name, _)| is_viz(name))
}

pub(super) fn write(job: &mut Job<'_>, out: &mut dyn Write) -> io::Result<()> {
    let graph = job.graph;
    let keys = Keys::new(graph, clean, &mut job.losses);
    job.note_ids(&keys, &[]);
    let directed = mostly_directed(graph.edges());
    let (mut nodes, mut edges) = (Columns::default(), Columns::default());
    // The losses are counted when the values are written.
    let mut uncounted = Losses::default();
    // `pid` and `size` are names of GEXF's own.
    let reserved = ["pid"];
    for (place, node) in graph.nodes().iter().enumerate() {
        nodes.add(&split(of_node(node, job.position(place), &reserved, &mut uncounted)).1);
    }
    for edge in graph.edges() {
        edges.add(&edge_fields(edge, &mut uncounted));
    }
    out.write_all(
        b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gexf xmlns=\"http://gexf.net/1.3\" \
          xmlns:viz=\"http://gexf.net/1.3/viz\" version=\"1.3\">\n",
    )?;
    let default = if directed { "directed" } else { "undirected" };
    writeln!(out, "<graph mode=\"static\" defaultedgetype=\"{default}\">")?;
    for (class, columns) in [("node", &nodes), ("edge", &edges)] {
        writeln!(out, "<attributes class=\"{class}\">")?;
        for (number, (name, kind)) in columns.list.iter().enumerate() {
            write!(out, "<attribute id=\"{number}\" title=\"")?;
            escaped(name, &mut job.losses, out)?;
            writeln!(out, "\" type=\"{}\"/>", TYPES.get(*kind).copied().unwrap_or("string"))?;
        }
        out.write_all(b"</attributes>\n")?;
    }
    out.write_all(b"<nodes>\n")?;
    for (index, (place, node)) in (0_u32..).zip(graph.nodes().iter().enumerate()) {
        out.write_all(b"<node id=\"")?;
        escaped(keys.get(NodeIndex(index)), &mut uncounted, out)?;
        out.write_all(b"\"")?;
        let (viz, rest) = split(of_node(node, job.position(place), &reserved, &mut job.losses));
        if let Some((_, label)) = viz.iter().find(|(name, _)| name == "label") {
            out.write_all(b" label=\"")?;
            escaped(&label.spelled(), &mut job.losses, out)?;
            out.write_all(b"\"")?;
        }
        out.write_all(b">")?;
        look(&viz, node.colour, out)?;
        values(&rest, &nodes, &mut job.losses, out)?;
        out.write_all(b"</node>\n")?;
    }
    out.write_all(b"</nodes>\n<edges>\n")?;
    for edge in graph.edges() {
        out.write_all(b"<edge ")?;
        if let Some(id) = own_id(edge) {
            out.write_all(b"id=\"")?;
            escaped(id, &mut job.losses, out)?;
            out.write_all(b"\" ")?;
        }
        if edge.directed != directed {
            write!(out, "type=\"{}\" ", if edge.directed { "directed" } else { "undirected" })?;
        }
        out.write_all(b"source=\"")?;
        escaped(keys.get(edge.source), &mut uncounted, out)?;
        out.write_all(b"\" target=\"")?;
        escaped(keys.get(edge.target), &mut uncounted, out)?;
        out.write_all(b"\">")?;
        values(&edge_fields(edge, &mut job.losses), &edges, &mut job.losses, out)?;
        out.write_all(b"</edge>\n")?;
    }
    out.write_all(b"</edges>\n</graph>\n</gexf>\n")
}

/// Colour and position.
fn look(viz: &[Named<'_>], colour: Option<u32>, out: &mut dyn Write) -> io::Result<()> {
    if let Some(colour) = colour {
        let [_, red, green, blue] = colour.to_be_bytes();
        write!(out, "<viz:color r=\"{red}\" g=\"{green}\" b=\"{blue}\"/>")?;
    }
    if viz.iter().any(|(name, _)| name == "x") {
        out.write_all(b"<viz:position")?;
        for (name, value) in viz.iter().filter(|(name, _)| matches!(&**name, "x" | "y" | "z")) {
            write!(out, " {name}=\"{}\"", value.spelled())?;
        }
        out.write_all(b"/>")?;
    }
    Ok(())
}

fn values(fields: &[Named<'_>], columns: &Columns, losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    out.write_all(b"<attvalues>")?;
    for field in fields {
        write!(out, "<attvalue for=\"{}\" value=\"", columns.get(field))?;
        escaped(&field.1.spelled(), losses, out)?;
        out.write_all(b"\"/>")?;
    }
    out.write_all(b"</attvalues>")
}
