//! The CUDA backend: a scene on a device for the `sim` thread, and the CPU in its place when the device fails for good.
//!
//! What is asked between two steps is noted and done at the beginning of the next, so a device error has one way out: the
//! step is tried again in the next tick, the last good positions stand meanwhile, and after some failures in a row the CPU
//! goes on from them. What is read is one step behind what runs: the copy of a step overlaps the next one.

#![allow(clippy::indexing_slicing, reason = "slots come from slot_of, which is a permutation of the nodes")]

use std::sync::Arc;

use super::arrays::Arrays;
use super::asked::{GraphState, show};
use super::counts::Counts;
use super::device::{Device, DeviceError, MemoryUse};
use super::layout::{Edit, HELD, OUT_FLOATS, PINNED, Report, Touch};
use super::scene::{EXACT_NODES_MAX, Scene, Turn};
use crate::graph::NodeIndex;
use crate::handoff::WireOrder;
use crate::sim::backend::Dealt;
use crate::sim::cpu::CpuBackend;
use crate::sim::cpu::heat::{Heat, TOUCHED};
use crate::sim::slots::inside;
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
        // What hangs on a held node follows for as long as it is held.
        let asked = graph.touches.len();
        graph.touches.extend(graph.held.iter().map(|slot| Touch::new(*slot, 0.0, TOUCHED)));
        let told = graph.tell(device, scene, &params);
        graph.touches.truncate(asked);
        told?;
        let temperature = self.heat.temperature();
        let (extra, warm) = (!graph.extra.is_empty(), graph.warm_steps > 0);
        let turn = Turn { params: &params, temperature, samples: self.samples, extra, warm };
        let report = scene.step(device, &turn)?;
        // The step that can be read now is the one before, which had not heard of it.
        show(scene, graph.wire.as_deref(), &graph.put);
        graph.put.clear();
        graph.warm_steps = graph.warm_steps.saturating_sub(1);
        self.samples = 0;
        let Some(report) = report else {
            // The first step: nothing has been measured yet, and nothing can have settled.
            self.temperature = temperature;
            self.heat.end_step(&self.params, f32::INFINITY, true);
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

    /// Has what is read say where nodes were put since.
    fn show_put(&mut self) {
        if let Place::Device { scene: Some(scene), .. } = &mut self.place {
            show(scene, None, &self.graph.put);
        }
    }

    fn note(&mut self, error: DeviceError) {
        self.condition.errors += 1;
        self.condition.last_error = Some(error);
    }

    #[cold]
    fn failed(&mut self, error: DeviceError) -> StepReport {
        self.failures += 1;
        self.note(error);
        self.show_put();
        if self.failures < self.failures_max {
            return StepReport { settled: false, ..self.report };
        }
        self.fall_back();
        self.step()
    }

    /// The CPU goes on from the last good positions, as warm as the layout was; what was warmer than the rest warms all of it, since
    /// only the device knew which nodes these were.
    fn fall_back(&mut self) {
        let mut cpu = (self.make_cpu)(self.params);
        let motion = self.front().to_vec();
        let graph = &mut self.graph;
        let state = |node: usize| graph.arrays.slot_of.get(node).map_or(0, |slot| graph.arrays.state[*slot as usize]);
        let mut topology = std::mem::take(&mut graph.topology);
        topology.start = graph.home.iter().map(|at| Some(*at)).collect();
        topology.pinned = (0..motion.len()).map(|node| state(node) & PINNED != 0).collect();
        if graph.warm_steps > 0 || !graph.touches.is_empty() {
            self.heat.touch();
        }
        // It fits the CPU: the same checks let it onto the device.
        let _ = cpu.resume(topology, &motion, self.heat);
        if let Some((weight, rest)) = &graph.springs {
            cpu.set_springs(weight, rest);
        }
        cpu.set_extra_forces(&graph.extra);
        cpu.coarsen(self.notches);
        for (node, [x, y, z, ..]) in (0u32..).zip(&motion) {
            if state(node as usize) & HELD != 0 {
                cpu.hold(NodeIndex(node), [*x, *y, *z]);
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
        *now = new;
        match to {
            // Seen at once: nothing steps while the simulation is paused.
            Some(to) => {
                graph.put(node, to);
                if let Place::Device { scene: Some(scene), .. } = &mut self.place {
                    show(scene, None, &[(node, to)]);
                }
            }
            None => graph.touches.push(Touch::new(slot, TOUCHED, TOUCHED)),
        }
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
        inside(&self.params, self.params.bounds_for(self.graph.arrays.slot_of.len()), at)
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
        let new = match Scene::new(device, &arrays, self.exact_nodes_max) {
            Ok(new) => new,
            Err(error) => {
                self.note(error);
                return Err(BackendError::Device(error));
            }
        };
        if let Some(old) = scene.replace(Box::new(new)) {
            old.release(device);
        }
        let used = scene.as_deref().map_or(0, Scene::bytes);
        let free = device.free_bytes().unwrap_or_default();
        self.condition.memory = Some(MemoryUse { used, free });
        let home =
            arrays.slot_of.iter().map(|slot| arrays.point[*slot as usize]).map(|[x, y, z, _]| [x, y, z]).collect();
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
        self.graph = GraphState { topology, arrays, touches, home, ..GraphState::default() };
        // Written again at every change, never read: the positions are the device's.
        self.graph.topology.start = Vec::new();
        (self.report, self.repulsion_error) = (StepReport::default(), None);
        Ok(())
    }

    fn set_velocities(&mut self, velocity: &[[f32; 3]]) {
        let scene = match &mut self.place {
            Place::Cpu(cpu) => return cpu.set_velocities(velocity),
            Place::Device { scene: Some(scene), .. } if scene.front().len() == velocity.len() => scene,
            Place::Device { .. } => return,
        };
        let arrays = &self.graph.arrays;
        let mut by_slot = vec![[0.0; 4]; velocity.len()];
        for ((slot, [x, y, z]), out) in arrays.slot_of.iter().zip(velocity).zip(scene.front_mut()) {
            let free = arrays.state[*slot as usize] & (PINNED | HELD) == 0;
            if free && [x, y, z].iter().all(|axis| axis.is_finite()) {
                by_slot[*slot as usize] = [*x, *y, *z, 0.0];
                (out[3], out[4], out[5]) = (*x, *y, *z);
            }
        }
        self.graph.velocity = Some(by_slot);
    }

    fn warmth(&mut self) -> Vec<(NodeIndex, f32)> {
        let (device, scene) = match &mut self.place {
            Place::Cpu(cpu) => return cpu.warmth(),
            Place::Device { device, scene: Some(scene) } => (device.as_mut(), scene),
            Place::Device { .. } => return Vec::new(),
        };
        let params = self.params.coarsened(self.notches);
        let graph = &mut self.graph;
        if graph.warm_steps == 0 && graph.touches.is_empty() {
            return Vec::new();
        }
        let by_slot = match graph.tell(device, scene, &params).and_then(|()| scene.read_warmth(device)) {
            Ok(by_slot) => by_slot,
            Err(error) => {
                self.note(error);
                return Vec::new();
            }
        };
        let graph = &self.graph;
        let warm = (0u32..).zip(&graph.arrays.slot_of).map(|(node, slot)| (NodeIndex(node), by_slot[*slot as usize]));
        warm.filter(|(_, warmth)| *warmth > 0.0).collect()
    }

    fn set_warmth(&mut self, warmth: &[(NodeIndex, f32)]) {
        if let Place::Cpu(cpu) = &mut self.place {
            return cpu.set_warmth(warmth);
        }
        let graph = &mut self.graph;
        let slot_of = &graph.arrays.slot_of;
        let touches =
            warmth.iter().filter_map(|(node, warmth)| Some(Touch::new(*slot_of.get(node.get())?, *warmth, 0.0)));
        graph.touches.extend(touches);
    }

    fn catch_up(&mut self) {
        match self.finish() {
            Ok(()) => self.show_put(),
            // The last good step stands.
            Err(error) => self.note(error),
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
            let bound = params.bounds_for(nodes);
            self.graph.home.iter_mut().for_each(|at| *at = inside(params, bound, *at));
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

    fn reset(&mut self) -> bool {
        // A step under way must not be read after this. One that cannot be waited for fails the next step too.
        if let Err(error) = self.finish() {
            self.note(error);
        }
        let scene = match &mut self.place {
            Place::Cpu(cpu) => return cpu.reset(),
            Place::Device { scene: Some(scene), .. } => scene,
            Place::Device { .. } => return true,
        };
        let graph = &mut self.graph;
        let home: Vec<_> = (0u32..).map(NodeIndex).zip(graph.home.iter().copied()).collect();
        show(scene, None, &home);
        graph.arrays.state.iter_mut().for_each(|state| *state &= PINNED);
        // Pins that the device has not heard of hold; it takes edits after a reset.
        graph.edits.iter_mut().for_each(|edit| (edit.state, edit.moved) = (edit.state & PINNED, 0));
        graph.held.clear();
        graph.touches.clear();
        graph.put.clear();
        (graph.velocity, graph.warm_steps, graph.reset) = (None, 0, true);
        // Where nodes were placed is in the plane, and whatever was to be lifted out of it goes back there.
        graph.refit = graph.refit.map(|_| 0.0);
        self.heat = Heat::fresh(&self.params);
        true
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

    fn deal(&mut self, order: Option<&Arc<WireOrder>>) {
        let Place::Device { .. } = &self.place else { return };
        let graph = &mut self.graph;
        // A permutation of other nodes is of no use.
        let order = order.filter(|order| order.nodes().len() == graph.arrays.slot_of.len());
        let version = |order: &Arc<WireOrder>| order.version();
        if order.map(version) != graph.wire.as_ref().map(version) {
            graph.wire = order.cloned();
            graph.wire_changed = true;
        }
    }

    fn dealt(&self, order: u32) -> Option<Dealt<'_>> {
        match &self.place {
            Place::Device { scene: Some(scene), .. } => scene.dealt(order),
            _ => None,
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
