//! A value between its source and its typed field: what was found, what is allowed, and the way in and out of a field.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    AgentSource, AgentsHttp, AnonymousAgents, BackendChoice, CpuId, Dimensions, ForceModel, GraphFormat, IdleStrategy,
    LogFormat, LogLevel, Toolset,
};
use crate::limits::SOURCES_MAX;

/// A value as a source gave it. Displays as TOML.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Decimal(f64),
    /// A text, also one of a few names.
    Text(String),
    /// Whole numbers.
    List(Vec<i64>),
    /// Texts.
    Texts(Vec<String>),
    /// What no key takes (a date, a table, a number beyond 64 bits), as it is to be shown.
    Other(String),
}

impl Value {
    /// A list as its items have it: whole numbers, or else texts; `None` where it is neither.
    pub fn of_items<T>(
        items: &[T],
        whole: impl Fn(&T) -> Option<i64>,
        text: impl Fn(&T) -> Option<String>,
    ) -> Option<Self> {
        let numbers = items.iter().map(whole).collect::<Option<_>>().map(Self::List);
        numbers.or_else(|| items.iter().map(text).collect::<Option<_>>().map(Self::Texts))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Whole(value) => write!(f, "{value}"),
            // Debug keeps the point or exponent that makes a TOML float of a whole number.
            Self::Decimal(value) => write!(f, "{value:?}"),
            Self::Text(text) => write_text(f, text),
            Self::List(items) => write!(f, "{items:?}"),
            Self::Texts(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    write_text(f, item)?;
                }
                f.write_str("]")
            }
            Self::Other(shown) => f.write_str(shown),
        }
    }
}

/// Writes a TOML basic string on one line; control characters are escaped, so that a terminal or a comment stays whole.
fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// What a key takes. Bounds are inclusive.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number.
    Whole {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// A whole number from `min` to `max`, or `other`, which `means` something else.
    WholeOr {
        /// The number beside the range.
        other: i64,
        /// What it stands for.
        means: &'static str,
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// A finite number.
    Decimal {
        /// Least.
        min: f64,
        /// Most.
        max: f64,
    },
    /// Any text.
    Text,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// An IP address and port; with `off`, also the empty text.
    Address {
        /// It may be empty.
        off: bool,
    },
    /// A list of CPU ids, each once.
    Cpus,
    /// A list of some of these names, at least one, each once.
    Names(&'static [&'static str]),
    /// A list of [`AgentSource`], each address once.
    Sources,
}

impl Kind {
    /// Reads `text` from a variable or a flag as this kind; what does not parse stays text, for [`Kind::admit`] to refuse.
    pub fn read(&self, text: &str) -> Value {
        let trimmed = text.trim();
        let number = || trimmed.replace('_', "");
        let read = match self {
            Self::Bool => trimmed.parse().ok().map(Value::Bool),
            Self::Whole { .. } | Self::WholeOr { .. } => number().parse().ok().map(Value::Whole),
            Self::Decimal { .. } => number().parse().ok().map(Value::Decimal),
            Self::Text => None,
            Self::Choice(_) | Self::Address { .. } => Some(Value::Text(trimmed.to_owned())),
            Self::Cpus => read_list(trimmed).map(Value::List),
            Self::Names(_) => Some(Value::Texts(trimmed.split(',').map(|name| name.trim().to_owned()).collect())),
            Self::Sources => Some(Value::Texts(read_texts(trimmed))),
        };
        read.unwrap_or_else(|| Value::Text(text.to_owned()))
    }

