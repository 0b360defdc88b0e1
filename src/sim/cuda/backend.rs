//! The CUDA backend: a scene on a device for the `sim` thread, and the CPU in its place when the device fails for good.
//!
//! What is asked between two steps is noted and done at the beginning of the next, so a device error has one way out: the
//! step is tried again in the next tick, the last good positions stand meanwhile, and after some failures in a row the CPU
//! goes on from them. What is read is one step behind what runs: the copy of a step overlaps the next one.

#![allow(clippy::indexing_slicing, reason = "slots come from slot_of, which is a permutation of the nodes")]

use super::arrays::Arrays;
use super::device::{Device, DeviceError, MemoryUse};
use super::layout::{Edit, HELD, OUT_FLOATS, PINNED, Report, Touch};
use super::scene::{Counts, EXACT_NODES_MAX, Scene, Turn};
use crate::graph::NodeIndex;
use crate::sim::cpu::CpuBackend;
use crate::sim::cpu::heat::{Heat, TOUCHED};
use crate::sim::{Backend, BackendError, Condition, Dimensions, ParamError, SimParams, StepReport, Topology};
use crate::wire::NodeRecord;

/// Makes the CPU backend that takes over. Where threads and cores are decided is the caller's.
pub type MakeCpu = Box<dyn Fn(SimParams) -> CpuBackend + Send>;

/// A simulation on a device.
pub struct CudaBackend {
    params: SimParams,
    notches: u8,
    heat: Heat,
    graph: GraphState,
    place: Place,
    make_cpu: MakeCpu,
    /// Device errors in a row after which the CPU takes over.
    failures_max: u32,
    failures: u32,
    condition: Condition,
    report: StepReport,
    /// Temperature of the step under way.
    temperature: f32,
    samples: usize,
    repulsion_error: Option<f32>,
    exact_nodes_max: usize,
}

/// Where the layout is computed.
enum Place {
    Device { device: Box<dyn Device>, scene: Option<Box<Scene>> },
    Cpu(Box<CpuBackend>),
}

/// The graph as the host knows it, and what the device has not been told yet.
#[derive(Default)]
struct GraphState {
    topology: Topology,
    arrays: Arrays,
    /// Slots of held nodes.
    held: Vec<u32>,
    /// No slot twice.
    edits: Vec<Edit>,
    /// What warms nodes in the next step.
    touches: Vec<Touch>,
    /// Steps for which nodes may be warm whatever the device has counted: it counts a step late.
    warm_steps: u32,
    /// By node, and by slot.
    extra: Vec<[f32; 4]>,
    extra_by_slot: Vec<[f32; 4]>,
    extra_changed: bool,
    /// As set, by half-edge of the topology.
    springs: Option<(Vec<f32>, Vec<f32>)>,
    springs_changed: bool,
    /// Positions have to be made to fit, after being lifted so far out of the plane.
    refit: Option<f32>,
}

impl CudaBackend {
    /// A backend without nodes over an open device. `failures_max` device errors in a row, at least 1, end it.
    ///
    /// # Panics
    /// When a parameter is out of range.
    pub(super) fn new(device: Box<dyn Device>, params: SimParams, failures_max: u32, make_cpu: MakeCpu) -> Self {
        assert_eq!(params.validate(), Ok(()), "parameters are checked where they enter");
        Self {
            params,
            notches: 0,
            heat: Heat::fresh(&params),
            graph: GraphState::default(),
            place: Place::Device { device, scene: None },
            make_cpu,
            failures_max: failures_max.max(1),
            failures: 0,
            condition: Condition { kind: "cuda", ..Condition::default() },
            report: StepReport::default(),
            temperature: 0.0,
            samples: 0,
            repulsion_error: None,
            exact_nodes_max: EXACT_NODES_MAX,
        }
    }

    /// From now on the tree from fewer nodes on.
    #[cfg(test)]
    pub(super) fn set_exact_nodes_max(&mut self, nodes: usize) {
        self.exact_nodes_max = nodes;
    }

    /// The device, as its driver names it; `None` once the CPU has taken over.
    #[must_use]
    pub fn device_name(&self) -> Option<String> {
        match &self.place {
            Place::Device { device, .. } => Some(device.name()),
            Place::Cpu(_) => None,
        }
    }

