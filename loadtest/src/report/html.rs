//! The report as one page that needs nothing from anywhere: numbers and tables as HTML, plots by uPlot, both inside.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::record::{Record, Timing};
use crate::report::model::{GroupReport, Report};
use crate::report::{ReportError, rows, show};

const PLOTTER: &str = include_str!("../../assets/uPlot.iife.min.js");
const PLOTTER_STYLE: &str = include_str!("../../assets/uPlot.min.css");
const PLOTTER_LICENCE: &str = include_str!("../../assets/uPlot.LICENSE");
const SCRIPT: &str = include_str!("../../assets/report.js");
const STYLE: &str = include_str!("../../assets/report.css");

/// Steps of a percentile plot in each factor of ten of `1 / (1 - quantile)`.
const STEPS_PER_DECADE: u32 = 24;

/// Nothing may be fetched, whatever is in the report.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      base-uri 'none'; form-action 'none'";

/// The figures at the top and what stands under each.
const HEADLINES: [(&str, &str); 11] = [
    ("delivered_per_s", "frames/s delivered"),
    ("offered_per_s", "frames/s offered"),
    ("missing", "missing"),
    ("latency.p50", "latency p50"),
    ("latency.p99", "latency p99"),
    ("latency.p99.9", "latency p99.9"),
    ("latency.max", "latency max"),
    ("gap.p99", "frame gap p99"),
    ("first_frame.p99", "first frame p99"),
    ("call.p99", "call p99"),
    ("bytes_per_s", "read"),
];

/// What the plots are drawn from.
#[derive(Serialize)]
struct Plots {
    /// Seconds: ends of the run.
    start: f64,
    end: f64,
    /// Middles of slices, s.
    x: Vec<f64>,
    stages: Vec<StageMark>,
    /// From and to, s: not measured.
    shades: Vec<(f64, f64)>,
    /// `1 / (1 - quantile)`.
    quantiles: Vec<f64>,
    percentiles: Vec<Percentiles>,
    all: Series,
    groups: Vec<Series>,
    lateness: Spread,
}

#[derive(Serialize)]
struct StageMark {
    name: String,
    start: f64,
    end: f64,
}

/// One percentile plot.
#[derive(Serialize)]
struct Percentiles {
    title: &'static str,
    note: &'static str,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    label: String,
    /// Its colour.
    group: usize,
    dashed: bool,
    /// One per `quantiles`, null beyond the samples.
    values: Vec<Option<f64>>,
}

/// One group over time, one value per slice.
#[derive(Default, Serialize)]
struct Series {
    name: String,
    latency: Spread,
    latency_raw: Spread,
    gap: Spread,
    call: Spread,
    delivered_per_s: Vec<Option<f64>>,
    offered_per_s: Vec<Option<f64>>,
    bytes_per_s: Vec<Option<f64>>,
    calls_per_s: Vec<Option<f64>>,
    connected: Vec<f64>,
    errors: Vec<Option<f64>>,
}

#[derive(Default, Serialize)]
struct Spread {
    p50: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
    max: Vec<Option<f64>>,
}

/// The page.
pub fn render(report: &Report) -> Result<String, ReportError> {
    let plots = serde_json::to_string(&plots(report)?);
    let plots = plots.map_err(|error| ReportError::Form { form: "HTML", why: error.to_string() })?;
    // A script tag ends at the first `</`, wherever it stands, and `<!--` changes how one is read.
    let plots = plots.replace('<', "\\u003c");
    let name = escaped(&report.name);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{name} – load test</title>\n\
         <style>\n{PLOTTER_STYLE}\n{STYLE}</style>\n</head>\n<body>\n"
    );
    head(&mut out, report);
    if report.series.is_empty() {
        out.push_str("<p class=\"note\">Nothing was recorded, so there is nothing to draw.</p>\n");
    } else {
        out.push_str(
            "<div class=\"bar\"><h2>Percentiles</h2>\
             <label><input type=\"checkbox\" id=\"log\" checked> times on a logarithmic axis</label></div>\n\
             <div class=\"plots\" id=\"percentiles\"></div>\n<h2>Over time</h2>\n<p class=\"note\">Shaded: not \
             measured (warm-up and ramps). Drag across a plot to zoom, double-click to leave.</p>\n<div \
             class=\"plots\" id=\"all\"></div>\n",
        );
    }
    table(&mut out, report);
    if report.groups.len() > 1 && !report.series.is_empty() {
        out.push_str("<h2>By group</h2>\n<div id=\"groups\"></div>\n");
    }
    plan(&mut out, report);
    let _ = write!(
        out,
        "<p class=\"note\">Written by swarmcast-load {}. Plots by uPlot.</p>\n\
         <script type=\"application/json\" id=\"data\">{plots}</script>\n\
         <script>\n/*\n{PLOTTER_LICENCE}*/\n{PLOTTER}\n</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escaped(&report.tool_version)
    );
    Ok(out)
}

