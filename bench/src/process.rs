//! Processor time and memory of a running process, from `/proc`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// `USER_HZ`, the unit of `utime` and `stime`: 100 on every architecture that Linux runs this engine on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time of one thread since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Time {
    /// From `schedstat`, exact.
    pub ns: u64,
    /// `utime` from `stat`, in ticks of 10 ms.
    pub user_ticks: u64,
    /// `stime` likewise.
    pub system_ticks: u64,
}

impl Time {
    fn since(self, earlier: Self) -> Self {
        Self {
            ns: self.ns.saturating_sub(earlier.ns),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            ns: self.ns + other.ns,
            user_ticks: self.user_ticks + other.user_ticks,
            system_ticks: self.system_ticks + other.system_ticks,
        }
    }

    /// Share of the time that the kernel used; NaN when it is too short to tell.
    #[must_use]
    pub fn system_share(self) -> f64 {
        self.system_ticks as f64 / (self.user_ticks + self.system_ticks) as f64
    }

    /// `utime` and `stime`, seconds.
    #[must_use]
    pub fn stat_seconds(self) -> f64 {
        (self.user_ticks + self.system_ticks) as f64 / TICKS_PER_SECOND
    }
}

/// Processor time of every thread of a process.
#[derive(Clone, Debug, Default)]
pub struct Reading(BTreeMap<u32, (String, Time)>);

impl Reading {
    /// Of `process` now.
    ///
    /// # Errors
    /// When it is gone.
    pub fn now(process: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{process}/task")).context("the measured process is gone")? {
            let path = entry?.path();
            let Some(id) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
            // A thread that ends while we look has no say in a window of seconds.
            let read = |file: &str| fs::read_to_string(path.join(file)).ok();
            let (Some(name), Some(run), Some(stat)) = (read("comm"), read("schedstat"), read("stat")) else { continue };
            let ns = run.split_whitespace().next().and_then(|ns| ns.parse().ok()).context("schedstat")?;
            // The name in brackets may hold anything; the fields after it are fixed: state is the first.
            let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
            let tick = |place: usize| fields.split_whitespace().nth(place).and_then(|ticks| ticks.parse().ok());
            let (user_ticks, system_ticks) = (tick(11).context("utime")?, tick(12).context("stime")?);
            threads.insert(id, (name.trim().to_owned(), Time { ns, user_ticks, system_ticks }));
        }
        Ok(Self(threads))
    }

    /// Time spent since `earlier` by threads whose name begins with `name`; "" is all of them.
    #[must_use]
    pub fn since(&self, earlier: &Self, name: &str) -> Time {
        let named = self.0.iter().filter(|(_, (found, _))| found.starts_with(name));
        named.fold(Time::default(), |sum, (id, (_, time))| {
            let before = earlier.0.get(id).map(|(_, time)| *time).unwrap_or_default();
            sum.plus(time.since(before))
        })
    }
}

/// Processor time of everything on this machine since it started, seconds: all but idle and waiting.
///
/// # Errors
/// When `/proc/stat` is not what it always was.
pub fn machine_busy_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat")?;
    let fields = line.split_whitespace().skip(1).map(|field| field.parse::<u64>().unwrap_or(0));
    // user nice system idle iowait irq softirq steal; guests are counted in the first two.
    let busy: u64 =
        fields.take(8).enumerate().filter(|(place, _)| ![3, 4].contains(place)).map(|(_, ticks)| ticks).sum();
    Ok(busy as f64 / TICKS_PER_SECOND)
}

/// Resident memory of `process`, MiB.
///
/// # Errors
/// When it is gone.
pub fn rss_mib(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: f64 = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).context("VmRSS")?;
    Ok(kib / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn the_time_of_a_busy_thread_is_found_by_its_name() {
        let own = std::process::id();
        let (started, rest) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
        let thread = std::thread::Builder::new().name("busy-bee".to_owned()).spawn(move || {
            let since = Instant::now();
            while since.elapsed() < Duration::from_millis(60) {
                std::hint::spin_loop();
            }
            started.0.send(()).unwrap();
            let _ = rest.1.recv();
        });
        let before = Reading::default();
        started.1.recv().unwrap();
        let after = Reading::now(own).unwrap();
        let (busy, nobody) = (after.since(&before, "busy-bee"), after.since(&before, "no such thread"));
        assert!(busy.ns > 1_000_000, "{busy:?}");
        assert_eq!(nobody.ns, 0);
        assert!(after.since(&before, "").ns >= busy.ns);
        assert!(rss_mib(own).unwrap() > 0.5);
        drop(rest.0);
        thread.unwrap().join().unwrap();
    }
}
