//! Values of settings as JSON.

use serde_json::{Map, Value as Json, json};

use crate::settings::{Config, KEYS, Kind, Place, SECTIONS, SettingsDelta, Value};

/// A value as JSON; `take` of [`from_json`] gives it again.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Whole(value) => json!(value),
        Value::Decimal(value) => json!(value),
        Value::Text(text) | Value::Other(text) => json!(text),
        Value::List(items) => json!(items),
        Value::Texts(items) => json!(items),
    }
}

/// JSON as a value of this kind; what is of another type comes as it is, for [`Kind::admit`] to refuse.
#[must_use]
pub fn from_json(kind: Kind, json: &Json) -> Value {
    let other = || Value::Other(shown(json));
    match json {
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Whole(whole),
            // A language without whole numbers may write 30 as 30.0.
            (None, Some(decimal)) if matches!(kind, Kind::Whole { .. } | Kind::WholeOr { .. }) => whole_of(decimal),
            (None, Some(decimal)) => Value::Decimal(decimal),
            (None, None) => other(),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => {
            Value::of_items(items, Json::as_i64, |item| item.as_str().map(str::to_owned)).unwrap_or_else(other)
        }
        Json::Null | Json::Object(_) => other(),
    }
}

/// A decimal for a key that takes whole numbers: the whole number that it is, if it is one.
#[must_use]
pub fn whole_of(decimal: f64) -> Value {
    // Up to 2^53 every whole number is one of a f64.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    match decimal.fract() == 0.0 && decimal.abs() <= EXACT_MAX {
        true => Value::Whole(decimal as i64),
        false => Value::Decimal(decimal),
    }
}

/// The start of a value, for an error.
fn shown(json: &Json) -> String {
    match json {
        Json::Object(_) => "an object".to_owned(),
        Json::Array(_) => "a list".to_owned(),
        other => other.to_string().chars().take(64).collect(),
    }
}

/// The value of the key at `index`, as JSON; null when there is no such key.
#[must_use]
pub fn show(index: usize, config: &Config) -> Json {
    KEYS.get(index).map(|key| to_json(&(key.field.read)(config))).unwrap_or_default()
}

/// What a place holds: a value, or an object of a section's values.
#[must_use]
pub fn show_place(place: Place, config: &Config) -> Json {
    match place {
        Place::Key(index) => show(index, config),
        Place::Section(_) | Place::Physics => {
            let rows = place.keys().filter_map(|index| Some((KEYS.get(index)?.leaf().to_owned(), show(index, config))));
            Json::Object(rows.collect())
        }
    }
}

/// All of it, by section.
#[must_use]
pub fn show_all(config: &Config) -> Json {
    let row = |(name, _): &(&'static str, &str)| ((*name).to_owned(), show_place(Place::Section(name), config));
    Json::Object(SECTIONS.iter().map(row).collect::<Map<_, _>>())
}

/// A delta, or everything, as the fields of an answer or a message.
#[must_use]
pub fn show_delta(delta: &SettingsDelta) -> Json {
    let changes: Vec<Json> = delta
        .changes
        .iter()
        .filter_map(|(index, value)| Some(json!({ "path": KEYS.get(*index)?.name, "value": to_json(value) })))
        .collect();
    json!({
        "from": delta.from,
        "version": delta.version,
        "hash": delta.hash.to_hex().as_str(),
        "whole": delta.is_whole(),
        "changes": changes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_goes_to_json_and_back() {
        let config = Config::default();
        for key in KEYS {
            let value = (key.field.read)(&config);
            let back = key.kind.admit(&from_json(key.kind, &to_json(&value)));
            assert_eq!(back, Some(value), "{}", key.name);
        }
    }

    #[test]
    fn other_types_are_refused_and_whole_decimals_are_whole() {
        let whole = Kind::Whole { min: 1, max: 120 };
        assert_eq!(whole.admit(&from_json(whole, &json!(30.0))), Some(Value::Whole(30)));
        for wrong in
            [json!(30.5), json!("30"), json!(null), json!({}), json!([30]), json!(1e300), json!(u64::MAX), json!(true)]
        {
            assert_eq!(whole.admit(&from_json(whole, &wrong)), None, "{wrong}");
        }
        let decimal = Kind::Decimal { min: 0.0, max: 9.0 };
        assert_eq!(decimal.admit(&from_json(decimal, &json!(3))), Some(Value::Decimal(3.0)));
    }
}
