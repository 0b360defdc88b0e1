//! Deals the nodes to the blocks of the compact profile: in the Morton order of the layout, agents first.
//!
//! An order holds until the layout has come to rest in another shape. Then the nodes are dealt anew, if that brings the nodes of
//! a block clearly nearer together, and every chain begins again.

use std::sync::Arc;

use super::{Backend, Dealt};
use crate::handoff::{ChainInput, SidePlanes, WireOrder};
use crate::wire::NodeRecord;
use crate::wire::compact::BLOCK_NODES;

/// An order is replaced when its blocks are so many times as wide as those of a new one.
const SPREAD_MAX: f32 = 1.25;

/// Bit of an id word that agents have.
const AGENT_BIT: u32 = 1 << 31;

/// Bits of a Morton key by axis.
const AXIS_BITS: u32 = 20;

/// The wire order, and the nodes in it.
#[derive(Debug, Default)]
pub(super) struct Dealer {
    order: Option<Arc<WireOrder>>,
    /// Of the newest order there was.
    version: u32,
    points: Vec<[f32; 3]>,
    flat: Vec<[f32; 3]>,
}

/// The nodes of a tick in wire order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathered<'tick> {
    order: &'tick WireOrder,
    points: &'tick [[f32; 3]],
    flat: &'tick [[f32; 3]],
    bounds: [[f32; 3]; 2],
}

impl<'tick> Gathered<'tick> {
    /// What a chain is made from.
    pub(super) fn input(&self, words: &'tick [u32], side: Option<&'tick SidePlanes>) -> ChainInput<'tick> {
        let Self { order, points, flat, bounds } = *self;
        ChainInput { order, words, points, flat, bounds, side }
    }
}

impl Dealer {
    /// The order, once there is one.
    pub(super) fn order(&self) -> Option<&Arc<WireOrder>> {
        self.order.as_ref()
    }

    /// Takes the positions of a tick; deals the nodes when that has not been done for this graph. `flat` says whether positions
    /// without z are needed as well. What `backend` has dealt itself is only borrowed. O(nodes), no allocation but at a deal.
    ///
    /// By node, of 100,000 and of 1,000,000 in an order of strangers: 3 and 42 ns to gather, which is waiting for memory, 0.6 and 1.0 ns for
    /// the box (a fold of `f32::min` took 17 and 31, and a gather that grows its vector 13 and 144).
    pub(super) fn gather<'tick>(
        &'tick mut self,
        nodes: &[NodeRecord],
        flat: bool,
        backend: &'tick dyn Backend,
    ) -> Gathered<'tick> {
        let order = match self.order.take().filter(|order| order.nodes().len() == nodes.len()) {
            Some(order) => order,
            None => self.deal(nodes, self.version.wrapping_add(1).max(1)),
        };
        self.version = order.version();
        let dealt = backend.dealt(self.version).filter(|dealt| dealt.points.len() == nodes.len());
        if dealt.is_none() {
            self.points.resize(nodes.len(), [0.0; 3]);
            for (point, node) in self.points.iter_mut().zip(order.nodes()) {
                *point = nodes.get(*node as usize).map_or([0.0; 3], NodeRecord::position);
            }
        }
        let order = &**self.order.insert(order);
        let Dealt { points, bounds } =
            dealt.unwrap_or_else(|| Dealt { points: &self.points, bounds: bounds(&self.points) });
        self.flat.clear();
        if flat {
            self.flat.extend(points.iter().map(|[x, y, _]| [*x, *y, 0.0]));
        }
        Gathered { order, points, flat: &self.flat, bounds }
    }

    /// The layout has come to rest: deals anew if the order has decayed. Allocates then.
    pub(super) fn settle(&mut self, nodes: &[NodeRecord]) {
        let Some(order) = self.order.as_ref().filter(|order| order.nodes().len() == nodes.len()) else { return };
        let next = self.deal(nodes, order.version().wrapping_add(1).max(1));
        if spread(order, nodes) > SPREAD_MAX * spread(&next, nodes) {
            self.version = next.version();
            self.order = Some(next);
        }
    }

    /// The graph has another structure: its nodes are dealt when they are gathered next.
    pub(super) fn forget(&mut self) {
        self.order = None;
    }

    fn deal(&self, nodes: &[NodeRecord], version: u32) -> Arc<WireOrder> {
        let at: Vec<[f32; 3]> = nodes.iter().map(NodeRecord::position).collect();
        let [low, high] = bounds(&at);
        let side = low.iter().zip(high).map(|(low, high)| high - low).fold(0.0, f32::max);
        let scale = if side > 0.0 { (1_u32 << AXIS_BITS) as f32 / side } else { 0.0 };
        let mut keyed: Vec<(bool, u64, u32)> = nodes
            .iter()
            .zip(0..)
            .map(|(node, index)| {
                let agent = node.id_flags.get() & AGENT_BIT != 0;
                (!agent, morton_key(node.position(), low, scale), index)
            })
            .collect();
        keyed.sort_unstable();
        Arc::new(WireOrder::new(version, keyed.into_iter().map(|(_, _, index)| index).collect()))
    }
}

