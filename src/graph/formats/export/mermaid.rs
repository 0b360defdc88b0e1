//! A Mermaid flowchart: labels, groups as subgraphs, relations on the edges. A picture, not a store: the rest is lost
//! and said so.

use std::collections::HashMap;
use std::io::{self, Write};

use super::Job;
use super::fields::of_node;
use super::loss::{Losses, Lost};
use crate::graph::{Graph, Node, NodeIndex};

pub(super) fn write(job: &mut Job<'_>, out: &mut dyn Write) -> io::Result<()> {
    let graph = job.graph;
    out.write_all(b"flowchart LR\n")?;
    let mut groups: Vec<(&str, Vec<&Node>)> = Vec::new();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let mut uncounted = Losses::default();
    for node in graph.nodes() {
        match node.group.as_deref() {
            Some(group) => {
                let place = *by_name.entry(group).or_insert(groups.len());
                if place == groups.len() {
                    groups.push((group, Vec::new()));
                }
                if let Some((_, members)) = groups.get_mut(place) {
                    members.push(node);
                }
            }
            None => line(node, "  ", &mut job.losses, out)?,
        }
        let shown = 1 + usize::from(node.group.is_some());
        if *node.key != *node.label || of_node(node, None, &[], &mut uncounted).len() > shown {
            job.losses.add(Lost::NodeData, &node.key);
        }
    }
    for (place, (group, members)) in groups.into_iter().enumerate() {
        write!(out, "  subgraph g{place}[")?;
        text(group, &mut job.losses, out)?;
        out.write_all(b"]\n")?;
        for node in members {
            line(node, "    ", &mut job.losses, out)?;
        }
        out.write_all(b"  end\n")?;
    }
    for edge in graph.edges() {
        write!(out, "  n{} {}", id(graph, edge.source), if edge.directed { "-->" } else { "---" })?;
        let shown = edge.label().or(edge.relation.as_deref()).filter(|shown| !shown.is_empty());
        if let Some(shown) = shown {
            out.write_all(b"|")?;
            text(shown, &mut job.losses, out)?;
            out.write_all(b"|")?;
        }
        writeln!(out, " n{}", id(graph, edge.target))?;
        let both = edge.label().is_some() && edge.relation.is_some();
        if both || edge.weight.to_bits() != 1.0_f32.to_bits() || !edge.attributes().is_empty() {
            job.losses.add(Lost::EdgeData, shown.unwrap_or_default());
        }
    }
    Ok(())
}

fn id(graph: &Graph, index: NodeIndex) -> u32 {
    graph.node(index).map_or(0, |node| node.id.get())
}

fn line(node: &Node, indent: &str, losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{indent}n{}[", node.id.get())?;
    // A box without words is a syntax error.
    text(if node.label.trim().is_empty() { &node.key } else { &node.label }, losses, out)?;
    out.write_all(b"]\n")
}

/// A text in quotes; what Mermaid, or the HTML that it makes, would read is written by name or number.
fn text(text: &str, losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    let mut lost = false;
    for character in text.chars() {
        match character {
            '\n' => out.write_all(b"<br/>")?,
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' | '|' | '[' | ']' | '{' | '}' | '(' | ')' | ';' | '%' => {
                write!(out, "#{};", u32::from(character))?;
            }
            other if other.is_control() => {
                lost = true;
                out.write_all(b"?")?;
            }
            other => out.write_all(other.encode_utf8(&mut [0; 4]).as_bytes())?,
        }
    }
    if lost {
        losses.add(Lost::Characters, text);
    }
    // An empty text in quotes is a syntax error too.
    out.write_all(if text.is_empty() { b" \"" } else { b"\"" })
}
