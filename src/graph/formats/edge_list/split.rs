//! One line into its fields.

use std::borrow::Cow;

/// What stands between fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    /// This character; two of them make an empty field.
    Character(char),
    /// Any run of blanks and tabs. A `{` from the third field on takes the rest of the line: networkx writes
    /// an edge's attributes there.
    Blanks,
}

/// One field without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) text: Cow<'a, str>,
    /// Character of the line it starts at, counted from 1; for messages, so counted only when asked for.
    start: usize,
}

impl Field<'_> {
    /// Column of the field in `line`, the line it was split from, counted from 1.
    pub(super) fn column(&self, line: &str) -> u64 {
        line.get(..self.start).map_or(1, |before| before.chars().count() as u64 + 1)
    }
}

/// Why a line has no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The line ends inside quotes; the field may go on in the next one.
    Open,
    /// Something stands between a closing quote and the separator.
    AfterQuote(usize),
}

/// Splits `line`. Fields may stand in double quotes, doubled inside; blanks around unquoted fields are not theirs.
pub(super) fn split(line: &str, separator: Separator) -> Result<Vec<Field<'_>>, Broken> {
    let mut fields = Vec::with_capacity(4);
    let mut at = 0;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start_matches(|character| is_blank(character, separator));
        at += rest.len() - trimmed.len();
        if separator == Separator::Blanks && (trimmed.is_empty() || (fields.len() >= 2 && trimmed.starts_with('{'))) {
            if !trimmed.is_empty() {
                fields.push(Field { text: trimmed.trim_end().into(), start: at });
            }
            return Ok(fields);
        }
        let (text, used) = if trimmed.starts_with('"') { quoted(trimmed, at)? } else { plain(trimmed, separator) };
        fields.push(Field { text, start: at });
        at += used;
        let rest = line.get(at..).unwrap_or_default();
        let after = rest.trim_start_matches(|character| is_blank(character, separator));
        at += rest.len() - after.len();
        match separator {
            Separator::Character(character) => match after.strip_prefix(character) {
                Some(_) => at += character.len_utf8(),
                None if after.is_empty() => return Ok(fields),
                None => return Err(Broken::AfterQuote(at)),
            },
            // Blanks after the field were the separator.
            Separator::Blanks if after.len() == rest.len() && !after.is_empty() => return Err(Broken::AfterQuote(at)),
            Separator::Blanks => {}
        }
    }
}

fn is_blank(character: char, separator: Separator) -> bool {
    character.is_whitespace() && separator != Separator::Character(character)
}

/// The field up to the separator, and its bytes.
fn plain(text: &str, separator: Separator) -> (Cow<'_, str>, usize) {
    let end = match separator {
        Separator::Character(character) => text.find(character),
        Separator::Blanks => text.find(char::is_whitespace),
    };
    let field = text.get(..end.unwrap_or(text.len())).unwrap_or(text);
    (field.trim_end().into(), field.len())
}

/// The field inside quotes, and the bytes it takes with them.
fn quoted(text: &str, start: usize) -> Result<(Cow<'_, str>, usize), Broken> {
    let inner = text.get(1..).unwrap_or_default();
    let mut from = 0;
    let mut doubled = false;
    loop {
        let rest = inner.get(from..).unwrap_or_default();
        let quote = rest.find('"').ok_or(Broken::Open)? + from;
        if inner.get(quote + 1..).is_some_and(|after| after.starts_with('"')) {
            doubled = true;
            from = quote + 2;
            continue;
        }
        let field = inner.get(..quote).ok_or(Broken::AfterQuote(start))?;
        let field = if doubled { field.replace("\"\"", "\"").into() } else { field.into() };
        return Ok((field, quote + 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMA: Separator = Separator::Character(',');

    fn texts(line: &str, separator: Separator) -> Vec<String> {
        split(line, separator).unwrap().into_iter().map(|field| field.text.into_owned()).collect()
    }

    #[test]
    fn separators_split_and_quotes_hold_together() {
        assert_eq!(texts("a,b", COMMA), ["a", "b"]);
        assert_eq!(texts(" a b , \"c, \"\"d\"\"\" ,,", COMMA), ["a b", "c, \"d\"", "", ""]);
        assert_eq!(texts("\"\",x", COMMA), ["", "x"]);
        assert_eq!(texts("New York\tBoston\t", Separator::Character('\t')), ["New York", "Boston", ""]);
        assert_eq!(texts("  1 \t 2   3 ", Separator::Blanks), ["1", "2", "3"]);
        assert_eq!(texts("1 \"a b\"", Separator::Blanks), ["1", "a b"]);
        assert_eq!(texts("1 2 {'w': 1, 'x': 2} ", Separator::Blanks), ["1", "2", "{'w': 1, 'x': 2}"]);
        assert_eq!(texts("a\"b,c", COMMA), ["a\"b", "c"], "a quote inside a field is text");
    }

    #[test]
    fn broken_quotes_are_found_where_they_are() {
        assert_eq!(split("a,\"b", COMMA), Err(Broken::Open));
        assert_eq!(split("a,\"b\"\"", COMMA), Err(Broken::Open));
        assert_eq!(split("\"é\"x,b", COMMA), Err(Broken::AfterQuote(4)));
        assert_eq!(split("\"a\"b c", Separator::Blanks), Err(Broken::AfterQuote(3)));
    }

    #[test]
    fn columns_count_characters() {
        let line = "éé, x";
        assert_eq!(split(line, COMMA).unwrap()[1].column(line), 5);
    }
}
