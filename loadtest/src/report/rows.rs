//! Which figures a table shows, in what order, and how each reads: one list for terminal, Markdown and HTML.

use crate::report::model::{GroupReport, Report};
use crate::report::show;

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub title: String,
    /// One per column.
    pub cells: Vec<String>,
    /// The first of a block.
    pub opens: bool,
}

/// A figure and its title.
type Line = (&'static str, &'static str);

/// When a block is shown.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    /// Always; what is unknown is shown as such.
    Always,
    /// Where any group has any of it.
    WhenKnown,
}

const BLOCKS: [(Shown, &[Line]); 14] = [
    (
        Shown::Always,
        &[
            ("delivered_per_s", "frames/s delivered"),
            ("offered_per_s", "frames/s offered"),
            ("bytes_per_s", "bytes read per second"),
            ("missing", "missing: owed, did not come"),
            ("conflated", "conflated by the server"),
            ("fairness", "fairness: slowest / median"),
        ],
    ),
    (
        Shown::Always,
        &[
            ("latency.p50", "latency p50 (corrected)"),
            ("latency.p90", "latency p90"),
            ("latency.p99", "latency p99"),
            ("latency.p99.9", "latency p99.9"),
            ("latency.max", "latency max"),
        ],
    ),
    (
        Shown::Always,
        &[
            ("latency_raw.p50", "latency p50 (raw)"),
            ("latency_raw.p90", "latency p90 (raw)"),
            ("latency_raw.p99", "latency p99 (raw)"),
            ("latency_raw.p99.9", "latency p99.9 (raw)"),
            ("latency_raw.max", "latency max (raw)"),
        ],
    ),
    (Shown::Always, &[("gap.p99", "gap between frames p99"), ("gap.max", "gap between frames longest")]),
    (
        Shown::Always,
        &[
            ("first_frame.p50", "first frame p50"),
            ("first_frame.p99", "first frame p99"),
            ("first_frame.max", "first frame max"),
        ],
    ),
    (Shown::Always, &[("connect.p50", "connect p50"), ("connect.p99", "connect p99"), ("connect.max", "connect max")]),
    (
        Shown::WhenKnown,
        &[
            ("round_trip.p50", "round trip p50"),
            ("round_trip.p99", "round trip p99"),
            ("round_trip.max", "round trip max"),
        ],
    ),
    (
        Shown::WhenKnown,
        &[
            ("calls_per_s", "calls/s answered"),
            ("calls_failed", "calls failed"),
            ("call.p50", "call p50 (from due)"),
            ("call.p99", "call p99 (from due)"),
            ("call.p99.9", "call p99.9 (from due)"),
            ("call.max", "call max (from due)"),
            ("call_service.p50", "call p50 (from sent)"),
            ("call_service.p99", "call p99 (from sent)"),
        ],
    ),
    (Shown::WhenKnown, &[("messages_per_s", "messages/s sent")]),
    (Shown::WhenKnown, &[("eviction.p50", "kept by the server p50"), ("eviction.max", "kept by the server max")]),
    (Shown::WhenKnown, &[("own_queue.p50", "waits in own buffer p50"), ("own_queue.max", "waits in own buffer max")]),
    (
        Shown::WhenKnown,
        &[
            ("bytes_per_node", "bytes per node and frame"),
            ("deltas", "deltas"),
            ("snapshots", "snapshots"),
            ("left_out", "deltas left out, healed by a snapshot"),
            ("marks", "marks"),
            ("infos", "chains begun"),
            ("columns", "columns"),
            ("rungs", "changes of quality told"),
            ("acks", "acknowledgements sent"),
        ],
    ),
    (Shown::WhenKnown, &[("verified", "frames verified"), ("compared", "frames compared with full ones")]),
    (Shown::Always, &[("connected", "connections made"), ("lost", "connections lost"), ("errors", "errors")]),
];

