//! One page: its properties, its references, and the caps on both.

use super::Flavour;
use super::front_matter;
use super::references::{Marks, Target, percent_decoded, scan, tag_target};
use crate::graph::formats::note::Note;

/// Levels of blocks inside of blocks that are read.
pub(super) const BLOCK_DEPTH_MAX: usize = 16;

/// References of one block that are read.
pub(super) const BLOCK_REFERENCES_MAX: usize = 256;

/// Blocks of one page that are read.
pub(super) const BLOCKS_MAX: usize = 50_000;

/// One reference of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) target: Target,
    pub(super) relation: &'static str,
    pub(super) line: u64,
}

/// One property that becomes an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) name: Box<str>,
    pub(super) value: Box<str>,
    /// What it refers to; a property that names a private page is as private.
    pub(super) targets: Vec<Target>,
}

/// What a page says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Its first line is `public:: true`.
    pub(super) public: bool,
    pub(super) title: Option<Box<str>>,
    pub(super) aliases: Vec<Box<str>>,
    pub(super) properties: Vec<Property>,
    pub(super) references: Vec<Reference>,
    pub(super) notes: Vec<Note>,
}

/// Reads the text of the page in `file`.
///
/// A block is a list item with the lines that go on it, or a paragraph. Fenced code is passed over.
pub(super) fn read(file: &str, text: &str, flavour: Flavour) -> Contents {
    let mut reader = Reader { file, flavour, contents: Contents::default(), block: Block::default() };
    let first = text.lines().next().unwrap_or_default();
    reader.contents.public = property(without_bullet(first.trim_end()).1)
        .is_some_and(|(name, value)| name.eq_ignore_ascii_case("public") && value.eq_ignore_ascii_case("true"));
    let (front, skipped) = front_matter::read(text);
    for (line, entry) in front {
        reader.front_property(line, &entry);
    }
    let mut fence: Option<(char, usize)> = None;
    let mut head = true;
    let mut fresh = true;
    for (number, line) in (1..).zip(text.lines()).skip(skipped) {
        if let Some(open) = fence {
            fence = (!closes(line, open)).then_some(open);
            continue;
        }
        if line.trim().is_empty() {
            fresh = true;
            continue;
        }
        let (bullet, body) = without_bullet(line);
        let heading = bullet.is_none() && is_heading(body);
        // An indented line after a blank one still belongs to the list item above it.
        let goes_on = line.starts_with([' ', '\t']) && !reader.block.indents.is_empty();
        if bullet.is_some() || heading || (fresh && !goes_on) {
            // Only the first block of a Logseq page holds the page's properties.
            head &= reader.block.count == 0 || bullet.is_none();
            if !reader.start_block(number, bullet.map(|_| indent(line))) {
                break;
            }
        }
        fresh = heading;
        fence = opens(body);
        if fence.is_some() || reader.block.left_out {
            continue;
        }
        let found = if flavour == Flavour::Logseq { property(body) } else { None };
        match found {
            Some((name, value)) => reader.property(number, name, value, head),
            None => {
                head = false;
                reader.text(number, body);
            }
        }
    }
    reader.contents
}

#[derive(Debug, Default)]
struct Block {
    count: usize,
    references: usize,
    /// Indents of the list items that are open.
    indents: Vec<usize>,
    left_out: bool,
    depth_noted: bool,
}

struct Reader<'a> {
    file: &'a str,
    flavour: Flavour,
    contents: Contents,
    block: Block,
}

