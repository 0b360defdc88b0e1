//! The CPU backend: the whole force set, on one thread or several, in a fixed order of operations.
//!
//! Called by the `sim` thread. Nodes are kept in **slots**, dealt at [`Backend::upload`] along a Morton curve of the
//! start positions so that neighbours in space are neighbours in memory; nothing outside sees a slot.
//!
//! The same seed, graph and calls give the same bytes, with any number of threads: every node's sums are made by one thread in
//! one order, there is no randomness but hashes of indices, and no approximate instruction in a step.
//!
//! # Error of the repulsion
//!
//! Up to 512 nodes, and at `theta` 0, all pairs are summed. Above, the RMS error over the RMS force stays within
//! `1e-4 + 0.14 * theta^2`. Measured on 5,000 nodes, in 3D (2D):
//!
//! | theta | random | clustered | collinear |
//! |---|---|---|---|
//! | 0.5 | .0005 (.0017) | .0008 (.0011) | .0066 (.0050) |
//! | 0.7 | .0024 (.0067) | .0028 (.0027) | .015 (.011) |
//! | 1.0 | .0041 (.011) | .0047 (.0059) | .033 (.025) |
//! | 1.1 | .011 (.016) | .0056 (.0070) | .033 (.025) |
//! | 1.4 | .047 (.055) | .018 (.012) | .037 (.028) |
//! | 2.0 | .24 (.35) | .055 (.11) | .11 (.086) |
//!
//! A layout in motion has 1.5 to 2.5 % at 1.1 in space, meshes and trees too, and 2 to 4 % in the plane.
//! [`CpuBackend::repulsion_error_sample`] measures the one at hand.
//!
//! # What it costs, and what was tried
//!
//! Three fifths of a step is the inner loop (`pairs.rs`), a tenth the walks, a tenth the springs. The tree keeps its shape for up
//! to 16 steps and what cells do to a node is kept for up to 4, less while the layout moves fast: 10,000 nodes and 50,000 edges
//! take 4.5 ms a step on one core while they unfold and 2.5 ms later (Zen 3, AVX2, `theta` 1.0, a busy machine, where the
//! version before took 19 ms). Tried and lost: the full quadrupole of a cell instead of its trace (error 1.0 to 0.6 % at twice
//! the cost of a cell: a smaller `theta` costs less); an absolute bound `mass * size^3 / d^6` beside the angle (no fewer pairs
//! at the same error); larger groups than one cell (as many walks saved as pairs added); leaves of 12 or 24 nodes, groups of 64 or
//! 128 (the same, within what a busy machine lets one see); moving the bodies on all threads as well, each its slots (on two cores 6 to
//! 10 % more processor time, as forces and positions then go from core to core twice a step, and no less on the clock); far cells acting on whole groups by local expansions of the second
//! order, with quadrupoles (at equal error none to a tenth less time at 50,000 and 100,000 nodes in space, none in the plane, for
//! 900 lines more); lists of who acts on whom kept until the nodes have gone twice the softening (12 % error in the plane, rms,
//! while a layout unfolds).

mod crew;
pub(in crate::sim) mod heat;
pub(in crate::sim) mod morton;
mod motion;
mod pairs;
mod scene;
mod springs;
#[cfg(test)]
mod tests;
mod tree;
mod warmth;
#[cfg(test)]
mod width;
mod world;

use crew::Crew;
use heat::Heat;
use world::World;

use super::{Backend, BackendError, ParamError, SimParams, StepReport, Topology};
use crate::graph::NodeIndex;
use crate::wire::NodeRecord;

/// A simulation on the calling thread.
#[derive(Debug)]
pub struct CpuBackend {
    params: SimParams,
    /// Notches of accuracy that the repulsion gives up for speed.
    notches: u8,
    heat: Heat,
    world: World,
    crew: Crew,
}

impl CpuBackend {
    /// A backend without nodes.
    ///
    /// # Panics
    /// When a parameter is out of range: check with [`SimParams::validate`] first.
    #[must_use]
    pub fn new(params: SimParams) -> Self {
        Self::with_workers(params, &[])
    }

    /// A backend without nodes, with a worker thread for each of `cores`, pinned to it if it has a number, besides the calling
    /// thread. The layout does not depend on how many there are.
    ///
    /// # Panics
    /// When a parameter is out of range: check with [`SimParams::validate`] first.
    #[must_use]
    pub fn with_workers(params: SimParams, cores: &[Option<usize>]) -> Self {
        assert_eq!(params.validate(), Ok(()), "parameters are checked where they enter");
        let crew = Crew::new(cores);
        let world = World::new(&params, &Topology::default(), crew.threads());
        Self { params, notches: 0, heat: Heat::fresh(&params), world, crew }
    }

    /// Bytes that a backend with so many workers holds for a graph of this size.
    #[must_use]
    pub const fn footprint_with(node_count: usize, half_edges: usize, workers: usize) -> usize {
        World::footprint(node_count, half_edges, workers + 1)
    }

