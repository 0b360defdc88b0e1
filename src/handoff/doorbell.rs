//! Wakes a sleeping thread once, whatever the number of items it is woken for.

use super::sync::{AtomicBool, Ordering};

/// One per reading thread, shared by all its lanes. The reader arms it before it sleeps; the first writer after
/// that wakes it, later ones pay one swap.
///
/// The reader's turn: [`Self::arm`], look at every lane once more, sleep only if all are empty, [`Self::disarm`].
pub struct Doorbell {
    armed: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Doorbell {
    /// A bell whose `wake` makes the reader's sleep return; it may be called when the reader is not asleep.
    #[must_use]
    pub fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { armed: AtomicBool::new(false), wake }
    }

    /// A bell for a thread that never sleeps on its lanes (it polls them at its own ticks).
    #[must_use]
    pub fn silent() -> Self {
        Self::new(Box::new(|| ()))
    }

    /// Reader: from here on a push wakes me. Lanes must be looked at once more before sleeping.
    ///
    /// Every access is a read-modify-write, so all of them stand in one order, each acquiring what the ones before it
    /// released: a `ring` before this sees no sleeper, but its item is seen by the look that follows; a `ring` after
    /// this sees the sleeper. A plain store here or in [`Self::disarm`] would break that chain.
    pub fn arm(&self) {
        self.armed.swap(true, Ordering::AcqRel);
    }

    /// Reader: I am awake.
    pub fn disarm(&self) {
        self.armed.swap(false, Ordering::AcqRel);
    }

    /// Writer: call after a push.
    pub fn ring(&self) {
        // Pairs with the swap in `arm`.
        if self.armed.swap(false, Ordering::AcqRel) {
            (self.wake)();
        }
    }
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Doorbell").field("armed", &self.armed.load(Ordering::Relaxed)).finish_non_exhaustive()
    }
}
