//! The series as CSV: one row per slice and group, values in the units of the JSON (ns, shares, per second).

use crate::figures::SCALARS;
use crate::record::{Record, TIMINGS};
use crate::report::model::{Report, quantiles, scalars};
use crate::report::{ReportError, SliceReport};

/// Places in each distribution that a row states.
const STATS: [&str; 6] = ["count", "p50", "p90", "p99", "p99.9", "max"];

/// All rows under one header; what was not measured is empty.
pub fn render(report: &Report) -> Result<Vec<u8>, ReportError> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(header()).map_err(failed)?;
    for slice in &report.series {
        for (name, packed) in report.group_names().into_iter().zip(&slice.groups) {
            out.write_record(row(report, slice, name, &packed.unpack()?)).map_err(failed)?;
        }
    }
    out.into_inner().map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> ReportError {
    ReportError::Form { form: "CSV", why: error.to_string() }
}

fn header() -> Vec<String> {
    let fixed = ["start_s", "end_s", "stage", "measured", "group", "clients"];
    let mut header: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
    header.extend(SCALARS.iter().map(|scalar| scalar.name.to_owned()));
    let timings = TIMINGS.iter().flat_map(|timing| STATS.map(|stat| format!("{}.{stat}", timing.name())));
    header.extend(timings);
    header.extend(["tool_lateness.p99", "tool_thread_cpu"].map(str::to_owned));
    header
}

fn row(report: &Report, slice: &SliceReport, group: &str, record: &Record) -> Vec<String> {
    let text = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let mut row = vec![
        (slice.start_ns as f64 / 1e9).to_string(),
        (slice.end_ns as f64 / 1e9).to_string(),
        report.stage_name(slice.stage).to_owned(),
        slice.measured.to_string(),
        group.to_owned(),
        record.connected.to_string(),
    ];
    let mut figures = scalars(record, slice.seconds());
    row.extend(SCALARS.iter().map(|scalar| text(figures.remove(scalar.name).and_then(|figure| figure.value))));
    for timing in TIMINGS {
        let values = quantiles(record, timing);
        row.extend(STATS.map(|stat| text(values.figure(stat).value)));
    }
    row.push(text(slice.tool.lateness_p99));
    row.push(slice.tool.thread_cpu.to_string());
    row
}
