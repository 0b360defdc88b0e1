//! GEXF 1.1 to 1.3, as Gephi and networkx write it, with its viz module. Times are left out with a note.

use std::collections::HashMap;

use super::graphml::{Defaults, Kind, wrong_root};
use super::intake::{End, Intake};
use super::note::Note;
use super::properties::{Properties, direction};
use super::source::Source;
use super::xml::{Element, Piece, Xml};
use super::{ImportError, Problem};
use crate::graph::Value;

/// Reads a whole file into `intake`.
pub(super) fn read(source: Source<'_>, intake: &mut Intake) -> Result<(), ImportError> {
    let mut xml = Xml::new(source);
    let mut state = State::default();
    loop {
        match xml.next(intake)? {
            Piece::Start(element) => {
                if element.is_root && element.name != "gexf" {
                    return Err(wrong_root("gexf", &element, intake));
                }
                state.start(element, intake)?;
            }
            Piece::End { name, text } => state.end(name, text, intake)?,
            Piece::Over => return Ok(()),
        }
    }
}

/// An `attribute` element: a column of the nodes or of the edges.
struct Column {
    title: Box<str>,
    kind: Kind,
}

/// A node or edge whose element is open.
struct Record {
    line: u64,
    what: Result<What, Problem>,
    properties: Properties,
}

enum What {
    /// With its id.
    Node(Box<str>),
    /// A node that had to be added at the nodes inside of it.
    Added,
    /// Source, target, and its own word on direction.
    Edge(End, End, Option<bool>),
}

#[derive(Default)]
struct State {
    nodes: Columns,
    edges: Columns,
    /// Whether the open `attributes` element is that of the edges.
    of_edges: bool,
    /// Id and line of the open `attribute` element.
    column: Option<(Box<str>, u64)>,
    directed: bool,
    open: Vec<Record>,
}

#[derive(Default)]
struct Columns {
    list: Vec<Column>,
    by_id: HashMap<Box<str>, usize>,
    defaults: Defaults,
}

impl Columns {
    fn get(&self, id: &str) -> Option<&Column> {
        self.by_id.get(id).and_then(|place| self.list.get(*place))
    }
}

