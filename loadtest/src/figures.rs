//! Every figure that a run has, by name: one table for thresholds, tables and reports.
//!
//! A distribution has `.p50` `.p90` `.p99` `.p99.9` `.p99.99` (any `.pNUMBER`), `.min`, `.max`, `.mean` and `.count`.
//! What was not measured is `None`, never 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{Count, Record, TIMINGS, Timing};

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Time,
    /// From 0 to 1.
    #[serde(rename = "share")]
    Share,
    /// Pieces.
    #[serde(rename = "count")]
    Count,
    /// Pieces per second.
    #[serde(rename = "per_s")]
    Rate,
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// Bytes per second.
    #[serde(rename = "bytes_per_s")]
    ByteRate,
}

/// A figure that is not part of a distribution.
#[derive(Clone, Copy, Debug)]
pub struct Scalar {
    /// The name in thresholds and JSON.
    pub name: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// For people.
    pub title: &'static str,
    /// Reads it off totals and measured seconds.
    pub read: fn(&Record, f64) -> Option<f64>,
}

/// All of them.
pub const SCALARS: [Scalar; 28] = [
    Scalar {
        name: "delivered",
        unit: Unit::Count,
        title: "frames delivered",
        read: |of, _| frames(of, Count::Delivered),
    },
    Scalar {
        name: "delivered_per_s",
        unit: Unit::Rate,
        title: "delivered frames/s",
        read: |of, s| per(frames(of, Count::Delivered), s),
    },
    Scalar { name: "offered", unit: Unit::Count, title: "frames owed to clients", read: |of, _| offered(of) },
    Scalar { name: "offered_per_s", unit: Unit::Rate, title: "offered frames/s", read: |of, s| per(offered(of), s) },
    Scalar {
        name: "missing",
        unit: Unit::Share,
        title: "owed frames that did not come",
        read: |of, _| share(of.of(Count::Missing), offered(of)),
    },
    Scalar { name: "conflated", unit: Unit::Share, title: "frames left out by the server", read: conflated },
    Scalar { name: "fairness", unit: Unit::Share, title: "slowest client / median", read: |of, _| fairness(of) },
    Scalar {
        name: "bytes",
        unit: Unit::Bytes,
        title: "bytes read",
        read: |of, _| Some(of.of(Count::BytesRead) as f64),
    },
    Scalar {
        name: "bytes_per_s",
        unit: Unit::ByteRate,
        title: "bytes/s read",
        read: |of, s| per(Some(of.of(Count::BytesRead) as f64), s),
    },
    Scalar { name: "errors", unit: Unit::Count, title: "errors", read: |of, _| Some(of.error_count() as f64) },
    Scalar {
        name: "connected",
        unit: Unit::Count,
        title: "connections that stood",
        read: |of, _| Some(of.of(Count::Connected) as f64),
    },
    Scalar {
        name: "lost",
        unit: Unit::Count,
        title: "connections lost",
        read: |of, _| Some(of.of(Count::Lost) as f64),
    },
    Scalar {
        name: "messages",
        unit: Unit::Count,
        title: "messages sent",
        read: |of, _| some(of.of(Count::MessagesSent), of.of(Count::MessagesDue)),
    },
    Scalar {
        name: "messages_per_s",
        unit: Unit::Rate,
        title: "messages sent/s",
        read: |of, s| per(some(of.of(Count::MessagesSent), of.of(Count::MessagesDue)), s),
    },
    Scalar {
        name: "calls",
        unit: Unit::Count,
        title: "calls answered",
        read: |of, _| some(of.of(Count::CallsAnswered), of.of(Count::CallsDue)),
    },
    Scalar {
        name: "calls_per_s",
        unit: Unit::Rate,
        title: "calls answered/s",
        read: |of, s| per(some(of.of(Count::CallsAnswered), of.of(Count::CallsDue)), s),
    },
    Scalar {
        name: "calls_failed",
        unit: Unit::Share,
        title: "calls that failed",
        read: |of, _| share(of.of(Count::CallsFailed), some(of.of(Count::CallsDue), of.of(Count::CallsDue))),
    },
    Scalar {
        name: "verified",
        unit: Unit::Count,
        title: "frames checked byte for byte",
        read: |of, _| some(of.of(Count::Verified), of.of(Count::Verified)),
    },
    Scalar {
        name: "compared",
        unit: Unit::Count,
        title: "frames compared with full ones",
        read: |of, _| some(of.of(Count::Compared), of.of(Count::Compared)),
    },
    Scalar { name: "bytes_per_node", unit: Unit::Bytes, title: "bytes per node and frame", read: bytes_per_node },
    Scalar { name: "deltas", unit: Unit::Count, title: "deltas", read: |of, _| chained(of, Count::Deltas) },
    Scalar { name: "snapshots", unit: Unit::Count, title: "snapshots", read: |of, _| chained(of, Count::Snapshots) },
    Scalar { name: "infos", unit: Unit::Count, title: "chains begun", read: |of, _| chained(of, Count::Infos) },
    Scalar { name: "columns", unit: Unit::Count, title: "columns", read: |of, _| chained(of, Count::Columns) },
    Scalar { name: "marks", unit: Unit::Count, title: "marks", read: |of, _| chained(of, Count::Marks) },
    Scalar {
        name: "left_out",
        unit: Unit::Count,
        title: "deltas left out, healed by a snapshot",
        read: |of, _| chained(of, Count::LeftOut),
    },
    Scalar {
        name: "rungs",
        unit: Unit::Count,
        title: "changes of quality told",
        read: |of, _| chained(of, Count::Rungs),
    },
    Scalar { name: "acks", unit: Unit::Count, title: "acknowledgements sent", read: |of, _| chained(of, Count::Acks) },
];

