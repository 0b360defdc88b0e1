//! Memory of interests on their way: a client that wants to see something else allocates nothing.

use crate::handoff::Interest;

/// So many may be on their way to `control` and back before one is allocated.
const READY: usize = 16;

/// More than these are freed.
const KEPT_MAX: usize = 64;

/// Interests that nobody has, about 4 KB each.
#[derive(Debug)]
#[allow(clippy::vec_box, reason = "the boxes themselves travel in messages and come back")]
pub struct Spares(Vec<Box<Interest>>);

impl Spares {
    /// As many as are to be ready.
    pub fn new() -> Self {
        let mut spares = Self(Vec::with_capacity(KEPT_MAX));
        (0..READY).for_each(|_| spares.put(Box::default()));
        spares
    }

    /// One of them; a new one when all are on their way.
    pub fn take(&mut self) -> Box<Interest> {
        self.0.pop().unwrap_or_default()
    }

    /// Nobody has this one any more.
    pub fn put(&mut self, spare: Box<Interest>) {
        if self.0.len() < KEPT_MAX {
            self.0.push(spare);
        }
    }

    /// A connection keeps one from now on, for the first time: another takes its place here.
    pub fn fill(&mut self) {
        if self.0.len() < READY {
            self.put(Box::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spares_are_handed_around_and_bounded() {
        let mut spares = Spares::new();
        let first = spares.take();
        let place: *const Interest = &*first;
        spares.put(first);
        assert!(std::ptr::eq(place, &*spares.take()), "the same memory again");
        spares.fill();
        assert_eq!(spares.0.len(), READY);
        (0..100).for_each(|_| spares.put(Box::default()));
        assert_eq!(spares.0.len(), KEPT_MAX);
    }
}
