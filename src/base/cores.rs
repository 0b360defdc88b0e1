//! Which CPUs the process may use, and pinning a thread to one.

use core_affinity::CoreId;

/// First CPU id that `core_affinity` cannot name: it aborts the process there.
const CORE_ID_LIMIT: usize = 1_024;

/// CPU ids the process may run on, ascending. Take it before the first pin: afterwards a thread sees one core.
#[must_use]
pub fn allowed() -> Vec<usize> {
    let mut ids: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    ids.sort_unstable();
    ids
}

/// Pins the calling thread; `false` when the kernel refuses or the id cannot be named.
#[must_use]
pub fn pin_current(id: usize) -> bool {
    id < CORE_ID_LIMIT && core_affinity::set_for_current(CoreId { id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_to_a_core_that_is_not_there_is_an_answer() {
        assert!(!allowed().is_empty());
        assert!(!pin_current(1_023));
        assert!(!pin_current(usize::MAX), "an id over the mask must not reach core_affinity, which aborts");
    }
}
