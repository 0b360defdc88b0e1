//! The known name that a misspelt one is most likely to be.

use strsim::normalized_damerau_levenshtein;

/// Below this a guess is more likely to mislead than to help.
const SIMILARITY_MIN: f64 = 0.6;

/// The share of a key's name in its likeness; its section has the rest. A name that is right in a section that is wrong
/// must beat any other name of that section.
const LEAF_SHARE: f64 = 0.75;

/// A longer name is a mistake of another kind, and comparing it costs its length.
const TYPED_BYTES_MAX: usize = 80;

/// The name of `known` most like `typed`, if any is. O(names), with the product of their lengths each.
pub fn name<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.len() > TYPED_BYTES_MAX {
        return None;
    }
    best(known.into_iter().map(|name| (similarity(typed, name), name)))
}

/// The key of `known` most like `typed`; both are `section.name`, or a name alone.
pub fn key<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.len() > TYPED_BYTES_MAX {
        return None;
    }
    let (typed_section, typed_leaf) = typed.rsplit_once('.').unwrap_or(("", typed));
    best(known.into_iter().map(|key| {
        let (section, leaf) = key.rsplit_once('.').unwrap_or(("", key));
        let likeness = LEAF_SHARE * similarity(typed_leaf, leaf)
            + (1.0 - LEAF_SHARE) * normalized_damerau_levenshtein(typed_section, section);
        (likeness, key)
    }))
}

/// The first of the best, so that the answer does not depend on anything but the table.
fn best<'a>(scored: impl Iterator<Item = (f64, &'a str)>) -> Option<&'a str> {
    scored
        .filter(|(score, _)| *score >= SIMILARITY_MIN)
        .fold(None, |best: Option<(f64, &str)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        })
        .map(|(_, name)| name)
}

/// From 0 to 1. A whole part of the other, as in `rate` for `rate_hz`, counts as near however short it is.
fn similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (a.to_lowercase().replace('-', "_"), b.to_lowercase());
    let likeness = normalized_damerau_levenshtein(&a, &b);
    let part_of = |short: &str, long: &str| !short.is_empty() && long.split('_').any(|part| part == short);
    if part_of(&a, &b) || part_of(&b, &a) || (a.len() > 2 && b.starts_with(&a)) { likeness.max(0.75) } else { likeness }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_stays_silent_otherwise() {
        let keys = ["graph.path", "graph.format", "sim.rate_hz", "sim.seed", "net.http", "net.frames", "log.format"];
        for (typed, meant) in [
            ("sim.rate", Some("sim.rate_hz")),
            ("sim.rate-hz", Some("sim.rate_hz")),
            ("sim.RATE_HZ", Some("sim.rate_hz")),
            ("sim.raet_hz", Some("sim.rate_hz")),
            ("net.rate_hz", Some("sim.rate_hz")),
            ("rate_hz", Some("sim.rate_hz")),
            ("log.formt", Some("log.format")),
            ("net.htpp", Some("net.http")),
            ("sim.zzz", None),
            ("", None),
        ] {
            assert_eq!(key(typed, keys), meant, "{typed}");
        }
        assert_eq!(name("graphlm", ["gexf", "graphml", "json"]), Some("graphml"));
        assert_eq!(name("xml", ["gexf", "json"]), None);
    }
}
