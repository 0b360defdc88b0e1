//! Settings: what REST asks for becomes an order for `sim`, and is answered with what `sim` reads back.
//!
//! Changes are in force in the order in which they came. What `sim` has no part in is set here, behind what is on its way to `sim`.

mod here;
mod save;
mod stream;
mod values;

use std::collections::{HashSet, VecDeque};

use serde_json::{Value as Json, json};

pub use self::here::{SettingsFacts, budgets, net_limits, steer_facts};
use super::Control;
use super::steer::body;
use crate::api::settings as pages;
use crate::api::settings::Update;
use crate::api::steer::RestError;
use crate::base::Handle;
use crate::handoff::{Origin, RestCall, SessionId, SimCommand, Steer, Steered, Tuning};
use crate::limits::STEERS_WAITING_MAX;
use crate::settings::{Config, KEYS, Ledger, ParamError, Place};
use crate::wire::SettingsState;

/// The settings, and who waits for a change of them.
pub(super) struct Settings {
    ledger: Ledger,
    facts: SettingsFacts,
    /// What is in force once everything that is on its way to `sim` is.
    wanted: Config,
    /// On their way to `sim`, oldest first.
    waiting: VecDeque<Waiting>,
    last_ticket: u64,
    /// Sessions that hear of every change.
    watchers: HashSet<SessionId>,
}

/// A change whose order is with `sim`.
struct Waiting {
    ticket: u64,
    config: Config,
    /// Path as it was asked for, and key.
    keys: Vec<(Box<str>, usize)>,
    reply: Answer,
}

/// Who is told that a change is in force, and how.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// A request for one path.
    One(Handle),
    /// A request for several.
    Many(Handle),
    /// A binary message, which named its keys by their ids or by paths.
    Stream { origin: Origin, request: u32, by_id: bool },
    /// An agent's call, which looks for itself.
    Agent,
}

impl Settings {
    pub(super) fn new(facts: SettingsFacts) -> Self {
        let ledger = Ledger::new(facts.current.clone());
        let wanted = facts.current.clone();
        Self { ledger, facts, wanted, waiting: VecDeque::new(), last_ticket: 0, watchers: HashSet::new() }
    }

    /// The session is gone.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.watchers.remove(&session);
    }

    /// Version and hash.
    pub(super) fn state(&self) -> SettingsState {
        SettingsState { version: self.ledger.version(), hash: self.ledger.tree().root().to_hex().as_str().into() }
    }

    /// Changes that are with `sim`.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a change is still on its way to `sim`.
    pub(super) fn waits_for(&self, ticket: u64) -> bool {
        self.waiting.iter().any(|change| change.ticket == ticket)
    }

    /// What will be in force.
    pub(super) fn wanted(&self) -> &Config {
        &self.wanted
    }

    /// What is in force: what `sim` has read back.
    pub(super) fn in_force_now(&self) -> &Config {
        self.ledger.current()
    }

    /// Counts changes of the settings, from 1.
    pub(super) fn version(&self) -> u64 {
        self.ledger.version()
    }
}

impl Control {
    /// Paths of the settings; false when it is another one.
    pub(super) fn settings_by_rest(&mut self, token: Handle, call: &RestCall) -> bool {
        let Some(path) = call.path.strip_prefix("/api/settings/") else { return false };
        if let Err(errors) = self.try_settings(token, path, call) {
            self.refuse_settings(token, &errors);
        }
        true
    }

    fn try_settings(&mut self, token: Handle, path: &str, call: &RestCall) -> Result<(), Vec<RestError>> {
        let one = |error| vec![error];
        match (call.method.as_str(), path) {
            ("GET" | "HEAD", "path") => {
                let missing = || missing("path", "the path of a setting or a section");
                let asked = call.query.get("path").ok_or_else(missing).and_then(pages::place_of).map_err(one)?;
                let answer = self.row(&asked.path, asked.place);
                self.answer_settings(token, answer, None);
            }
            ("PUT", "path") => {
                let body = body(call).map_err(one)?;
                let (path, value) = pages::read_update(&body).map_err(one)?;
                let updates = pages::read_updates([(path, value)], &self.settings.wanted)?;
                self.change_settings(updates, Answer::One(token)).map_err(one)?;
            }
            ("POST", "batch") => {
                let body = body(call).map_err(one)?;
                let asked = pages::read_paths(&body)?;
                let rows: Vec<Json> = asked.iter().map(|asked| self.row(&asked.path, asked.place)).collect();
                self.answer_settings(token, json!({ "values": rows }), None);
            }
            ("PUT", "batch") => {
                let body = body(call).map_err(one)?;
                let updates = pages::read_updates(pages::read_batch(&body)?, &self.settings.wanted)?;
                self.change_settings(updates, Answer::Many(token)).map_err(one)?;
            }
            ("GET" | "HEAD", "schema") => self.answer_rest(token, 200, &pages::schema()),
            ("GET" | "HEAD", "current") => {
                let answer = self.current_settings(call.query.get("since"), call.query.get("hash")).map_err(one)?;
                self.answer_rest(token, 200, &answer);
            }
            ("POST", "reset") => {
                let updates = self.updates_to_reset(call)?;
                self.change_settings(updates, Answer::Many(token)).map_err(one)?;
            }
            ("POST", "save") => self.save_settings(token, call).map_err(one)?,
            _ => return Err(vec![RestError::new(404, "not_found", "there is nothing at this path")]),
        }
        Ok(())
    }