    /// One step, waited for: what is read is that step. Its time on the device, ms, without the copy to the host. For benches;
    /// `None` once the CPU has taken over.
    ///
    /// # Errors
    /// What the device says.
    pub fn timed_step(&mut self) -> Result<Option<f32>, DeviceError> {
        self.finish()?;
        if let Place::Device { device, .. } = &mut self.place {
            device.mark(0)?;
        }
        self.try_step()?;
        let Place::Device { device, .. } = &mut self.place else { return Ok(None) };
        device.mark(1)?;
        let taken = device.between_ms()?;
        self.finish()?;
        Ok(Some(taken))
    }

    /// Waits for the step under way, so that what is read is that step.
    pub(super) fn finish(&mut self) -> Result<(), DeviceError> {
        if let Place::Device { device, scene: Some(scene) } = &mut self.place
            && let Some(report) = scene.finish(device.as_mut())?
        {
            self.take(&report);
        }
        Ok(())
    }

    /// Of the newest step that was waited for.
    #[cfg(test)]
    pub(super) fn report(&self) -> StepReport {
        self.report
    }

    /// Puts a NaN into a node's position on the device, as a fault would.
    #[cfg(test)]
    pub(super) fn poison(&mut self, node: NodeIndex) {
        let slot = self.graph.arrays.slot_of[node.get()];
        let state = self.graph.arrays.state[slot as usize];
        self.graph.edits.push(Edit { slot, state, at: [f32::NAN; 3], moved: 1 });
    }

    fn try_step(&mut self) -> Result<StepReport, DeviceError> {
        let params = self.params.coarsened(self.notches);
        let graph = &mut self.graph;
        let Place::Device { device, scene: Some(scene) } = &mut self.place else {
            return Ok(StepReport::default());
        };
        let device = device.as_mut();
        scene.write_params(device, &params)?;
        if let Some(lift) = graph.refit {
            scene.refit(device, lift)?;
            graph.refit = None;
        }
        if graph.springs_changed {
            scene.write_springs(device, &graph.arrays)?;
            graph.springs_changed = false;
        }
        if graph.extra_changed {
            scene.write_extra(device, &graph.extra_by_slot)?;
            graph.extra_changed = false;
        }
        if !graph.edits.is_empty() {
            scene.edit(device, &graph.edits)?;
            graph.edits.clear();
        }
        // What hangs on a held node follows for as long as it is held.
        graph.touches.extend(graph.held.iter().map(|slot| Touch::new(*slot, 0.0, TOUCHED)));
        if !graph.touches.is_empty() {
            graph.warm_steps = 2;
            let touched = scene.touch(device, &graph.touches);
            graph.touches.truncate(graph.touches.len() - graph.held.len());
            touched?;
            graph.touches.clear();
        }
        let temperature = self.heat.temperature();
        let (extra, warm) = (!graph.extra.is_empty(), graph.warm_steps > 0);
        let turn = Turn { params: &params, temperature, samples: self.samples, extra, warm };
        let report = scene.step(device, &turn)?;
        graph.warm_steps = graph.warm_steps.saturating_sub(1);
        self.samples = 0;
        let Some(report) = report else {
            // The first step: nothing has been measured yet, and nothing can have settled.
            self.temperature = temperature;
            return Ok(StepReport { temperature, ..StepReport::default() });
        };
        self.take(&report);
        self.temperature = temperature;
        if report.warm_nodes > 0 {
            self.graph.warm_steps = self.graph.warm_steps.max(2);
        }
        let disturbed = !self.graph.held.is_empty() || self.graph.warm_steps > 0;
        self.report.settled = self.heat.end_step(&self.params, self.report.rms_velocity, disturbed);
        Ok(self.report)
    }

    /// Notes what a whole step measured.
    fn take(&mut self, report: &Report) {
        let count = f64::from(report.free_nodes.max(1));
        self.report = StepReport {
            rms_velocity: (report.speed2 / count).sqrt() as f32,
            rms_force: (report.force2 / count).sqrt() as f32,
            kinetic_energy: report.energy,
            temperature: self.temperature,
            nonfinite_resets: report.resets,
            settled: false,
        };
        if report.exact2 > 0.0 {
            self.repulsion_error =
                Some((report.error2 / report.exact2).sqrt() as f32).filter(|error| error.is_finite());
        }
    }

