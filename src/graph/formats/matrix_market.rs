//! Matrix Market: a sparse square matrix as a graph, nodes `1` to `n`.
//!
//! | symmetry | an entry `i j v` is |
//! |---|---|
//! | general | an edge from i to j with weight v |
//! | symmetric | an undirected edge with weight v |
//! | skew-symmetric | an edge from i to j with weight v, or, for v < 0, from j to i with weight -v |

use super::import::unreadable;
use super::intake::Intake;
use super::properties::EdgeParts;
use super::source::Source;
use super::{Found, ImportError, Problem};
use crate::graph::{BuildError, NodeIndex};

/// Bytes of one line; the format itself has 1,024.
const LINE_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Pattern,
    Integer,
    Real,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symmetry {
    General,
    Symmetric,
    Skew,
}

/// Reads a whole file into `intake`.
pub(super) fn read(source: Source<'_>, nodes_max: usize, intake: &mut Intake) -> Result<(), ImportError> {
    let mut lines = Lines { source };
    let Some((line, banner)) = lines.next(intake)? else { return Err(missing(1, "the %%MatrixMarket banner", intake)) };
    let (field, symmetry) = read_banner(&banner).map_err(|(expected, found)| syntax(line, expected, &found, intake))?;
    let (size_line, size, said) = loop {
        let Some((line, text)) = lines.next(intake)? else { return Err(missing(2, "a size line", intake)) };
        if !text.starts_with('%') && !text.trim().is_empty() {
            let (size, said) = read_size(&text).map_err(|(expected, found)| syntax(line, expected, &found, intake))?;
            break (line, size, said);
        }
    };
    if size > nodes_max as u64 {
        let limit = BuildError::TooManyNodes { limit: nodes_max };
        return Err(ImportError::Limit { path: intake.path().into(), line: size_line, limit });
    }
    for index in 1..=size {
        let node = intake.builder.node(&index.to_string()).map_err(Problem::from);
        intake.keep(size_line, None, node.map(|_| ()))?;
    }
    let mut found = 0;
    while let Some((line, text)) = lines.next(intake)? {
        if text.starts_with('%') || text.trim().is_empty() {
            continue;
        }
        found += 1;
        let entry = read_entry(&text, field, symmetry, size).and_then(|entry| {
            let parts = EdgeParts { weight: entry.weight, ..EdgeParts::default() };
            intake.edge(entry.source, entry.target, symmetry != Symmetry::Symmetric, parts)
        });
        intake.keep(line, None, entry)?;
    }
    if found != said {
        intake.keep::<()>(size_line, None, Err(Problem::Count { said, found }))?;
    }
    Ok(())
}

type Wrong = (&'static str, String);

/// `%%MatrixMarket matrix coordinate <field> <symmetry>`, in any case.
fn read_banner(banner: &str) -> Result<(Field, Symmetry), Wrong> {
    let words: Vec<String> = banner.split_whitespace().map(str::to_ascii_lowercase).collect();
    let word = |place: usize| words.get(place).map_or("", String::as_str);
    let wrong = |expected, place| Err((expected, word(place).to_string()));
    if word(0) != "%%matrixmarket" {
        return Err(("the %%MatrixMarket banner", banner.into()));
    }
    if word(1) != "matrix" {
        return wrong("matrix", 1);
    }
    if word(2) != "coordinate" {
        return wrong("coordinate, a sparse matrix", 2);
    }
    let field = match word(3) {
        "pattern" => Field::Pattern,
        "integer" => Field::Integer,
        "real" | "double" => Field::Real,
        _ => return wrong("pattern, integer or real", 3),
    };
    let symmetry = match word(4) {
        "general" => Symmetry::General,
        "symmetric" => Symmetry::Symmetric,
        "skew-symmetric" => Symmetry::Skew,
        _ => return wrong("general, symmetric or skew-symmetric", 4),
    };
    Ok((field, symmetry))
}

/// Rows and columns, which must agree, and entries.
fn read_size(text: &str) -> Result<(u64, u64), Wrong> {
    let numbers: Vec<Option<u64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [Some(rows), Some(columns), Some(entries)] if rows == columns => Ok((*rows, *entries)),
        [Some(_), Some(_), Some(_)] => Err(("a square matrix, the links of one set of nodes", text.into())),
        _ => Err(("a size line: rows, columns, entries", text.into())),
    }
}

struct Entry {
    source: NodeIndex,
    target: NodeIndex,
    weight: f64,
}

