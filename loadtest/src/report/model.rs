//! A run's account as one JSON file: enough to show it again in every form, and to compare it with another run.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::drift::{Drift, drifts};
use crate::collect::{ClockNote, Collected, GeneratorNote, Merged, PackedSlice, Watch};
use crate::figures::{self, SCALARS, Unit};
use crate::plan::Slice;
use crate::record::{PackError, Packed, Record, TIMINGS, Timing, histogram, pack_histogram, unpack_histogram};

/// What `report` says in every file.
pub const KIND: &str = "swarmcast-load";

/// Version of the layout; a file of another one is refused.
pub const VERSION: u32 = 1;

/// Name of the sum of all groups.
pub const ALL: &str = "all";

/// Places in a distribution that a report states, as in names of figures.
pub const STATS: [&str; 9] = ["count", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];

/// A run's account. Times are ns and counted from the start of the run unless a name says otherwise; what was not
/// measured is null, never 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Report of swarmcast-load")]
pub struct Report {
    /// Always `swarmcast-load`: tells a report from other JSON.
    pub report: String,
    /// Of this layout.
    pub version: u32,
    /// Of the program that wrote it.
    pub tool_version: String,
    /// Of the plan.
    pub name: String,
    /// The command line.
    pub command: String,
    /// Start of the run, RFC 3339 in UTC.
    pub started: String,
    /// Start of the run, ms since 1970.
    pub started_unix_ms: u64,
    /// Seconds that the figures cover.
    pub measured_s: f64,
    /// The hosts and processes that made the load.
    pub generators: Vec<GeneratorNote>,
    /// What was to be done, resolved.
    pub plan: Value,
    /// Whether the figures may be believed.
    pub verdict: Verdict,
    /// In the plan's order.
    pub thresholds: Vec<ThresholdResult>,
    /// The tool about itself, in measured slices.
    pub tool: ToolReport,
    /// All groups together; the name is `all`.
    pub all: GroupReport,
    /// In the plan's order.
    pub groups: Vec<GroupReport>,
    /// How soak stages ended, beside how they began; empty where there is none that is long enough.
    pub drift: Vec<Drift>,
    /// In order of time.
    pub series: Vec<SliceReport>,
}

/// Whether the figures may be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The tool did not spoil the run.
    pub valid: bool,
    /// Why not.
    pub invalid_reasons: Vec<String>,
    /// Why the run ended before its time.
    pub cut_short: Option<String>,
}

/// What became of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdResult {
    /// As the user wrote it.
    pub text: String,
    /// The figure, in its own unit: ns, a share from 0 to 1, a count, a rate. `None` when it was not measured.
    pub value: Option<f64>,
    /// Whether the figure keeps the bound; one that was not measured does not.
    pub held: bool,
}

/// What the tool saw of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolReport {
    /// Half of its timers ran at most this late, ns.
    pub lateness_p50: Option<f64>,
    /// 99 of 100.
    pub lateness_p99: Option<f64>,
    /// The latest.
    pub lateness_max: Option<f64>,
    /// Greatest share of a core that one thread used.
    pub thread_cpu: f64,
    /// Greatest share of the time that one thread waited for a core; null where the kernel does not say.
    pub thread_wait: Option<f64>,
    /// All of the lateness: V2 deflate in base64; empty when there is none.
    pub lateness: String,
}

/// One group, or all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupReport {
    /// Of the group.
    pub name: String,
    /// The clock of its target against ours; null for all groups together.
    pub clock: Option<ClockNote>,
    /// Most clients connected at the end of a slice.
    pub clients: u64,
    /// By name, such as `missing`.
    pub figures: BTreeMap<String, FigureValue>,
    /// By name, such as `latency`.
    pub timings: BTreeMap<String, TimingValues>,
    /// By kind.
    pub errors: BTreeMap<String, u64>,
    /// All that was recorded, in measured slices and of what counts always.
    pub record: Packed,
}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FigureValue {
    /// Null when it was not measured.
    pub value: Option<f64>,
    /// What it is measured in.
    pub unit: Unit,
}

/// A distribution at some places.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimingValues {
    /// Of everything but the count.
    pub unit: Unit,
    /// Samples.
    pub count: u64,
    /// Least.
    pub min: Option<f64>,
    /// Sum over count.
    pub mean: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// 90 %.
    pub p90: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
    /// 99.9 %.
    #[serde(rename = "p99.9")]
    pub p99_9: Option<f64>,
    /// 99.99 %.
    #[serde(rename = "p99.99")]
    pub p99_99: Option<f64>,
    /// Most.
    pub max: Option<f64>,
}

