//! What the kernels and the host share: `kernels/layout.cuh` in Rust, held to the same sizes and offsets.

use std::mem::{offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::sim::params::LAW_PEAK;
use crate::sim::{Dimensions, ForceModel, SimParams};

/// Points of a leaf, and cells of a cell.
pub(super) const FAN: usize = 8;
/// Levels of cells.
pub(super) const LEVELS: usize = 10;
/// Threads of a block.
pub(super) const BLOCK: usize = 256;
/// Lanes of a warp; targets of a group.
pub(super) const WARP: usize = 32;
/// Warps of a block that walks the tree.
pub(super) const WALK_WARPS: usize = 4;
/// Keys that one block sorts.
pub(super) const SORT_TILE: usize = 2_048;
/// Values of a digit of the sort.
pub(super) const DIGITS: usize = 256;
/// Bits of a digit.
pub(super) const DIGIT_BITS: u32 = 8;
/// Bits of a key.
pub(super) const KEY_BITS: u32 = 48;
/// Most blocks of a reduction over the nodes.
pub(super) const REDUCE_BLOCKS: usize = 1_024;
/// Half-edges of a row that one thread sums alone.
pub(super) const ROW_MAX: usize = 64;
/// Half-edges of a piece of a longer row.
pub(super) const ROW_PIECE: usize = 512;
/// Nodes of a piece of a component.
pub(super) const COMPONENT_PIECE: usize = 1_024;
/// Most nodes at which one measurement of the repulsion's error looks.
pub(super) const SAMPLES: usize = 64;
/// Floats of a node in the output: position and velocity.
pub(super) const OUT_FLOATS: usize = 6;
/// Floats of a place of the wire order in the output: a position.
pub(super) const WIRE_FLOATS: usize = 3;

const FLAT: u32 = 1;
const REPULSION: u32 = 2;
const SPRINGS: u32 = 4;
const CENTRING: u32 = 8;

/// Bit of a node's state: it never moves by itself.
pub(super) const PINNED: u32 = 1;
/// Bit of a node's state: somebody holds it.
pub(super) const HELD: u32 = 2;

/// What parameters come to on the device.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct Params {
    strength: f32,
    soft2: f32,
    spread_d2: f32,
    spread_soft2: f32,
    cutoff: f32,
    cutoff2: f32,
    inverse_theta2: f32,
    push: f32,
    spring_k: f32,
    time_step: f32,
    damping: f32,
    inertia_per_stiffness: f32,
    max_force: f32,
    max_velocity: f32,
    bound: f32,
    boundary_damping: f32,
    self_stiffness: f32,
    flags: u32,
    model: u32,
    rest_length: f32,
    spring_tail: f32,
    spring_head: f32,
    spring_stiffness: f32,
    reserved: u32,
    centre_pull: f64,
}

impl Params {
    /// `params` for a graph of `node_count` nodes, the same numbers as the CPU backend works out.
    pub(super) fn new(params: &SimParams, node_count: usize) -> Self {
        let inverse = params.force_model != ForceModel::TForce;
        let (soft, soft2) = (params.softening, params.softening * params.softening);
        let flat = params.dimensions == Dimensions::Two;
        // The Laplacian of the field over the field, see `Law::new` of the CPU backend.
        let (spread_d2, spread_soft2) = match (flat, inverse) {
            (true, false) => (2.0, 4.0),
            (false, false) => (2.0 / 3.0, 10.0 / 3.0),
            (true, true) => (0.0, 2.0),
            (false, true) => (-1.0 / 3.0, 5.0 / 3.0),
        };
        let cutoff = if params.repulsion_cutoff > 0.0 { params.repulsion_cutoff } else { f32::INFINITY };
        let flag = |on: bool, bit: u32| if on { bit } else { 0 };
        Self {
            strength: params.repel_k * soft * if inverse { params.far_share(node_count) } else { soft2 },
            soft2,
            spread_d2,
            spread_soft2: spread_soft2 * soft2,
            cutoff,
            cutoff2: cutoff * cutoff,
            inverse_theta2: 1.0 / (params.theta * params.theta),
            push: LAW_PEAK * params.repel_k,
            spring_k: if params.springs { params.spring_k } else { 0.0 },
            time_step: params.time_step,
            damping: params.damping,
            inertia_per_stiffness: params.inertia_per_stiffness(),
            max_force: params.max_force,
            max_velocity: params.max_velocity,
            bound: params.bounds_for(node_count),
            boundary_damping: params.boundary_damping,
            self_stiffness: 1.0 / if inverse { soft2 } else { soft2 * soft2 },
            flags: flag(flat, FLAT)
                | flag(params.repulsion, REPULSION)
                | flag(params.springs, SPRINGS)
                | flag(params.centring, CENTRING),
            model: match params.force_model {
                ForceModel::TForce => 0,
                ForceModel::ForceAtlas2 => 1,
                ForceModel::LinLog => 2,
            },
            rest_length: params.rest_length,
            spring_tail: params.spring_tail,
            spring_head: params.spring_head(),
            spring_stiffness: if params.springs { params.spring_k * params.spring_stiffness() } else { 0.0 },
            reserved: 0,
            centre_pull: params.centre_pull(node_count),
        }
    }
}

