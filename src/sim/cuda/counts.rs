//! What the sizes of a graph's arrays on a device follow from, and where things are in its output.

#![allow(clippy::indexing_slicing, reason = "levels are below their number")]

use super::arrays::Arrays;
use super::layout::{
    BLOCK, COMPONENT_PIECE, DIGITS, EXTENT_BYTES, Edit, FAN, FRAME_BYTES, LEVELS, OUT_FLOATS, Params, REDUCE_BLOCKS,
    ROW_MAX, ROW_PIECE, Report, SAMPLES, SORT_TILE, TALLY_BYTES, Touch, WIRE_FLOATS,
};

/// A column of the kernels' table of memory: elements, bytes each.
pub(super) type Shape = (usize, usize);

/// Edits, and touches, that one launch takes.
pub(super) const EDITS: usize = 4_096;

/// Blocks at which a device of today is full; what one launch of the exact kernel is cut into.
const EXACT_BLOCKS: usize = 1_024;

/// Most shares that the sources of the exact kernel are cut into.
const SPLITS_MAX: usize = 32;

/// Whole words, and never none: an empty array has an address too.
pub(super) fn padded(bytes: usize) -> usize {
    bytes.max(1).next_multiple_of(16)
}

/// Where the report begins in the output.
pub(super) fn report_start(node_count: usize) -> usize {
    node_count * OUT_FLOATS * size_of::<f32>()
}

/// Where the places of the wire order begin in the output: what is before is all that is copied when there is none.
pub(super) fn wire_start(node_count: usize) -> usize {
    report_start(node_count) + size_of::<Report>()
}

pub(super) fn out_bytes(node_count: usize) -> usize {
    wire_start(node_count) + node_count * WIRE_FLOATS * size_of::<f32>()
}

/// First cell and cells of each level, and how many levels there are: at least two, so that there is a cell to open.
pub(super) fn levels(node_count: usize) -> ([u32; LEVELS], [u32; LEVELS], u32) {
    let (mut first, mut cells) = ([0; LEVELS], [0; LEVELS]);
    let (mut below, mut next, mut count) = (node_count, 0, 0);
    while count < LEVELS && (count < 2 || below > 1) {
        below = below.div_ceil(FAN);
        (first[count], cells[count]) = (next, below as u32);
        next += below as u32;
        count += 1;
    }
    (first, cells, count as u32)
}

/// Shares that the sources of the exact kernel are cut into, so that a small graph fills the device too.
pub(super) fn splits(node_count: usize) -> usize {
    let tiles = node_count.div_ceil(BLOCK).max(1);
    (EXACT_BLOCKS / tiles).clamp(1, SPLITS_MAX).min(tiles)
}

/// What the sizes of all arrays follow from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    nodes: usize,
    entries: usize,
    components: usize,
    long_rows: usize,
    row_pieces: usize,
    member_pieces: usize,
}

impl Counts {
    pub(super) fn of(arrays: &Arrays) -> Self {
        Self {
            nodes: arrays.slot_of.len(),
            entries: arrays.neighbour.len(),
            components: arrays.component_size.len(),
            long_rows: arrays.long_row.len(),
            row_pieces: arrays.row_piece.len(),
            member_pieces: arrays.member_piece.len(),
        }
    }

    /// The most for a graph of this size, every node a component of its own and all edges at a few nodes.
    pub(super) fn most(nodes: usize, half_edges: usize) -> Self {
        let long_rows = half_edges / ROW_MAX;
        let row_pieces = long_rows + half_edges / ROW_PIECE;
        let member_pieces = nodes + nodes / COMPONENT_PIECE;
        Self { nodes, entries: half_edges, components: nodes, long_rows, row_pieces, member_pieces }
    }
}

/// Every array of [`super::layout::World`] in order, `out` twice.
pub(super) fn shapes(counts: &Counts) -> [Shape; 49] {
    let Counts { nodes, entries, components, long_rows, row_pieces, member_pieces } = *counts;
    let (_, level_cells, _) = levels(nodes);
    let cells: usize = level_cells.iter().map(|cells| *cells as usize).sum();
    let splits = splits(nodes);
    let (word, wide, quad) = (4, 8, 16);
    [
        (1, size_of::<Params>()),
        (nodes, quad),
        (nodes, quad),
        (nodes, quad),
        (nodes, quad),
        (nodes, quad),
        (nodes, word),
        (nodes, word),
        (nodes, word),
        (nodes + 1, word),
        (entries, word),
        (entries, word),
        (entries, word),
        (nodes, word),
        (long_rows, word),
        (long_rows + 1, word),
        (row_pieces, wide),
        (row_pieces, quad),
        (nodes, word),
        (member_pieces, wide),
        (member_pieces, 3 * wide),
        (components + 1, word),
        (components, word),
        (components, quad),
        (1, FRAME_BYTES),
        (REDUCE_BLOCKS, EXTENT_BYTES),
        (nodes, wide),
        (nodes, wide),
        (nodes, word),
        (nodes, word),
        (DIGITS * nodes.div_ceil(SORT_TILE), word),
        (DIGITS, word),
        (nodes, quad),
        (cells, quad),
        (cells, quad),
        (cells, quad),
        (cells, quad),
        (cells, quad),
        (if splits > 1 { splits * nodes } else { 0 }, quad),
        (2 * SAMPLES, wide),
        (REDUCE_BLOCKS, TALLY_BYTES),
        (2, word),
        (EDITS, size_of::<Edit>()),
        (out_bytes(nodes), 1),
        (out_bytes(nodes), 1),
        (nodes, word),
        (nodes, word),
        (EDITS, size_of::<Touch>()),
        (nodes, word),
    ]
}
