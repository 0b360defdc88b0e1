//! JSON: node-link as networkx and d3 write it, and JSON Graph Format.
//!
//! | shape | nodes | edges |
//! |---|---|---|
//! | networkx `node_link_data` | `nodes: [{id, ...}]` | `links` or `edges`: `[{source, target, ...}]` |
//! | d3 | the same, or without ids | `links`, ends by id, or by index where ids are not numbers |
//! | JSON Graph Format 1 and 2 | `graph: {nodes: [{id, ...}] or {id: {...}}}` | `graph: {edges: [...]}` |
//!
//! The file is held whole; each record is parsed when its turn comes, so that a bad one has a line and can be
//! left out. Nested values become attributes of JSON text.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::import::{newlines, whole};
use super::intake::Intake;
use super::note::Notes;
use super::properties::Properties;
use super::source::Source;
use super::{Found, ImportError, Problem};
use crate::graph::{NodeIndex, Value};

/// What a file must be, in messages.
const SHAPE: &str = "an object with nodes, and links or edges";

/// Reads a whole file into `intake`.
pub(super) fn read(mut source: Source<'_>, intake: &mut Intake) -> Result<(), ImportError> {
    let text = whole(&mut source, intake.path())?;
    let file = File { text: &text, mark: Cell::new((0, 1)) };
    let shape = Shape::find(&file, intake)?;
    let nodes = read_nodes(&file, &shape, intake)?;
    for list in &shape.edges {
        read_edges(&file, list, &nodes, shape.directed, intake)?;
    }
    Ok(())
}

/// The text, and where in it a borrowed piece stands.
struct File<'a> {
    text: &'a str,
    /// A byte and its line. Records are asked for in file order, so counting goes on from the last one.
    mark: Cell<(usize, u64)>,
}

impl File<'_> {
    fn line(&self, piece: &str) -> u64 {
        let at = (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let (from, line) = if self.mark.get().0 <= at { self.mark.get() } else { (0, 1) };
        let line = line + newlines(self.text.as_bytes().get(from..at).unwrap_or_default());
        self.mark.set((at, line));
        line
    }

    /// The error of a piece that every record hangs on.
    fn broken(&self, piece: &str, error: &serde_json::Error, intake: &Intake) -> ImportError {
        let line = self.line(piece) + (error.line() as u64).saturating_sub(1);
        let starts_line = piece.as_ptr() == self.text.as_ptr() || error.line() > 1;
        let expected = if error.is_data() { SHAPE } else { "JSON" };
        let column = starts_line.then_some(error.column() as u64).filter(|column| *column > 0);
        ImportError::Syntax { path: intake.path().into(), line, column, expected, found: reason(error).into() }
    }
}

/// What serde_json says, without its place: that is relative to a piece.
fn reason(error: &serde_json::Error) -> String {
    let said = error.to_string();
    said.rsplit_once(" at line ").map_or(said.clone(), |(reason, _)| reason.to_string())
}

/// A JSON object in the order of the file.
struct Object<V>(Vec<(String, V)>);

impl<V> Object<V> {
    fn get(&self, name: &str) -> Option<&V> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Object<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = Object<V>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<V>, A::Error> {
                let mut list = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    list.push(entry);
                }
                Ok(Object(list))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

/// Where in the file the records are.
struct Shape<'a> {
    /// Records, with their ids where those are outside of them.
    nodes: Vec<(Option<String>, &'a str)>,
    edges: Vec<Vec<&'a str>>,
    directed: bool,
}

impl<'a> Shape<'a> {
    fn find(file: &File<'a>, intake: &Intake) -> Result<Self, ImportError> {
        let top: Object<&'a RawValue> = piece(file, file.text, intake)?;
        if top.get("nodes").is_some() {
            return Self::of(file, &top, false, intake);
        }
        if let Some(graph) = top.get("graph") {
            let graph: Object<&'a RawValue> = piece(file, graph.get(), intake)?;
            if graph.get("nodes").is_some() {
                return Self::of(file, &graph, true, intake);
            }
        }
        if let Some(graphs) = top.get("graphs") {
            let list: Vec<&'a RawValue> = piece(file, graphs.get(), intake)?;
            if let [graph] = list.as_slice() {
                return Self::of(file, &piece(file, graph.get(), intake)?, true, intake);
            }
            let found = format!("{} graphs; put each into a file of its own", list.len());
            return Err(wrong_shape(file.line(graphs.get()), "one graph", found, intake));
        }
        let keys: Vec<String> = top.0.iter().take(8).map(|(key, _)| Found::new(key).to_string()).collect();
        let found = if keys.is_empty() { "no keys".into() } else { format!("the keys {}", keys.join(", ")) };
        Err(wrong_shape(1, SHAPE, found, intake))
    }

