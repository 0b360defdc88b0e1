//! DOT's words and marks.

use std::borrow::Cow;

use crate::graph::formats::ImportError;
use crate::graph::formats::cursor::Cursor;
use crate::graph::formats::intake::Intake;

/// A name or a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word<'a> {
    /// Letters, digits and underscores.
    Bare(&'a str),
    /// A number.
    Number(&'a str),
    /// In quotes: without them, pieces joined, and `\"` resolved.
    Quoted(Cow<'a, str>),
    /// Between `<` and `>`, which may nest; without the outer ones.
    Html(Cow<'a, str>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Word(Word<'a>),
    /// `->`, for which it is true, or `--`.
    Operator(bool),
    /// One of `{}[]=,;:`.
    Mark(char),
    Over,
}

impl<'a> Word<'a> {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Bare(text) | Self::Number(text) => text,
            Self::Quoted(text) | Self::Html(text) => text,
        }
    }

    /// The word as the key of a node.
    pub(super) fn key(&self) -> Cow<'_, str> {
        match self {
            // Graphviz keeps a name in brackets and the same in quotes apart.
            Self::Html(text) => format!("<{text}>").into(),
            other => other.text().into(),
        }
    }

    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self, Self::Bare(text) if text.eq_ignore_ascii_case(keyword))
    }
}

/// Whether `head`, the start of a file, can only be DOT: `strict`, `graph` or `digraph`, perhaps a name, and a brace.
pub(in crate::graph::formats) fn starts(head: &str) -> bool {
    let mut cursor = Cursor::new(head);
    blanks(&mut cursor);
    let mut word = bare(&mut cursor);
    if word.eq_ignore_ascii_case("strict") {
        blanks(&mut cursor);
        word = bare(&mut cursor);
    }
    if !word.eq_ignore_ascii_case("graph") && !word.eq_ignore_ascii_case("digraph") {
        return false;
    }
    blanks(&mut cursor);
    if cursor.pass("\"") {
        cursor.take_until("\"");
    } else {
        bare(&mut cursor);
    }
    blanks(&mut cursor);
    cursor.peek() == Some('{')
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii()
}

fn bare<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    cursor.take_while(is_word)
}

/// Passes blanks and comments over; `false` at a comment that does not end.
fn blanks(cursor: &mut Cursor<'_>) -> bool {
    loop {
        cursor.take_while(char::is_whitespace);
        // A line with # is one of the C preprocessor.
        if cursor.rest().starts_with("//") || (cursor.peek() == Some('#') && cursor.starts_line()) {
            cursor.take_while(|character| character != '\n');
        } else if cursor.rest().starts_with("/*") {
            let place = cursor.rest();
            cursor.advance(2);
            if cursor.take_until("*/").is_none() {
                cursor.back_to(place);
                return false;
            }
        } else {
            return true;
        }
    }
}