impl Reader<'_> {
    /// Counts a block in; `false` when the page has had its last.
    fn start_block(&mut self, line: u64, item: Option<usize>) -> bool {
        let page = || self.file.into();
        let block = &mut self.block;
        if block.count == BLOCKS_MAX {
            self.contents.notes.push(Note::Blocks { page: page(), line, limit: BLOCKS_MAX });
            return false;
        }
        block.count += 1;
        block.references = 0;
        match item {
            Some(indent) => {
                while block.indents.last().is_some_and(|open| *open >= indent) {
                    block.indents.pop();
                }
                // What lies deeper than the cap is left out, so its own depth need not be known.
                if block.indents.len() <= BLOCK_DEPTH_MAX {
                    block.indents.push(indent);
                }
            }
            None => block.indents.clear(),
        }
        block.left_out = block.indents.len() > BLOCK_DEPTH_MAX;
        if block.left_out && !block.depth_noted {
            block.depth_noted = true;
            self.contents.notes.push(Note::BlockDepth { page: page(), line, limit: BLOCK_DEPTH_MAX });
        }
        true
    }

    fn reference(&mut self, line: u64, target: Target, relation: &'static str) {
        self.block.references += 1;
        if self.block.references <= BLOCK_REFERENCES_MAX {
            self.contents.references.push(Reference { target, relation, line });
        } else if self.block.references == BLOCK_REFERENCES_MAX + 1 {
            let note = Note::BlockReferences { page: self.file.into(), line, limit: BLOCK_REFERENCES_MAX };
            self.contents.notes.push(note);
        }
    }

    fn text(&mut self, line: u64, text: &str) {
        let flavour = self.flavour;
        scan(text, flavour, &mut |target, relation| self.reference(line, target, relation));
    }

    /// A Logseq property: of the page where `head` is true, else of a block.
    fn property(&mut self, line: u64, name: &str, value: &str, head: bool) {
        match name.to_lowercase().as_str() {
            "tags" => self.tags(line, items(value)),
            "alias" | "aliases" if head => self.contents.aliases.extend(items(value).map(Box::from)),
            "title" if head && !value.is_empty() => self.contents.title = Some(value.into()),
            _ => self.other(line, name, value, head),
        }
    }

    /// An entry of the front matter, with one value or many.
    fn front_property(&mut self, line: u64, (name, values): &front_matter::Entry) {
        let parts = || values.iter().flat_map(|value| items(value));
        match name.to_lowercase().as_str() {
            // Obsidian's one-line tags may be separated by blanks.
            "tags" | "tag" => {
                let tags: Vec<String> =
                    parts().flat_map(|item| item.split_whitespace().map(String::from).collect::<Vec<_>>()).collect();
                self.tags(line, tags.iter().map(String::as_str));
            }
            "alias" | "aliases" if values.len() > 1 => {
                self.contents.aliases.extend(values.iter().map(|value| value.trim().into()))
            }
            "alias" | "aliases" => self.contents.aliases.extend(parts().map(Box::from)),
            "title" if self.flavour == Flavour::Logseq => {
                self.contents.title = values.first().map(|title| title.as_str().into())
            }
            _ => self.other(line, name, &values.join(", "), true),
        }
    }

    fn tags<'t>(&mut self, line: u64, tags: impl Iterator<Item = &'t str>) {
        for tag in tags {
            if let Some(target) = tag_target(tag, self.flavour) {
                self.reference(line, target, "tag");
            }
        }
    }

    fn other(&mut self, line: u64, name: &str, value: &str, of_page: bool) {
        let mut targets = Vec::new();
        let flavour = self.flavour;
        scan(value, flavour, &mut |target, _| {
            targets.push(target.clone());
            self.reference(line, target, "property");
        });
        if of_page && !value.is_empty() {
            self.contents.properties.push(Property { name: name.into(), value: value.into(), targets });
        }
    }
}

/// `key:: value`, the key without blanks.
fn property(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim().split_once("::")?;
    let fits = !name.is_empty()
        && name.chars().all(|character| character.is_alphanumeric() || matches!(character, '-' | '_' | '/' | '.'));
    (fits && (value.is_empty() || value.starts_with(char::is_whitespace))).then(|| (name, value.trim()))
}

/// The items of a list with commas, brackets around pages, quotes and the `#` of a tag taken off. A comma inside
/// `[[...]]` is part of the name.
fn items(value: &str) -> impl Iterator<Item = &str> {
    let (mut opens, mut closes) = (Marks::of(value, "[["), Marks::of(value, "]]"));
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let at = start?;
        let comma_from = |from: usize| value.get(from..)?.find(',').map(|place| from + place);
        let comma = comma_from(at);
        let open = opens.next_from(at).filter(|open| comma.is_none_or(|comma| *open < comma));
        let comma = open.and_then(|open| closes.next_from(open)).map_or(comma, comma_from);
        let item = value.get(at..comma.unwrap_or(value.len())).unwrap_or_default();
        start = comma.map(|comma| comma + 1);
        let item = item.trim().trim_matches(['"', '\'']).trim_start_matches('#');
        Some(item.strip_prefix("[[").and_then(|inner| inner.strip_suffix("]]")).unwrap_or(item).trim())
    })
    .filter(|item| !item.is_empty())
}

