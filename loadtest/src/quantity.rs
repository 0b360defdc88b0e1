//! Numbers with units, as people write them: `1h30m`, `64KiB`, `0.1%`. One reader for scenarios, flags and thresholds.

use crate::clock::SECOND_NS;

/// Units of time, longest first, and their ns.
const TIMES: [(&str, f64); 8] =
    [("d", 86_400e9), ("h", 3_600e9), ("m", 60e9), ("s", 1e9), ("ms", 1e6), ("us", 1e3), ("\u{b5}s", 1e3), ("ns", 1.0)];

/// Units of size and their bytes. K is 1,000 and Ki is 1,024; the case of the first letter does not matter.
const SIZES: [(&str, f64); 7] = [
    ("b", 1.0),
    ("kb", 1e3),
    ("kib", 1024.0),
    ("mb", 1e6),
    ("mib", 1024.0 * 1024.0),
    ("gb", 1e9),
    ("gib", 1024.0 * 1024.0 * 1024.0),
];

/// What a duration looks like, for messages.
pub const DURATION_FORM: &str = "a time with its unit, such as \"30s\", \"250ms\" or \"1h30m\"";

/// What a size looks like, for messages.
pub const SIZE_FORM: &str = "a size such as \"64KB\" or \"16KiB\"";

/// ns of `30s`, `1.5ms`, `1h30m`: numbers with units, each unit shorter than the one before. A number alone is none,
/// for nobody knows its unit; so is what is longer than [`DURATION_MAX_NS`].
#[must_use]
pub fn duration_ns(text: &str) -> Option<u64> {
    let (mut rest, mut sum, mut last) = (text.trim(), 0.0, f64::INFINITY);
    while !rest.is_empty() {
        let (value, after) = leading_number(rest)?;
        let name_end = after.find(|letter: char| !letter.is_alphabetic()).unwrap_or(after.len());
        let (name, after) = after.split_at_checked(name_end)?;
        let unit = time_unit_ns(name).filter(|unit| *unit < last)?;
        (rest, sum, last) = (after, value.mul_add(unit, sum), unit);
    }
    // Below 2^53, where a double holds every whole number.
    (last.is_finite() && sum <= DURATION_MAX_NS as f64).then(|| sum.round() as u64)
}

/// The longest time that is understood: a hundred days, far beyond every limit of a plan.
pub const DURATION_MAX_NS: u64 = 100 * 86_400 * SECOND_NS;

/// ns of a unit of time by its name.
#[must_use]
pub fn time_unit_ns(name: &str) -> Option<f64> {
    TIMES.iter().find(|(unit, _)| *unit == name).map(|(_, ns)| *ns)
}

/// Bytes of `64KB`, `16KiB` or `500`.
#[must_use]
pub fn bytes(text: &str) -> Option<f64> {
    let (value, unit) = leading_number(text.trim())?;
    let unit = unit.trim().to_ascii_lowercase();
    if unit.is_empty() {
        return Some(value);
    }
    SIZES.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| value * bytes)
}

/// Bytes a second of `20KB/s`; the `/s` may be left out.
#[must_use]
pub fn bytes_per_s(text: &str) -> Option<f64> {
    let text = text.trim();
    bytes(text.strip_suffix("/s").unwrap_or(text))
}

/// A share from `0.1%` or `0.001`; only what is from 0 to 1.
#[must_use]
pub fn share(text: &str) -> Option<f64> {
    let text = text.trim();
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent)? / 100.0,
        None => number(text)?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

/// A number without sign or exponent; `_` may stand between digits.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    leading_number(text.trim()).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// The number that `text` starts with, and what follows.
fn leading_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|letter: char| !matches!(letter, '0'..='9' | '.' | '_')).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    if !digits.starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    let value: f64 = digits.replace('_', "").parse().ok()?;
    value.is_finite().then_some((value, rest))
}

/// A time as people write it: the longest unit that leaves a whole number, such as `1500ms` or `30s`.
#[must_use]
pub fn show_ns(ns: u64) -> String {
    let whole = |unit: f64| ns.is_multiple_of(unit as u64).then(|| ns / unit as u64);
    let unit = TIMES.iter().find_map(|(name, unit)| whole(*unit).filter(|count| *count > 0).map(|count| (count, name)));
    unit.map_or_else(|| "0s".to_owned(), |(count, name)| format!("{count}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, ns) in [
            ("30s", 30 * SECOND_NS),
            ("250ms", SECOND_NS / 4),
            ("1h30m", 5_400 * SECOND_NS),
            ("1.5s", SECOND_NS * 3 / 2),
            ("1d", 86_400 * SECOND_NS),
            ("7us", 7_000),
            ("7\u{b5}s", 7_000),
            ("0s", 0),
            ("1_000ns", 1_000),
            (" 2m ", 120 * SECOND_NS),
        ] {
            assert_eq!(duration_ns(text), Some(ns), "{text}");
        }
        for wrong in [
            "",
            "30",
            "s",
            "-1s",
            "1s1h",
            "1s1s",
            "1 s",
            "1.2.3s",
            "1e3s",
            "nans",
            "1w",
            "101d",
            "9".repeat(400).as_str(),
        ] {
            assert_eq!(duration_ns(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_shares_and_numbers() {
        for (text, value) in
            [("64KB", 64e3), ("16KiB", 16_384.0), ("500", 500.0), ("1.5 MB", 1.5e6), ("2gib", 2_147_483_648.0)]
        {
            assert_eq!(bytes(text), Some(value), "{text}");
        }
        assert_eq!(bytes_per_s("20KB/s"), Some(20e3));
        assert_eq!(bytes_per_s("20KB"), Some(20e3));
        for wrong in ["", "KB", "-1", "1TB", "1KB/m", "0x10"] {
            assert_eq!(bytes_per_s(wrong), None, "{wrong}");
        }
        assert_eq!((share("0.1%"), share("1"), share("25 %")), (Some(0.001), Some(1.0), Some(0.25)));
        assert_eq!((share("101%"), share("1.5"), share("-1%"), share("%")), (None, None, None, None));
        assert_eq!((number("59_000"), number("1.5"), number("_1"), number("1x")), (Some(59e3), Some(1.5), None, None));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (duration_ns(&text), bytes_per_s(&text), share(&text), number(&text));
        }

        #[test]
        fn near_numbers_do_not_panic(text in "[0-9._]{0,12}(ns|us|\u{b5}s|ms|s|m|h|d|kb|KiB|%|/s)?[0-9.]{0,4}(s|é)?") {
            let _ = (duration_ns(&text), bytes_per_s(&text), share(&text), number(&text));
        }

        #[test]
        fn a_shown_time_is_read_again(ns in 0..=DURATION_MAX_NS) {
            prop_assert_eq!(duration_ns(&show_ns(ns)), Some(ns));
        }
    }
}
