//! Atomics, `Arc` and the queue, from std and crossbeam or, under `--cfg loom`, from the model checker.
//!
//! crossbeam's `ArrayQueue` knows nothing of loom, so the model stands a mutex-guarded queue in its place: loom then
//! explores what is ours (the doorbell protocol, the pool's reuse), not crossbeam's own algorithm.

#[cfg(not(loom))]
pub use crossbeam::queue::ArrayQueue;
#[cfg(not(loom))]
pub use std::sync::Arc;
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[cfg(loom)]
pub use loom::sync::Arc;
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
#[cfg(loom)]
pub use model::ArrayQueue;

#[cfg(loom)]
mod model {
    use std::collections::VecDeque;

    use loom::sync::Mutex;
    use loom::sync::atomic::{AtomicUsize, Ordering};

    /// The part of crossbeam's `ArrayQueue` that lanes use. Whether it is empty is read without the lock, as in the
    /// original: that load is what the doorbell has to order.
    pub struct ArrayQueue<T> {
        items: Mutex<VecDeque<T>>,
        count: AtomicUsize,
        slots: usize,
    }

    impl<T> ArrayQueue<T> {
        pub fn new(slots: usize) -> Self {
            Self { items: Mutex::new(VecDeque::new()), count: AtomicUsize::new(0), slots }
        }

        fn with<R>(&self, change: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
            let mut items = self.items.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let answer = change(&mut items);
            self.count.store(items.len(), Ordering::Release);
            answer
        }

        pub fn push(&self, item: T) -> Result<(), T> {
            self.with(|items| {
                if items.len() == self.slots {
                    return Err(item);
                }
                items.push_back(item);
                Ok(())
            })
        }

        pub fn force_push(&self, item: T) -> Option<T> {
            self.with(|items| {
                let displaced = if items.len() == self.slots { items.pop_front() } else { None };
                items.push_back(item);
                displaced
            })
        }

        pub fn pop(&self) -> Option<T> {
            self.with(VecDeque::pop_front)
        }

        pub fn is_empty(&self) -> bool {
            self.count.load(Ordering::Acquire) == 0
        }
    }
}
