//! A generating thread about itself: how late its timers run, and how much of a core it uses and waits for.

use crate::clock::{MILLISECOND_NS, monotonic_ns, thread_ns};
use crate::collect::Watch;

/// From one look to the next. Every look that was missed counts as late as it was.
const PERIOD_NS: u64 = 10 * MILLISECOND_NS;

/// What one thread has seen of itself since the last slice.
pub struct Watcher {
    watch: Watch,
    since_ns: u64,
    used_ns: u64,
    waited_ns: Option<u64>,
}

impl Watcher {
    /// Begins anew on the thread that is to be watched with [`Watcher::begin`].
    #[must_use]
    pub fn new() -> Self {
        Self { watch: Watch::default(), since_ns: 0, used_ns: 0, waited_ns: None }
    }

    /// From here on, on this thread.
    pub fn begin(&mut self) {
        (self.since_ns, self.used_ns, self.waited_ns) = (monotonic_ns(), thread_ns(), waited_ns());
    }

    /// A task was done so late.
    pub fn late(&mut self, late_ns: u64) {
        self.watch.lateness.saturating_record(late_ns.max(1));
    }

    /// A look was due at `due_ns`; when the next one is.
    pub fn tick(&mut self, due_ns: u64, now_ns: u64) -> u64 {
        let mut next = due_ns;
        while next <= now_ns {
            self.late(now_ns - next);
            next += PERIOD_NS;
        }
        next
    }

    /// What was seen in the slice that ends here.
    pub fn take(&mut self) -> Watch {
        let mut watch = std::mem::take(&mut self.watch);
        let (now, used, waited) = (monotonic_ns(), thread_ns(), waited_ns());
        let wall = now.saturating_sub(self.since_ns).max(1) as f64;
        watch.thread_cpu = used.saturating_sub(self.used_ns) as f64 / wall;
        watch.thread_wait = match (waited, self.waited_ns) {
            (Some(after), Some(before)) => Some(after.saturating_sub(before) as f64 / wall),
            _ => None,
        };
        (self.since_ns, self.used_ns, self.waited_ns) = (now, used, waited);
        watch
    }
}

/// How long this thread has been ready and waited for a core since it began, ns.
fn waited_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_held_up_sees_every_look_it_missed() {
        let mut watcher = Watcher::new();
        let next = watcher.tick(100 * MILLISECOND_NS, 145 * MILLISECOND_NS);
        assert_eq!(next, 150 * MILLISECOND_NS);
        let lateness = watcher.watch.lateness.clone();
        assert_eq!(lateness.len(), 5);
        assert!(lateness.max() >= 45 * MILLISECOND_NS);
        watcher.begin();
        let since = monotonic_ns();
        while monotonic_ns() < since + 30 * MILLISECOND_NS {
            std::hint::spin_loop();
        }
        let watch = watcher.take();
        assert!(watch.thread_cpu > 0.01, "{}", watch.thread_cpu);
        assert_eq!(watcher.watch.lateness.len(), 0);
    }
}
