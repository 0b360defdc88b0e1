//! GML, as networkx, igraph, Gephi and yEd write it.
//!
//! Nodes go by their `id`. Of `graphics` the position and the fill are the node's own; what else stands in lists
//! becomes attributes with points in their names, as `graphics.w`, and a key that stands in a record twice a list as
//! JSON. Texts hold any character by number (`&#228;`). What our own exporter writes has the key of a node beside its
//! id, and attributes of any name as `attribute [ name "..." value ... ]`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::cursor::{Cursor, DEPTH_MAX};
use super::import::whole;
use super::intake::Intake;
use super::properties::{EdgeParts, OWN, Properties, text};
use super::source::Source;
use super::{Found, ImportError, Problem};
use crate::graph::{NodeIndex, Value};
use crate::limits::{ATTRIBUTES_MAX, TEXT_BYTES_MAX};

/// Names of one record that are held until it ends; the graph keeps fewer.
const NAMES_MAX: usize = ATTRIBUTES_MAX + 64;

/// What networkx writes first into a list of one.
const LIST_START: &str = "_networkx_list_start";

/// Whether `head`, the start of a file, can only be GML.
pub(super) fn starts(head: &str) -> bool {
    let mut lines = head.lines().map(str::trim_start).skip_while(|line| line.is_empty() || line.starts_with('#'));
    let Some(first) = lines.next() else { return false };
    let after = |word: &str| {
        let rest = first.strip_prefix(word)?;
        // The bracket may stand in the next line.
        Some(if rest.trim().is_empty() { lines.clone().next().unwrap_or_default().trim() } else { rest.trim_start() })
    };
    after("graph").is_some_and(|rest| rest.starts_with('['))
        || after("Creator").is_some_and(|rest| rest.starts_with('"'))
}

/// Reads a whole file into `intake`.
pub(super) fn read(mut source: Source<'_>, intake: &mut Intake) -> Result<(), ImportError> {
    let text = whole(&mut source, intake.path())?;
    let mut reader = Reader { cursor: Cursor::new(&text), intake, ours: false };
    let mut graphs = 0;
    while let Some(key) = reader.key()? {
        let line = reader.cursor.line();
        match (key, reader.value()?) {
            ("graph", Token::Open) => {
                graphs += 1;
                if graphs > 1 {
                    let path = reader.intake.path().into();
                    let (expected, found) = ("one graph", "another one; put each into a file of its own".into());
                    return Err(ImportError::Syntax { path, line, column: None, expected, found });
                }
                reader.graph()?;
            }
            ("Creator", Token::Value(Value::Text(who))) => reader.ours = who.starts_with("swarmcast"),
            (_, Token::Open) => reader.skip(1)?,
            (_, Token::Value(_)) => {}
        }
    }
    if graphs == 0 { Err(reader.cursor.wrong("graph [", reader.intake)) } else { Ok(()) }
}

/// What stands behind a key.
enum Token {
    /// The bracket that opens a list.
    Open,
    Value(Value),
}

/// A node or an edge.
struct Record<'a> {
    line: u64,
    entries: Vec<Entry<'a>>,
}

/// A key with its value, or its values.
struct Entry<'a> {
    name: Cow<'a, str>,
    value: Value,
    more: Vec<Value>,
}

/// An edge that waits for the end of the graph, where all nodes and the word on direction have been read.
struct Waiting {
    line: u64,
    source: Box<str>,
    target: Box<str>,
    parts: EdgeParts,
}

struct Reader<'a, 'i> {
    cursor: Cursor<'a>,
    intake: &'i mut Intake,
    /// Whether our exporter wrote the file.
    ours: bool,
}

