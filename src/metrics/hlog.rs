//! `.hlog`: a log of histograms that standard HdrHistogram readers open. One line for each stage of each thread and
//! interval, with the tag `thread.stage`.

use std::io;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::Metrics;
use super::hdr::Taken;

/// Values are ns; the column of greatest values, which only people read, is in ms.
const MAX_DIVISOR: f64 = 1e6;

/// What one log has of every stage.
#[derive(Debug, Default)]
pub struct LatencyLog {
    /// In the order of [`Metrics::stages`].
    taken: Vec<Taken>,
    ended_ns: Option<u64>,
}

impl LatencyLog {
    /// Appends what stands above the intervals; their times count from the start of the process.
    ///
    /// # Errors
    /// What the serializer says: none that memory explains.
    pub fn head(metrics: &Metrics, out: &mut Vec<u8>) -> io::Result<()> {
        let started = SystemTime::UNIX_EPOCH + Duration::from_millis(metrics.started_unix_ms);
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment(&format!("[swarmcast {}]", env!("CARGO_PKG_VERSION")));
        builder.add_comment("values are ns; Interval_Max is in ms; a tag is thread.stage");
        builder.with_start_time(started).with_base_time(started).with_max_value_divisor(MAX_DIVISOR);
        builder.begin_log_with(out, &mut V2DeflateSerializer::new())?;
        // The package leaves the legend out; readers skip it, people want it.
        out.extend(b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n");
        Ok(())
    }

    /// Appends a line for each stage that has records since the last interval of this log, since the start of the
    /// process at the first. About 0.1 ms a stage.
    ///
    /// # Errors
    /// As [`Self::head`].
    pub fn interval(&mut self, metrics: &Metrics, now_ns: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let since = |ns: u64| Duration::from_nanos(ns.saturating_sub(metrics.started_ns));
        let begun_ns = self.ended_ns.replace(now_ns).unwrap_or(metrics.started_ns);
        let (start, length) = (since(begun_ns), since(now_ns).saturating_sub(since(begun_ns)));
        self.taken.resize_with(metrics.stages().count(), Taken::default);
        for (row, taken) in metrics.stages().zip(&mut self.taken) {
            let values = row.stage.take(taken);
            if !values.is_empty() {
                line(&values, start, length, &format!("{}.{}", row.thread, row.name), out)?;
            }
        }
        Ok(())
    }

    /// A whole log of one interval: from the start of the process to `now_ns`.
    #[must_use]
    pub fn since_start(metrics: &Metrics, now_ns: u64) -> Vec<u8> {
        let mut out = Vec::new();
        match Self::head(metrics, &mut out).and_then(|()| Self::default().interval(metrics, now_ns, &mut out)) {
            Ok(()) => out,
            Err(_) => unreachable!("a Vec takes every write, and the counts fit"),
        }
    }
}

fn line(values: &Histogram<u64>, start: Duration, length: Duration, tag: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.with_max_value_divisor(MAX_DIVISOR);
    let mut text = Vec::new();
    // The package's writer borrows what it writes to and so cannot be kept. A new one begins with a head of its own,
    // comments that are dropped here.
    let mut writer = builder.begin_log_with(&mut text, &mut serializer)?;
    let written = writer.write_histogram(values, start, length, Tag::new(tag));
    written.map_err(|error| io::Error::other(error.to_string()))?;
    out.extend(text.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")).flatten());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use base64::Engine as _;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    /// Start in s, tag and histogram of every interval; heads met.
    fn read(log: &[u8]) -> (Vec<(f64, String, Histogram<u64>)>, usize) {
        let (mut rows, mut heads) = (Vec::new(), 0);
        for entry in IntervalLogIterator::new(log) {
            match entry.unwrap() {
                LogEntry::Interval(interval) => {
                    let bytes = base64::engine::general_purpose::STANDARD;
                    let bytes = bytes.decode(interval.encoded_histogram()).unwrap();
                    let values = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                    let tag = interval.tag().unwrap().as_str().to_owned();
                    rows.push((interval.start_timestamp().as_secs_f64(), tag, values));
                }
                LogEntry::StartTime(_) => heads += 1,
                LogEntry::BaseTime(_) => {}
            }
        }
        (rows, heads)
    }

    #[test]
    fn intervals_come_back_as_they_were_recorded() {
        let metrics = Metrics::new(2);
        let at = |ms: u64| metrics.started_ns + ms * 1_000_000;
        let (mut log, mut out) = (LatencyLog::default(), Vec::new());
        LatencyLog::head(&metrics, &mut out).unwrap();
        for ms in [3, 5, 400] {
            metrics.sim.step.span(0, ms * 1_000_000);
        }
        metrics.shards[1].fanout.span(10, 7_010);
        log.interval(&metrics, at(1_000), &mut out).unwrap();
        log.interval(&metrics, at(2_000), &mut out).unwrap();
        metrics.sim.step.span(0, 9_000_000);
        log.interval(&metrics, at(3_000), &mut out).unwrap();
        // A restarted process appends to the same file.
        out.extend(LatencyLog::since_start(&metrics, at(3_500)));

        let (rows, heads) = read(&out);
        let found: Vec<_> = rows.iter().map(|(start, tag, values)| (*start, tag.as_str(), values.len())).collect();
        let expected = [
            (0.0, "sim.step", 3),
            (0.0, "shard-1.fanout", 1),
            (2.0, "sim.step", 1),
            (0.0, "sim.step", 4),
            (0.0, "shard-1.fanout", 1),
        ];
        assert_eq!((found.as_slice(), heads), (expected.as_slice(), 2));
        let of: BTreeMap<_, _> = rows.iter().map(|(_, tag, values)| (tag.as_str(), values)).collect();
        for (quantile, ns) in [(0.25, 3_000_000), (0.5, 5_000_000), (1.0, 400_000_000)] {
            let values = of["sim.step"];
            assert!(values.equivalent(values.value_at_quantile(quantile), ns), "quantile {quantile}");
        }
        assert!(of["shard-1.fanout"].equivalent(of["shard-1.fanout"].max(), 7_000));
    }
}
