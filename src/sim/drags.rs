//! The nodes that clients hold: who has which, since when, and who is told when that changes.

use crate::graph::{NodeId, NodeIndex};
use crate::handoff::{Origin, SessionId};
use crate::limits::{DRAG_SILENCE_MAX_NS, DRAGS_MAX};

#[derive(Clone, Copy, Debug)]
pub(super) struct Drag {
    pub(super) node: NodeId,
    pub(super) index: NodeIndex,
    pub(super) origin: Origin,
    since_ns: u64,
}

/// What holding a node led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Held {
    /// The client has it.
    Yes,
    /// The client has it; another one had it before.
    TakenFrom(Origin),
    /// All places are taken.
    NoRoom,
}

/// All drags of all clients; room for [`DRAGS_MAX`] is taken at start.
#[derive(Debug)]
pub(super) struct DragTable {
    drags: Vec<Drag>,
}

impl DragTable {
    pub(super) fn new() -> Self {
        Self { drags: Vec::with_capacity(DRAGS_MAX) }
    }

    pub(super) fn len(&self) -> usize {
        self.drags.len()
    }

    /// `origin` holds the node from now on: the last writer wins.
    pub(super) fn hold(&mut self, node: NodeId, index: NodeIndex, origin: Origin, now_ns: u64) -> Held {
        if let Some(drag) = self.drags.iter_mut().find(|drag| drag.node == node) {
            let before = std::mem::replace(&mut drag.origin, origin);
            drag.since_ns = now_ns;
            return if before.session == origin.session { Held::Yes } else { Held::TakenFrom(before) };
        }
        if self.drags.len() == DRAGS_MAX {
            return Held::NoRoom;
        }
        self.drags.push(Drag { node, index, origin, since_ns: now_ns });
        Held::Yes
    }

    /// Lets go of a node if `session` holds it.
    pub(super) fn end(&mut self, node: NodeId, session: SessionId) -> Option<Drag> {
        self.take(|drag| drag.node == node && drag.origin.session == session)
    }

    /// One of the nodes that `session` holds, let go of.
    pub(super) fn end_any_of(&mut self, session: SessionId) -> Option<Drag> {
        self.take(|drag| drag.origin.session == session)
    }

    /// One of the drags that have fallen silent, let go of.
    pub(super) fn end_silent(&mut self, now_ns: u64) -> Option<Drag> {
        self.take(|drag| now_ns.saturating_sub(drag.since_ns) > DRAG_SILENCE_MAX_NS)
    }

    /// The graph has another structure: `index` says where a node is in it now. Drags of nodes that are gone end.
    pub(super) fn restructure(&mut self, index: impl Fn(NodeId) -> Option<NodeIndex>) {
        self.drags.retain_mut(|drag| index(drag.node).map(|now| drag.index = now).is_some());
    }

    /// The nodes that are dragged.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.drags.iter().map(|drag| drag.index)
    }

    fn take(&mut self, which: impl FnMut(&Drag) -> bool) -> Option<Drag> {
        let place = self.drags.iter().position(which)?;
        Some(self.drags.swap_remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Handle;

    fn origin(session: u64) -> Origin {
        Origin { shard: 0, handle: Handle { slot: 0, generation: 0 }, session: SessionId(session) }
    }

    #[test]
    fn the_last_writer_has_the_node_and_the_first_can_no_longer_end_it() {
        let mut table = DragTable::new();
        let node = NodeId::new(4).unwrap();
        assert_eq!(table.hold(node, NodeIndex(0), origin(1), 0), Held::Yes);
        assert_eq!(table.hold(node, NodeIndex(0), origin(2), 10), Held::TakenFrom(origin(1)));
        assert_eq!(table.hold(node, NodeIndex(0), origin(2), 20), Held::Yes);
        assert!(table.end(node, SessionId(1)).is_none());
        assert!(table.end_silent(20 + DRAG_SILENCE_MAX_NS).is_none());
        assert_eq!(table.end_silent(21 + DRAG_SILENCE_MAX_NS).map(|drag| drag.node), Some(node));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn places_are_bounded() {
        let mut table = DragTable::new();
        for raw in 0..DRAGS_MAX as u32 {
            assert_eq!(table.hold(NodeId::new(raw).unwrap(), NodeIndex(raw), origin(1), 0), Held::Yes);
        }
        let next = NodeId::new(DRAGS_MAX as u32).unwrap();
        assert_eq!(table.hold(next, NodeIndex(0), origin(1), 0), Held::NoRoom);
        while table.end_any_of(SessionId(1)).is_some() {}
        assert_eq!(table.len(), 0);
    }
}
