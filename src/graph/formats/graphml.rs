//! GraphML, as networkx, igraph, yEd and Gephi write it.
//!
//! Ports are passed over, hyperedges refused, nested graphs flattened. Of yEd's own data the node labels are read.

use std::collections::HashMap;

use super::intake::{End, Intake};
use super::note::Notes;
use super::properties::Properties;
use super::source::Source;
use super::xml::{Element, Piece, Xml};
use super::{ImportError, Problem};
use crate::graph::Value;
use crate::limits::ATTRIBUTES_MAX;

/// Defaults of all nodes, or of all edges, that are held. A record has room for fewer names.
const DEFAULTS_MAX: usize = ATTRIBUTES_MAX + 64;

/// Reads a whole file into `intake`.
pub(super) fn read(source: Source<'_>, intake: &mut Intake) -> Result<(), ImportError> {
    let mut xml = Xml::new(source);
    let mut state = State::default();
    loop {
        match xml.next(intake)? {
            Piece::Start(element) => {
                if element.is_root && element.name != "graphml" {
                    return Err(wrong_root("graphml", &element, intake));
                }
                state.start(element, intake)?;
            }
            Piece::End { name, text } => state.end(name, text, intake)?,
            Piece::Over => return Ok(()),
        }
    }
}

/// The error for a document with another root.
pub(super) fn wrong_root(name: &'static str, element: &Element<'_>, intake: &Intake) -> ImportError {
    let expected = if name == "gexf" { "a <gexf> document" } else { "a <graphml> document" };
    let found = format!("<{}>", super::Found::words(element.name)).into();
    ImportError::Syntax { path: intake.path().into(), line: element.line, column: None, expected, found }
}

/// The types that both XML formats give their attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Float,
    Text,
}

impl Kind {
    /// The type called `name`; what is unknown, as a list, is text.
    pub(super) fn named(name: Option<&str>) -> Self {
        match name.unwrap_or("string").trim() {
            "boolean" => Self::Bool,
            "int" | "integer" | "long" | "short" | "byte" => Self::Int,
            "float" | "double" => Self::Float,
            _ => Self::Text,
        }
    }

    /// `text` as a value of this type.
    pub(super) fn read(self, text: &str) -> Result<Value, Problem> {
        let trimmed = text.trim();
        match self {
            Self::Bool => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err(Problem::expected("true or false", text)),
            },
            Self::Int => trimmed.parse().map(Value::Int).map_err(|_| Problem::expected("a whole number", text)),
            Self::Float => trimmed.parse().map(Value::Float).map_err(|_| Problem::expected("a number", text)),
            Self::Text => Ok(Value::Text(text.into())),
        }
    }
}

/// What the nodes have, or the edges, where they do not say otherwise. A file may declare as many names as it has
/// records, so that every record looks at these alone: at names with a default, each once.
#[derive(Default)]
pub(super) struct Defaults {
    list: Vec<(Box<str>, Value)>,
}

impl Defaults {
    /// Adds one, unless the name has one already.
    pub(super) fn add(&mut self, name: &str, value: Value, notes: &mut Notes) {
        if self.list.iter().any(|(known, _)| **known == *name) {
            return;
        }
        if self.list.len() < DEFAULTS_MAX {
            self.list.push((name.into(), value));
        } else {
            notes.attribute_dropped(name.get(..name.floor_char_boundary(40)).unwrap_or_default());
        }
    }

    /// Gives a record those that it has no value for, and gives back the bytes that they take, about.
    pub(super) fn apply(&self, properties: &mut Properties, notes: &mut Notes) -> usize {
        self.list.iter().map(|(name, value)| properties.push_default(name, value, notes)).sum()
    }
}

/// A `key` element.
struct Key {
    id: Box<str>,
    name: Box<str>,
    kind: Kind,
    for_nodes: bool,
    for_edges: bool,
    /// Until the element ends.
    default: Option<Value>,
    line: u64,
}

