//! Nodes and edges with their attributes, as they are kept, logged and told.

use serde::{Deserialize, Serialize};

use super::{EdgeId, NodeClass, NodeId, NodeIndex};

/// A typed attribute value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Text of at most [`crate::limits::TEXT_BYTES_MAX`] bytes.
    Text(Box<str>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl serde::de::Visitor<'_> for Any {
            type Value = Value;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("true, false, a number or a text")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Int(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.into()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Attributes in the order of the file, at most [`crate::limits::ATTRIBUTES_MAX`], keys unique.
pub type Attributes = Vec<(Box<str>, Value)>;

/// One node. As JSON its kind and privacy are `class` and `private`, its colour is `#rrggbb`, its attributes an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Stable id, unique in the graph.
    pub id: NodeId,
    /// The name the source file uses for it, unique in the graph.
    pub key: Box<str>,
    /// What a person sees; the key where the source has no label.
    pub label: Box<str>,
    /// Kind and privacy.
    #[serde(flatten)]
    pub class: NodeClass,
    /// Group, layer or community of the source file.
    pub group: Option<Box<str>>,
    /// Importance, > 0 and finite; 1 where the source has none.
    pub weight: f32,
    /// Colour as `0xRRGGBB`, where the source has one.
    #[serde(with = "colour")]
    pub colour: Option<u32>,
    /// Position the source asks for, in world units; `[x, y, z]`, finite.
    pub position: Option<[f32; 3]>,
    /// The simulation leaves a pinned node where it is.
    pub pinned: bool,
    /// Everything else.
    #[serde(with = "attributes", default)]
    pub attributes: Attributes,
}

impl Node {
    /// A node of which nothing is known but its names.
    #[must_use]
    pub fn new(id: NodeId, key: Box<str>) -> Self {
        Self {
            id,
            label: key.clone(),
            key,
            class: NodeClass::default(),
            group: None,
            weight: 1.0,
            colour: None,
            position: None,
            pinned: false,
            attributes: Attributes::new(),
        }
    }
}

/// One edge between two nodes of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Stable id, unique in the graph.
    pub id: EdgeId,
    /// Where it starts.
    pub source: NodeIndex,
    /// Where it ends.
    pub target: NodeIndex,
    /// Strength, >= 0 and finite; 1 where the source has none. 0 exerts no force.
    pub weight: f32,
    /// Whether direction matters; the simulation treats both alike.
    pub directed: bool,
    /// Relation type, where the source has one.
    pub relation: Option<Box<str>>,
    /// Label and attributes.
    pub more: More,
}

/// What most edges do not have, apart from the rest: a graph has several edges for each node, and their rows are most of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct More(Option<Box<(Option<Box<str>>, Attributes)>>);

impl More {
    /// A label and attributes; nothing is held for none of both.
    #[must_use]
    pub fn new(label: Option<Box<str>>, attributes: Attributes) -> Self {
        let any = label.is_some() || !attributes.is_empty();
        Self(any.then(|| Box::new((label, attributes))))
    }

    /// Takes them out.
    #[must_use]
    pub fn take(self) -> (Option<Box<str>>, Attributes) {
        self.0.map(|more| *more).unwrap_or_default()
    }
}

impl Edge {
    /// What a person sees, where the source has it.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.more.0.as_ref().and_then(|more| more.0.as_deref())
    }

    /// Everything else.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        static NONE: Attributes = Vec::new();
        self.more.0.as_ref().map_or(&NONE, |more| &more.1)
    }
}

/// An edge whose ends are named by their ids: the form that means the same in every epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeRow {
    /// Stable id, unique in the graph.
    pub id: EdgeId,
    /// Where it starts.
    pub source: NodeId,
    /// Where it ends.
    pub target: NodeId,
    /// As in [`Edge`].
    pub weight: f32,
    /// As in [`Edge`].
    pub directed: bool,
    /// As in [`Edge`].
    pub relation: Option<Box<str>>,
    /// What a person sees, where the source has one.
    pub label: Option<Box<str>>,
    /// Everything else.
    #[serde(with = "attributes", default)]
    pub attributes: Attributes,
}

/// `#rrggbb` or null.
mod colour {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(colour: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
        match colour {
            Some(rgb) => serializer.collect_str(&format_args!("#{:06x}", rgb & 0x00FF_FFFF)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        super::colour_of(&text).map(Some).ok_or_else(|| D::Error::custom(format!("a colour is #rrggbb, found {text}")))
    }
}

/// `#rrggbb` as a number.
#[must_use]
pub fn colour_of(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Attributes as a JSON object, in order.
pub mod attributes {
    use std::marker::PhantomData;

    use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
    use serde::ser::Serializer;

    use super::Attributes;

    /// Writes the object.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(attributes: &Attributes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(attributes.iter().map(|(key, value)| (key, value)))
    }

    /// Reads an object.
    ///
    /// # Errors
    /// What is no object of `V`.
    pub fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Box<str>, V)>, D::Error> {
        struct InOrder<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = Vec<(Box<str>, V)>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut attributes = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    attributes.push(entry);
                }
                Ok(attributes)
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeKind;

    #[test]
    fn a_node_as_json_comes_back() {
        let node = Node {
            id: NodeId::new(7).unwrap(),
            key: "a".into(),
            label: "A".into(),
            class: NodeClass { kind: NodeKind::Agent, private: true },
            group: None,
            weight: 2.5,
            colour: Some(0x00_80_ff),
            position: Some([1.0, 2.0, 3.0]),
            pinned: false,
            attributes: vec![
                ("z".into(), Value::Int(1)),
                ("a".into(), Value::Float(1.0)),
                ("t".into(), Value::Text("x".into())),
                ("b".into(), Value::Bool(true)),
            ],
        };
        let text = serde_json::to_string(&node).unwrap();
        assert_eq!(
            text,
            r##"{"id":7,"key":"a","label":"A","class":"agent","private":true,"group":null,"weight":2.5,"colour":"#0080ff","position":[1.0,2.0,3.0],"pinned":false,"attributes":{"z":1,"a":1.0,"t":"x","b":true}}"##
        );
        assert_eq!(serde_json::from_str::<Node>(&text).unwrap(), node);
        assert!(serde_json::from_str::<Node>(&text.replace("#0080ff", "#0080f")).is_err());
        assert!(serde_json::from_str::<Node>(&text.replace("\"id\":7", "\"id\":67108864")).is_err());
    }
}
