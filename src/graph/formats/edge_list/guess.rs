//! Whether a file without a telling name is an edge list.

use super::columns::separator_of;
use super::split::{Separator, split};
use crate::graph::formats::Format;

/// Lines that must agree.
const LINES: usize = 5;

/// The edge list that the first lines look like. A guess, so it asks that up to five lines have the same number
/// of fields and both ends: prose has commas and blanks too, but seldom in the same places of every line.
pub(in crate::graph::formats) fn guess(head: &str) -> Option<Format> {
    let data = |line: &&str| !line.trim().is_empty() && !line.starts_with(['#', '%']);
    let lines: Vec<&str> = head.lines().filter(data).take(LINES).collect();
    let first = lines.first()?;
    // KONECT's files mix blanks and tabs.
    let tabs = first.contains('\t') && !head.starts_with('%');
    let (format, separator) = if tabs {
        (Format::Tsv, Separator::Character('\t'))
    } else if first.contains([',', ';']) && !first.contains('{') {
        (Format::Csv, separator_of(first))
    } else {
        (Format::Whitespace, Separator::Blanks)
    };
    let mut counts = lines.iter().map(|line| {
        let fields = split(line, separator).ok()?;
        let ends = fields.iter().take(2).filter(|field| !field.text.is_empty()).count();
        (ends == 2).then_some(fields.len())
    });
    let count = counts.next()??;
    let agree = counts.all(|other| other == Some(count));
    (agree && (separator != Separator::Blanks || count <= 4)).then_some(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_tell_the_format() {
        let cases = [
            ("# Directed graph\n# FromNodeId\tToNodeId\n0\t1\n0\t2\n", Some(Format::Tsv)),
            ("% sym unweighted\n1 2\t7\n1 3\t7\n", Some(Format::Whitespace)),
            ("a;b\nc;d\n", Some(Format::Csv)),
            ("source,target\n\"a, b\",c\n", Some(Format::Csv)),
            ("0 1 {'weight': 4, 'x': 1}\n0 2 {}\n", Some(Format::Whitespace)),
            ("1 2\n2 3\n", Some(Format::Whitespace)),
            ("Dear reader,\n\nthis is a letter and no graph\n", None),
            ("This is prose.\nIt has lines of many lengths.\n", None),
            ("word\n", None),
            ("", None),
        ];
        for (head, format) in cases {
            assert_eq!(guess(head), format, "{head}");
        }
    }
}