    /// Every fault of a request, in one answer.
    fn refuse_settings(&mut self, token: Handle, errors: &[RestError]) {
        let (status, code, message, fields) = joined(errors);
        self.refuse_http(token, status, code, &message, &fields);
    }

    /// What a path holds, as it stands in an answer.
    fn row(&self, path: &str, place: Place) -> Json {
        let key = match place {
            Place::Key(index) => KEYS.get(index).map(|key| key.name),
            Place::Section(section) => Some(section),
            Place::Physics => Some("sim"),
        };
        json!({ "path": path, "key": key, "value": pages::show_place(place, self.settings.ledger.current()) })
    }

    /// Adds what every answer has: the version, and the tick that the simulation was at when it took a change.
    fn answer_settings(&mut self, token: Handle, mut answer: Json, tick: Option<u64>) {
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("version".to_owned(), json!(self.settings.version()));
            if let Some(tick) = tick {
                answer.insert("tick".to_owned(), json!(tick));
            }
        }
        self.answer_rest(token, 200, &answer);
    }

    /// Everything, or what a client lacks that has the version `since` with `hash`.
    fn current_settings(&self, since: Option<&str>, hash: Option<&str>) -> Result<Json, RestError> {
        let ledger = &self.settings.ledger;
        let wrong =
            |field: &str, wanted: &str| RestError::at(400, "out_of_range", field, format!("{field} must be {wanted}"));
        let since = since.map(str::parse::<u64>).transpose().map_err(|_| wrong("since", "a version"))?;
        let hash = hash.map(blake3::Hash::from_hex).transpose();
        let hash = hash.map_err(|_| wrong("hash", "the 64 hexadecimal digits that came with the version"))?;
        if let Some(since) = since {
            return Ok(pages::show_delta(&ledger.since(since, hash)));
        }
        let tree = ledger.tree();
        let hashes = tree.sections().map(|(name, hash)| (name.to_owned(), json!(hash.to_hex().as_str())));
        Ok(json!({
            "version": ledger.version(),
            "hash": tree.root().to_hex().as_str(),
            "hashes": hashes.collect::<serde_json::Map<_, _>>(),
            "settings": pages::show_all(ledger.current()),
        }))
    }

    /// All live keys, or those that the request names, as they were configured.
    fn updates_to_reset(&self, call: &RestCall) -> Result<Vec<Update>, Vec<RestError>> {
        let body = if call.body.is_empty() { json!({}) } else { body(call).map_err(|error| vec![error])? };
        let everything = body.as_object().is_some_and(serde_json::Map::is_empty);
        let keys: Vec<(Box<str>, usize)> = match everything {
            true => (0..KEYS.len()).filter_map(|index| Some((KEYS.get(index)?.name.into(), index))).collect(),
            false => {
                let asked = pages::read_paths(&body)?;
                let keys = |asked: &pages::Asked| match asked.place {
                    Place::Key(index) => vec![(asked.path.clone(), index)],
                    place => place.keys().filter_map(|index| Some((KEYS.get(index)?.name.into(), index))).collect(),
                };
                asked.iter().flat_map(keys).collect()
            }
        };
        let configured = &self.settings.facts.configured;
        let live = keys.into_iter().filter_map(|(path, index)| Some((path, index, KEYS.get(index)?)));
        let live = live.filter(|(_, _, key)| key.is_live());
        Ok(live.map(|(path, index, key)| Update { path, index, value: (key.field.read)(configured) }).collect())
    }

    /// Sends a change on its way; it is answered when it is in force.
    fn change_settings(&mut self, updates: Vec<Update>, reply: Answer) -> Result<(), RestError> {
        let waiting = self.settings.waiting_count() + self.steering.waiting_count();
        if waiting >= STEERS_WAITING_MAX || self.held_back.len() >= super::HELD_BACK_MAX {
            return Err(RestError::new(503, "busy", "the simulation has too much to do; send it again"));
        }
        let settings = &mut self.settings;
        let mut config = settings.wanted.clone();
        for update in &updates {
            let stored = KEYS.get(update.index).is_some_and(|key| (key.field.store)(&mut config, &update.value));
            debug_assert!(stored, "{} was read as its field holds it", update.path);
        }
        let wrong =
            |error: ParamError| RestError::at(400, "invalid_value", format!("sim.{}", error.field), error.to_string());
        config.sim.params.validate().map_err(wrong)?;
        let to_sim = config.sim != settings.wanted.sim || !settings.waiting.is_empty();
        settings.wanted = config.clone();
        settings.last_ticket += 1;
        let (ticket, sim) = (settings.last_ticket, &config.sim);
        let tuning = Tuning { params: sim.params, rate_hz: u16::try_from(sim.rate_hz).unwrap_or(u16::MAX) };
        let keys = updates.into_iter().map(|update| (update.path, update.index)).collect();
        let change = Waiting { ticket, config, keys, reply };
        match to_sim {
            true => {
                settings.waiting.push_back(change);
                self.command(SimCommand::Steer { ticket, order: Steer::Tune(Box::new(tuning)) });
            }
            false => self.in_force(change, None),
        }
        Ok(())
    }

    /// The same for an agent; the ticket of the change.
    pub(super) fn change_settings_for_agent(&mut self, updates: Vec<Update>) -> Result<u64, RestError> {
        self.change_settings(updates, Answer::Agent)?;
        Ok(self.settings.last_ticket)
    }

    /// `sim` has answered the oldest change.
    pub(super) fn tuned(&mut self, ticket: u64, tick: u64, outcome: &Steered) {
        let Some(mut change) = self.settings.waiting.pop_front_if(|change| change.ticket == ticket) else {
            debug_assert!(false, "changes are answered in their order");
            return;
        };
        let asked = change.config.sim.clone();
        match outcome {
            Steered::Tuned(tuning) => {
                change.config.sim.params = tuning.params;
                change.config.sim.rate_hz = u32::from(tuning.rate_hz);
            }
            _ => change.config.sim = self.settings.ledger.current().sim.clone(),
        }
        if change.config.sim == asked {
            return self.in_force(change, Some(tick));
        }
        // Ranges are checked before anything is sent: this is an error of ours, and is said to be one.
        tracing::error!(?outcome, "the simulation has not taken the parameters that it was sent");
        self.settings.wanted.sim = change.config.sim.clone();
        let error = |(path, _): &(Box<str>, usize)| {
            RestError::at(500, "not_taken", path.to_string(), format!("the simulation has not taken {path}"))
        };
        let errors: Vec<RestError> = change.keys.iter().map(error).collect();
        match change.reply {
            Answer::One(token) | Answer::Many(token) => self.refuse_settings(token, &errors),
            Answer::Stream { origin, request, .. } => self.refuse_message(origin, request, &errors),
            Answer::Agent => {}
        }
        if let Steered::Tuned(_) = outcome {
            self.note(change.config);
        }
    }

    /// The rest of a change is set, and whoever asked for it is told what holds now.
    fn in_force(&mut self, change: Waiting, tick: Option<u64>) {
        self.note(change.config);
        if let Answer::Stream { origin, request, by_id } = change.reply {
            return self.answer_message(origin, request, by_id, &change.keys);
        }
        let rows: Vec<Json> = change.keys.iter().map(|(path, index)| self.row(path, Place::Key(*index))).collect();
        match change.reply {
            Answer::Stream { .. } | Answer::Agent => {}
            Answer::One(token) => {
                let row = rows.into_iter().next().unwrap_or_default();
                self.answer_settings(token, row, tick);
            }
            Answer::Many(token) => self.answer_settings(token, json!({ "values": rows }), tick),
        }
    }

    fn note(&mut self, config: Config) {
        let config = self.set_here(config);
        if let Some(delta) = self.settings.ledger.take(config) {
            self.tell_watchers(&delta);
        }
    }
}

/// Status, code, message and fields of an answer that has every fault of a request. What is wrong in itself goes before what needs
/// a restart.
fn joined(errors: &[RestError]) -> (u16, &'static str, String, Vec<&str>) {
    let first = errors.iter().min_by_key(|error| error.status);
    let (status, code) = first.map_or((400, "invalid_settings"), |error| (error.status, error.code));
    let alike = errors.iter().all(|error| error.code == code);
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    let fields = errors.iter().filter_map(|error| error.field.as_deref()).collect();
    (status, if alike { code } else { "invalid_settings" }, messages.join("; "), fields)
}

fn missing(field: &str, wanted: &str) -> RestError {
    let message = format!("{field} is missing: it must be {wanted}");
    RestError::at(400, "missing_field", field, message)
}
