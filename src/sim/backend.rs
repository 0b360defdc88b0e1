//! What a simulation backend does for the `sim` thread's turn.

use std::sync::Arc;

use super::cuda::{DeviceError, MemoryUse};
use super::{ParamError, SimParams};
use crate::graph::{Csr, NodeIndex};
use crate::handoff::WireOrder;
use crate::limits::NODE_ID_MAX;
use crate::wire::NodeRecord;

/// A graph as a backend takes it: nodes in index order.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// Who is joined to whom.
    pub csr: Csr,
    /// `[node_count]`, world units. A finite one is kept (moved into the bounds); without one, or with a
    /// non-finite one, the node is placed.
    pub start: Vec<Option<[f32; 3]>>,
    /// `[node_count]`. A pinned node never moves by itself.
    pub pinned: Vec<bool>,
}

impl Topology {
    /// Whether its parts agree and a backend can number its nodes.
    ///
    /// # Errors
    /// [`BackendError::Mismatch`] and [`BackendError::TooManyNodes`].
    pub(super) fn check(&self) -> Result<(), BackendError> {
        let rows = self.csr.node_count();
        let (start, pinned) = (self.start.len(), self.pinned.len());
        if start != rows || pinned != rows {
            return Err(BackendError::Mismatch { rows, start, pinned });
        }
        let limit = NODE_ID_MAX as usize + 1;
        if rows > limit {
            return Err(BackendError::TooManyNodes { nodes: rows, limit });
        }
        Ok(())
    }
}

/// Why a topology was not taken. The backend still holds the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The three parts of the topology disagree on the node count.
    #[error("the rows have {rows} nodes, the start positions {start}, the pins {pinned}")]
    Mismatch {
        /// Nodes of the rows.
        rows: usize,
        /// Start positions.
        start: usize,
        /// Pins.
        pinned: usize,
    },
    /// More nodes than the backend can number.
    #[error("{nodes} nodes are more than the {limit} a backend can number")]
    TooManyNodes {
        /// Nodes of the topology.
        nodes: usize,
        /// Most that fit.
        limit: usize,
    },
    /// The device has no room for it, or failed.
    #[error("{0}")]
    Device(DeviceError),
}

/// What one step did, all of it measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Of the nodes that may move, world units / s.
    pub rms_velocity: f32,
    /// Of the nodes that may move, after the clamp, per unit of inertia, world units / s^2. What is left of it in
    /// a settled layout is what cooling froze.
    pub rms_force: f32,
    /// Sum of half the repulsion mass times the speed squared.
    pub kinetic_energy: f64,
    /// Scale of the forces in this step, 0 to 1.
    pub temperature: f32,
    /// Nodes that had become non-finite and were put back in this step.
    pub nonfinite_resets: u32,
    /// Whether the RMS velocity has been under `settle_velocity` for 30 steps and nothing is held.
    pub settled: bool,
}

/// What computes the layout, and how it is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// "cpu" or "cuda", now.
    pub kind: &'static str,
    /// Device errors so far.
    pub errors: u64,
    /// The newest of them.
    pub last_error: Option<DeviceError>,
    /// Whether the CPU took over from a device that failed.
    pub fell_back: bool,
    /// Of the device; `None` on the CPU.
    pub memory: Option<MemoryUse>,
}

/// The nodes as chains take them, made by the backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dealt<'tick> {
    /// Positions by wire place, world units: those that [`Backend::write_into`] writes, bit for bit.
    pub points: &'tick [[f32; 3]],
    /// Least and greatest coordinate by axis; a zero is the positive one.
    pub bounds: [[f32; 3]; 2],
}

/// One way of computing the layout. Used by the `sim` thread alone; nothing here reads a clock or locks.
pub trait Backend: Send {
    /// "cpu" or "cuda".
    fn name(&self) -> &'static str;

    /// Takes a new graph: builds every buffer that a step needs, places the nodes that have no start position,
    /// velocity 0, nothing held. Full temperature, unless most nodes came placed: then little, and in place of a graph that
    /// was there before as much as it had, so that only the new nodes look for their places.
    ///
    /// # Errors
    /// [`BackendError`]; the backend then goes on with the graph it had.
    fn upload(&mut self, topology: Topology) -> Result<(), BackendError>;

    /// Lets the nodes of the graph just taken move on as they did, `[node_count]` in node order, world units / s. One of another length
    /// changes nothing, and a velocity that is not finite counts as none. A backend that cannot begins at rest.
    fn set_velocities(&mut self, _velocity: &[[f32; 3]]) {}

    /// The nodes that are warmer than all because something happened to or near them, and how warm, 0 to 1. In any order.
    fn warmth(&mut self) -> Vec<(NodeIndex, f32)> {
        Vec::new()
    }

