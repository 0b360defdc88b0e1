//! The arguments of tools: borrowed from the line, and refused in words that a model can act on.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::catalogue::ToolRow;
use super::reply::printable;
use crate::graph::{AUTHOR_LETTERS_MAX, Graph, NodeId, NodeIndex};

/// Keys that are compared with one that is not there.
const COMPARED_MAX: usize = 20_000;

/// Why a tool could not do it: what, the value, what is allowed, what is near, what to call next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub String);

impl ToolError {
    /// An error in these words.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// A field whose value is not allowed.
    #[must_use]
    pub fn field(field: &str, found: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self(format!("{field} is {}: it must be {allowed}", short(&found.to_string())))
    }

    /// A field that has to be there.
    #[must_use]
    pub fn missing(field: &str, what: &str) -> Self {
        Self(format!("{field} is missing: it must be {what}"))
    }
}

/// The beginning of a text that somebody sent.
#[must_use]
pub fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// A question after the name that was meant, behind a space; empty when none is near.
#[must_use]
pub fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!(" Did you mean {:?}?", short(near))).unwrap_or_default()
}

/// The nearest of some names, when it is near enough to be meant.
#[must_use]
pub fn nearest<'names>(name: &str, names: impl Iterator<Item = &'names str>) -> Option<&'names str> {
    let name: String = name.chars().take(64).collect::<String>().to_lowercase();
    let scored = names.take(COMPARED_MAX).filter(|known| known.len() <= 256);
    let scored = scored.map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known));
    scored.max_by(|left, right| left.0.total_cmp(&right.0)).filter(|(score, _)| *score >= 0.8).map(|(_, known)| known)
}

/// What every tool's arguments have.
pub trait Arguments {
    /// Which graph.
    fn graph(&self) -> Option<&str>;

    /// Why, of tools that change the graph.
    fn why(&self) -> Option<&str>;
}