    /// `by_format`: the object is one of JSON Graph Format, where edges are directed unless it says otherwise.
    fn of(
        file: &File<'a>,
        graph: &Object<&'a RawValue>,
        by_format: bool,
        intake: &Intake,
    ) -> Result<Self, ImportError> {
        if let Some(hyper) = graph.get("hyperedges") {
            return Err(wrong_shape(file.line(hyper.get()), "edges with two ends", "hyperedges".into(), intake));
        }
        let nodes = match graph.get("nodes").map(|raw| raw.get()) {
            Some(raw) if raw.starts_with('{') => {
                let named: Object<&'a RawValue> = piece(file, raw, intake)?;
                named.0.into_iter().map(|(key, record)| (Some(key), record.get())).collect()
            }
            Some(raw) => {
                let list: Vec<&'a RawValue> = piece(file, raw, intake)?;
                list.into_iter().map(|record| (None, record.get())).collect()
            }
            None => Vec::new(),
        };
        let mut edges = Vec::new();
        for name in ["links", "edges"] {
            if let Some(raw) = graph.get(name) {
                let list: Vec<&'a RawValue> = piece(file, raw.get(), intake)?;
                edges.push(list.into_iter().map(RawValue::get).collect());
            }
        }
        let directed = graph.get("directed").map_or(by_format, |raw| raw.get() == "true");
        Ok(Self { nodes, edges, directed })
    }
}

fn piece<'a, T: Deserialize<'a>>(file: &File<'a>, text: &'a str, intake: &Intake) -> Result<T, ImportError> {
    serde_json::from_str(text).map_err(|error| file.broken(text, &error, intake))
}

fn wrong_shape(line: u64, expected: &'static str, found: String, intake: &Intake) -> ImportError {
    ImportError::Syntax { path: intake.path().into(), line, column: None, expected, found: found.into() }
}

/// How edges may name nodes.
#[derive(Default)]
struct Nodes {
    /// By place in the file; `None` for one that was left out.
    by_place: Vec<Option<NodeIndex>>,
    /// By name, where nodes have no ids.
    by_name: HashMap<Box<str>, NodeIndex>,
    have_ids: bool,
    numeric_ids: bool,
}

/// Whether nodes have ids is settled by the first.
fn read_nodes(file: &File<'_>, shape: &Shape<'_>, intake: &mut Intake) -> Result<Nodes, ImportError> {
    let mut nodes = Nodes::default();
    for (place, (outside, record)) in shape.nodes.iter().enumerate() {
        let line = file.line(record);
        let read = read_node(outside.as_deref(), record, place, &mut nodes, intake);
        let index = intake.keep(line, None, read)?;
        nodes.by_place.push(index);
    }
    Ok(nodes)
}

fn read_node(
    outside: Option<&str>,
    record: &str,
    place: usize,
    nodes: &mut Nodes,
    intake: &mut Intake,
) -> Result<NodeIndex, Problem> {
    let record = parse(record, "a node, an object")?;
    let id = record.get("id");
    if place == 0 {
        nodes.have_ids = outside.is_some() || id.is_some();
    }
    nodes.numeric_ids |= outside.is_none() && id.is_some_and(Json::is_number);
    let key = match outside {
        Some(key) => key.to_string(),
        None if nodes.have_ids => {
            id.and_then(key_of).ok_or_else(|| wrong_key("a node with an id, a text or a number", id))?
        }
        None => place.to_string(),
    };
    let properties = properties(&record, if nodes.have_ids { &["id"] } else { &[] }, intake);
    let parts = properties.into_node(&mut intake.notes)?;
    let name = parts.label.clone();
    let index = intake.new_node(&key, parts)?;
    if let Some(name) = name.filter(|_| !nodes.have_ids) {
        nodes.by_name.entry(name).or_insert(index);
    }
    Ok(index)
}

fn read_edges(
    file: &File<'_>,
    list: &[&str],
    nodes: &Nodes,
    directed: bool,
    intake: &mut Intake,
) -> Result<(), ImportError> {
    for record in list {
        let line = file.line(record);
        let read = read_edge(record, nodes, directed, intake);
        intake.keep(line, None, read)?;
    }
    Ok(())
}

fn read_edge(record: &str, nodes: &Nodes, directed: bool, intake: &mut Intake) -> Result<(), Problem> {
    let record = parse(record, "an edge, an object")?;
    let source = find(record.get("source"), "an edge with a source", nodes, intake)?;
    let target = find(record.get("target"), "an edge with a target", nodes, intake)?;
    let parts = properties(&record, &["source", "target"], intake).into_edge(&mut intake.notes)?;
    intake.edge(source, target, directed, parts)
}

/// The node that an edge's end names: by id, by name where there are no ids, by place where ids are not numbers.
fn find(end: Option<&Json>, expected: &'static str, nodes: &Nodes, intake: &Intake) -> Result<NodeIndex, Problem> {
    let key = end.and_then(key_of).ok_or_else(|| wrong_key(expected, end))?;
    let place = || {
        let place = usize::try_from(end.and_then(Json::as_u64)?).ok()?;
        nodes.by_place.get(place).copied().flatten()
    };
    let found = if nodes.have_ids {
        intake.builder.find(&key).or_else(|| if nodes.numeric_ids { None } else { place() })
    } else {
        place().or_else(|| nodes.by_name.get(key.as_str()).copied())
    };
    found.ok_or_else(|| Problem::NoSuchNode { node: Found::new(&key) })
}

/// A text, a number, or, as d3 leaves it after a run, the node itself.
fn key_of(value: &Json) -> Option<String> {
    match value {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Object(node) => node.get("id").filter(|id| !id.is_object()).and_then(key_of),
        _ => None,
    }
}

fn wrong_key(expected: &'static str, found: Option<&Json>) -> Problem {
    found.map_or(Problem::Missing { expected }, |found| Problem::expected(expected, &found.to_string()))
}

fn parse(record: &str, expected: &'static str) -> Result<Object<Json>, Problem> {
    serde_json::from_str(record).map_err(|error| match error.classify() {
        // serde_json's own limit is the only syntax error left: the text as a whole has been checked.
        _ if reason(&error).contains("recursion") => Problem::expected("at most 127 levels of nesting", record),
        _ => Problem::expected(expected, record),
    })
}

/// Everything of a record but the keys that were read already. `metadata`, as JSON Graph Format calls the
/// attributes, is opened.
fn properties(record: &Object<Json>, read: &[&str], intake: &mut Intake) -> Properties {
    let mut properties = Properties::default();
    for (name, value) in record.0.iter().filter(|(name, _)| !read.contains(&name.as_str())) {
        match value {
            Json::Object(metadata) if name == "metadata" => {
                for (name, value) in metadata {
                    push(name, value, &mut properties, &mut intake.notes);
                }
            }
            value => push(name, value, &mut properties, &mut intake.notes),
        }
    }
    properties
}

/// Adds one attribute. Null is no value; lists and objects are kept as JSON text.
pub(super) fn push(name: &str, value: &Json, properties: &mut Properties, notes: &mut Notes) {
    let value = match value {
        Json::Null => return,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.as_str().into()),
        nested => Value::Text(nested.to_string().into()),
    };
    properties.push(name, value, notes);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{import, refusal};
    use super::*;
    use crate::graph::formats::Imported;

