//! Whether a soak stage ended as it began: its first tenth beside its last one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::show;
use crate::collect::{Collected, PackedSlice};
use crate::figures::{Unit, lookup};
use crate::plan::StageKind;
use crate::record::{PackError, Packed, Record};

/// A tenth of fewer slices says nothing.
const SLICES_MIN: usize = 10;

/// What is set side by side, where it was measured.
const FIGURES: [&str; 6] = ["latency.p50", "latency.p99", "latency_raw.p99", "delivered_per_s", "missing", "call.p99"];

/// One figure of one group at both ends of a soak stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// Place in the plan's stages.
    pub stage: usize,
    /// The group's name.
    pub group: String,
    /// As thresholds name it.
    pub figure: String,
    /// What it is measured in.
    pub unit: Unit,
    /// In the first tenth of the stage.
    pub first: f64,
    /// In the last tenth.
    pub last: f64,
}

impl Drift {
    /// The last tenth over the first; `None` when that was 0.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.first > 0.0).then(|| self.last / self.first)
    }

    /// A line for a table.
    #[must_use]
    pub fn line(&self) -> String {
        let value = |value| show::figure(Some(value), self.unit);
        let ratio = self.ratio().map_or(String::new(), |ratio| format!(" ({ratio:.2} times)"));
        format!(
            "{} {}: first tenth {}, last tenth {}{ratio}",
            self.group,
            self.figure,
            value(self.first),
            value(self.last)
        )
    }
}

/// Of every soak stage that is long enough.
pub(super) fn drifts(of: &Collected) -> Result<Vec<Drift>, PackError> {
    let mut out = Vec::new();
    for (stage, _) in of.plan.stages.iter().enumerate().filter(|(_, stage)| stage.kind == StageKind::Soak) {
        let inside = |entry: &&PackedSlice| entry.slice.stage == stage && entry.slice.measured;
        let slices: Vec<&PackedSlice> = of.series.iter().filter(inside).collect();
        if slices.len() < SLICES_MIN {
            continue;
        }
        let tenth = slices.len() / 10;
        for (index, group) in of.plan.groups.iter().enumerate() {
            let (first, first_s) = sum(slices.iter().take(tenth), index)?;
            let (last, last_s) = sum(slices.iter().rev().take(tenth), index)?;
            for figure in FIGURES {
                let Some(known) = lookup(figure) else { continue };
                let (Some(first), Some(last)) = (known.read(&first, first_s), known.read(&last, last_s)) else {
                    continue;
                };
                let (group, figure) = (group.name.clone(), figure.to_owned());
                out.push(Drift { stage, group, figure, unit: known.unit(), first, last });
            }
        }
    }
    Ok(out)
}

/// What a group did in some slices, and their seconds.
fn sum<'a>(slices: impl Iterator<Item = &'a &'a PackedSlice>, group: usize) -> Result<(Record, f64), PackError> {
    let (mut sum, mut length_ns) = (Record::with(&[]), 0);
    for slice in slices {
        length_ns += slice.slice.end_ns - slice.slice.start_ns;
        if let Some(record) = slice.groups.get(group).map(Packed::unpack).transpose()? {
            sum.append(&record, true);
        }
    }
    Ok((sum, length_ns as f64 / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Collector;
    use crate::collect::tests::{interval, plan};
    use crate::record::{Count, Timing};
    use std::sync::Arc;

    #[test]
    fn a_soak_that_gets_slower_shows_it() {
        let mut plan = plan(1, 1, 40);
        plan.stages[1].kind = StageKind::Soak;
        let plan = Arc::new(plan);
        let mut collector = Collector::new(Arc::clone(&plan), String::new(), 0, 1);
        for slice in 0..plan.slices().len() {
            let mut one = interval(&plan, 0, slice);
            let mut record = Record::with(&[Timing::Latency, Timing::Gap]);
            record.record(Timing::Latency, 1_000_000 * (1 + slice as u64), 100);
            record.count(Count::Delivered, 100);
            one.groups = vec![record];
            collector.take(0, one);
        }
        let drifts = drifts(&collector.finish(vec![], vec![], None).unwrap()).unwrap();
        let p99 = drifts.iter().find(|drift| drift.figure == "latency.p99").unwrap();
        assert!(p99.ratio().unwrap() > 6.0, "{p99:?}");
        let rate = drifts.iter().find(|drift| drift.figure == "delivered_per_s").unwrap();
        assert!((rate.ratio().unwrap() - 1.0).abs() < 1e-9, "{rate:?}");
        assert!(p99.line().contains("times"), "{}", p99.line());
    }
}
