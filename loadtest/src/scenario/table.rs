//! A TOML table read key by key: each value checked, each problem noted with its path and line, no key left unread.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use crate::nearest;
use crate::quantity::{self, DURATION_FORM, SIZE_FORM, show_ns};

/// Characters of a value that a message repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// A file being read, and what is wrong with it so far.
pub(super) struct Source<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::default() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    pub(super) fn say(&self, at: Option<usize>, key: String, wrong: String) {
        let line = at.map(|start| self.text.get(..start).unwrap_or(self.text).matches('\n').count() + 1);
        self.problems.borrow_mut().push(Problem { line, key, wrong });
    }

    /// As it is written, cut to one line.
    fn written(&self, value: &Spanned<DeValue<'_>>) -> String {
        if matches!(value.get_ref(), DeValue::Table(_)) {
            return "a table".to_owned();
        }
        let text = self.text.get(value.span()).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let shown: String = line.chars().take(SHOWN_CHARS_MAX).collect();
        if shown.len() < text.len() { format!("{shown}...") } else { shown }
    }
}

/// One table. Every method marks its key as known; [`Table::close`] refuses the others.
pub(super) struct Table<'r, 't> {
    source: &'r Source<'t>,
    table: &'r DeTable<'t>,
    /// Path from the root; empty for the root.
    path: String,
    /// Where the table begins.
    at: usize,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'r, 't> Table<'r, 't> {
    pub(super) fn root(source: &'r Source<'t>, table: &'r DeTable<'t>) -> Self {
        Self { source, table, path: String::new(), at: 0, known: RefCell::default() }
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes a problem with `key`, or with the table where it has no such key.
    pub(super) fn say(&self, key: &str, wrong: impl Into<String>) {
        let leaf = key.split('.').next().unwrap_or(key);
        let at = self.table.get(leaf).map_or(self.at, |value| value.span().start);
        let at = (at > 0 || !self.path.is_empty() || self.table.contains_key(leaf)).then_some(at);
        self.source.say(at, self.join(key), wrong.into());
    }

    fn get(&self, key: &'static str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.known.borrow_mut().insert(key);
        self.table.get(key)
    }

    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    fn must_be(&self, key: &str, allowed: &str, value: &Spanned<DeValue<'_>>) {
        let found = self.source.written(value);
        self.source.say(Some(value.span().start), self.join(key), format!("must be {allowed}, found {found}"));
    }

    /// The value of `key` as `read` understands it.
    fn value<T>(&self, key: &'static str, allowed: &str, read: impl Fn(&DeValue<'t>) -> Option<T>) -> Option<T> {
        let value = self.get(key)?;
        let read = read(value.get_ref());
        if read.is_none() {
            self.must_be(key, allowed, value);
        }
        read
    }

    pub(super) fn text(&self, key: &'static str, bytes_max: usize) -> Option<String> {
        let allowed = format!("a text of at most {bytes_max} bytes");
        let read = |value: &DeValue<'t>| value.as_str().filter(|text| text.len() <= bytes_max).map(str::to_owned);
        self.value(key, &allowed, read)
    }

    pub(super) fn flag(&self, key: &'static str) -> bool {
        self.flag_or(key, false)
    }

    pub(super) fn flag_or(&self, key: &'static str, default: bool) -> bool {
        self.value(key, "true or false", DeValue::as_bool).unwrap_or(default)
    }

    pub(super) fn whole(&self, key: &'static str, range: RangeInclusive<u64>, unit: &str) -> Option<u64> {
        let allowed = format!("a whole number from {} to {}{unit}", range.start(), range.end());
        self.value(key, &allowed, |value| whole(value).filter(|value| range.contains(value)))
    }

    /// A number over 0 and at most `max`.
    pub(super) fn positive(&self, key: &'static str, max: f64, unit: &str) -> Option<f64> {
        let allowed = format!("a number over 0 and at most {max}{unit}");
        self.value(key, &allowed, |value| decimal(value).filter(|value| *value > 0.0 && *value <= max))
    }

    pub(super) fn duration(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let allowed = format!("{DURATION_FORM}, from {} to {}", show_ns(*range.start()), show_ns(*range.end()));
        let read = |value: &DeValue<'t>| quantity::duration_ns(value.as_str()?).filter(|ns| range.contains(ns));
        self.value(key, &allowed, read)
    }

    /// A time, or `never`, which is `Some(None)`.
    pub(super) fn duration_or_never(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<Option<u64>> {
        if self.get(key)?.get_ref().as_str() == Some("never") {
            return Some(None);
        }
        let value = self.get(key)?;
        let read = value.get_ref().as_str().and_then(quantity::duration_ns).filter(|ns| range.contains(ns));
        if read.is_none() {
            let (least, most) = (show_ns(*range.start()), show_ns(*range.end()));
            self.must_be(key, &format!("{DURATION_FORM}, from {least} to {most}, or \"never\""), value);
        }
        read.map(Some)
    }

    /// Bytes, or bytes per second where `per_s`.
    pub(super) fn size(&self, key: &'static str, range: RangeInclusive<u64>, per_s: bool) -> Option<u64> {
        let form = if per_s { "bytes per second such as \"20KB/s\"" } else { SIZE_FORM };
        let allowed = format!("{form}, from {} to {} bytes", range.start(), range.end());
        let read = if per_s { quantity::bytes_per_s } else { quantity::bytes };
        let bytes = |value: &DeValue<'t>| match value.as_str() {
            Some(text) => read(text).filter(|bytes| bytes.fract() == 0.0 && *bytes < 1e15).map(|bytes| bytes as u64),
            None => whole(value),
        };
        self.value(key, &allowed, |value| bytes(value).filter(|bytes| range.contains(bytes)))
    }

    /// A share from 0 to 1, as `"10%"` or 0.1.
    pub(super) fn share(&self, key: &'static str) -> Option<f64> {
        let read = |value: &DeValue<'t>| match value.as_str() {
            Some(text) => quantity::share(text),
            None => decimal(value).filter(|share| (0.0..=1.0).contains(share)),
        };
        self.value(key, "a share from \"0%\" to \"100%\", or from 0.0 to 1.0", read)
    }

