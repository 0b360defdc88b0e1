//! Tables: one of the edges, which the importers read, and one of the nodes, which they do not.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use super::Job;
use super::fields::{Datum, Named, of_edge, of_node};
use super::keys::Keys;
use super::loss::{Losses, Lost};
use crate::graph::formats::properties::{OWN, text, typed};
use crate::graph::{NodeIndex, Value};

/// Line ends that one row may have, all of its fields together: the importers read a row over at most 16 lines.
const LINE_ENDS_MAX: usize = 15;

/// Those that one key may have, so that a row has room for two. A key must be spelled alike in all rows.
const KEY_LINE_ENDS_MAX: usize = LINE_ENDS_MAX / 2;

const EDGE_COLUMNS: [&str; 4] = ["weight", "directed", "relation", "label"];

/// The importers read a weight's column apart from the others, and would take this one for a weight too.
const EDGE_RESERVED: [&str; 1] = ["value"];

const NODE_COLUMNS: [&str; 10] = ["label", "class", "private", "group", "weight", "color", "x", "y", "z", "pinned"];

fn line_ends(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// `text` as a quoted field can hold it in a row that has `room` for so many line ends.
fn clean(text: &str, room: usize) -> Cow<'_, str> {
    let mut kept: Cow<'_, str> = text.into();
    if kept.contains('\0') {
        kept = kept.replace('\0', "?").into();
    }
    // A line of a file may end in either, so the importers cannot tell them apart.
    if kept.contains("\r\n") {
        kept = kept.replace("\r\n", "?\n").into();
    }
    if line_ends(&kept) > room {
        kept = kept.replace('\n', "?").into();
    }
    kept
}

fn clean_key(key: &str) -> Cow<'_, str> {
    clean(key, KEY_LINE_ENDS_MAX)
}

/// Writes a field, in quotes where it is not one plain word, and takes its line ends off the `room` of its row.
fn field(text: &str, room: &mut usize, losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
    let plain = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    if text.chars().all(plain) {
        return out.write_all(text.as_bytes());
    }
    let cleaned = clean(text, *room);
    *room = room.saturating_sub(line_ends(&cleaned));
    if *cleaned != *text {
        losses.add(Lost::Characters, text);
    }
    write!(out, "\"{}\"", cleaned.replace('"', "\"\""))
}

/// The columns of a table, by the names of fields and attributes.
struct Columns {
    by_name: HashMap<String, usize>,
    titles: Vec<String>,
    /// Whether the table is read back, so that it matters what a text looks like.
    typed: bool,
}

impl Columns {
    /// `first`, then every other name of `records` in the order of first appearance.
    fn new<'a>(first: &[&str], records: impl Iterator<Item = Vec<Named<'a>>>, typed: bool) -> Self {
        let mut by_name: HashMap<String, usize> = HashMap::new();
        let mut titles: Vec<String> = Vec::new();
        let mut used: HashSet<String> = HashSet::new();
        let mut room = LINE_ENDS_MAX;
        let first = first.iter().map(|name| Cow::Borrowed(*name));
        for name in first.chain(records.flatten().map(|(name, _)| name)) {
            if by_name.contains_key(&*name) {
                continue;
            }
            // The importers read a column of this name as networkx's attributes.
            let mut title = if name == "{}" { format!("{OWN}{name}") } else { clean(&name, room).into_owned() };
            room = room.saturating_sub(line_ends(&title));
            while !used.insert(title.clone()) {
                title.push('?');
            }
            by_name.insert(name.into_owned(), titles.len());
            titles.push(title);
        }
        Self { by_name, titles, typed }
    }

    fn header(&self, losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
        for (name, place) in &self.by_name {
            if self
                .titles
                .get(*place)
                .is_some_and(|title| title.trim_start_matches(OWN) != name.trim_start_matches(OWN))
            {
                losses.add(Lost::Characters, name);
            }
        }
        let mut room = LINE_ENDS_MAX;
        for title in &self.titles {
            out.write_all(b",")?;
            field(title, &mut room, losses, out)?;
        }
        out.write_all(b"\n")
    }

    /// The values of a record under the titles, each behind a comma. `room` is what the row has left for line ends.
    fn row(&self, fields: &[Named<'_>], mut room: usize, losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
        let mut slots: Vec<Option<&Named<'_>>> = vec![None; self.titles.len()];
        for named in fields {
            if let Some(slot) = self.by_name.get(&*named.0).and_then(|place| slots.get_mut(*place)) {
                *slot = Some(named);
            }
        }
        for slot in slots {
            out.write_all(b",")?;
            if let Some((name, value)) = slot {
                if self.typed {
                    note_type(name, value, losses);
                }
                field(&value.spelled(), &mut room, losses, out)?;
            }
        }
        out.write_all(b"\n")
    }
}

