//! Bodies of requests that change the graph.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::api::steer::RestError;
use crate::graph::{
    AUTHOR_LETTERS_MAX, Author, Batch, EdgeDraft, EdgeId, EdgePatch, EdgeRef, NodeDraft, NodeId, NodeKind, NodePatch,
    NodeRef, Op, Value, attributes, colour_of,
};
use crate::handoff::Query;
use crate::limits::{BATCH_OPS_MAX, IDEMPOTENCY_KEY_BYTES_MAX};

/// An object: serde alone takes a list of a type's fields for the type.
#[derive(Debug, Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Only<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Only<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Only(PhantomData))
    }
}

/// What every request that changes something may say beside the change. Written out in each body: serde cannot refuse unknown
/// fields of a flattened one.
#[derive(Debug, Default)]
struct Terms {
    if_version: Option<u64>,
    idempotency_key: Option<Box<str>>,
    author: Option<Box<str>>,
    why: Option<Box<str>>,
}

/// New or present nodes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodesBody {
    nodes: Vec<Object<NodeBody>>,
    #[serde(default)]
    mode: Mode,
    if_version: Option<u64>,
    idempotency_key: Option<Box<str>>,
    author: Option<Box<str>>,
    why: Option<Box<str>>,
}

/// New or present edges.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgesBody {
    edges: Vec<Object<EdgeBody>>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    create_missing: bool,
    if_version: Option<u64>,
    idempotency_key: Option<Box<str>>,
    author: Option<Box<str>>,
    why: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    ops: Vec<Object<OpBody>>,
    if_version: Option<u64>,
    idempotency_key: Option<Box<str>>,
    author: Option<Box<str>>,
    why: Option<Box<str>>,
}

/// What is done about a name that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// It is an error.
    #[default]
    Add,
    /// What has the name is changed.
    Upsert,
}

/// Fields of a node. A field that is null is emptied, one that is missing stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NodeBody {
    key: Option<Box<str>>,
    label: Option<Box<str>>,
    class: Option<NodeKind>,
    private: Option<bool>,
    #[serde(deserialize_with = "given")]
    group: Option<Option<Box<str>>>,
    weight: Option<f32>,
    #[serde(deserialize_with = "given")]
    colour: Option<Option<Colour>>,
    #[serde(deserialize_with = "given")]
    position: Option<Option<[f32; 3]>>,
    pinned: Option<bool>,
    #[serde(deserialize_with = "attributes::deserialize")]
    attributes: Vec<(Box<str>, Option<Value>)>,
    replace_attributes: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgeBody {
    source: Name,
    target: Name,
    #[serde(default)]
    weight: Option<f32>,
    #[serde(default)]
    directed: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    relation: Option<Option<Box<str>>>,
    #[serde(default, deserialize_with = "given")]
    label: Option<Option<Box<str>>>,
    #[serde(default, deserialize_with = "attributes::deserialize")]
    attributes: Vec<(Box<str>, Option<Value>)>,
    #[serde(default)]
    replace_attributes: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EdgePatchBody {
    weight: Option<f32>,
    directed: Option<bool>,
    #[serde(deserialize_with = "given")]
    relation: Option<Option<Box<str>>>,
    #[serde(deserialize_with = "given")]
    label: Option<Option<Box<str>>>,
    #[serde(deserialize_with = "attributes::deserialize")]
    attributes: Vec<(Box<str>, Option<Value>)>,
    replace_attributes: bool,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum OpBody {
    AddNode {
        node: Object<NodeBody>,
    },
    UpsertNode {
        node: Object<NodeBody>,
    },
    UpdateNode {
        id: Name,
        set: Object<NodeBody>,
    },
    RemoveNode {
        id: Name,
    },
    AddEdge {
        edge: Object<EdgeBody>,
        #[serde(default)]
        create_missing: bool,
    },
    UpsertEdge {
        edge: Object<EdgeBody>,
        #[serde(default)]
        create_missing: bool,
    },
    UpdateEdge {
        id: u32,
        set: Object<EdgePatchBody>,
    },
    RemoveEdge {
        id: Option<u32>,
        source: Option<Name>,
        target: Option<Name>,
        relation: Option<Box<str>>,
    },
}

/// A node: its id as a number, its key as a text.
#[derive(Debug)]
struct Name(NodeRef);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl serde::de::Visitor<'_> for Either {
            type Value = Name;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a node: its id, a number up to 67108863, or its key, a text")
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<Name, E> {
                let known = u32::try_from(id).ok().and_then(NodeId::new);
                known
                    .map(|id| Name(NodeRef::Id(id)))
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(id), &self))
            }

            fn visit_str<E>(self, key: &str) -> Result<Name, E> {
                Ok(Name(NodeRef::Key(key.into())))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Debug)]