impl<'a> Reader<'a, '_> {
    /// Passes blanks and comments over.
    fn blanks(&mut self) {
        loop {
            self.cursor.take_while(char::is_whitespace);
            if self.cursor.peek() != Some('#') {
                return;
            }
            self.cursor.take_while(|character| character != '\n');
        }
    }

    /// The next key; `None` at the end of the file.
    fn key(&mut self) -> Result<Option<&'a str>, ImportError> {
        self.blanks();
        match self.cursor.peek() {
            None => Ok(None),
            Some(first) if first.is_alphabetic() || first == '_' => {
                Ok(Some(self.cursor.take_while(|character| character.is_alphanumeric() || "_-.".contains(character))))
            }
            Some(_) => Err(self.cursor.wrong("a key, a word", self.intake)),
        }
    }

    /// The next key of a list; `None` where the list is closed.
    fn key_in_list(&mut self) -> Result<Option<&'a str>, ImportError> {
        self.blanks();
        if self.cursor.pass("]") {
            return Ok(None);
        }
        match self.key()? {
            Some(key) => Ok(Some(key)),
            None => Err(self.cursor.wrong("a closing ]", self.intake)),
        }
    }

    fn value(&mut self) -> Result<Token, ImportError> {
        const EXPECTED: &str = "a number, a text in quotes or a list in brackets";
        self.blanks();
        if self.cursor.pass("[") {
            return Ok(Token::Open);
        }
        if self.cursor.peek() == Some('"') {
            self.cursor.advance(1);
            return match self.cursor.take_until("\"") {
                Some(text) => Ok(Token::Value(Value::Text(resolved(text)))),
                None => Err(self.cursor.wrong("a closing quote", self.intake)),
            };
        }
        let place = self.cursor.rest();
        let word = self.cursor.take_while(|character| !character.is_whitespace() && !"[]\"".contains(character));
        match number(word) {
            Some(value) => Ok(Token::Value(value)),
            None => {
                self.cursor.back_to(place);
                Err(self.cursor.wrong(EXPECTED, self.intake))
            }
        }
    }

    /// Passes over a list that was opened.
    fn skip(&mut self, depth: usize) -> Result<(), ImportError> {
        if depth > DEPTH_MAX {
            return Err(self.cursor.too_deep(self.intake));
        }
        while self.key_in_list()?.is_some() {
            if matches!(self.value()?, Token::Open) {
                self.skip(depth + 1)?;
            }
        }
        Ok(())
    }

    fn graph(&mut self) -> Result<(), ImportError> {
        let mut directed = false;
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut by_id: HashMap<Box<str>, NodeIndex> = HashMap::new();
        while let Some(key) = self.key_in_list()? {
            let line = self.cursor.line();
            match (key, self.value()?) {
                ("directed", Token::Value(value)) => directed = value == Value::Int(1),
                ("node", Token::Open) => {
                    let record = self.record(line)?;
                    let node = self.node(record, &mut by_id);
                    self.intake.keep(line, None, node)?;
                }
                ("edge", Token::Open) => {
                    let record = self.record(line)?;
                    let edge = self.edge(record);
                    waiting.extend(self.intake.keep(line, None, edge)?);
                }
                (_, Token::Open) => self.skip(2)?,
                (_, Token::Value(_)) => {}
            }
        }
        for Waiting { line, source, target, parts } in waiting {
            let find = |id: &str, intake: &Intake| {
                let found = by_id.get(id).copied().or_else(|| intake.builder.find(id));
                found.ok_or_else(|| Problem::NoSuchNode { node: Found::new(id) })
            };
            let ends = find(&source, self.intake).and_then(|source| Ok((source, find(&target, self.intake)?)));
            let edge = ends.and_then(|(source, target)| self.intake.edge(source, target, directed, parts));
            self.intake.keep(line, None, edge)?;
        }
        Ok(())
    }

    /// Reads the list of a node or an edge to its end.
    fn record(&mut self, line: u64) -> Result<Record<'a>, ImportError> {
        let mut record = Record { line, entries: Vec::new() };
        self.entries("", 2, &mut record)?;
        Ok(record)
    }

    fn entries(&mut self, prefix: &str, depth: usize, record: &mut Record<'a>) -> Result<(), ImportError> {
        if depth > DEPTH_MAX {
            return Err(self.cursor.too_deep(self.intake));
        }
        while let Some(key) = self.key_in_list()? {
            // A record may be the whole file: an import that nobody wants any more ends inside of it, too.
            self.intake.keep(record.line, None, Ok(()))?;
            match self.value()? {
                Token::Open if prefix.is_empty() && key == "attribute" && self.ours => self.attribute(record)?,
                // No attribute has such a name, and a list's is copied for all that stands in it.
                token if prefix.len() + key.len() > TEXT_BYTES_MAX => {
                    self.intake.notes.attribute_dropped(key.get(..key.floor_char_boundary(40)).unwrap_or_default());
                    if matches!(token, Token::Open) {
                        self.skip(depth + 1)?;
                    }
                }
                Token::Open => self.entries(&format!("{prefix}{key}."), depth + 1, record)?,
                Token::Value(value) => {
                    let name = if prefix.is_empty() { key.into() } else { format!("{prefix}{key}").into() };
                    self.push(record, name, value);
                }
            }
        }
        Ok(())
    }

    /// `attribute [ name "..." value ... ]`.
    fn attribute(&mut self, record: &mut Record<'a>) -> Result<(), ImportError> {
        let (mut name, mut kept) = (None, None);
        while let Some(key) = self.key_in_list()? {
            match (key, self.value()?) {
                ("name", Token::Value(Value::Text(text))) => name = Some(text),
                ("value", Token::Value(value)) => kept = Some(value),
                (_, Token::Open) => self.skip(3)?,
                _ => {}
            }
        }
        if let (Some(name), Some(value)) = (name, kept) {
            self.push(record, format!("{OWN}{name}").into(), value);
        }
        Ok(())
    }

    fn push(&mut self, record: &mut Record<'a>, name: Cow<'a, str>, value: Value) {
        if let Some(entry) = record.entries.iter_mut().find(|entry| entry.name == name) {
            entry.more.push(value);
        } else if record.entries.len() < NAMES_MAX {
            record.entries.push(Entry { name, value, more: Vec::new() });
        } else {
            self.intake.notes.attribute_dropped(name.get(..name.floor_char_boundary(40)).unwrap_or_default());
        }
    }

    fn node(&mut self, mut record: Record<'a>, by_id: &mut HashMap<Box<str>, NodeIndex>) -> Result<NodeIndex, Problem> {
        let id = record.take("id").ok_or(Problem::Missing { expected: "a node with an id" })?;
        // Graphviz has a node without a name, and so may what was exported: its key is empty.
        let key = if self.ours { record.take_any("key") } else { None };
        let properties = self.properties(record, |name| match name {
            "graphics.x" | "graphics.y" | "graphics.z" => name.rsplit('.').next().unwrap_or(name),
            "graphics.fill" => "color",
            "LabelGraphics.text" => "label",
            other => other,
        });
        let parts = properties.into_node(&mut self.intake.notes)?;
        if by_id.contains_key(&id) {
            return Err(Problem::NodeTwice { node: Found::new(&id) });
        }
        let named = key.is_some();
        let index = self.intake.new_node(key.as_deref().unwrap_or(&id), parts)?;
        if named {
            by_id.insert(id, index);
        }
        Ok(index)
    }

    fn edge(&mut self, mut record: Record<'a>) -> Result<Waiting, Problem> {
        let line = record.line;
        let source = record.take("source").ok_or(Problem::Missing { expected: "an edge with a source" })?;
        let target = record.take("target").ok_or(Problem::Missing { expected: "an edge with a target" })?;
        let properties = self.properties(record, |name| if name == "LabelGraphics.text" { "label" } else { name });
        let parts = properties.into_edge(&mut self.intake.notes)?;
        Ok(Waiting { line, source, target, parts })
    }

    /// The entries by the names that other formats use for them. A name that stands there itself is not replaced.
    fn properties(&mut self, record: Record<'a>, rename: impl Fn(&str) -> &str) -> Properties {
        let mut properties = Properties::default();
        let notes = &mut self.intake.notes;
        let (renamed, plain): (Vec<_>, Vec<_>) =
            record.entries.into_iter().partition(|entry| rename(&entry.name) != &*entry.name);
        for entry in plain {
            let name = entry.name.clone();
            properties.push(&name, entry.into_value(), notes);
        }
        for entry in renamed {
            let name = entry.name.clone();
            properties.push_default(rename(&name), &entry.into_value(), notes);
        }
        properties
    }
}

