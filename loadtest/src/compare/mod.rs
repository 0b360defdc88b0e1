//! Two reports against each other: what differs beyond noise.
//!
//! Slices of one run are alike but not independent: a slow second is followed by another. So both runs are drawn
//! again many times out of blocks of neighbouring slices (moving-block bootstrap), each figure is read off every such
//! draw, and the spread of its difference is the confidence interval. See [`bootstrap`] for the details.

pub mod bootstrap;
mod bound;
mod show;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::figures::{self, Figure, Stat, Unit};
use crate::record::{PackError, Record, Timing};
use crate::report::{ALL, GroupReport, Report};

pub use bound::RatioBound;
pub use show::{markdown, text};

use bootstrap::{Interval, Sample, Stream};

/// Confidence when the user names none.
pub const CONFIDENCE: f64 = 0.95;

/// Slices of each run below which nothing is said.
pub const SLICES_MIN: usize = 10;

/// Samples beyond a quantile below which nothing is said about it.
pub const BEYOND_MIN: f64 = 10.0;

/// Differences below this are never called one: histograms hold three digits.
pub const RESOLUTION: f64 = 0.002;

/// The figures that are compared, where both runs have them, and whether more is better.
const COMPARED: [(&str, bool); 22] = [
    ("latency.p50", false),
    ("latency.p90", false),
    ("latency.p99", false),
    ("latency.p99.9", false),
    ("latency_raw.p50", false),
    ("latency_raw.p99", false),
    ("latency_raw.p99.9", false),
    ("gap.p99", false),
    ("missing", false),
    ("conflated", false),
    ("delivered_per_s", true),
    ("bytes_per_s", true),
    ("first_frame.p50", false),
    ("first_frame.p99", false),
    ("connect.p99", false),
    ("fairness", true),
    ("round_trip.p50", false),
    ("round_trip.p99", false),
    ("call.p50", false),
    ("call.p99", false),
    ("calls_per_s", true),
    ("calls_failed", false),
];

/// B against A.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Name and start of A.
    pub a: Side,
    /// Name and start of B.
    pub b: Side,
    /// From 0 to 1.
    pub confidence: f64,
    /// Why the two should not be compared, or only with care.
    pub warnings: Vec<String>,
    /// Every group of both runs; all together where there are several.
    pub groups: Vec<GroupComparison>,
}

/// One of the two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Of the plan.
    pub name: String,
    /// RFC 3339.
    pub started: String,
    /// The command line.
    pub command: String,
    /// Measured slices.
    pub slices: usize,
}

/// One group of both runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupComparison {
    /// Of the group, or `all`.
    pub name: String,
    /// Those that both runs have.
    pub figures: Vec<FigureComparison>,
}

/// One figure of both runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FigureComparison {
    /// As in thresholds.
    pub figure: String,
    /// Of both values and the difference.
    pub unit: Unit,
    /// A's.
    pub a: f64,
    /// B's.
    pub b: f64,
    /// B - A.
    pub difference: f64,
    /// Where the difference lies with the asked confidence; null when nothing can be said.
    pub difference_interval: Option<Interval>,
    /// B / A; null when A is 0.
    pub ratio: Option<f64>,
    /// Where the ratio lies with the asked confidence.
    pub ratio_interval: Option<Interval>,
    /// B against A.
    pub verdict: Verdict,
}

/// How B stands against A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Beyond noise, in the direction that is better for the figure.
    Better,
    /// Beyond noise, in the other direction.
    Worse,
    /// Within noise.
    Same,
    /// Too few slices or samples to tell.
    TooFew,
}