    #[cold]
    fn failed(&mut self, error: DeviceError) -> StepReport {
        self.failures += 1;
        self.condition.errors += 1;
        self.condition.last_error = Some(error);
        if self.failures < self.failures_max {
            return StepReport { settled: false, ..self.report };
        }
        self.fall_back();
        self.step()
    }

    /// The CPU goes on from the last good positions.
    fn fall_back(&mut self) {
        let mut cpu = (self.make_cpu)(self.params);
        let positions: Vec<[f32; 3]> = self.front().iter().map(|[x, y, z, ..]| [*x, *y, *z]).collect();
        let graph = &mut self.graph;
        let state = |node: usize| graph.arrays.slot_of.get(node).map_or(0, |slot| graph.arrays.state[*slot as usize]);
        let mut topology = std::mem::take(&mut graph.topology);
        topology.start = positions.iter().map(|at| Some(*at)).collect();
        topology.pinned = (0..positions.len()).map(|node| state(node) & PINNED != 0).collect();
        // It fits the CPU: the same checks let it onto the device.
        let _ = cpu.upload(topology);
        if let Some((weight, rest)) = &graph.springs {
            cpu.set_springs(weight, rest);
        }
        cpu.set_extra_forces(&graph.extra);
        cpu.coarsen(self.notches);
        for (node, at) in (0u32..).zip(&positions) {
            if state(node as usize) & HELD != 0 {
                let slot = graph.arrays.slot_of[node as usize];
                let moved = graph.edits.iter().find(|edit| edit.slot == slot && edit.moved != 0);
                cpu.hold(NodeIndex(node), moved.map_or(*at, |edit| edit.at));
            }
        }
        self.graph = GraphState::default();
        let before = std::mem::replace(&mut self.place, Place::Cpu(Box::new(cpu)));
        if let Place::Device { mut device, scene: Some(scene) } = before {
            scene.release(device.as_mut());
        }
        self.condition = Condition { kind: "cpu", fell_back: true, memory: None, ..self.condition };
        // Once in the life of a process, in a tick that is late anyway.
        if let Some(error) = self.condition.last_error {
            tracing::error!(errors = self.condition.errors, "the device failed, the processor takes over: {error}");
        }
    }

    /// By node: position and velocity after the newest whole step.
    fn front(&self) -> &[[f32; OUT_FLOATS]] {
        match &self.place {
            Place::Device { scene: Some(scene), .. } => scene.front(),
            _ => &[],
        }
    }

    /// What a node's state becomes; false when there is no such node, or no change.
    fn change(&mut self, node: NodeIndex, state: impl Fn(u32) -> u32, to: Option<[f32; 3]>) -> bool {
        let graph = &mut self.graph;
        let Some(slot) = graph.arrays.slot_of.get(node.get()).copied() else { return false };
        let now = &mut graph.arrays.state[slot as usize];
        let new = state(*now);
        if new == *now && to.is_none() {
            return false;
        }
        if (new ^ *now) & HELD != 0 {
            match new & HELD != 0 {
                true => graph.held.push(slot),
                false => graph.held.retain(|held| *held != slot),
            }
        }
        if to.is_none() {
            graph.touches.push(Touch::new(slot, TOUCHED, TOUCHED));
        }
        *now = new;
        let at = to.unwrap_or_default();
        match graph.edits.iter_mut().find(|edit| edit.slot == slot) {
            Some(edit) => {
                edit.state = new;
                if to.is_some() {
                    (edit.at, edit.moved) = (at, 1);
                }
            }
            None => graph.edits.push(Edit { slot, state: new, at, moved: u32::from(to.is_some()) }),
        }
        true
    }

    fn inside(&self, at: [f32; 3]) -> [f32; 3] {
        let bound = self.params.bounds_for(self.graph.arrays.slot_of.len());
        let [x, y, z] = at.map(|axis| axis.clamp(-bound, bound));
        [x, y, if self.params.dimensions == Dimensions::Two { 0.0 } else { z }]
    }
}

