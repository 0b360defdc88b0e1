//! The settings that the engine begins with: the configuration, and over it what was saved, but for what a flag says.

use std::path::PathBuf;

use serde_json::Value as Json;

use super::keep::kept_at;
use super::{StartError, logging};
use crate::api::settings::from_json;
use crate::config::{Origin, Resolved};
use crate::control::SettingsFacts;
use crate::settings::{Config, KEYS, Key};
use crate::store::read_settings;

/// The configuration as an engine with its store would begin: what was saved is over it, with where that is.
///
/// # Errors
/// A store that is there and cannot be read.
pub fn shown(resolved: &Resolved) -> Result<Resolved, StartError> {
    let Some(place) = kept_at(&resolved.config) else { return Ok(resolved.clone()) };
    Ok(with_origin(resolved, &read_settings(&place)?, place))
}

/// The same with what the store at `place` has.
pub(super) fn with_origin(resolved: &Resolved, saved: &[(Box<str>, Json)], place: PathBuf) -> Resolved {
    let (current, taken) = overlay(resolved, saved);
    resolved.clone().overlaid(&current, &taken, &Origin::Saved(place))
}

/// Saved values override default, file and environment; a flag overrides them. One that is not a setting any more, or not in its
/// range, is left out, with a warning: an engine that does not start would be worse.
pub(super) fn with_saved(resolved: &Resolved, saved: &[(Box<str>, Json)]) -> SettingsFacts {
    let flagged = KEYS.iter().filter(|key| by_flag(resolved, key)).map(|key| key.name).collect();
    let (current, _) = overlay(resolved, saved);
    let configured = resolved.config.clone();
    SettingsFacts { configured, current, flagged, saved: saved.to_vec(), set_log_level: logging::set_level }
}

fn by_flag(resolved: &Resolved, key: &Key) -> bool {
    matches!(resolved.origin(key.name), Some(Origin::Flag(_)))
}

/// What holds with what was saved, and the keys that come from there.
fn overlay(resolved: &Resolved, saved: &[(Box<str>, Json)]) -> (Config, Vec<&'static str>) {
    let (mut current, mut taken) = (resolved.config.clone(), Vec::new());
    for (path, value) in saved {
        match KEYS.iter().find(|key| *key.name == **path) {
            Some(key) if by_flag(resolved, key) => {
                tracing::info!("{path}: the flag counts, not the saved {value}");
            }
            Some(key) if takes(key, &mut current, value) => {
                tracing::info!("{path} is {value}, as it was saved");
                taken.push(key.name);
            }
            _ => tracing::warn!("{path}: the saved {value} is no setting of this version, or out of its range"),
        }
    }
    (current, taken)
}

fn takes(key: &Key, config: &mut Config, value: &Json) -> bool {
    let admitted = key.kind.admit(&from_json(key.kind, value)).filter(|_| key.is_live());
    let mut draft = config.clone();
    let stored = admitted.is_some_and(|value| (key.field.store)(&mut draft, &value));
    let fits = stored && draft.sim.params.validate().is_ok();
    if fits {
        *config = draft;
    }
    fits
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::config::{Args, resolve};

    #[test]
    fn what_was_saved_counts_unless_a_flag_says_otherwise_or_it_is_none() {
        let args = Args::try_parse_from(["swarmcast", "--set", "sim.repel_k=5"]).unwrap();
        let resolved = resolve(&args, [("SWARMCAST_SIM_DAMPING".into(), "0.1".into())]).unwrap();
        let saved = [
            ("sim.damping", json!(0.5)),
            ("sim.repel_k", json!(6)),
            ("sim.theta", json!(99)),
            ("net.hold_max", json!(1)),
            ("glow", json!(1)),
        ];
        let saved: Vec<(Box<str>, Json)> = saved.into_iter().map(|(path, value)| (path.into(), value)).collect();
        let facts = with_saved(&resolved, &saved);
        let params = facts.current.sim.params;
        assert_eq!((params.damping, params.repel_k, params.theta), (0.5, 5.0, 1.1));
        assert_eq!((facts.configured.sim.params.damping, facts.flagged), (0.1, vec!["sim.repel_k"]));
        assert_eq!(facts.current.net, facts.configured.net);
    }
}
