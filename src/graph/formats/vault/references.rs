//! The references in one line of Markdown.

use super::Flavour;
use crate::limits::TEXT_BYTES_MAX;

/// What a reference names, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A page by name, or, in Obsidian, by path.
    Page(Box<str>),
    /// An Obsidian tag, without its `#`.
    Tag(Box<str>),
    /// A page by its file, relative to the page that links it, without `.md`.
    File(Box<str>),
}

/// Files that a link may name and that are no pages.
const ATTACHMENTS: [&str; 31] = [
    "png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "avif", "heic", "pdf", "mp3", "wav", "m4a", "ogg", "flac",
    "webm", "mp4", "mov", "mkv", "ogv", "3gp", "canvas", "base", "edn", "csv", "zip", "docx", "xlsx", "pptx", "html",
    "epub",
];

/// Calls `found` with every reference of `line` and its relation, from left to right. Inline code is passed over,
/// and so is a character after a backslash.
pub(super) fn scan(line: &str, flavour: Flavour, found: &mut dyn FnMut(Target, &'static str)) {
    let mut at = 0;
    let mut before = None;
    let mut closes = Marks::of(line, "]]");
    while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or_default();
        let used = match first {
            '\\' => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            '`' => code_span(rest),
            '[' if rest.starts_with("[[") => {
                wiki(at, &mut closes, flavour, if before == Some('!') { "embed" } else { "link" }, found)
            }
            ']' if rest.starts_with("](") => destination(rest, found),
            '#' if starts_tag(before) && rest.starts_with("#[[") => {
                1 + wiki(at + 1, &mut closes, flavour, "tag", found)
            }
            '#' if starts_tag(before) => tag(rest, flavour, found),
            _ => first.len_utf8(),
        };
        before = line.get(..at + used).and_then(|done| done.chars().next_back());
        at += used;
    }
}

/// Where a mark stands in a line. Asked for places that never go back, it reads the line once, however often the mark
/// is looked for and not there.
pub(super) struct Marks<'a> {
    line: &'a str,
    mark: &'static str,
    /// The first at or behind the last place asked for.
    next: Option<usize>,
}

impl<'a> Marks<'a> {
    pub(super) fn of(line: &'a str, mark: &'static str) -> Self {
        Self { line, mark, next: line.find(mark) }
    }

    /// The first mark at or behind `place`.
    pub(super) fn next_from(&mut self, place: usize) -> Option<usize> {
        if self.next.is_some_and(|next| next < place) {
            self.next = self.line.get(place..).and_then(|rest| rest.find(self.mark)).map(|found| place + found);
        }
        self.next
    }
}

/// Bytes of the code span at the start of `rest`, or of its backticks when nothing closes it.
fn code_span(rest: &str) -> usize {
    let ticks = rest.len() - rest.trim_start_matches('`').len();
    let mut at = ticks;
    while let Some(next) = rest.get(at..).and_then(|tail| tail.find('`')) {
        let run = rest.get(at + next..).unwrap_or_default();
        let length = run.len() - run.trim_start_matches('`').len();
        at += next + length;
        if length == ticks {
            return at;
        }
    }
    ticks
}