    /// Makes nodes at least so warm, and their neighbours no warmer: as what [`Self::warmth`] said of them before an upload.
    fn set_warmth(&mut self, _warmth: &[(NodeIndex, f32)]) {}

    /// Has what is read be what the next step begins with: waits for the step under way, if there is one. Before an upload that takes
    /// over where nodes are.
    fn catch_up(&mut self) {}

    /// Goes on without the device, from the last good positions. False when there is none, or none any more.
    fn give_up_device(&mut self) -> bool {
        false
    }

    /// Takes new parameters between two steps, and reheats when they differ.
    ///
    /// # Errors
    /// The first parameter out of range; nothing has changed then.
    fn apply(&mut self, params: &SimParams) -> Result<(), ParamError>;

    /// The parameters in force, as the next step uses them; relief for a budget is not among them.
    fn params(&self) -> SimParams;

    /// One step. No allocation, no I/O; every position and velocity is finite afterwards.
    fn step(&mut self) -> StepReport;

    /// Puts a node somewhere (moved into the bounds) and keeps it there until [`Self::release`]; warms its neighbours. A node
    /// that is not there or a position that is not finite changes nothing.
    fn hold(&mut self, node: NodeIndex, position: [f32; 3]);

    /// Lets a held node go; warms it and its neighbours.
    fn release(&mut self, node: NodeIndex);

    /// Pins a node where it is, or lets it go; warms it and its neighbours when that is a change.
    fn pin(&mut self, node: NodeIndex, pinned: bool);

    /// Whether a node is pinned; false when there is no such node.
    fn is_pinned(&self, node: NodeIndex) -> bool;

    /// Computes the repulsion less accurately by so many notches than the parameters say, without reheating: relief for steps
    /// that are over their budget. A backend that has no such setting ignores it.
    fn coarsen(&mut self, _notches: u8) {}

    /// Lets these nodes and their neighbours find new places, as after a change next to them; the rest stays as cold as it is.
    fn warm(&mut self, nodes: &[NodeIndex]);

    /// Back to full temperature.
    fn reheat(&mut self);

    /// Puts every node back to where it was placed, at rest, nothing held, at full temperature with the warm-up: the steps that follow are
    /// those that followed [`Self::upload`], byte for byte, unless something was set since. False when the backend cannot.
    fn reset(&mut self) -> bool {
        false
    }

    /// Writes positions and velocities, leaving the ids as they are; records beyond the node count stay.
    ///
    /// # Panics
    /// When there are fewer records than nodes.
    fn write_into(&self, records: &mut [NodeRecord]);

    /// From the next step on, the nodes are wanted in this order too; no longer when there is none. A backend for which that is no less work
    /// than for its caller ignores it.
    fn deal(&mut self, _order: Option<&Arc<WireOrder>>) {}

    /// The nodes in the wire order of this version, when the backend has made that of the step that is read now.
    fn dealt(&self, _order: u32) -> Option<Dealt<'_>> {
        None
    }

    /// Where a node is, world units; `None` when there is no such node.
    fn position(&self, node: NodeIndex) -> Option<[f32; 3]>;

    /// Positions after the last completed step (a device may be one step behind), in node order, into
    /// `out[..node_count]`.
    ///
    /// # Panics
    /// When `out` has less room than there are nodes.
    fn read_positions(&self, out: &mut [[f32; 3]]);

    /// Forces from outside the model, `[node_count]` in node order: x, y, z in the unit of the model's own sums, and how
    /// much they change per world unit, for stability. Added in every step until replaced; an empty slice ends them, one of
    /// another length changes nothing. Numbers that are not finite count as 0.
    fn set_extra_forces(&mut self, extra: &[[f32; 4]]);

    /// New strengths (>= 0) and rest lengths (world units, >= 0) of the springs, `[half_edge_count]` each in the order of the
    /// topology's rows; warms the layout as a drag does. Of parallel edges the strengths add up and the rest lengths are
    /// averaged by strength. Arrays of another length change nothing.
    fn set_springs(&mut self, weight: &[f32], rest: &[f32]);

    /// Measures the relative rms error of the repulsion against the exact sum, on `sample` nodes of the present
    /// positions; `None` when there is nothing to measure. O(sample x nodes).
    fn repulsion_error(&mut self, sample: usize) -> Option<f32>;

    /// What computes, and how it is doing; may ask the device.
    fn condition(&mut self) -> Condition {
        Condition { kind: self.name(), ..Condition::default() }
    }

    /// Bytes that this backend holds for a graph of this size.
    fn footprint(node_count: usize, half_edges: usize) -> usize
    where
        Self: Sized;
}