/// A figure by its name in a threshold.
#[derive(Clone, Copy, Debug)]
pub enum Figure {
    /// One number.
    Scalar(Scalar),
    /// A place in a distribution.
    Timing(Timing, Stat),
}

/// A place in a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stat {
    /// From 0 to 1.
    Quantile(f64),
    /// Least.
    Min,
    /// Most.
    Max,
    /// Sum over count.
    Mean,
    /// Samples.
    Count,
}

/// The figure called `name`, such as `latency.p99.9`, `missing` or `connect.max`.
#[must_use]
pub fn lookup(name: &str) -> Option<Figure> {
    if let Some(scalar) = SCALARS.into_iter().find(|scalar| scalar.name == name) {
        return Some(Figure::Scalar(scalar));
    }
    let (timing, stat) = name.split_once('.')?;
    let timing = TIMINGS.into_iter().find(|known| known.name() == timing)?;
    let stat = match stat {
        "min" => Stat::Min,
        "max" => Stat::Max,
        "mean" => Stat::Mean,
        "count" => Stat::Count,
        _ => {
            let percent: f64 = stat.strip_prefix('p')?.parse().ok()?;
            // 99.9 / 100 is a hair more than 0.999, which would ask for the next sample up: of 1,000, the greatest.
            let quantile = (percent * 1e7).round() / 1e9;
            (0.0..=100.0).contains(&percent).then_some(Stat::Quantile(quantile))?
        }
    };
    Some(Figure::Timing(timing, stat))
}

/// Every name that [`lookup`] takes, for messages: scalars, and `TIMING.pNN` and its kin.
#[must_use]
pub fn names() -> Vec<String> {
    let scalars = SCALARS.iter().map(|scalar| scalar.name.to_owned());
    let timings = TIMINGS.iter().map(|timing| format!("{}.p50|p99|p99.9|min|max|mean|count", timing.name()));
    scalars.chain(timings).collect()
}

impl Figure {
    /// What it is measured in.
    #[must_use]
    pub fn unit(&self) -> Unit {
        match self {
            Self::Scalar(scalar) => scalar.unit,
            Self::Timing(_, Stat::Count) => Unit::Count,
            Self::Timing(Timing::ClientRate, _) => Unit::Rate,
            Self::Timing(..) => Unit::Time,
        }
    }

