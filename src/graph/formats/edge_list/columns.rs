//! Which field of an edge list is what.

use super::split::{Field, Separator};
use crate::graph::Value;
use crate::graph::formats::properties::typed;

/// Where in a line the edge stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    pub(super) source: usize,
    pub(super) target: usize,
    pub(super) weight: Option<usize>,
    /// Every other column, with the name of the attribute it becomes.
    pub(super) others: Vec<(usize, Box<str>)>,
    /// Fields of every line.
    pub(super) width: usize,
    /// Whether the first line named the columns, and so is no edge.
    pub(super) header: bool,
}

/// The first line names columns, and none of them is an end of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeTable;

const SOURCES: [&str; 20] = [
    "source",
    "from",
    "src",
    "start",
    "tail",
    "u",
    "subject",
    "sourceid",
    "sourcenode",
    "sourcename",
    "fromid",
    "fromnode",
    "fromnodeid",
    "fromname",
    "node1",
    "nodea",
    "id1",
    "startid",
    "sourcelabel",
    "sender",
];
const TARGETS: [&str; 20] = [
    "target",
    "to",
    "dst",
    "end",
    "head",
    "v",
    "object",
    "targetid",
    "targetnode",
    "targetname",
    "toid",
    "tonode",
    "tonodeid",
    "toname",
    "node2",
    "nodeb",
    "id2",
    "endid",
    "targetlabel",
    "receiver",
];
const DESTINATIONS: [&str; 3] = ["dest", "destination", "destinationid"];
const WEIGHTS: [&str; 2] = ["weight", "value"];

impl Columns {
    /// Reads the first line, with the second to compare where there is one.
    ///
    /// A line is a header when it names both ends, or a weight, or when its ends are words and those of the next
    /// line numbers. Without a header the fields are source, target, weight (a relation where the first line has
    /// a word there), and from the fourth on `column4`, `column5`.
    pub(super) fn of(first: &[Field<'_>], second: Option<&[Field<'_>]>) -> Result<Self, NodeTable> {
        let names = Names::of(first.iter().map(|field| field.text.as_ref()));
        if let Some((source, target, weight)) = names.ends() {
            return Ok(Self::named(first, source, target, weight));
        }
        if names.place(&["id", "nodeid"]).is_some() && names.place(&["label", "name", "title"]).is_some() {
            return Err(NodeTable);
        }
        let weight = names.place(&WEIGHTS).filter(|place| *place >= 2);
        let words_over_numbers = second.is_some_and(|second| {
            !first.iter().take(2).any(is_number) && second.len() >= 2 && second.iter().take(2).all(is_number)
        });
        if weight.is_some() || words_over_numbers {
            return Ok(Self::named(first, 0, 1, weight));
        }
        Ok(Self::counted(first))
    }

