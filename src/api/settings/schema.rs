//! The table as a JSON Schema of draft 2020-12, and the registry of its paths.

use serde_json::{Map, Value as Json, json};

use super::value::to_json;
use crate::settings::{Config, KEYS, Key, Kind, SECTIONS};

/// Version of the registry of numeric ids: an id is the place of a key in the table, and stands for the same key wherever this number is
/// the same. It is the first four bytes of the Blake3 hash of all names in order, each followed by a line feed.
#[must_use]
pub fn registry_version() -> u32 {
    let names: String = KEYS.iter().flat_map(|key| [key.name, "\n"]).collect();
    let hash = blake3::hash(names.as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The schema of the whole configuration. Members that begin with `x-` are ours: `x-unit`, `x-live` (it can change while the engine
/// runs), `x-id` (its number in the registry), `x-path`, `x-variable`, `x-flag`.
#[must_use]
pub fn schema() -> Json {
    let defaults = Config::default();
    let section = |(name, doc): &(&str, &str)| {
        let keys = KEYS.iter().enumerate().filter(|(_, key)| key.section() == *name);
        let properties: Map<_, _> =
            keys.map(|(index, key)| (key.leaf().to_owned(), row(index, key, &defaults))).collect();
        let row =
            json!({ "type": "object", "description": doc, "properties": properties, "additionalProperties": false });
        ((*name).to_owned(), row)
    };
    let sections: Map<_, _> = SECTIONS.iter().map(section).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Swarmcast settings",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
        "x-registry": { "version": registry_version(), "paths": KEYS.len() },
    })
}

fn row(index: usize, key: &Key, defaults: &Config) -> Json {
    let mut row = kind(key.kind);
    if let Some(row) = row.as_object_mut() {
        row.insert("description".to_owned(), json!(key.doc));
        row.insert("default".to_owned(), to_json(&(key.field.read)(defaults)));
        row.insert("x-path".to_owned(), json!(key.name));
        row.insert("x-id".to_owned(), json!(index));
        row.insert("x-live".to_owned(), json!(key.is_live()));
        row.insert("x-variable".to_owned(), json!(key.variable()));
        for (name, text) in [("x-unit", key.unit), ("x-flag", key.flag)] {
            if !text.is_empty() {
                row.insert(name.to_owned(), json!(text));
            }
        }
    }
    row
}

fn kind(kind: Kind) -> Json {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Whole { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::WholeOr { other, means, min, max } => json!({
            "type": "integer",
            "anyOf": [{ "const": other, "description": means }, { "minimum": min, "maximum": max }],
        }),
        Kind::Decimal { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Choice(names) => json!({ "type": "string", "enum": names }),
        Kind::Address { .. } => json!({ "type": "string", "x-format": kind.describe("") }),
        Kind::Cpus => json!({
            "type": "array", "uniqueItems": true, "x-format": kind.describe(""),
            "items": { "type": "integer", "minimum": 0, "maximum": 1_023 },
        }),
        Kind::Names(names) => json!({
            "type": "array", "uniqueItems": true, "minItems": 1, "items": { "type": "string", "enum": names },
        }),
        Kind::Sources => json!({ "type": "array", "x-format": kind.describe(""), "items": { "type": "string" } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_schema_with_its_range_unit_and_default() {
        let schema = schema();
        for (index, key) in KEYS.iter().enumerate() {
            let row = &schema["properties"][key.section()]["properties"][key.leaf()];
            assert_eq!((&row["x-id"], &row["x-live"]), (&json!(index), &json!(key.is_live())), "{}", key.name);
            assert!(
                !row["default"].is_null() && row["description"].is_string() && row["type"].is_string(),
                "{}",
                key.name
            );
        }
        let spring = &schema["properties"]["sim"]["properties"]["spring_k"];
        assert_eq!(
            (&spring["maximum"], &spring["x-unit"], &spring["default"]),
            (&json!(1e6), &json!("per s^2"), &json!(1200.0))
        );
    }
}