/// Interleaved bits of the place in a cube.
fn morton_key(point: [f32; 3], low: [f32; 3], scale: f32) -> u64 {
    let mut key = 0;
    for (axis, (x, low)) in point.into_iter().zip(low).enumerate() {
        // The cast saturates.
        let cell = (((x - low) * scale) as u32).min((1 << AXIS_BITS) - 1);
        key |= spread3(u64::from(cell)) << axis;
    }
    key
}

/// Puts two zeros before each of 21 bits.
const fn spread3(mut bits: u64) -> u64 {
    bits = (bits | bits << 32) & 0x001f_0000_0000_ffff;
    bits = (bits | bits << 16) & 0x001f_0000_ff00_00ff;
    bits = (bits | bits << 8) & 0x100f_00f0_0f00_f00f;
    bits = (bits | bits << 4) & 0x10c3_0c30_c30c_30c3;
    (bits | bits << 2) & 0x1249_2492_4924_9249
}

/// Sum over the blocks of their longest sides.
fn spread(order: &WireOrder, nodes: &[NodeRecord]) -> f32 {
    let mut at = Vec::with_capacity(BLOCK_NODES);
    let side = |block: &[u32]| {
        at.clear();
        at.extend(block.iter().filter_map(|node| nodes.get(*node as usize)).map(NodeRecord::position));
        let [low, high] = bounds(&at);
        low.iter().zip(high).map(|(low, high)| high - low).fold(0.0, f32::max)
    };
    order.nodes().chunks(BLOCK_NODES).map(side).sum()
}

/// Points whose coordinates are compared side by side: whole vectors, in which each lane stays on one axis.
const ABREAST: usize = 8;

/// Least and greatest coordinate by axis, of two zeros the positive one; zeros when there are no points.
pub(super) fn bounds(points: &[[f32; 3]]) -> [[f32; 3]; 2] {
    let (mut low, mut high) = ([[f32::INFINITY; 3]; ABREAST], [[f32::NEG_INFINITY; 3]; ABREAST]);
    let (groups, rest) = points.as_chunks::<ABREAST>();
    for group in groups {
        widen(group, &mut low, &mut high);
    }
    widen(rest, &mut low, &mut high);
    let join = |all: &[[f32; 3]; ABREAST], start: f32, better: fn(f32, f32) -> f32| {
        let mut best = [start; 3];
        for one in all {
            best.iter_mut().zip(one).for_each(|(best, x)| *best = better(*best, *x));
        }
        // The sum makes a negative zero a positive one.
        best.map(|x| x + 0.0)
    };
    let low = join(&low, f32::INFINITY, f32::min);
    let high = join(&high, f32::NEG_INFINITY, f32::max);
    if low.iter().all(|x| x.is_finite()) { [low, high] } else { [[0.0; 3]; 2] }
}