    /// One of some names.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, names: &[(&str, T)]) -> Option<T> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str();
        if let Some((_, choice)) = names.iter().find(|(name, _)| Some(*name) == text) {
            return Some(*choice);
        }
        let all: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let hint = text.map(|text| nearest::hint(text, all.iter().copied(), 1)).unwrap_or_default();
        let wrong = format!("must be one of {}, found {}{hint}", all.join(", "), self.source.written(value));
        self.source.say(Some(value.span().start), self.join(key), wrong);
        None
    }

    /// A list of texts, or one text, each read by `read`. What is wrong with one of them is noted, and it is left out.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        allowed: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.get(key)?;
        let read_one = |item: &Spanned<DeValue<'t>>, key: String| match item.get_ref().as_str() {
            Some(text) => {
                read(text).map_err(|wrong| self.source.say(Some(item.span().start), self.join(&key), wrong)).ok()
            }
            None => {
                self.must_be(&key, allowed, item);
                None
            }
        };
        Some(match value.get_ref() {
            DeValue::Array(items) => {
                let items = items.iter().zip(1..);
                items.filter_map(|(item, place)| read_one(item, format!("{key}[{place}]"))).collect()
            }
            _ => read_one(value, key.to_owned()).into_iter().collect(),
        })
    }

    /// A value that only its user understands; `None` from `read` is a problem.
    pub(super) fn any<T>(
        &self,
        key: &'static str,
        allowed: &str,
        read: impl Fn(&DeValue<'t>) -> Option<T>,
    ) -> Option<T> {
        self.value(key, allowed, read)
    }

    /// A table inside this one.
    pub(super) fn table(&self, key: &'static str) -> Option<Table<'r, 't>> {
        let value = self.get(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            self.must_be(key, &format!("a table, as in [{}]", self.join(key)), value);
            return None;
        };
        let (source, path) = (self.source, self.join(key));
        Some(Table { source, table, path, at: value.span().start, known: RefCell::default() })
    }

    /// Every table of an array of tables, at most `max`.
    pub(super) fn tables(&self, key: &'static str, max: usize) -> Vec<Table<'r, 't>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let allowed = format!("tables, each as [[{}]]", self.bare(key));
        let DeValue::Array(items) = value.get_ref() else {
            self.must_be(key, &allowed, value);
            return Vec::new();
        };
        if items.len() > max {
            self.say(key, format!("there may be at most {max}, found {}", items.len()));
        }
        let one = |(index, item): (usize, &'r Spanned<DeValue<'t>>)| {
            let DeValue::Table(table) = item.get_ref() else {
                self.must_be(key, &allowed, item);
                return None;
            };
            let path = format!("{}[{}]", self.join(key), index + 1);
            Some(Table { source: self.source, table, path, at: item.span().start, known: RefCell::default() })
        };
        items.iter().enumerate().take(max).filter_map(one).collect()
    }

    /// The path without places, as table headers have it.
    fn bare(&self, key: &str) -> String {
        let parts = self.join(key);
        parts.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect::<Vec<_>>().join(".")
    }

    /// Texts by name, such as headers.
    pub(super) fn pairs(&self, key: &'static str) -> Vec<(String, String)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let pair = |(name, value): (&Spanned<std::borrow::Cow<'t, str>>, &Spanned<DeValue<'t>>)| {
            let text = value.get_ref().as_str();
            if text.is_none() {
                table.must_be(name.get_ref(), "a text", value);
            }
            Some((name.get_ref().to_string(), text?.to_owned()))
        };
        table.table.iter().filter_map(pair).collect()
    }

    /// Notes every key that nobody asked for.
    pub(super) fn close(&self) {
        let known = self.known.borrow();
        for name in self.table.keys().filter(|name| !known.contains(name.get_ref().as_ref())) {
            let key = name.get_ref().as_ref();
            let hint = nearest::hint(key, known.iter().copied(), 1);
            let hint = if hint.is_empty() {
                format!("; known: {}", known.iter().copied().collect::<Vec<_>>().join(", "))
            } else {
                hint
            };
            self.source.say(Some(name.span().start), self.join(key), format!("no such key{hint}"));
        }
    }
}

/// A whole number that is not negative.
pub(super) fn whole(value: &DeValue<'_>) -> Option<u64> {
    let digits = value.as_integer()?;
    u64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

/// A finite number.
pub(super) fn decimal(value: &DeValue<'_>) -> Option<f64> {
    let value = match value {
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok()? as f64,
        DeValue::Float(digits) => digits.as_str().parse().ok()?,
        _ => return None,
    };
    value.is_finite().then_some(value)
}
