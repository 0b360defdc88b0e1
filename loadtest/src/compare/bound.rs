//! `quick/latency.p99 <= 1.1x`: a bound on B against A, parsed before anything is read and judged after.

use super::Comparison;
use crate::figures;
use crate::report::ALL;

/// The most that a figure of B may be, of A's.
#[derive(Clone, Debug, PartialEq)]
pub struct RatioBound {
    /// As the user wrote it.
    pub text: String,
    /// Of the group, or `all`.
    pub group: String,
    /// As in thresholds.
    pub figure: String,
    /// Greatest ratio that keeps it.
    pub most: f64,
}

/// What a bound looks like.
pub const BOUND_FORM: &str = "GROUP/FIGURE <= NUMBERx, such as \"quick/latency.p99 <= 1.1x\"";

impl RatioBound {
    /// Reads one.
    ///
    /// # Errors
    /// What it must look like, or that there is no such figure.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("must be {BOUND_FORM}");
        let (what, most) = text.split_once("<=").ok_or_else(wrong)?;
        let most: f64 = most.trim().strip_suffix('x').and_then(|most| most.parse().ok()).ok_or_else(wrong)?;
        if !(most.is_finite() && most > 0.0) {
            return Err(wrong());
        }
        let (group, figure) = what.trim().split_once('/').unwrap_or((ALL, what.trim()));
        if !super::COMPARED.iter().any(|(name, _)| *name == figure) {
            let known: Vec<&str> = super::COMPARED.iter().map(|(name, _)| *name).collect();
            let why = if figures::lookup(figure).is_some() { "is not compared" } else { "is no figure" };
            return Err(format!("{figure} {why}; there are {}", known.join(", ")));
        }
        Ok(Self { text: text.to_owned(), group: group.to_owned(), figure: figure.to_owned(), most })
    }

    /// The ratio, and whether it is kept. One that is not known does not keep it.
    #[must_use]
    pub fn judge(&self, of: &Comparison) -> (Option<f64>, bool) {
        let group =
            of.groups.iter().find(|group| group.name == self.group || of.groups.len() == 1 && self.group == ALL);
        let figure = group.and_then(|group| group.figures.iter().find(|figure| figure.figure == self.figure));
        let ratio = figure.and_then(|figure| figure.ratio);
        (ratio, ratio.is_some_and(|ratio| ratio <= self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_and_others_refused() {
        let bound = RatioBound::parse("quick/latency.p99 <= 1.10x").unwrap();
        assert_eq!((bound.group.as_str(), bound.figure.as_str(), bound.most), ("quick", "latency.p99", 1.1));
        assert_eq!(RatioBound::parse("missing<=2x").unwrap().group, ALL);
        for (text, says) in [
            ("quick/latency.p99 < 1.1x", "must be GROUP/FIGURE"),
            ("quick/latency.p99 <= 1.1", "must be GROUP/FIGURE"),
            ("quick/latency.p99 <= -1x", "must be GROUP/FIGURE"),
            ("quick/latency.p98 <= 1x", "latency.p98 is not compared"),
            ("quick/speed <= 1x", "speed is no figure"),
        ] {
            let error = RatioBound::parse(text).unwrap_err();
            assert!(error.starts_with(says), "{text}: {error}");
        }
    }
}
