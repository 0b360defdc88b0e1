//! Edge lists: one edge a line, in CSV, TSV or with blanks, as spreadsheets, SNAP, KONECT, networkx and Gephi
//! write them.
//!
//! Lines that start with `#` or `%` are comments, but for those with the fields of an edge below a header: a table
//! with named columns may hold names that start so. Edges are undirected unless the file says otherwise: in a
//! `type` or `directed` column, or, above the first line that is no comment, in SNAP's `# Directed graph` or KONECT's
//! `% asym`. The two sides of KONECT's bipartite files count apart, so their nodes are named `left/1` and `right/1`.

mod columns;
mod guess;
mod split;

use std::collections::VecDeque;
use std::io;

#[cfg(feature = "parquet")]
pub(super) use self::columns::Names;
use self::columns::{Columns, DICTIONARY, separator_of};
pub(super) use self::guess::guess;
use self::split::{Broken, Field, Separator, split};
use super::import::unreadable;
use super::intake::Intake;
use super::properties::{EdgeParts, Properties};
use super::source::Source;
use super::{Format, Found, ImportError, Problem};
use crate::graph::{BuildError, NodeIndex};
use crate::limits::TEXT_BYTES_MAX;

/// Bytes of one line.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Lines that one quoted field may go over. A quote that nobody closed costs this many lines of looking ahead,
/// and then only its own line.
const QUOTED_LINES_MAX: usize = 16;

/// Reads a whole edge list into `intake`.
pub(super) fn read(source: Source<'_>, format: Format, intake: &mut Intake) -> Result<(), ImportError> {
    let lines = Lines { source, held: VecDeque::new() };
    let mut reader = Reader { lines, format, separator: None, width: None, hints: Hints::default() };
    let mut columns: Option<Columns> = None;
    while let Some(record) = reader.record(intake)? {
        let Some(separator) = reader.separator else { break };
        let text = record.text.as_str();
        let Ok(fields) = split(text, separator) else { continue };
        let columns = match &columns {
            Some(columns) => columns,
            None => {
                // Names that make a header need no second line; to read it, one must know what is a comment there.
                let mut found = Columns::of(&fields, None);
                if found.as_ref().is_ok_and(|found| !found.header) {
                    let next = reader.peek(intake)?;
                    let second = next.as_deref().and_then(|next| split(next, separator).ok());
                    found = Columns::of(&fields, second.as_deref());
                }
                let found = found.map_err(|_| node_table(intake, &record))?;
                let header = found.header;
                reader.width = header.then_some(found.width);
                let found = columns.insert(found);
                if header {
                    continue;
                }
                found
            }
        };
        let edge = read_edge(text, &fields, columns, separator, intake);
        let (column, edge) = match edge {
            Ok(edge) => (None, Ok(edge)),
            Err((column, problem)) => (column, Err(problem)),
        };
        if let Some(edge) = intake.keep(record.number, column, edge)? {
            let added = add(edge, &fields, columns, reader.hints, intake);
            intake.keep(record.number, None, added)?;
        }
    }
    Ok(())
}

fn node_table(intake: &Intake, record: &Line) -> ImportError {
    ImportError::Syntax {
        path: intake.path().into(),
        line: record.number,
        column: None,
        expected: "a header with source and target columns",
        found: format!("{}, which looks like a table of nodes", Found::new(&record.text)).into(),
    }
}

/// What comments say about all edges.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hints {
    directed: bool,
    bipartite: bool,
}

impl Hints {
    fn read(&mut self, comment: &str) {
        let words = comment.trim_start_matches(['#', '%']).trim().to_ascii_lowercase();
        match words.split(|character: char| !character.is_alphanumeric()).next() {
            Some("directed") => self.directed = true,
            Some("asym") if comment.starts_with('%') => self.directed = true,
            Some("bip") if comment.starts_with('%') => self.bipartite = true,
            _ => {}
        }
    }
}

