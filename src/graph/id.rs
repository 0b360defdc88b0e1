//! Node identity: the stable [`NodeId`] that the outside uses, and the dense [`NodeIndex`] of one epoch.

use crate::limits::NODE_ID_MAX;

/// Stable id of a node, the same in REST, on every stream and after a reload. At most [`NODE_ID_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// Stands in a node until the builder assigns its id.
    pub(super) const UNASSIGNED: Self = Self(0);

    /// `None` above [`NODE_ID_MAX`]: the bits above are class flags on the wire.
    #[must_use]
    pub const fn new(id: u32) -> Option<Self> {
        if id <= NODE_ID_MAX { Some(Self(id)) } else { None }
    }

    /// The id as a number, 0 to [`NODE_ID_MAX`].
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl serde::Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for NodeId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = u32::deserialize(deserializer)?;
        Self::new(id).ok_or_else(|| serde::de::Error::custom(format!("a node id is at most {NODE_ID_MAX}, found {id}")))
    }
}

/// Stable id of an edge: counts up from 0, and is not dealt again while a graph is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct EdgeId(pub u32);

/// Dense position of a node in the arrays of one epoch, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// The index as an array subscript.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// Maps ids to indices within one epoch: a sorted array, so sparse and shuffled ids cost nothing extra.
#[derive(Clone, Debug, Default)]
pub struct IdIndex {
    /// Sorted by id.
    pairs: Box<[(NodeId, NodeIndex)]>,
}

impl IdIndex {
    /// Builds the map of `ids`, whose positions are the indices. `Err` carries an id that occurs twice.
    ///
    /// # Errors
    /// The first id, in ascending order, that two nodes share.
    pub fn new(ids: impl Iterator<Item = NodeId>) -> Result<Self, NodeId> {
        let mut pairs: Box<[_]> = (0u32..).zip(ids).map(|(index, id)| (id, NodeIndex(index))).collect();
        pairs.sort_unstable();
        let twice = pairs.windows(2).find_map(|pair| match pair {
            [(left, _), (right, _)] if left == right => Some(*left),
            _ => None,
        });
        match twice {
            Some(id) => Err(id),
            None => Ok(Self { pairs }),
        }
    }

    /// Ids that it maps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether it maps none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The index of `id`, or `None` when this epoch has no such node. O(log n), no allocation.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<NodeIndex> {
        let place = self.pairs.binary_search_by_key(&id, |pair| pair.0).ok()?;
        self.pairs.get(place).map(|pair| pair.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(raw: &[u32]) -> Vec<NodeId> {
        raw.iter().map(|id| NodeId::new(*id).unwrap()).collect()
    }

    #[test]
    fn sparse_shuffled_ids_map_back_to_their_positions() {
        let all = ids(&[NODE_ID_MAX, 7, 0, 1_000_000, 12]);
        let map = IdIndex::new(all.iter().copied()).unwrap();
        for (index, id) in all.iter().enumerate() {
            assert_eq!(map.get(*id), Some(NodeIndex(index as u32)));
        }
        assert_eq!(map.get(NodeId::new(8).unwrap()), None);
    }

    #[test]
    fn an_id_used_twice_is_named() {
        assert_eq!(IdIndex::new(ids(&[5, 9, 5]).into_iter()).unwrap_err(), NodeId::new(5).unwrap());
    }

    #[test]
    fn an_id_past_26_bits_is_refused() {
        assert_eq!(NodeId::new(NODE_ID_MAX + 1), None);
    }
}
