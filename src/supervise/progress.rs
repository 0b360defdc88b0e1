//! A progress bar for loads that take more than a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::base::say;
use crate::graph::formats::Progress;

/// Loads shorter than this show nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time between two lines where standard error is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// Shows how far a load is, on standard error: a bar on a terminal, a line now and then elsewhere.
pub(super) struct LoadProgress {
    started: Instant,
    last_line: Option<Instant>,
    bar: Option<ProgressBar>,
    what: String,
}

impl LoadProgress {
    pub(super) fn new(what: &str) -> Self {
        Self { started: Instant::now(), last_line: None, bar: None, what: what.to_owned() }
    }

    fn line(&mut self, done: u64, total: u64, unit: &str) {
        if self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL) {
            self.last_line = Some(Instant::now());
            let percent = (done * 100).checked_div(total).unwrap_or(0);
            say(format_args!("loading {}: {percent} % ({done} of {total} {unit})", self.what));
        }
    }
}

impl Progress for LoadProgress {
    fn at(&mut self, done: u64, total: u64, unit: &'static str) {
        if self.started.elapsed() < PATIENCE {
            return;
        }
        if ProgressDrawTarget::stderr().is_hidden() {
            return self.line(done, total, unit);
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(total);
            let style = ProgressStyle::with_template("loading {msg} {wide_bar} {percent} % eta {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(self.what.clone());
            bar
        });
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for LoadProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
