//! The bytes of one message, block by block, in memory that is allocated once.

use super::model::BLOCK_NODES;

/// Bytes of a node in a delta at most: a flag and three escaped corrections.
const DELTA_NODE_BYTES_MAX: usize = 15;
/// Bytes of a node in a snapshot at most.
const SNAPSHOT_NODE_BYTES_MAX: usize = 30;
/// Bytes of a block besides its nodes at most: index, length, mode, decay, fields, the last bits.
const BLOCK_BYTES_MAX: usize = 64;

/// A message body as consecutive blocks, each of which can be sent alone: any subset of them, in order, is a body too.
///
/// Bytes may be kept free in front of it, so that headers and body are one piece when they are sent.
#[derive(Clone, Debug, Default)]
pub struct CompactFrame {
    pub(super) bytes: Vec<u8>,
    /// Where each block ends in `bytes`.
    pub(super) ends: Vec<u32>,
    blocks_max: usize,
    lead_bytes: usize,
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
        Self::with(node_count, Self::delta_bytes_max(node_count), 0)
    }

    /// Room for any snapshot of `node_count` nodes; a delta fits too.
    #[must_use]
    pub fn for_snapshots(node_count: usize) -> Self {
        Self::with(node_count, Self::snapshot_bytes_max(node_count), 0)
    }

    /// The same with `lead_bytes` zeros in front of the body, for headers.
    #[must_use]
    pub fn with_lead(mut self, lead_bytes: usize) -> Self {
        self.bytes.reserve_exact(self.bytes.capacity() + lead_bytes);
        self.lead_bytes = lead_bytes;
        self.clear();
        self
    }

    fn with(node_count: usize, bytes: usize, lead_bytes: usize) -> Self {
        let blocks_max = node_count.div_ceil(BLOCK_NODES);
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(blocks_max), blocks_max, lead_bytes }
    }

    /// The body for who follows every block.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.lead_bytes..).unwrap_or_default()
    }

    /// Headers and body.
    #[must_use]
    pub fn whole(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes in front of the body.
    pub fn lead_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.lead_bytes).unwrap_or_default()
    }

    /// Makes a body of one's own, which has no blocks.
    pub fn fill(&mut self, body: &[u8]) {
        self.clear();
        self.bytes.extend_from_slice(body);
    }

    /// Blocks of the message.
    #[must_use]
    pub fn block_count(&self) -> usize {
        self.ends.len()
    }

    /// The part of the body that is block `index`; empty when there is nothing to say about it.
    #[must_use]
    pub fn block(&self, index: usize) -> &[u8] {
        if index < self.ends.len() { self.run(index, index) } else { &[] }
    }

    /// The part of the body that is the blocks from `first` to `last`, both included.
    #[must_use]
    pub fn run(&self, first: usize, last: usize) -> &[u8] {
        let start = match first.checked_sub(1) {
            Some(before) => self.ends.get(before).map(|end| *end as usize),
            None => Some(self.lead_bytes),
        };
        let end = self.ends.get(last.min(self.ends.len().saturating_sub(1))).map(|end| *end as usize);
        start.zip(end).and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or_default()
    }

    /// Blocks it has room for.
    pub(super) fn blocks_max(&self) -> usize {
        self.blocks_max
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(self.lead_bytes, 0);
        self.ends.clear();
    }

    pub(super) fn end_block(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }
}
