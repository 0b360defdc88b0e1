//! The report for a terminal, and the line that lives while the run goes on.

use std::fmt::Write as _;
use std::time::Duration;

use crate::collect::Merged;
use crate::figures;
use crate::record::{Count, Record};
use crate::report::model::Report;
use crate::report::{rows, show};

/// The report as text: one column per group, and `all` when there are several.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let measured = show::time(report.measured_s * 1e9);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}: {measured} measured, started {}", report.name, report.started);
    out.push('\n');
    let columns = report.columns();
    let mut lines = vec![(String::new(), columns.iter().map(|group| group.name.clone()).collect::<Vec<_>>(), false)];
    let clients = columns.iter().map(|group| show::count(group.clients as f64)).collect();
    lines.push(("clients connected, most".to_owned(), clients, false));
    lines.extend(rows::rows(report).into_iter().map(|row| (row.title, row.cells, row.opens)));
    grid(&mut out, &lines);
    out.push('\n');
    let _ = writeln!(out, "tool   {}", rows::tool_line(report));
    for line in rows::clock_lines(report) {
        let _ = writeln!(out, "clock  {line}");
    }
    for drift in &report.drift {
        let _ = writeln!(out, "soak   {}", drift.line());
    }
    for generator in &report.generators {
        let trouble = generator.trouble.as_ref().map_or(String::new(), |trouble| format!(": {trouble}"));
        let _ =
            writeln!(out, "from   {} ({}, {} threads){trouble}", generator.name, generator.machine, generator.threads);
    }
    if !report.thresholds.is_empty() {
        out.push('\n');
    }
    let wide = report.thresholds.iter().map(|threshold| width(&threshold.text)).max().unwrap_or(0);
    for (index, threshold) in report.thresholds.iter().enumerate() {
        let (mark, word) = if threshold.held { ('✓', "held") } else { ('✗', "BROKEN") };
        let pad = " ".repeat(wide - width(&threshold.text));
        let value = rows::threshold_value(report, index);
        let _ = writeln!(out, "{mark} {word:<6}  {}{pad}  was {value}", threshold.text);
    }
    let (word, why) = rows::verdict(report);
    let _ = writeln!(out, "\nverdict: {word}");
    for reason in why {
        let _ = writeln!(out, "  {reason}");
    }
    out
}

/// Titles to the left, cells to the right, a blank line before each block.
fn grid(out: &mut String, lines: &[(String, Vec<String>, bool)]) {
    let first = lines.iter().map(|(title, ..)| width(title)).max().unwrap_or(0);
    let columns = lines.iter().map(|(_, cells, _)| cells.len()).max().unwrap_or(0);
    let widest =
        |column: usize| lines.iter().filter_map(|(_, cells, _)| cells.get(column)).map(|cell| width(cell)).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    for (title, cells, opens) in lines {
        if *opens {
            out.push('\n');
        }
        let _ = write!(out, "{title}{}", " ".repeat(first - width(title)));
        for (cell, wide) in cells.iter().zip(&widths) {
            let _ = write!(out, "  {}{cell}", " ".repeat(wide - width(cell)));
        }
        out.push('\n');
    }
}

/// Places on a terminal: every character here takes one.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// What the last slice was like, for a line that is written over every second. `total` is the planned duration.
#[must_use]
pub fn progress_line(slice: &Merged, elapsed: Duration, total: Duration) -> String {
    let mut all = Record::with(&[]);
    slice.groups.iter().for_each(|group| all.merge(group));
    let seconds = slice.slice.end_ns.saturating_sub(slice.slice.start_ns) as f64 / 1e9;
    let read = |name: &str| {
        let figure = figures::lookup(name)?;
        figure.read(&all, seconds).map(|value| show::figure(Some(value), figure.unit()))
    };
    let mut parts = vec![format!("{}/{} s", elapsed.as_secs(), total.as_secs())];
    if !slice.slice.measured {
        parts.push("not measured".to_owned());
    }
    parts.push(format!("{} connected", show::count(all.connected as f64)));
    let named = [
        ("delivered_per_s", "", " frames/s"),
        ("bytes_per_s", "", ""),
        ("latency.p50", "p50 ", ""),
        ("latency.p99", "p99 ", ""),
        ("latency.max", "max ", ""),
        ("missing", "missing ", ""),
        ("calls_per_s", "", " calls/s"),
        ("call.p99", "call p99 ", ""),
    ];
    for (name, before, after) in named {
        parts.extend(read(name).map(|value| format!("{before}{value}{after}")));
    }
    if all.error_count() > 0 {
        parts.push(format!("{} errors", show::count(all.error_count() as f64)));
    }
    if all.of(Count::Lost) > 0 {
        parts.push(format!("{} lost", show::count(all.of(Count::Lost) as f64)));
    }
    if !slice.watch.lateness.is_empty() {
        parts.push(format!("tool late p99 {}", show::time(slice.watch.lateness.value_at_quantile(0.99) as f64)));
    }
    parts.join(" · ")
}
