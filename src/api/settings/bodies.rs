//! What the requests say: paths to read, values to set. Every fault is found, not the first alone.

use serde_json::Value as Json;

use super::PATHS_MAX;
use super::value::from_json;
use crate::api::steer::RestError;
use crate::settings::{Config, KEYS, PATH_BYTES_MAX, Place, Value, resolve};

/// A path as it was asked for, and what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As the client writes it.
    pub path: Box<str>,
    /// Its meaning.
    pub place: Place,
}

/// One key to be set, by its place in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// As the client writes it.
    pub path: Box<str>,
    /// Place in [`KEYS`].
    pub index: usize,
    /// Of the key's kind and in its range.
    pub value: Value,
}

/// A path and what it is to be, as the client says it; the value as JSON.
pub type Write<'json> = (&'json str, &'json Json);

/// What a request would set, each key once, or every fault of it.
pub type Updates = Result<Vec<Update>, Vec<RestError>>;

fn fault(code: &'static str, path: &str, message: &str) -> RestError {
    let path: String = path.chars().take(PATH_BYTES_MAX).collect::<String>().escape_debug().to_string();
    RestError::at(400, code, path.clone(), format!("{path} {message}"))
}

/// What a path names.
///
/// # Errors
/// `unknown_path`.
pub fn place_of(path: &str) -> Result<Asked, RestError> {
    match resolve(path) {
        Ok(place) => Ok(Asked { path: path.into(), place }),
        Err(error) => Err(fault("unknown_path", path, &error.to_string())),
    }
}

/// What would be set, with the last of several values of one key; `current` says what a key has that only a restart changes.
///
/// # Errors
/// `unknown_path`, `not_a_key`, `invalid_value`, and with status 409 `needs_restart`.
pub fn read_updates<'json>(writes: impl IntoIterator<Item = Write<'json>>, current: &Config) -> Updates {
    let (mut updates, mut faults) = (Vec::<Update>::new(), Vec::new());
    for (path, json) in writes {
        match read_one(path, |kind| from_json(kind, json), current) {
            Ok(update) => put(&mut updates, update),
            Err(error) => faults.push(error),
        }
    }
    if faults.is_empty() { Ok(updates) } else { Err(faults) }
}

/// Adds an update, in place of an earlier one of the same key.
pub fn put(updates: &mut Vec<Update>, update: Update) {
    match updates.iter_mut().find(|before| before.index == update.index) {
        Some(before) => *before = update,
        None => updates.push(update),
    }
}

/// One key to be set; `value` gives it in the kind that the key has.
///
/// # Errors
/// As [`read_updates`].
pub fn read_one(
    path: &str,
    value: impl FnOnce(crate::settings::Kind) -> Value,
    current: &Config,
) -> Result<Update, RestError> {
    let asked = place_of(path)?;
    let (index, key) = match asked.place {
        Place::Key(index) => (index, KEYS.get(index)),
        Place::Section(_) | Place::Physics => (0, None),
    };
    let Some(key) = key else {
        return Err(fault("not_a_key", path, "is a section: set its keys, several with PUT /api/settings/batch"));
    };
    let found = value(key.kind);
    // The field may be narrower than the number: what it holds is what counts.
    let mut draft = current.clone();
    let stored = key.kind.admit(&found).is_some_and(|admitted| (key.field.store)(&mut draft, &admitted));
    if !stored {
        let found: String = found.to_string().chars().take(120).collect();
        return Err(fault("invalid_value", path, &format!("must be {}, found {found}", key.allowed())));
    }
    let value = (key.field.read)(&draft);
    if !key.is_live() && value != (key.field.read)(current) {
        let message = format!("({}) is read at start: set it in the configuration and start again", key.name);
        return Err(RestError { status: 409, ..fault("needs_restart", path, &message) });
    }
    Ok(Update { path: asked.path, index, value })
}

fn object<'json>(body: &'json Json, known: &[&str]) -> Result<&'json serde_json::Map<String, Json>, RestError> {
    let Some(object) = body.as_object() else {
        return Err(RestError::new(400, "not_an_object", "the body must be a JSON object"));
    };
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(fault("unknown_field", name, &format!("is not known; known: {}", known.join(", ")))),
        None => Ok(object),
    }
}

/// `{"path": .., "value": ..}` as it stands in a body.
///
/// # Errors
/// `missing_field`, `wrong_type`, `unknown_field`.
pub fn read_update(body: &Json) -> Result<Write<'_>, RestError> {
    let object = object(body, &["path", "value"])?;
    let missing = |name: &str, wanted: &str| fault("missing_field", name, &format!("is missing: it must be {wanted}"));
    let path = object.get("path").ok_or_else(|| missing("path", "the path of a setting"))?;
    let path = path.as_str().ok_or_else(|| fault("wrong_type", "path", "must be a text"))?;
    let value = object.get("value").ok_or_else(|| missing("value", "what the setting is to be"))?;
    Ok((path, value))
}