/// One slice of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SliceReport {
    /// From the start of the run, ns.
    pub start_ns: u64,
    /// Likewise.
    pub end_ns: u64,
    /// Place in the plan's stages.
    pub stage: usize,
    /// Whether its frames count in the figures.
    pub measured: bool,
    /// What each group recorded, in the plan's order.
    pub groups: Vec<Packed>,
    /// The tool about itself.
    pub tool: ToolReport,
}

impl Report {
    /// The account of a run. `invalid_reasons` are the self-check's; none means that the run is valid.
    ///
    /// # Errors
    /// When a histogram cannot be serialised.
    pub fn build(
        of: &Collected,
        invalid_reasons: Vec<String>,
        thresholds: Vec<ThresholdResult>,
    ) -> Result<Self, PackError> {
        let mut all = Record::with(&[]);
        of.totals.iter().for_each(|total| all.merge(total));
        // The sum of every group's most is not what stood at any one time.
        all.connected = of.series.iter().map(connected).max().unwrap_or(all.connected);
        let mut groups = Vec::new();
        for (index, group) in of.plan.groups.iter().enumerate() {
            let empty = Record::with(&[]);
            let total = of.totals.get(index).unwrap_or(&empty);
            groups.push(GroupReport::build(&group.name, of.clocks.get(index).copied(), total, of.measured_s)?);
        }
        let started = SystemTime::UNIX_EPOCH + Duration::from_millis(of.started_unix_ms);
        Ok(Self {
            report: KIND.to_owned(),
            version: VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            name: of.plan.name.clone(),
            command: of.command.clone(),
            started: humantime::format_rfc3339_seconds(started).to_string(),
            started_unix_ms: of.started_unix_ms,
            measured_s: of.measured_s,
            generators: of.generators.clone(),
            plan: serde_json::to_value(&of.plan).map_err(|error| PackError::Histogram(error.to_string()))?,
            verdict: Verdict { valid: invalid_reasons.is_empty(), invalid_reasons, cut_short: of.cut_short.clone() },
            thresholds,
            tool: ToolReport::build(&of.watch)?,
            all: GroupReport::build(ALL, None, &all, of.measured_s)?,
            groups,
            drift: drifts(of)?,
            series: of.series.iter().map(SliceReport::build).collect::<Result<_, _>>()?,
        })
    }

    /// The same run as if only its stages called `stage` had been measured: two stages of one run, played in turn, are
    /// compared like two runs, and share everything else. `None` when none of that name was measured.
    ///
    /// # Errors
    /// When a histogram cannot be read or serialised.
    pub fn of_stage(&self, stage: &str) -> Result<Option<Self>, PackError> {
        let wanted = |slice: &&SliceReport| slice.measured && self.stage_name(slice.stage) == stage;
        let series: Vec<SliceReport> = self.series.iter().filter(wanted).cloned().collect();
        if series.is_empty() {
            return Ok(None);
        }
        let measured_s = series.iter().map(SliceReport::seconds).sum();
        let mut totals = vec![Record::with(&[]); self.groups.len()];
        let mut watch = Watch::default();
        for slice in &series {
            let merged = slice.unpack()?;
            totals.iter_mut().zip(&merged.groups).for_each(|(total, record)| total.append(record, true));
            watch.merge(&merged.watch);
        }
        let mut all = Record::with(&[]);
        totals.iter().for_each(|total| all.merge(total));
        let groups = self.groups.iter().zip(&totals);
        let groups = groups.map(|(group, total)| GroupReport::build(&group.name, group.clock, total, measured_s));
        Ok(Some(Self {
            name: format!("{}, {stage}", self.name),
            measured_s,
            tool: ToolReport::build(&watch)?,
            all: GroupReport::build(ALL, None, &all, measured_s)?,
            groups: groups.collect::<Result<_, _>>()?,
            thresholds: Vec::new(),
            drift: Vec::new(),
            series,
            ..self.clone()
        }))
    }

    /// Names of the groups, in order.
    #[must_use]
    pub fn group_names(&self) -> Vec<&str> {
        self.groups.iter().map(|group| group.name.as_str()).collect()
    }

    /// What a table shows: every group, then all together where that is something else.
    #[must_use]
    pub fn columns(&self) -> Vec<&GroupReport> {
        let all = (self.groups.len() != 1).then_some(&self.all);
        self.groups.iter().chain(all).collect()
    }

    /// The name of a stage of the plan.
    #[must_use]
    pub fn stage_name(&self, stage: usize) -> &str {
        let stages = self.plan.get("stages").and_then(|stages| stages.get(stage));
        stages.and_then(|stage| stage.get("name")).and_then(Value::as_str).unwrap_or("")
    }

    /// Whether every threshold held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.thresholds.iter().all(|threshold| threshold.held)
    }
}