    /// Threads that sum forces, the calling one included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.crew.threads()
    }

    /// RMS relative error of the repulsion at up to `sample` nodes, spread evenly over the graph, on the positions
    /// of this moment: the root of the summed squared differences from brute force over that of the summed squared
    /// forces. 0 when there is nothing to compare. Costs the repulsion of a step and `sample` times all nodes.
    pub fn repulsion_error_sample(&mut self, sample: usize) -> f32 {
        let params = self.params.coarsened(self.notches);
        self.world.repulsion_error(&params, &mut self.crew, sample)
    }

    /// Goes on with a layout that another backend has come to: `topology` says where nodes go back to at a reset, `motion` where they
    /// are and how they move, by node and axis.
    pub(in crate::sim) fn resume(
        &mut self,
        topology: Topology,
        motion: &[[f32; 6]],
        heat: Heat,
    ) -> Result<(), BackendError> {
        self.upload(topology)?;
        self.world.set_positions(&self.params, motion);
        let velocity: Vec<[f32; 3]> = motion.iter().map(|[_, _, _, x, y, z]| [*x, *y, *z]).collect();
        self.world.set_velocities(&velocity);
        self.heat = heat;
        Ok(())
    }

    /// Puts a NaN into a node's position, as a faulty device would.
    #[cfg(any(test, feature = "faults"))]
    pub fn poison(&mut self, node: NodeIndex) {
        if let Some(position) = self.world.slot(node).and_then(|slot| self.world.position.get_mut(slot)) {
            position[0] = f32::NAN;
        }
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn upload(&mut self, topology: Topology) -> Result<(), BackendError> {
        topology.check()?;
        let rows = topology.csr.node_count();
        let placed = topology.start.iter().flatten().count();
        let (mostly_placed, first) = (placed * 2 > rows, self.world.position.is_empty());
        self.world = World::new(&self.params, &topology, self.crew.threads());
        match (mostly_placed, first) {
            (false, _) => self.heat = Heat::fresh(&self.params),
            (true, true) => self.heat = Heat::lukewarm(),
            (true, false) => {
                // The same layout with some nodes more or less: only what is new looks for its place.
                self.heat.disturb();
                let new = (0..).zip(&topology.start).filter(|(_, start)| start.is_none());
                new.for_each(|(node, _)| self.world.welcome(NodeIndex(node)));
            }
        }
        Ok(())
    }

    fn set_velocities(&mut self, velocity: &[[f32; 3]]) {
        self.world.set_velocities(velocity);
    }

    fn warmth(&mut self) -> Vec<(NodeIndex, f32)> {
        self.world.warm_nodes()
    }

    fn set_warmth(&mut self, warmth: &[(NodeIndex, f32)]) {
        for (node, warmth) in warmth {
            if let Some(slot) = self.world.slot(*node) {
                self.world.warmth.raise(slot, *warmth);
            }
        }
    }

    fn apply(&mut self, params: &SimParams) -> Result<(), ParamError> {
        params.validate()?;
        if *params == self.params {
            return Ok(());
        }
        self.world.refit(&self.params, params);
        self.params = *params;
        self.heat.reheat();
        Ok(())
    }

    fn params(&self) -> SimParams {
        self.params
    }

    fn step(&mut self) -> StepReport {
        let temperature = self.heat.temperature();
        let params = self.params.coarsened(self.notches);
        let world = &mut self.world;
        let resets_before = world.reset_nonfinite(&self.params);
        world.sum_forces(&params, &mut self.crew);
        let mut report = world.advance(&self.params, temperature);
        // Positions are bounded, forces clamped: a second reset means a fault within this very step.
        report.nonfinite_resets = resets_before + world.reset_nonfinite(&self.params);
        report.temperature = temperature;
        report.settled = self.heat.end_step(&self.params, report.rms_velocity, world.any_held() || world.warmth.any());
        report
    }

    fn coarsen(&mut self, notches: u8) {
        self.notches = notches;
    }

    fn hold(&mut self, node: NodeIndex, position: [f32; 3]) {
        if self.world.hold(&self.params, node, position) {
            self.heat.disturb();
        }
    }

    fn release(&mut self, node: NodeIndex) {
        if self.world.release(node) {
            self.heat.disturb();
        }
    }

    fn pin(&mut self, node: NodeIndex, pinned: bool) {
        if self.world.pin(node, pinned) {
            self.heat.disturb();
        }
    }

    fn is_pinned(&self, node: NodeIndex) -> bool {
        self.world.slot(node).and_then(|slot| self.world.fixed.get(slot)).is_some_and(|fixed| fixed.pinned)
    }

    fn warm(&mut self, nodes: &[NodeIndex]) {
        for node in nodes {
            if let Some(slot) = self.world.slot(*node) {
                self.world.warm(slot);
            }
        }
        self.heat.disturb();
    }

    fn reheat(&mut self) {
        self.heat.reheat();
    }

    fn reset(&mut self) -> bool {
        self.world.reset_all();
        self.heat = Heat::fresh(&self.params);
        true
    }

    fn write_into(&self, records: &mut [NodeRecord]) {
        self.world.write_into(records);
    }

    fn position(&self, node: NodeIndex) -> Option<[f32; 3]> {
        self.world.position.get(self.world.slot(node)?).copied()
    }

    fn read_positions(&self, out: &mut [[f32; 3]]) {
        self.world.read_positions(out);
    }

    fn set_extra_forces(&mut self, extra: &[[f32; 4]]) {
        self.world.set_extra_forces(extra);
    }

    fn set_springs(&mut self, weight: &[f32], rest: &[f32]) {
        if self.world.set_springs(weight, rest) {
            self.heat.touch();
        }
    }

    fn repulsion_error(&mut self, sample: usize) -> Option<f32> {
        Some(self.repulsion_error_sample(sample)).filter(|error| error.is_finite())
    }

    fn footprint(node_count: usize, half_edges: usize) -> usize {
        Self::footprint_with(node_count, half_edges, 0)
    }
}
