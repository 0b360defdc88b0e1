//! How much each principal may ask of the engine, over all its connections and doors together.

use std::sync::Arc;

use foldhash::HashMap;

use crate::base::Rate;

const SECOND_NS: u64 = 1_000_000_000;

/// What may be saved up: so many seconds' worth.
const BURST_SECONDS: u64 = 2;

/// The longest that a call waits for what its principal has used up before it. What would wait longer is refused.
const DEBT_NS_MAX: u64 = SECOND_NS;

/// Principals that are remembered. There are as many as there are tokens, and two.
const PRINCIPALS_MAX: usize = 1_024;

/// How much a principal may ask, per second; twice as much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Tools called, resources read, prompts got, completions.
    pub calls: u32,
    /// Of those, calls that change the graph.
    pub changes: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { calls: 5_000, changes: 500 }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is run.
    Now,
    /// It is run when this much time is over, ns, and what its connection says behind it waits until then.
    In(u64),
    /// It is not run; it may be tried again after this time, ns.
    Refused(u64),
}

#[derive(Debug)]
struct Spent {
    calls: Rate,
    changes: Rate,
}

/// What all principals have used.
#[derive(Debug, Default)]
pub struct Rates {
    limits: RateLimits,
    spent: HashMap<Arc<str>, Spent>,
}

impl Rates {
    /// Nobody has used anything yet.
    #[must_use]
    pub fn new(limits: RateLimits) -> Self {
        Self { limits, spent: HashMap::default() }
    }

    /// These from now on. Who they are new for has used up nothing.
    pub fn set_limits(&mut self, limits: RateLimits) -> RateLimits {
        if limits != self.limits {
            *self = Self::new(limits);
        }
        self.limits
    }

    /// Takes a call of `principal` at `now_ns`. One that is refused costs nothing.
    pub fn admit(&mut self, principal: &Arc<str>, changes: bool, now_ns: u64) -> Admission {
        if self.spent.len() >= PRINCIPALS_MAX && !self.spent.contains_key(principal) {
            // Whoever owes nothing is as one who was never here.
            self.spent.retain(|_, spent| spent.calls.is_in_debt(now_ns) || spent.changes.is_in_debt(now_ns));
        }
        let rate = |per_second: u32| {
            let per_second = u64::from(per_second.max(1));
            Rate::new(SECOND_NS / per_second, BURST_SECONDS * per_second)
        };
        let RateLimits { calls, changes: changing } = self.limits;
        let fresh = || Spent { calls: rate(calls), changes: rate(changing) };
        let spent = self.spent.entry(Arc::clone(principal)).or_insert_with(fresh);
        let mut wait_ns = spent.calls.wait_ns(now_ns);
        if changes {
            wait_ns = wait_ns.max(spent.changes.wait_ns(now_ns));
        }
        if wait_ns > DEBT_NS_MAX {
            return Admission::Refused(wait_ns - DEBT_NS_MAX);
        }
        spent.calls.take(now_ns);
        if changes {
            spent.changes.take(now_ns);
        }
        if wait_ns == 0 { Admission::Now } else { Admission::In(wait_ns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of this many calls at one moment: run at once, later, not at all.
    fn count(rates: &mut Rates, who: &str, changes: bool, calls: usize, now_ns: u64) -> (usize, usize, usize) {
        let (who, mut found) = (Arc::from(who), (0, 0, 0));
        for _ in 0..calls {
            match rates.admit(&who, changes, now_ns) {
                Admission::Now => found.0 += 1,
                Admission::In(wait_ns) => {
                    assert!(wait_ns <= DEBT_NS_MAX);
                    found.1 += 1;
                }
                Admission::Refused(wait_ns) => {
                    assert!(wait_ns > 0);
                    found.2 += 1;
                }
            }
        }
        found
    }

    #[test]
    fn a_burst_runs_a_debt_waits_and_the_rest_is_refused() {
        let mut rates = Rates::new(RateLimits::default());
        assert_eq!(count(&mut rates, "a", false, 20_000, SECOND_NS), (10_000, 5_000, 5_000));
        assert_eq!(count(&mut rates, "b", false, 10_000, SECOND_NS), (10_000, 0, 0), "each has its own");
        assert_eq!(
            count(&mut rates, "a", false, 100, SECOND_NS + SECOND_NS / 100),
            (0, 50, 50),
            "a hundredth of a second"
        );
        assert_eq!(count(&mut rates, "a", false, 10_001, 5 * SECOND_NS), (10_000, 1, 0), "all is forgiven");
        assert_eq!(count(&mut rates, "c", true, 2_000, SECOND_NS), (1_000, 500, 500));
        assert_eq!(count(&mut rates, "c", false, 100, SECOND_NS), (100, 0, 0), "looking goes on");
    }

    #[test]
    fn the_time_that_a_refusal_names_is_enough() {
        let mut rates = Rates::new(RateLimits { calls: 7, changes: 3 });
        let who = Arc::from("a");
        count(&mut rates, "a", true, 100, SECOND_NS);
        let Admission::Refused(wait_ns) = rates.admit(&who, true, SECOND_NS) else { panic!("not refused") };
        assert!(matches!(rates.admit(&who, true, SECOND_NS + wait_ns - 1), Admission::Refused(_)));
        assert!(matches!(rates.admit(&who, true, SECOND_NS + wait_ns), Admission::In(_)));
    }

    #[test]
    fn many_principals_take_no_more_memory() {
        let mut rates = Rates::new(RateLimits::default());
        for who in 0..3 * PRINCIPALS_MAX as u64 {
            rates.admit(&Arc::from(who.to_string()), true, SECOND_NS * (who + 1));
        }
        assert!(rates.spent.len() <= PRINCIPALS_MAX);
    }
}