/// A struct of arguments: borrowed, every member optional, unknown ones refused, and `graph` and `why` with them.
macro_rules! arguments {
    ($name:ident { $($(#[$meta:meta])* $field:ident: $kind:ty,)* }) => {
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(in crate::mcp) struct $name<'line> {
            #[serde(borrow)]
            graph: Option<std::borrow::Cow<'line, str>>,
            #[serde(borrow)]
            why: Option<std::borrow::Cow<'line, str>>,
            $($(#[$meta])* pub(in crate::mcp) $field: $kind,)*
        }

        impl crate::mcp::args::Arguments for $name<'_> {
            fn graph(&self) -> Option<&str> {
                self.graph.as_deref()
            }

            fn why(&self) -> Option<&str> {
                self.why.as_deref()
            }
        }
    };
}
pub(super) use arguments;

/// Reads a tool's arguments.
///
/// # Errors
/// The argument at fault, by name; an unknown one with the nearest known.
pub fn read<'line, T: Deserialize<'line> + Arguments>(tool: &ToolRow, json: &'line str) -> Result<T, ToolError> {
    let read: T = serde_json::from_str(json).map_err(|_| explain::<T>(tool, json))?;
    if read.why().is_some() && !tool.arguments.iter().any(|known| &**known == WHY) {
        return Err(explain::<T>(tool, json));
    }
    match read.graph() {
        None | Some("main") => Ok(read),
        Some(other) => Err(ToolError::field("graph", format!("{other:?}"), "main, the only graph of this server")),
    }
}

/// The argument that says why.
const WHY: &str = "why";

/// The reason that a call gives for the change that it asks for, without what cannot be seen; `None` where it gives none.
///
/// # Errors
/// The limit.
pub fn why(json: &str) -> Result<Option<Box<str>>, ToolError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Reason<'line> {
        #[serde(borrow)]
        why: Option<Cow<'line, str>>,
    }
    if !json.contains(WHY) {
        return Ok(None);
    }
    let read: Reason<'_> = serde_json::from_str(json).unwrap_or_default();
    let Some(why) = read.why else { return Ok(None) };
    let letters = why.chars().count();
    if letters > AUTHOR_LETTERS_MAX {
        let found = format_args!("{letters} characters long");
        return Err(ToolError::field(WHY, found, format_args!("at most {AUTHOR_LETTERS_MAX} characters long")));
    }
    let why = printable(&why, AUTHOR_LETTERS_MAX);
    Ok((!why.is_empty()).then(|| why.into()))
}

/// Reads again, slowly, to say where it goes wrong.
#[cold]
fn explain<'line, T: Deserialize<'line>>(tool: &ToolRow, json: &'line str) -> ToolError {
    let known = || tool.arguments.iter().map(|name| &**name);
    if let Ok(object) = serde_json::from_str::<std::collections::BTreeMap<Cow<'_, str>, &RawValue>>(json)
        && let Some(unknown) = object.keys().find(|key| !known().any(|known| known == &***key))
    {
        let near = nearest(unknown, known()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let names: Vec<&str> = known().collect();
        return ToolError(format!(
            "{} has no argument {:?}{near} It takes: {}",
            tool.name,
            short(unknown),
            names.join(", ")
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => ToolError(format!("the arguments of {} are not JSON", tool.name)),
        Err(error) => {
            let path = error.path().to_string();
            let words = error.inner().to_string();
            let words = words.split(" at line ").next().unwrap_or_default();
            ToolError(format!(
                "{} of {}: {}",
                if path == "." { "arguments" } else { &path },
                tool.name,
                short_line(words)
            ))
        }
    }
}

fn short_line(text: &str) -> String {
    text.chars().take(400).collect()
}

/// How a node is named in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id<'line> {
    /// By its `node_id`.
    Number(u64),
    /// By its `id`, the key of the graph.
    Text(Cow<'line, str>),
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Text(text) => write!(formatter, "{:?}", short(text)),
        }
    }
}

impl serde::Serialize for Id<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de: 'line, 'line> Deserialize<'de> for Id<'line> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;
        impl<'de> Visitor<'de> for Named {
            type Value = Id<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an id: a string, or a node_id")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Id<'de>, E> {
                Ok(Id::Number(number))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Id<'de>, E> {
                Ok(Id::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Id<'de>, E> {
                Ok(Id::Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_any(Named)
    }
}

/// Finds a node: a number is its `node_id`; a text its `id`, else the only node with that label, else its `node_id`.
#[must_use]
pub fn find(graph: &Graph, id: &Id<'_>) -> Option<NodeIndex> {
    let number = |number: u64| u32::try_from(number).ok().and_then(NodeId::new).and_then(|id| graph.index_of(id));
    match id {
        Id::Number(id) => number(*id),
        Id::Text(key) => graph.by_key(key).or_else(|| only_label(graph, key)).or_else(|| number(key.parse().ok()?)),
    }
}

fn only_label(graph: &Graph, label: &str) -> Option<NodeIndex> {
    let mut found = graph.nodes().iter().enumerate().filter(|(_, node)| &*node.label == label);
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Some(NodeIndex(index as u32)),
        _ => None,
    }
}

/// The same, or an error that names the field, the value and what is near.
///
/// # Errors
/// No such node.
pub fn need(graph: &Graph, field: &str, id: Option<&Id<'_>>) -> Result<NodeIndex, ToolError> {
    let id = id.ok_or_else(|| ToolError::missing(field, "the id of a node"))?;
    find(graph, id).ok_or_else(|| unknown_node(graph, field, id))
}

/// What to say of a node that is not there.
#[cold]
#[must_use]
pub fn unknown_node(graph: &Graph, field: &str, id: &Id<'_>) -> ToolError {
    let near = match id {
        Id::Text(text) => nearest(text, graph.nodes().iter().map(|node| &*node.key))
            .or_else(|| nearest(text, graph.nodes().iter().map(|node| &*node.label))),
        Id::Number(_) => None,
    };
    let near = did_you_mean(near);
    ToolError(format!("{field}: there is no node {id}.{near} Use find_nodes to get ids."))
}

/// A whole number within bounds, or the default.
///
/// # Errors
/// The bounds.
pub fn whole(field: &str, value: Option<i64>, (min, max): (i64, i64), default: i64) -> Result<usize, ToolError> {
    let value = value.unwrap_or(default);
    if (min..=max).contains(&value) {
        return Ok(usize::try_from(value).unwrap_or(0));
    }
    Err(ToolError::field(field, value, format_args!("a whole number from {min} to {max}")))
}

/// One of some names, or the default.
///
/// # Errors
/// The names.
pub fn choice<T: Copy>(field: &str, value: Option<&str>, of: &[(&'static str, T)], default: T) -> Result<T, ToolError> {
    let Some(value) = value else { return Ok(default) };
    if let Some((_, meant)) = of.iter().find(|(name, _)| *name == value) {
        return Ok(*meant);
    }
    let names: Vec<&str> = of.iter().map(|(name, _)| *name).collect();
    let near = nearest(value, names.iter().copied()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Err(ToolError::field(field, format!("{value:?}"), format_args!("one of {}{near}", names.join(", "))))
}

/// Text of at most so many bytes.
///
/// # Errors
/// The limit.
pub fn bounded<'text>(field: &str, text: &'text str, bytes_max: usize) -> Result<&'text str, ToolError> {
    if text.len() <= bytes_max {
        return Ok(text);
    }
    Err(ToolError::field(
        field,
        format_args!("{} bytes long", text.len()),
        format_args!("at most {bytes_max} bytes long"),
    ))
}

/// A list of so many items.
///
/// # Errors
/// The bounds.
pub fn counted(field: &str, items: usize, min: usize, max: usize) -> Result<(), ToolError> {
    if (min..=max).contains(&items) {
        return Ok(());
    }
    Err(ToolError::field(field, format_args!("a list of {items}"), format_args!("a list of {min} to {max}")))
}