/// A comparison and a choice is one instruction for a whole vector; `f32::min` is not.
#[inline(always)]
fn widen(points: &[[f32; 3]], low: &mut [[f32; 3]; ABREAST], high: &mut [[f32; 3]; ABREAST]) {
    let lanes = low.as_flattened_mut().iter_mut().zip(high.as_flattened_mut());
    for (x, (low, high)) in points.as_flattened().iter().zip(lanes) {
        *low = if *x < *low { *x } else { *low };
        *high = if *x > *high { *x } else { *high };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimParams;
    use crate::sim::cpu::CpuBackend;

    /// A backend that deals nothing itself.
    fn none() -> CpuBackend {
        CpuBackend::new(SimParams::default())
    }

    /// Nodes on a line, far and near by turns.
    fn nodes(count: u32, place: impl Fn(u32) -> f32) -> Vec<NodeRecord> {
        let node = |id: u32| {
            let mut node = NodeRecord { id_flags: id.into(), ..NodeRecord::default() };
            node.set_motion([place(id), 0.0, 1.0], [0.0; 3]);
            node
        };
        (0..count).map(node).collect()
    }

    #[test]
    fn near_nodes_share_a_block_and_agents_come_first() {
        let mut nodes = nodes(3_000, |id| if id % 2 == 0 { id as f32 } else { 100_000.0 + id as f32 });
        nodes[2_500].id_flags = (2_500 | AGENT_BIT).into();
        let mut dealer = Dealer::default();
        let backend = none();
        dealer.gather(&nodes, true, &backend);
        let order = Arc::clone(dealer.order().unwrap());
        assert_eq!((order.version(), order.nodes()[0]), (1, 2_500));
        assert!(order.nodes()[1..1_000].iter().all(|node| node % 2 == 0));
        let mut sorted = order.nodes().to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..3_000));
        assert_eq!(order.place(crate::graph::NodeIndex(2_500)), Some(0));
        let words: Vec<u32> = nodes.iter().map(|node| node.id_flags.get()).collect();
        let input = dealer.gather(&nodes, true, &backend).input(&words, None);
        assert_eq!((input.points[0], input.flat[0]), ([2_500.0, 0.0, 1.0], [2_500.0, 0.0, 0.0]));
        assert_eq!(input.bounds, [[0.0, 0.0, 1.0], [102_999.0, 0.0, 1.0]]);
    }

    #[test]
    fn an_order_is_replaced_when_it_has_decayed_only() {
        let mut dealer = Dealer::default();
        dealer.gather(&nodes(5_000, |id| id as f32), false, &none());
        dealer.settle(&nodes(5_000, |id| id as f32 * 3.0));
        assert_eq!(dealer.order().unwrap().version(), 1, "the same neighbours");
        let shuffled = nodes(5_000, |id| (id * 7_919 % 5_000) as f32);
        dealer.settle(&shuffled);
        assert_eq!(dealer.order().unwrap().version(), 2);
        assert_eq!(dealer.gather(&[], false, &none()).input(&[], None).points.len(), 0);
    }

    proptest::proptest! {
        #[test]
        fn a_box_holds_its_points_and_touches_them(
            points in proptest::collection::vec(proptest::array::uniform3(-1e6_f32..1e6), 0..70),
            zero in 0_usize..70,
        ) {
            let mut points = points;
            if let Some(point) = points.get_mut(zero) {
                *point = [-0.0, 0.0, -0.0];
            }
            let [low, high] = bounds(&points);
            for axis in 0..3 {
                let of = |better: fn(f32, f32) -> f32| points.iter().map(|point| point[axis]).reduce(better).unwrap_or(0.0);
                proptest::prop_assert_eq!((low[axis], high[axis]), (of(f32::min), of(f32::max)));
                proptest::prop_assert!(low[axis] != 0.0 || low[axis].is_sign_positive());
                proptest::prop_assert!(high[axis] != 0.0 || high[axis].is_sign_positive());
            }
        }
    }
}
