//! Temperature: how strongly forces act, when that fades, and when the layout has come to rest.

use crate::sim::SimParams;

/// Steps for which the RMS velocity must stay under the threshold.
const QUIET_STEPS: u32 = 30;

/// What new springs warm the layout to, and a drag, a pin or a change the nodes next to it: enough to follow, too little to unfold
/// again.
pub(in crate::sim) const TOUCHED: f32 = 0.3;

/// Where cooling ends: no layout moves visibly, and the product with a force stays a normal number.
const COLDEST: f32 = 1e-6;

/// The temperature and the count of quiet steps.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sim) struct Heat {
    temperature: f32,
    warmup_left: u32,
    quiet_steps: u32,
}

impl Heat {
    /// Full temperature, with the warm-up before it cools.
    pub(in crate::sim) fn fresh(params: &SimParams) -> Self {
        Self { temperature: 1.0, warmup_left: params.warmup_iterations, quiet_steps: 0 }
    }

    /// As after a touch.
    pub(in crate::sim) fn lukewarm() -> Self {
        Self { temperature: TOUCHED, warmup_left: 0, quiet_steps: 0 }
    }

    /// Full temperature, cooling at once.
    pub(in crate::sim) fn reheat(&mut self) {
        self.temperature = 1.0;
        self.quiet_steps = 0;
    }

    /// Warm enough to follow a change of all.
    pub(in crate::sim) fn touch(&mut self) {
        self.temperature = self.temperature.max(TOUCHED);
        self.quiet_steps = 0;
    }

    /// As warm as before, but not at rest: something changed somewhere.
    pub(in crate::sim) fn disturb(&mut self) {
        self.quiet_steps = 0;
    }

    /// 0 to 1.
    pub(in crate::sim) fn temperature(&self) -> f32 {
        self.temperature
    }

    /// Ends a step; returns whether the layout has settled. It does not while something is `disturbed`: a node is held, or
    /// warmer than the rest.
    pub(in crate::sim) fn end_step(&mut self, params: &SimParams, rms_velocity: f32, disturbed: bool) -> bool {
        if self.warmup_left > 0 {
            self.warmup_left -= 1;
        } else {
            self.temperature = (self.temperature * (1.0 - params.cooling)).max(COLDEST.min(self.temperature));
        }
        let quiet = rms_velocity < params.settle_velocity && !disturbed;
        self.quiet_steps = if quiet { (self.quiet_steps + 1).min(QUIET_STEPS) } else { 0 };
        self.quiet_steps == QUIET_STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_settles_only_after_thirty_quiet_steps_and_a_touch_ends_that() {
        let params = SimParams { warmup_iterations: 5, ..SimParams::default() };
        let mut heat = Heat::fresh(&params);
        for _ in 0..5 {
            assert_eq!(heat.temperature(), 1.0);
            assert!(!heat.end_step(&params, 1.0, false));
        }
        for _ in 0..QUIET_STEPS - 1 {
            assert!(!heat.end_step(&params, 0.0, false));
        }
        assert!(heat.end_step(&params, 0.0, false));
        heat.touch();
        assert!(!heat.end_step(&params, 0.0, false));
        assert!(heat.temperature() > 0.9 * TOUCHED);
    }

    #[test]
    fn it_cools_but_does_not_settle_while_a_node_is_held() {
        let params = SimParams { warmup_iterations: 0, ..SimParams::default() };
        let mut heat = Heat::fresh(&params);
        for _ in 0..10_000 {
            assert!(!heat.end_step(&params, 0.0, true));
        }
        assert_eq!(heat.temperature(), COLDEST);
        let quiet = (0..QUIET_STEPS).map(|_| heat.end_step(&params, 0.0, false)).filter(|settled| *settled).count();
        assert_eq!(quiet, 1);
        heat.disturb();
        assert!(!heat.end_step(&params, 0.0, false));
    }
}
