//! Saved settings: rows of the store, in the order of all changes.

use serde_json::json;

use super::super::Control;
use crate::api::settings as pages;
use crate::api::steer::RestError;
use crate::base::Handle;
use crate::handoff::RestCall;
use crate::settings::KEYS;

impl Control {
    /// Keeps what differs from the configuration, so that the next start has it; answered when it is on the disk.
    pub(super) fn save_settings(&mut self, token: Handle, call: &RestCall) -> Result<(), RestError> {
        if !call.body.is_empty() && call.body.as_ref() != b"{}" {
            return Err(RestError::new(400, "body", "this request takes no body"));
        }
        if self.lanes.store.is_none() {
            let message = "nothing is kept by this engine, so settings cannot be saved: start it with --store FILE";
            return Err(RestError::new(409, "not_kept", message));
        }
        let (ledger, facts) = (&self.settings.ledger, &self.settings.facts);
        let (mut rows, mut saved, mut overridden) = (Vec::new(), Vec::new(), Vec::new());
        for key in KEYS.iter().filter(|key| key.is_live()) {
            let value = (key.field.read)(ledger.current());
            let configured = value == (key.field.read)(&facts.configured);
            let wanted = (!configured).then(|| pages::to_json(&value));
            let had = facts.saved.iter().find(|(path, _)| **path == *key.name).map(|(_, value)| value);
            if wanted.as_ref() != had {
                rows.push((Box::from(key.name), wanted));
            }
            if !configured {
                saved.push(key.name);
                if facts.flagged.contains(&key.name) {
                    overridden.push(key.name);
                }
            }
        }
        let answer = json!({
            "version": ledger.version(), "saved": saved, "changed": rows.len(), "overridden_by_flags": overridden,
        });
        if rows.is_empty() {
            self.answer_rest(token, 200, &answer);
            return Ok(());
        }
        self.keep_settings(rows, &answer, token)
    }

    /// Rows are on the disk now.
    pub(in crate::control::turn) fn settings_kept(&mut self, rows: &[(Box<str>, Option<serde_json::Value>)]) {
        let saved = &mut self.settings.facts.saved;
        for (path, value) in rows {
            saved.retain(|(known, _)| known != path);
            saved.extend(value.clone().map(|value| (path.clone(), value)));
        }
    }
}
