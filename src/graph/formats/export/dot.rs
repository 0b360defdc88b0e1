//! DOT. Texts stand in quotes and numbers and truths do not, by which the importer tells them apart. A position is
//! Graphviz's `pos`; an undirected edge in a directed graph has `dir=none`.

use std::borrow::Cow;
use std::io::{self, Write};

use super::Job;
use super::fields::{Datum, Named, mostly_directed, of_edge, of_node};
use super::keys::Keys;
use super::loss::{Losses, Lost};
use crate::graph::NodeIndex;

pub(super) fn write(job: &mut Job<'_>, out: &mut dyn Write) -> io::Result<()> {
    let graph = job.graph;
    let keys = Keys::new(graph, clean, &mut job.losses);
    job.note_ids(&keys, &[]);
    let directed = mostly_directed(graph.edges());
    let (kind, operator) = if directed { ("digraph", "->") } else { ("graph", "--") };
    writeln!(out, "{kind} {{")?;
    for (index, (place, node)) in (0_u32..).zip(graph.nodes().iter().enumerate()) {
        out.write_all(b"  ")?;
        quoted(keys.get(NodeIndex(index)), out)?;
        let mut fields = of_node(node, job.position(place), &["pos"], &mut job.losses);
        let place: Vec<String> = ["x", "y", "z"]
            .iter()
            .filter_map(|axis| fields.iter().find(|(name, _)| name == axis).map(|(_, part)| number(part)))
            .collect();
        if !place.is_empty() {
            fields.retain(|(name, _)| !matches!(&**name, "x" | "y" | "z"));
            let pin = if node.pinned { "!" } else { "" };
            fields.push(("pos".into(), Datum::Text(format!("{}{pin}", place.join(",")).into())));
        }
        all(&fields, &mut job.losses, out)?;
    }
    for edge in graph.edges() {
        out.write_all(b"  ")?;
        quoted(keys.get(edge.source), out)?;
        write!(out, " {operator} ")?;
        quoted(keys.get(edge.target), out)?;
        let mut fields = of_edge(edge, None, &["dir"], &mut job.losses);
        if edge.directed != directed {
            fields.push(("dir".into(), Datum::Text("none".into())));
        }
        all(&fields, &mut job.losses, out)?;
    }
    out.write_all(b"}\n")
}

/// The attributes in brackets, and the end of the statement.
fn all(fields: &[Named<'_>], losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
    for (place, (name, value)) in fields.iter().enumerate() {
        out.write_all(if place == 0 { b" [" } else { b", " })?;
        if is_word(name) {
            out.write_all(name.as_bytes())?;
        } else {
            checked(name, losses, out)?;
        }
        out.write_all(b"=")?;
        match value {
            // Graphviz reads escapes in labels, so every label can be written.
            Datum::Text(text) if name == "label" => {
                let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
                checked(&escaped, losses, out)?;
            }
            Datum::Text(text) => checked(text, losses, out)?,
            other => out.write_all(number(other).as_bytes())?,
        }
    }
    out.write_all(if fields.is_empty() { b";\n" } else { b"];\n" })
}

/// A number or a truth as DOT has it: without exponent, and with a point where it is no whole number.
fn number(value: &Datum<'_>) -> String {
    match value {
        Datum::Float(float) => {
            let spelled = float.to_string();
            if spelled.contains('.') { spelled } else { format!("{spelled}.0") }
        }
        other => other.spelled().into_owned(),
    }
}

/// What may stand without quotes.
fn is_word(name: &str) -> bool {
    const KEYWORDS: [&str; 6] = ["node", "edge", "graph", "digraph", "subgraph", "strict"];
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !KEYWORDS.iter().any(|keyword| name.eq_ignore_ascii_case(keyword))
}

/// `text` as it can stand in quotes. Only `\"` and a backslash before a line end mean something else than themselves, and
/// two backslashes stay two; so a text in which an odd number of them stands before a quote, a line end or its own
/// end cannot be written.
fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '\0']) {
        return text.into();
    }
    let mut kept = String::with_capacity(text.len());
    let mut slashes = 0;
    for character in text.chars().map(Some).chain([None]) {
        if slashes % 2 == 1 && matches!(character, None | Some('"' | '\n' | '\r')) {
            kept.pop();
            kept.push('?');
        }
        slashes = if character == Some('\\') { slashes + 1 } else { 0 };
        kept.extend(character.map(|character| if character == '\0' { '?' } else { character }));
    }
    if *kept == *text { text.into() } else { kept.into() }
}

fn checked(text: &str, losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
    let cleaned = clean(text);
    if *cleaned != *text {
        losses.add(Lost::Characters, text);
    }
    quoted(&cleaned, out)
}

fn quoted(text: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "\"{}\"", text.replace('"', "\\\""))
}
