//! `latency.p99 < 5ms`: a bound on a figure, parsed and checked before the run, judged after it.

use serde::{Deserialize, Serialize};

use crate::figures::{Figure, SCALARS, Unit, lookup};
use crate::nearest;
use crate::quantity::{self, time_unit_ns};
use crate::record::{Record, TIMINGS};

/// A bound that decides the exit code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// As the user wrote it.
    pub text: String,
    /// The group it is about; `None` is all of them together.
    pub group: Option<String>,
    /// Name of the figure, as in `figures::lookup`.
    pub figure: String,
    /// How they compare.
    pub relation: Relation,
    /// In the figure's own unit: ns, a share from 0 to 1, a count, a rate.
    pub bound: f64,
}

/// How a figure and its bound compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// `<`
    #[serde(rename = "<")]
    Less,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `>`
    #[serde(rename = ">")]
    Greater,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `==`
    #[serde(rename = "==")]
    Equal,
}

impl Relation {
    /// Whether `figure` keeps it.
    #[must_use]
    pub fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::Less => figure < bound,
            Self::AtMost => figure <= bound,
            Self::Greater => figure > bound,
            Self::AtLeast => figure >= bound,
            Self::Equal => figure == bound,
        }
    }
}

/// Relations by their signs. The longer sign first, as `<` begins `<=`.
const RELATIONS: [(&str, Relation); 5] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("==", Relation::Equal),
    ("<", Relation::Less),
    (">", Relation::Greater),
];

/// Why a threshold is refused before the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// No sign that compares.
    #[error("`{0}` compares nothing: write FIGURE < BOUND, with one of < <= > >= ==, as in latency.p99 < 5ms")]
    NoRelation(String),
    /// `a < b < c`, `a <> b`.
    #[error("`{0}` compares more than once: write one threshold for each bound")]
    Twice(String),
    /// No such figure.
    #[error("`{text}`: no figure is called {figure}{hint}")]
    Figure {
        /// The threshold.
        text: String,
        /// What was asked for.
        figure: String,
        /// The nearest names.
        hint: String,
    },
    /// No such group.
    #[error("`{text}`: no group is called {group}; the groups are {known}")]
    Group {
        /// The threshold.
        text: String,
        /// What was asked for.
        group: String,
        /// All of them.
        known: String,
    },
    /// The bound does not suit the figure.
    #[error("`{text}`: {figure} is {unit}, found `{found}`")]
    Bound {
        /// The threshold.
        text: String,
        /// The figure.
        figure: String,
        /// What its bounds look like.
        unit: &'static str,
        /// What was written.
        found: String,
    },
}

impl Threshold {
    /// Reads `[GROUP/]FIGURE RELATION BOUND` and checks that figure, group and unit are such as a run can have.
    ///
    /// # Errors
    /// When nothing of this run is called so, or the bound's unit is not the figure's.
    pub fn parse<S: AsRef<str>>(text: &str, group_names: &[S]) -> Result<Self, ThresholdError> {
        let text = text.trim().to_owned();
        let found = text.find(['<', '>', '=']).and_then(|at| text.split_at_checked(at)).and_then(|(left, rest)| {
            let (sign, relation) = RELATIONS.iter().find(|(sign, _)| rest.starts_with(sign))?;
            Some((left.trim(), *relation, rest.strip_prefix(sign)?.trim()))
        });
        let Some((left, relation, bound)) = found.filter(|(left, _, bound)| !left.is_empty() && !bound.is_empty())
        else {
            return Err(ThresholdError::NoRelation(text));
        };
        if bound.contains(['<', '>', '=']) {
            return Err(ThresholdError::Twice(text));
        }
        let (group, name) = match left.split_once('/') {
            Some((group, name)) => (Some(group.trim().to_owned()), name.trim()),
            None => (None, left),
        };
        if let Some(group) = group.as_deref().filter(|group| !group_names.iter().any(|name| name.as_ref() == *group)) {
            let known: Vec<&str> = group_names.iter().map(AsRef::as_ref).collect();
            let (group, known) = (group.to_owned(), known.join(", "));
            return Err(ThresholdError::Group { text, group, known });
        }
        let Some(figure) = lookup(name) else {
            let (figure, hint) = (name.to_owned(), hint(name));
            return Err(ThresholdError::Figure { text, figure, hint });
        };
        let Some(value) = read_bound(bound, figure.unit()) else {
            let (figure, found, unit) = (name.to_owned(), bound.to_owned(), form(figure.unit()));
            return Err(ThresholdError::Bound { text, figure, unit, found });
        };
        let figure = name.to_owned();
        Ok(Self { text, group, figure, relation, bound: value })
    }

    /// What it is about.
    #[must_use]
    pub fn lookup(&self) -> Option<Figure> {
        lookup(&self.figure)
    }
}