    /// Type, range and `unit`, which may be empty, as it reads after "must be".
    pub fn describe(&self, unit: &str) -> String {
        let gap = if unit.is_empty() { "" } else { " " };
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}{gap}{unit}"),
            Self::WholeOr { other, means, min, max } => {
                format!("a whole number from {min} to {max}{gap}{unit}, or {other} ({means})")
            }
            Self::Decimal { min, max } => format!("a number from {min} to {max}{gap}{unit}"),
            Self::Text => "text".to_owned(),
            Self::Choice(names) => format!("one of {}", names.join(", ")),
            Self::Address { off: false } => "an IP address and port".to_owned(),
            Self::Address { off: true } => "an IP address and port, or \"\" (off)".to_owned(),
            Self::Cpus => format!("a list of CPU ids from 0 to {}, each once", CpuId::MAX),
            Self::Names(names) => format!("a list of at least one of {}, each once", names.join(", ")),
            Self::Sources => format!(
                "a list of at most {SOURCES_MAX} texts, each \"HOST:PORT\" or \"HOST:PORT TOKEN_FILE\", each address once"
            ),
        }
    }

    /// The value in the form that the key's field takes, or `None` where type or range are wrong.
    pub fn admit(&self, value: &Value) -> Option<Value> {
        let allowed = match (self, value) {
            (Self::Bool, Value::Bool(_)) | (Self::Text, Value::Text(_)) => true,
            (Self::Whole { min, max }, Value::Whole(n)) => (min..=max).contains(&n),
            (Self::WholeOr { other, min, max, .. }, Value::Whole(n)) => n == other || (min..=max).contains(&n),
            // Not a number is in no range.
            (Self::Decimal { min, max }, Value::Decimal(x)) => (min..=max).contains(&x),
            #[expect(clippy::cast_precision_loss, reason = "a decimal written without its point")]
            (Self::Decimal { .. }, Value::Whole(n)) => return self.admit(&Value::Decimal(*n as f64)),
            (Self::Choice(names), Value::Text(text)) => names.contains(&text.as_str()),
            (Self::Address { off }, Value::Text(text)) => {
                (*off && text.is_empty()) || text.parse::<SocketAddr>().is_ok()
            }
            (Self::Cpus, Value::List(ids)) => are_cpus(ids),
            (Self::Names(known), Value::Texts(names)) => are_names(names, known),
            (Self::Sources, Value::Texts(texts)) => are_sources(texts),
            // A list of nothing does not say of what.
            (Self::Sources, Value::List(items)) if items.is_empty() => return Some(Value::Texts(Vec::new())),
            (Self::Cpus, Value::Texts(items)) if items.is_empty() => return Some(Value::List(Vec::new())),
            _ => false,
        };
        allowed.then(|| value.clone())
    }
}

/// `2, 3` or `[2, 3]`; empty is the empty list.
fn read_list(text: &str) -> Option<Vec<i64>> {
    let inner = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => text,
    };
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    inner.split(',').map(|item| item.trim().parse().ok()).collect()
}

/// `a:1, b:2` or `["a:1", "b:2"]`; empty is the empty list.
fn read_texts(text: &str) -> Vec<String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let items = inner.split(',').map(|item| item.trim().trim_matches('"').to_owned());
    items.filter(|item| !item.is_empty()).collect()
}

fn are_sources(texts: &[String]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    let is_new = |text: &String| AgentSource::read(text).is_some_and(|source| seen.insert(source.address));
    texts.len() <= SOURCES_MAX && texts.iter().all(is_new)
}

fn are_cpus(ids: &[i64]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    ids.iter().all(|id| (0..=i64::from(CpuId::MAX)).contains(id) && seen.insert(id))
}

fn are_names(names: &[String], known: &[&str]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    !names.is_empty() && names.iter().all(|name| known.contains(&name.as_str()) && seen.insert(name))
}

/// A field's type: the way from an admitted value into it, and back.
pub trait Setting: Sized {
    /// The field's value, or `None` where it cannot hold this one.
    fn take(value: &Value) -> Option<Self>;
    /// The value to show; `take` of it gives the field again.
    fn give(&self) -> Value;
}