/// Checks the line as far as that goes without the graph. The error has the column, where one field is to blame.
fn read_edge(
    text: &str,
    fields: &[Field<'_>],
    columns: &Columns,
    separator: Separator,
    intake: &mut Intake,
) -> Result<EdgeParts, (Option<u64>, Problem)> {
    let dictionary = columns.others.iter().any(|(_, name)| &**name == DICTIONARY);
    if fields.len() < 2 && columns.width < 2 {
        return Err((None, Problem::Missing { expected: "two fields, a source and a target" }));
    }
    if fields.len() != columns.width && !(dictionary && fields.len() == 2) {
        return Err((None, Problem::Fields { expected: columns.width, found: fields.len() }));
    }
    for (place, expected) in [(columns.source, "a source node"), (columns.target, "a target node")] {
        if let Some(empty) = fields.get(place).filter(|field| field.text.is_empty()) {
            return Err((Some(empty.column(text)), Problem::Missing { expected }));
        }
    }
    let mut properties = Properties::default();
    for (place, name) in &columns.others {
        match fields.get(*place) {
            Some(field) if &**name == DICTIONARY => {
                let read = read_dictionary(&field.text, &mut properties, intake);
                read.map_err(|problem| (Some(field.column(text)), problem))?;
            }
            Some(field) if !field.text.is_empty() => properties.push_spelled(name, &field.text, &mut intake.notes),
            _ => {}
        }
    }
    let mut parts = properties.into_edge(&mut intake.notes).map_err(|problem| (None, problem))?;
    if let Some(field) = columns.weight.and_then(|place| fields.get(place)).filter(|field| !field.text.is_empty()) {
        // Where semicolons separate, the comma is the decimal point.
        let decimal =
            if separator == Separator::Character(';') { field.text.replace(',', ".") } else { field.text.to_string() };
        let weight = weight_of(decimal.parse().ok(), &field.text);
        parts.weight = weight.map_err(|problem| (Some(field.column(text)), problem))?;
    }
    Ok(parts)
}

/// The weight that a field spells, if it is one.
pub(super) fn weight_of(number: Option<f64>, found: &str) -> Result<f64, Problem> {
    let weight = number.filter(|weight| *weight >= 0.0 && (*weight as f32).is_finite());
    weight.ok_or_else(|| Problem::expected("a weight, a finite number >= 0", found))
}

/// Attributes as Python prints a dictionary. It is read as JSON after its quotes and constants are, so a text
/// with an apostrophe in it is refused.
fn read_dictionary(text: &str, properties: &mut Properties, intake: &mut Intake) -> Result<(), Problem> {
    let json =
        text.replace('\'', "\"").replace(": True", ": true").replace(": False", ": false").replace(": None", ": null");
    let wrong = |_| Problem::expected("attributes as {'name': value}", text);
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).map_err(wrong)?;
    for (name, value) in &map {
        super::json::push(name, value, properties, &mut intake.notes);
    }
    Ok(())
}

fn add(
    edge: EdgeParts,
    fields: &[Field<'_>],
    columns: &Columns,
    hints: Hints,
    intake: &mut Intake,
) -> Result<(), Problem> {
    let key = |place: usize| fields.get(place).map(|field| field.text.as_ref()).unwrap_or_default();
    add_between([key(columns.source), key(columns.target)], edge, hints, intake)
}

/// Adds an edge between the nodes of these keys, and the nodes where they are new.
pub(super) fn add_between(keys: [&str; 2], edge: EdgeParts, hints: Hints, intake: &mut Intake) -> Result<(), Problem> {
    let end = |key: &str, side: &str, intake: &mut Intake| -> Result<NodeIndex, Problem> {
        if !hints.bipartite {
            return Ok(intake.builder.node(key)?);
        }
        let index = intake.builder.node(&format!("{side}/{key}"))?;
        if let Some(node) = intake.builder.node_mut(index) {
            node.group = Some(side.into());
        }
        Ok(index)
    };
    // Both names and the weight are checked before the first node is made.
    if let Some(long) = keys.into_iter().find(|key| key.len() > TEXT_BYTES_MAX) {
        return Err(BuildError::TextTooLong { bytes: long.len() }.into());
    }
    let weight = edge.weight as f32;
    if !(weight.is_finite() && weight >= 0.0) {
        return Err(BuildError::Weight { weight: edge.weight }.into());
    }
    let [source, target] = keys;
    let source = end(source, "left", intake)?;
    let target = end(target, "right", intake)?;
    intake.edge(source, target, hints.directed, edge)
}

/// One line, or the lines that a quoted field goes over.
#[derive(Debug, Clone)]
struct Line {
    number: u64,
    text: String,
}

struct Lines<'a> {
    source: Source<'a>,
    /// Lines that were read to look ahead.
    held: VecDeque<Line>,
}

