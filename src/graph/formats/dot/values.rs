//! What DOT's texts mean.

use crate::graph::Value;
use crate::graph::formats::properties::typed;

/// A label with Graphviz's escapes resolved: `\n`, `\l` and `\r` end a line, `\N` is the node's key, `\\` a backslash;
/// any other escaped character stands for itself. An `\l` or `\r` at the end only says how the last line stands.
pub(super) fn label(text: &str, key: &str) -> Box<str> {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('l' | 'r') if characters.peek().is_none() => {}
            Some('l' | 'r') => out.push('\n'),
            Some('N') => out.push_str(key),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out.into()
}

/// The words of a label in HTML: tags taken out, `<br>` and the ends of rows as line ends, entities resolved.
pub(super) fn html_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let end = tag.find('>').map_or(tag.len(), |end| end + 1);
        let name = tag.get(1..end).unwrap_or_default().trim_end_matches('>').trim().to_ascii_lowercase();
        let breaks = name.starts_with("br") || name == "/tr";
        if breaks && !out.is_empty() {
            out.push('\n');
        }
        if name == "/td" {
            out.push(' ');
        }
        rest = tag.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    let lines: Vec<&str> = out.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let joined = lines.join("\n");
    quick_xml::escape::unescape(&joined).map_or(joined.clone(), Into::into)
}

/// A number as DOT writes it; a whole one of more digits than fit keeps its spelling.
pub(super) fn number(text: &str) -> Value {
    match typed(text) {
        Value::Text(_) if text.contains('.') => match text.parse() {
            Ok(float) => Value::Float(float),
            Err(_) => Value::Text(text.into()),
        },
        value => value,
    }
}

/// `x,y` or `x,y,z` of `pos`, and whether a `!` pins the node there. Graphviz writes edges as splines, which are none.
pub(super) fn position(text: &str) -> Option<([f64; 3], bool)> {
    let (numbers, pinned) = text.trim().strip_suffix('!').map_or((text.trim(), false), |numbers| (numbers, true));
    let mut place = [0.0; 3];
    let mut parts = numbers.split(',');
    for (count, slot) in place.iter_mut().enumerate() {
        match parts.next() {
            Some(part) => *slot = part.trim().parse().ok().filter(|number: &f64| (*number as f32).is_finite())?,
            None if count == 2 => {}
            None => return None,
        }
    }
    parts.next().is_none().then_some((place, pinned))
}
