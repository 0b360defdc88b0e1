//! When ticks are due. Pure: whoever asks brings the time.

use crate::base::clock::SECOND_NS;

/// The deadlines of a rate, counted from a start.
///
/// They are absolute, so rounding and late wake-ups never add up. A tick that ends late is followed at once by the newest
/// deadline that passed meanwhile, and by none before it: nothing is caught up in a burst.
#[derive(Clone, Copy, Debug)]
pub struct TickClock {
    start_ns: u64,
    rate: u64,
    /// The deadline that is waited for.
    count: u64,
}

impl TickClock {
    /// The first deadline is `start_ns` itself.
    #[must_use]
    pub fn new(start_ns: u64, rate_hz: u16) -> Self {
        Self { start_ns, rate: u64::from(rate_hz.max(1)), count: 0 }
    }

    /// When the next tick is due, ns.
    #[must_use]
    pub fn due_ns(&self) -> u64 {
        self.start_ns + self.count / self.rate * SECOND_NS + self.count % self.rate * SECOND_NS / self.rate
    }

    /// The tick that was due ended at `now_ns`. Returns the deadlines that are skipped.
    pub fn ended(&mut self, now_ns: u64) -> u64 {
        let next = self.count + 1;
        self.count = tick_after(self.count, self.rate, now_ns.saturating_sub(self.start_ns));
        self.count - next
    }
}

/// How far a count of deadlines, taken and skipped, is from what `elapsed_ns` at `rate_hz` asks for, as a share of that.
/// Above 0 the clock of the ticks is fast. In the first second a single deadline is more than the figure can tell: 0.
#[must_use]
pub fn drift_ratio(deadlines: u64, rate_hz: u16, elapsed_ns: u64) -> f64 {
    if elapsed_ns < SECOND_NS {
        return 0.0;
    }
    // The deadline at the start is the first of the count: so many periods have passed, and the current one in part.
    let asked = elapsed_ns as f64 / SECOND_NS as f64 * f64::from(rate_hz.max(1));
    let most = deadlines as f64;
    let least = most - 1.0;
    let away = if asked > most {
        most - asked
    } else if asked < least {
        least - asked
    } else {
        0.0
    };
    away / asked
}

/// The tick that follows `count` when `passed_ns` have passed since tick 0 was due: the next one; or, when others were
/// due meanwhile, the newest of those, at once.
///
/// Waiting for the first deadline ahead instead would halve the rate of a step that is only a little too long.
fn tick_after(count: u64, rate: u64, passed_ns: u64) -> u64 {
    let newest_due = passed_ns / SECOND_NS * rate + passed_ns % SECOND_NS * rate / SECOND_NS;
    newest_due.max(count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::MILLISECOND_NS;

    #[test]
    fn a_late_tick_is_followed_at_once_and_by_one_only() {
        let after = |count, passed_ms| tick_after(count, 50, passed_ms * MILLISECOND_NS);
        assert_eq!(after(0, 5), 1, "in time: the next deadline, in 15 ms");
        assert_eq!(after(0, 25), 1, "late: the deadline of 20 ms, at once");
        assert_eq!(
            after(1, 119),
            5,
            "very late: those of 40, 60 and 80 ms are skipped, that of 100 ms is taken at once"
        );
        assert_eq!(after(5, 121), 6, "and then the next one");
        assert_eq!(after(180_000_000, 0), 180_000_001, "never the same again");
    }

    #[test]
    fn the_drift_is_that_of_the_count() {
        let drift = |deadlines, seconds| drift_ratio(deadlines, 60, seconds * SECOND_NS);
        assert_eq!((drift(600, 10), drift(601, 10)), (0.0, 0.0), "the tick of now has come, or is about to");
        assert!((drift(594, 10) + 0.01).abs() < 1e-9, "one of a hundred is missing");
        assert!((drift(607, 10) - 0.01).abs() < 1e-9, "one of a hundred is too much");
        assert_eq!(drift(5, 0), 0.0);
    }

    /// A number below `below`, from a generator that repeats.
    fn random(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    /// Ten minutes of ticks whose wake-ups are late and whose steps take long, now and then very long. Returns when each
    /// tick began, and the deadlines that were skipped.
    fn ten_minutes(rate_hz: u16, seed: u64) -> (Vec<u64>, u64) {
        const START_NS: u64 = 77 * SECOND_NS + 13;
        let mut state = seed;
        let mut clock = TickClock::new(START_NS, rate_hz);
        let (mut now_ns, mut begun, mut skipped) = (START_NS, Vec::new(), 0);
        while now_ns < START_NS + 600 * SECOND_NS {
            let late_ns = random(&mut state, MILLISECOND_NS);
            now_ns = now_ns.max(clock.due_ns()) + late_ns;
            begun.push(now_ns);
            now_ns += match random(&mut state, 100) {
                0 => random(&mut state, 300) * MILLISECOND_NS,
                1..=9 => random(&mut state, 30) * MILLISECOND_NS,
                _ => random(&mut state, 6) * MILLISECOND_NS,
            };
            skipped += clock.ended(now_ns);
        }
        (begun, skipped)
    }

    #[test]
    fn ten_minutes_of_bad_luck_drift_by_nothing_and_are_never_caught_up() {
        for (rate_hz, seed) in [(60, 1), (120, 2), (7, 3), (1, 4)] {
            let (begun, skipped) = ten_minutes(rate_hz, seed);
            assert!(rate_hz < 60 || skipped > 100, "{skipped} skipped: the run was not a bad one");
            let elapsed_ns = begun[begun.len() - 1] - begun[0];
            let drift = drift_ratio(begun.len() as u64 + skipped, rate_hz, elapsed_ns);
            assert!(drift.abs() < 0.01 / 4.0, "{drift} at {rate_hz} Hz");
            // In any second there are as many ticks as the rate asks for, and the one or two that its edges cut.
            let rate = usize::from(rate_hz);
            for window in begun.windows(rate + 3) {
                assert!(window[rate + 2] - window[0] > SECOND_NS, "a burst at {rate_hz} Hz: {window:?}");
            }
        }
    }
}