    fn named(first: &[Field<'_>], source: usize, target: usize, weight: Option<usize>) -> Self {
        let others = first.iter().enumerate().filter(|(place, field)| {
            ![Some(source), Some(target), weight].contains(&Some(*place)) && !field.text.is_empty()
        });
        let others = others.map(|(place, field)| (place, field.text.as_ref().into())).collect();
        Self { source, target, weight, others, width: first.len(), header: true }
    }

    fn counted(first: &[Field<'_>]) -> Self {
        let weight = first.get(2).filter(|field| field.text.is_empty() || is_number(field)).map(|_| 2);
        let others = (2..first.len()).filter(|place| Some(*place) != weight).map(|place| match place {
            2 if first.get(2).is_some_and(|field| field.text.starts_with('{')) => (2, DICTIONARY.into()),
            2 => (2, "relation".into()),
            place => (place, format!("column{}", place + 1).into()),
        });
        Self { source: 0, target: 1, weight, others: others.collect(), width: first.len(), header: false }
    }
}

/// The names of a table's columns, as [`plain_name`] has them.
pub(in crate::graph::formats) struct Names(Vec<String>);

impl Names {
    /// The names as they are written.
    pub(in crate::graph::formats) fn of<'name>(names: impl Iterator<Item = &'name str>) -> Self {
        Self(names.map(plain_name).collect())
    }

    /// Places of the source, the target and the weight, if there is one; `None` when the names are not of both ends.
    pub(in crate::graph::formats) fn ends(&self) -> Option<(usize, usize, Option<usize>)> {
        let target = self.place(&TARGETS).or_else(|| self.place(&DESTINATIONS));
        Some((self.place(&SOURCES)?, target?, self.place(&WEIGHTS)))
    }

    fn place(&self, known: &[&str]) -> Option<usize> {
        self.0.iter().position(|name| known.contains(&name.as_str()))
    }
}

/// The name of a column that holds an edge's attributes as networkx writes them.
pub(super) const DICTIONARY: &str = "{}";

/// A column's name without case, blanks and punctuation.
fn plain_name(text: &str) -> String {
    text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_number(field: &Field<'_>) -> bool {
    // Ids of more digits than a value holds are still no words.
    let digits = field.text.strip_prefix('-').unwrap_or(&field.text);
    let long = digits.starts_with(|first: char| matches!(first, '1'..='9'))
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    long || matches!(typed(&field.text), Value::Int(_) | Value::Float(_))
}

/// The separator of a CSV file: of comma, semicolon and tab the one that is most often in its first line,
/// outside quotes.
pub(super) fn separator_of(line: &str) -> Separator {
    let outside: Vec<&str> = line.split('"').step_by(2).collect();
    let count = |character: char| outside.iter().map(|piece| piece.matches(character).count()).sum::<usize>();
    let best = [';', '\t'].into_iter().filter(|other| count(*other) > count(',')).max_by_key(|other| count(*other));
    Separator::Character(best.unwrap_or(','))
}

#[cfg(test)]
mod tests {
    use super::super::split::split;
    use super::*;

    fn columns(first: &str, second: &str) -> Result<Columns, NodeTable> {
        let separator = separator_of(first);
        let second = split(second, separator).unwrap();
        Columns::of(&split(first, separator).unwrap(), Some(&second))
    }

    fn ends(first: &str, second: &str) -> (usize, usize, Option<usize>, bool) {
        let columns = columns(first, second).unwrap();
        (columns.source, columns.target, columns.weight, columns.header)
    }

    #[test]
    fn headers_are_known_by_their_names() {
        assert_eq!(ends("Source,Target", "a,b"), (0, 1, None, true));
        assert_eq!(ends("weight;to;from", "1;a;b"), (2, 1, Some(0), true));
        assert_eq!(ends("id,Source ID,Target ID,Type,Weight", "0,a,b,Directed,1"), (1, 2, Some(4), true));
        assert_eq!(ends("FromNodeId,ToNodeId", "0,1"), (0, 1, None, true));
        assert_eq!(ends("origin,destination,weight", "a,b,1"), (0, 1, Some(2), true));
        assert_eq!(ends("person,friend", "1,2"), (0, 1, None, true));
        assert_eq!(ends("person,friend", "12345678901234567890,2"), (0, 1, None, true));
    }

    #[test]
    fn other_first_lines_are_edges() {
        assert_eq!(ends("anna,ben", "ben,carl"), (0, 1, None, false));
        assert_eq!(ends("1,2,0.5", "2,3,1"), (0, 1, Some(2), false));
        assert_eq!(ends("a,b,12345678901234567890", "b,c,1"), (0, 1, Some(2), false));
        let triple = columns("anna,ben,knows,5", "ben,carl,likes,6").unwrap();
        assert_eq!(triple.others, [(2, "relation".into()), (3, "column4".into())]);
    }

    #[test]
    fn a_table_of_nodes_is_no_edge_list() {
        assert_eq!(columns("Id,Label,group", "1,Anna,2"), Err(NodeTable));
    }

    #[test]
    fn the_commonest_separator_outside_quotes_wins() {
        assert_eq!(separator_of("a;b;c,d"), Separator::Character(';'));
        assert_eq!(separator_of("\"a;b;c\",d"), Separator::Character(','));
        assert_eq!(separator_of("a\tb"), Separator::Character('\t'));
    }
}