    /// Reads it off totals of `measured_s` seconds; `None` when it was not measured.
    #[must_use]
    pub fn read(&self, of: &Record, measured_s: f64) -> Option<f64> {
        match *self {
            Self::Scalar(scalar) => (scalar.read)(of, measured_s),
            Self::Timing(timing, Stat::Count) => Some(of.timing(timing).map_or(0.0, |values| values.len() as f64)),
            Self::Timing(timing, stat) => {
                let values = of.timing(timing).filter(|values| !values.is_empty())?;
                let value = match stat {
                    Stat::Quantile(quantile) => values.value_at_quantile(quantile) as f64,
                    Stat::Min => values.min() as f64,
                    Stat::Max => values.max() as f64,
                    Stat::Mean | Stat::Count => values.mean(),
                };
                Some(if timing == Timing::ClientRate { value / 1_000.0 } else { value })
            }
        }
    }
}

/// Frames, in a group that gets any.
fn frames(of: &Record, count: Count) -> Option<f64> {
    of.timing(Timing::Gap).map(|_| of.of(count) as f64)
}

/// What was owed: known where a rate is, which is said when a connection opens and shows in every frame after.
fn offered(of: &Record) -> Option<f64> {
    let owed = of.of(Count::Owed) + of.of(Count::Missing);
    (of.of(Count::Owing) + owed > 0).then_some(owed as f64)
}

/// Left out by sequence, of all that were sent or left out; known where frames carry a sequence.
fn conflated(of: &Record, _: f64) -> Option<f64> {
    share(of.of(Count::Conflated), Some((of.of(Count::Sequenced) + of.of(Count::Conflated)) as f64))
}

fn fairness(of: &Record) -> Option<f64> {
    let rates = of.timing(Timing::ClientRate).filter(|rates| rates.len() > 1)?;
    let median = rates.value_at_quantile(0.5);
    (median > 0).then(|| rates.min() as f64 / median as f64)
}

fn share(part: u64, whole: Option<f64>) -> Option<f64> {
    whole.filter(|whole| *whole > 0.0).map(|whole| part as f64 / whole)
}

fn per(what: Option<f64>, seconds: f64) -> Option<f64> {
    what.filter(|_| seconds > 0.0).map(|what| what / seconds)
}

/// A count of the compact profile, known where a chain has begun.
fn chained(of: &Record, count: Count) -> Option<f64> {
    some(of.of(count), of.of(Count::Infos))
}

/// Of deltas and of full frames that have a header; joining and healing apart.
fn bytes_per_node(of: &Record, _: f64) -> Option<f64> {
    share(of.of(Count::FrameBytes), Some(of.of(Count::NodeFrames) as f64))
}

/// A count of something that only some groups do.
fn some(count: u64, due: u64) -> Option<f64> {
    (due > 0).then_some(count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_figures_and_nothing_else_does() {
        for scalar in SCALARS {
            assert!(lookup(scalar.name).is_some());
        }
        assert!(
            matches!(lookup("latency.p99.9"), Some(Figure::Timing(Timing::Latency, Stat::Quantile(q))) if q == 0.999)
        );
        for wrong in ["latency", "latency.99", "latency.p101", "latency.pNaN", "nothing.p50", "", "."] {
            assert!(lookup(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_was_not_measured_is_unknown() {
        let empty = Record::with(&[]);
        for name in ["latency.p99", "missing", "conflated", "fairness", "calls", "delivered"] {
            assert_eq!(lookup(name).unwrap().read(&empty, 1.0), None, "{name}");
        }
        assert_eq!(lookup("errors").unwrap().read(&empty, 1.0), Some(0.0));
        let mut record = Record::with(&[Timing::Latency, Timing::Gap]);
        record.count(Count::Owing, 1);
        record.count(Count::Owed, 90);
        record.count(Count::Delivered, 95);
        record.count(Count::Missing, 10);
        record.record(Timing::Latency, 2_000_000, 100);
        assert_eq!(lookup("missing").unwrap().read(&record, 2.0), Some(0.1));
        assert_eq!(lookup("offered_per_s").unwrap().read(&record, 2.0), Some(50.0));
        assert_eq!(lookup("conflated").unwrap().read(&record, 2.0), None);
    }
}
