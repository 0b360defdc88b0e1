//! Atomics, `Arc` and the queue, from std and crossbeam or, under `--cfg loom`, from the model checker.
//!
//! crossbeam's `ArrayQueue` knows nothing of loom, so the model stands a mutex-guarded queue in its place: loom then
//! explores what is ours (the doorbell protocol, the pool's reuse), not crossbeam's own algorithm.

#[cfg(not(loom))]
pub use crossbeam::queue::ArrayQueue;
#[cfg(not(loom))]
pub use std::sync::Arc;
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub use loom::sync::Arc;
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use model::ArrayQueue;

#[cfg(loom)]
mod model {
    use std::collections::VecDeque;

    use loom::sync::Mutex;

    /// The part of crossbeam's `ArrayQueue` that lanes use.
    pub struct ArrayQueue<T> {
        items: Mutex<VecDeque<T>>,
        slots: usize,
    }

    impl<T> ArrayQueue<T> {
        pub fn new(slots: usize) -> Self {
            Self { items: Mutex::new(VecDeque::new()), slots }
        }

        pub fn push(&self, item: T) -> Result<(), T> {
            let mut items = self.items.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if items.len() == self.slots {
                return Err(item);
            }
            items.push_back(item);
            Ok(())
        }

        pub fn force_push(&self, item: T) -> Option<T> {
            let mut items = self.items.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let displaced = if items.len() == self.slots { items.pop_front() } else { None };
            items.push_back(item);
            displaced
        }

        pub fn pop(&self) -> Option<T> {
            self.items.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop_front()
        }

        pub fn is_empty(&self) -> bool {
            self.items.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).is_empty()
        }

        pub fn capacity(&self) -> usize {
            self.slots
        }
    }
}
