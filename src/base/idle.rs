//! What a thread does while it has nothing to do.

use std::time::Duration;

use crossbeam::sync::Parker;

use super::clock::monotonic_ns;

/// How a thread waits. Waking a sleeping thread takes the kernel tens of microseconds, and looking again takes a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Sleeps at once.
    #[default]
    Park,
    /// Looks again for so long, then sleeps; before a deadline, sleeps until so long before it.
    SpinThenPark {
        /// Nanoseconds.
        spin_ns: u64,
    },
    /// Never sleeps.
    Spin,
}

impl Idle {
    /// How long to look again before sleeping, ns. 0 is not at all, and [`u64::MAX`] for ever.
    #[must_use]
    pub const fn spin_ns(self) -> u64 {
        match self {
            Self::Park => 0,
            Self::SpinThenPark { spin_ns } => spin_ns,
            Self::Spin => u64::MAX,
        }
    }

    /// Waits until the monotonic clock shows `deadline_ns` or `called` says yes, which it is asked whenever the waiting could end:
    /// who makes it say yes wakes `sleeper` too.
    pub fn wait_until(self, deadline_ns: u64, sleeper: &Parker, called: impl Fn() -> bool) {
        let spin_from_ns = deadline_ns.saturating_sub(self.spin_ns());
        while !called() {
            let now_ns = monotonic_ns();
            if now_ns >= deadline_ns {
                return;
            }
            if now_ns < spin_from_ns {
                sleeper.park_timeout(Duration::from_nanos(spin_from_ns - now_ns));
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

impl std::fmt::Display for Idle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Park => out.write_str("park"),
            Self::SpinThenPark { spin_ns } => write!(out, "spin {} us, then park", spin_ns / 1_000),
            Self::Spin => out.write_str("spin"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::base::clock::{MILLISECOND_NS, SECOND_NS};

    const ALL: [Idle; 3] = [Idle::Park, Idle::SpinThenPark { spin_ns: 200_000 }, Idle::Spin];

    #[test]
    fn no_strategy_returns_before_the_deadline() {
        let sleeper = Parker::new();
        for idle in ALL {
            let deadline_ns = monotonic_ns() + 2 * MILLISECOND_NS;
            // A call of before that came to nothing.
            sleeper.unparker().unpark();
            idle.wait_until(deadline_ns, &sleeper, || false);
            assert!(monotonic_ns() >= deadline_ns, "{idle}");
            idle.wait_until(deadline_ns - MILLISECOND_NS, &sleeper, || false);
            // A spin that is longer than the clock is old.
            Idle::SpinThenPark { spin_ns: u64::MAX }.wait_until(1, &sleeper, || false);
        }
    }

    #[test]
    fn a_call_ends_the_wait_long_before_the_deadline() {
        for idle in ALL {
            let (sleeper, called) = (Parker::new(), Arc::new(AtomicBool::new(false)));
            let (unparker, call) = (sleeper.unparker().clone(), Arc::clone(&called));
            let caller = thread::spawn(move || {
                thread::sleep(Duration::from_millis(2));
                call.store(true, Ordering::Release);
                unparker.unpark();
            });
            let deadline_ns = monotonic_ns() + 3_600 * SECOND_NS;
            idle.wait_until(deadline_ns, &sleeper, || called.load(Ordering::Acquire));
            assert!(monotonic_ns() < deadline_ns, "{idle}");
            caller.join().unwrap();
        }
    }
}
