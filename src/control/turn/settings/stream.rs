//! Settings on the stream socket: who watches them is told of every change, and binary messages are answered as REST is.

use bytes::Bytes;
use serde_json::json;

use super::super::Control;
use super::values::{from_wire, place_to_wire, to_wire};
use super::{Answer, joined};
use crate::api::settings as pages;
use crate::api::settings::{Asked, PATHS_MAX, Update};
use crate::api::steer::RestError;
use crate::handoff::{Origin, SettingsSaid, ShardMessage, Watching};
use crate::settings::{KEYS, Place, SettingsDelta};
use crate::wire::{SettingsBody, SettingsMessage, SettingsPath, SettingsValue};

impl Control {
    /// What a client of a stream says about the settings.
    pub(in crate::control::turn) fn settings_said(&mut self, origin: Origin, said: SettingsSaid) {
        match said {
            SettingsSaid::Watch { version, hash } => {
                let delta = self.settings.ledger.since(version, hash.map(blake3::Hash::from_bytes));
                self.watch(origin, Watching::Text, delta_text(&delta));
            }
            SettingsSaid::Leave => {
                let text = json!({ "type": "settings_unsubscribed" }).to_string().into();
                self.watch(origin, Watching::Nothing, text);
            }
            SettingsSaid::Binary(bytes) => match SettingsMessage::decode(&bytes) {
                Ok(SettingsMessage { request, registry, body }) => {
                    if let Err(errors) = self.settings_message(origin, request, registry, body) {
                        self.refuse_message(origin, request, &errors);
                    }
                }
                Err(error) => {
                    self.refuse_message(origin, 0, &[RestError::new(400, "bad_message", error.to_string())]);
                }
            },
        }
    }

    fn watch(&mut self, origin: Origin, watching: Watching, message: Bytes) {
        let session = origin.session;
        if self.send(origin, ShardMessage::Watch { handle: origin.handle, watching, message }) {
            match watching {
                Watching::Nothing => self.settings.watchers.remove(&session),
                Watching::Text | Watching::Binary => self.settings.watchers.insert(session),
            };
        }
    }

    /// Tells everybody who watches. A shard whose lane is full does not hear of it; the lane counts it, and the next change shows its
    /// clients that they lack one.
    pub(super) fn tell_watchers(&mut self, delta: &SettingsDelta) {
        if self.settings.watchers.is_empty() {
            return;
        }
        let (text, binary) = (delta_text(delta), delta_message(delta, 0));
        for shard in &mut self.lanes.shard_messages {
            let _ = shard.push(ShardMessage::SettingsChanged { text: text.clone(), binary: binary.clone() });
        }
    }

    fn settings_message(
        &mut self,
        origin: Origin,
        request: u32,
        registry: u32,
        body: SettingsBody,
    ) -> Result<(), Vec<RestError>> {
        let one = |error| vec![error];
        match body {
            SettingsBody::Get(path) => self.read_for(origin, request, registry, &[path])?,
            SettingsBody::BatchGet(paths) => {
                few(paths.len()).map_err(one)?;
                self.read_for(origin, request, registry, &paths)?;
            }
            SettingsBody::Set(path, value) => self.set_for(origin, request, registry, &[(path, value)])?,
            SettingsBody::BatchSet(items) => {
                few(items.len()).map_err(one)?;
                self.set_for(origin, request, registry, &items)?;
            }
            SettingsBody::Delta { version, hash, .. } => {
                let delta = self.settings.ledger.since(version, Some(blake3::Hash::from_bytes(hash)));
                self.watch(origin, Watching::Binary, delta_message(&delta, request));
            }
            SettingsBody::Ping(number) => self.send_message(origin, request, SettingsBody::Pong(number)),
            SettingsBody::Pong(_) => {}
            SettingsBody::Response { .. } | SettingsBody::Error { .. } => {
                return Err(vec![RestError::new(
                    400,
                    "not_a_request",
                    "responses and errors are the server's to send",
                )]);
            }
        }
        Ok(())
    }

    fn read_for(
        &mut self,
        origin: Origin,
        request: u32,
        registry: u32,
        paths: &[SettingsPath],
    ) -> Result<(), Vec<RestError>> {
        let asked = all(paths.iter().map(|path| asked(path, registry)))?;
        let config = self.settings.ledger.current();
        let values = paths.iter().zip(&asked).map(|(path, asked)| (path.clone(), place_to_wire(asked.place, config)));
        let values = values.collect();
        let body = SettingsBody::Response { version: self.settings.version(), values };
        self.send_message(origin, request, body);
        Ok(())
    }

