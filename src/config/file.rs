//! The configuration file: TOML to values of the table's keys, with the line and column of each.

use std::io::Read;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Origin, PROBLEMS_MAX, Problem, Wrong};
use super::resolved::Draft;
use crate::settings::{SECTIONS, Value, find, is_section, nearest};

/// A longer file is not a configuration; and `--config /dev/zero` ends.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Puts every value of the file at `path` into `draft`, and every problem. Reads the file once, at most
/// [`FILE_BYTES_MAX`] of it.
pub(super) fn apply(path: &Path, draft: &mut Draft) {
    let whole = |wrong| Problem {
        origin: Origin::File { path: path.to_owned(), line: 0, column: 0 },
        key: String::new(),
        wrong,
    };
    match read(path) {
        // An editor may have put a byte order mark first, which is no column of any line.
        Ok(text) => File { path, text: text.strip_prefix('\u{feff}').unwrap_or(&text) }.apply(draft),
        Err(wrong) => draft.refuse(whole(wrong)),
    }
}

fn read(path: &Path) -> Result<String, Wrong> {
    let unreadable = |error: std::io::Error| Wrong::Unreadable(error.to_string());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Wrong::TooLong { limit_bytes: FILE_BYTES_MAX });
    }
    String::from_utf8(bytes).map_err(|_| Wrong::NotText)
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    /// A file that is not TOML gives its syntax errors and nothing else: what follows one is guesswork.
    fn apply(&self, draft: &mut Draft) {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in errors.iter().take(PROBLEMS_MAX) {
            let start = error.span().map_or(0, |span| span.start);
            self.refuse(draft, start, "", Wrong::Syntax(error.message().to_owned()));
        }
        if !errors.is_empty() {
            return;
        }
        for (name, value) in in_file_order(root.get_ref()) {
            // The place and nearest name of each of a million problems would take minutes to find.
            if draft.is_full() {
                return;
            }
            let section = name.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Table(keys) if is_section(section) => self.apply_section(draft, section, keys),
                _ if is_section(section) => {
                    self.refuse(draft, value.span().start, section, Wrong::NotASection);
                }
                DeValue::Table(_) => {
                    let nearest = nearest::name(section, SECTIONS.iter().map(|(name, _)| *name));
                    let wrong = Wrong::UnknownSection { nearest: nearest.map(|name| format!("[{name}]")) };
                    self.refuse(draft, name.span().start, section, wrong);
                }
                _ => self.refuse(draft, name.span().start, section, Wrong::unknown_key(section)),
            }
        }
    }

    fn apply_section(&self, draft: &mut Draft, section: &str, keys: &DeTable<'_>) {
        for (leaf, value) in in_file_order(keys) {
            if draft.is_full() {
                return;
            }
            let name = format!("{section}.{}", leaf.get_ref());
            match find(&name) {
                Some((index, _)) => {
                    let (given_at, wrong_at) = (self.origin(leaf.span().start), self.origin(value.span().start));
                    draft.offer(index, &self.value(value), given_at, wrong_at);
                }
                None => self.refuse(draft, leaf.span().start, &name, Wrong::unknown_key(&name)),
            }
        }
    }

    /// What a key cannot take is kept as it is written, cut to one line.
    fn value(&self, value: &Spanned<DeValue<'_>>) -> Value {
        let as_written = || {
            let written = self.text.get(value.span()).unwrap_or_default();
            Value::Other(written.lines().next().unwrap_or_default().chars().take(60).collect())
        };
        let number = |item: &DeValue<'_>| {
            let digits = item.as_integer()?;
            i64::from_str_radix(digits.as_str(), digits.radix()).ok()
        };
        match value.get_ref() {
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Float(digits) => digits.as_str().parse().map_or_else(|_| as_written(), Value::Decimal),
            integer @ DeValue::Integer(_) => number(integer).map_or_else(as_written, Value::Whole),
            DeValue::Array(items) => {
                let text = |item: &DeValue<'_>| item.as_str().map(str::to_owned);
                let list = Value::of_items(items, |item| number(item.get_ref()), |item| text(item.get_ref()));
                list.unwrap_or_else(as_written)
            }
            DeValue::Datetime(_) | DeValue::Table(_) => as_written(),
        }
    }

    fn refuse(&self, draft: &mut Draft, start: usize, key: &str, wrong: Wrong) {
        draft.refuse(Problem { origin: self.origin(start), key: key.to_owned(), wrong });
    }

    /// The line and column of the byte at `start`. O(start).
    fn origin(&self, start: usize) -> Origin {
        let before = self.text.get(..start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // A file of FILE_BYTES_MAX has fewer lines and columns than u32.
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Origin::File { path: self.path.to_owned(), line: count(line), column: count(column) }
    }
}

/// A table's entries as they stand in the file; the parser sorts them by name.
fn in_file_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}
