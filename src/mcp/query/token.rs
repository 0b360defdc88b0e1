//! A query's words.

use crate::mcp::args::ToolError;

/// One word, and where it begins (bytes).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'text> {
    pub(super) at: usize,
    pub(super) kind: Kind<'text>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind<'text> {
    /// A name or a keyword.
    Name(&'text str),
    /// A name in backticks: never a keyword.
    Quoted(String),
    /// A text in quotes.
    Text(String),
    Int(i64),
    Float(f64),
    /// `$name`.
    Param(&'text str),
    /// A sign of one or two characters.
    Sign(&'static str),
    End,
}

/// The longest first.
const SIGNS: [&str; 23] = [
    "<=", ">=", "<>", "..", "->", "<-", "(", ")", "[", "]", "{", "}", ":", ",", ".", "=", "<", ">", "+", "-", "*", "/",
    "|",
];

/// Where in a query, for a person.
pub(super) fn wrong(text: &str, at: usize, words: &str) -> ToolError {
    let near: String = text.get(at..).unwrap_or("").chars().take(24).collect();
    let near = if near.is_empty() { "the end".to_owned() } else { format!("{near:?}") };
    ToolError::new(format!("query, at byte {at}, near {near}: {words}. Read graph://help/query for the grammar."))
}

/// Takes a query apart.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ToolError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(letter) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or("");
        if letter.is_whitespace() {
            at += letter.len_utf8();
            continue;
        }
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (kind, bytes) = match letter {
            '\'' | '"' | '`' => quoted(text, at, letter)?,
            '0'..='9' => number(text, at)?,
            '$' => {
                let name = name(rest.get(1..).unwrap_or(""));
                if name.is_empty() {
                    return Err(wrong(text, at, "a parameter has a name behind $"));
                }
                (Kind::Param(name), name.len() + 1)
            }
            '%' => (Kind::Sign("%"), 1),
            _ if letter.is_alphabetic() || letter == '_' => {
                let name = name(rest);
                (Kind::Name(name), name.len())
            }
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Kind::Sign(sign), sign.len()),
                None => return Err(wrong(text, at, "this character means nothing here")),
            },
        };
        out.push(Token { at, kind });
        at += bytes;
    }
    out.push(Token { at: text.len(), kind: Kind::End });
    Ok(out)
}

fn name(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or("")
}

fn number(text: &str, at: usize) -> Result<(Kind<'_>, usize), ToolError> {
    let rest = text.get(at..).unwrap_or("");
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut bytes = digits(rest);
    let mut whole = true;
    // `1..3` is a range, not a number with a dot.
    let fraction = rest.get(bytes..).and_then(|rest| rest.strip_prefix('.')).map_or(0, digits);
    if fraction > 0 {
        whole = false;
        bytes += 1 + fraction;
    }
    let behind = rest.get(bytes..).unwrap_or("");
    if let Some(exponent) = behind.strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let power = exponent.get(sign..).map_or(0, digits);
        if power > 0 {
            whole = false;
            bytes += 1 + sign + power;
        }
    }
    let digits = rest.get(..bytes).unwrap_or("");
    let kind = match whole {
        true => digits.parse().map(Kind::Int).map_err(|_| wrong(text, at, "this number is too large"))?,
        false => digits.parse().map(Kind::Float).map_err(|_| wrong(text, at, "this is no number"))?,
    };
    Ok((kind, bytes))
}

fn quoted(text: &str, at: usize, quote: char) -> Result<(Kind<'_>, usize), ToolError> {
    let mut out = String::new();
    let mut letters = text.get(at + 1..).unwrap_or("").char_indices();
    while let Some((offset, letter)) = letters.next() {
        match letter {
            _ if letter == quote => {
                let kind = if quote == '`' { Kind::Quoted(out) } else { Kind::Text(out) };
                return Ok((kind, offset + 2));
            }
            '\\' if quote != '`' => match letters.next().map(|(_, letter)| letter) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(same @ ('\\' | '\'' | '"')) => out.push(same),
                _ => return Err(wrong(text, at + 1 + offset, "only \\n, \\t, \\\\, \\' and \\\" are escapes")),
            },
            _ => out.push(letter),
        }
    }
    Err(wrong(text, at, "this quote is not closed"))
}