/// Notes a text that reads back as nothing, or as a value of another type or spelling.
fn note_type(name: &str, value: &Datum<'_>, losses: &mut Losses) {
    let Datum::Text(words) = value else { return };
    let read = typed(words);
    let same = match &read {
        Value::Text(_) => true,
        read => EDGE_COLUMNS.contains(&name) && text(read).as_deref() == Some(&**words),
    };
    if words.is_empty() {
        losses.add(Lost::EmptyTexts, name);
    } else if !same {
        losses.add(Lost::Types, words);
    }
}

pub(super) fn write_edges(job: &mut Job<'_>, out: &mut dyn Write) -> io::Result<()> {
    let graph = job.graph;
    let keys = Keys::new(graph, clean_key, &mut job.losses);
    let mut seen = vec![false; graph.nodes().len()];
    let mut order = Vec::new();
    for end in graph.edges().iter().flat_map(|edge| [edge.source, edge.target]) {
        if let Some(seen) = seen.get_mut(end.get()).filter(|seen| !**seen) {
            *seen = true;
            order.push(end);
        }
    }
    job.note_ids(&keys, &order);
    let mut uncounted = Losses::default();
    for (node, seen) in graph.nodes().iter().zip(&seen) {
        if !seen {
            job.losses.add(Lost::Nodes, &node.key);
        }
        if *node.label != *node.key || of_node(node, None, &[], &mut uncounted).len() > 1 {
            job.losses.add(Lost::NodeData, &node.key);
        }
    }
    let records = graph.edges().iter().map(|edge| of_edge(edge, Some(false), &EDGE_RESERVED, &mut uncounted));
    let columns = Columns::new(&EDGE_COLUMNS, records, true);
    out.write_all(b"source,target")?;
    columns.header(&mut job.losses, out)?;
    let mut ends = Losses::default();
    for edge in graph.edges() {
        let mut room = LINE_ENDS_MAX;
        field(keys.get(edge.source), &mut room, &mut ends, out)?;
        out.write_all(b",")?;
        field(keys.get(edge.target), &mut room, &mut ends, out)?;
        columns.row(&of_edge(edge, Some(false), &EDGE_RESERVED, &mut job.losses), room, &mut job.losses, out)?;
    }
    Ok(())
}

pub(super) fn write_nodes(job: &mut Job<'_>, out: &mut dyn Write) -> io::Result<()> {
    let graph = job.graph;
    let keys = Keys::new(graph, clean_key, &mut job.losses);
    for edge in graph.edges() {
        job.losses.add(Lost::Edges, keys.get(edge.source));
    }
    let mut uncounted = Losses::default();
    let records = graph.nodes().iter().enumerate();
    let records = records.map(|(place, node)| of_node(node, job.position(place), &["id", "key"], &mut uncounted));
    let columns = Columns::new(&NODE_COLUMNS, records, false);
    out.write_all(b"id,key")?;
    columns.header(&mut job.losses, out)?;
    for (index, (place, node)) in (0_u32..).zip(graph.nodes().iter().enumerate()) {
        write!(out, "{},", node.id.get())?;
        let mut room = LINE_ENDS_MAX;
        field(keys.get(NodeIndex(index)), &mut room, &mut Losses::default(), out)?;
        let fields = of_node(node, job.position(place), &["id", "key"], &mut job.losses);
        columns.row(&fields, room, &mut job.losses, out)?;
    }
    Ok(())
}
