//! What waits for room in a lane, first come first served, so that a crowd is let in as fast as the lanes take it instead
//! of being sent away to come again. Pure.

use std::collections::VecDeque;

/// Items that wait for one thing, with the time since when. Bounded by its owner, which bounds several together.
#[derive(Debug)]
pub struct Hold<T> {
    waiting: VecDeque<(u64, T)>,
}

impl<T> Default for Hold<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> Hold<T> {
    /// Puts an item at the end.
    pub fn push(&mut self, item: T, now_ns: u64) {
        self.waiting.push_back((now_ns, item));
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the oldest item, and how long it has waited, ns.
    pub fn pop(&mut self, now_ns: u64) -> Option<(T, u64)> {
        self.waiting.pop_front().map(|(since_ns, item)| (item, now_ns.saturating_sub(since_ns)))
    }

    /// There was no room for it after all: it stays the oldest, and has waited as long.
    pub fn unpop(&mut self, item: T, waited_ns: u64, now_ns: u64) {
        self.waiting.push_front((now_ns.saturating_sub(waited_ns), item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_leave_in_the_order_in_which_they_came_and_keep_their_age() {
        let mut hold = Hold::default();
        hold.push('a', 10);
        hold.push('b', 20);
        let (first, waited_ns) = hold.pop(25).unwrap();
        assert_eq!((first, waited_ns), ('a', 15));
        hold.unpop(first, waited_ns, 25);
        assert_eq!((hold.pop(30), hold.pop(30), hold.pop(30)), (Some(('a', 20)), Some(('b', 10)), None));
        assert!(hold.is_empty());
    }
}
