//! A text that is read from front to back, for the formats of words and quotes.

use super::intake::Intake;
use super::{Found, ImportError};

/// Levels of brackets inside of each other.
pub(super) const DEPTH_MAX: usize = 100;

/// A place in a text.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// A byte and its line. Lines are asked for in order, so counting goes on from the last one.
    mark: (usize, u64),
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, mark: (0, 1) }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes on by so many bytes, which must end between characters.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.text.len());
    }

    /// Goes back to where `rest` was what had not been read.
    pub(super) fn back_to(&mut self, rest: &str) {
        self.at = self.text.len().saturating_sub(rest.len());
    }

    /// Passes over `start`, when that is next.
    pub(super) fn pass(&mut self, start: &str) -> bool {
        let is_next = self.rest().starts_with(start);
        if is_next {
            self.at += start.len();
        }
        is_next
    }

    /// The next characters for which `fits` holds.
    pub(super) fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|character| !fits(character)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or(rest)
    }

    /// The text up to `end`, which is passed over; `None` when there is none, and then nothing is read.
    pub(super) fn take_until(&mut self, end: &str) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest.find(end)?;
        self.at += length + end.len();
        rest.get(..length)
    }

    /// Whether nothing but blanks stands before this place in its line.
    pub(super) fn starts_line(&self) -> bool {
        let before = self.text.get(..self.at).unwrap_or_default();
        before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty())
    }

    /// Line of the next character, counted from 1.
    pub(super) fn line(&mut self) -> u64 {
        let (from, line) = if self.mark.0 <= self.at { self.mark } else { (0, 1) };
        let passed = self.text.as_bytes().get(from..self.at).unwrap_or_default();
        self.mark = (self.at, line + super::import::newlines(passed));
        self.mark.1
    }

    /// Character of its line that is next, counted from 1.
    pub(super) fn column(&self) -> u64 {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line = before.rfind('\n').map_or(before, |end| before.get(end + 1..).unwrap_or_default());
        line.chars().count() as u64 + 1
    }

    /// The error that something else was expected here.
    pub(super) fn wrong(&mut self, expected: &'static str, intake: &Intake) -> ImportError {
        let rest = self.rest();
        let word = rest.find(char::is_whitespace).filter(|end| *end > 0).unwrap_or(rest.len());
        let found = match rest.get(..word) {
            Some("") | None => "the end of the file".into(),
            Some(word) => Found::new(word).to_string().into(),
        };
        let (line, column) = (self.line(), Some(self.column()));
        ImportError::Syntax { path: intake.path().into(), line, column, expected, found }
    }

    /// The error that brackets stand too deep in each other.
    pub(super) fn too_deep(&mut self, intake: &Intake) -> ImportError {
        ImportError::TooDeep { path: intake.path().into(), line: self.line(), limit: DEPTH_MAX }
    }
}
