//! What a thread does while it has nothing to do.

use super::clock::{monotonic_ns, sleep_until};

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

    /// Waits until the monotonic clock shows `deadline_ns`, and never returns before.
    pub fn wait_until(self, deadline_ns: u64) {
        if self != Self::Spin {
            sleep_until(deadline_ns.saturating_sub(self.spin_ns()));
        }
        while monotonic_ns() < deadline_ns {
            std::hint::spin_loop();
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
    use super::*;
    use crate::base::clock::MILLISECOND_NS;

    #[test]
    fn no_strategy_returns_before_the_deadline() {
        for idle in [Idle::Park, Idle::SpinThenPark { spin_ns: 200_000 }, Idle::Spin] {
            let deadline_ns = monotonic_ns() + 2 * MILLISECOND_NS;
            idle.wait_until(deadline_ns);
            assert!(monotonic_ns() >= deadline_ns, "{idle}");
            idle.wait_until(deadline_ns - MILLISECOND_NS);
            // A spin that is longer than the clock is old.
            Idle::SpinThenPark { spin_ns: u64::MAX }.wait_until(1);
        }
    }
}
