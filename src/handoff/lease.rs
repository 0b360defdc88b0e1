//! Things that one thread writes in turn and others read while they like.

use super::sync::Arc;

/// A fixed number of things. A reader holds a clone of the `Arc`, its lease; a thing is written again only when no lease is
/// left. No allocation after [`Self::new`].
#[derive(Debug)]
pub struct LeasePool<T> {
    things: Vec<Arc<T>>,
    next: usize,
}

impl<T> LeasePool<T> {
    /// So many things, each made by `make`.
    pub fn new(count: usize, make: impl Fn() -> T) -> Self {
        Self { things: (0..count).map(|_| Arc::new(make())).collect(), next: 0 }
    }

    /// The place of a thing that nobody leases, from the one after the last taken: those come back in turn. `None` when all
    /// are leased.
    pub fn take(&mut self) -> Option<usize> {
        let count = self.things.len();
        for step in 0..count {
            let place = (self.next + step) % count;
            if self.things.get_mut(place).and_then(Arc::get_mut).is_some() {
                self.next = (place + 1) % count;
                return Some(place);
            }
        }
        None
    }

    /// The thing at a place, to be written; `None` while it is leased.
    pub fn at(&mut self, place: usize) -> Option<&mut T> {
        self.things.get_mut(place).and_then(Arc::get_mut)
    }

    /// A lease of the thing at a place.
    #[must_use]
    pub fn lease(&self, place: usize) -> Option<Arc<T>> {
        self.things.get(place).cloned()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_leased_is_not_given_out_again() {
        let mut pool = LeasePool::new(2, || 0u32);
        let first = pool.take().unwrap();
        *pool.at(first).unwrap() = 7;
        let lease = pool.lease(first).unwrap();
        assert!(pool.at(first).is_none());
        let second = pool.take().unwrap();
        assert_ne!(first, second);
        let other = pool.lease(second).unwrap();
        assert_eq!(pool.take(), None);
        drop(lease);
        assert_eq!((pool.take(), *other), (Some(first), 0));
    }
}
