//! The frames that a client is owed: one at each period of its rate, counted from the due time of its first frame.
//!
//! A frame that comes satisfies every period up to its own due time. A period without a frame of its own is missing:
//! until the newer one came its client saw an old picture, and that is how late it was.

/// A period is taken as met by a frame that is due up to this share of a period before it: servers that serve 45 of 60
/// ticks a second, and stamps that jitter, are not at fault.
const EARLY: f64 = 0.25;

/// Most calls of `missing` for one hole: in a longer one neighbouring periods are given as one with their number.
const HOLE_STEPS: u64 = 10_000;

/// What one client is owed. Times are ns of any one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Owed {
    /// 0: nothing is owed.
    period_ns: f64,
    /// Due time of period 0; `None` before the first frame, and while the server is at rest.
    anchor_ns: Option<u64>,
    /// The last period that is met or counted as missing.
    met: u64,
    /// A frame came that was a period too many: the next hole of one period is none.
    ahead: bool,
    /// Due time of the newest frame: one that comes twice or late in order is not one too many.
    newest_ns: u64,
}

impl Owed {
    /// Owes `rate_hz` frames a second from now on, or none.
    pub fn set_rate(&mut self, rate_hz: Option<f64>) {
        let period_ns = rate_hz.filter(|rate| *rate > 0.0).map_or(0.0, |rate| 1e9 / rate);
        if (period_ns - self.period_ns).abs() > 0.5 {
            *self = Self { period_ns, ..Self::default() };
        }
    }

