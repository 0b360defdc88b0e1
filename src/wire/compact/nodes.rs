//! Lists of nodes of a block: which are quiet, which hot, which corrected.

use super::model::{BLOCK_NODES, Block, HOT, at, set};

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

    /// Sorts the nodes of `block`, of which `hot` are hot, by what they are before its corrections.
    pub(super) fn sort(&mut self, block: &Block, hot: usize) {
        self.quiet.clear();
        self.hot.clear();
        if hot == 0 {
            self.quiet.fill(block.count);
        } else if hot == block.count {
            self.hot.fill(block.count);
        } else {
            for (node, energy) in block.energy.iter().enumerate().take(block.count) {
                self.quiet.push_if(node, *energy < HOT);
                self.hot.push_if(node, *energy >= HOT);
            }
        }
    }
}