/// Why two reports cannot be compared at all.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A confidence is between 0 and 1.
    #[error("a confidence is more than 0.5 and less than 1, such as 0.95; this is {0}")]
    Confidence(f64),
    /// Nothing in common.
    #[error("no group is in both runs: A has {a}, B has {b}")]
    NoGroup {
        /// Names of A's groups.
        a: String,
        /// Names of B's groups.
        b: String,
    },
    /// Nothing to compare.
    #[error("{0} has no measured slice")]
    NothingMeasured(&'static str),
    /// A histogram cannot be read.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Holds B against A. The same two reports give the same answer every time.
///
/// # Errors
/// When they have nothing in common, one has nothing measured, a histogram cannot be read, or `confidence` is none.
pub fn compare(a: &Report, b: &Report, confidence: f64) -> Result<Comparison, CompareError> {
    if !(confidence > 0.5 && confidence < 1.0) {
        return Err(CompareError::Confidence(confidence));
    }
    for (report, name) in [(a, "A"), (b, "B")] {
        if !report.series.iter().any(|slice| slice.measured) {
            return Err(CompareError::NothingMeasured(name));
        }
    }
    let mut wanted: Vec<&str> = a.group_names().into_iter().filter(|name| b.group_names().contains(name)).collect();
    if wanted.is_empty() {
        return Err(CompareError::NoGroup { a: a.group_names().join(", "), b: b.group_names().join(", ") });
    }
    if a.groups.len() > 1 && a.group_names() == b.group_names() {
        wanted.push(ALL);
    }
    let mut groups = Vec::new();
    for name in wanted {
        let (one, two) = (slices(a, name)?, slices(b, name)?);
        let figures = group(&one, &two, (of(a, name), of(b, name)), confidence);
        groups.push(GroupComparison { name: name.to_owned(), figures });
    }
    Ok(Comparison { a: side(a), b: side(b), confidence, warnings: warnings(a, b), groups })
}

fn side(report: &Report) -> Side {
    Side {
        name: report.name.clone(),
        started: report.started.clone(),
        command: report.command.clone(),
        slices: report.series.iter().filter(|slice| slice.measured).count(),
    }
}

fn of<'a>(report: &'a Report, name: &str) -> &'a GroupReport {
    report.groups.iter().find(|group| group.name == name).unwrap_or(&report.all)
}

/// What one slice of one group recorded.
struct SliceOf {
    seconds: f64,
    measured: bool,
    record: Record,
}

/// The slices of a group, or of all groups together.
fn slices(report: &Report, name: &str) -> Result<Vec<SliceOf>, PackError> {
    let place = report.groups.iter().position(|group| group.name == name);
    let mut slices = Vec::new();
    for slice in &report.series {
        let mut record = Record::with(&[]);
        for (index, packed) in slice.groups.iter().enumerate() {
            if place.is_none_or(|place| place == index) {
                record.merge(&packed.unpack()?);
            }
        }
        slices.push(SliceOf { seconds: slice.seconds(), measured: slice.measured, record });
    }
    Ok(slices)
}

fn group(
    a: &[SliceOf],
    b: &[SliceOf],
    reports: (&GroupReport, &GroupReport),
    confidence: f64,
) -> Vec<FigureComparison> {
    let mut figures = Vec::new();
    // Figures of one distribution are read off the same draws, which is what takes the time.
    let mut streams: Vec<(Timing, [Stream; 2])> = Vec::new();
    for (name, more_is_better) in COMPARED {
        let [one, two] = [reports.0, reports.1].map(|group| group.figure(name));
        let (Some(value_a), Some(value_b)) = (one.value, two.value) else { continue };
        let interval = match figures::lookup(name) {
            Some(Figure::Timing(timing, Stat::Quantile(quantile))) => {
                if !streams.iter().any(|(known, _)| *known == timing) {
                    streams.push((timing, [stream(a, timing), stream(b, timing)]));
                }
                let found = streams.iter().find(|(known, _)| *known == timing);
                found.and_then(|(_, [one, two])| bootstrap::quantile(one, two, quantile, confidence))
            }
            Some(Figure::Scalar(_)) => {
                let [one, two] = [a, b].map(|slices| samples(slices, name));
                bootstrap::share(&one, &two, confidence)
            }
            _ => None,
        };
        figures.push(judged(name, one.unit, [value_a, value_b], interval, more_is_better));
    }
    figures
}

fn judged(
    name: &str,
    unit: Unit,
    [a, b]: [f64; 2],
    interval: Option<(Interval, Option<Interval>)>,
    more_is_better: bool,
) -> FigureComparison {
    let small = (b - a).abs() <= RESOLUTION * a.abs().max(b.abs());
    let verdict = match &interval {
        None => Verdict::TooFew,
        // The sign of the interval and of the difference agree but for freaks; those are no finding.
        Some((by, _)) if small || by.low <= 0.0 && by.high >= 0.0 || (by.low > 0.0) != (b > a) => Verdict::Same,
        Some((by, _)) if (by.low > 0.0) == more_is_better => Verdict::Better,
        Some(_) => Verdict::Worse,
    };
    FigureComparison {
        figure: name.to_owned(),
        unit,
        a,
        b,
        difference: b - a,
        difference_interval: interval.map(|(difference, _)| difference),
        ratio: (a != 0.0).then(|| b / a),
        ratio_interval: interval.and_then(|(_, ratio)| ratio),
        verdict,
    }
}