    fn edges(imported: &Imported) -> Vec<(String, String)> {
        let graph = &imported.graph;
        let label = |index| graph.node(index).unwrap().label.to_string();
        graph.edges().iter().map(|edge| (label(edge.source), label(edge.target))).collect()
    }

    fn pair(source: &str, target: &str) -> (String, String) {
        (source.into(), target.into())
    }

    #[test]
    fn ends_are_ids_indices_names_or_nodes() {
        let by_id = import("g.json", r#"{"nodes": [{"id": 5}, {"id": 1}], "links": [{"source": 5, "target": 1}]}"#);
        assert_eq!(edges(&by_id), [pair("5", "1")]);
        assert_eq!(by_id.graph.nodes()[0].id.get(), 5);
        let by_index = r#"{"nodes": [{"id": "a"}, {"id": "b"}], "links": [{"source": 1, "target": 0}]}"#;
        assert_eq!(edges(&import("g.json", by_index)), [pair("b", "a")]);
        let d3 = r#"{"nodes": [{"name": "m", "group": 1}, {"name": "n"}], "links": [{"source": 0, "target": "n", "value": 3}]}"#;
        let d3 = import("g.json", d3);
        assert_eq!(edges(&d3), [pair("m", "n")]);
        assert_eq!((d3.graph.edges()[0].weight, d3.graph.nodes()[0].group.as_deref()), (3.0, Some("1")));
        let after = r#"{"nodes": [{"id": "a"}], "links": [{"source": {"id": "a", "x": 1}, "target": "a"}]}"#;
        assert_eq!(edges(&import("g.json", after)), [pair("a", "a")]);
    }

    #[test]
    fn json_graph_format_is_read_in_both_versions() {
        let second = r#"{"graph": {"directed": false, "nodes": {"a": {"label": "A", "metadata": {"age": 4, "group": "g"}}, "b": {}},
            "edges": [{"source": "a", "target": "b", "relation": "knows", "metadata": {"weight": 2}}]}}"#;
        let imported = import("g.jgf", second);
        let (node, edge) = (&imported.graph.nodes()[0], &imported.graph.edges()[0]);
        assert_eq!((&*node.label, node.group.as_deref()), ("A", Some("g")));
        assert_eq!(node.attributes, [("age".into(), Value::Int(4))]);
        assert_eq!((edge.relation.as_deref(), edge.weight, edge.directed), (Some("knows"), 2.0, false));
        let first = r#"{"graphs": [{"nodes": [{"id": "a"}], "edges": [{"source": "a", "target": "a"}]}]}"#;
        assert!(import("g.json", first).graph.edges()[0].directed);
        assert!(refusal("g.json", r#"{"graphs": []}"#).contains("expected one graph, found 0 graphs"));
        assert!(refusal("g.json", r#"{"graph": {"nodes": [], "hyperedges": []}}"#).contains("found hyperedges"));
    }

    #[test]
    fn attributes_keep_their_types_and_order() {
        let text =
            r#"{"nodes": [{"id": "a", "z9": 1.5, "b": [1, {"c": null}], "gone": null, "yes": true}], "edges": []}"#;
        let imported = import("g.json", text);
        let expected: [(Box<str>, Value); 3] = [
            ("z9".into(), Value::Float(1.5)),
            ("b".into(), Value::Text("[1,{\"c\":null}]".into())),
            ("yes".into(), Value::Bool(true)),
        ];
        assert_eq!(imported.graph.nodes()[0].attributes, expected);
    }

    #[test]
    fn bad_records_are_named_by_line_together() {
        let text = "{\"nodes\": [{\"id\": 1},\n{\"id\": 1},\n{\"name\": 2},\n7],\n\"links\": [{\"source\": 1, \"target\": 9},\n{\"source\": 1, \"target\": 1, \"weight\": -1},\n{\"target\": 1}]}";
        let error = refusal("g.json", text);
        for part in [
            "6 bad lines",
            "line 2: expected every node once, found \"1\" a second time",
            "line 3: expected a node with an id, a text or a number, found nothing",
            "line 4: expected a node, an object, found \"7\"",
            "line 5: expected an edge between nodes of the file, found no node \"9\"",
            "line 6: an edge weight must be a finite number >= 0, found -1",
            "line 7: expected an edge with a source, found nothing",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn broken_json_says_where() {
        assert_eq!(
            refusal("g.json", "{\"nodes\": [\n  {\"id\": 1},,\n]}"),
            "g.json: line 2, column 13: expected JSON, found expected value"
        );
        assert!(refusal("g.json", "{\"nodes\": [{\"id\"").contains("EOF while parsing"));
        assert!(refusal("g.json", "[1, 2]").contains("expected an object with nodes, and links or edges"));
        assert!(refusal("g.json", "{\"a\": 1}").contains("found the keys \"a\""));
        let deep = format!("{{\"nodes\": [{{\"id\": {}1{}}}]}}", "[".repeat(200), "]".repeat(200));
        assert!(refusal("g.json", &deep).contains("expected at most 127 levels of nesting"));
    }
}
