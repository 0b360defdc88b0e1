//! Which nodes one client drags: at most five, updates at least 16 ms apart, a silent one forgotten.

use crate::handoff::NodeId;
use crate::limits::{DRAG_INTERVAL_MIN_NS, DRAG_SILENCE_MAX_NS, DRAGS_PER_CLIENT_MAX};

/// What to do with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Hand it on.
    Pass,
    /// Too soon after the one before: leave it out.
    TooSoon,
    /// The client drags as many nodes as it may.
    TooMany,
}

/// The drags of one connection.
#[derive(Debug, Default)]
pub struct Drags {
    held: [Option<(NodeId, u64)>; DRAGS_PER_CLIENT_MAX],
}

impl Drags {
    /// Asks whether an update of `node` may pass at `now_ns`. A first one starts the drag.
    pub fn update(&mut self, node: NodeId, now_ns: u64) -> Admission {
        let silent = |since: u64| now_ns.saturating_sub(since) > DRAG_SILENCE_MAX_NS;
        if let Some((_, since)) = self.held.iter_mut().flatten().find(|(held, _)| *held == node) {
            if now_ns.saturating_sub(*since) < DRAG_INTERVAL_MIN_NS {
                return Admission::TooSoon;
            }
            *since = now_ns;
            return Admission::Pass;
        }
        match self.held.iter_mut().find(|slot| slot.is_none_or(|(_, since)| silent(since))) {
            Some(slot) => {
                *slot = Some((node, now_ns));
                Admission::Pass
            }
            None => Admission::TooMany,
        }
    }

    /// Whether `node` is dragged.
    pub fn holds(&self, node: NodeId) -> bool {
        self.held.iter().flatten().any(|(held, _)| *held == node)
    }

    /// Forgets `node`; false when it was not dragged.
    pub fn end(&mut self, node: NodeId) -> bool {
        match self.held.iter_mut().find(|slot| slot.is_some_and(|(held, _)| held == node)) {
            Some(slot) => slot.take().is_some(),
            None => false,
        }
    }

    /// Whether anything is or was recently dragged.
    pub fn any(&self) -> bool {
        self.held.iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn id(raw: u32) -> NodeId {
        NodeId::new(raw).unwrap()
    }

    #[test]
    fn updates_are_spaced_and_nodes_are_counted() {
        let mut drags = Drags::default();
        assert_eq!(drags.update(id(1), 0), Admission::Pass);
        assert_eq!(drags.update(id(1), 15 * MS), Admission::TooSoon);
        assert_eq!(drags.update(id(1), 16 * MS), Admission::Pass);
        for node in 2..=5 {
            assert_eq!(drags.update(id(node), 20 * MS), Admission::Pass);
        }
        assert_eq!(drags.update(id(6), 21 * MS), Admission::TooMany);
        assert!(drags.end(id(3)) && !drags.end(id(3)));
        assert_eq!(drags.update(id(6), 22 * MS), Admission::Pass);
    }

    #[test]
    fn a_silent_drag_makes_room() {
        let mut drags = Drags::default();
        for node in 1..=5 {
            assert_eq!(drags.update(id(node), 0), Admission::Pass);
        }
        assert_eq!(drags.update(id(6), 500 * MS), Admission::TooMany);
        assert_eq!(drags.update(id(6), 501 * MS), Admission::Pass);
    }
}
