//! The sparse coding of a block in which few quiet nodes are corrected and none is hot: Rice-coded gaps and unary sizes.
//! Its cost is that of the corrections, not of the nodes.

use super::bits::{BitReader, BitWriter, put_varint, take_varint, unzigzag, zigzag};
use super::model::{Block, at};
use super::tokens::{along, rank, unrank};

/// A correction of this rank or more is escaped.
const RANK_MAX: u32 = 15;

/// Plain bits of an escaped correction.
const ESCAPE_BITS: u32 = 22;

/// Rice parameter of the gaps between `corrections` among `nodes`: 45/64 is near ln 2.
fn gap_log2(nodes: usize, corrections: usize) -> u32 {
    (nodes * 45 / 64 / (corrections + 1)).max(1).ilog2()
}

/// Appends the corrections, which come in ascending order of nodes, and applies them to `block`.
pub(super) fn encode(
    block: &mut Block,
    corrections: usize,
    each: impl Iterator<Item = (usize, [i32; 3])>,
    out: &mut Vec<u8>,
) {
    put_varint(corrections as u32, out);
    let log2 = gap_log2(block.count, corrections);
    let mut bits = BitWriter::new(out);
    let mut next = 0;
    for (node, steps) in each {
        bits.put_rice((node - next) as u32, log2);
        for (step, velocity) in steps.iter().zip(&block.velocity) {
            let rank = rank(along(*step, at(velocity, node)));
            if rank < RANK_MAX {
                bits.put_unary(rank);
            } else {
                bits.put((1 << RANK_MAX) - 1, RANK_MAX);
                bits.put(zigzag(*step), ESCAPE_BITS);
            }
        }
        block.correct_quiet(node, steps);
        next = node + 1;
    }
    bits.end();
}

/// Reads what [`encode`] wrote and applies it; `None` when the bytes are anything else.
pub(super) fn decode(block: &mut Block, mut bytes: &[u8]) -> Option<()> {
    let corrections = take_varint(&mut bytes)? as usize;
    if corrections > block.count {
        return None;
    }
    let log2 = gap_log2(block.count, corrections);
    let mut bits = BitReader::new(bytes);
    let mut next = 0_usize;
    for _ in 0..corrections {
        let node = next.checked_add(bits.take_rice(log2)? as usize).filter(|node| *node < block.count)?;
        let mut steps = [0; 3];
        for (step, velocity) in steps.iter_mut().zip(&block.velocity) {
            let rank = bits.take_unary(RANK_MAX)?;
            *step = if rank < RANK_MAX {
                along(unrank(rank), at(velocity, node))
            } else {
                unzigzag(bits.take(ESCAPE_BITS)?)
            };
        }
        block.correct_quiet(node, steps);
        next = node + 1;
    }
    bits.is_over().then_some(())
}