/// The nearest names, of all that people ask for.
fn hint(name: &str) -> String {
    let stats = ["p50", "p90", "p99", "p99.9", "p99.99", "min", "max", "mean", "count"];
    let timings = TIMINGS.iter().flat_map(|timing| stats.map(|stat| format!("{}.{stat}", timing.name())));
    let known: Vec<String> = SCALARS.iter().map(|scalar| scalar.name.to_owned()).chain(timings).collect();
    nearest::hint(name, known.iter().map(String::as_str), 3)
}

/// The bound in the figure's own unit.
fn read_bound(text: &str, unit: Unit) -> Option<f64> {
    match unit {
        Unit::Time => time_ns(text),
        Unit::Share => quantity::share(text),
        Unit::Count => quantity::number(text),
        Unit::Rate => {
            let plain = text.strip_suffix("/s").or_else(|| text.strip_suffix("Hz")).unwrap_or(text);
            quantity::number(plain)
        }
        Unit::Bytes => quantity::bytes(text),
        Unit::ByteRate => quantity::bytes_per_s(text),
    }
}

/// A time with its unit, which may stand apart: `5ms`, `5 ms`, `0.4us`. Not rounded to whole ns.
fn time_ns(text: &str) -> Option<f64> {
    let unit_at = text.find(char::is_alphabetic)?;
    let (value, unit) = text.split_at_checked(unit_at)?;
    match (quantity::number(value), time_unit_ns(unit)) {
        (Some(value), Some(unit)) => Some(value * unit),
        // Several units, as in 1m30s.
        _ => quantity::duration_ns(text).map(|ns| ns as f64),
    }
}

/// What a bound looks like, after "is".
fn form(unit: Unit) -> &'static str {
    match unit {
        Unit::Time => "a time and needs a unit, such as 5ms (ns, us, ms, s, m, h)",
        Unit::Share => "a share, such as 0.1% or 0.001 (from 0 to 1)",
        Unit::Count => "a count, a number without unit",
        Unit::Rate => "a rate, such as 59000 or 59000/s",
        Unit::Bytes => "a size, such as 64KB or 16MiB",
        Unit::ByteRate => "bytes per second, such as 10MB or 10MB/s",
    }
}

/// What became of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which.
    pub threshold: Threshold,
    /// The figure in its own unit; `None` when it was not measured, and then the threshold does not hold.
    pub value: Option<f64>,
    /// Whether it was kept.
    pub held: bool,
}