impl Lines<'_> {
    /// The next line; what is not UTF-8 or too long is a problem of that line alone.
    fn next(&mut self, intake: &mut Intake) -> Result<Option<Line>, ImportError> {
        if let Some(line) = self.held.pop_front() {
            return Ok(Some(line));
        }
        loop {
            let number = self.source.line();
            let mut bytes = Vec::with_capacity(64);
            let read = self.source.read_line(&mut bytes, LINE_BYTES_MAX);
            let Some(long) = read.map_err(|reason: io::Error| unreadable(intake.path(), reason))? else {
                return Ok(None);
            };
            let text = match String::from_utf8(bytes) {
                _ if long => Err(Problem::LineTooLong { limit: LINE_BYTES_MAX }),
                Ok(text) => Ok(text),
                Err(error) => Err(Problem::NotUtf8 { found: Found::bytes(error.as_bytes()) }),
            };
            if let Some(text) = intake.keep(number, None, text)? {
                return Ok(Some(Line { number, text }));
            }
        }
    }
}

struct Reader<'a> {
    lines: Lines<'a>,
    format: Format,
    /// Settled by the first line that is no comment.
    separator: Option<Separator>,
    /// Fields of the header, once there was one.
    width: Option<usize>,
    hints: Hints,
}

impl Reader<'_> {
    /// The next record: a line that is neither blank nor a comment, joined with those after it where a quoted
    /// field goes on. It splits without error.
    fn record(&mut self, intake: &mut Intake) -> Result<Option<Line>, ImportError> {
        while let Some(line) = self.lines.next(intake)? {
            if line.text.starts_with(['#', '%']) && !self.is_edge(&line.text) {
                if self.separator.is_none() {
                    self.hints.read(&line.text);
                }
                continue;
            }
            if line.text.trim().is_empty() {
                continue;
            }
            let separator = *self.separator.get_or_insert_with(|| match self.format {
                Format::Tsv => Separator::Character('\t'),
                Format::Whitespace => Separator::Blanks,
                _ => separator_of(&line.text),
            });
            if let Some(record) = self.whole(line, separator, intake)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Whether a line that starts as a comment does has the fields of an edge. Spreadsheets write a comment as one
    /// field and empty ones behind it.
    fn is_edge(&self, line: &str) -> bool {
        let (Some(separator @ Separator::Character(_)), Some(width)) = (self.separator, self.width) else {
            return false;
        };
        split(line, separator)
            .is_ok_and(|fields| fields.len() == width && fields.iter().skip(1).any(|field| !field.text.is_empty()))
    }

    /// `line` with what belongs to it; `None` when it is broken, and then only this line is lost.
    fn whole(&mut self, line: Line, separator: Separator, intake: &mut Intake) -> Result<Option<Line>, ImportError> {
        // Only quotes can break a line; most have none and need not be split twice.
        if !line.text.contains('"') {
            return Ok(Some(line));
        }
        let mut broken = match split(&line.text, separator) {
            Ok(_) => return Ok(Some(line)),
            Err(broken) => broken,
        };
        let mut joined = line.clone();
        let mut taken = Vec::new();
        while broken == Broken::Open && taken.len() + 1 < QUOTED_LINES_MAX {
            let Some(next) = self.lines.next(intake)? else { break };
            joined.text.push('\n');
            joined.text.push_str(&next.text);
            let may_close = next.text.contains('"');
            taken.push(next);
            if may_close {
                match split(&joined.text, separator) {
                    Ok(_) => return Ok(Some(joined)),
                    Err(still) => broken = still,
                }
            }
        }
        let problem = match split(&line.text, separator) {
            Err(Broken::AfterQuote(at)) => {
                let found = line.text.get(at..).unwrap_or_default();
                let column = line.text.get(..at).map_or(0, |before| before.chars().count() as u64) + 1;
                (Some(column), Problem::expected("a separator after the closing quote", found))
            }
            _ => (None, Problem::OpenQuote { lines: taken.len() + 1 }),
        };
        for next in taken.into_iter().rev() {
            self.lines.held.push_front(next);
        }
        intake.keep::<()>(line.number, problem.0, Err(problem.1))?;
        Ok(None)
    }

    /// The text of the next record, which stays to be read.
    fn peek(&mut self, intake: &mut Intake) -> Result<Option<String>, ImportError> {
        let Some(record) = self.record(intake)? else { return Ok(None) };
        let text = record.text.clone();
        // A joined record goes back as one; it splits as it did.
        self.lines.held.push_front(record);
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SMALL, import, import_skipping, refusal};
    use super::super::{ImportOptions, Imported, import_bytes};
    use crate::graph::Value;

    fn edges(imported: &Imported) -> Vec<(String, String, f32)> {
        let graph = &imported.graph;
        let key = |index| graph.node(index).unwrap().key.to_string();
        graph.edges().iter().map(|edge| (key(edge.source), key(edge.target), edge.weight)).collect()
    }

    fn edge(source: &str, target: &str, weight: f32) -> (String, String, f32) {
        (source.into(), target.into(), weight)
    }

    #[test]
    fn separators_headers_quotes_and_line_ends() {
        let expected = [edge("a b", "c", 2.5), edge("c", "d", 1.0)];
        let cases = [
            ("g.csv", "source,target,weight\na b,c,2.5\nc,d,\n"),
            ("g.csv", "\u{feff}\"Weight\";\"From\";\"To\"\r\n2,5;\"a b\";c\r\n;c;d\r\n"),
            ("g.tsv", "# comment\na b\tc\t2.5\n\n% comment\nc\td\t1\n"),
            ("g.txt", "\"a b\" c 2.5\nc   d\t1"),
            ("g.edges", "\"a b\" c {'weight': 2.5}\nc d {}\n"),
        ];
        for (name, text) in cases {
            assert_eq!(edges(&import(name, text)), expected, "{text}");
        }
    }

    #[test]
    fn snap_and_konect_files() {
        let snap =
            import("roads.txt", "# Directed graph (each unordered pair once)\n# FromNodeId\tToNodeId\n0\t1\n900\t0\n");
        assert_eq!(edges(&snap), [edge("0", "1", 1.0), edge("900", "0", 1.0)]);
        assert!(snap.graph.edges()[0].directed);
        assert_eq!(snap.graph.nodes()[2].id.get(), 900);
        let konect = import("out.ucidata", "% asym positive\n% 2 3 3\n1 2\t4 1082008561\n2 3\t5 1082008562\n");
        assert_eq!(edges(&konect), [edge("1", "2", 4.0), edge("2", "3", 5.0)]);
        assert_eq!(*konect.graph.edges()[0].attributes(), [("column4".into(), Value::Int(1_082_008_561))]);
        let sides = import("out.bip", "% bip unweighted\n1 1\n1 2\n");
        assert_eq!(edges(&sides), [edge("left/1", "right/1", 1.0), edge("left/1", "right/2", 1.0)]);
        assert_eq!(sides.graph.nodes()[0].group.as_deref(), Some("left"));
    }

    #[test]
    fn columns_become_attributes_and_directions() {
        let imported = import(
            "g.csv",
            "Source,Target,Type,Id,Label,Weight,since\na,b,Directed,0,likes,2,1999\nb,a,Undirected,1,,1,\n",
        );
        let [first, second] = imported.graph.edges() else { panic!("two edges") };
        assert_eq!((first.directed, first.label(), first.weight), (true, Some("likes"), 2.0));
        assert_eq!(*first.attributes(), [("Id".into(), Value::Int(0)), ("since".into(), Value::Int(1999))]);
        assert_eq!((second.directed, second.label()), (false, None));
    }

    #[test]
    fn names_below_a_header_may_start_as_comments_do() {
        let text = "# tags\nSource,Target\n#rust,ben\n# a note\n% kept,,\n%,\n#directed,x\nann,#rust\n";
        let imported = import("g.csv", text);
        let expected = [edge("#rust", "ben", 1.0), edge("#directed", "x", 1.0), edge("ann", "#rust", 1.0)];
        assert_eq!(edges(&imported), expected);
        assert!(imported.graph.edges().iter().all(|edge| !edge.directed));
        let table = import("g.tsv", "person\tfriend\n1\t2\n#3\t4\n");
        assert_eq!(edges(&table), [edge("1", "2", 1.0), edge("#3", "4", 1.0)]);
        // Without a header, and where blanks separate, they are comments, and below the first line no more than that.
        for (name, text) in [
            ("g.csv", "a,b\n#directed,x\n% bip,x\nb,c\n"),
            ("g.txt", "source target\na b\n#directed x\n% bip x\nb c\n"),
        ] {
            let plain = import(name, text);
            assert_eq!(edges(&plain), [edge("a", "b", 1.0), edge("b", "c", 1.0)], "{name}");
            assert!(plain.graph.edges().iter().all(|edge| !edge.directed), "{name}");
            assert!(plain.graph.nodes().iter().all(|node| node.group.is_none()), "{name}");
        }
        assert!(import("g.csv", "# directed\nsource,target\na,b\n").graph.edges()[0].directed);
    }

    #[test]
    fn labels_and_long_numbers_keep_their_digits() {
        let imported = import("g.csv", "Source,Target,Label,price,serial\na,b,1.10,1.50,12345678901234567890\n");
        let first = &imported.graph.edges()[0];
        assert_eq!(first.label(), Some("1.10"));
        let serial = Value::Text("12345678901234567890".into());
        assert_eq!(*first.attributes(), [("price".into(), Value::Float(1.5)), ("serial".into(), serial)]);
    }

    #[test]
    fn a_quoted_field_may_go_on_in_the_next_line() {
        let imported = import("g.csv", "\"a\nb\",c\nd,\"e\n\n,f\"\n");
        assert_eq!(edges(&imported), [edge("a\nb", "c", 1.0), edge("d", "e\n\n,f", 1.0)]);
    }

    #[test]
    fn an_open_quote_costs_its_own_line() {
        let rest: String = (0..40).map(|index| format!("n{index},m\n")).collect();
        let text = format!("a,b\nc,\"d\n{rest}");
        assert!(
            refusal("g.csv", &text)
                .contains("g.csv: line 2: expected a closing quote, found the end of the field's 16 lines")
        );
        assert_eq!(import_skipping("g.csv", &text).graph.edges().len(), 41);
        assert!(
            refusal("g.csv", "a,b\n\"c\"x,d\n")
                .contains("line 2, column 4: expected a separator after the closing quote, found \"x,d\"")
        );
    }

    #[test]
    fn three_bad_lines_of_many_are_named_in_one_error() {
        let mut lines: Vec<String> = (0..10_000).map(|index| format!("{},{},1", index % 50, index % 49)).collect();
        lines[6] = "1,2,heavy".into();
        lines[4_999] = "1,,1".into();
        lines[9_999] = "1,2,3,\u{1b}[31m".into();
        let (text, options) = (lines.join("\n"), ImportOptions { edges_max: 10_000, ..SMALL });
        assert_eq!(
            import_bytes("g.csv", text.as_bytes(), &options).unwrap_err().to_string(),
            "g.csv: 3 bad lines (pass --skip-bad to leave them out):\n  \
             line 7, column 5: expected a weight, a finite number >= 0, found \"heavy\"\n  \
             line 5000, column 3: expected a target node, found nothing\n  \
             line 10000: expected 3 fields, found 4"
        );
        let skipped = import_bytes("g.csv", text.as_bytes(), &ImportOptions { skip_bad: true, ..options }).unwrap();
        assert_eq!((skipped.graph.edges().len(), skipped.skipped.len(), skipped.skipped_count), (9_997, 3, 3));
    }

    #[test]
    fn a_bad_line_leaves_no_node_behind() {
        let long = "x".repeat(5_000);
        let text = format!("a,b,1\nq,r,-1\nq,{long},1\nq,r,nan\n");
        let skipped = import_skipping("g.csv", &text);
        assert_eq!((skipped.graph.nodes().len(), skipped.skipped_count), (2, 3));
    }

    #[test]
    fn tables_of_nodes_and_single_columns_are_refused() {
        assert_eq!(
            refusal("nodes.csv", "Id,Label\n1,Anna\n"),
            "nodes.csv: line 1: expected a header with source and target columns, found \"Id,Label\", which looks like a table of nodes"
        );
        assert!(
            refusal("g.csv", "a\nb\n").contains("line 1: expected two fields, a source and a target, found nothing")
        );
        let long = format!("a,b\n{},c\n", "x".repeat(2 << 20));
        assert!(refusal("g.csv", &long).contains("line 2: expected a line of at most 1048576 bytes"));
    }
}
