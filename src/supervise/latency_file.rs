//! Appends the times of every stage to the file of `metrics.hlog`, once a second, on a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle, park_timeout};
use std::time::Duration;

use crate::base::clock::{SECOND_NS, monotonic_ns};
use crate::metrics::{LatencyLog, Metrics};

/// The thread that writes.
pub struct LatencyFile {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl LatencyFile {
    /// Opens the file and starts the thread. A write that fails later ends the log with a warning, and nothing else.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or the thread not started.
    pub fn start(path: &Path, metrics: Arc<Metrics>) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut text = Vec::new();
        LatencyLog::head(&metrics, &mut text)?;
        file.write_all(&text)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = Builder::new().name("latency-log".to_owned()).spawn(move || {
            if let Err(error) = write_intervals(&mut file, &metrics, &stopped) {
                tracing::warn!(%error, "the latency log ends: it cannot be written");
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Writes what came since the last second, and ends.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

fn write_intervals(file: &mut File, metrics: &Metrics, stop: &AtomicBool) -> io::Result<()> {
    let mut log = LatencyLog::default();
    let mut due_ns = metrics.started_ns + SECOND_NS;
    loop {
        while !stop.load(Ordering::Acquire) && monotonic_ns() < due_ns {
            park_timeout(Duration::from_nanos(due_ns.saturating_sub(monotonic_ns())));
        }
        let now_ns = monotonic_ns();
        // One write, so that a reader never sees half a line unless the disk is full.
        let mut text = Vec::new();
        log.interval(metrics, now_ns, &mut text)?;
        file.write_all(&text)?;
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        due_ns = (due_ns + SECOND_NS).max(now_ns);
    }
}