/// Judges `thresholds` on the totals of groups called `names`, in the same order, over `measured_s` seconds.
#[must_use]
pub fn evaluate<S: AsRef<str>>(
    thresholds: &[Threshold],
    names: &[S],
    totals: &[Record],
    measured_s: f64,
) -> Vec<Verdict> {
    let mut all = Record::with(&[]);
    totals.iter().for_each(|total| all.merge(total));
    let judge = |threshold: &Threshold| {
        let record = match &threshold.group {
            None => Some(&all),
            Some(group) => names.iter().zip(totals).find(|(name, _)| name.as_ref() == group).map(|(_, total)| total),
        };
        let value = record.and_then(|record| threshold.lookup()?.read(record, measured_s));
        let held = value.is_some_and(|value| threshold.relation.holds(value, threshold.bound));
        Verdict { threshold: threshold.clone(), value, held }
    };
    thresholds.iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Count, Timing};

    const GROUPS: [&str; 2] = ["viewers", "slow-ones"];

    #[test]
    fn thresholds_are_figures_with_bounds() {
        use Relation::{AtLeast, AtMost, Equal, Greater, Less};
        for (text, group, figure, relation, bound) in [
            ("latency.p99 < 5ms", None, "latency.p99", Less, 5e6),
            ("latency.p99<5ms", None, "latency.p99", Less, 5e6),
            ("latency.p99.9 <= 0.4 us", None, "latency.p99.9", AtMost, 400.0),
            ("first_frame.max < 1m30s", None, "first_frame.max", Less, 90e9),
            ("missing < 0.1%", None, "missing", Less, 0.001),
            ("missing < 0.001", None, "missing", Less, 0.001),
            ("viewers/latency.p99 < 5ms", Some("viewers"), "latency.p99", Less, 5e6),
            (" slow-ones / errors == 0 ", Some("slow-ones"), "errors", Equal, 0.0),
            ("delivered_per_s >= 59_000", None, "delivered_per_s", AtLeast, 59e3),
            ("delivered_per_s >= 59000/s", None, "delivered_per_s", AtLeast, 59e3),
            ("client_rate.min > 59.5Hz", None, "client_rate.min", Greater, 59.5),
            ("bytes_per_s > 10MB", None, "bytes_per_s", Greater, 10e6),
            ("bytes > 1GiB", None, "bytes", Greater, 1_073_741_824.0),
            ("fairness >= 0.9", None, "fairness", AtLeast, 0.9),
            ("latency.count > 1000", None, "latency.count", Greater, 1_000.0),
            ("gap.p99.99 < 1s", None, "gap.p99.99", Less, 1e9),
        ] {
            let parsed = Threshold::parse(text, &GROUPS).unwrap();
            let wanted = Threshold {
                text: text.trim().to_owned(),
                group: group.map(str::to_owned),
                figure: figure.to_owned(),
                relation,
                bound: parsed.bound,
            };
            assert_eq!(parsed, wanted);
            assert!((parsed.bound - bound).abs() <= bound * 1e-12, "{text}: {}", parsed.bound);
        }
    }

    #[test]
    fn what_names_no_figure_group_or_unit_is_refused() {
        let compare = " compares nothing: write FIGURE < BOUND, with one of < <= > >= ==, as in latency.p99 < 5ms";
        let time = "is a time and needs a unit, such as 5ms (ns, us, ms, s, m, h), found";
        let share = "is a share, such as 0.1% or 0.001 (from 0 to 1), found";
        let near = "; did you mean latency.p50, latency.p90 or latency.p99?";
        for (text, message) in [
            ("latency.p99", compare.to_owned()),
            ("errors = 0", compare.to_owned()),
            ("errors => 0", compare.to_owned()),
            ("errors <", compare.to_owned()),
            ("< 5", compare.to_owned()),
            ("1ms < gap.max < 5ms", " compares more than once: write one threshold for each bound".to_owned()),
            ("latency < 5ms", format!(": no figure is called latency{near}")),
            ("latency.p101 < 1ms", format!(": no figure is called latency.p101{near}")),
            ("mising < 1%", ": no figure is called mising; did you mean missing?".to_owned()),
            ("zzz < 1", ": no figure is called zzz".to_owned()),
            ("agents/errors == 0", ": no group is called agents; the groups are viewers, slow-ones".to_owned()),
            ("latency.p99 < 5", format!(": latency.p99 {time} `5`")),
            ("latency.p99 < 5KB", format!(": latency.p99 {time} `5KB`")),
            ("latency.p99 < -5ms", format!(": latency.p99 {time} `-5ms`")),
            ("missing < 2", format!(": missing {share} `2`")),
            ("missing < 5ms", format!(": missing {share} `5ms`")),
            ("errors < 1%", ": errors is a count, a number without unit, found `1%`".to_owned()),
            ("calls_per_s > 10ms", ": calls_per_s is a rate, such as 59000 or 59000/s, found `10ms`".to_owned()),
            ("bytes > 10ms", ": bytes is a size, such as 64KB or 16MiB, found `10ms`".to_owned()),
            ("bytes_per_s > NaN", ": bytes_per_s is bytes per second, such as 10MB or 10MB/s, found `NaN`".to_owned()),
        ] {
            assert_eq!(Threshold::parse(text, &GROUPS).unwrap_err().to_string(), format!("`{text}`{message}"));
        }
    }

    #[test]
    fn verdicts_come_from_groups_and_their_sum_and_the_unknown_does_not_hold() {
        let mut viewers = Record::with(&[Timing::Latency, Timing::Gap]);
        viewers.record(Timing::Latency, 2_000_000, 99);
        viewers.record(Timing::Latency, 40_000_000, 1);
        viewers.count(Count::Owing, 1);
        viewers.count(Count::Delivered, 99);
        viewers.count(Count::Owed, 99);
        viewers.count(Count::Missing, 1);
        let mut slow = Record::with(&[]);
        slow.error("reset");
        let judge = |text: &str| {
            let threshold = Threshold::parse(text, &GROUPS).unwrap();
            let verdicts = evaluate(&[threshold], &GROUPS, &[viewers.clone(), slow.clone()], 2.0);
            (verdicts[0].value, verdicts[0].held)
        };
        assert_eq!(judge("missing <= 1%"), (Some(0.01), true));
        assert_eq!(judge("missing < 1%"), (Some(0.01), false));
        assert_eq!(judge("errors == 0"), (Some(1.0), false));
        assert_eq!(judge("viewers/errors == 0"), (Some(0.0), true));
        assert_eq!(judge("delivered_per_s > 49"), (Some(49.5), true));
        assert!(judge("latency.p99 < 3ms").1 && !judge("latency.p99.9 < 3ms").1);
        assert_eq!(judge("slow-ones/latency.p99 < 1h"), (None, false), "not measured");
        assert_eq!(judge("calls_failed < 1"), (None, false), "nobody called");
        assert_eq!(judge("call.count == 0"), (Some(0.0), true));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = Threshold::parse(&text, &GROUPS);
        }

        #[test]
        fn near_thresholds_do_not_panic(
            figure in "(viewers/)?(latency|missing|errors)?(\\.p9{0,3}\\.?9?)?",
            bound in " ?[<>=]{0,3} ?[0-9.]{0,5}(ms|s|%|KB|é)?",
        ) {
            let text = figure + &bound;
            let _ = Threshold::parse(&text, &GROUPS);
        }
    }
}
