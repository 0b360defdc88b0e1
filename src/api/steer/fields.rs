//! A JSON object taken apart field by field: each is named when it is missing, of another kind, out of its range, or not known.

use serde_json::{Map, Value};

use crate::graph::{Graph, NodeId, NodeIndex};
use crate::limits::COORDINATE_MAX;

/// Why a request is refused. The words are for a person; `field` is the path of what is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestError {
    /// HTTP status.
    pub status: u16,
    /// Stable name.
    pub code: &'static str,
    /// What was found and what may be.
    pub message: String,
    /// Field at fault, where one is.
    pub field: Option<String>,
}

impl RestError {
    /// An error that no field is the cause of.
    #[must_use]
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    /// An error whose cause is the field at this path.
    #[must_use]
    pub fn at(status: u16, code: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: Some(field.into()) }
    }
}

/// An object that is being read.
#[derive(Debug)]
pub struct Fields<'json> {
    path: String,
    object: &'json Map<String, Value>,
    asked: Vec<&'static str>,
}

impl<'json> Fields<'json> {
    /// The body of a request.
    ///
    /// # Errors
    /// `not_an_object`.
    pub fn of_body(value: &'json Value) -> Result<Self, RestError> {
        match value.as_object() {
            Some(object) => Ok(Self { path: String::new(), object, asked: Vec::new() }),
            None => Err(RestError::new(
                400,
                "not_an_object",
                format!("the body must be a JSON object, found {}", kind(value)),
            )),
        }
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value of a field; `None` when it is missing or null.
    fn take(&mut self, name: &'static str) -> Option<&'json Value> {
        self.asked.push(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&self, name: &str, wanted: &str, found: &Value) -> RestError {
        let path = self.path(name);
        let message = format!("{path} must be {wanted}, found {}", shown(found));
        RestError::at(400, "wrong_type", path, message)
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// `missing_field`.
    pub fn need<T>(&self, name: &'static str, value: Option<T>, wanted: &str) -> Result<T, RestError> {
        let path = self.path(name);
        value.ok_or_else(|| {
            let message = format!("{path} is missing: it must be {wanted}");
            RestError::at(400, "missing_field", path, message)
        })
    }

    /// A refusal of a field's value.
    #[must_use]
    pub fn refuse(&self, name: &str, code: &'static str, message: &str) -> RestError {
        let path = self.path(name);
        let message = format!("{path} {message}");
        RestError::at(400, code, path, message)
    }

    /// A number from `min` to `max`.
    ///
    /// # Errors
    /// `wrong_type`, `out_of_range`.
    pub fn number(&mut self, name: &'static str, min: f64, max: f64) -> Result<Option<f32>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Some(number) = value.as_f64() else { return Err(self.wrong(name, "a number", value)) };
        if (min..=max).contains(&number) {
            return Ok(Some(number as f32));
        }
        Err(self.refuse(name, "out_of_range", &format!("must be a number from {min} to {max}, found {number}")))
    }

    /// A whole number from `min` to `max`.
    ///
    /// # Errors
    /// `wrong_type`, `out_of_range`.
    pub fn whole(&mut self, name: &'static str, min: u32, max: u32) -> Result<Option<u32>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let inside = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|it| (min..=max).contains(it));
        if inside.is_none() && !value.is_number() {
            return Err(self.wrong(name, "a whole number", value));
        }
        let refused =
            || self.refuse(name, "out_of_range", &format!("must be a whole number from {min} to {max}, found {value}"));
        inside.map(Some).ok_or_else(refused)
    }

    /// True or false.
    ///
    /// # Errors
    /// `wrong_type`.
    pub fn flag(&mut self, name: &'static str) -> Result<Option<bool>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(name, "true or false", value))
    }

    /// A text of 1 to 256 bytes.
    ///
    /// # Errors
    /// `wrong_type`, `out_of_range`.
    pub fn text(&mut self, name: &'static str) -> Result<Option<&'json str>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Some(text) = value.as_str() else { return Err(self.wrong(name, "a text", value)) };
        if (1..=256).contains(&text.len()) {
            return Ok(Some(text));
        }
        Err(self.refuse(name, "out_of_range", &format!("must be 1 to 256 bytes long, found {}", text.len())))
    }

    /// One of some names.
    ///
    /// # Errors
    /// `wrong_type`, `unknown_value`.
    pub fn choice<T: Copy>(&mut self, name: &'static str, of: &[(&'static str, T)]) -> Result<Option<T>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Some(text) = value.as_str() else { return Err(self.wrong(name, "a text", value)) };
        let known = of.iter().find(|(known, _)| *known == text).map(|(_, value)| *value);
        let names: Vec<&str> = of.iter().map(|(known, _)| *known).collect();
        let refused = || {
            let found = text.chars().take(64).collect::<String>();
            self.refuse(name, "unknown_value", &format!("must be one of {}, found {found:?}", names.join(", ")))
        };
        known.map(Some).ok_or_else(refused)
    }

    /// Three coordinates, `[x, y, z]`, or two, which stand for z = 0.
    ///
    /// # Errors
    /// `wrong_type`, `out_of_range`.
    pub fn point(&mut self, name: &'static str, max: f32) -> Result<Option<[f32; 3]>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let parts = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut point = [0f32; 3];
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(Value::is_number) {
            return Err(self.wrong(name, "[x, y] or [x, y, z]", value));
        }
        for (axis, part) in point.iter_mut().zip(parts) {
            *axis = part.as_f64().unwrap_or(f64::NAN) as f32;
            if !(-max..=max).contains(axis) {
                return Err(self.refuse(
                    name,
                    "out_of_range",
                    &format!("has coordinates from -{max} to {max}, found {part}"),
                ));
            }
        }
        Ok(Some(point))
    }

    /// A node by its id.
    ///
    /// # Errors
    /// `wrong_type`, `unknown_node`.
    pub fn node(&mut self, name: &'static str, graph: &Graph) -> Result<Option<NodeId>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        self.known_node(name, value, graph).map(Some)
    }

    fn known_node(&self, name: &str, value: &Value, graph: &Graph) -> Result<NodeId, RestError> {
        let Some(number) = value.as_u64() else { return Err(self.wrong(name, "the id of a node", value)) };
        let id = u32::try_from(number).ok().and_then(NodeId::new).filter(|id| graph.index_of(*id).is_some());
        id.ok_or_else(|| {
            self.refuse(name, "unknown_node", &format!("names node {number}, which the graph does not have"))
        })
    }

    /// Nodes by their ids, none twice; `None` when the field is missing.
    ///
    /// # Errors
    /// `wrong_type`, `out_of_range` for their count, `unknown_node`, `twice`.
    pub fn nodes(
        &mut self,
        name: &'static str,
        graph: &Graph,
        (min, max): (usize, usize),
    ) -> Result<Option<Vec<NodeId>>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Some(list) = value.as_array() else { return Err(self.wrong(name, "a list of ids", value)) };
        if !(min..=max).contains(&list.len()) {
            let message = format!("must list {min} to {max} nodes, found {}", list.len());
            return Err(self.refuse(name, "out_of_range", &message));
        }
        let mut nodes = Vec::with_capacity(list.len());
        for value in list {
            nodes.push(self.known_node(name, value, graph)?);
        }
        let mut sorted = nodes.clone();
        sorted.sort_unstable();
        let twice = sorted.windows(2).find_map(|pair| match pair {
            [left, right] if left == right => Some(left.get()),
            _ => None,
        });
        match twice {
            Some(id) => Err(self.refuse(name, "twice", &format!("lists node {id} twice"))),
            None => Ok(Some(nodes)),
        }
    }

