//! `/metrics` of the server, before and after.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// What a server said of itself at one time.
#[derive(Clone, Debug)]
pub struct Scrape {
    at: Instant,
    values: BTreeMap<String, f64>,
}

/// A bucket of a histogram: more than `above`, at most `up_to`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Bucket {
    /// Seconds.
    pub above: f64,
    /// Seconds; none in the last one.
    pub up_to: Option<f64>,
}

impl Scrape {
    /// Asks the server.
    ///
    /// # Errors
    /// When it does not answer with its metrics.
    pub fn now(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("reading /metrics")?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "/metrics: {}", answer.lines().next().unwrap_or(""));
        Ok(Self { at: Instant::now(), values: parse(&answer) })
    }

    /// Seconds since `earlier`.
    #[must_use]
    pub fn seconds_since(&self, earlier: &Self) -> f64 {
        self.at.duration_since(earlier.at).as_secs_f64()
    }

    /// `swarmcast_{name}`, with its labels as the server writes them.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.get(&format!("swarmcast_{name}")).copied()
    }

    /// What was added since `earlier` to `swarmcast_{name}`, over all labels.
    #[must_use]
    pub fn added(&self, earlier: &Self, name: &str) -> f64 {
        let sum = |values: &BTreeMap<String, f64>| -> f64 {
            let own = format!("swarmcast_{name}");
            let named = values.iter().filter(|(key, _)| key.split('{').next() == Some(own.as_str()));
            named.map(|(_, value)| value).sum()
        };
        sum(&self.values) - sum(&earlier.values)
    }

    /// Mean of the durations that the unlabelled histogram `name` took in since `earlier`, seconds.
    #[must_use]
    pub fn mean(&self, earlier: &Self, name: &str) -> f64 {
        let part = |what: &str| self.added(earlier, &format!("{name}_seconds_{what}"));
        part("sum") / part("count")
    }

    /// The bucket that holds the `quantile` of what the unlabelled histogram `name` took in since `earlier`.
    #[must_use]
    pub fn quantile(&self, earlier: &Self, name: &str, quantile: f64) -> Option<Bucket> {
        let prefix = format!("swarmcast_{name}_seconds_bucket{{le=\"");
        let mut counts: Vec<(f64, f64)> = Vec::new();
        for (key, value) in &self.values {
            let Some(bound) = key.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("\"}")) else { continue };
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            counts.push((bound, value - earlier.values.get(key).copied().unwrap_or(0.0)));
        }
        counts.sort_by(|left, right| left.0.total_cmp(&right.0));
        let rank = counts.last()?.1 * quantile;
        let mut above = 0.0;
        for (bound, count) in counts {
            if count > 0.0 && count >= rank {
                return Some(Bucket { above, up_to: bound.is_finite().then_some(bound) });
            }
            above = bound;
        }
        None
    }
}

fn parse(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| line.starts_with("swarmcast_"));
    lines
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(text: &str) -> Scrape {
        Scrape { at: Instant::now(), values: parse(text) }
    }

    #[test]
    fn differences_are_of_the_window_alone() {
        let before = scrape(
            "swarmcast_step_seconds_sum 1.0\nswarmcast_step_seconds_count 2\n\
             swarmcast_step_seconds_bucket{le=\"0.5\"} 2\nswarmcast_step_seconds_bucket{le=\"1.0\"} 2\n\
             swarmcast_step_seconds_bucket{le=\"+Inf\"} 2\nswarmcast_writes_total{shard=\"0\"} 1\n# HELP x\n",
        );
        let after = scrape(
            "swarmcast_step_seconds_sum 9.0\nswarmcast_step_seconds_count 12\n\
             swarmcast_step_seconds_bucket{le=\"0.5\"} 2\nswarmcast_step_seconds_bucket{le=\"1.0\"} 11\n\
             swarmcast_step_seconds_bucket{le=\"+Inf\"} 12\nswarmcast_writes_total{shard=\"0\"} 4\n\
             swarmcast_writes_total{shard=\"1\"} 5\n",
        );
        assert_eq!(after.added(&before, "writes_total"), 8.0);
        assert_eq!(after.mean(&before, "step"), 0.8);
        let bucket = |quantile| after.quantile(&before, "step", quantile).unwrap();
        assert_eq!(bucket(0.5), Bucket { above: 0.5, up_to: Some(1.0) });
        assert_eq!(bucket(0.99), Bucket { above: 1.0, up_to: None });
    }
}