impl State {
    fn start(&mut self, element: Element<'_>, intake: &mut Intake) -> Result<(), ImportError> {
        let text = |name: &str| element.get(name).map(Box::<str>::from);
        match element.name {
            "graph" => {
                self.directed = element.get("defaultedgetype").and_then(direction).unwrap_or(false);
                if element.get("mode") == Some("dynamic") {
                    intake.notes.add(Note::TimesIgnored);
                }
            }
            "attributes" => self.of_edges = element.get("class") == Some("edge"),
            "attribute" => {
                let id: Box<str> = text("id").unwrap_or_default();
                let title = text("title").unwrap_or_else(|| id.clone());
                let column = Column { title, kind: Kind::named(element.get("type")) };
                let columns = if self.of_edges { &mut self.edges } else { &mut self.nodes };
                columns.by_id.insert(id.clone(), columns.list.len());
                columns.list.push(column);
                self.column = Some((id, element.line));
            }
            "nodes" => {
                if let Some(record) = self.open.last_mut() {
                    let added = Record { line: record.line, what: Ok(What::Added), properties: Properties::default() };
                    let parent = std::mem::replace(record, added);
                    self.close(parent, intake)?;
                    intake.notes.flattened();
                }
            }
            "node" => self.open.push(node(&element, intake)),
            "edge" => self.open.push(edge(&element, intake)),
            "attvalue" => self.value(&element, intake),
            "color" | "position" | "size" => self.viz(&element, intake),
            "spell" | "spells" | "slices" => intake.notes.add(Note::TimesIgnored),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str, text: &str, intake: &mut Intake) -> Result<(), ImportError> {
        match name {
            "default" => {
                if let Some((id, line)) = &self.column {
                    let columns = if self.of_edges { &mut self.edges } else { &mut self.nodes };
                    let place = columns.by_id.get(id).copied();
                    if let Some(column) = place.and_then(|place| columns.list.get(place))
                        && let Some(default) = intake.keep(*line, None, column.kind.read(text))?
                    {
                        columns.defaults.add(&column.title, default, &mut intake.notes);
                    }
                }
            }
            "attribute" => self.column = None,
            "node" | "edge" => {
                if let Some(record) = self.open.pop() {
                    self.close(record, intake)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `attvalue`: its column by `for`, or, before GEXF 1.2, by `id`.
    fn value(&mut self, element: &Element<'_>, intake: &mut Intake) {
        let Some(record) = self.open.last_mut() else { return };
        let columns = if matches!(record.what, Ok(What::Edge(..))) { &self.edges } else { &self.nodes };
        let id = element.get("for").or_else(|| element.get("id")).unwrap_or_default();
        let read = match (columns.get(id), element.get("value")) {
            (Some(column), Some(value)) => column.kind.read(value).map(|value| (column, value)),
            (Some(_), None) => Err(Problem::Missing { expected: "an attvalue with a value" }),
            (None, _) => Err(Problem::expected("an attvalue for an attribute that the file declares", id)),
        };
        match read {
            Ok((column, value)) => record.properties.push(&column.title, value, &mut intake.notes),
            Err(problem) if record.what.is_ok() => record.what = Err(problem),
            Err(_) => {}
        }
    }

    /// The viz module: what it says goes by the names that any other file would use for it.
    fn viz(&mut self, element: &Element<'_>, intake: &mut Intake) {
        let Some(record) = self.open.last_mut() else { return };
        let number = |name: &str| element.get(name).and_then(|text| text.trim().parse::<f64>().ok());
        let notes = &mut intake.notes;
        match element.name {
            "color" => {
                let channel = |name| number(name).filter(|part| (0.0..=255.0).contains(part));
                let colour = match (channel("r"), channel("g"), channel("b"), element.get("hex")) {
                    (Some(red), Some(green), Some(blue), _) => format!("{},{},{}", red as u8, green as u8, blue as u8),
                    (_, _, _, Some(hex)) => hex.into(),
                    _ => return,
                };
                record.properties.push("color", Value::Text(colour.into()), notes);
            }
            "position" => {
                for name in ["x", "y", "z"] {
                    if let Some(value) = number(name) {
                        record.properties.push(name, Value::Float(value), notes);
                    }
                }
            }
            _ => {
                if let Some(value) = number("value") {
                    record.properties.push("size", Value::Float(value), notes);
                }
            }
        }
    }

    fn close(&self, mut record: Record, intake: &mut Intake) -> Result<(), ImportError> {
        let line = record.line;
        let columns = if matches!(record.what, Ok(What::Edge(..))) { &self.edges } else { &self.nodes };
        let shared = columns.defaults.apply(&mut record.properties, &mut intake.notes);
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
                intake.edge_between(record.line, source, target, self.directed, parts)
            }
        }
    }
}

fn node(element: &Element<'_>, intake: &mut Intake) -> Record {
    let missing = Problem::Missing { expected: "a node with an id" };
    let what = element.get("id").filter(|id| !id.is_empty()).map(|id| What::Node(id.into())).ok_or(missing);
    let mut properties = Properties::default();
    for name in ["label", "pid"] {
        if let Some(value) = element.get(name) {
            properties.push(name, Value::Text(value.into()), &mut intake.notes);
        }
    }
    Record { line: element.line, what, properties }
}

fn edge(element: &Element<'_>, intake: &mut Intake) -> Record {
    let end = |name, expected| element.get(name).map(|key| intake.end(key)).ok_or(Problem::Missing { expected });
    let own = element
        .get("type")
        .map(|text| direction(text).ok_or_else(|| Problem::expected("directed, undirected or mutual", text)));
    let what = end("source", "an edge with a source")
        .and_then(|source| Ok(What::Edge(source, end("target", "an edge with a target")?, own.transpose()?)));
    let mut properties = Properties::default();
    for name in ["id", "weight", "label", "kind"] {
        if let Some(value) = element.get(name) {
            properties.push(name, Value::Text(value.into()), &mut intake.notes);
        }
    }
    Record { line: element.line, what, properties }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{import, refusal};
    use super::*;

    fn wrap(body: &str) -> String {
        format!(
            "<gexf version='1.2'><graph defaultedgetype='directed'>\n<attributes class='node'>\
             <attribute id='0' title='modularity_class' type='integer'><default>7</default></attribute>\
             <attribute id='1' title='url' type='string'/></attributes>\n{body}\n</graph></gexf>"
        )
    }

    #[test]
    fn attributes_viz_and_edges_are_read() {
        let body = "<nodes><node id='a' label='Anna'><attvalues><attvalue for='0' value='3'/><attvalue for='1' value='u'/></attvalues>\
                    <viz:color r='255' g='128' b='0' a='0.5'/><viz:position x='1' y='-2.5' z='3'/><viz:size value='4'/></node>\
                    <node id='b'><color hex='#00ff00'/></node></nodes>\
                    <edges><edge id='0' source='a' target='b' weight='2' label='likes' kind='friend'/>\
                    <edge source='a' target='b' type='undirected'/></edges>";
        let graph = import("g.gexf", &wrap(body)).graph;
        let anna = &graph.nodes()[0];
        assert_eq!((&*anna.label, anna.group.as_deref(), anna.weight), ("Anna", Some("3"), 4.0));
        assert_eq!((anna.colour, anna.position), (Some(0xff_8000), Some([1.0, -2.5, 3.0])));
        assert_eq!(anna.attributes, [("url".into(), Value::Text("u".into()))]);
        assert_eq!((graph.nodes()[1].group.as_deref(), graph.nodes()[1].colour), (Some("7"), Some(0x00_ff00)));
        let [first, second] = graph.edges() else { panic!("two edges") };
        assert_eq!((first.weight, first.directed, first.label()), (2.0, true, Some("likes")));
        assert_eq!((first.relation.as_deref(), second.directed), (Some("friend"), false));
    }

    #[test]
    fn hierarchies_are_flattened_and_times_noted() {
        let body =
            "<nodes><node id='a'><nodes><node id='b'><spells><spell start='1'/></spells></node></nodes></node></nodes>";
        let imported = import("g.gexf", &wrap(body).replace("<graph ", "<graph mode='dynamic' "));
        assert_eq!(imported.graph.nodes().len(), 2);
        assert_eq!(imported.warnings, [Note::TimesIgnored, Note::Flattened { count: 1 }]);
    }

    #[test]
    fn bad_records_are_named() {
        let body = "<nodes><node id='a'/>\n<node label='x'/>\n<node id='b'><attvalues><attvalue for='0' value='x'/></attvalues></node>\n\
                    <node id='c'><attvalues><attvalue for='9' value='x'/></attvalues></node></nodes>\n\
                    <edges><edge source='a' target='q'/>\n<edge source='a' target='a' type='sideways'/>\n<edge source='a' target='a' weight='-1'/></edges>";
        let error = refusal("g.gexf", &wrap(body));
        for part in [
            "6 bad lines",
            "line 4: expected a node with an id, found nothing",
            "line 5: expected a whole number, found \"x\"",
            "line 6: expected an attvalue for an attribute that the file declares, found \"9\"",
            "line 7: expected an edge between nodes of the file, found no node \"q\"",
            "line 8: expected directed, undirected or mutual, found \"sideways\"",
            "line 9: an edge weight must be a finite number >= 0, found -1",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}