    /// An object inside this one.
    ///
    /// # Errors
    /// `wrong_type`.
    pub fn object(&mut self, name: &'static str) -> Result<Option<Fields<'json>>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_object() {
            Some(object) => Ok(Some(Fields { path: self.path(name), object, asked: Vec::new() })),
            None => Err(self.wrong(name, "an object", value)),
        }
    }

    /// Objects by names of the client's own, at most `limit`.
    ///
    /// # Errors
    /// `wrong_type`, `out_of_range`.
    pub fn map(
        &mut self,
        name: &'static str,
        limit: usize,
    ) -> Result<Option<Vec<(&'json str, Fields<'json>)>>, RestError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Some(object) = value.as_object() else { return Err(self.wrong(name, "an object", value)) };
        if object.len() > limit {
            let message = format!("may have {limit} entries, found {}", object.len());
            return Err(self.refuse(name, "out_of_range", &message));
        }
        let path = self.path(name);
        let inner = object.iter().map(|(key, value)| {
            let path = format!("{path}.{}", key.escape_debug());
            match value.as_object() {
                Some(object) => Ok((key.as_str(), Fields { path, object, asked: Vec::new() })),
                None => {
                    let message = format!("{path} must be an object, found {}", shown(value));
                    Err(RestError::at(400, "wrong_type", path, message))
                }
            }
        });
        inner.collect::<Result<_, _>>().map(Some)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `unknown_field` when there is a field that nobody asked for.
    pub fn end(self) -> Result<(), RestError> {
        match self.object.keys().find(|key| !self.asked.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let shown = key.chars().take(64).collect::<String>();
                let message = format!("is not known; known: {}", self.asked.join(", "));
                Err(self.refuse(&shown.escape_debug().to_string(), "unknown_field", &message))
            }
        }
    }
}

/// The bound that positions in requests have: that of a drag.
pub const POINT_MAX: f32 = COORDINATE_MAX;

/// The index of a node that was known when its id was read; `None` when it has gone since.
#[must_use]
pub fn index(graph: &Graph, id: NodeId) -> Option<u32> {
    graph.index_of(id).map(|NodeIndex(index)| index)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value for an error: numbers and truth values as they are, of the rest its kind.
fn shown(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => kind(value).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_refusal_names_the_field_what_was_found_and_what_may_be() {
        let body = json!({ "inner": { "radius": 20_000.0, "on": 1, "kind": "sphere", "extra": 1, "at": [1, "x", 2] } });
        let mut fields = Fields::of_body(&body).unwrap();
        let mut inner = fields.object("inner").unwrap().unwrap();
        let error = inner.number("radius", 0.0, 10_000.0).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), ("out_of_range", Some("inner.radius")));
        assert_eq!(error.message, "inner.radius must be a number from 0 to 10000, found 20000");
        assert_eq!(inner.flag("on").unwrap_err().message, "inner.on must be true or false, found 1");
        let error = inner.choice("kind", &[("disc", 1), ("ball", 2)]).unwrap_err();
        assert_eq!(error.message, "inner.kind must be one of disc, ball, found \"sphere\"");
        assert_eq!(inner.point("at", 9.0).unwrap_err().code, "wrong_type");
        let missing = inner.number("gap", 0.0, 1.0).unwrap();
        assert_eq!(inner.need("gap", missing, "a number").unwrap_err().code, "missing_field");
        let error = inner.end().unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), ("unknown_field", Some("inner.extra")));
        assert!(Fields::of_body(&json!([1])).is_err() && fields.end().is_ok());
    }
}