    /// Whether anything is owed.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.period_ns > 0.0
    }

    /// A frame that was due at `due_ns` has come. Calls `missing` with due time and number of the periods that it shows
    /// to have gone without.
    pub fn come(&mut self, due_ns: u64, missing: impl FnMut(u64, u64)) {
        let Some(anchor) = self.anchor_ns else {
            if self.is_known() {
                (self.anchor_ns, self.met, self.ahead, self.newest_ns) = (Some(due_ns), 0, false, due_ns);
            }
            return;
        };
        if due_ns <= self.newest_ns {
            return;
        }
        self.newest_ns = due_ns;
        let place = self.place(anchor, due_ns, EARLY);
        if place <= self.met {
            self.ahead = true;
            return;
        }
        self.skip(anchor, place - 1, missing);
        self.met = place;
    }

    /// Nothing is owed from here to the next frame: the server is at rest, or the client left.
    pub fn rest(&mut self) {
        self.anchor_ns = None;
    }

    /// Nothing more will come. Calls `missing` with every period due up to `end_ns` that is not met. A client that
    /// never had a frame has been owed them since `since_ns`.
    pub fn finish(&mut self, since_ns: Option<u64>, end_ns: u64, mut missing: impl FnMut(u64, u64)) {
        if !self.is_known() {
            return;
        }
        if let (None, Some(since)) = (self.anchor_ns, since_ns.filter(|since| *since <= end_ns)) {
            (self.anchor_ns, self.met, self.ahead) = (Some(since), 0, false);
            missing(since, 1);
        }
        let Some(anchor) = self.anchor_ns.take_if(|anchor| *anchor <= end_ns) else { return };
        let place = self.place(anchor, end_ns, 0.0);
        self.skip(anchor, place, missing);
        self.met = self.met.max(place);
    }

    /// Whether every period due up to `end_ns` is met.
    #[must_use]
    pub fn is_met(&self, end_ns: u64) -> bool {
        self.anchor_ns.is_none_or(|anchor| anchor > end_ns || self.place(anchor, end_ns, 0.0) <= self.met)
    }

    fn place(&self, anchor_ns: u64, due_ns: u64, early: f64) -> u64 {
        (due_ns.saturating_sub(anchor_ns) as f64 / self.period_ns + early) as u64
    }

    /// Counts the periods after the last met one up to `last` as missing.
    fn skip(&mut self, anchor_ns: u64, last: u64, mut missing: impl FnMut(u64, u64)) {
        let mut first = self.met + 1;
        if self.ahead && first <= last {
            first += 1;
            self.ahead = false;
        }
        let step = (last + 1).saturating_sub(first).div_ceil(HOLE_STEPS).max(1);
        while first <= last {
            let count = step.min(last + 1 - first);
            let middle = first as f64 + (count - 1) as f64 / 2.0;
            missing(anchor_ns + (middle * self.period_ns) as u64, count);
            first += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Due times of frames that came, in ms, and those found missing at a rate.
    fn missing(rate_hz: f64, came_ms: &[f64]) -> Vec<u64> {
        let mut owed = Owed::default();
        owed.set_rate(Some(rate_hz));
        let mut out = Vec::new();
        for due in came_ms {
            owed.come((due * 1e6) as u64, |due, _| out.push(due / MS));
        }
        out
    }

    #[test]
    fn a_stall_leaves_every_period_in_it_missing() {
        let came = [1_000.0, 1_010.0, 1_020.0, 1_100.0, 1_110.0];
        assert_eq!(missing(100.0, &came), [1_030, 1_040, 1_050, 1_060, 1_070, 1_080, 1_090]);
    }

    #[test]
    fn a_rate_that_falls_short_a_little_adds_up() {
        let at_45_hz: Vec<f64> = (0..450).map(|frame| f64::from(frame) * 1_000.0 / 45.0).collect();
        let short = missing(60.0, &at_45_hz).len();
        assert!((147..=150).contains(&short), "{short}");
        assert_eq!(missing(45.0, &at_45_hz), [0; 0]);
    }

    #[test]
    fn uneven_ticks_of_the_right_rate_and_jitter_owe_nothing() {
        // 45 of 60 ticks: three in a row, one left out.
        let ticks = (0..2_400).filter(|tick| tick % 4 != 3).map(|tick| f64::from(tick) * 1_000.0 / 60.0);
        assert_eq!(missing(45.0, &ticks.collect::<Vec<_>>()), [0; 0]);
        let jitter = |frame: u32| f64::from(frame) * 20.0 + if frame.is_multiple_of(2) { 4.5 } else { -4.5 };
        assert_eq!(missing(50.0, &(1..500).map(jitter).collect::<Vec<_>>()), [0; 0]);
    }

    #[test]
    fn a_long_hole_is_counted_in_full_and_cheaply() {
        let mut owed = Owed::default();
        owed.set_rate(Some(100.0));
        owed.come(0, |_, _| panic!("nothing"));
        let (mut calls, mut periods) = (0, 0);
        owed.come(3_600_000 * MS, |_, count| (calls, periods) = (calls + 1, periods + count));
        assert_eq!(periods, 359_999);
        assert!(calls <= HOLE_STEPS);
    }

    #[test]
    fn a_frame_that_comes_twice_does_not_stand_for_another() {
        assert_eq!(missing(100.0, &[1_000.0, 1_010.0, 1_010.0, 1_030.0]), [1_020]);
        assert_eq!(missing(100.0, &[1_000.0, 1_020.0, 1_010.0, 1_030.0, 1_050.0]), [1_010, 1_040]);
    }

    #[test]
    fn silence_is_owed_up_to_the_end() {
        let mut owed = Owed::default();
        owed.set_rate(Some(100.0));
        owed.come(500 * MS, |_, _| panic!("nothing is missing yet"));
        assert!(owed.is_met(505 * MS) && !owed.is_met(511 * MS));
        let mut out = Vec::new();
        owed.finish(None, 545 * MS, |due, _| out.push(due / MS));
        assert_eq!(out, [510, 520, 530, 540]);
        // Nothing ever came.
        let mut never = Owed::default();
        never.set_rate(Some(100.0));
        out.clear();
        never.finish(Some(100 * MS), 125 * MS, |due, _| out.push(due / MS));
        assert_eq!(out, [100, 110, 120]);
        // At rest.
        let mut rest = Owed::default();
        rest.set_rate(Some(100.0));
        rest.come(0, |_, _| panic!("nothing"));
        rest.rest();
        rest.finish(None, 500 * MS, |_, _| panic!("nothing is owed at rest"));
        // No rate.
        Owed::default().finish(Some(0), 500 * MS, |_, _| panic!("nothing is owed without a rate"));
    }
}
