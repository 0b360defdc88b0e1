//! YAML front matter, as far as notes use it: one `key: value` a line, lists in brackets or with dashes, quotes.
//! Anything deeper is passed over; a YAML parser would bring anchors and aliases that multiply.

/// A key with its values: one for a scalar, many for a list.
pub(super) type Entry = (String, Vec<String>);

/// Entries with their lines, and the lines that the front matter takes; none when the page has no front matter.
pub(super) fn read(text: &str) -> (Vec<(u64, Entry)>, usize) {
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return (Vec::new(), 0);
    }
    let Some(end) = lines.position(|line| matches!(line.trim_end(), "---" | "...")) else { return (Vec::new(), 0) };
    let mut entries: Vec<(u64, Entry)> = Vec::new();
    for (number, line) in (2..).zip(text.lines().skip(1).take(end)) {
        if let Some(item) = line.trim_start().strip_prefix("- ") {
            if let Some((_, (_, values))) = entries.last_mut() {
                values.extend(Some(scalar(item)).filter(|value| !value.is_empty()));
            }
        } else if !line.starts_with([' ', '\t', '#'])
            && let Some((key, value)) = line.split_once(':')
            && (value.is_empty() || value.starts_with([' ', '\t']))
        {
            entries.push((number, (scalar(key), values(value.trim()))));
        }
    }
    entries.retain(|(_, (_, values))| !values.is_empty());
    (entries, end + 2)
}

fn values(text: &str) -> Vec<String> {
    // `[[page]]` without quotes is a list in a list to YAML and a link to the person who wrote it.
    let list = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).filter(|_| !text.starts_with("[["));
    let values: Vec<String> = match list {
        Some(inner) => split_outside_quotes(inner).into_iter().map(scalar).collect(),
        None if text.starts_with(['|', '>', '{', '&', '*']) => Vec::new(),
        None => vec![scalar(text)],
    };
    values.into_iter().filter(|value| !value.is_empty()).collect()
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let mut quote = None;
    text.split(move |character| match (character, quote) {
        ('"' | '\'', None) => {
            quote = Some(character);
            false
        }
        (same, Some(open)) if same == open => {
            quote = None;
            false
        }
        (',', None) => true,
        _ => false,
    })
    .collect()
}

/// A value without its quotes, or without the comment after it.
fn scalar(text: &str) -> String {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote)
            && let Some(end) = inner.rfind(quote)
        {
            return inner.get(..end).unwrap_or(inner).replace("\\\"", "\"").replace("''", "'");
        }
    }
    text.split(" #").next().unwrap_or(text).trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_lists_and_quotes() {
        let text = "---\na: 1 # one\nb: [x, \"y, z\"]\n# c: no\nlist:\n  - p\n  - 'q'\nempty:\nnested:\n  in: 1\n\"k\": \"v: w\"\n---\nbody";
        let (entries, lines) = read(text);
        let entries: Vec<(u64, &str, Vec<&str>)> = entries
            .iter()
            .map(|(line, (key, values))| (*line, key.as_str(), values.iter().map(String::as_str).collect()))
            .collect();
        let expected =
            [(2, "a", vec!["1"]), (3, "b", vec!["x", "y, z"]), (5, "list", vec!["p", "q"]), (11, "k", vec!["v: w"])];
        assert_eq!((entries.as_slice(), lines), (expected.as_slice(), 12));
    }

    #[test]
    fn front_matter_that_never_ends_is_text() {
        assert_eq!(read("---\na: 1\n").1, 0);
        assert_eq!(read("text\n---\na: 1\n---\n").1, 0);
    }
}
