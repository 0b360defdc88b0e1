//! One stage of a frame's life on one thread: how long it takes, and whether that is within its budget.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hdrhistogram::Histogram as Distribution;

use super::hdr::{Hdr, Taken};
use super::{Counter, Histogram};
use crate::base::clock::SECOND_NS;

/// Seconds in a row whose p99 is over the budget before the stage counts as breached: one slow moment is no reason to
/// lower anybody's rate.
const OVER_SECONDS: u64 = 3;

/// Seconds in a row that are calm before it counts as well again.
const CALM_SECONDS: u64 = 5;

/// Share of the budget that the p99 of a calm second keeps below, as a fraction: what relief gave has to be more than
/// enough before it is taken back.
const CALM: (u64, u64) = (4, 5);

/// Records and budget of one stage. Written by one thread, read by anybody; a record takes neither lock nor allocation.
#[derive(Debug, Default)]
pub struct Stage {
    fine: Hdr,
    coarse: Histogram,
    /// 0 is none.
    budget_ns: AtomicU64,
    breaches: Counter,
    /// The second that is being judged: its end, and its records.
    second_end_ns: Cell,
    records: Cell,
    over: Cell,
    not_calm: Cell,
    /// Seconds in a row.
    over_run: Cell,
    calm_run: Cell,
    breached: AtomicBool,
}

