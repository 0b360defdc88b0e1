//! Values of settings in binary messages.

use crate::settings::{Config, KEYS, Kind, Place, Setting, Value};
use crate::wire::SettingsValue;

/// A value as a message has it: whole numbers in 32 bits where they fit, others as doubles.
pub(super) fn to_wire(value: &Value) -> SettingsValue {
    match value {
        Value::Bool(value) => SettingsValue::Bool(*value),
        Value::Whole(value) => whole(*value),
        Value::Decimal(value) => SettingsValue::F64(*value),
        Value::Text(text) | Value::Other(text) => SettingsValue::Text(text.clone()),
        Value::List(items) => SettingsValue::Array(items.iter().map(|item| whole(*item)).collect()),
        Value::Texts(items) => SettingsValue::Array(items.iter().cloned().map(SettingsValue::Text).collect()),
    }
}

fn whole(value: i64) -> SettingsValue {
    i32::try_from(value).map_or(SettingsValue::I64(value), SettingsValue::I32)
}

/// What a place holds: a value, or an object of a section's values.
pub(super) fn place_to_wire(place: Place, config: &Config) -> SettingsValue {
    let value = |index: usize| KEYS.get(index).map(|key| (key.leaf(), to_wire(&(key.field.read)(config))));
    match place {
        Place::Key(index) => value(index).map_or(SettingsValue::Null, |(_, value)| value),
        Place::Section(_) | Place::Physics => {
            let members = place.keys().filter_map(value).map(|(leaf, value)| (leaf.to_owned(), value));
            SettingsValue::Object(members.collect())
        }
    }
}

/// A value of a message in this kind; what is of another type comes as it is, for [`Kind::admit`] to refuse.
pub(super) fn from_wire(kind: Kind, value: &SettingsValue) -> Value {
    let whole = |item: &SettingsValue| match item {
        SettingsValue::I32(item) => Some(i64::from(*item)),
        SettingsValue::I64(item) => Some(*item),
        _ => None,
    };
    let other = |name: &str| Value::Other(name.to_owned());
    match value {
        SettingsValue::Bool(value) => Value::Bool(*value),
        SettingsValue::I32(value) => Value::Whole(i64::from(*value)),
        SettingsValue::I64(value) => Value::Whole(*value),
        // By way of its shortest text, so that 0.1 is 0.1.
        SettingsValue::F32(value) => value.give(),
        SettingsValue::F64(value) if matches!(kind, Kind::Whole { .. } | Kind::WholeOr { .. }) => {
            crate::api::settings::whole_of(*value)
        }
        SettingsValue::F64(value) => Value::Decimal(*value),
        SettingsValue::Text(text) => Value::Text(text.clone()),
        SettingsValue::Array(items) => {
            let text = |item: &SettingsValue| match item {
                SettingsValue::Text(text) => Some(text.clone()),
                _ => None,
            };
            Value::of_items(items, whole, text).unwrap_or_else(|| other("an array"))
        }
        SettingsValue::Null => other("null"),
        SettingsValue::Bytes(_) => other("bytes"),
        SettingsValue::Object(_) => other("an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_goes_into_a_message_and_back() {
        let config = Config::default();
        for key in KEYS {
            let value = (key.field.read)(&config);
            assert_eq!(key.kind.admit(&from_wire(key.kind, &to_wire(&value))), Some(value), "{}", key.name);
        }
    }

    #[test]
    fn other_types_are_refused() {
        let decimal = Kind::Decimal { min: 0.0, max: 9.0 };
        assert_eq!(decimal.admit(&from_wire(decimal, &SettingsValue::F32(0.1))), Some(Value::Decimal(0.1)));
        let wrong = [
            SettingsValue::Null,
            SettingsValue::F64(f64::NAN),
            SettingsValue::F32(f32::INFINITY),
            SettingsValue::Text("1".to_owned()),
            SettingsValue::Bytes(vec![1]),
            SettingsValue::Array(vec![SettingsValue::Null]),
            SettingsValue::Object(Vec::new()),
        ];
        for value in wrong {
            assert_eq!(decimal.admit(&from_wire(decimal, &value)), None, "{value:?}");
        }
    }
}