/// Tokens, one of which may be looked at before it is taken.
pub(super) struct Lexer<'a> {
    cursor: Cursor<'a>,
    /// The next token, with what is left of the text in front of it.
    next: Option<(Token<'a>, &'a str)>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { cursor: Cursor::new(text), next: None }
    }

    pub(super) fn peek(&mut self, intake: &Intake) -> Result<Token<'a>, ImportError> {
        if let Some((token, _)) = &self.next {
            return Ok(token.clone());
        }
        if !blanks(&mut self.cursor) {
            return Err(self.cursor.wrong("a comment that ends in */", intake));
        }
        let place = self.cursor.rest();
        let token = self.read(intake)?;
        self.next = Some((token.clone(), place));
        Ok(token)
    }

    pub(super) fn next(&mut self, intake: &Intake) -> Result<Token<'a>, ImportError> {
        let token = self.peek(intake)?;
        self.next = None;
        Ok(token)
    }

    /// Passes `keyword` over when it is next.
    pub(super) fn pass_keyword(&mut self, keyword: &str, intake: &Intake) -> Result<bool, ImportError> {
        let is_next = matches!(self.peek(intake)?, Token::Word(word) if word.is_keyword(keyword));
        if is_next {
            self.next = None;
        }
        Ok(is_next)
    }

    /// Passes a mark over, which must be next.
    pub(super) fn expect(&mut self, mark: char, expected: &'static str, intake: &Intake) -> Result<(), ImportError> {
        if self.peek(intake)? == Token::Mark(mark) {
            self.next = None;
            return Ok(());
        }
        Err(self.wrong(expected, intake))
    }

    /// The next token, which must be a word.
    pub(super) fn word(&mut self, expected: &'static str, intake: &Intake) -> Result<Word<'a>, ImportError> {
        match self.peek(intake)? {
            Token::Word(word) => {
                self.next = None;
                Ok(word)
            }
            _ => Err(self.wrong(expected, intake)),
        }
    }

    /// Line of the next token.
    pub(super) fn line(&mut self, intake: &Intake) -> Result<u64, ImportError> {
        self.peek(intake)?;
        let after = self.back();
        let line = self.cursor.line();
        self.cursor.back_to(after);
        Ok(line)
    }

    pub(super) fn wrong(&mut self, expected: &'static str, intake: &Intake) -> ImportError {
        self.back();
        self.cursor.wrong(expected, intake)
    }

    pub(super) fn too_deep(&mut self, intake: &Intake) -> ImportError {
        self.back();
        self.cursor.too_deep(intake)
    }

    /// Goes back to the start of the token that was looked at; what was left behind it is returned.
    fn back(&mut self) -> &'a str {
        let after = self.cursor.rest();
        if let Some((_, place)) = &self.next {
            self.cursor.back_to(place);
        }
        after
    }

    fn read(&mut self, intake: &Intake) -> Result<Token<'a>, ImportError> {
        let Some(first) = self.cursor.peek() else { return Ok(Token::Over) };
        for (text, directed) in [("->", true), ("--", false)] {
            if self.cursor.pass(text) {
                return Ok(Token::Operator(directed));
            }
        }
        match first {
            '{' | '}' | '[' | ']' | '=' | ',' | ';' | ':' => {
                self.cursor.advance(1);
                Ok(Token::Mark(first))
            }
            '"' => self.quoted(intake).map(|text| Token::Word(Word::Quoted(text))),
            '<' => self.html(intake).map(|text| Token::Word(Word::Html(text))),
            '-' | '.' | '0'..='9' => match number(self.cursor.rest()) {
                0 => Err(self.cursor.wrong("a number", intake)),
                bytes => {
                    let text = self.cursor.rest().get(..bytes).unwrap_or_default();
                    self.cursor.advance(bytes);
                    Ok(Token::Word(Word::Number(text)))
                }
            },
            letter if is_word(letter) => Ok(Token::Word(Word::Bare(bare(&mut self.cursor)))),
            _ => Err(self.cursor.wrong("a name, a mark or the end of the file", intake)),
        }
    }

    /// A text in quotes, with those that `+` joins to it.
    fn quoted(&mut self, intake: &Intake) -> Result<Cow<'a, str>, ImportError> {
        let mut text = self.piece(intake)?;
        loop {
            let place = self.cursor.rest();
            if blanks(&mut self.cursor) && self.cursor.pass("+") && blanks(&mut self.cursor) {
                if self.cursor.peek() != Some('"') {
                    return Err(self.cursor.wrong("a text in quotes after +", intake));
                }
                text.to_mut().push_str(&self.piece(intake)?);
            } else {
                self.cursor.back_to(place);
                return Ok(text);
            }
        }
    }

    /// One text in quotes. Two backslashes stay two; one before a quote, or before a line end, goes, with the line end.
    fn piece(&mut self, intake: &Intake) -> Result<Cow<'a, str>, ImportError> {
        let start = self.cursor.rest();
        self.cursor.advance(1);
        let mut text: Cow<'a, str> = Cow::Borrowed("");
        loop {
            let run = self.cursor.take_while(|character| character != '"' && character != '\\');
            if text.is_empty() {
                text = run.into()
            } else {
                text.to_mut().push_str(run)
            }
            if self.cursor.pass("\"") {
                return Ok(text);
            }
            if self.cursor.pass("\\\"") {
                text.to_mut().push('"');
            } else if self.cursor.pass("\\\\") {
                text.to_mut().push_str("\\\\");
            } else if !self.cursor.pass("\\\r\n") && !self.cursor.pass("\\\n") {
                if !self.cursor.pass("\\") {
                    self.cursor.back_to(start);
                    return Err(self.cursor.wrong("a closing quote for the text that opens here", intake));
                }
                text.to_mut().push('\\');
            }
        }
    }

    /// A text between `<` and `>` that closes it.
    fn html(&mut self, intake: &Intake) -> Result<Cow<'a, str>, ImportError> {
        let start = self.cursor.rest();
        let mut open = 0_usize;
        for (at, character) in start.char_indices() {
            match character {
                '<' => open += 1,
                '>' => open -= 1,
                _ => {}
            }
            if open == 0 {
                self.cursor.advance(at + 1);
                return Ok(start.get(1..at).unwrap_or_default().into());
            }
        }
        Err(self.cursor.wrong("a closing > for the text that opens here", intake))
    }
}

/// Bytes of the number at the start of `text`: `-?(.digits|digits(.digits?)?)`.
fn number(text: &str) -> usize {
    let digits = |from: usize| text.bytes().skip(from).take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with('-'));
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut some = whole > 0;
    if text.as_bytes().get(end) == Some(&b'.') {
        let part = digits(end + 1);
        some |= part > 0;
        end += 1 + part;
    }
    if some { end } else { 0 }
}
