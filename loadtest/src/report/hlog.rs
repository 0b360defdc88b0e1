//! `.hlog`: a log of histograms that standard HdrHistogram readers open. One interval a slice, tag `group.timing`.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::collect::Merged;
use crate::plan::Slice;
use crate::record::{TIMINGS, Timing};
use crate::report::ReportError;
use crate::report::model::Report;

/// Values are ns; the column of greatest values, which only people read, is in ms.
const MAX_DIVISOR: f64 = 1e6;

/// Tag of the tool's own lateness.
const TOOL_TAG: &str = "tool.lateness";

/// Writes a log while the run goes on; every slice is in the file when [`slice`](Self::slice) returns.
#[derive(Debug)]
pub struct HlogWriter {
    file: File,
    log: Log,
}

impl HlogWriter {
    /// Opens the file anew and writes its head. `started` is the start of the run, ms since 1970.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, started_unix_ms: u64, command: &str) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(&head(started_unix_ms, command)?)?;
        Ok(Self { file, log: Log::default() })
    }

    /// Adds a slice: an interval for each timing of each group that has values, and one for the tool's lateness.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn slice(&mut self, slice: &Merged, groups: &[&str]) -> io::Result<()> {
        let mut text = Vec::new();
        self.log.slice(&mut text, slice, groups)?;
        // One write, so that a reader never sees half a line unless the disk is full.
        self.file.write_all(&text)
    }
}

/// The log of a report.
pub fn render(report: &Report) -> Result<Vec<u8>, ReportError> {
    let failed = |error: io::Error| ReportError::Form { form: "hlog", why: error.to_string() };
    let mut log = Log::default();
    let mut out = head(report.started_unix_ms, &report.command).map_err(failed)?;
    for slice in &report.series {
        log.slice(&mut out, &slice.unpack()?, &report.group_names()).map_err(failed)?;
    }
    Ok(out)
}

/// What stands above the intervals. Their times count from the start of the run.
fn head(started_unix_ms: u64, command: &str) -> io::Result<Vec<u8>> {
    let started = SystemTime::UNIX_EPOCH + Duration::from_millis(started_unix_ms);
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment(&format!("[swarmcast-load {}]", env!("CARGO_PKG_VERSION")));
    builder.add_comment(&format!("command: {}", command.replace(['\n', '\r'], " ")));
    builder.add_comment("values are ns; Interval_Max is in ms");
    builder.with_start_time(started).with_base_time(started).with_max_value_divisor(MAX_DIVISOR);
    let mut out = Vec::new();
    builder.begin_log_with(&mut out, &mut V2DeflateSerializer::new())?;
    // The package leaves the legend out; readers skip it, people want it.
    out.extend(b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n");
    Ok(out)
}

/// Lines of a log.
#[derive(Debug, Default)]
struct Log {
    /// Whether the slice before counted; a line says when that changes.
    measured: Option<bool>,
}

impl Log {
    fn slice(&mut self, out: &mut Vec<u8>, slice: &Merged, groups: &[&str]) -> io::Result<()> {
        let Slice { measured, .. } = slice.slice;
        if self.measured.replace(measured) != Some(measured) {
            writeln!(out, "#{}", if measured { "measured from here on" } else { "not measured from here on" })?;
        }
        for (name, group) in groups.iter().zip(&slice.groups) {
            // Its values are no times.
            for timing in TIMINGS.into_iter().filter(|timing| *timing != Timing::ClientRate) {
                if let Some(values) = group.timing(timing) {
                    self.interval(out, &slice.slice, values, &format!("{name}.{}", timing.name()))?;
                }
            }
        }
        self.interval(out, &slice.slice, &slice.watch.lateness, TOOL_TAG)
    }

    fn interval(&self, out: &mut Vec<u8>, slice: &Slice, values: &Histogram<u64>, tag: &str) -> io::Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let start = Duration::from_nanos(slice.start_ns);
        let length = Duration::from_nanos(slice.end_ns.saturating_sub(slice.start_ns));
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.with_max_value_divisor(MAX_DIVISOR);
        let mut text = Vec::new();
        // The package's writer borrows what it writes to and so cannot be kept from slice to slice. A new one begins
        // with a head of its own, comments that are dropped here.
        let mut writer = builder.begin_log_with(&mut text, &mut serializer)?;
        let written = writer.write_histogram(values, start, length, Tag::new(tag));
        written.map_err(|error| io::Error::other(error.to_string()))?;
        for line in text.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")) {
            out.extend(line);
        }
        Ok(())
    }
}
