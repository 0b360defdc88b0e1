//! A JSON object taken apart field by field: what nobody asked for is an error, what is wrong is named.

use serde_json::{Map, Value};

use super::AskError;

/// The fields of a body that nobody has taken yet, and those that were, with the values in force.
pub(super) struct Fields {
    left: Map<String, Value>,
    /// What the answer repeats: every parameter, given or not.
    taken: Map<String, Value>,
}

impl Fields {
    /// The object in `body`; nothing at all is an empty one.
    pub(super) fn parse(body: &[u8]) -> Result<Self, AskError> {
        let left = match body.trim_ascii().is_empty() {
            true => Map::new(),
            false => match serde_json::from_slice(body) {
                Ok(Value::Object(fields)) => fields,
                Ok(_) => return Err(AskError::new("body", "the body must be a JSON object")),
                Err(error) => return Err(AskError::new("body", format!("the body is not JSON: {error}"))),
            },
        };
        Ok(Self { left, taken: Map::new() })
    }

    fn take<T: Into<Value> + Clone>(
        &mut self,
        name: &str,
        default: T,
        wanted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, AskError> {
        let value = match self.left.remove(name) {
            None => default,
            Some(value) => read(&value).ok_or_else(|| {
                let shown: String = value.to_string().chars().take(60).collect();
                AskError::new(name, format!("{name} is {shown}, must be {wanted}"))
            })?,
        };
        self.taken.insert(name.to_owned(), value.clone().into());
        Ok(value)
    }

    pub(super) fn number(&mut self, name: &str, default: f64, min: f64, max: f64) -> Result<f64, AskError> {
        let wanted = format!("a number from {min} to {max}");
        self.take(name, default, &wanted, |value| value.as_f64().filter(|number| (min..=max).contains(number)))
    }

    pub(super) fn count(&mut self, name: &str, default: usize, min: usize, max: usize) -> Result<usize, AskError> {
        let wanted = format!("a whole number from {min} to {max}");
        let read = |value: &Value| value.as_u64().filter(|count| (min as u64..=max as u64).contains(count));
        Ok(self.take(name, default as u64, &wanted, read)? as usize)
    }

    pub(super) fn seed(&mut self) -> Result<u64, AskError> {
        self.take("seed", 42, "a whole number from 0 to 18446744073709551615", Value::as_u64)
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> Result<bool, AskError> {
        self.take(name, default, "true or false", Value::as_bool)
    }

    /// One of `choices`, the first unless another is named.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&'static str, T)]) -> Result<T, AskError> {
        let names: Vec<_> = choices.iter().map(|(known, _)| *known).collect();
        let wanted = format!("one of {}", names.join(", "));
        let first = names.first().copied().unwrap_or_default().to_owned();
        let read = |value: &Value| value.as_str().filter(|text| names.contains(text)).map(str::to_owned);
        let chosen = self.take(name, first, &wanted, read)?;
        let found = choices.iter().find(|(known, _)| *known == chosen).map(|(_, choice)| *choice);
        found.ok_or_else(|| AskError::new(name, format!("{name} must be {wanted}")))
    }

    /// A field that has no default.
    pub(super) fn needed(&mut self, name: &str, wanted: &str) -> Result<Value, AskError> {
        let missing = || AskError::new(name, format!("{name} is missing, must be {wanted}"));
        let value = self.left.remove(name).ok_or_else(missing)?;
        self.taken.insert(name.to_owned(), value.clone());
        Ok(value)
    }

    /// A field that may be missing.
    pub(super) fn maybe(&mut self, name: &str) -> Option<Value> {
        let value = self.left.remove(name)?;
        self.taken.insert(name.to_owned(), value.clone());
        Some(value)
    }

    /// The parameters in force, if nothing is left.
    pub(super) fn end(self) -> Result<Value, AskError> {
        match self.left.keys().next() {
            None => Ok(Value::Object(self.taken)),
            Some(name) => {
                let known: Vec<_> = self.taken.keys().map(String::as_str).collect();
                let message = format!("unknown field {}; known: {}", name.escape_debug(), known.join(", "));
                Err(AskError::new(name, message))
            }
        }
    }
}
