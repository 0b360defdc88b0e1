//! DOT, Graphviz's language, whole as far as its grammar goes.
//!
//! | in the file | in the graph |
//! |---|---|
//! | `a -> b -> {c d}` | an edge for each pair of neighbours; `strict` merges parallel ones |
//! | `node [...]`, `edge [...]` | attributes of what is made after it, in this subgraph |
//! | `subgraph cluster_x { ... }`, any with a name | the group of the nodes that are named in it first: its label, for a cluster, else its name |
//! | `label` | label, with Graphviz's escapes; of HTML the words |
//! | `pos="x,y"`, `"x,y,z!"` | position, and pinned |
//! | `dir=none` in a digraph | an undirected edge |
//! | a number, `true` or `false` without quotes | a value of that type; all else is text |
//! | `<b>x</b>` as a name | the key `<<b>x</b>>` |
//!
//! Ports are dropped with a note, attributes of the graph without. Source: graphviz.org/doc/info/lang.html.

mod lexer;
mod values;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use self::lexer::{Lexer, Token, Word};
use self::values::{html_text, label, position};
use super::cursor::DEPTH_MAX;
use super::import::whole;
use super::intake::Intake;
use super::properties::{Properties, attribute_bytes};
use super::source::Source;
use super::{Found, ImportError, Problem};
use crate::graph::{BuildError, Value};
use crate::limits::ATTRIBUTES_MAX;

pub(super) use self::lexer::starts;

/// Names of one record that are held until it ends; the graph keeps fewer.
const NAMES_MAX: usize = ATTRIBUTES_MAX + 64;

/// Pairs for each edge of the limit that `strict` may merge, past those that the file spells one by one. Without it a
/// megabyte of subgraphs joined to themselves could ask for billions.
const MERGED_PAIRS_PER_EDGE: usize = 4;

type Attrs = Vec<(Box<str>, Value)>;

/// Reads a whole file into `intake`.
pub(super) fn read(mut source: Source<'_>, intake: &mut Intake) -> Result<(), ImportError> {
    let text = whole(&mut source, intake.path())?;
    let mut reader = Reader::new(Lexer::new(&text), intake);
    reader.graph()?;
    reader.finish()
}

/// A node as far as the file has said it.
struct Seen {
    line: u64,
    key: Rc<str>,
    group: Option<usize>,
    attrs: Attrs,
}

/// An edge; those of one statement share their attributes.
struct Link {
    line: u64,
    source: usize,
    target: usize,
    attrs: Rc<Attrs>,
}

/// The graph or a subgraph while it is open.
#[derive(Default)]
struct Scope {
    node: Attrs,
    edge: Attrs,
    /// The group of nodes that are named first here, by its number.
    group: Option<usize>,
    /// Whether the group is this subgraph's own, so that its label is the group's name.
    cluster: bool,
    /// Nodes that it names, some more than once.
    members: Vec<usize>,
}

struct Reader<'a, 'i> {
    lexer: Lexer<'a>,
    intake: &'i mut Intake,
    directed: bool,
    strict: bool,
    nodes: Vec<Seen>,
    by_key: HashMap<Rc<str>, usize>,
    links: Vec<Link>,
    /// Edges by their ends, where parallel ones are merged.
    merged: HashMap<(usize, usize), usize>,
    /// Pairs of ends that subgraphs made in a strict graph, past as many as there were ends.
    pairs: usize,
    groups: Vec<Box<str>>,
    ports: u64,
}

impl<'a, 'i> Reader<'a, 'i> {
    fn new(lexer: Lexer<'a>, intake: &'i mut Intake) -> Self {
        Self {
            lexer,
            intake,
            directed: false,
            strict: false,
            nodes: Vec::new(),
            by_key: HashMap::new(),
            links: Vec::new(),
            merged: HashMap::new(),
            pairs: 0,
            groups: Vec::new(),
            ports: 0,
        }
    }

    fn graph(&mut self) -> Result<(), ImportError> {
        self.strict = self.lexer.pass_keyword("strict", self.intake)?;
        self.directed = self.lexer.pass_keyword("digraph", self.intake)?;
        if !self.directed && !self.lexer.pass_keyword("graph", self.intake)? {
            return Err(self.lexer.wrong("graph or digraph", self.intake));
        }
        if let Token::Word(_) = self.lexer.peek(self.intake)? {
            self.lexer.next(self.intake)?;
        }
        self.lexer.expect('{', "{", self.intake)?;
        let mut root = Scope::default();
        self.statements(&mut root, 1)?;
        match self.lexer.peek(self.intake)? {
            Token::Over => Ok(()),
            _ => Err(self.lexer.wrong("the end of the file; put another graph into a file of its own", self.intake)),
        }
    }

