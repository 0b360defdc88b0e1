//! How often something may be done: the generic cell rate algorithm, a few words and no timer.

/// So many at once, and one a period on average.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    period_ns: u64,
    burst_ns: u64,
    /// Theoretical arrival time of the next one, monotonic ns.
    arrival_ns: u64,
}

impl Rate {
    /// One every `period_ns`, `burst` of them at once.
    #[must_use]
    pub const fn new(period_ns: u64, burst: u64) -> Self {
        Self { period_ns, burst_ns: burst * period_ns, arrival_ns: 0 }
    }

    /// How long it is until one more is admitted, ns; 0 is now.
    #[must_use]
    pub fn wait_ns(&self, now_ns: u64) -> u64 {
        (self.arrival_ns.max(now_ns) - now_ns + self.period_ns).saturating_sub(self.burst_ns)
    }

    /// Whether anything of what may be done at once is used.
    #[must_use]
    pub fn is_in_debt(&self, now_ns: u64) -> bool {
        self.arrival_ns > now_ns
    }

    /// Takes one, even one that is not admitted yet: it is a debt then.
    pub fn take(&mut self, now_ns: u64) {
        self.arrival_ns = self.arrival_ns.max(now_ns) + self.period_ns;
    }

    /// Admits one at `now_ns`, or says how long to wait.
    ///
    /// # Errors
    /// Nanoseconds until the next one is admitted.
    pub fn admit(&mut self, now_ns: u64) -> Result<(), u64> {
        match self.wait_ns(now_ns) {
            0 => {
                self.take(now_ns);
                Ok(())
            }
            wait_ns => Err(wait_ns),
        }
    }
}
