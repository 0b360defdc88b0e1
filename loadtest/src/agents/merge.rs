//! Merges the intervals of an agent's own threads, slice by slice, and keeps nothing that has been told.

use std::collections::BTreeMap;

use crate::collect::{Interval, PENDING_MAX};

/// What has come of a slice.
#[derive(Debug)]
struct Pending {
    sum: Interval,
    threads: usize,
}

/// The slices that wait for some thread.
#[derive(Debug)]
pub(super) struct Merging {
    threads: usize,
    pending: BTreeMap<usize, Pending>,
    /// The first slice that was not told.
    told: usize,
}

impl Merging {
    /// Of so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, pending: BTreeMap::new(), told: 0 }
    }

    /// Adds what a thread did. Gives it back when it was merged into another, to be used again.
    pub(super) fn add(&mut self, interval: Interval) -> Option<Interval> {
        match self.pending.get_mut(&interval.slice) {
            Some(pending) => {
                pending.sum.groups.iter_mut().zip(&interval.groups).for_each(|(mine, theirs)| mine.merge(theirs));
                pending.sum.watch.merge(&interval.watch);
                pending.sum.end_ns = pending.sum.end_ns.max(interval.end_ns);
                pending.threads += 1;
                Some(interval)
            }
            None => {
                self.pending.insert(interval.slice, Pending { sum: interval, threads: 1 });
                None
            }
        }
    }

    /// The next slice that all threads have told of, or that is too old to wait for; any at all when `over`.
    ///
    /// What a thread brings to a slice that was told without it makes one more of the same slice.
    pub(super) fn next(&mut self, over: bool) -> Option<Interval> {
        let first = self.pending.first_entry()?;
        let (slice, whole) = (*first.key(), first.get().threads >= self.threads);
        if !(over || whole || slice < self.told || self.pending.len() > PENDING_MAX) {
            return None;
        }
        self.told = self.told.max(slice + 1);
        self.pending.remove(&slice).map(|pending| pending.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::{interval, plan};
    use crate::record::Count;

    #[test]
    fn slices_wait_for_all_threads_but_not_for_ever() {
        let plan = plan(1, 1, 39);
        let mut merging = Merging::new(2);
        assert!(merging.add(interval(&plan, 0, 0)).is_none());
        assert!(merging.next(false).is_none());
        assert!(merging.add(interval(&plan, 1, 0)).is_some(), "to be used again");
        let whole = merging.next(false).unwrap();
        assert_eq!((whole.slice, whole.groups[0].of(Count::Delivered), whole.groups[0].connected), (0, 200, 10));
        let told = (1..40).filter(|slice| {
            merging.add(interval(&plan, 0, *slice));
            merging.next(false).is_some()
        });
        assert_eq!(told.count(), 39 - PENDING_MAX);
        merging.add(interval(&plan, 1, 1));
        let late = merging.next(false).unwrap();
        assert_eq!((late.slice, late.groups[0].of(Count::Delivered)), (1, 101), "once more, and at once");
        let rest: Vec<usize> = std::iter::from_fn(|| merging.next(true)).map(|interval| interval.slice).collect();
        assert_eq!(rest, (40 - PENDING_MAX..40).collect::<Vec<_>>());
    }
}