struct Colour(u32);

impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = || serde::de::Error::custom(format!("a colour is #rrggbb, found {:?}", cut(&text)));
        colour_of(&text).map(Colour).ok_or_else(refused)
    }
}

/// Tells a field that is null from one that is missing.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl NodeBody {
    fn patch(self) -> NodePatch {
        NodePatch {
            key: None,
            label: self.label,
            kind: self.class,
            private: self.private,
            group: self.group,
            weight: self.weight,
            colour: self.colour.map(|colour| colour.map(|Colour(rgb)| rgb)),
            position: self.position,
            pinned: self.pinned,
            attributes: self.attributes,
            replace_attributes: self.replace_attributes,
        }
    }

    fn draft(mut self) -> NodeDraft {
        NodeDraft { key: self.key.take(), patch: self.patch() }
    }

    fn change(mut self) -> NodePatch {
        let key = self.key.take();
        NodePatch { key, ..self.patch() }
    }
}

impl EdgeBody {
    fn draft(self, create_ends: bool) -> EdgeDraft {
        let Self { source, target, weight, directed, relation, label, attributes, replace_attributes } = self;
        let set = EdgePatchBody { weight, directed, relation, label, attributes, replace_attributes };
        EdgeDraft { source: source.0, target: target.0, create_ends, patch: set.patch() }
    }
}

impl EdgePatchBody {
    fn patch(self) -> EdgePatch {
        let Self { weight, directed, relation, label, attributes, replace_attributes } = self;
        EdgePatch { weight, directed, relation, label, attributes, replace_attributes }
    }
}

impl OpBody {
    fn op(self, place: usize) -> Result<Op, RestError> {
        Ok(match self {
            Self::AddNode { node } => Op::AddNode(node.0.draft()),
            Self::UpsertNode { node } => Op::UpsertNode(node.0.draft()),
            Self::UpdateNode { id, set } => Op::UpdateNode { node: id.0, patch: set.0.change() },
            Self::RemoveNode { id } => Op::RemoveNode { node: id.0 },
            Self::AddEdge { edge, create_missing } => Op::AddEdge(edge.0.draft(create_missing)),
            Self::UpsertEdge { edge, create_missing } => Op::UpsertEdge(edge.0.draft(create_missing)),
            Self::UpdateEdge { id, set } => Op::UpdateEdge { edge: EdgeRef::Id(EdgeId(id)), patch: set.0.patch() },
            Self::RemoveEdge { id: Some(id), source: None, target: None, relation: None } => {
                Op::RemoveEdge { edge: EdgeRef::Id(EdgeId(id)) }
            }
            Self::RemoveEdge { id: None, source: Some(source), target: Some(target), relation } => {
                Op::RemoveEdge { edge: EdgeRef::Between { source: source.0, target: target.0, relation } }
            }
            Self::RemoveEdge { .. } => {
                let field = format!("ops[{place}]");
                let message =
                    format!("{field} must name the edge by its id, or by source, target and perhaps relation");
                return Err(RestError::at(400, "missing_field", field, message));
            }
        })
    }
}

/// A body as a type; an error names the path of the field.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, RestError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let Object(read) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => {
                if path == "." {
                    return RestError::new(400, "invalid", inner.to_string());
                }
                RestError::at(400, "invalid", path.as_str(), format!("{path}: {inner}"))
            }
            _ => RestError::new(400, "json", format!("the body is not JSON: {inner}")),
        }
    })?;
    json.end().map_err(|error| RestError::new(400, "json", format!("the body is not JSON: {error}")))?;
    Ok(read)
}

/// A batch of operations under some terms.
fn batch(ops: Vec<Op>, terms: Terms, field: &str) -> Result<Batch, RestError> {
    if ops.is_empty() || ops.len() > BATCH_OPS_MAX {
        let message = format!("{field} must have 1 to {BATCH_OPS_MAX} entries, found {}", ops.len());
        return Err(RestError::at(400, "out_of_range", field, message));
    }
    Ok(Batch { ops, ..under(terms)? })
}

