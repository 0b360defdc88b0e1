//! Wakes a sleeping thread once, whatever the number of items it is woken for.

use super::sync::{AtomicBool, Ordering, fence};

/// One per reading thread, shared by all its lanes. The reader arms it before it sleeps; the first writer after
/// that wakes it, later ones pay one load.
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
    pub fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
        // Pairs with the fence in `ring`: either the writer sees `armed`, or this thread's following look at the
        // lanes sees the writer's item. Without both fences each could miss the other.
        fence(Ordering::SeqCst);
    }

    /// Reader: I am awake.
    pub fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }

    /// Writer: call after a push.
    pub fn ring(&self) {
        // Pairs with the fence in `arm`.
        fence(Ordering::SeqCst);
        if self.armed.load(Ordering::Relaxed) && self.armed.swap(false, Ordering::AcqRel) {
            (self.wake)();
        }
    }
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Doorbell").field("armed", &self.armed.load(Ordering::Relaxed)).finish_non_exhaustive()
    }
}
