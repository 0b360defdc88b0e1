//! Counts work in tests: what a computation does between two looks at whoever may stop it must be little, however fast the machine is.
//! In a build that is no test it is nothing.

#[cfg(test)]
thread_local! {
    static SPENT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// So many half-edges, distances or comparisons are looked at.
#[cfg(test)]
pub fn spend(units: usize) {
    SPENT.with(|spent| spent.set(spent.get() + units as u64));
}

/// Nothing.
#[cfg(not(test))]
#[inline(always)]
pub fn spend(_units: usize) {}

/// What this thread has spent so far.
#[cfg(test)]
pub fn spent() -> u64 {
    SPENT.with(std::cell::Cell::get)
}