impl Record<'_> {
    /// Takes a value out, as text; `None` where there is none or an empty one.
    fn take(&mut self, name: &str) -> Option<Box<str>> {
        self.take_any(name).filter(|text| !text.is_empty())
    }

    /// The same, where an empty text is one too.
    fn take_any(&mut self, name: &str) -> Option<Box<str>> {
        let place = self.entries.iter().position(|entry| entry.name == name)?;
        text(&self.entries.remove(place).value)
    }
}

impl Entry<'_> {
    /// The value, or a list as JSON.
    fn into_value(self) -> Value {
        if self.more.is_empty() {
            return self.value;
        }
        let all: Vec<Value> = [self.value]
            .into_iter()
            .chain(self.more)
            .filter(|value| *value != Value::Text(LIST_START.into()))
            .collect();
        Value::Text(serde_json::to_string(&all).unwrap_or_default().into())
    }
}

/// A word that is a number: whole, or with a point, an exponent, or `NAN` or `INF`, which networkx and igraph spell in
/// cases of their own. A whole number of more than 64 bits keeps its spelling.
fn number(word: &str) -> Option<Value> {
    if let Ok(whole) = word.parse() {
        return Some(Value::Int(whole));
    }
    let digits = word.trim_start_matches(['+', '-']);
    let named = ["NAN", "INF"].iter().any(|name| digits.eq_ignore_ascii_case(name));
    if named || digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        let float: f64 = word.parse().ok()?;
        let whole = digits.bytes().all(|digit| digit.is_ascii_digit());
        return Some(if whole { Value::Text(word.into()) } else { Value::Float(float) });
    }
    None
}

