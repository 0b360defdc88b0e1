//! The settings that the engine begins with: the configuration, and over it what was saved, but for what a flag says.

use serde_json::Value as Json;

use super::logging;
use crate::api::settings::from_json;
use crate::config::{Origin, Resolved};
use crate::control::SettingsFacts;
use crate::settings::{Config, KEYS, Key};

/// Saved values override default, file and environment; a flag overrides them. One that is not a setting any more, or not in its
/// range, is left out, with a warning: an engine that does not start would be worse.
pub(super) fn with_saved(resolved: &Resolved, saved: &[(Box<str>, Json)]) -> SettingsFacts {
    let configured = &resolved.config;
    let by_flag = |key: &Key| matches!(resolved.origin(key.name), Some(Origin::Flag(_)));
    let flagged: Vec<&str> = KEYS.iter().filter(|key| by_flag(key)).map(|key| key.name).collect();
    let mut current = configured.clone();
    for (path, value) in saved {
        match KEYS.iter().find(|key| *key.name == **path) {
            Some(key) if flagged.contains(&key.name) => {
                tracing::info!("{path}: the flag counts, not the saved {value}");
            }
            Some(key) if takes(key, &mut current, value) => tracing::info!("{path} is {value}, as it was saved"),
            _ => tracing::warn!("{path}: the saved {value} is no setting of this version, or out of its range"),
        }
    }
    let configured = configured.clone();
    SettingsFacts { configured, current, flagged, saved: saved.to_vec(), set_log_level: logging::set_level }
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