/// `[[...]]` at the place `at` of the line; `closes` are its `]]`. An inner `[[` starts anew, so that of nested names
/// the innermost counts.
fn wiki(
    at: usize,
    closes: &mut Marks<'_>,
    flavour: Flavour,
    relation: &'static str,
    found: &mut dyn FnMut(Target, &'static str),
) -> usize {
    let start = at + 2;
    let Some(end) = closes.next_from(start) else { return 2 };
    let text = closes.line.get(start..end).unwrap_or_default();
    if let Some(nested) = text.find("[[") {
        return 2 + nested;
    }
    if let Some(page) = page_name(text, flavour) {
        found(Target::Page(page.into()), relation);
    }
    end + 2 - at
}

/// The page that the inside of `[[...]]` names; `None` for a place in the same page, and for an attachment.
fn page_name(text: &str, flavour: Flavour) -> Option<&str> {
    let name = text.split('|').next().unwrap_or(text).trim_end_matches('\\');
    // In Logseq `#` is part of a name; in Obsidian it cannot be.
    let name = if flavour == Flavour::Obsidian { name.split(['#', '^']).next().unwrap_or(name) } else { name };
    let name = without_md(name.trim());
    (!name.is_empty() && name.len() <= TEXT_BYTES_MAX && !is_attachment(name)).then_some(name)
}

/// `](...)` at the start of `rest`: a link to a page's file, if it is one. An inner `](` starts anew, so that a line of
/// them is not read to its end from each.
fn destination(rest: &str, found: &mut dyn FnMut(Target, &'static str)) -> usize {
    let inner = rest.get(2..).unwrap_or_default();
    let inner = inner.split("](").next().unwrap_or_default().trim_start();
    let text = match inner.strip_prefix('<') {
        Some(angled) => angled.split('>').next().unwrap_or_default(),
        // A title after the destination is not part of it.
        None => inner.split([')', ' ']).next().unwrap_or_default(),
    };
    let path = percent_decoded(text.split(['#', '?']).next().unwrap_or_default());
    let elsewhere = path.split('/').next().is_some_and(|first| first.contains(':'));
    let page = without_md(&path);
    if !elsewhere && page.len() < path.len() && !page.is_empty() && page.len() <= TEXT_BYTES_MAX {
        found(Target::File(page.into()), "link");
    }
    2
}

fn starts_tag(before: Option<char>) -> bool {
    before.is_none_or(|character| character.is_whitespace() || matches!(character, '(' | ',' | ';' | '>'))
}

/// `#tag` at the start of `rest`.
fn tag(rest: &str, flavour: Flavour, found: &mut dyn FnMut(Target, &'static str)) -> usize {
    let inner = rest.get(1..).unwrap_or_default();
    let end = inner.find(|character| !is_tag_character(character)).unwrap_or(inner.len());
    let text = inner.get(..end).unwrap_or_default().trim_end_matches('/');
    if let Some(target) = tag_target(text, flavour) {
        found(target, "tag");
    }
    1 + end
}

/// A tag by its name: a page in Logseq, a kind of its own in Obsidian, where a number alone is none.
pub(super) fn tag_target(text: &str, flavour: Flavour) -> Option<Target> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    match flavour {
        Flavour::Logseq => Some(Target::Page(text.into())),
        Flavour::Obsidian => text
            .contains(|character: char| !character.is_numeric() && character != '/')
            .then(|| Target::Tag(text.into())),
    }
}

fn is_tag_character(character: char) -> bool {
    let punctuation = matches!(character, '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ff0f}');
    character.is_alphanumeric()
        || matches!(character, '_' | '-' | '/')
        || (!character.is_ascii() && !character.is_whitespace() && !punctuation)
}

/// `name` without `.md` or `.markdown`.
pub(super) fn without_md(name: &str) -> &str {
    for extension in [".md", ".markdown"] {
        if let Some(cut) = name.len().checked_sub(extension.len())
            && name.get(cut..).is_some_and(|end| end.eq_ignore_ascii_case(extension))
        {
            return name.get(..cut).unwrap_or(name);
        }
    }
    name
}

fn is_attachment(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| ATTACHMENTS.contains(&extension.as_str()))
}

/// `%41` as `A`; what does not decode to UTF-8 stays as it is.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex
            .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::formats::vault::Flavour::{Logseq, Obsidian};

    fn found(line: &str, flavour: Flavour) -> Vec<String> {
        let mut list = Vec::new();
        scan(line, flavour, &mut |target, relation| {
            let (kind, text) = match target {
                Target::Page(text) => ("page", text),
                Target::Tag(text) => ("tag", text),
                Target::File(text) => ("file", text),
            };
            list.push(format!("{relation} {kind} {text}"));
        });
        list
    }

    #[test]
    fn links_of_both_tools() {
        assert_eq!(
            found("see [[A b]] and [[C|sea]], [d]([[D]])", Logseq),
            ["link page A b", "link page C", "link page D"]
        );
        assert_eq!(
            found("#one #[[two words]] #a/b, (#c) x#no # no", Logseq),
            ["tag page one", "tag page two words", "tag page a/b", "tag page c"]
        );
        assert_eq!(
            found("[[n#head|x]] ![[e]] [[#here]] [[n^b]] ![[p.png]]", Obsidian),
            ["link page n", "embed page e", "link page n"]
        );
        assert_eq!(
            found("| [[a\\|b]] | #x/y #2024 #y2024 |", Obsidian),
            ["link page a", "tag tag x/y", "tag tag y2024"]
        );
        assert_eq!(
            found("[t](sub/o%20p.md#h) [u](<a b.md>) [v](q.md \"t\")", Obsidian),
            ["link file sub/o p", "link file a b", "link file q"]
        );
        assert_eq!(found("[w](https://x.org/a.md) [x](pic.png) <http://y/#z>", Obsidian), Vec::<String>::new());
        assert_eq!(found("[[a [[b]] c]]", Logseq), ["link page b"]);
        assert_eq!(found("[[C# notes]]", Logseq), ["link page C# notes"]);
    }

    #[test]
    fn code_and_escapes_hold_no_references() {
        assert_eq!(found("`[[a]]` ``#b ` [[c]]`` [[d]] `[[e]]", Logseq), ["link page d", "link page e"]);
        assert_eq!(found("\\#a \\[[b]] [[]] [[ ]] [[open", Obsidian), Vec::<String>::new());
    }

    #[test]
    fn a_line_of_opened_marks_is_read_once() {
        for piece in ["[[", "](", "](<a", "#[[ "] {
            assert_eq!(found(&piece.repeat(500_000), Logseq), Vec::<String>::new(), "{piece}");
            let line = format!("{} [[b]] #[[c]] [d](e.md)", piece.repeat(500_000));
            assert_eq!(found(&line, Logseq), ["link page b", "tag page c", "link file e"], "{piece}");
        }
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert_eq!(found(&format!("[[{long}]] [a]({long}.md) [[b]]"), Logseq), ["link page b"]);
    }

    #[test]
    fn percent_codes_are_text_when_they_spell_none() {
        assert_eq!(percent_decoded("a%2Fb%C3%A9"), "a/bé");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%FF%+1"), "%FF%+1");
    }
}