    /// Everything up to the closing brace, which is passed over.
    fn statements(&mut self, scope: &mut Scope, depth: usize) -> Result<(), ImportError> {
        if depth > DEPTH_MAX {
            return Err(self.lexer.too_deep(self.intake));
        }
        loop {
            match self.lexer.peek(self.intake)? {
                Token::Mark('}') => {
                    self.lexer.next(self.intake)?;
                    return Ok(());
                }
                Token::Mark(';' | ',') => {
                    self.lexer.next(self.intake)?;
                }
                _ => self.statement(scope, depth)?,
            }
        }
    }

    fn statement(&mut self, scope: &mut Scope, depth: usize) -> Result<(), ImportError> {
        for (kind, keyword) in ["graph", "node", "edge"].into_iter().enumerate() {
            if self.lexer.pass_keyword(keyword, self.intake)? {
                let attrs = self.attributes()?;
                for (name, value) in attrs {
                    match kind {
                        0 => self.graph_attribute(scope, &name, &value),
                        1 => self.set(&mut scope.node, name, value),
                        _ => self.set(&mut scope.edge, name, value),
                    }
                }
                return Ok(());
            }
        }
        let line = self.lexer.line(self.intake)?;
        if let Token::Word(word) = self.lexer.peek(self.intake)?
            && !word.is_keyword("subgraph")
        {
            self.lexer.next(self.intake)?;
            if matches!(self.lexer.peek(self.intake)?, Token::Mark('=')) {
                self.lexer.next(self.intake)?;
                let value = self.lexer.word("a value", self.intake)?.value(word.text() == "label");
                self.graph_attribute(scope, word.text(), &value);
                return Ok(());
            }
            let node = self.node(&word, line, scope)?;
            self.port()?;
            if !matches!(self.lexer.peek(self.intake)?, Token::Operator(_)) {
                for (name, value) in self.attributes()? {
                    self.set_of_node(node, name, value);
                }
                return Ok(());
            }
            return self.chain(vec![node], line, scope, depth);
        }
        let members = self.subgraph(scope, depth)?;
        if matches!(self.lexer.peek(self.intake)?, Token::Operator(_)) {
            return self.chain(members, line, scope, depth);
        }
        Ok(())
    }

    /// Only the label of a cluster means something here.
    fn graph_attribute(&mut self, scope: &Scope, name: &str, value: &Value) {
        if let (true, "label", Some(group), Value::Text(text)) = (scope.cluster, name, scope.group, value)
            && let Some(slot) = self.groups.get_mut(group)
        {
            let words = label(text, slot);
            if !words.is_empty() {
                *slot = words;
            }
        }
    }

    /// A subgraph, and the nodes it names, each once.
    fn subgraph(&mut self, above: &mut Scope, depth: usize) -> Result<Vec<usize>, ImportError> {
        let mut scope = Scope { node: above.node.clone(), edge: above.edge.clone(), ..Scope::default() };
        let line = self.lexer.line(self.intake)?;
        self.share(line, &[(&above.node, 1), (&above.edge, 1)])?;
        scope.group = above.group;
        if self.lexer.pass_keyword("subgraph", self.intake)?
            && let Token::Word(name) = self.lexer.peek(self.intake)?
        {
            self.lexer.next(self.intake)?;
            let inner = name.text().strip_prefix("cluster");
            scope.cluster = inner.is_some();
            let shown = inner.map(|rest| rest.trim_start_matches('_')).filter(|rest| !rest.is_empty());
            scope.group = Some(self.groups.len());
            self.groups.push(shown.unwrap_or(name.text()).into());
        }
        self.lexer.expect('{', "{ or a node", self.intake)?;
        self.statements(&mut scope, depth + 1)?;
        let mut known = HashSet::new();
        scope.members.retain(|member| known.insert(*member));
        above.members.extend(&scope.members);
        Ok(scope.members)
    }

    /// The node called `word`, made when it is new.
    fn node(&mut self, word: &Word<'_>, line: u64, scope: &mut Scope) -> Result<usize, ImportError> {
        let key = word.key();
        let place = match self.by_key.get(&*key) {
            Some(place) => *place,
            None => {
                if self.nodes.len() >= self.intake.nodes_max() {
                    let limit = BuildError::TooManyNodes { limit: self.intake.nodes_max() };
                    return Err(ImportError::Limit { path: self.intake.path().into(), line, limit });
                }
                self.share(line, &[(&scope.node, 1)])?;
                let key: Rc<str> = key.as_ref().into();
                self.by_key.insert(Rc::clone(&key), self.nodes.len());
                self.nodes.push(Seen { line, key, group: None, attrs: scope.node.clone() });
                self.nodes.len() - 1
            }
        };
        if let Some(node) = self.nodes.get_mut(place) {
            node.group = node.group.or(scope.group);
        }
        scope.members.push(place);
        Ok(place)
    }