/// A batch under some terms, without operations yet.
fn under(terms: Terms) -> Result<Batch, RestError> {
    let Terms { if_version, idempotency_key, author, why } = terms;
    for (name, text) in [("idempotency_key", &idempotency_key), ("author", &author)] {
        let bytes = text.as_ref().map_or(1, |text| text.len());
        if bytes == 0 || bytes > IDEMPOTENCY_KEY_BYTES_MAX {
            let message = format!("{name} must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes long, found {bytes}");
            return Err(RestError::at(400, "out_of_range", name, message));
        }
    }
    let letters = why.as_ref().map_or(1, |why| why.chars().count());
    if !(1..=AUTHOR_LETTERS_MAX).contains(&letters) || why.as_ref().is_some_and(|why| why.contains(char::is_control)) {
        let message = format!(
            "why must be a line of 1 to {AUTHOR_LETTERS_MAX} characters without control characters, found {letters}"
        );
        return Err(RestError::at(400, "out_of_range", "why", message));
    }
    let author = Author { why, ..Author::from(author.unwrap_or_else(|| "rest".into())) };
    Ok(Batch { ops: Vec::new(), if_version, idempotency_key, author, each: false })
}

/// A batch of one operation that its path names; `query` has the terms.
///
/// # Errors
/// `out_of_range`, `invalid`.
pub fn batch_of(op: Op, query: &Query) -> Result<Batch, RestError> {
    Ok(Batch { ops: vec![op], ..terms_of(query)? })
}

/// The terms of a batch in a query: `if_version`, `idempotency_key`, `author`, `why`. Its operations are yet to come.
///
/// # Errors
/// `out_of_range`, `invalid`.
pub fn terms_of(query: &Query) -> Result<Batch, RestError> {
    let if_version = match query.get("if_version").map(str::parse) {
        None => None,
        Some(Ok(version)) => Some(version),
        Some(Err(_)) => {
            let message = "if_version must be a whole number from 0";
            return Err(RestError::at(400, "invalid", "if_version", message));
        }
    };
    let idempotency_key = query.get("idempotency_key").map(Into::into);
    let [author, why] = ["author", "why"].map(|name| query.get(name).map(Into::into));
    under(Terms { if_version, idempotency_key, author, why })
}

/// `POST /api/graph/nodes`.
///
/// # Errors
/// `json`, `invalid`, `out_of_range`.
pub fn read_nodes(body: &[u8]) -> Result<Batch, RestError> {
    let NodesBody { nodes, mode, if_version, idempotency_key, author, why } = parse(body)?;
    let terms = Terms { if_version, idempotency_key, author, why };
    let op = |Object(node): Object<NodeBody>| {
        if mode == Mode::Add { Op::AddNode(node.draft()) } else { Op::UpsertNode(node.draft()) }
    };
    batch(nodes.into_iter().map(op).collect(), terms, "nodes")
}

/// `POST /api/graph/edges`.
///
/// # Errors
/// `json`, `invalid`, `out_of_range`.
pub fn read_edges(body: &[u8]) -> Result<Batch, RestError> {
    let EdgesBody { edges, mode, create_missing, if_version, idempotency_key, author, why } = parse(body)?;
    let terms = Terms { if_version, idempotency_key, author, why };
    let draft = |Object(edge): Object<EdgeBody>| edge.draft(create_missing);
    let op = |edge| if mode == Mode::Add { Op::AddEdge(draft(edge)) } else { Op::UpsertEdge(draft(edge)) };
    batch(edges.into_iter().map(op).collect(), terms, "edges")
}

/// `POST /api/graph/batch`.
///
/// # Errors
/// `json`, `invalid`, `missing_field`, `out_of_range`.
pub fn read_batch(body: &[u8]) -> Result<Batch, RestError> {
    let BatchBody { ops, if_version, idempotency_key, author, why } = parse(body)?;
    let terms = Terms { if_version, idempotency_key, author, why };
    let ops = ops.into_iter().enumerate().map(|(place, Object(op))| op.op(place)).collect::<Result<_, _>>()?;
    batch(ops, terms, "ops")
}

/// `PATCH /api/graph/nodes/{id}`.
///
/// # Errors
/// `json`, `invalid`.
pub fn read_one_node(node: NodeRef, body: &[u8]) -> Result<Op, RestError> {
    let set: NodeBody = parse(body)?;
    Ok(Op::UpdateNode { node, patch: set.change() })
}

/// `PATCH /api/graph/edges/{id}`.
///
/// # Errors
/// `json`, `invalid`.
pub fn read_one_edge(edge: EdgeId, body: &[u8]) -> Result<Op, RestError> {
    let set: EdgePatchBody = parse(body)?;
    Ok(Op::UpdateEdge { edge: EdgeRef::Id(edge), patch: set.patch() })
}

/// Enough of a text for an error.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