/// Title, verdict, thresholds and the figures that matter most.
fn head(out: &mut String, report: &Report) {
    let (word, why) = rows::verdict(report);
    let fine = report.verdict.valid && report.verdict.cut_short.is_none() && report.held();
    let tone = if fine { "good" } else { "bad" };
    let measured = show::time(report.measured_s * 1e9);
    let _ = write!(
        out,
        "<h1>{}</h1>\n<p class=\"dim\">{} · {measured} measured · {}</p>\n<p class=\"badge {tone}\">{word}</p>\n",
        escaped(&report.name),
        escaped(&report.started.replace('T', " ").replace('Z', " UTC")),
        plural(report.groups.len(), "group")
    );
    if !why.is_empty() {
        let items: String = why.iter().map(|reason| format!("<li>{}</li>", escaped(reason))).collect();
        let _ = writeln!(out, "<ul class=\"reasons\">{items}</ul>");
    }
    let _ = writeln!(out, "<code class=\"command\">{}</code>", escaped(&report.command));
    out.push_str("<div class=\"cards\">\n");
    for (name, title) in HEADLINES {
        let figure = report.all.figure(name);
        // A headline that says nothing is left out; the table says what is unknown.
        if figure.value.is_some() {
            let _ = writeln!(
                out,
                "<div class=\"card\"><b>{}</b><span>{title}</span></div>",
                show::figure(figure.value, figure.unit)
            );
        }
    }
    let errors = report.all.figure("errors");
    let _ = writeln!(
        out,
        "<div class=\"card\"><b>{}</b><span>errors</span></div>\n</div>",
        show::figure(errors.value, errors.unit)
    );
    if !report.thresholds.is_empty() {
        out.push_str("<h2>Thresholds</h2>\n<div class=\"box scroll fit\"><table>\n");
        for (index, threshold) in report.thresholds.iter().enumerate() {
            let (tone, word) = if threshold.held { ("good", "✓ held") } else { ("bad", "✗ BROKEN") };
            let _ = writeln!(
                out,
                "<tr><td><code>{}</code></td><td>{}</td><td><span class=\"mark {tone}\">{word}</span></td></tr>",
                escaped(&threshold.text),
                rows::threshold_value(report, index)
            );
        }
        out.push_str("</table></div>\n");
    }
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Every figure, one column per group.
fn table(out: &mut String, report: &Report) {
    out.push_str("<h2>All figures</h2>\n<div class=\"box scroll fit\"><table id=\"figures\">\n<tr><th></th>");
    for group in report.columns() {
        let _ = write!(out, "<th>{}</th>", escaped(&group.name));
    }
    out.push_str("</tr>\n<tr><td>clients connected, most</td>");
    for group in report.columns() {
        let _ = write!(out, "<td>{}</td>", show::count(group.clients as f64));
    }
    out.push_str("</tr>\n");
    for row in rows::rows(report) {
        let class = if row.opens { " class=\"opens\"" } else { "" };
        let cells: String = row.cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        let _ = writeln!(out, "<tr{class}><td>{}</td>{cells}</tr>", escaped(&row.title).replace("  ", "&emsp;"));
    }
    out.push_str("</table></div>\n");
    let _ = writeln!(out, "<p class=\"note\">The tool about itself: {}.</p>", escaped(&rows::tool_line(report)));
    for line in rows::clock_lines(report) {
        let _ = writeln!(out, "<p class=\"note\">Clock: {}.</p>", escaped(&line));
    }
}

/// What was run, where from, and the whole plan.
fn plan(out: &mut String, report: &Report) {
    let list = |name: &str| report.plan.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    out.push_str(
        "<h2>Plan</h2>\n<div class=\"plots\"><div class=\"box scroll\"><table class=\"left\">\n\
         <tr><th>stage</th><th>kind</th><th>for</th><th>to</th><th>measured</th></tr>\n",
    );
    for stage in list("stages") {
        let number = |name: &str| stage.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        let measured = stage.get("measured").and_then(Value::as_bool) == Some(true);
        let cells = [
            brief(stage.get("name")),
            brief(stage.get("kind")),
            show::time(number("duration_ns")),
            show::share(number("to")),
            if measured { "yes" } else { "no" }.to_owned(),
        ];
        table_row(out, &cells, None);
    }
    out.push_str(
        "</table></div>\n<div class=\"box scroll\"><table class=\"left\">\n<tr><th>host</th><th>machine</th>\
         <th>threads</th></tr>\n",
    );
    for generator in &report.generators {
        let trouble = generator.trouble.as_ref().map_or(String::new(), |trouble| format!(" – {trouble}"));
        let cells = [generator.name.clone() + &trouble, generator.machine.clone(), generator.threads.to_string()];
        table_row(out, &cells, Some(1));
    }
    out.push_str(
        "</table></div>\n<div class=\"box wide scroll\"><table class=\"left\">\n<tr><th>group</th><th>clients</th>\
         <th>target</th><th>protocol</th><th>behaviour</th></tr>\n",
    );
    for group in list("groups") {
        let at = |name: &str| brief(group.get(name));
        let target = brief(group.get("target").and_then(|target| target.get("url")));
        table_row(out, &[at("name"), at("clients"), target, at("protocol"), at("behaviour")], Some(3));
    }
    let whole = serde_json::to_string_pretty(&report.plan).unwrap_or_default();
    let _ = writeln!(
        out,
        "</table></div>\n<div class=\"box wide\"><details><summary>the whole plan as JSON</summary>\
         <pre>{}</pre></details></div></div>",
        escaped(&whole)
    );
}

/// `wrap` is the cell that may take several lines.
fn table_row(out: &mut String, cells: &[String], wrap: Option<usize>) {
    let class = |index: usize| if wrap == Some(index) { " class=\"wrap\"" } else { "" };
    let cell = |(index, cell): (usize, &String)| format!("<td{}>{}</td>", class(index), escaped(cell));
    let cells: String = cells.iter().enumerate().map(cell).collect();
    let _ = writeln!(out, "<tr>{cells}</tr>");
}

/// A value of the plan in a few words: `swarmcast (profile swarmcast.v1, rate_hz 30)`.
fn brief(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => show::UNKNOWN.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(fields)) => {
            let field = |(name, value): (&String, &Value)| match value {
                Value::Object(inner) => {
                    let inner: Vec<String> = inner.iter().map(|(name, value)| word(name, value)).collect();
                    format!("{name} ({})", inner.join(", "))
                }
                other => word(name, other),
            };
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

fn word(name: &str, value: &Value) -> String {
    if let (Some(name), Some(ns)) = (name.strip_suffix("_ns"), value.as_f64()) {
        return format!("{name} {}", show::time(ns));
    }
    match value {
        Value::String(text) => format!("{name} {text}"),
        Value::Array(items) => format!("{name} [{}]", items.len()),
        Value::Object(_) => format!("{name} {{…}}"),
        other => format!("{name} {other}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn plots(report: &Report) -> Result<Plots, ReportError> {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let mut plots = Plots {
        start: report.series.first().map_or(0.0, |slice| seconds(slice.start_ns)),
        end: report.series.last().map_or(1.0, |slice| seconds(slice.end_ns)),
        x: Vec::new(),
        stages: Vec::new(),
        shades: Vec::new(),
        quantiles: Vec::new(),
        percentiles: Vec::new(),
        all: Series { name: report.all.name.clone(), ..Series::default() },
        groups: report.groups.iter().map(|group| Series { name: group.name.clone(), ..Series::default() }).collect(),
        lateness: Spread::default(),
    };
    let mut stage_before = None;
    for slice in &report.series {
        let (start, end) = (seconds(slice.start_ns), seconds(slice.end_ns));
        plots.x.push((start + end) / 2.0);
        if !slice.measured {
            match plots.shades.last_mut().filter(|(_, to)| *to == start) {
                Some((_, to)) => *to = end,
                None => plots.shades.push((start, end)),
            }
        }
        if stage_before.replace(slice.stage) == Some(slice.stage) {
            plots.stages.iter_mut().last().into_iter().for_each(|mark| mark.end = end);
        } else {
            plots.stages.push(StageMark { name: report.stage_name(slice.stage).to_owned(), start, end });
        }
        let mut all = Record::with(&[]);
        for (packed, series) in slice.groups.iter().zip(&mut plots.groups) {
            let record = packed.unpack()?;
            series.push(&record, slice.seconds());
            all.merge(&record);
        }
        plots.all.push(&all, slice.seconds());
        plots.lateness.p50.push(slice.tool.lateness_p50);
        plots.lateness.p99.push(slice.tool.lateness_p99);
        plots.lateness.max.push(slice.tool.lateness_max);
    }
    std::iter::once(&mut plots.all).chain(&mut plots.groups).for_each(Series::finish);
    percentiles(&mut plots, &report.groups)?;
    Ok(plots)
}

/// The percentile plots: every group's frames, and every group's calls.
fn percentiles(plots: &mut Plots, groups: &[GroupReport]) -> Result<(), ReportError> {
    let records = groups.iter().map(|group| group.record.unpack()).collect::<Result<Vec<_>, _>>()?;
    let wanted = [
        (
            "Latency of frames",
            "Solid: from when a frame was due (corrected). Dashed: from its publish stamp (raw), frames that came only.",
            (Timing::Latency, ""),
            (Timing::LatencyRaw, " (raw)"),
        ),
        (
            "Latency of calls",
            "Solid: from when a call was due. Dashed: from when it was sent.",
            (Timing::Call, ""),
            (Timing::CallService, " (from sent)"),
        ),
    ];
    let samples = |record: &Record, timing: Timing| record.timing(timing).map_or(0, |values| values.len());
    let timings = wanted.iter().flat_map(|(_, _, solid, dashed)| [solid.0, dashed.0]);
    let most = timings.flat_map(|timing| records.iter().map(move |record| samples(record, timing))).max().unwrap_or(0);
    plots.quantiles = grid(most);
    for (title, note, solid, dashed) in wanted {
        let mut lines = Vec::new();
        for (group, (record, report)) in records.iter().zip(groups).enumerate() {
            for ((timing, suffix), dashed) in [(solid, false), (dashed, true)] {
                let Some(values) = record.timing(timing).filter(|values| !values.is_empty()) else { continue };
                let mut done = false;
                let at = |x: &f64| {
                    let value = (!done).then(|| values.value_at_quantile(1.0 - 1.0 / x) as f64);
                    let beyond = *x >= values.len() as f64;
                    let value = if beyond && !done { Some(values.max() as f64) } else { value };
                    done |= beyond;
                    value
                };
                let label = format!("{}{suffix}", report.name);
                lines.push(Line { label, group, dashed, values: plots.quantiles.iter().map(at).collect() });
            }
        }
        if !lines.is_empty() {
            plots.percentiles.push(Percentiles { title, note, lines });
        }
    }
    Ok(())
}

/// `1 / (1 - quantile)` from 1 to just over `samples`.
fn grid(samples: u64) -> Vec<f64> {
    let mut grid = Vec::new();
    for step in 0.. {
        let x = 10_f64.powf(f64::from(step) / f64::from(STEPS_PER_DECADE));
        grid.push(x);
        if x >= samples as f64 {
            break;
        }
    }
    grid
}

impl Series {
    fn push(&mut self, record: &Record, seconds: f64) {
        self.latency.push(record, Timing::Latency);
        self.latency_raw.push(record, Timing::LatencyRaw);
        self.gap.push(record, Timing::Gap);
        self.call.push(record, Timing::Call);
        let read = |name: &str| crate::figures::lookup(name).and_then(|figure| figure.read(record, seconds));
        self.delivered_per_s.push(read("delivered_per_s"));
        self.offered_per_s.push(read("offered_per_s"));
        self.bytes_per_s.push(read("bytes_per_s"));
        self.calls_per_s.push(read("calls_per_s"));
        self.connected.push(record.connected as f64);
        self.errors.push(read("errors"));
    }

    /// A plot of no errors at all is left out.
    fn finish(&mut self) {
        if self.errors.iter().all(|errors| errors.is_none_or(|errors| errors == 0.0)) {
            self.errors.fill(None);
        }
    }
}

impl Spread {
    fn push(&mut self, record: &Record, timing: Timing) {
        let values = record.timing(timing).filter(|values| !values.is_empty());
        self.p50.push(values.map(|values| values.value_at_quantile(0.5) as f64));
        self.p99.push(values.map(|values| values.value_at_quantile(0.99) as f64));
        self.max.push(values.map(|values| values.max() as f64));
    }
}