    /// `:port` or `:port:side` after a node.
    fn port(&mut self) -> Result<(), ImportError> {
        let mut any = false;
        while matches!(self.lexer.peek(self.intake)?, Token::Mark(':')) {
            self.lexer.next(self.intake)?;
            self.lexer.word("a port", self.intake)?;
            any = true;
        }
        self.ports += u64::from(any);
        Ok(())
    }

    /// The rest of an edge statement behind its first end.
    fn chain(&mut self, first: Vec<usize>, line: u64, scope: &mut Scope, depth: usize) -> Result<(), ImportError> {
        let mut ends = vec![first];
        let mut wrong = false;
        while let Token::Operator(directed) = self.lexer.peek(self.intake)? {
            wrong |= directed != self.directed;
            self.lexer.next(self.intake)?;
            let line = self.lexer.line(self.intake)?;
            match self.lexer.peek(self.intake)? {
                Token::Word(word) if !word.is_keyword("subgraph") => {
                    self.lexer.next(self.intake)?;
                    ends.push(vec![self.node(&word, line, scope)?]);
                    self.port()?;
                }
                _ => ends.push(self.subgraph(scope, depth)?),
            }
        }
        let own = self.attributes()?;
        if wrong {
            let problem = if self.directed {
                Problem::expected("-> between nodes of a digraph", "--")
            } else {
                Problem::expected("-- between nodes of a graph", "->")
            };
            self.intake.keep::<()>(line, None, Err(problem))?;
            return Ok(());
        }
        let mut attrs = scope.edge.clone();
        for (name, value) in own {
            self.set(&mut attrs, name, value);
        }
        let attrs = Rc::new(attrs);
        for (sources, targets) in ends.iter().zip(ends.iter().skip(1)) {
            let count = sources.len().saturating_mul(targets.len());
            if self.strict {
                self.pairs = self.pairs.saturating_add(count.saturating_sub(sources.len() + targets.len()));
            }
            let pairs_max = self.intake.edges_max().saturating_mul(MERGED_PAIRS_PER_EDGE);
            let too_many = if self.strict {
                self.pairs > pairs_max
            } else {
                self.links.len().saturating_add(count) > self.intake.edges_max()
            };
            if too_many {
                return Err(self.too_many_edges(line));
            }
            self.share(line, &[(&attrs, count)])?;
            for source in sources {
                // One statement may make all edges: an import that nobody wants any more ends inside of it, too.
                self.intake.keep(line, None, Ok(()))?;
                for target in targets {
                    self.link(line, *source, *target, &attrs)?;
                }
            }
        }
        Ok(())
    }

    fn too_many_edges(&self, line: u64) -> ImportError {
        let limit = BuildError::TooManyEdges { limit: self.intake.edges_max() };
        ImportError::Limit { path: self.intake.path().into(), line, limit }
    }

    fn link(&mut self, line: u64, source: usize, target: usize, attrs: &Rc<Attrs>) -> Result<(), ImportError> {
        if self.strict {
            let ends = if self.directed { (source, target) } else { (source.min(target), source.max(target)) };
            if let Some(place) = self.merged.get(&ends) {
                if let Some(link) = self.links.get_mut(*place) {
                    let merged = Rc::make_mut(&mut link.attrs);
                    for (name, value) in attrs.iter() {
                        set(merged, name.clone(), value.clone());
                    }
                }
                return Ok(());
            }
            if self.links.len() >= self.intake.edges_max() {
                return Err(self.too_many_edges(line));
            }
            self.merged.insert(ends, self.links.len());
        }
        self.links.push(Link { line, source, target, attrs: Rc::clone(attrs) });
        Ok(())
    }

    /// Any number of `[name=value, ...]`.
    fn attributes(&mut self) -> Result<Attrs, ImportError> {
        let mut attrs = Attrs::new();
        while matches!(self.lexer.peek(self.intake)?, Token::Mark('[')) {
            self.lexer.next(self.intake)?;
            loop {
                match self.lexer.peek(self.intake)? {
                    Token::Mark(']') => {
                        self.lexer.next(self.intake)?;
                        break;
                    }
                    Token::Mark(';' | ',') => {
                        self.lexer.next(self.intake)?;
                    }
                    _ => {
                        let name = self.lexer.word("an attribute or ]", self.intake)?;
                        // A name alone is true, as older files have it.
                        let mut value = Value::Bool(true);
                        if matches!(self.lexer.peek(self.intake)?, Token::Mark('=')) {
                            self.lexer.next(self.intake)?;
                            value = self.lexer.word("a value", self.intake)?.value(name.text() == "label");
                        }
                        self.set(&mut attrs, name.text().into(), value);
                    }
                }
            }
        }
        Ok(attrs)
    }