/// A text with its entities resolved. One that is not known stands for itself.
fn resolved(text: &str) -> Box<str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, entity) = rest.split_at(at);
        out.push_str(before);
        // The longest is a character's number.
        let end = entity.bytes().take(12).position(|byte| byte == b';');
        let found = end.and_then(|end| Some((character(entity.get(1..end)?)?, end + 1)));
        let (character, length) = found.unwrap_or(('&', 1));
        out.push(character);
        rest = entity.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out.into()
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "quot" => Some('"'),
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "apos" => Some('\''),
        _ => {
            let digits = entity.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            code.ok().and_then(char::from_u32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{import, import_skipping, refusal};
    use super::*;

    #[test]
    fn nodes_edges_and_graphics_are_read() {
        let text = "# by hand\ngraph [\n directed 1\n comment \"[ x ]\"\n\
            node [ id 7 label \"M&#252;ller &amp; &quot;Co&quot;\" age 4 f 1.5e3 graphics [ x 1 y 2.5 w 9 fill \"#ff8000\" ] ]\n\
            edge [ source 7 target 3 weight 2.5 label \"to\" ]\n node [ id 3 ] ]";
        let graph = import("g.gml", text).graph;
        let node = &graph.nodes()[0];
        assert_eq!((node.id.get(), &*node.label), (7, "Müller & \"Co\""));
        assert_eq!((node.position, node.colour), (Some([1.0, 2.5, 0.0]), Some(0xff_8000)));
        let expected: [(Box<str>, Value); 3] =
            [("age".into(), Value::Int(4)), ("f".into(), Value::Float(1500.0)), ("graphics.w".into(), Value::Int(9))];
        assert_eq!(node.attributes, expected);
        let edge = &graph.edges()[0];
        assert_eq!((edge.weight, edge.directed, edge.label()), (2.5, true, Some("to")));
    }

    #[test]
    fn keys_that_stand_twice_are_lists() {
        let text = "graph [ node [ id 0 a 1 a \"x\" b \"_networkx_list_start\" b 2.5 ] directed 1 edge [ source 0 target 0 ] ]";
        let graph = import("g.gml", text).graph;
        let expected: [(Box<str>, Value); 2] =
            [("a".into(), Value::Text("[1,\"x\"]".into())), ("b".into(), Value::Text("[2.5]".into()))];
        assert_eq!(graph.nodes()[0].attributes, expected);
        assert!(graph.edges()[0].directed);
    }

    #[test]
    fn bad_records_are_named_by_line() {
        let text = "graph [\nnode [ id 1 ]\nnode [ id 1 ]\nnode [ label \"x\" ]\nedge [ source 1 target 9 ]\n\
                    edge [ source 1 ]\nedge [ source 1 target 1 weight -1 ]\nedge [ source 1 target 1 ] ]";
        let error = refusal("g.gml", text);
        for part in [
            "5 bad lines",
            "line 3: expected every node once, found \"1\" a second time",
            "line 4: expected a node with an id, found nothing",
            "line 5: expected an edge between nodes of the file, found no node \"9\"",
            "line 6: expected an edge with a target, found nothing",
            "line 7: an edge weight must be a finite number >= 0, found -1",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert_eq!(import_skipping("g.gml", text).graph.edges().len(), 1);
    }

    #[test]
    fn broken_syntax_says_where() {
        let deep = format!("graph [ {}", "a [ ".repeat(101));
        let cases = [
            ("graph [ node [ id 1 ]", "g.gml: line 1, column 22: expected a closing ], found the end of the file"),
            (
                "graph [\n node [ id one ] ]",
                "g.gml: line 2, column 12: expected a number, a text in quotes or a list in brackets, found \"one\"",
            ),
            ("graph [\n 7 ]", "g.gml: line 2, column 2: expected a key, a word, found \"7\""),
            ("graph [ label \"x ]", "g.gml: line 1, column 16: expected a closing quote, found \"x\""),
            ("Version 1", "g.gml: line 1, column 10: expected graph [, found the end of the file"),
            (
                "graph [ ]\ngraph [ ]",
                "g.gml: line 2: expected one graph, found another one; put each into a file of its own",
            ),
            (&deep, "g.gml: line 1: expected at most 100 levels of nesting, found more"),
        ];
        for (text, message) in cases {
            assert_eq!(refusal("g.gml", text), message);
        }
    }
}
