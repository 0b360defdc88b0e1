//! When somebody who fails is asked again: a pause that grows, and a breaker that stops asking for a while.

const SECOND_NS: u64 = 1_000_000_000;

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 5;

/// How long it stays open.
const OPEN_NS: u64 = 30 * SECOND_NS;

/// Successes in a row after which all is well again.
const SUCCESSES_MIN: u32 = 3;

/// The longest pause between two attempts.
const PAUSE_NS_MAX: u64 = 30 * SECOND_NS;

/// Whether somebody is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// As usual.
    #[default]
    Closed,
    /// Not before its time is over.
    Open,
    /// On trial: the next failure opens it again.
    HalfOpen,
}

impl BreakerState {
    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Breaker and pause of one peer. Every failure is answered with the time of the next attempt.
#[derive(Debug)]
pub(super) struct Breaker {
    state: BreakerState,
    /// In a row, in the present state.
    failures: u32,
    successes: u32,
    /// Of the jitter: any value.
    seed: u64,
}

impl Breaker {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: BreakerState::Closed, failures: 0, successes: 0, seed }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.state
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt begins: an open breaker is on trial from here on.
    pub(super) fn attempt(&mut self) {
        if self.state == BreakerState::Open {
            self.state = BreakerState::HalfOpen;
            self.successes = 0;
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.successes += 1;
        if self.state == BreakerState::HalfOpen && self.successes >= SUCCESSES_MIN {
            self.state = BreakerState::Closed;
        }
    }

    /// An attempt has failed; returns how long to wait for the next, ns. A closed breaker's pauses double from 1 to 30 s, each somewhere in
    /// the upper half of what it may be, so that many engines do not come back at once.
    pub(super) fn failed(&mut self) -> u64 {
        self.failures = self.failures.saturating_add(1);
        self.successes = 0;
        if self.state != BreakerState::Closed || self.failures >= FAILURES_MAX {
            self.state = BreakerState::Open;
            return OPEN_NS;
        }
        let most_ns = (SECOND_NS << self.failures.min(6)).min(PAUSE_NS_MAX);
        most_ns / 2 + self.random() % (most_ns / 2 + 1)
    }

    /// SplitMix64: Steele, Lea, Flood 2014.
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_open_it_and_three_successes_close_it() {
        let mut breaker = Breaker::new(1);
        let pauses: Vec<u64> = (0..5).map(|_| breaker.failed()).collect();
        for (pause, (least, most)) in pauses.iter().zip([(1, 2), (2, 4), (4, 8), (8, 16)]) {
            assert!((least * SECOND_NS..=most * SECOND_NS).contains(pause), "{pauses:?}");
        }
        assert_eq!((pauses[4], breaker.state()), (OPEN_NS, BreakerState::Open));
        breaker.attempt();
        breaker.succeeded();
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!((breaker.failed(), breaker.state()), (OPEN_NS, BreakerState::Open), "one failure is enough");
        breaker.attempt();
        (0..3).for_each(|_| breaker.succeeded());
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(breaker.failed() <= 2 * SECOND_NS, "the pause begins anew");
    }

    #[test]
    fn pauses_differ_between_engines() {
        let pauses: std::collections::BTreeSet<u64> = (0..100).map(|seed| Breaker::new(seed).failed()).collect();
        assert!(pauses.len() > 90, "{}", pauses.len());
    }

    proptest::proptest! {
        /// Whatever happens in whatever order: it opens after five failures in a row and never sooner, closes after three successes
        /// in a row and never sooner, and no pause is out of its bounds.
        #[test]
        fn it_follows_its_rules(seed: u64, events in proptest::collection::vec(proptest::bool::ANY, 0..200)) {
            let mut breaker = Breaker::new(seed);
            let (mut failures, mut successes, mut closed) = (0, 0, true);
            for succeeds in events {
                breaker.attempt();
                if succeeds {
                    (failures, successes) = (0, successes + 1);
                    breaker.succeeded();
                    closed |= successes >= 3;
                } else {
                    (failures, successes) = (failures + 1, 0);
                    let pause = breaker.failed();
                    closed &= failures < 5;
                    proptest::prop_assert!((SECOND_NS..=30 * SECOND_NS).contains(&pause));
                    proptest::prop_assert_eq!(pause == OPEN_NS && !closed, breaker.state() == BreakerState::Open);
                }
                proptest::prop_assert_eq!(closed, breaker.state() == BreakerState::Closed);
            }
        }
    }
}