macro_rules! whole_setting {
    ($($type:ty)+) => {$(
        impl Setting for $type {
            fn take(value: &Value) -> Option<Self> {
                match value {
                    Value::Whole(n) => Self::try_from(*n).ok(),
                    _ => None,
                }
            }

            // Saturates only above 2^63 - 1, which no key admits.
            fn give(&self) -> Value {
                Value::Whole(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )+};
}

whole_setting!(u8 u32 u64);

impl Setting for bool {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Setting for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32; infinity is refused")]
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Decimal(x) => Some(*x as Self).filter(|x| x.is_finite()),
            _ => None,
        }
    }

    // By way of the shortest text, so that 0.016 shows as 0.016 and not as 0.01600000075995922.
    fn give(&self) -> Value {
        Value::Decimal(self.to_string().parse().unwrap_or(f64::from(*self)))
    }
}

/// 2 or 3.
impl Setting for Dimensions {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Whole(2) => Some(Self::Two),
            Value::Whole(3) => Some(Self::Three),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::Whole(match self {
            Self::Two => 2,
            Self::Three => 3,
        })
    }
}

/// 0 is `None`.
impl Setting for Option<NonZeroU32> {
    fn take(value: &Value) -> Option<Self> {
        u32::take(value).map(NonZeroU32::new)
    }

    fn give(&self) -> Value {
        self.map_or(0, NonZeroU32::get).give()
    }
}

/// In milliseconds.
impl Setting for Duration {
    fn take(value: &Value) -> Option<Self> {
        u64::take(value).map(Self::from_millis)
    }

    fn give(&self) -> Value {
        Value::Whole(i64::try_from(self.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The empty text is `None`.
impl Setting for Option<PathBuf> {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some((!text.is_empty()).then(|| PathBuf::from(text))),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::Text(self.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default())
    }
}

impl Setting for SocketAddr {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::Text(self.to_string())
    }
}

/// The empty text is `None`.
impl Setting for Option<SocketAddr> {
    fn take(value: &Value) -> Option<Self> {
        if *value == Value::Text(String::new()) { Some(None) } else { SocketAddr::take(value).map(Some) }
    }

    fn give(&self) -> Value {
        Value::Text(self.map(|address| address.to_string()).unwrap_or_default())
    }
}

/// -1 is `None`.
impl Setting for Option<u16> {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Whole(-1) => Some(None),
            Value::Whole(n) => u16::try_from(*n).ok().map(Some),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::Whole(self.map_or(-1, i64::from))
    }
}

/// -1 is `None`.
impl Setting for Option<CpuId> {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Whole(-1) => Some(None),
            Value::Whole(id) => cpu(*id).map(Some),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::Whole(self.map_or(-1, |id| i64::from(id.get())))
    }
}

impl Setting for Vec<CpuId> {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::List(ids) => ids.iter().map(|id| cpu(*id)).collect(),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::List(self.iter().map(|id| i64::from(id.get())).collect())
    }
}

impl Setting for Vec<AgentSource> {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Texts(texts) => texts.iter().map(|text| AgentSource::read(text)).collect(),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::Texts(self.iter().map(ToString::to_string).collect())
    }
}

impl Setting for String {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::Text(self.clone())
    }
}

fn cpu(id: i64) -> Option<CpuId> {
    u16::try_from(id).ok().and_then(CpuId::new)
}

impl Setting for Vec<Toolset> {
    fn take(value: &Value) -> Option<Self> {
        match value {
            Value::Texts(names) => names.iter().map(|name| Toolset::from_name(name)).collect(),
            _ => None,
        }
    }

    fn give(&self) -> Value {
        Value::Texts(self.iter().map(|set| set.name().to_owned()).collect())
    }
}

macro_rules! choice_setting {
    ($($type:ty)+) => {$(
        impl Setting for $type {
            fn take(value: &Value) -> Option<Self> {
                match value {
                    Value::Text(name) => Self::from_name(name),
                    _ => None,
                }
            }

            fn give(&self) -> Value {
                Value::Text(self.name().to_owned())
            }
        }
    )+};
}

choice_setting!(AgentsHttp AnonymousAgents BackendChoice ForceModel GraphFormat IdleStrategy LogFormat LogLevel);
