//! The bytes of one message, block by block, in memory that is allocated once.

use super::model::BLOCK_NODES;

/// Bytes of a node in a delta at most: a flag and three escaped corrections.
const DELTA_NODE_BYTES_MAX: usize = 15;
/// Bytes of a node in a snapshot at most.
const SNAPSHOT_NODE_BYTES_MAX: usize = 30;
/// Bytes of a block besides its nodes at most: index, length, mode, decay, fields, the last bits.
const BLOCK_BYTES_MAX: usize = 64;

/// A message body as consecutive blocks, each of which can be sent alone: any subset of them, in order, is a body too.
#[derive(Clone, Debug, Default)]
pub struct CompactFrame {
    pub(super) bytes: Vec<u8>,
    /// Where each block ends.
    pub(super) ends: Vec<u32>,
    blocks_max: usize,
}

impl CompactFrame {
    /// Bytes of a delta of `node_count` nodes at most.
    #[must_use]
    pub const fn delta_bytes_max(node_count: usize) -> usize {
        node_count * DELTA_NODE_BYTES_MAX + node_count.div_ceil(BLOCK_NODES) * BLOCK_BYTES_MAX
    }

    /// Bytes of a snapshot of `node_count` nodes at most.
    #[must_use]
    pub const fn snapshot_bytes_max(node_count: usize) -> usize {
        node_count * SNAPSHOT_NODE_BYTES_MAX + node_count.div_ceil(BLOCK_NODES) * BLOCK_BYTES_MAX
    }

    /// Room for any delta of `node_count` nodes.
    #[must_use]
    pub fn for_deltas(node_count: usize) -> Self {
        Self::with(node_count, Self::delta_bytes_max(node_count))
    }

    /// Room for any snapshot of `node_count` nodes; a delta fits too.
    #[must_use]
    pub fn for_snapshots(node_count: usize) -> Self {
        Self::with(node_count, Self::snapshot_bytes_max(node_count))
    }

    fn with(node_count: usize, bytes: usize) -> Self {
        let blocks_max = node_count.div_ceil(BLOCK_NODES);
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(blocks_max), blocks_max }
    }

    /// The body for who follows every block.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes
    }

    /// Blocks of the message.
    #[must_use]
    pub fn block_count(&self) -> usize {
        self.ends.len()
    }

    /// The part of the body that is block `index`; empty when there is nothing to say about it.
    #[must_use]
    pub fn block(&self, index: usize) -> &[u8] {
        let end_of = |index: usize| self.ends.get(index).map(|end| *end as usize);
        let start = index.checked_sub(1).map_or(Some(0), end_of);
        let range = start.zip(end_of(index)).map(|(start, end)| start..end);
        range.and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }

    /// Blocks it has room for.
    pub(super) fn blocks_max(&self) -> usize {
        self.blocks_max
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn end_block(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }
}