/// A number of the writing thread.
#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl Cell {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Stage {
    /// The stage took from `from_ns` to `to_ns`. For the one thread that does its work.
    pub fn span(&self, from_ns: u64, to_ns: u64) {
        let ns = to_ns.saturating_sub(from_ns);
        self.fine.record(ns);
        self.coarse.record(ns);
        self.begin_second(to_ns);
        let budget_ns = self.budget_ns.load(Ordering::Relaxed);
        self.records.set(self.records.get() + 1);
        if budget_ns == 0 {
            return;
        }
        if ns > budget_ns {
            self.breaches.add(1);
            self.over.set(self.over.get() + 1);
        }
        if ns > budget_ns / CALM.1 * CALM.0 {
            self.not_calm.set(self.not_calm.get() + 1);
        }
    }

    /// Judges the second that is over, if one is.
    fn begin_second(&self, now_ns: u64) {
        let end_ns = self.second_end_ns.get();
        if now_ns < end_ns {
            return;
        }
        self.second_end_ns.set(now_ns + SECOND_NS);
        if end_ns > 0 {
            self.judge((now_ns - end_ns) / SECOND_NS);
        }
        for cell in [&self.records, &self.over, &self.not_calm] {
            cell.set(0);
        }
    }

    /// The p99 is over a bound when more than one record of a hundred is. `silent` whole seconds without a record followed.
    fn judge(&self, silent: u64) {
        let tolerated = self.records.get() / 100;
        let (over, calm) = (self.over.get() > tolerated, self.not_calm.get() <= tolerated);
        let over_run = if over { self.over_run.get() + 1 } else { 0 };
        let calm_run = if calm { self.calm_run.get() + 1 } else { 0 } + silent;
        self.over_run.set(if silent > 0 { 0 } else { over_run });
        self.calm_run.set(calm_run);
        if over_run >= OVER_SECONDS {
            self.breached.store(true, Ordering::Relaxed);
        }
        if calm_run >= CALM_SECONDS {
            self.breached.store(false, Ordering::Relaxed);
        }
    }

    /// Whether the stage has been over its budget for some seconds, and not well within it for some since. A stage
    /// without any work is within it. For any thread.
    #[must_use]
    pub fn breached(&self, now_ns: u64) -> bool {
        self.breached.load(Ordering::Relaxed) && now_ns < self.second_end_ns.get() + CALM_SECONDS * SECOND_NS
    }

    /// From now on `ns` is the budget; 0 is none.
    pub fn set_budget_ns(&self, ns: u64) {
        self.budget_ns.store(ns, Ordering::Relaxed);
    }

    /// The budget, ns; `None` where there is none.
    #[must_use]
    pub fn budget_ns(&self) -> Option<u64> {
        Some(self.budget_ns.load(Ordering::Relaxed)).filter(|ns| *ns > 0)
    }

    /// Records over the budget since start.
    #[must_use]
    pub fn breaches(&self) -> u64 {
        self.breaches.get()
    }

    /// The same records in few buckets, for Prometheus.
    #[must_use]
    pub fn coarse(&self) -> &Histogram {
        &self.coarse
    }

    /// Everything since start.
    #[must_use]
    pub fn distribution(&self) -> Distribution<u64> {
        self.fine.all()
    }

    /// What came since the last call with this `taken`.
    pub(super) fn take(&self, taken: &mut Taken) -> Distribution<u64> {
        self.fine.take(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::MILLISECOND_NS;

    const BUDGET_NS: u64 = 10 * MILLISECOND_NS;

    /// A stage, and the clock of its thread.
    struct Played {
        stage: Stage,
        now_ns: u64,
    }

    impl Played {
        fn new() -> Self {
            let stage = Stage::default();
            stage.set_budget_ns(BUDGET_NS);
            Self { stage, now_ns: 7 * SECOND_NS }
        }

        /// A second of 60 records, `late` of them of `late_ms`, the others of 1 ms; whether it is breached at its end.
        fn second(&mut self, late: u64, late_ms: u64) -> bool {
            for record in 0..60 {
                let ms = if record < late { late_ms } else { 1 };
                self.stage.span(self.now_ns - ms * MILLISECOND_NS, self.now_ns);
                self.now_ns += SECOND_NS / 60 + 1;
            }
            self.stage.breached(self.now_ns)
        }
    }

    #[test]
    fn seconds_over_the_budget_add_up_and_calm_ones_take_it_back() {
        let mut played = Played::new();
        // Judged with the first record after it, so the third second over shows in the fourth.
        assert_eq!([(); 4].map(|()| played.second(3, 12)), [false, false, false, true]);
        assert_eq!(played.stage.breaches(), 12);
        // Within the budget, yet not well within it: it stays.
        assert!((0..20).all(|_| played.second(60, 9)));
        assert_eq!([(); 6].map(|()| played.second(60, 7)), [true, true, true, true, true, false]);
        assert!(!played.second(3, 12), "one bad second is not enough again");
    }

    #[test]
    fn bad_seconds_that_do_not_follow_each_other_are_no_breach() {
        let mut played = Played::new();
        for _ in 0..20 {
            assert!(!played.second(30, 50) && !played.second(30, 50) && !played.second(0, 0));
        }
        assert_eq!(played.stage.breaches(), 20 * 60);
    }

    #[test]
    fn one_late_record_of_a_hundred_is_no_breach_of_a_p99() {
        let stage = Stage::default();
        stage.set_budget_ns(BUDGET_NS);
        let mut now_ns = SECOND_NS;
        for record in 0..10_000_u64 {
            now_ns += MILLISECOND_NS;
            let ms = if record.is_multiple_of(101) { 20 } else { 1 };
            stage.span(now_ns - ms * MILLISECOND_NS, now_ns);
            assert!(!stage.breached(now_ns), "at record {record}");
        }
    }

    #[test]
    fn a_stage_that_has_nothing_to_do_is_within_its_budget() {
        let mut played = Played::new();
        while !played.second(60, 12) {}
        assert!(played.stage.breached(played.now_ns + 4 * SECOND_NS));
        played.now_ns += 7 * SECOND_NS;
        assert!(!played.stage.breached(played.now_ns));
        assert!(!played.second(60, 12), "it begins anew");
        assert!(!played.second(60, 12));
    }

    #[test]
    fn without_a_budget_nothing_is_counted() {
        let mut played = Played::new();
        played.stage.set_budget_ns(0);
        assert!((0..10).all(|_| !played.second(60, 5_000)));
        assert_eq!((played.stage.breaches(), played.stage.budget_ns()), (0, None));
        assert_eq!(played.stage.distribution().len(), 600);
    }
}