/// The bullet of a list item, if it is one, and the rest of the line.
fn without_bullet(line: &str) -> (Option<&str>, &str) {
    let text = line.trim_start();
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let length = if text.starts_with(['-', '*', '+']) {
        1
    } else if (1..10).contains(&digits) && text.get(digits..).is_some_and(|after| after.starts_with(['.', ')'])) {
        digits + 1
    } else {
        return (None, line);
    };
    match (text.get(..length), text.get(length..)) {
        (Some(bullet), Some("")) => (Some(bullet), ""),
        (Some(bullet), Some(rest)) if rest.starts_with([' ', '\t']) => (Some(bullet), rest.trim_start()),
        _ => (None, line),
    }
}

/// Columns before the first character; a tab reaches to the next multiple of four.
fn indent(line: &str) -> usize {
    let blanks = line.chars().take_while(|character| matches!(character, ' ' | '\t'));
    blanks.fold(0, |width, blank| if blank == '\t' { (width / 4 + 1) * 4 } else { width + 1 })
}

fn is_heading(body: &str) -> bool {
    let text = body.trim_start();
    let marks = text.len() - text.trim_start_matches('#').len();
    (1..=6).contains(&marks) && text.get(marks..).is_some_and(|rest| rest.starts_with(' '))
}

/// The fence that the line opens: its character and length.
fn opens(body: &str) -> Option<(char, usize)> {
    let text = body.trim_start_matches([' ', '\t', '>']);
    let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let length = text.len() - text.trim_start_matches(mark).len();
    let rest = text.get(length..).unwrap_or_default();
    // Backticks after the opening make it inline code.
    (length >= 3 && !(mark == '`' && rest.contains('`'))).then_some((mark, length))
}

fn closes(line: &str, (mark, length): (char, usize)) -> bool {
    let text = line.trim_matches([' ', '\t', '>']);
    text.len() >= length && text.chars().all(|character| character == mark)
}