    fn set_of_node(&mut self, node: usize, name: Box<str>, value: Value) {
        if let Some(seen) = self.nodes.get_mut(node)
            && let Some(dropped) = set(&mut seen.attrs, name, value)
        {
            self.intake.notes.attribute_dropped(&dropped);
        }
    }

    fn set(&mut self, attrs: &mut Attrs, name: Box<str>, value: Value) {
        if let Some(dropped) = set(attrs, name, value) {
            self.intake.notes.attribute_dropped(&dropped);
        }
    }

    /// Counts attributes that are given to many records at once.
    fn share(&mut self, line: u64, given: &[(&Attrs, usize)]) -> Result<(), ImportError> {
        for (attrs, times) in given.iter().filter(|(attrs, _)| !attrs.is_empty()) {
            let bytes: usize = attrs.iter().map(|(name, value)| attribute_bytes(name, value)).sum();
            self.intake.share(line, bytes.saturating_mul(*times))?;
        }
        Ok(())
    }

    /// Makes nodes and edges of what was read.
    fn finish(self) -> Result<(), ImportError> {
        let Self { intake, nodes, links, groups, directed, .. } = self;
        for _ in 0..self.ports {
            intake.notes.port();
        }
        let keys: Vec<Rc<str>> = nodes.iter().map(|node| Rc::clone(&node.key)).collect();
        for node in nodes {
            let line = node.line;
            let made = make_node(node, &groups, intake);
            intake.keep(line, None, made)?;
        }
        for link in links {
            let made = make_edge(&link, &keys, directed, intake);
            intake.keep(link.line, None, made)?;
        }
        Ok(())
    }
}

/// Sets an attribute; its name comes back where the record has no room for it.
fn set(attrs: &mut Attrs, name: Box<str>, value: Value) -> Option<Box<str>> {
    if let Some(slot) = attrs.iter_mut().find(|(known, _)| *known == name) {
        slot.1 = value;
        return None;
    }
    if attrs.len() >= NAMES_MAX {
        return Some(name.get(..name.floor_char_boundary(40)).unwrap_or_default().into());
    }
    attrs.push((name, value));
    None
}

fn make_node(node: Seen, groups: &[Box<str>], intake: &mut Intake) -> Result<(), Problem> {
    let mut properties = Properties::default();
    let notes = &mut intake.notes;
    for (name, value) in node.attrs {
        match (&*name, &value) {
            ("label", Value::Text(text)) => properties.push(&name, Value::Text(label(text, &node.key)), notes),
            ("pos", Value::Text(text)) => match position(text) {
                Some((place, pinned)) => {
                    for (axis, part) in ["x", "y", "z"].into_iter().zip(place) {
                        properties.push(axis, Value::Float(part), notes);
                    }
                    if pinned {
                        properties.push("pinned", Value::Bool(true), notes);
                    }
                }
                None => properties.push(&name, value, notes),
            },
            _ => properties.push(&name, value, notes),
        }
    }
    let mut parts = properties.into_node(notes)?;
    parts.group = parts.group.or_else(|| groups.get(node.group?).cloned());
    intake.new_node(&node.key, parts).map(|_| ())
}

fn make_edge(link: &Link, keys: &[Rc<str>], directed: bool, intake: &mut Intake) -> Result<(), Problem> {
    let mut properties = Properties::default();
    for (name, value) in link.attrs.iter() {
        match (&**name, value) {
            ("label", Value::Text(text)) => {
                properties.push(name, Value::Text(label(text, "")), &mut intake.notes);
            }
            ("dir", Value::Text(text)) if &**text == "none" => {
                properties.push("directed", Value::Bool(false), &mut intake.notes);
            }
            _ => properties.push(name, value.clone(), &mut intake.notes),
        }
    }
    let parts = properties.into_edge(&mut intake.notes)?;
    let end = |place: usize, intake: &Intake| {
        let key = keys.get(place).map_or("", |key| &**key);
        intake.builder.find(key).ok_or_else(|| Problem::NoSuchNode { node: Found::new(key) })
    };
    let (source, target) = (end(link.source, intake)?, end(link.target, intake)?);
    intake.edge(source, target, directed, parts)
}

impl Word<'_> {
    /// The word as the value of an attribute; of a label its text is Graphviz's escaped form.
    fn value(&self, of_label: bool) -> Value {
        match self {
            Word::Html(text) if of_label => Value::Text(html_text(text).replace('\\', "\\\\").into()),
            Word::Html(text) | Word::Quoted(text) => Value::Text(text.as_ref().into()),
            Word::Bare(text) | Word::Number(text) if of_label => Value::Text((*text).into()),
            Word::Bare("true" | "True") => Value::Bool(true),
            Word::Bare("false" | "False") => Value::Bool(false),
            Word::Bare(text) => Value::Text((*text).into()),
            Word::Number(text) => values::number(text),
        }
    }
}

#[cfg(test)]
mod tests;
