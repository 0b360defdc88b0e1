//! The settings in force, their version, and what they were a few versions ago.

use std::collections::VecDeque;

use blake3::Hash;

use super::table::KEYS;
use super::tree::Tree;
use super::{Config, Value};

/// Versions that a client may be behind and still get what changed, instead of everything.
pub const SETTINGS_KEPT_MAX: usize = 64;

/// What a client has to be told so that it has the settings of `version`.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsDelta {
    /// The version that it builds on; 0 when it is everything.
    pub from: u64,
    /// The version after it.
    pub version: u64,
    /// Hash of the whole after it.
    pub hash: Hash,
    /// Places in [`KEYS`] and values, in order of the table.
    pub changes: Vec<(usize, Value)>,
}

impl SettingsDelta {
    /// It is everything: nothing that was there before counts.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.from == 0
    }
}

/// The settings in force. The version counts changes from 1 in each process, so a client says version and hash: two processes may
/// have had the same version of different settings.
#[derive(Debug)]
pub struct Ledger {
    current: Config,
    version: u64,
    tree: Tree,
    /// Older versions, oldest first.
    past: VecDeque<(u64, Tree)>,
}

impl Ledger {
    /// The settings that the engine starts with, version 1.
    #[must_use]
    pub fn new(current: Config) -> Self {
        let tree = Tree::of(&current);
        Self { current, version: 1, tree, past: VecDeque::new() }
    }

    /// In force.
    #[must_use]
    pub fn current(&self) -> &Config {
        &self.current
    }

    /// Counts changes, from 1.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The hashes of what is in force.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// From now on these are in force. What changed by it, if something did.
    pub fn take(&mut self, config: Config) -> Option<SettingsDelta> {
        let tree = Tree::of(&config);
        if tree == self.tree {
            return None;
        }
        let from = self.version;
        let before = std::mem::replace(&mut self.tree, tree);
        self.current = config;
        self.version += 1;
        let delta = self.delta(from, &before);
        if self.past.len() >= SETTINGS_KEPT_MAX {
            self.past.pop_front();
        }
        self.past.push_back((from, before));
        Some(delta)
    }

    /// What a client that has `version` with `hash` lacks: changes while that version is known here, otherwise everything.
    #[must_use]
    pub fn since(&self, version: u64, hash: Option<Hash>) -> SettingsDelta {
        let known = self.past.iter().map(|(version, tree)| (*version, tree));
        let mut known = known.chain(std::iter::once((self.version, &self.tree)));
        match known.find(|(past, tree)| *past == version && Some(tree.root()) == hash) {
            Some((version, tree)) => self.delta(version, tree),
            None => self.whole(),
        }
    }

    fn delta(&self, from: u64, before: &Tree) -> SettingsDelta {
        self.with(from, before.changed(&self.tree))
    }

    fn whole(&self) -> SettingsDelta {
        self.with(0, (0..KEYS.len()).collect())
    }

    fn with(&self, from: u64, places: Vec<usize>) -> SettingsDelta {
        let read = |index: usize| KEYS.get(index).map(|key| (index, (key.field.read)(&self.current)));
        let changes = places.into_iter().filter_map(read).collect();
        SettingsDelta { from, version: self.version, hash: self.tree.root(), changes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Setting;

    fn damped(damping: f32) -> Config {
        let mut config = Config::default();
        config.sim.params.damping = damping;
        config
    }

    #[test]
    fn whoever_is_behind_gets_the_changes_and_a_stranger_everything() {
        let mut ledger = Ledger::new(damped(0.1));
        let first = ledger.tree().root();
        assert_eq!(ledger.take(damped(0.1)), None, "nothing changed");
        let delta = ledger.take(damped(0.2)).unwrap();
        assert_eq!((delta.from, delta.version, delta.changes.len()), (1, 2, 1));
        assert_eq!((KEYS[delta.changes[0].0].name, &delta.changes[0].1), ("sim.damping", &0.2f32.give()));
        assert_eq!(ledger.since(1, Some(first)), delta);
        assert!(ledger.since(2, Some(delta.hash)).changes.is_empty());
        for (version, hash) in [(1, None), (2, Some(first)), (3, Some(first)), (0, Some(first))] {
            let whole = ledger.since(version, hash);
            assert!(whole.is_whole() && whole.changes.len() == KEYS.len(), "{version}");
        }
        for step in 0..SETTINGS_KEPT_MAX {
            ledger.take(damped(0.3 + step as f32 * 1e-3)).unwrap();
        }
        assert!(ledger.since(1, Some(first)).is_whole(), "too old");
        assert!(!ledger.since(2, Some(delta.hash)).is_whole());
        assert_eq!(ledger.version(), 2 + SETTINGS_KEPT_MAX as u64);
    }
}