fn read_entry(text: &str, field: Field, symmetry: Symmetry, size: u64) -> Result<Entry, Problem> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let expected = if field == Field::Pattern { 2 } else { 3 };
    if words.len() != expected {
        return Err(Problem::Fields { expected, found: words.len() });
    }
    let index = |place: usize| {
        let word = words.get(place).copied().unwrap_or_default();
        let index = word.parse::<u32>().ok().filter(|index| (1..=size).contains(&u64::from(*index)));
        index.ok_or_else(|| Problem::Index { first: 1, last: size, found: Found::new(word) })
    };
    let (row, column) = (index(0)?, index(1)?);
    let word = words.get(2).copied().unwrap_or_default();
    let mut weight = match field {
        Field::Pattern => 1.0,
        Field::Integer => word.parse::<i64>().map_err(|_| Problem::expected("a whole number", word))? as f64,
        Field::Real => word.parse().map_err(|_| Problem::expected("a number", word))?,
    };
    match symmetry {
        Symmetry::Symmetric if row < column => {
            return Err(Problem::expected("an entry on or below the diagonal", text));
        }
        Symmetry::Skew if row <= column => return Err(Problem::expected("an entry below the diagonal", text)),
        _ => {}
    }
    let (mut source, mut target) = (NodeIndex(row - 1), NodeIndex(column - 1));
    if symmetry == Symmetry::Skew && weight < 0.0 {
        (source, target, weight) = (target, source, -weight);
    }
    Ok(Entry { source, target, weight })
}

struct Lines<'a> {
    source: Source<'a>,
}

impl Lines<'_> {
    fn next(&mut self, intake: &mut Intake) -> Result<Option<(u64, String)>, ImportError> {
        loop {
            let line = self.source.line();
            let mut bytes = Vec::with_capacity(32);
            let read = self.source.read_line(&mut bytes, LINE_BYTES_MAX);
            let Some(long) = read.map_err(|reason| unreadable(intake.path(), reason))? else { return Ok(None) };
            let text = match String::from_utf8(bytes) {
                _ if long => Err(Problem::LineTooLong { limit: LINE_BYTES_MAX }),
                Ok(text) => Ok(text),
                Err(error) => Err(Problem::NotUtf8 { found: Found::bytes(error.as_bytes()) }),
            };
            if let Some(text) = intake.keep(line, None, text)? {
                return Ok(Some((line, text)));
            }
        }
    }
}

fn syntax(line: u64, expected: &'static str, found: &str, intake: &Intake) -> ImportError {
    let found = Found::new(found).to_string().into();
    ImportError::Syntax { path: intake.path().into(), line, column: None, expected, found }
}

fn missing(line: u64, expected: &'static str, intake: &Intake) -> ImportError {
    let found = "the end of the file".into();
    ImportError::Syntax { path: intake.path().into(), line, column: None, expected, found }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{import, import_skipping, refusal};

    fn edges(text: &str) -> Vec<(u32, u32, f32, bool)> {
        let graph = import("g.mtx", text).graph;
        let id = |index| graph.node(index).unwrap().id.get();
        graph.edges().iter().map(|edge| (id(edge.source), id(edge.target), edge.weight, edge.directed)).collect()
    }

    #[test]
    fn fields_and_symmetries_are_read() {
        let general = "%%MatrixMarket matrix coordinate pattern general\n% c\n\n3 3 2\n1 2\n3 1\n";
        assert_eq!(edges(general), [(1, 2, 1.0, true), (3, 1, 1.0, true)]);
        let symmetric = "%%matrixmarket MATRIX Coordinate Real Symmetric\n2 2 2\n2 1 0.5\n1 1 2e0\n";
        assert_eq!(edges(symmetric), [(2, 1, 0.5, false), (1, 1, 2.0, false)]);
        let skew = "%%MatrixMarket matrix coordinate integer skew-symmetric\n3 3 2\n2 1 4\n3 1 -5\n";
        assert_eq!(edges(skew), [(2, 1, 4.0, true), (1, 3, 5.0, true)]);
    }

    #[test]
    fn other_kinds_are_refused_by_name() {
        let cases = [
            ("matrix coordinate complex general\n1 1 0", "expected pattern, integer or real, found \"complex\""),
            ("matrix array real general\n1 1", "expected coordinate, a sparse matrix, found \"array\""),
            ("matrix coordinate real hermitian\n1 1 0", "found \"hermitian\""),
            ("matrix coordinate real general\n2 3 0", "line 2: expected a square matrix"),
            ("matrix coordinate real general\n2 x 0", "expected a size line: rows, columns, entries, found \"2 x 0\""),
            ("matrix coordinate real general\n% only", "expected a size line, found the end of the file"),
            (
                "matrix coordinate real general\n999 999 0",
                "line 2: the graph has more than 100 nodes (graph.nodes_max)",
            ),
        ];
        for (rest, part) in cases {
            let error = refusal("g.mtx", &format!("%%MatrixMarket {rest}\n"));
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn bad_entries_and_counts_are_named() {
        let text = "%%MatrixMarket matrix coordinate real symmetric\n2 2 9\n1 2 1\n2 1\n0 1 1\n2 1 x\n2 1 -1\n2 1 1\n";
        let error = refusal("g.mtx", text);
        for part in [
            "line 2: expected the 9 entries of the size line, found 6",
            "line 3: expected an entry on or below the diagonal, found \"1 2 1\"",
            "line 4: expected 3 fields, found 2",
            "line 5: expected an index from 1 to 2, found \"0\"",
            "line 6: expected a number, found \"x\"",
            "line 7: an edge weight must be a finite number >= 0, found -1",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert_eq!(import_skipping("g.mtx", text).graph.edges().len(), 1);
    }
}
