//! What can be wrong with a file that came from outside, in the words a person needs to mend it.

use std::fmt;
use std::path::PathBuf;

use super::Format;
use crate::graph::BuildError;

/// Bad lines that one error message names; the rest is a count.
pub const BAD_LINES_SHOWN: usize = 20;

/// Bad lines that are kept with their reasons; past it they are only counted.
pub const BAD_LINES_KEPT: usize = 1_000;

/// Characters of the found text that a message repeats.
const FOUND_CHARS_MAX: usize = 40;

/// A piece of the file as a message may show it: at most 40 characters, control characters escaped, in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found(Box<str>);

impl Found {
    /// Takes the head of `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut shown = String::from("\"");
        for (count, character) in text.chars().enumerate() {
            if count == FOUND_CHARS_MAX {
                shown.push_str("\"...");
                return Self(shown.into());
            }
            // Direction overrides and line separators are not `char::is_control`, and they too can make a
            // terminal show another text than the file has.
            let hidden = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
            if character.is_control() || hidden || character == '"' || character == '\\' {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
        }
        shown.push('"');
        Self(shown.into())
    }

    /// The words of another library's error, which may quote the file, with the same care and no quotes.
    pub(super) fn words(text: &str) -> Box<str> {
        let line = text.chars().take(200);
        line.map(|character| if character.is_control() { ' ' } else { character }).collect::<String>().into()
    }

    /// As [`Self::new`], for bytes that need not be UTF-8.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        let head = bytes.get(..FOUND_CHARS_MAX * 4 + 4).unwrap_or(bytes);
        Self::new(&String::from_utf8_lossy(head))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What is wrong with one line or record. With `skip_bad` the record is left out and the rest is taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Something else was expected here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What the format wants here.
        expected: &'static str,
        /// What the file has here.
        found: Found,
    },
    /// The record ends before something it must have.
    #[error("expected {expected}, found nothing")]
    Missing {
        /// What the format wants here.
        expected: &'static str,
    },
    /// The line has another number of fields than the header, or the first line.
    #[error("expected {expected} fields, found {found}")]
    Fields {
        /// Fields of the header, or of the first line.
        expected: usize,
        /// Fields of this line.
        found: usize,
    },
    /// A quoted field does not end.
    #[error("expected a closing quote, found the end of the field's {lines} lines")]
    OpenQuote {
        /// Lines that were searched for it.
        lines: usize,
    },
    /// A line is longer than an importer reads.
    #[error("expected a line of at most {limit} bytes, found a longer one")]
    LineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The bytes are not UTF-8.
    #[error("expected UTF-8 text, found {found}")]
    NotUtf8 {
        /// The bytes, with what is not UTF-8 replaced.
        found: Found,
    },
    /// An edge names a node that the file does not have.
    #[error("expected an edge between nodes of the file, found no node {node}")]
    NoSuchNode {
        /// The missing end.
        node: Found,
    },
    /// A node stands in the file twice.
    #[error("expected every node once, found {node} a second time")]
    NodeTwice {
        /// Its key.
        node: Found,
    },
    /// An index past the size that the file states.
    #[error("expected an index from {first} to {last}, found {found}")]
    Index {
        /// Smallest index.
        first: u64,
        /// Largest index.
        last: u64,
        /// What the file has.
        found: Found,
    },
    /// The file states a number of entries and has another.
    #[error("expected the {said} entries of the size line, found {found}")]
    Count {
        /// What the file says.
        said: u64,
        /// What it has.
        found: u64,
    },
    /// A page of a vault is larger than an importer reads.
    #[error("expected a page of at most {limit} bytes, found {found}")]
    PageTooLarge {
        /// The limit, in bytes.
        limit: u64,
        /// The size of the page, in bytes.
        found: u64,
    },
    /// A page of a vault cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(Box<str>),
    /// The graph does not take it.
    #[error(transparent)]
    Refused(#[from] BuildError),
}

impl Problem {
    /// `expected` something other than `found`.
    pub(super) fn expected(expected: &'static str, found: &str) -> Self {
        Self::Expected { expected, found: Found::new(found) }
    }
}

/// One line or record that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct BadLine {
    /// The page, in a vault.
    pub file: Option<Box<str>>,
    /// What `line` counts: "line", or "row" in a table without lines.
    pub unit: &'static str,
    /// Line of the file, counted from 1; 0 when the whole file is meant.
    pub line: u64,
    /// Character of the line, counted from 1, where it is known.
    pub column: Option<u64>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for BadLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(out, "{file}: ")?;
        }
        if self.line > 0 {
            write!(out, "{} {}", self.unit, self.line)?;
            if let Some(column) = self.column {
                write!(out, ", column {column}")?;
            }
            out.write_str(": ")?;
        }
        self.problem.fmt(out)
    }
}

