//! The key table printed as a configuration file: `swarmcast config default`, kept as `default.toml`.

use std::fmt::Write;

use super::Config;
use crate::settings::{KEYS, Key, SECTIONS};

/// Columns of a comment line.
const WIDTH: usize = 118;

const HEAD: &str = "\
# Every key of Swarmcast's configuration, with its default. This file is printed by `swarmcast config default`.
#
# A value comes from its default, then the file that --config or SWARMCAST_CONFIG names, then SWARMCAST_* variables
# (SWARMCAST_SIM_RATE_HZ is sim.rate_hz), then flags (--set sim.rate_hz=30, and those named here); each overrides the
# one before it. `swarmcast config show --origin` says where each came from. Ranges include both ends. What is live can be
# changed while the engine runs (/api/settings); what was saved there goes before this file and variables, not before flags.
";

/// The text of `default.toml`: valid TOML that gives every key, explained, its default.
#[must_use]
pub fn default_toml() -> String {
    let config = Config::default();
    let mut text = HEAD.to_owned();
    for (section, doc) in SECTIONS {
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "\n# {doc}\n[{section}]\n");
        for key in KEYS.iter().filter(|key| key.section() == *section) {
            text.push('\n');
            write_comment(&mut text, key.doc);
            write_comment(&mut text, &takes(key));
            let _ = writeln!(text, "{} = {}", key.leaf(), (key.field.read)(&config));
        }
    }
    text
}

/// What the key takes, whether it is live, and its flag.
fn takes(key: &Key) -> String {
    let mut allowed = key.allowed();
    if let Some(first) = allowed.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if key.is_live() {
        allowed.push_str("; live");
    }
    if key.flag.is_empty() { allowed } else { format!("{allowed}; flag --{}", key.flag) }
}

/// Writes `sentences` as comment lines of at most [`WIDTH`] columns.
fn write_comment(text: &mut String, sentences: &str) {
    let mut line = String::from("#");
    for word in sentences.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_table_printed() {
        assert!(
            include_str!("default.toml") == default_toml(),
            "the table changed: swarmcast config default > src/config/default.toml"
        );
    }
}
