//! Environment variables: `SWARMCAST_` and the key in capitals, `SWARMCAST_SIM_RATE_HZ` for `sim.rate_hz`.

use std::ffi::OsString;

use super::error::{Origin, Problem, Wrong};
use super::resolved::Draft;
use crate::settings::{KEYS, VARIABLE_PREFIX, nearest};

/// Names the configuration file, where `--config` does not.
pub(super) const CONFIG_VARIABLE: &str = "SWARMCAST_CONFIG";

/// Variables that are not named as their key is, with their key.
const ALIASES: &[(&str, &str)] = &[("SWARMCAST_LOG", "log.level")];

/// The variables that are ours, by name.
pub(super) struct Environment {
    ours: Vec<(String, OsString)>,
}

impl Environment {
    /// Keeps what starts with [`VARIABLE_PREFIX`], sorted: a process's environment has no order to rely on.
    pub(super) fn new(all: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let named = |(name, value): (OsString, OsString)| (name.to_string_lossy().into_owned(), value);
        let mut ours: Vec<_> =
            all.into_iter().map(named).filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)).collect();
        ours.sort();
        Self { ours }
    }

    /// The file that the environment names.
    pub(super) fn config(&self) -> Option<&OsString> {
        self.ours.iter().find(|(name, _)| name == CONFIG_VARIABLE).map(|(_, value)| value)
    }

    /// Puts every value into `draft`, and every problem.
    pub(super) fn apply(&self, draft: &mut Draft) {
        for (name, value) in self.ours.iter().filter(|(name, _)| name != CONFIG_VARIABLE) {
            let origin = Origin::Environment(name.clone());
            let refuse = |key: &str, wrong| Problem { origin: origin.clone(), key: key.to_owned(), wrong };
            let Some((index, key)) = KEYS.iter().enumerate().find(|(_, key)| is_named(key.name, &key.variable(), name))
            else {
                draft.refuse(refuse("", unknown(name)));
                continue;
            };
            match value.to_str() {
                Some(text) => draft.offer(index, &key.kind.read(text), origin.clone(), origin),
                None => draft.refuse(refuse(key.name, Wrong::NotText)),
            }
        }
    }
}

/// Whether the key, whose own variable is `variable`, is the one that `name` gives.
fn is_named(key: &str, variable: &str, name: &str) -> bool {
    variable == name || ALIASES.contains(&(name, key))
}

fn unknown(name: &str) -> Wrong {
    let variables: Vec<String> = KEYS.iter().map(|key| key.variable()).collect();
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    let known = variables.iter().map(String::as_str).chain([CONFIG_VARIABLE]).chain(aliases);
    // Without the prefix, which would make every name look like every other.
    let bare = |name: &'_ str| name.get(VARIABLE_PREFIX.len()..).unwrap_or_default().to_owned();
    let known: Vec<String> = known.map(bare).collect();
    let nearest = nearest::name(&bare(name), known.iter().map(String::as_str));
    Wrong::UnknownVariable { nearest: nearest.map(|name| format!("{VARIABLE_PREFIX}{name}")) }
}
