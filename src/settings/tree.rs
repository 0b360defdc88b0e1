//! What changed between two states of the settings, found by the Blake3 hashes of their subtrees.

use blake3::{Hash, Hasher};

use super::table::{KEYS, SECTIONS};
use super::{Config, Value};

/// The hash of every key, of every section, and of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// By place in [`KEYS`].
    leaves: Box<[Hash]>,
    /// By place in [`SECTIONS`].
    sections: Box<[Hash]>,
    root: Hash,
}

impl Tree {
    /// The tree of a configuration. A key's hash is that of its name, a zero byte and its value as TOML; a section's is that of
    /// its keys' hashes in order, and the root's that of the sections'.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let leaf = |key: &super::Key| leaf(key.name, &(key.field.read)(config));
        let leaves: Box<[Hash]> = KEYS.iter().map(leaf).collect();
        let section = |(name, _): &(&str, &str)| {
            let mut hasher = Hasher::new();
            for (_, leaf) in KEYS.iter().zip(&leaves).filter(|(key, _)| key.section() == *name) {
                hasher.update(leaf.as_bytes());
            }
            hasher.finalize()
        };
        let sections: Box<[Hash]> = SECTIONS.iter().map(section).collect();
        let mut hasher = Hasher::new();
        for section in &sections {
            hasher.update(section.as_bytes());
        }
        let root = hasher.finalize();
        Self { leaves, sections, root }
    }

    /// Of the whole.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Name and hash of every section.
    pub fn sections(&self) -> impl Iterator<Item = (&'static str, Hash)> {
        SECTIONS.iter().zip(&self.sections).map(|((name, _), hash)| (*name, *hash))
    }

    /// Places in the table of the keys that differ, in order. Sections whose hashes are the same are not looked into.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<usize> {
        if self.root == other.root {
            return Vec::new();
        }
        let differs = |name: &str| {
            let both = self.sections().zip(other.sections()).find(|((section, _), _)| *section == name);
            both.is_some_and(|((_, own), (_, its))| own != its)
        };
        let sections: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).filter(|name| differs(name)).collect();
        let leaves = KEYS.iter().zip(self.leaves.iter().zip(&other.leaves)).enumerate();
        let changed = leaves.filter(|(_, (key, (own, its)))| sections.contains(&key.section()) && own != its);
        changed.map(|(index, _)| index).collect()
    }
}

fn leaf(name: &str, value: &Value) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(&[0]);
    hasher.update(value.to_string().as_bytes());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_what_differs_is_found_and_only_its_section_has_another_hash() {
        let before = Config::default();
        let mut after = before.clone();
        after.sim.params.damping = 0.5;
        after.sim.rate_hz = 30;
        let (old, new) = (Tree::of(&before), Tree::of(&after));
        let names: Vec<_> = old.changed(&new).into_iter().map(|index| KEYS[index].name).collect();
        assert_eq!(names, ["sim.rate_hz", "sim.damping"]);
        for ((name, old), (_, new)) in old.sections().zip(new.sections()) {
            assert_eq!(old != new, name == "sim", "{name}");
        }
        assert!(old.changed(&Tree::of(&before)).is_empty() && old.root() != new.root());
    }
}
