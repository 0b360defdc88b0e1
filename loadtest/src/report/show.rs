//! Numbers and text for people: three digits and a unit that fits.

use crate::figures::Unit;

/// What stands where nothing was measured.
pub const UNKNOWN: &str = "–";

/// A figure with its unit.
#[must_use]
pub fn figure(value: Option<f64>, unit: Unit) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return UNKNOWN.to_owned() };
    match unit {
        Unit::Time => time(value),
        Unit::Share => share(value),
        Unit::Count => count(value.round()),
        Unit::Rate => rate(value),
        Unit::Bytes => bytes(value),
        Unit::ByteRate => format!("{}/s", bytes(value)),
    }
}

/// Nanoseconds as ns, µs, ms or s.
#[must_use]
pub fn time(ns: f64) -> String {
    scaled(ns, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")])
}

/// Bytes as B, KB, MB, GB or TB, in steps of 1,000.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    scaled(bytes, &[(1.0, "B"), (1e3, "KB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")])
}

/// A share as per cent. What is not none and not all never looks like it.
#[must_use]
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    let text = match percent.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.001 => return "<0.001 %".to_owned(),
        size if size < 10.0 => trimmed(format!("{percent:.3}")),
        size if size < 100.0 && size > 99.9 => "99.9".to_owned(),
        _ => trimmed(format!("{percent:.1}")),
    };
    format!("{text} %")
}

/// A whole number with commas.
#[must_use]
pub fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// Pieces per second: whole from 100 on.
#[must_use]
pub fn rate(value: f64) -> String {
    if value.abs() >= 100.0 { count(value.round()) } else { significant(value) }
}

/// Text that Markdown, tables and HTML leave as it is.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => out.extend(['\\', letter]),
            _ => out.push(letter),
        }
    }
    out
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    // 999.9 of a unit is shown as 1,000 of it, so the next one takes it over.
    let fits = units.iter().rev().find(|(size, _)| value.abs() >= size * 0.9995);
    let (size, unit) = fits.or(units.first()).copied().unwrap_or((1.0, ""));
    if size == 1.0 && value.fract() == 0.0 {
        return format!("{value:.0} {unit}");
    }
    format!("{} {unit}", significant(value / size))
}

/// Three digits that count.
fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => count(value.round()),
    }
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (Some(850.0), Unit::Time, "850 ns"),
            (Some(12_345.0), Unit::Time, "12.3 µs"),
            (Some(999_960.0), Unit::Time, "1.00 ms"),
            (Some(4_310_000.0), Unit::Time, "4.31 ms"),
            (Some(83e9), Unit::Time, "83.0 s"),
            (Some(0.0), Unit::Time, "0 ns"),
            (Some(6.8e9), Unit::ByteRate, "6.80 GB/s"),
            (Some(512.0), Unit::Bytes, "512 B"),
            (Some(0.0), Unit::Share, "0 %"),
            (Some(0.000_001), Unit::Share, "<0.001 %"),
            (Some(0.001), Unit::Share, "0.1 %"),
            (Some(0.978), Unit::Share, "97.8 %"),
            (Some(0.999_99), Unit::Share, "99.9 %"),
            (Some(1.0), Unit::Share, "100 %"),
            (Some(1_234_567.0), Unit::Count, "1,234,567"),
            (Some(999.0), Unit::Count, "999"),
            (Some(19_999.6), Unit::Rate, "20,000"),
            (Some(2.5), Unit::Rate, "2.50"),
            (None, Unit::Time, "–"),
            (Some(f64::NAN), Unit::Count, "–"),
        ];
        for (value, unit, text) in cases {
            assert_eq!(figure(value, unit), text);
        }
    }
}
