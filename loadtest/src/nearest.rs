//! The known names that a misspelt one is most likely to be.

use strsim::normalized_damerau_levenshtein;

/// Below this a guess is more likely to mislead than to help.
const SIMILARITY_MIN: f64 = 0.6;

/// A longer name is a mistake of another kind, and comparing it costs its length.
const TYPED_BYTES_MAX: usize = 80;

/// At most `count` names of `known` that are like `typed`, the most alike first.
pub fn names<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    if typed.len() > TYPED_BYTES_MAX {
        return Vec::new();
    }
    let scored = known.into_iter().map(|name| (similarity(typed, name), name));
    let mut near: Vec<_> = scored.filter(|(score, _)| *score >= SIMILARITY_MIN).collect();
    // A stable sort: equals keep the order of the table.
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().map(|(_, name)| name).take(count).collect()
}

/// `; did you mean a, b or c?`, or nothing.
pub fn hint<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>, count: usize) -> String {
    match names(typed, known, count).as_slice() {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [first @ .., last] => format!("; did you mean {} or {last}?", first.join(", ")),
    }
}

/// From 0 to 1. A whole part of the other, as in `latency` for `latency.p99`, counts as near however short it is.
fn similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (a.to_lowercase().replace('-', "_"), b.to_lowercase().replace('-', "_"));
    let likeness = normalized_damerau_levenshtein(&a, &b);
    let part_of = |short: &str, long: &str| !short.is_empty() && long.split(['_', '.']).any(|part| part == short);
    if part_of(&a, &b) || part_of(&b, &a) || (a.len() > 2 && b.starts_with(&a)) { likeness.max(0.75) } else { likeness }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_stays_silent_otherwise() {
        let known = ["latency.p50", "latency.p99", "missing", "errors", "calls_per_s"];
        assert_eq!(names("latency", known, 2), ["latency.p50", "latency.p99"]);
        assert_eq!(names("mising", known, 3), ["missing"]);
        assert_eq!(names("latnecy.p99", known, 1), ["latency.p99"]);
        assert_eq!(names("zzz", known, 3), Vec::<&str>::new());
        assert_eq!(hint("latency", known, 2), "; did you mean latency.p50 or latency.p99?");
        assert_eq!(hint("error", known, 2), "; did you mean errors?");
        assert_eq!(hint(&"x".repeat(1_000), known, 2), "");
    }
}