/// Why nothing was imported. Every message starts with the path.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no such file.
    #[error("{path}: no such file or folder")]
    NotFound {
        /// As it was given.
        path: PathBuf,
    },
    /// The system does not let it be read.
    #[error("{path}: cannot be read: {reason}")]
    Unreadable {
        /// As it was given.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// Neither a file nor a folder: a pipe, a socket, a device.
    #[error("{path}: expected a file or a folder, found something else (a pipe, a socket or a device)")]
    Special {
        /// As it was given.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("{path}: expected a graph, found an empty file")]
    Empty {
        /// As it was given.
        path: PathBuf,
    },
    /// Nobody wants it any more.
    #[error("{path}: the import was stopped")]
    Stopped {
        /// As it was given.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("{path}: expected text, found {what}")]
    Binary {
        /// As it was given.
        path: PathBuf,
        /// What it looks like.
        what: &'static str,
    },
    /// The file is not UTF-8.
    #[error("{path}: line {line}: expected UTF-8 text, found other bytes; save the file as UTF-8")]
    NotUtf8 {
        /// As it was given.
        path: PathBuf,
        /// First line with such bytes, or the one after the last that was read.
        line: u64,
    },
    /// No known format.
    #[error(
        "{path}: no known graph format: expected one of {}, found a first line of {first_line}; name the format if it is one of these",
        Format::NAMES
    )]
    Unknown {
        /// As it was given.
        path: PathBuf,
        /// Its first line with text.
        first_line: Found,
    },
    /// A folder where a file is wanted.
    #[error("{path}: expected a file in the format {}, found a folder", format.name())]
    Folder {
        /// As it was given.
        path: PathBuf,
        /// The format that was asked for.
        format: Format,
    },
    /// A file where a vault is wanted.
    #[error("{path}: expected a vault, which is a folder of Markdown pages, found a file")]
    NotFolder {
        /// As it was given.
        path: PathBuf,
    },
    /// A folder without pages.
    #[error("{path}: expected a vault with Markdown pages (.md), found none in this folder")]
    NoPages {
        /// As it was given.
        path: PathBuf,
    },
    /// A Logseq vault in which no page says that it is public.
    #[error(
        "{path}: none of the {pages} pages of this Logseq vault has `public:: true` as its first line; \
         set vault_all_pages to take them all"
    )]
    NonePublic {
        /// As it was given.
        path: PathBuf,
        /// Pages that were looked at.
        pages: usize,
    },
    /// The file's syntax is broken: nothing after this place can be trusted, so there is nothing to skip.
    #[error("{path}: line {line}{}: expected {expected}, found {found}", OrNothing(", column ", *column))]
    Syntax {
        /// As it was given.
        path: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// Column, counted from 1, where it is known.
        column: Option<u64>,
        /// What the format wants here.
        expected: &'static str,
        /// What is there instead; words, not a quotation.
        found: Box<str>,
    },
    /// An XML file declares or uses entities of its own.
    #[error(
        "{path}: line {line}: expected text without entities of its own (only &lt; &gt; &amp; &apos; &quot; and \
         character numbers are read), found {found}"
    )]
    Entity {
        /// As it was given.
        path: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// The declaration or the reference.
        found: Found,
    },
    /// The file nests deeper than an importer follows.
    #[error("{path}: line {line}: expected at most {limit} levels of nesting, found more")]
    TooDeep {
        /// As it was given.
        path: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// Levels.
        limit: usize,
    },
    /// The folders nest deeper than an importer follows.
    #[error("{path}: expected at most {limit} folders inside of each other, found more")]
    FoldersTooDeep {
        /// As it was given.
        path: PathBuf,
        /// Folders.
        limit: usize,
    },
    /// Defaults and statements about many records multiply their attributes past what an importer makes of one file.
    #[error(
        "{path}: line {line}: expected at most {limit} bytes of attributes that are given to many records at once, found more"
    )]
    Shared {
        /// As it was given.
        path: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// More nodes or edges than the configuration allows.
    #[error("{path}: line {line}: {limit}; raise the limit to import it")]
    Limit {
        /// As it was given.
        path: PathBuf,
        /// Line, counted from 1, or the number of pages read.
        line: u64,
        /// Which limit, with its number.
        limit: BuildError,
    },
    /// Lines or records are wrong, and skipping them was not asked for, or nothing else was there.
    #[error("{path}: {}", BadLines(lines, *count))]
    BadLines {
        /// As it was given.
        path: PathBuf,
        /// The first [`BAD_LINES_KEPT`] of them, in file order.
        lines: Vec<BadLine>,
        /// All of them.
        count: u64,
    },
}

/// A number after its introduction, or nothing.
struct OrNothing(&'static str, Option<u64>);

impl fmt::Display for OrNothing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.map_or(Ok(()), |number| write!(out, "{}{number}", self.0))
    }
}

struct BadLines<'a>(&'a [BadLine], u64);

impl fmt::Display for BadLines<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(lines, count) = *self;
        if let ([line], 1) = (lines, count) {
            return write!(out, "{line} (pass --skip-bad to leave it out)");
        }
        write!(out, "{count} bad lines (pass --skip-bad to leave them out):")?;
        for line in lines.iter().take(BAD_LINES_SHOWN) {
            write!(out, "\n  {line}")?;
        }
        let shown = lines.len().min(BAD_LINES_SHOWN) as u64;
        if count > shown { write!(out, "\n  and {} more", count - shown) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_text_is_short_and_harmless() {
        assert_eq!(Found::new("a\u{1b}[31m\t\"b").to_string(), r#""a\u{1b}[31m\t\"b""#);
        assert_eq!(Found::new("a\u{202e}b").to_string(), r#""a\u{202e}b""#);
        let long = Found::new(&"é".repeat(41)).to_string();
        assert_eq!(long, format!("\"{}\"...", "é".repeat(40)));
        assert_eq!(Found::bytes(b"M\xfcller").to_string(), "\"M\u{fffd}ller\"");
    }

    #[test]
    fn one_error_names_twenty_lines_and_counts_the_rest() {
        let line = |line| BadLine {
            unit: "line",
            file: None,
            line,
            column: None,
            problem: Problem::Fields { expected: 2, found: 1 },
        };
        let error = ImportError::BadLines { path: "a.csv".into(), lines: (1..=25).map(line).collect(), count: 2_000 };
        let text = error.to_string();
        assert!(text.starts_with("a.csv: 2000 bad lines (pass --skip-bad to leave them out):\n  line 1: expected 2"));
        assert!(text.contains("\n  line 20: ") && !text.contains("line 21:"));
        assert!(text.ends_with("\n  and 1980 more"));
    }
}
