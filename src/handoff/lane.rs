//! A bounded ring from exactly one thread to exactly one other, at a time: the ends that `control` has go with the lock on it.

use std::fmt;

use super::Doorbell;
use super::sync::{Arc, ArrayQueue, AtomicU64, Ordering};

/// What a full lane does to the item that does not fit. Declared with the lane in `supervise/topology.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest item makes room, counted: newest wins.
    Conflate,
    /// The new item goes back to the caller, counted, who tells its client.
    Refuse,
}

/// A lane's counters. Each is stored by one side only, without read-modify-write, and read by `metrics`.
#[derive(Debug)]
pub struct LaneStats {
    name: String,
    slots: usize,
    overflow: Overflow,
    pushed: AtomicU64,
    popped: AtomicU64,
    displaced: AtomicU64,
    refused: AtomicU64,
}

impl LaneStats {
    /// The lane's name, `from->to.item`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Capacity in items.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// What happens to an item that finds the lane full.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Items waiting now, as near as two threads can tell.
    #[must_use]
    pub fn depth(&self) -> u64 {
        let gone = self.popped.load(Ordering::Relaxed) + self.displaced.load(Ordering::Relaxed);
        self.pushed.load(Ordering::Relaxed).saturating_sub(gone).min(self.slots as u64)
    }

    /// Items that made room for newer ones since start.
    #[must_use]
    pub fn displaced(&self) -> u64 {
        self.displaced.load(Ordering::Relaxed)
    }

    /// Items that did not fit since start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

struct Shared<T> {
    queue: ArrayQueue<T>,
    bell: Arc<Doorbell>,
    stats: Arc<LaneStats>,
}

/// The writing end. Not `Clone`: one thread writes at a time.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
}

/// The reading end. Not `Clone`: one thread reads at a time.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
}

/// Makes a lane of `slots` items, whose reader `bell` wakes.
///
/// # Panics
/// When `slots` is 0.
#[must_use]
pub fn lane<T>(
    name: impl Into<String>,
    slots: usize,
    overflow: Overflow,
    bell: Arc<Doorbell>,
) -> (Producer<T>, Consumer<T>) {
    let stats = Arc::new(LaneStats {
        name: name.into(),
        slots,
        overflow,
        pushed: AtomicU64::new(0),
        popped: AtomicU64::new(0),
        displaced: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let shared = Arc::new(Shared { queue: ArrayQueue::new(slots), bell, stats });
    (Producer { shared: Arc::clone(&shared) }, Consumer { shared })
}

/// Adds one to a counter that only this thread writes.
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl<T> Producer<T> {
    /// Appends `item` and wakes the reader. On a full [`Overflow::Conflate`] lane the oldest item goes and `Ok`
    /// carries it; on a full [`Overflow::Refuse`] lane the item itself comes back.
    ///
    /// # Errors
    /// The item, when the lane is full and refuses.
    pub fn push(&mut self, item: T) -> Result<Option<T>, T> {
        let answer = self.push_quietly(item);
        self.shared.bell.ring();
        answer
    }

    /// Wakes the reader for what was pushed quietly.
    pub fn ring(&self) {
        self.shared.bell.ring();
    }

    /// As [`Self::push`], without waking the reader: for a reader that looks when it needs to, or is woken for several at once.
    ///
    /// # Errors
    /// The item, when the lane is full and refuses.
    pub fn push_quietly(&mut self, item: T) -> Result<Option<T>, T> {
        let stats = &self.shared.stats;
        match stats.overflow {
            Overflow::Conflate => {
                let displaced = self.shared.queue.force_push(item);
                bump(&stats.pushed);
                if displaced.is_some() {
                    bump(&stats.displaced);
                }
                Ok(displaced)
            }
            Overflow::Refuse => match self.shared.queue.push(item) {
                Ok(()) => {
                    bump(&stats.pushed);
                    Ok(None)
                }
                Err(item) => {
                    bump(&stats.refused);
                    Err(item)
                }
            },
        }
    }

    /// The lane's counters, for `metrics`.
    #[must_use]
    pub fn stats(&self) -> Arc<LaneStats> {
        Arc::clone(&self.shared.stats)
    }
}

impl<T> Consumer<T> {
    /// The oldest item, or `None` when the lane is empty.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.shared.queue.pop()?;
        bump(&self.shared.stats.popped);
        Some(item)
    }

    /// Whether nothing waits. Look after [`Doorbell::arm`] and before sleeping.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.queue.is_empty()
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Producer").field(&self.shared.stats).finish()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Consumer").field(&self.shared.stats).finish()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn of(slots: usize, overflow: Overflow) -> (Producer<u32>, Consumer<u32>) {
        lane("test", slots, overflow, Arc::new(Doorbell::silent()))
    }

    #[test]
    fn a_full_refusing_lane_gives_the_item_back_and_keeps_the_rest() {
        let (mut producer, mut consumer) = of(2, Overflow::Refuse);
        assert_eq!((producer.push(1), producer.push(2), producer.push(3)), (Ok(None), Ok(None), Err(3)));
        let stats = producer.stats();
        assert_eq!((stats.depth(), stats.refused(), stats.displaced()), (2, 1, 0));
        assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(1), Some(2), None));
        assert_eq!(stats.depth(), 0);
    }

    #[test]
    fn a_full_conflating_lane_drops_the_oldest() {
        let (mut producer, mut consumer) = of(2, Overflow::Conflate);
        assert_eq!((producer.push(1), producer.push(2), producer.push(3)), (Ok(None), Ok(None), Ok(Some(1))));
        assert_eq!((producer.stats().depth(), producer.stats().displaced()), (2, 1));
        assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(2), Some(3), None));
    }

    #[test]
    fn only_an_armed_bell_rings_and_only_once() {
        let rung = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&rung);
        let bell = Arc::new(Doorbell::new(Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })));
        let (mut producer, _consumer) = lane("test", 8, Overflow::Refuse, Arc::clone(&bell));
        producer.push(1).unwrap();
        assert_eq!(rung.load(Ordering::Relaxed), 0);
        bell.arm();
        producer.push(2).unwrap();
        producer.push(3).unwrap();
        assert_eq!(rung.load(Ordering::Relaxed), 1);
    }
}
