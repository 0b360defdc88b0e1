//! Lists of nodes of a block: which are quiet, which hot, which corrected.

use super::lanes::Bytes;
use super::model::{BLOCK_NODES, at, set};

/// Some nodes of a block, in ascending order.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: [u16; BLOCK_NODES],
    count: usize,
}

impl Nodes {
    pub(super) const NONE: Self = Self { nodes: [0; BLOCK_NODES], count: 0 };

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Appends `node` if it is `wanted`, without a branch: which nodes are is as good as random.
    #[inline(always)]
    pub(super) fn push_if(&mut self, node: usize, wanted: bool) {
        set(&mut self.nodes, self.count, node as u16);
        self.count += usize::from(wanted);
    }

    /// The first `count` nodes.
    fn fill(&mut self, count: usize) {
        self.nodes.iter_mut().zip(0..).for_each(|(place, node)| *place = node);
        self.count = count;
    }

    /// The nodes whose byte is 1, of bytes that are 0 or 1; costs little for those that are 0.
    pub(super) fn fill_where(&mut self, bytes: &Bytes) {
        self.fill_groups(bytes, bits_of);
    }

    /// The nodes whose byte is not 0.
    pub(super) fn fill_where_not_zero(&mut self, bytes: &Bytes) {
        self.fill_groups(bytes, |group| bits_of(&group.map(|byte| u8::from(byte != 0))));
    }

    #[inline(always)]
    fn fill_groups(&mut self, bytes: &Bytes, bits_of: impl Fn(&[u8; 64]) -> u64) {
        self.count = 0;
        let (groups, _) = bytes.as_chunks();
        for (group, first) in groups.iter().zip((0..).step_by(64)) {
            let mut bits = bits_of(group);
            while bits != 0 {
                set(&mut self.nodes, self.count, first + bits.trailing_zeros() as u16);
                self.count += 1;
                bits &= bits - 1;
            }
        }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.count
    }

    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> usize {
        usize::from(at(&self.nodes, index))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes.iter().take(self.count).map(|node| usize::from(*node))
    }
}

/// Every node of a block is in one of the two.
#[derive(Debug)]
pub(super) struct Kinds {
    pub quiet: Nodes,
    pub hot: Nodes,
}

impl Kinds {
    pub(super) const NONE: Self = Self { quiet: Nodes::NONE, hot: Nodes::NONE };

    /// Sorts the first `count` nodes by what they are before any correction: `hot` is 1 for the `hot_count` that are.
    pub(super) fn sort(&mut self, count: usize, hot: &Bytes, hot_count: usize) {
        self.quiet.clear();
        self.hot.clear();
        if hot_count == 0 {
            self.quiet.fill(count);
        } else if hot_count == count {
            self.hot.fill(count);
        } else {
            self.hot.fill_where(hot);
            for (node, hot) in hot.iter().enumerate().take(count) {
                self.quiet.push_if(node, *hot == 0);
            }
        }
    }
}

/// Bytes of 0 and 1 as bits.
fn bits_of(bytes: &[u8; 64]) -> u64 {
    let (groups, _) = bytes.as_chunks::<8>();
    groups.iter().rev().fold(0, |bits, group| {
        // The product moves bit 0 of byte i to bit 56 + i, and no two others to one place.
        bits << 8 | u64::from_le_bytes(*group).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_the_nodes_that_were_asked_for() {
        let mut seed = 7_u32;
        for density in [0, 1, 3, 50, 97, 100] {
            let hot: Bytes = std::array::from_fn(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                u8::from((seed >> 8) % 100 < density)
            });
            let hot_count = hot.iter().filter(|hot| **hot == 1).count();
            let mut kinds = Kinds::NONE;
            kinds.sort(BLOCK_NODES, &hot, hot_count);
            let nodes = |kind: u8| (0..BLOCK_NODES).filter(move |node| hot[*node] == kind);
            assert!(kinds.hot.iter().eq(nodes(1)) && kinds.quiet.iter().eq(nodes(0)));
            kinds.quiet.fill_where_not_zero(&hot.map(|hot| hot * (seed % 255 + 1) as u8));
            assert!(kinds.quiet.iter().eq(nodes(1)));
        }
    }
}
