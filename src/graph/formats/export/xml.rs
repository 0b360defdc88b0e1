//! Text as XML 1.0 can hold it.

use std::borrow::Cow;
use std::io::{self, Write};

use super::loss::{Losses, Lost};

/// Whether XML 1.0 has no way to write `character`, not even as a number. Source: XML 1.0, production 2.
fn is_barred(character: char) -> bool {
    matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// `text` with `?` for what XML cannot hold. One byte, so that no text becomes longer than an importer takes.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains(is_barred) { text.replace(is_barred, "?").into() } else { text.into() }
}

/// Writes `text` for an attribute or for the inside of an element, whose line ends and tabs are kept either way.
pub(super) fn escaped(text: &str, losses: &mut Losses, out: &mut dyn Write) -> io::Result<()> {
    let mut rest = text;
    let mut barred = false;
    let special =
        |character: char| matches!(character, '<' | '>' | '&' | '"' | '\t' | '\n' | '\r') || is_barred(character);
    while let Some(at) = rest.find(special) {
        let (plain, tail) = rest.split_at(at);
        out.write_all(plain.as_bytes())?;
        let mut characters = tail.chars();
        let written: &[u8] = match characters.next() {
            Some('<') => b"&lt;",
            Some('>') => b"&gt;",
            Some('&') => b"&amp;",
            Some('"') => b"&quot;",
            Some('\t') => b"&#9;",
            Some('\n') => b"&#10;",
            Some('\r') => b"&#13;",
            _ => {
                barred = true;
                b"?"
            }
        };
        out.write_all(written)?;
        rest = characters.as_str();
    }
    if barred {
        losses.add(Lost::Characters, text);
    }
    out.write_all(rest.as_bytes())
}