    fn set_for(
        &mut self,
        origin: Origin,
        request: u32,
        registry: u32,
        items: &[(SettingsPath, SettingsValue)],
    ) -> Result<(), Vec<RestError>> {
        let wanted = &self.settings.wanted;
        let read = |(path, value): &(SettingsPath, SettingsValue)| {
            let asked = asked(path, registry)?;
            pages::read_one(&asked.path, |kind| from_wire(kind, value), wanted)
        };
        let mut updates: Vec<Update> = Vec::with_capacity(items.len());
        for update in all(items.iter().map(read))? {
            pages::put(&mut updates, update);
        }
        let by_id = items.iter().all(|(path, _)| matches!(path, SettingsPath::Id(_)));
        self.change_settings(updates, Answer::Stream { origin, request, by_id }).map_err(|error| vec![error])
    }

    /// A change is in force: the answer has its keys as they are now.
    pub(super) fn answer_message(&mut self, origin: Origin, request: u32, by_id: bool, keys: &[(Box<str>, usize)]) {
        let config = self.settings.ledger.current();
        let row = |(path, index): &(Box<str>, usize)| {
            let path = match u16::try_from(*index) {
                Ok(id) if by_id => SettingsPath::Id(id),
                _ => SettingsPath::Name(path.to_string()),
            };
            (path, place_to_wire(Place::Key(*index), config))
        };
        let values = keys.iter().map(row).collect();
        let body = SettingsBody::Response { version: self.settings.version(), values };
        self.send_message(origin, request, body);
    }

    pub(super) fn refuse_message(&mut self, origin: Origin, request: u32, errors: &[RestError]) {
        let (status, code, message, fields) = joined(errors);
        let paths = fields.into_iter().map(str::to_owned).collect();
        let body = SettingsBody::Error { code: code.to_owned(), message, retryable: status == 503, paths };
        self.send_message(origin, request, body);
    }

    fn send_message(&mut self, origin: Origin, request: u32, body: SettingsBody) {
        let message = SettingsMessage { request, registry: pages::registry_version(), body }.encode().into();
        // An answer that finds the lane full is lost; the lane counts it.
        self.send(origin, ShardMessage::Binary { handle: origin.handle, message });
    }
}

fn few(count: usize) -> Result<(), RestError> {
    match count {
        1..=PATHS_MAX => Ok(()),
        found => {
            let message = format!("a batch has 1 to {PATHS_MAX} items, found {found}");
            Err(RestError::new(400, "out_of_range", message))
        }
    }
}

/// All of them, or every error.
fn all<Item>(items: impl Iterator<Item = Result<Item, RestError>>) -> Result<Vec<Item>, Vec<RestError>> {
    let (mut good, mut errors) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(item) => good.push(item),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(good) } else { Err(errors) }
}

fn asked(path: &SettingsPath, registry: u32) -> Result<Asked, RestError> {
    let id = match path {
        SettingsPath::Name(name) => return pages::place_of(name),
        SettingsPath::Id(id) => *id,
    };
    let ours = pages::registry_version();
    if registry != ours {
        let message =
            format!("ids of registry {registry} are not known here: this one is {ours}, see /api/settings/schema");
        return Err(RestError::new(409, "stale_registry", message));
    }
    let index = usize::from(id);
    let unknown = || RestError::new(400, "unknown_path", format!("there is no setting {id} in registry {ours}"));
    KEYS.get(index).map(|key| Asked { path: key.name.into(), place: Place::Key(index) }).ok_or_else(unknown)
}

fn delta_text(delta: &SettingsDelta) -> Bytes {
    let mut text = pages::show_delta(delta);
    if let Some(text) = text.as_object_mut() {
        text.insert("type".to_owned(), json!("settings_delta"));
    }
    text.to_string().into()
}

fn delta_message(delta: &SettingsDelta, request: u32) -> Bytes {
    let change = |(index, value): &(usize, _)| Some((SettingsPath::Id(u16::try_from(*index).ok()?), to_wire(value)));
    let changes = delta.changes.iter().filter_map(change).collect();
    let (from, version, hash) = (delta.from, delta.version, *delta.hash.as_bytes());
    let body = SettingsBody::Delta { from, version, hash, changes };
    SettingsMessage { request, registry: pages::registry_version(), body }.encode().into()
}