/// The name of the page in a Logseq file: `___` and `%2F` are the slashes of a namespace.
pub(super) fn logseq_name(stem: &str) -> String {
    percent_decoded(&stem.replace("___", "/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::formats::vault::Flavour::{Logseq, Obsidian};

    fn pages(text: &str, flavour: Flavour) -> Vec<String> {
        let contents = read("p.md", text, flavour);
        let names = contents.references.into_iter().map(|reference| match reference.target {
            Target::Page(name) | Target::Tag(name) | Target::File(name) => name.to_string(),
        });
        names.collect()
    }

    #[test]
    fn only_the_first_line_makes_a_page_public() {
        for text in ["public:: true", "- public:: true\n- x", "Public::  True  \ntitle:: x"] {
            assert!(read("p.md", text, Logseq).public, "{text}");
        }
        for text in [
            "",
            "\npublic:: true",
            "title:: x\npublic:: true",
            "public:: false",
            "public: true",
            "a public:: true",
            "public::true",
        ] {
            assert!(!read("p.md", text, Logseq).public, "{text}");
        }
    }

    #[test]
    fn page_properties_are_those_of_the_first_block() {
        let contents = read(
            "p.md",
            "title:: T\nalias:: a, [[b, c]], \"d\"\ntags:: x, #y, [[z w]]\nsize:: 3\n\n- rank:: 2\n- see [[q]]",
            Logseq,
        );
        assert_eq!(contents.title.as_deref(), Some("T"));
        assert_eq!(contents.aliases, ["a", "b, c", "d"].map(Box::from));
        let names: Vec<&str> = contents.properties.iter().map(|property| &*property.name).collect();
        assert_eq!(names, ["size"]);
        assert_eq!(pages("title:: T\ntags:: x, #y, [[z w]]\n- see [[q]]", Logseq), ["x", "y", "z w", "q"]);
    }

    #[test]
    fn items_of_a_long_line_are_read_once() {
        let many = 500_000;
        assert!(items(&"a,".repeat(many)).eq(std::iter::repeat_n("a", many)));
        assert!(items(&"[[a,".repeat(many)).eq(std::iter::repeat_n("[[a", many)));
        assert!(items(&"[[a]],".repeat(many)).eq(std::iter::repeat_n("a", many)));
        let late = format!("{}[[b, c]], d", "a,".repeat(many));
        assert!(items(&late).skip(many).eq(["b, c", "d"]));
    }

    #[test]
    fn front_matter_gives_tags_aliases_and_links() {
        let text = "---\ntags: [a, b/c]\naliases:\n  - One, two\n  - Three\nup: \"[[Top]]\"\nrank: 2\n---\n#d";
        let contents = read("p.md", text, Obsidian);
        assert_eq!(contents.aliases, ["One, two", "Three"].map(Box::from));
        assert_eq!(contents.properties.len(), 2);
        assert_eq!(pages(text, Obsidian), ["a", "b/c", "Top", "d"]);
    }

    #[test]
    fn fenced_code_holds_no_references() {
        let text = "- [[a]]\n- ```js\n  [[no]]\n  ```\n- [[b]]\n~~~\n[[no]]\n```\n~~~\n[[c]] ```[[no]]```\n````\n```\n[[no]]\n````\n[[d]]\n```\n[[no]]";
        assert_eq!(pages(text, Logseq), ["a", "b", "c", "d"]);
    }

    #[test]
    fn caps_are_kept_and_noted_by_name() {
        let deep: String = (0..20).map(|depth| format!("{}- [[d{depth}]]\n", "\t".repeat(depth))).collect();
        let contents = read("p.md", &format!("{deep}- [[after]]"), Logseq);
        assert_eq!(contents.references.len(), BLOCK_DEPTH_MAX + 1);
        assert_eq!(contents.notes, [Note::BlockDepth { page: "p.md".into(), line: 17, limit: BLOCK_DEPTH_MAX }]);
        let wide: String = (0..300).map(|index| format!("[[r{index}]] ")).collect();
        let contents = read("p.md", &format!("{wide}\n\n[[next]]"), Obsidian);
        assert_eq!(contents.references.len(), BLOCK_REFERENCES_MAX + 1);
        assert_eq!(
            contents.notes,
            [Note::BlockReferences { page: "p.md".into(), line: 1, limit: BLOCK_REFERENCES_MAX }]
        );
        let long = "- [[x]]\n".repeat(BLOCKS_MAX + 5);
        let contents = read("p.md", &long, Logseq);
        assert_eq!(contents.references.len(), BLOCKS_MAX);
        assert_eq!(contents.notes, [Note::Blocks { page: "p.md".into(), line: 50_001, limit: BLOCKS_MAX }]);
    }

    #[test]
    fn namespaces_are_read_from_file_names() {
        assert_eq!(logseq_name("a___b%2Fc%3A d"), "a/b/c: d");
    }

    /// What the scanners look for, so that random text gets past their first checks.
    const PIECES: [&str; 32] = [
        "\n",
        "\n",
        " ",
        "\t",
        "- ",
        "1. ",
        "[[",
        "]]",
        "|",
        "#",
        "#[[",
        "](",
        ")",
        "<",
        ">",
        "`",
        "```",
        "~~~",
        "\\",
        "!",
        "::",
        "tags:: ",
        "title:: ",
        "alias:: a, [[b",
        "---\n",
        "tags: [",
        "]",
        "é",
        "\u{301}",
        ".md",
        "%2F",
        "\"",
    ];

    proptest::proptest! {
        #[test]
        fn random_text_never_panics(
            pieces in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..80),
            other in ".{0,60}",
        ) {
            for text in [pieces.concat(), other, pieces.join("é")] {
                for flavour in [Logseq, Obsidian] {
                    let contents = read("p.md", &text, flavour);
                    proptest::prop_assert!(contents.references.len() <= text.len());
                }
                let _ = logseq_name(&text);
                if let Some(day) = crate::graph::formats::vault::journal::Day::of_file("2024_02_29") {
                    let _ = day.titled(&text);
                }
            }
        }
    }
}
