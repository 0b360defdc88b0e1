//! The offset of a clock out of round trips.

use std::collections::VecDeque;

/// Samples older than this are forgotten, ns.
const WINDOW_NS: u64 = 30 * crate::clock::SECOND_NS;

/// Samples that are kept at most.
const SAMPLES_MAX: usize = 512;

/// What two clocks may drift apart, parts per million. RFC 5905 takes 15 for one; there are two.
const DRIFT_PPM: u64 = 30;

/// One round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Our clock before the question was written, ns.
    pub asked_ns: u64,
    /// The server's clock in its answer, ns.
    pub server_ns: u64,
    /// Our clock after the answer was read, ns.
    pub heard_ns: u64,
}

/// A clock against ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The other clock minus ours, ns.
    pub offset_ns: i64,
    /// Half the round trip: it is off by at most this when it is fresh, ns.
    pub half_ns: u64,
    /// When it was fresh, our clock, ns.
    pub at_ns: u64,
}

impl From<Sample> for Estimate {
    fn from(sample: Sample) -> Self {
        let half_ns = sample.heard_ns.saturating_sub(sample.asked_ns).div_ceil(2);
        let middle = i128::from(sample.asked_ns) + i128::from(half_ns);
        let offset = i128::from(sample.server_ns) - middle;
        Self { offset_ns: offset.clamp(i64::MIN.into(), i64::MAX.into()) as i64, half_ns, at_ns: sample.heard_ns }
    }
}

impl Estimate {
    /// What it may be off by at `now_ns`: drift adds up.
    #[must_use]
    pub fn error_at(&self, now_ns: u64) -> u64 {
        let age = now_ns.saturating_sub(self.at_ns);
        // One more for the half that was rounded.
        self.half_ns + 1 + (u128::from(age) * u128::from(DRIFT_PPM) / 1_000_000) as u64
    }
}

/// Keeps the round trips of the last 30 s.
#[derive(Clone, Debug, Default)]
pub struct Estimator {
    window: VecDeque<Estimate>,
    samples: u64,
}

impl Estimator {
    /// Adds a round trip.
    pub fn add(&mut self, sample: Sample) {
        while self.window.len() >= SAMPLES_MAX {
            self.window.pop_front();
        }
        self.window.push_back(sample.into());
        self.samples += 1;
    }

    /// The estimate with the least doubt at `now_ns`. The last sample stays, however old.
    pub fn best(&mut self, now_ns: u64) -> Option<Estimate> {
        while self.window.len() > 1
            && self.window.front().is_some_and(|oldest| now_ns.saturating_sub(oldest.at_ns) > WINDOW_NS)
        {
            self.window.pop_front();
        }
        self.window.iter().copied().min_by_key(|estimate| estimate.error_at(now_ns))
    }

    /// Round trips that were added.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND_NS;

    /// A server whose clock is `offset` ahead, after `there` ns on the way to it and `back` on the way back.
    fn sample(asked_ns: u64, offset: i64, there: u64, back: u64) -> Sample {
        let server_ns = (asked_ns + there).wrapping_add_signed(offset);
        Sample { asked_ns, server_ns, heard_ns: asked_ns + there + back }
    }

    fn holds(estimate: Estimate, offset: i64, now_ns: u64) -> bool {
        estimate.offset_ns.abs_diff(offset) <= estimate.error_at(now_ns)
    }

    #[test]
    fn ways_of_the_same_length_give_the_offset_itself() {
        let mut estimator = Estimator::default();
        assert_eq!(estimator.best(0), None);
        estimator.add(sample(SECOND_NS, -700_000_000, 40_000, 40_000));
        let estimate = estimator.best(SECOND_NS + 80_000).unwrap();
        assert_eq!((estimate.offset_ns, estimate.half_ns), (-700_000_000, 40_000));
    }

    #[test]
    fn a_server_that_answers_at_once_or_last_of_all_is_within_the_error() {
        for (there, back) in [(0, 90_001), (90_001, 0), (1, 1), (0, 0), (7, 1_000_000)] {
            let mut estimator = Estimator::default();
            estimator.add(sample(5 * SECOND_NS, 123_456_789, there, back));
            let now_ns = 5 * SECOND_NS + there + back;
            let estimate = estimator.best(now_ns).unwrap();
            assert!(holds(estimate, 123_456_789, now_ns), "{there} {back}: {estimate:?}");
            let off = estimate.offset_ns.abs_diff(123_456_789);
            assert!(off.abs_diff(there.abs_diff(back) / 2) <= 1, "the error is no larger than it must be");
        }
    }

    #[test]
    fn the_quickest_round_trip_wins_until_drift_makes_it_worse() {
        let mut estimator = Estimator::default();
        estimator.add(sample(0, 50, 1_000_000, 0));
        estimator.add(sample(SECOND_NS, 60, 10_000, 10_000));
        estimator.add(sample(2 * SECOND_NS, 70, 0, 900_000));
        assert_eq!(estimator.best(3 * SECOND_NS).unwrap().offset_ns, 60);
        // 100 us of round trip are worse than 20 us and the drift of one second, better than that of 20 s.
        estimator.add(sample(20 * SECOND_NS, 80, 50_000, 50_000));
        assert_eq!(estimator.best(20 * SECOND_NS).unwrap().offset_ns, 80);
        assert_eq!(estimator.best(60 * SECOND_NS).unwrap().offset_ns, 80, "the last one stays");
        assert_eq!(estimator.samples(), 4);
    }

    #[test]
    fn a_drifting_clock_stays_within_the_error() {
        // 25 parts per million fast, which is 25 us a second; ways between 5 us and 3 ms, uneven.
        let mut estimator = Estimator::default();
        let offset_at = |now_ns: u64| -(4 * SECOND_NS as i64) + (now_ns / 40_000) as i64;
        let mut noise = 12_345_u64;
        let mut next = |most: u64| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            5_000 + (noise >> 33) % most
        };
        let (mut worst_plain, mut used) = (0, 0);
        for second in 10..200 {
            for ping in 0..8 {
                let at = second * SECOND_NS + ping * 4_000_000;
                estimator.add(sample(at, offset_at(at), next(2_000_000), next(3_000_000)));
            }
            let now_ns = second * SECOND_NS + 900_000_000;
            let estimate = estimator.best(now_ns).unwrap();
            assert!(holds(estimate, offset_at(now_ns), now_ns), "at {second} s: {estimate:?}");
            worst_plain = worst_plain.max(estimate.error_at(now_ns));
            used += 1;
        }
        assert!(used == 190 && worst_plain < 2_000_000, "{worst_plain}");
    }
}
