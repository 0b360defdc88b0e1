//! What becomes of a client that cannot keep up: it is given less, step by step, and more again when it can take it.

use crate::base::clock::SECOND_NS;
use crate::handoff::Rung;

/// Time over which bad seconds are remembered.
const MEMORY_NS: u64 = 60 * SECOND_NS;

/// Bad seconds in that time that cost a step.
const BAD_MAX: usize = 3;

/// Good time that earns a step back, at first.
const PATIENCE_NS: u64 = 10 * SECOND_NS;

/// The same at most: it doubles with every step that was taken back.
const PATIENCE_NS_MAX: u64 = 160 * SECOND_NS;

/// One client's place.
#[derive(Clone, Copy, Debug)]
pub struct Ladder {
    rung: Rung,
    /// Ends of the newest bad seconds; 0 for none.
    bad_ns: [u64; BAD_MAX],
    /// Since when nothing was bad.
    good_since_ns: u64,
    patience_ns: u64,
    /// It has gone up since it last went down.
    climbed: bool,
    looked_ns: u64,
    left_out: u64,
}

impl Ladder {
    /// At the top.
    pub fn new(now_ns: u64) -> Self {
        Self {
            rung: Rung::Full,
            bad_ns: [0; BAD_MAX],
            good_since_ns: now_ns,
            patience_ns: PATIENCE_NS,
            climbed: false,
            looked_ns: now_ns,
            left_out: 0,
        }
    }

    /// Whether a second has passed since the last look.
    pub fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.looked_ns) >= SECOND_NS
    }

    /// Looks back at a second: `left_out` frames were left out so far, `hindered` says that the client itself was the reason, by
    /// a full socket or missing acknowledgements. Returns the rung to go to.
    pub fn look(&mut self, left_out: u64, hindered: bool, chain: bool, now_ns: u64) -> Option<Rung> {
        self.looked_ns = now_ns;
        let bad = left_out > self.left_out && hindered;
        self.left_out = left_out;
        if bad {
            self.good_since_ns = now_ns;
            self.bad_ns.rotate_left(1);
            if let Some(newest) = self.bad_ns.last_mut() {
                *newest = now_ns;
            }
            let worn = self.bad_ns.iter().all(|bad_ns| *bad_ns > 0 && now_ns - bad_ns < MEMORY_NS);
            return match self.rung {
                Rung::Full => Some(Rung::Skipping),
                rung if worn => rung.down(chain),
                _ => None,
            };
        }
        (now_ns.saturating_sub(self.good_since_ns) >= self.patience_ns).then(|| self.rung.up()).flatten()
    }

    /// It stands on this rung now.
    pub fn stand(&mut self, rung: Rung, now_ns: u64) {
        if rung > self.rung {
            if self.climbed {
                self.patience_ns = (self.patience_ns * 2).min(PATIENCE_NS_MAX);
            }
            self.climbed = false;
        } else {
            self.climbed = true;
        }
        // What was bad on one rung says nothing about the next. That it is skipping at all does.
        if rung != Rung::Skipping {
            self.bad_ns = [0; BAD_MAX];
        }
        self.good_since_ns = now_ns;
        self.rung = rung;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a second, with frames left out where `bad` says so; the rungs it goes through.
    fn walk(
        ladder: &mut Ladder,
        from_s: u64,
        seconds: u64,
        bad: impl Fn(u64) -> bool,
        chain: bool,
    ) -> Vec<(u64, Rung)> {
        let mut walked = Vec::new();
        for second in from_s..from_s + seconds {
            let left_out = ladder.left_out + u64::from(bad(second));
            if let Some(rung) = ladder.look(left_out, true, chain, second * SECOND_NS) {
                ladder.stand(rung, second * SECOND_NS);
                walked.push((second, rung));
            }
        }
        walked
    }

    #[test]
    fn a_slow_client_goes_down_step_by_step_and_comes_back() {
        let mut ladder = Ladder::new(0);
        let down = walk(&mut ladder, 1, 12, |_| true, true);
        assert_eq!(down, [(1, Rung::Skipping), (3, Rung::Half), (6, Rung::Quarter), (9, Rung::Snapshots)]);
        let up = walk(&mut ladder, 13, 60, |_| false, true);
        assert_eq!(up, [(22, Rung::Quarter), (32, Rung::Half), (42, Rung::Skipping), (52, Rung::Full)]);
    }

    #[test]
    fn full_frames_have_no_snapshots_below_them() {
        let mut ladder = Ladder::new(0);
        walk(&mut ladder, 1, 30, |_| true, false);
        assert_eq!(ladder.rung, Rung::Quarter);
    }

    #[test]
    fn one_that_falls_back_waits_twice_as_long() {
        let mut ladder = Ladder::new(0);
        walk(&mut ladder, 1, 3, |_| true, true);
        assert_eq!(walk(&mut ladder, 4, 10, |_| false, true), [(13, Rung::Skipping)]);
        walk(&mut ladder, 14, 3, |_| true, true);
        assert_eq!(ladder.rung, Rung::Half);
        assert_eq!(walk(&mut ladder, 17, 30, |_| false, true), [(36, Rung::Skipping)]);
    }

    #[test]
    fn rare_trouble_and_the_servers_own_cost_nothing() {
        let mut ladder = Ladder::new(0);
        let walked = walk(&mut ladder, 1, 600, |second| second % 35 == 0, true);
        assert!(walked.iter().all(|(_, rung)| matches!(rung, Rung::Full | Rung::Skipping)), "{walked:?}");
        let mut ladder = Ladder::new(0);
        assert_eq!((1..100).find_map(|second| ladder.look(second, false, true, second * SECOND_NS)), None);
    }
}