/// The slices that a timing's total covers: measured ones, or all that have any where it counts always.
fn stream(slices: &[SliceOf], timing: Timing) -> Stream {
    let counts = |slice: &&SliceOf| slice.measured || timing.counts_always();
    let histograms = slices.iter().filter(counts).filter_map(|slice| slice.record.timing(timing));
    Stream::new(histograms.filter(|values| !timing.counts_always() || !values.is_empty()))
}

/// A figure that is one sum over another, slice by slice. None for one that is not, such as fairness, which is only
/// known for the whole run.
fn samples(slices: &[SliceOf], name: &str) -> Vec<Sample> {
    use crate::record::Count::{
        BytesRead, CallsAnswered, CallsDue, CallsFailed, Conflated, Delivered, Missing, Owed, Sequenced,
    };
    let sample = |slice: &SliceOf| {
        let of = |count| slice.record.of(count) as f64;
        let (part, whole) = match name {
            "missing" => (of(Missing), of(Owed) + of(Missing)),
            "conflated" => (of(Conflated), of(Sequenced) + of(Conflated)),
            "delivered_per_s" => (of(Delivered), slice.seconds),
            "bytes_per_s" => (of(BytesRead), slice.seconds),
            "calls_per_s" => (of(CallsAnswered), slice.seconds),
            "calls_failed" => (of(CallsFailed), of(CallsDue)),
            _ => return None,
        };
        Some(Sample { part, whole })
    };
    slices.iter().filter(|slice| slice.measured).filter_map(sample).collect()
}

/// Fields of a plan that may differ between runs that are alike: what they are called, what they must hold, where the
/// server listened, and what was drawn by chance.
const MAY_DIFFER: [&str; 6] = ["name", "thresholds", "seed", "url", "authority", "address"];

/// Differences that are listed by name.
const LISTED_MAX: usize = 12;

fn warnings(a: &Report, b: &Report) -> Vec<String> {
    let mut out = Vec::new();
    for (report, name) in [(a, "A"), (b, "B")] {
        if !report.verdict.valid {
            out.push(format!("{name} is an invalid run: {}", report.verdict.invalid_reasons.join("; ")));
        }
        if let Some(reason) = &report.verdict.cut_short {
            out.push(format!("{name} was cut short: {reason}"));
        }
    }
    let mut differing = Vec::new();
    differences("", &a.plan, &b.plan, &mut differing);
    if !differing.is_empty() {
        let more = differing.len().saturating_sub(LISTED_MAX);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        differing.truncate(LISTED_MAX);
        out.push(format!("the plans differ: {}{more}", differing.join(", ")));
    }
    if a.generators.iter().map(|from| &from.machine).ne(b.generators.iter().map(|from| &from.machine)) {
        out.push("the runs were made on different machines".to_owned());
    }
    if a.tool_version != b.tool_version {
        out.push(format!("swarmcast-load {} made A, {} made B", a.tool_version, b.tool_version));
    }
    out
}

/// Paths of the fields in which two plans differ, with both values where they are short.
fn differences(path: &str, a: &Value, b: &Value, out: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (a, b) {
        (Value::Object(one), Value::Object(two)) => {
            let mut names: Vec<&String> = one.keys().chain(two.keys()).collect();
            names.sort();
            names.dedup();
            for name in names.into_iter().filter(|name| !MAY_DIFFER.contains(&name.as_str())) {
                let [one, two] = [one, two].map(|of| of.get(name).unwrap_or(&Value::Null));
                differences(&below(name), one, two, out);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (index, (one, two)) in one.iter().zip(two).enumerate() {
                differences(&below(&index.to_string()), one, two, out);
            }
        }
        _ if a == b => {}
        _ => {
            let [one, two] = [a, b].map(Value::to_string);
            let short = one.len() + two.len() < 48;
            out.push(if short { format!("{path} ({one}, {two})") } else { path.to_owned() });
        }
    }
}