/// What a step measured.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct Report {
    pub(super) speed2: f64,
    pub(super) force2: f64,
    pub(super) energy: f64,
    pub(super) error2: f64,
    pub(super) exact2: f64,
    pub(super) free_nodes: u32,
    pub(super) resets: u32,
    pub(super) warm_nodes: u32,
    reserved: u32,
    /// Least and greatest coordinate, world units; zeros when nobody needs them.
    pub(super) bounds: [[f32; 3]; 2],
}

/// A node that something happened to, and how warm it and its neighbours shall at least be.
#[repr(C)]
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout)]
pub(super) struct Touch {
    pub(super) slot: u32,
    pub(super) own: f32,
    pub(super) around: f32,
    reserved: u32,
}

impl Touch {
    /// For the node at `slot`.
    pub(super) fn new(slot: u32, own: f32, around: f32) -> Self {
        Self { slot, own, around, reserved: 0 }
    }
}

/// One node told to be somewhere or not to move.
#[repr(C)]
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout)]
pub(super) struct Edit {
    pub(super) slot: u32,
    pub(super) state: u32,
    pub(super) at: [f32; 3],
    pub(super) moved: u32,
}

/// Bytes of one block's share of the frame and of a report, and of the frame.
pub(super) const EXTENT_BYTES: usize = 56;
/// See [`EXTENT_BYTES`].
pub(super) const TALLY_BYTES: usize = 32;
/// See [`EXTENT_BYTES`].
pub(super) const FRAME_BYTES: usize = 16;

/// The argument of every kernel: addresses on the device, and counts. The shapes stand in `layout.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct World {
    pub(super) params: u64,
    pub(super) point: u64,
    pub(super) velocity: u64,
    pub(super) force: u64,
    pub(super) extra: u64,
    pub(super) home: u64,
    pub(super) state: u64,
    pub(super) component: u64,
    pub(super) slot_of: u64,
    pub(super) row: u64,
    pub(super) neighbour: u64,
    pub(super) weight: u64,
    pub(super) rest: u64,
    pub(super) weight_sum: u64,
    pub(super) long_row: u64,
    pub(super) long_first: u64,
    pub(super) row_piece: u64,
    pub(super) row_piece_force: u64,
    pub(super) member: u64,
    pub(super) member_piece: u64,
    pub(super) piece_sum: u64,
    pub(super) component_first: u64,
    pub(super) component_size: u64,
    pub(super) centring: u64,
    pub(super) frame: u64,
    pub(super) extent: u64,
    pub(super) key: u64,
    pub(super) key_next: u64,
    pub(super) order: u64,
    pub(super) order_next: u64,
    pub(super) digit_count: u64,
    pub(super) digit_total: u64,
    pub(super) sorted: u64,
    pub(super) cell_at: u64,
    pub(super) cell_reach: u64,
    pub(super) box_low: u64,
    pub(super) box_high: u64,
    pub(super) tensor: u64,
    pub(super) partial: u64,
    pub(super) sample: u64,
    pub(super) tally: u64,
    pub(super) counters: u64,
    pub(super) edit: u64,
    pub(super) out: u64,
    pub(super) warmth: u64,
    pub(super) warmth_next: u64,
    pub(super) touch: u64,
    pub(super) wire: u64,
    pub(super) node_count: u32,
    pub(super) edit_count: u32,
    pub(super) long_row_count: u32,
    pub(super) row_piece_count: u32,
    pub(super) member_piece_count: u32,
    pub(super) component_count: u32,
    pub(super) sort_blocks: u32,
    pub(super) shift: u32,
    pub(super) level: u32,
    pub(super) level_count: u32,
    pub(super) split_count: u32,
    pub(super) sample_count: u32,
    pub(super) reduce_blocks: u32,
    pub(super) touch_count: u32,
    pub(super) temperature: f32,
    /// World units that `refit_nodes` lifts nodes out of the plane by; 0 where they stay.
    pub(super) lift: f32,
    pub(super) level_first: [u32; LEVELS],
    pub(super) level_cells: [u32; LEVELS],
}

const _: () = {
    assert!(size_of::<Params>() == 104 && offset_of!(Params, flags) == 68 && offset_of!(Params, centre_pull) == 96);
    assert!(size_of::<Touch>() == 16 && size_of::<Report>() == 80 && offset_of!(Report, resets) == 44);
    assert!(size_of::<Edit>() == 24 && offset_of!(Edit, moved) == 20);
    assert!(size_of::<World>() == 528 && offset_of!(World, out) == 344 && offset_of!(World, node_count) == 384);
    assert!(offset_of!(World, level_first) == 448 && offset_of!(World, level_cells) == 488);
    assert!(KEY_BITS.is_multiple_of(2 * DIGIT_BITS), "an even number of passes ends where it began");
    assert!(DIGITS == BLOCK, "the sort has a thread a digit");
};