impl Backend for CudaBackend {
    fn name(&self) -> &'static str {
        self.condition.kind
    }

    fn upload(&mut self, topology: Topology) -> Result<(), BackendError> {
        let (device, scene) = match &mut self.place {
            Place::Device { device, scene } => (device.as_mut(), scene),
            Place::Cpu(cpu) => return cpu.upload(topology),
        };
        topology.check()?;
        let rows = topology.csr.node_count();
        let mut arrays = Arrays::new(&self.params, &topology);
        let new = Scene::new(device, &arrays, self.exact_nodes_max).map_err(BackendError::Device)?;
        if let Some(old) = scene.replace(Box::new(new)) {
            old.release(device);
        }
        let used = scene.as_deref().map_or(0, Scene::bytes);
        let free = device.free_bytes().unwrap_or_default();
        self.condition.memory = Some(MemoryUse { used, free });
        arrays.forget_uploaded();
        let placed = topology.start.iter().flatten().count();
        let (mostly_placed, first) = (placed * 2 > rows, self.graph.arrays.slot_of.is_empty());
        let mut touches = Vec::new();
        match (mostly_placed, first) {
            (false, _) => self.heat = Heat::fresh(&self.params),
            (true, true) => self.heat = Heat::lukewarm(),
            (true, false) => {
                // The same layout with some nodes more or less: only what is new looks for its place.
                self.heat.disturb();
                let new = arrays.slot_of.iter().zip(&topology.start).filter(|(_, start)| start.is_none());
                touches.extend(new.map(|(slot, _)| Touch::new(*slot, 1.0, TOUCHED)));
            }
        }
        self.graph = GraphState { topology, arrays, touches, ..GraphState::default() };
        // Written again at every change, never read: the positions are the device's.
        self.graph.topology.start = Vec::new();
        (self.report, self.repulsion_error) = (StepReport::default(), None);
        Ok(())
    }

    fn set_velocities(&mut self, velocity: &[[f32; 3]]) {
        if let Place::Cpu(cpu) = &mut self.place {
            cpu.set_velocities(velocity);
        }
    }

    fn give_up_device(&mut self) -> bool {
        let on_device = matches!(self.place, Place::Device { .. });
        if on_device {
            self.fall_back();
        }
        on_device
    }

    fn apply(&mut self, params: &SimParams) -> Result<(), ParamError> {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.apply(params);
        }
        params.validate()?;
        if *params == self.params {
            return Ok(());
        }
        let nodes = self.graph.arrays.slot_of.len();
        let lifted = self.params.dimensions == Dimensions::Two && params.dimensions == Dimensions::Three;
        if params.dimensions != self.params.dimensions || params.bounds_for(nodes) != self.params.bounds_for(nodes) {
            self.graph.refit = Some(if lifted { 0.1 * params.rest_length } else { 0.0 });
        }
        self.params = *params;
        self.heat.reheat();
        Ok(())
    }

    fn params(&self) -> SimParams {
        match &self.place {
            Place::Cpu(cpu) => cpu.params(),
            Place::Device { .. } => self.params,
        }
    }

    fn step(&mut self) -> StepReport {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.step();
        }
        match self.try_step() {
            Ok(report) => {
                self.failures = 0;
                report
            }
            Err(error) => self.failed(error),
        }
    }

    fn hold(&mut self, node: NodeIndex, position: [f32; 3]) {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.hold(node, position);
        }
        if position.iter().all(|axis| axis.is_finite())
            && self.change(node, |state| state | HELD, Some(self.inside(position)))
        {
            self.heat.disturb();
        }
    }

    fn release(&mut self, node: NodeIndex) {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.release(node);
        }
        if self.change(node, |state| state & !HELD, None) {
            self.heat.disturb();
        }
    }

    fn pin(&mut self, node: NodeIndex, pinned: bool) {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.pin(node, pinned);
        }
        let bit = if pinned { PINNED } else { 0 };
        if self.change(node, |state| state & !PINNED | bit, None) {
            self.heat.disturb();
        }
    }

    fn is_pinned(&self, node: NodeIndex) -> bool {
        if let Place::Cpu(cpu) = &self.place {
            return cpu.is_pinned(node);
        }
        let arrays = &self.graph.arrays;
        arrays.slot_of.get(node.get()).is_some_and(|slot| arrays.state[*slot as usize] & PINNED != 0)
    }

    fn coarsen(&mut self, notches: u8) {
        self.notches = notches;
        if let Place::Cpu(cpu) = &mut self.place {
            cpu.coarsen(notches);
        }
    }

    fn warm(&mut self, nodes: &[NodeIndex]) {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.warm(nodes);
        }
        let Self { graph, heat, .. } = self;
        let slots = nodes.iter().filter_map(|node| graph.arrays.slot_of.get(node.get()));
        graph.touches.extend(slots.map(|slot| Touch::new(*slot, TOUCHED, TOUCHED)));
        heat.disturb();
    }

    fn reheat(&mut self) {
        match &mut self.place {
            Place::Cpu(cpu) => cpu.reheat(),
            Place::Device { .. } => self.heat.reheat(),
        }
    }

    fn write_into(&self, records: &mut [NodeRecord]) {
        if let Place::Cpu(cpu) = &self.place {
            return cpu.write_into(records);
        }
        assert!(records.len() >= self.front().len(), "a frame has a record for every node");
        for (record, [x, y, z, vx, vy, vz]) in records.iter_mut().zip(self.front()) {
            record.set_motion([*x, *y, *z], [*vx, *vy, *vz]);
        }
    }

    fn position(&self, node: NodeIndex) -> Option<[f32; 3]> {
        match &self.place {
            Place::Cpu(cpu) => cpu.position(node),
            Place::Device { .. } => self.front().get(node.get()).map(|[x, y, z, ..]| [*x, *y, *z]),
        }
    }

    fn read_positions(&self, out: &mut [[f32; 3]]) {
        if let Place::Cpu(cpu) = &self.place {
            return cpu.read_positions(out);
        }
        assert!(out.len() >= self.front().len(), "there is a place for every node");
        for (out, [x, y, z, ..]) in out.iter_mut().zip(self.front()) {
            *out = [*x, *y, *z];
        }
    }

    fn set_extra_forces(&mut self, extra: &[[f32; 4]]) {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.set_extra_forces(extra);
        }
        let graph = &mut self.graph;
        if !extra.is_empty() && extra.len() != graph.arrays.slot_of.len() {
            return;
        }
        let number = |number: f32| if number.is_finite() { number } else { 0.0 };
        let sane = |[x, y, z, stiffness]: &[f32; 4]| [number(*x), number(*y), number(*z), number(*stiffness).max(0.0)];
        graph.extra.clear();
        graph.extra.extend(extra.iter().map(sane));
        graph.extra_by_slot.resize(graph.extra.len(), [0.0; 4]);
        for (one, slot) in graph.extra.iter().zip(&graph.arrays.slot_of) {
            graph.extra_by_slot[*slot as usize] = *one;
        }
        graph.extra_changed = !extra.is_empty();
    }

    fn set_springs(&mut self, weight: &[f32], rest: &[f32]) {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.set_springs(weight, rest);
        }
        let graph = &mut self.graph;
        if graph.arrays.springs.set(&graph.arrays.row, weight, rest) {
            graph.springs = Some((weight.to_vec(), rest.to_vec()));
            graph.springs_changed = true;
            self.heat.touch();
        }
    }

    /// What the last measurement found; a new one is made in the next step, beside everything else.
    fn repulsion_error(&mut self, sample: usize) -> Option<f32> {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.repulsion_error(sample);
        }
        self.samples = sample;
        self.repulsion_error
    }

    fn condition(&mut self) -> Condition {
        if let (Place::Device { device, .. }, Some(memory)) = (&mut self.place, &mut self.condition.memory) {
            memory.free = device.free_bytes().unwrap_or(memory.free);
        }
        self.condition
    }

    /// Bytes on the device.
    fn footprint(node_count: usize, half_edges: usize) -> usize {
        Scene::footprint(&Counts::most(node_count, half_edges))
    }
}

impl Drop for CudaBackend {
    fn drop(&mut self) {
        if let Place::Device { device, scene } = &mut self.place
            && let Some(scene) = scene.take()
        {
            scene.release(device.as_mut());
        }
    }
}
