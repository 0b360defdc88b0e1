//! JSON Schema, as much of it as the schemas of MCP and of our tools use. A keyword it does not know fails the test.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::Value;

/// Keywords that say nothing about whether a value is valid here. `format` is an annotation in 2020-12.
const ANNOTATIONS: [&str; 8] =
    ["$schema", "$defs", "definitions", "title", "description", "default", "format", "examples"];

/// What is wrong with `value`; empty when nothing is. `root` is where references lead.
pub fn errors(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = match schema {
        Value::Bool(true) => return Vec::new(),
        Value::Bool(false) => return vec![format!("{at}: nothing is allowed here")],
        Value::Object(schema) => schema,
        other => panic!("a schema is an object: {other}"),
    };
    let mut wrong = Vec::new();
    let mut say = |words: String| wrong.push(format!("{at}: {words}"));
    let mut inside = Vec::new();
    for (keyword, rule) in schema {
        let list = || rule.as_array().unwrap().iter();
        let below = |rule: &Value| errors(root, rule, value, at);
        let number = || (value.as_f64(), rule.as_f64().unwrap());
        let items = || value.as_array().map(Vec::len);
        let letters = || value.as_str().map(|text| text.chars().count());
        let count = || rule.as_u64().unwrap() as usize;
        match keyword.as_str() {
            annotation if ANNOTATIONS.contains(&annotation) => {}
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().strip_prefix('#').unwrap());
                inside.extend(errors(root, target.unwrap_or_else(|| panic!("{rule} leads nowhere")), value, at));
            }
            "type" => {
                let is = |kind: &Value| match kind.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "number" => value.is_number(),
                    "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|it| it.fract() == 0.0),
                    other => panic!("type {other}"),
                };
                if !rule.as_array().map_or_else(|| is(rule), |kinds| kinds.iter().any(is)) {
                    say(format!("{value} is not {rule}"));
                }
            }
            "enum" if !list().any(|allowed| allowed == value) => say(format!("{value} is none of {rule}")),
            "const" if rule != value => say(format!("{value} is not {rule}")),
            "anyOf" if list().all(|rule| !below(rule).is_empty()) => {
                let why: Vec<String> = list().flat_map(below).collect();
                say(format!("fits none of {}: {}", list().count(), why.join("; ")));
            }
            "oneOf" if list().filter(|rule| below(rule).is_empty()).count() != 1 => {
                say("fits not exactly one".to_owned())
            }
            "allOf" => inside.extend(list().flat_map(below)),
            "not" if below(rule).is_empty() => say(format!("fits {rule}")),
            "required" => {
                for name in list().map(|name| name.as_str().unwrap()) {
                    if value.as_object().is_some_and(|object| !object.contains_key(name)) {
                        say(format!("{name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(member) = value.as_object().and_then(|object| object.get(name)) {
                        inside.extend(errors(root, rule, member, &format!("{at}/{name}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, member) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(name)) {
                        inside.extend(errors(root, rule, member, &format!("{at}/{name}")));
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    inside.extend(errors(root, rule, item, &format!("{at}/{index}")));
                }
            }
            "minimum" if number().0.is_some_and(|it| it < number().1) => say(format!("{value} is below {rule}")),
            "maximum" if number().0.is_some_and(|it| it > number().1) => say(format!("{value} is above {rule}")),
            "minItems" if items().is_some_and(|it| it < count()) => say(format!("fewer than {rule} items")),
            "maxItems" if items().is_some_and(|it| it > count()) => say(format!("more than {rule} items")),
            "minLength" if letters().is_some_and(|it| it < count()) => say(format!("shorter than {rule}")),
            "maxLength" if letters().is_some_and(|it| it > count()) => say(format!("longer than {rule}")),
            "enum" | "const" | "anyOf" | "oneOf" | "not" | "minimum" | "maximum" | "minItems" | "maxItems"
            | "minLength" | "maxLength" => {}
            other => panic!("{at}: the keyword {other} is not known to this test"),
        }
    }
    wrong.append(&mut inside);
    wrong
}