fn list<'json>(body: &'json Json, name: &'static str) -> Result<&'json [Json], RestError> {
    let list = object(body, &[name])?.get(name).and_then(Json::as_array);
    let list = list.ok_or_else(|| fault("missing_field", name, &format!("must be a list of 1 to {PATHS_MAX}")))?;
    match list.len() {
        1..=PATHS_MAX => Ok(list),
        found => Err(fault("out_of_range", name, &format!("must have 1 to {PATHS_MAX} items, found {found}"))),
    }
}

/// `{"paths": [..]}`: what is to be read.
///
/// # Errors
/// Every path at fault.
pub fn read_paths(body: &Json) -> Result<Vec<Asked>, Vec<RestError>> {
    let list = list(body, "paths").map_err(|error| vec![error])?;
    let (mut asked, mut faults) = (Vec::with_capacity(list.len()), Vec::new());
    for (place, path) in list.iter().enumerate() {
        let wrong = || fault("wrong_type", &format!("paths[{place}]"), "must be a text");
        match path.as_str().ok_or_else(wrong).and_then(place_of) {
            Ok(path) => asked.push(path),
            Err(error) => faults.push(error),
        }
    }
    if faults.is_empty() { Ok(asked) } else { Err(faults) }
}

/// `{"updates": [{"path": .., "value": ..}, ..]}`: what is to be set.
///
/// # Errors
/// Every item at fault.
pub fn read_batch<'json>(body: &'json Json) -> Result<Vec<Write<'json>>, Vec<RestError>> {
    let list = list(body, "updates").map_err(|error| vec![error])?;
    let (mut writes, mut faults) = (Vec::with_capacity(list.len()), Vec::new());
    for (place, item) in list.iter().enumerate() {
        match read_update(item) {
            Ok(write) => writes.push(write),
            Err(error) => {
                let field = error.field.map_or_else(String::new, |field| format!(".{field}"));
                let field = format!("updates[{place}]{field}");
                let message = format!("updates[{place}]: {}", error.message);
                faults.push(RestError { message, field: Some(field), ..error });
            }
        }
    }
    if faults.is_empty() { Ok(writes) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn updates(body: &Json) -> Updates {
        read_updates(read_batch(body)?, &Config::default())
    }

    #[test]
    fn the_last_of_several_values_counts_whatever_its_path_is_called() {
        let body = json!({ "updates": [
            { "path": "sim.damping", "value": 0.1 },
            { "path": "sim.springK", "value": 9 },
            { "path": "visualisation.graphs.logseq.physics.damping", "value": 0.25 },
        ] });
        let updates = updates(&body).unwrap();
        assert_eq!(updates.len(), 2);
        assert_eq!(
            (&*updates[0].path, &updates[0].value),
            ("visualisation.graphs.logseq.physics.damping", &Value::Decimal(0.25))
        );
        assert_eq!(updates[1].value, Value::Decimal(9.0));
    }

    #[test]
    fn every_fault_is_named_and_nothing_is_set() {
        let body = json!({ "updates": [
            { "path": "sim.damping", "value": 2 },
            { "path": "sim.repel_k", "value": 1 },
            { "path": "sim.nothing", "value": 1 },
            { "path": "sim", "value": {} },
            { "path": "sim.springs", "value": "yes" },
        ] });
        let faults = updates(&body).unwrap_err();
        let found: Vec<_> = faults.iter().map(|error| (error.code, error.field.as_deref().unwrap())).collect();
        assert_eq!(
            found,
            [
                ("invalid_value", "sim.damping"),
                ("unknown_path", "sim.nothing"),
                ("not_a_key", "sim"),
                ("invalid_value", "sim.springs")
            ]
        );
        assert_eq!(faults[0].message, "sim.damping must be a number from 0 to 0.999, found 2");
    }

    #[test]
    fn keys_of_the_start_are_refused_unless_they_stay_as_they_are() {
        let read = |value| read_one("net.hold_max", |kind| from_json(kind, &value), &Config::default());
        assert!(read(json!(Config::default().net.hold_max)).is_ok());
        let error = read(json!(7)).unwrap_err();
        assert_eq!((error.status, error.code), (409, "needs_restart"));
        assert_eq!(read(json!(-7)).unwrap_err().code, "invalid_value");
    }

    #[test]
    fn batches_have_one_to_fifty_items() {
        let many = |count: usize| json!({ "paths": vec!["sim.damping"; count] });
        assert_eq!(read_paths(&many(50)).unwrap().len(), 50);
        for wrong in
            [many(51), many(0), json!({}), json!([]), json!({ "paths": 1 }), json!({ "paths": ["sim"], "more": 1 })]
        {
            assert_eq!(read_paths(&wrong).unwrap_err().len(), 1, "{wrong}");
        }
        assert_eq!(read_paths(&json!({ "paths": [1, "x", "sim"] })).unwrap_err().len(), 2);
        let wrong = json!({ "updates": [{ "path": "sim.damping" }, { "value": 1 }, 7] });
        let fields: Vec<_> = updates(&wrong).unwrap_err().into_iter().map(|error| error.field.unwrap()).collect();
        assert_eq!(fields, ["updates[0].value", "updates[1].path", "updates[2]"]);
    }
}