/// The table of a report: one cell per [`Report::columns`].
#[must_use]
pub fn rows(report: &Report) -> Vec<Row> {
    let columns = report.columns();
    let mut rows = Vec::new();
    for (shown, lines) in BLOCKS {
        let known = |(name, _): &Line| columns.iter().any(|group| group.figure(name).value.is_some());
        if shown == Shown::WhenKnown && !lines.iter().any(known) {
            continue;
        }
        rows.extend(lines.iter().enumerate().map(|(index, (name, title))| Row {
            title: (*title).to_owned(),
            cells: columns.iter().map(|group| cell(group, name)).collect(),
            opens: index == 0,
        }));
    }
    for kind in report.all.errors.keys() {
        let of = |group: &&GroupReport| show::count(group.errors.get(kind).copied().unwrap_or(0) as f64);
        rows.push(Row { title: format!("  {kind}"), cells: columns.iter().map(of).collect(), opens: false });
    }
    rows
}

fn cell(group: &GroupReport, name: &str) -> String {
    let figure = group.figure(name);
    show::figure(figure.value, figure.unit)
}

/// What the tool saw of itself, in a sentence.
#[must_use]
pub fn tool_line(report: &Report) -> String {
    let tool = &report.tool;
    let late = |value: Option<f64>| value.map_or(show::UNKNOWN.to_owned(), show::time);
    let wait = tool.thread_wait.map_or(show::UNKNOWN.to_owned(), show::share);
    format!(
        "timers late p50 {}, p99 {}, max {}; busiest thread {} of a core, waited for a core {} of the time",
        late(tool.lateness_p50),
        late(tool.lateness_p99),
        late(tool.lateness_max),
        show::share(tool.thread_cpu),
        wait
    )
}

/// The clock of every server, groups with the same one together.
#[must_use]
pub fn clock_lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for group in &report.groups {
        let Some(clock) = group.clock else { continue };
        let text = match clock.error_ns {
            Some(0) if clock.offset_ns == 0 => "one clock, no offset".to_owned(),
            Some(error) => format!(
                "server {}{}, off by at most {}, from {} round trips",
                if clock.offset_ns < 0 { "-" } else { "+" },
                show::time(clock.offset_ns.unsigned_abs() as f64),
                show::time(error as f64),
                show::count(clock.samples as f64)
            ),
            None => "offset unknown: raw latency is only as good as the two clocks agree".to_owned(),
        };
        match lines.iter_mut().find(|(known, _)| *known == text) {
            Some((_, groups)) => groups.push(&group.name),
            None => lines.push((text, vec![&group.name])),
        }
    }
    if let [(text, _)] = lines.as_slice() {
        return vec![text.clone()];
    }
    lines.into_iter().map(|(text, groups)| format!("{}: {text}", groups.join(", "))).collect()
}

/// The verdict in a word, and why.
#[must_use]
pub fn verdict(report: &Report) -> (&'static str, Vec<String>) {
    let mut why: Vec<String> = report.verdict.invalid_reasons.clone();
    why.extend(report.verdict.cut_short.iter().map(|reason| format!("cut short: {reason}")));
    let broken = report.thresholds.iter().filter(|threshold| !threshold.held).count();
    let word = match (report.verdict.valid, broken, report.thresholds.len()) {
        (false, ..) => "INVALID",
        (true, 0, _) if report.verdict.cut_short.is_some() => "CUT SHORT",
        (true, 0, 0) => "valid",
        (true, 0, _) => "valid, every threshold held",
        (true, ..) => "valid, THRESHOLD BROKEN",
    };
    (word, why)
}

/// The figure that a threshold is about, read like in the table.
#[must_use]
pub fn threshold_value(report: &Report, index: usize) -> String {
    let Some(threshold) = report.thresholds.get(index) else { return show::UNKNOWN.to_owned() };
    let planned = report.plan.get("thresholds").and_then(|all| all.get(index));
    let name = planned.and_then(|planned| planned.get("figure")).and_then(serde_json::Value::as_str);
    let unit = name.and_then(crate::figures::lookup).map(|figure| figure.unit());
    match unit {
        Some(unit) => show::figure(threshold.value, unit),
        None => threshold.value.map_or(show::UNKNOWN.to_owned(), |value| value.to_string()),
    }
}
