//! How often one client may do something.

use crate::base::Rate;
use crate::base::clock::SECOND_NS;
use crate::limits::{CONTROL_BURST, CONTROL_PER_MINUTE};

/// Time that one request pays for.
const PERIOD_NS: u64 = 60 * SECOND_NS / CONTROL_PER_MINUTE;

/// Admits `CONTROL_BURST` at once and `CONTROL_PER_MINUTE` on average.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit(Rate);

impl Default for RateLimit {
    fn default() -> Self {
        Self(Rate::new(PERIOD_NS, CONTROL_BURST))
    }
}

impl RateLimit {
    /// Admits a request at `now_ns`, or says how long to wait.
    ///
    /// # Errors
    /// Nanoseconds until the next one is admitted.
    pub fn admit(&mut self, now_ns: u64) -> Result<(), u64> {
        self.0.admit(now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds_and_the_wait_is_true() {
        let mut limit = RateLimit::default();
        assert_eq!((0..100).filter(|_| limit.admit(SECOND_NS).is_ok()).count() as u64, CONTROL_BURST);
        let wait_ns = limit.admit(SECOND_NS).unwrap_err();
        assert!(limit.admit(SECOND_NS + wait_ns - 1).is_err());
        assert!(limit.admit(SECOND_NS + wait_ns).is_ok());
        let minute = (0..60_000).filter(|ms| limit.admit(2 * SECOND_NS + ms * 1_000_000).is_ok()).count() as u64;
        assert!((CONTROL_PER_MINUTE..=CONTROL_PER_MINUTE + CONTROL_BURST).contains(&minute), "{minute}");
    }
}