/// A node or edge whose element is open.
struct Record {
    line: u64,
    /// Its end, or why it is bad already.
    what: Result<What, Problem>,
    properties: Properties,
}

enum What {
    /// With its id.
    Node(Box<str>),
    /// A node that had to be added at the graph inside of it.
    Added,
    /// Source, target, and its own word on direction.
    Edge(End, End, Option<bool>),
}

#[derive(Default)]
struct State {
    keys: Vec<Key>,
    by_id: HashMap<Box<str>, usize>,
    node_defaults: Defaults,
    edge_defaults: Defaults,
    /// `edgedefault` of every open graph.
    directed: Vec<bool>,
    open: Vec<Record>,
    /// Key of the open `data` element: its place, or what it is called.
    data: Option<Result<usize, Box<str>>>,
    /// The open `key` element.
    key: Option<Key>,
}

impl State {
    fn start(&mut self, element: Element<'_>, intake: &mut Intake) -> Result<(), ImportError> {
        let text = |name: &str| element.get(name).map(Box::<str>::from);
        match element.name {
            "key" => {
                let id: Box<str> = text("id").unwrap_or_default();
                let aim = element.get("for").unwrap_or("all");
                // yEd's keys have no attr.name; their data is read by its own elements. Other keys without one
                // go by their id.
                let name =
                    text("attr.name").or_else(|| Some(id.clone()).filter(|_| element.get("yfiles.type").is_none()));
                let name = name.unwrap_or_default();
                self.key = Some(Key {
                    id,
                    name,
                    kind: Kind::named(element.get("attr.type")),
                    for_nodes: matches!(aim, "node" | "all"),
                    for_edges: matches!(aim, "edge" | "all"),
                    default: None,
                    line: element.line,
                });
            }
            "graph" => {
                if let Some(record) = self.open.last_mut() {
                    // The parent is added before its children, so that a child's key cannot take its place.
                    let parent = std::mem::replace(
                        record,
                        Record { line: record.line, what: Ok(What::Added), properties: Properties::default() },
                    );
                    self.close(parent, intake)?;
                    intake.notes.flattened();
                }
                self.directed.push(element.get("edgedefault") == Some("directed"));
            }
            "node" => {
                let missing = Problem::Missing { expected: "a node with an id" };
                let what = text("id").filter(|id| !id.is_empty()).map(What::Node).ok_or(missing);
                self.open.push(Record { line: element.line, what, properties: Properties::default() });
            }
            "edge" => {
                let missing = |expected| Problem::Missing { expected };
                let end = |name: &str| element.get(name).map(|key| intake.end(key));
                let source = end("source").ok_or(missing("an edge with a source"));
                let target = end("target").ok_or(missing("an edge with a target"));
                let own = match element.get("directed") {
                    Some("true" | "1") => Ok(Some(true)),
                    Some("false" | "0") => Ok(Some(false)),
                    None => Ok(None),
                    Some(other) => Err(Problem::expected("true or false in `directed`", other)),
                };
                let what = source.and_then(|source| Ok(What::Edge(source, target?, own?)));
                let mut properties = Properties::default();
                if let Some(id) = text("id") {
                    properties.push("id", Value::Text(id), &mut intake.notes);
                }
                self.open.push(Record { line: element.line, what, properties });
            }
            "hyperedge" => {
                let problem = Problem::expected("an edge with two ends", "hyperedge");
                intake.keep::<()>(element.line, None, Err(problem))?;
            }
            "data" => self.data = element.get("key").map(|key| self.by_id.get(key).copied().ok_or_else(|| key.into())),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str, text: &str, intake: &mut Intake) -> Result<(), ImportError> {
        match name {
            "default" => {
                if let Some(key) = &mut self.key {
                    let value = key.kind.read(text);
                    key.default = intake.keep(key.line, None, value)?;
                }
            }
            "key" => {
                if let Some(mut key) = self.key.take() {
                    if let Some(default) = key.default.take().filter(|_| !key.name.is_empty()) {
                        if key.for_nodes {
                            self.node_defaults.add(&key.name, default.clone(), &mut intake.notes);
                        }
                        if key.for_edges {
                            self.edge_defaults.add(&key.name, default, &mut intake.notes);
                        }
                    }
                    self.by_id.insert(key.id.clone(), self.keys.len());
                    self.keys.push(key);
                }
            }
            "data" => {
                let key = self.data.take();
                self.take_data(key, text, &mut intake.notes);
            }
            "NodeLabel" | "EdgeLabel" => {
                if let Some(record) = self.open.last_mut() {
                    record.properties.push_default("label", &Value::Text(text.trim().into()), &mut intake.notes);
                }
            }
            "graph" => {
                self.directed.pop();
            }
            "node" | "edge" => {
                if let Some(record) = self.open.pop() {
                    self.close(record, intake)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_data(&mut self, key: Option<Result<usize, Box<str>>>, text: &str, notes: &mut Notes) {
        let Some(record) = self.open.last_mut() else { return };
        let known = key.as_ref().and_then(|key| self.keys.get(*key.as_ref().ok()?));
        match known {
            Some(key) if key.name.is_empty() => {}
            Some(key) => match key.kind.read(text) {
                Ok(value) => record.properties.push(&key.name, value, notes),
                Err(problem) if record.what.is_ok() => record.what = Err(problem),
                Err(_) => {}
            },
            None if record.what.is_ok() => {
                let name = key.and_then(Result::err).unwrap_or_default();
                record.what = Err(Problem::expected("data with a key that the file declares", &name));
            }
            None => {}
        }
    }

    fn close(&self, mut record: Record, intake: &mut Intake) -> Result<(), ImportError> {
        let line = record.line;
        let is_node = !matches!(record.what, Ok(What::Edge(..)));
        let defaults = if is_node { &self.node_defaults } else { &self.edge_defaults };
        let shared = defaults.apply(&mut record.properties, &mut intake.notes);
        intake.share(line, shared)?;
        let added = self.add(record, intake);
        intake.keep(line, None, added)?;
        Ok(())
    }

    fn add(&self, record: Record, intake: &mut Intake) -> Result<(), Problem> {
        let (properties, what) = (record.properties, record.what?);
        match what {
            What::Added => Ok(()),
            What::Node(id) => {
                let parts = properties.into_node(&mut intake.notes)?;
                intake.new_node(&id, parts).map(|_| ())
            }
            What::Edge(source, target, own) => {
                let mut parts = properties.into_edge(&mut intake.notes)?;
                parts.directed = own.or(parts.directed);
                let directed = self.directed.last().copied().unwrap_or(false);
                intake.edge_between(record.line, source, target, directed, parts)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{import, import_skipping, refusal};

    fn wrap(body: &str) -> String {
        format!(
            "<graphml><key id='l' for='node' attr.name='label' attr.type='string'><default>none</default></key>\n\
             <key id='w' for='edge' attr.name='weight' attr.type='double'><default>2.5</default></key>\n\
             <graph edgedefault='directed'>\n{body}\n</graph></graphml>"
        )
    }

    #[test]
    fn types_defaults_and_directions_are_read() {
        let body = "<node id='a'><data key='l'>A &amp; &#66; <![CDATA[<c>]]></data><port name='p'/></node><node id='b'/>\
                    <edge source='a' target='b'/><edge id='e1' source='b' target='a' directed='false'><data key='w'>1</data></edge>";
        let graph = import("g.graphml", &wrap(body)).graph;
        assert_eq!((&*graph.nodes()[0].label, &*graph.nodes()[1].label), ("A & B <c>", "none"));
        let edges: Vec<_> = graph.edges().iter().map(|edge| (edge.weight, edge.directed)).collect();
        assert_eq!(edges, [(2.5, true), (1.0, false)]);
    }

    #[test]
    fn nested_graphs_are_flattened_and_edges_may_come_first() {
        let body = "<edge source='a' target='a::b'/><node id='a'><data key='l'>A</data>\
                    <graph edgedefault='undirected'><node id='a::b'/><edge source='a::b' target='a'/></graph></node>";
        let imported = import("g.graphml", &wrap(body));
        let nodes: Vec<&str> = imported.graph.nodes().iter().map(|node| &*node.key).collect();
        assert_eq!(nodes, ["a", "a::b"]);
        assert_eq!(&*imported.graph.nodes()[0].label, "A");
        let directed: Vec<bool> = imported.graph.edges().iter().map(|edge| edge.directed).collect();
        assert_eq!(directed, [false, true]);
        assert_eq!(imported.warnings.len(), 1);
    }

    #[test]
    fn labels_of_yed_are_read() {
        let body = "<node id='n0'><data key='y'><y:ShapeNode><y:NodeLabel x='1'>Anna</y:NodeLabel></y:ShapeNode></data></node>";
        let text =
            wrap(body).replace("<graph ", "<key id='y' for='node' yfiles.type='nodegraphics'><default/></key><graph ");
        let graph = import("g.graphml", &text.replace("<default>none</default>", "")).graph;
        assert_eq!((&*graph.nodes()[0].label, graph.nodes()[0].attributes.len()), ("Anna", 0));
    }

    #[test]
    fn a_key_without_a_name_goes_by_its_id() {
        let text = wrap("<node id='n0'><data key='age'>4</data></node>");
        let text = text.replace("<graph ", "<key id='age' for='node' attr.type='int'/><graph ");
        let graph = import("g.graphml", &text).graph;
        assert_eq!(graph.nodes()[0].attributes, [("age".into(), crate::graph::Value::Int(4))]);
    }

    #[test]
    fn bad_records_are_named_and_can_be_skipped() {
        let body = "<node id='a'/>\n<node/>\n<node id='a'/>\n<edge source='a' target='z'/>\n<edge source='a'/>\n\
                    <edge source='a' target='a'><data key='w'>x</data></edge>\n<hyperedge/>\n<node id='b'><data key='?'>1</data></node>\n\
                    <edge source='a' target='a'><data key='w'>-2</data></edge>";
        let error = refusal("g.graphml", &wrap(body));
        for part in [
            "8 bad lines",
            "line 5: expected a node with an id, found nothing",
            "line 6: expected every node once, found \"a\" a second time",
            "line 7: expected an edge between nodes of the file, found no node \"z\"",
            "line 8: expected an edge with a target, found nothing",
            "line 9: expected a number, found \"x\"",
            "line 10: expected an edge with two ends, found \"hyperedge\"",
            "line 11: expected data with a key that the file declares, found \"?\"",
            "line 12: an edge weight must be a finite number >= 0, found -2",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let skipped = import_skipping("g.graphml", &wrap(body));
        assert_eq!((skipped.graph.nodes().len(), skipped.graph.edges().len(), skipped.skipped_count), (1, 0, 8));
    }

    #[test]
    fn entities_are_refused_and_never_expanded() {
        let bomb = "<!DOCTYPE g [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>\n<graphml><graph><node id='&b;'/></graph></graphml>";
        assert!(refusal("g.graphml", bomb).starts_with("g.graphml: line 1: expected text without entities of its own"));
        assert!(refusal("g.graphml", &wrap("<node id='&b;'/>")).contains("line 4: expected text without entities"));
        assert!(refusal("g.graphml", &wrap("<node id='b'><data key='l'>&who;</data></node>")).contains("\"&who;\""));
    }

    #[test]
    fn broken_xml_says_where() {
        assert!(
            refusal("g.graphml", &wrap("<node id='a'>"))
                .starts_with("g.graphml: line 5, column 1: expected XML, found ")
        );
        assert!(refusal("g.graphml", "<graphml><graph>").contains("the end of the file"));
        assert!(refusal("g.graphml", "<html><body/></html>").contains("expected a <graphml> document, found <html>"));
        assert!(refusal("g.graphml", &wrap(&"<a>".repeat(200))).contains("expected at most 100 levels of nesting"));
        assert!(refusal("g.graphml", &wrap("<node id=a/>")).contains("line 4"));
    }
}
