//! Node-link JSON.

use std::io::{self, Write};

use super::Job;
use super::fields::{Datum, Named, has_parallels, mostly_directed, of_edge, of_node};
use super::keys::Keys;

pub(super) fn write(job: &mut Job<'_>, out: &mut dyn Write) -> io::Result<()> {
    let graph = job.graph;
    let keys = Keys::new(graph, |key| key.into(), &mut job.losses);
    job.note_ids(&keys, &[]);
    let directed = mostly_directed(graph.edges());
    let parallels = has_parallels(graph.edges(), directed);
    write!(out, "{{\"directed\":{directed},\"multigraph\":{parallels},\"graph\":{{}},\n\"nodes\":[")?;
    for (place, (index, node)) in (0_u32..).zip(graph.nodes()).enumerate() {
        out.write_all(if place == 0 { b"\n{\"id\":" } else { b",\n{\"id\":" })?;
        serde_json::to_writer(&mut *out, keys.get(crate::graph::NodeIndex(index)))?;
        rest(&of_node(node, job.position(place), &["id"], &mut job.losses), out)?;
    }
    out.write_all(b"\n],\n\"links\":[")?;
    for (place, edge) in graph.edges().iter().enumerate() {
        out.write_all(if place == 0 { b"\n{\"source\":" } else { b",\n{\"source\":" })?;
        serde_json::to_writer(&mut *out, keys.get(edge.source))?;
        out.write_all(b",\"target\":")?;
        serde_json::to_writer(&mut *out, keys.get(edge.target))?;
        rest(&of_edge(edge, Some(directed), &["source", "target"], &mut job.losses), out)?;
    }
    out.write_all(b"\n]}\n")
}

fn rest(fields: &[Named<'_>], out: &mut dyn Write) -> io::Result<()> {
    for (name, value) in fields {
        out.write_all(b",")?;
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":")?;
        match value {
            Datum::Text(text) => serde_json::to_writer(&mut *out, text)?,
            other => out.write_all(other.spelled().as_bytes())?,
        }
    }
    out.write_all(b"}")
}
