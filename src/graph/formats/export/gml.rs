//! GML. Positions and colours stand in `graphics`, as other tools write them; an attribute whose name GML does not
//! allow, or reads as something else, is a list `attribute [ name "..." value ... ]`.

use std::io::{self, Write};

use super::Job;
use super::fields::{Datum, Named, has_parallels, mostly_directed, of_edge, of_node};
use super::keys::Keys;
use super::loss::{Losses, Lost};
use crate::graph::formats::properties::OWN;
use crate::graph::{Graph, NodeIndex};

/// Names of GML's own beside those of the fields.
const RESERVED: [&str; 7] = ["id", "key", "source", "target", "attribute", "graphics", "LabelGraphics"];

/// Fields of nodes and of edges that the importer turns back into truths.
const NODE_TRUTHS: [&str; 2] = ["private", "pinned"];
const EDGE_TRUTHS: [&str; 1] = ["directed"];

pub(super) fn write(job: &mut Job<'_>, out: &mut dyn Write) -> io::Result<()> {
    let graph = job.graph;
    let directed = mostly_directed(graph.edges());
    let keys = Keys::new(graph, |key| key.into(), &mut Losses::default());
    job.note_ids(&keys, &[]);
    writeln!(out, "Creator \"swarmcast\"\nVersion 1\ngraph [\n  directed {}", u8::from(directed))?;
    if has_parallels(graph.edges(), directed) {
        out.write_all(b"  multigraph 1\n")?;
    }
    for (place, node) in graph.nodes().iter().enumerate() {
        write!(out, "  node [ id {}", node.id.get())?;
        if *node.key != *node.id.get().to_string() {
            out.write_all(b" key ")?;
            text(&node.key, out)?;
        }
        let fields = of_node(node, job.position(place), &RESERVED, &mut job.losses);
        let (graphics, rest): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|(name, _)| matches!(&**name, "x" | "y" | "z" | "color"));
        if !graphics.is_empty() {
            out.write_all(b" graphics [")?;
            for (name, datum) in &graphics {
                write!(out, " {} ", if name == "color" { "fill" } else { name })?;
                value(datum, out)?;
            }
            out.write_all(b" ]")?;
        }
        all(&rest, &NODE_TRUTHS, &mut job.losses, out)?;
        out.write_all(b" ]\n")?;
    }
    for edge in graph.edges() {
        write!(out, "  edge [ source {} target {}", id(graph, edge.source), id(graph, edge.target))?;
        // An edge's own id is an attribute like any other.
        let fields = of_edge(edge, Some(directed), RESERVED.get(1..).unwrap_or_default(), &mut job.losses);
        all(&fields, &EDGE_TRUTHS, &mut job.losses, out)?;
        out.write_all(b" ]\n")?;
    }
    out.write_all(b"]\n")
}

fn id(graph: &Graph, index: NodeIndex) -> u32 {
    graph.node(index).map_or(0, |node| node.id.get())
}

fn all(fields: &[Named<'_>], truths: &[&str], losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
    for (name, datum) in fields {
        if matches!(datum, Datum::Bool(_)) && !truths.contains(&&**name) {
            losses.add(Lost::Types, name);
        }
        if is_key(name) {
            write!(out, " {name} ")?;
            value(datum, out)?;
        } else {
            out.write_all(b" attribute [ name ")?;
            text(name.strip_prefix(OWN).unwrap_or(name), out)?;
            out.write_all(b" value ")?;
            value(datum, out)?;
            out.write_all(b" ]")?;
        }
    }
    Ok(())
}

/// What GML allows as a key.
fn is_key(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn value(datum: &Datum<'_>, out: &mut dyn Write) -> io::Result<()> {
    match datum {
        Datum::Bool(truth) => write!(out, "{}", u8::from(*truth)),
        Datum::Int(whole) => write!(out, "{whole}"),
        Datum::Float(float) => {
            let spelled = format!("{float:?}");
            // A real has a point, before its exponent too.
            match spelled.split_once('e') {
                Some((mantissa, exponent)) if !mantissa.contains('.') => write!(out, "{mantissa}.0e{exponent}"),
                _ => out.write_all(spelled.as_bytes()),
            }
        }
        Datum::Text(words) => text(words, out),
    }
}

/// A text in quotes: printable ASCII, the rest by number.
fn text(text: &str, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    for character in text.chars() {
        match character {
            '"' => out.write_all(b"&quot;")?,
            '&' => out.write_all(b"&amp;")?,
            ' '..='~' => out.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?,
            other => write!(out, "&#{};", u32::from(other))?,
        }
    }
    out.write_all(b"\"")
}