impl GroupReport {
    fn build(name: &str, clock: Option<ClockNote>, of: &Record, measured_s: f64) -> Result<Self, PackError> {
        Ok(Self {
            name: name.to_owned(),
            clock,
            clients: of.connected,
            figures: scalars(of, measured_s),
            timings: TIMINGS.into_iter().map(|timing| (timing.name().to_owned(), quantiles(of, timing))).collect(),
            errors: of.errors.clone(),
            record: of.pack()?,
        })
    }

    /// A figure by the name that thresholds use, such as `missing` or `latency.p99`, of those a report states.
    #[must_use]
    pub fn figure(&self, name: &str) -> FigureValue {
        if let Some(figure) = self.figures.get(name) {
            return *figure;
        }
        let unknown = FigureValue { value: None, unit: Unit::Count };
        let Some((timing, stat)) = name.split_once('.') else { return unknown };
        self.timings.get(timing).map_or(unknown, |timing| timing.figure(stat))
    }
}

/// Every scalar of a record that covers `seconds`.
#[must_use]
pub fn scalars(of: &Record, seconds: f64) -> BTreeMap<String, FigureValue> {
    let value = |scalar: figures::Scalar| FigureValue { value: (scalar.read)(of, seconds), unit: scalar.unit };
    SCALARS.into_iter().map(|scalar| (scalar.name.to_owned(), value(scalar))).collect()
}

/// A timing of a record.
#[must_use]
pub fn quantiles(of: &Record, timing: Timing) -> TimingValues {
    let figure = |stat: &str| figures::lookup(&format!("{}.{stat}", timing.name()));
    let read = |stat: &str| figure(stat).and_then(|figure| figure.read(of, 1.0));
    TimingValues {
        unit: figure("p50").map_or(Unit::Time, |figure| figure.unit()),
        count: of.timing(timing).map_or(0, Histogram::len),
        min: read("min"),
        mean: read("mean"),
        p50: read("p50"),
        p90: read("p90"),
        p99: read("p99"),
        p99_9: read("p99.9"),
        p99_99: read("p99.99"),
        max: read("max"),
    }
}

impl TimingValues {
    /// One of [`STATS`].
    #[must_use]
    pub fn figure(&self, stat: &str) -> FigureValue {
        let value = match stat {
            "count" => return FigureValue { value: Some(self.count as f64), unit: Unit::Count },
            "min" => self.min,
            "mean" => self.mean,
            "p50" => self.p50,
            "p90" => self.p90,
            "p99" => self.p99,
            "p99.9" => self.p99_9,
            "p99.99" => self.p99_99,
            "max" => self.max,
            _ => None,
        };
        FigureValue { value, unit: self.unit }
    }
}

impl ToolReport {
    fn build(of: &Watch) -> Result<Self, PackError> {
        let some = !of.lateness.is_empty();
        let at = |quantile: f64| some.then(|| of.lateness.value_at_quantile(quantile) as f64);
        Ok(Self {
            lateness_p50: at(0.5),
            lateness_p99: at(0.99),
            lateness_max: some.then(|| of.lateness.max() as f64),
            thread_cpu: of.thread_cpu,
            thread_wait: of.thread_wait,
            lateness: if some { pack_histogram(&of.lateness)? } else { String::new() },
        })
    }

    fn unpack(&self) -> Result<Watch, PackError> {
        let lateness = if self.lateness.is_empty() { histogram() } else { unpack_histogram(&self.lateness)? };
        Ok(Watch { lateness, thread_cpu: self.thread_cpu, thread_wait: self.thread_wait })
    }
}

impl SliceReport {
    fn build(of: &PackedSlice) -> Result<Self, PackError> {
        Ok(Self {
            start_ns: of.slice.start_ns,
            end_ns: of.slice.end_ns,
            stage: of.slice.stage,
            measured: of.slice.measured,
            groups: of.groups.clone(),
            tool: ToolReport::build(&of.watch.unpack()?)?,
        })
    }

    /// The slice as it was collected.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn unpack(&self) -> Result<Merged, PackError> {
        let Self { start_ns, end_ns, stage, measured, .. } = *self;
        Ok(Merged {
            slice: Slice { start_ns, end_ns, stage, measured },
            groups: self.groups.iter().map(Packed::unpack).collect::<Result<_, _>>()?,
            watch: self.tool.unpack()?,
        })
    }

    /// How long it is, s.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.end_ns.saturating_sub(self.start_ns) as f64 / 1e9
    }
}

/// Clients connected in all groups at the end of a slice.
fn connected(slice: &PackedSlice) -> u64 {
    slice.groups.iter().map(|group| group.connected).sum()
}

/// What [`Report`] looks like, as JSON Schema. `loadtest/schema/report.schema.json` is this.
#[must_use]
pub fn schema() -> Value {
    schemars::schema_for!(Report).to_value()
}
