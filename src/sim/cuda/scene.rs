//! One graph on a device: its memory, and the order in which a step's kernels run.

#![allow(clippy::indexing_slicing, reason = "node indices are checked against slot_of, levels against level_count")]

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::arrays::Arrays;
use super::counts::{Counts, EDITS, levels, out_bytes, padded, report_start, shapes, splits, wire_start};
use super::device::{Device, DeviceError, HostBuffer};
use super::kernels::Kernel;
use super::layout::{
    BLOCK, DIGIT_BITS, DIGITS, Edit, KEY_BITS, OUT_FLOATS, Params, REDUCE_BLOCKS, Report, SAMPLES, SORT_TILE, Touch,
    WALK_WARPS, WARP, WIRE_FLOATS, World,
};
use crate::sim::backend::Dealt;
use crate::sim::dealer::bounds;
use crate::sim::{ForceModel, SimParams};

/// Nodes up to which all pairs are summed: half a millisecond on an H200 by arithmetic, and exact.
pub(super) const EXACT_NODES_MAX: usize = 32_768;

/// Steps for which an order of the nodes along the curve is kept. The boxes of the tree are those of every step, so an old
/// order costs length of lists, not accuracy.
const ORDER_STEPS: u32 = 4;

/// One graph on a device. Freed by [`Self::release`] alone: only the device can.
#[derive(Debug)]
pub(super) struct Scene {
    world: World,
    memory: Vec<u64>,
    bytes: usize,
    /// Device side of the output; the step writes one while the other is being copied.
    out: [u64; 2],
    buffers: Vec<HostBuffer>,
    /// The buffer that holds the newest whole step, and the one that is being copied to.
    front: usize,
    /// Version of the wire order that the device has, and by buffer that of the places in it.
    wire: Option<u32>,
    wire_in: [Option<u32>; 2],
    under_way: bool,
    steps: u32,
    ordered_at: Option<u32>,
    exact_nodes_max: usize,
    params: Option<Params>,
}

/// What one step shall do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'a> {
    pub(super) params: &'a SimParams,
    pub(super) temperature: f32,
    /// Nodes at which to measure the error of the repulsion; 0 = not.
    pub(super) samples: usize,
    /// Whether there are forces from outside.
    pub(super) extra: bool,
    /// Whether any node may be warm.
    pub(super) warm: bool,
}

impl Scene {
    /// Uploads a graph. `exact_nodes_max` is [`EXACT_NODES_MAX`] but in tests.
    ///
    /// # Errors
    /// [`DeviceError::Memory`] when it does not fit, and whatever the device says; nothing is held then.
    pub(super) fn new(device: &mut dyn Device, arrays: &Arrays, exact_nodes_max: usize) -> Result<Self, DeviceError> {
        let needed = Self::footprint(&Counts::of(arrays));
        let available = device.free_bytes()?;
        if needed > available {
            return Err(DeviceError::Memory { needed, available });
        }
        let mut scene = Self {
            world: World::default(),
            memory: Vec::new(),
            bytes: needed,
            out: [0; 2],
            buffers: Vec::new(),
            front: 0,
            wire: None,
            wire_in: [None; 2],
            under_way: false,
            steps: 0,
            ordered_at: None,
            exact_nodes_max,
            params: None,
        };
        match scene.fill(device, arrays) {
            Ok(()) => Ok(scene),
            Err(error) => {
                scene.release(device);
                Err(error)
            }
        }
    }

    /// Bytes on the device for a graph.
    pub(super) fn footprint(counts: &Counts) -> usize {
        shapes(counts).iter().map(|(count, bytes)| padded(count * bytes)).sum()
    }

    /// Bytes on the device.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives all memory back.
    pub(super) fn release(mut self, device: &mut dyn Device) {
        if self.under_way {
            // What could not be waited for is not going to write any more either: the device is lost.
            let _ = device.receive();
        }
        self.memory.drain(..).for_each(|address| device.release(address));
        self.buffers.drain(..).for_each(|buffer| device.release_host(buffer));
    }

    fn fill(&mut self, device: &mut dyn Device, arrays: &Arrays) -> Result<(), DeviceError> {
        let shapes = shapes(&Counts::of(arrays));
        for (count, bytes) in shapes {
            let address = device.allocate(padded(count * bytes))?;
            self.memory.push(address);
        }
        let [
            params,
            point,
            velocity,
            force,
            extra,
            home,
            state,
            component,
            slot_of,
            row,
            neighbour,
            weight,
            rest,
            weight_sum,
            long_row,
            long_first,
            row_piece,
            row_piece_force,
            member,
            member_piece,
            piece_sum,
            component_first,
            component_size,
            centring,
            frame,
            extent,
            key,
            key_next,
            order,
            order_next,
            digit_count,
            digit_total,
            sorted,
            cell_at,
            cell_reach,
            box_low,
            box_high,
            tensor,
            partial,
            sample,
            tally,
            counters,
            edit,
            out_even,
            out_odd,
            warmth,
            warmth_next,
            touch,
            wire,
        ] = *self.memory.as_slice()
        else {
            return Ok(());
        };
        let node_count = arrays.slot_of.len();
        let (level_first, level_cells, level_count) = levels(node_count);
        let splits = splits(node_count);
        self.out = [out_even, out_odd];
        self.world = World {
            params,
            point,
            velocity,
            force,
            extra,
            home,
            state,
            component,
            slot_of,
            row,
            neighbour,
            weight,
            rest,
            weight_sum,
            long_row,
            long_first,
            row_piece,
            row_piece_force,
            member,
            member_piece,
            piece_sum,
            component_first,
            component_size,
            centring,
            frame,
            extent,
            key,
            key_next,
            order,
            order_next,
            digit_count,
            digit_total,
            sorted,
            cell_at,
            cell_reach,
            box_low,
            box_high,
            tensor,
            // One share is summed in place.
            partial: if splits > 1 { partial } else { force },
            sample,
            tally,
            counters,
            edit,
            out: out_even,
            warmth,
            warmth_next,
            touch,
            wire,
            node_count: node_count as u32,
            long_row_count: arrays.long_row.len() as u32,
            row_piece_count: arrays.row_piece.len() as u32,
            member_piece_count: arrays.member_piece.len() as u32,
            component_count: arrays.component_size.len() as u32,
            sort_blocks: node_count.div_ceil(SORT_TILE) as u32,
            level_count,
            split_count: splits as u32,
            reduce_blocks: node_count.div_ceil(BLOCK).min(REDUCE_BLOCKS) as u32,
            level_first,
            level_cells,
            ..World::default()
        };
        device.write(point, arrays.point.as_bytes())?;
        device.write(home, arrays.point.as_bytes())?;
        device.write(velocity, vec![0u8; node_count * 16].as_slice())?;
        device.write(counters, &[0; 8])?;
        let cold = vec![0u8; node_count * 4];
        device.write(warmth, &cold)?;
        device.write(warmth_next, &cold)?;
        for (to, from) in [
            (state, &arrays.state),
            (component, &arrays.component),
            (slot_of, &arrays.slot_of),
            (row, &arrays.row),
            (neighbour, &arrays.neighbour),
            (long_row, &arrays.long_row),
            (long_first, &arrays.long_first),
            (member, &arrays.member),
            (component_first, &arrays.component_first),
            (component_size, &arrays.component_size),
        ] {
            device.write(to, from.as_bytes())?;
        }
        device.write(row_piece, arrays.row_piece.as_bytes())?;
        device.write(member_piece, arrays.member_piece.as_bytes())?;
        self.write_springs(device, arrays)?;
        for _ in 0..2 {
            self.buffers.push(device.allocate_host(out_bytes(node_count))?);
        }
        let start = arrays.slot_of.iter().map(|slot| arrays.point[*slot as usize]);
        let front = self.buffers[self.front].as_mut_slice();
        let (nodes, _) = <[[f32; OUT_FLOATS]]>::mut_from_prefix_with_elems(front, node_count).map_err(|_| SHORT)?;
        for (out, [x, y, z, _]) in nodes.iter_mut().zip(start) {
            *out = [x, y, z, 0.0, 0.0, 0.0];
        }
        Ok(())
    }

    /// New strengths and rest lengths.
    pub(super) fn write_springs(&self, device: &mut dyn Device, arrays: &Arrays) -> Result<(), DeviceError> {
        device.write(self.world.weight, arrays.springs.weight.as_bytes())?;
        device.write(self.world.rest, arrays.springs.rest.as_bytes())?;
        device.write(self.world.weight_sum, arrays.springs.weight_sum.as_bytes())
    }

    /// New forces from outside, by slot.
    pub(super) fn write_extra(&self, device: &mut dyn Device, by_slot: &[[f32; 4]]) -> Result<(), DeviceError> {
        device.write(self.world.extra, by_slot.as_bytes())
    }

    /// Puts, holds and frees nodes; no slot is named twice.
    pub(super) fn edit(&mut self, device: &mut dyn Device, edits: &[Edit]) -> Result<(), DeviceError> {
        for some in edits.chunks(EDITS) {
            device.write(self.world.edit, some.as_bytes())?;
            self.world.edit_count = some.len() as u32;
            self.over(device, Kernel::EditNodes, some.len())?;
        }
        Ok(())
    }

    /// Puts every node back to where it was placed, at rest and cold, and lets go of what is held. The next step sorts the nodes anew.
    pub(super) fn reset(&mut self, device: &mut dyn Device) -> Result<(), DeviceError> {
        self.over(device, Kernel::ResetNodes, self.node_count())?;
        self.ordered_at = None;
        Ok(())
    }

    /// Lets the nodes move like this, by slot.
    pub(super) fn write_velocities(&self, device: &mut dyn Device, by_slot: &[[f32; 4]]) -> Result<(), DeviceError> {
        device.write(self.world.velocity, by_slot.as_bytes())
    }

    /// How warm each node is, by slot, once all that was launched before is done.
    pub(super) fn read_warmth(&self, device: &mut dyn Device) -> Result<Vec<f32>, DeviceError> {
        let mut warmth = vec![0.0; self.node_count()];
        if !warmth.is_empty() {
            device.read(self.world.warmth, warmth.as_mut_bytes())?;
        }
        Ok(warmth)
    }

    /// Warms nodes and their neighbours.
    pub(super) fn touch(&mut self, device: &mut dyn Device, touches: &[Touch]) -> Result<(), DeviceError> {
        for some in touches.chunks(EDITS) {
            device.write(self.world.touch, some.as_bytes())?;
            self.world.touch_count = some.len() as u32;
            self.over(device, Kernel::WarmTouch, some.len() * WARP)?;
        }
        Ok(())
    }

    /// Uploads what the parameters come to, unless the device has it, and reads it back.
    pub(super) fn write_params(&mut self, device: &mut dyn Device, params: &SimParams) -> Result<(), DeviceError> {
        let wanted = Params::new(params, self.node_count());
        if self.params == Some(wanted) {
            return Ok(());
        }
        self.params = None;
        device.write(self.world.params, wanted.as_bytes())?;
        let mut found = Params::new_zeroed();
        device.read(self.world.params, found.as_mut_bytes())?;
        if found.as_bytes() != wanted.as_bytes() {
            return Err(DeviceError::Differs { what: "parameters" });
        }
        self.params = Some(wanted);
        Ok(())
    }

    /// Moves nodes into the present bounds and plane, or `lift` world units out of it.
    pub(super) fn refit(&mut self, device: &mut dyn Device, lift: f32) -> Result<(), DeviceError> {
        self.world.lift = lift;
        self.over(device, Kernel::RefitNodes, self.node_count())
    }

    /// Launches one step and takes over the one before. What [`Self::front`] shows is then one step old.
    ///
    /// # Errors
    /// What the device says. The front is still the last whole step.
    pub(super) fn step(&mut self, device: &mut dyn Device, turn: &Turn<'_>) -> Result<Option<Report>, DeviceError> {
        if self.node_count() == 0 {
            return Ok(Some(Report::default()));
        }
        let writing = (self.steps % 2) as usize;
        self.world.temperature = turn.temperature;
        self.world.out = self.out[writing];
        self.world.sample_count =
            if turn.params.repulsion { turn.samples.min(SAMPLES).min(self.node_count()) as u32 } else { 0 };
        self.launch(device, turn)?;
        let report = self.finish(device)?;
        let to = 1 - self.front;
        if let Some(buffer) = self.buffers.get_mut(to) {
            let bytes = match self.wire {
                Some(_) => buffer.bytes,
                None => wire_start(self.world.node_count as usize),
            };
            self.wire_in[to] = self.wire;
            device.send(self.out[writing], buffer, bytes)?;
        }
        self.under_way = true;
        self.steps = self.steps.wrapping_add(1);
        Ok(report)
    }

    /// Waits for the step under way and makes it the front; `None` when none is.
    pub(super) fn finish(&mut self, device: &mut dyn Device) -> Result<Option<Report>, DeviceError> {
        if !self.under_way {
            return Ok(None);
        }
        device.receive()?;
        self.under_way = false;
        self.front = 1 - self.front;
        Ok(Some(self.report().ok_or(SHORT)?))
    }

    /// Of the newest whole step.
    fn report(&self) -> Option<Report> {
        let bytes = self.buffers.get(self.front)?.as_slice();
        let (report, _) = Report::read_from_prefix(bytes.get(report_start(self.node_count())..)?).ok()?;
        Some(report)
    }

    /// The nodes are to be handed out in this order too, a slot for each place; in none without one. `version` tells orders apart.
    pub(super) fn write_wire(
        &mut self,
        device: &mut dyn Device,
        order: Option<(u32, Vec<u32>)>,
    ) -> Result<(), DeviceError> {
        self.wire = None;
        if let Some((version, slots)) = order {
            device.write(self.world.wire, slots.as_bytes())?;
            self.wire = Some(version);
        }
        Ok(())
    }

    /// Positions after the newest whole step by place of the wire order of this version, and the box around them; `None` when the device
    /// did not have that order then.
    pub(super) fn dealt(&self, version: u32) -> Option<Dealt<'_>> {
        if self.wire_in.get(self.front) != Some(&Some(version)) {
            return None;
        }
        let bytes = self.buffers.get(self.front)?.as_slice().get(wire_start(self.node_count())..)?;
        let (points, _) = <[[f32; WIRE_FLOATS]]>::ref_from_prefix_with_elems(bytes, self.node_count()).ok()?;
        Some(Dealt { points, bounds: self.report()?.bounds })
    }

    /// Has [`Self::dealt`] say that these places are there.
    pub(super) fn deal_again(&mut self, version: u32, put: impl Iterator<Item = (usize, [f32; 3])>) {
        if self.wire_in[self.front] != Some(version) {
            return;
        }
        let (nodes, mut report) = (self.node_count(), self.report().unwrap_or_default());
        let Some(buffer) = self.buffers.get_mut(self.front) else { return };
        let (before, bytes) = buffer.as_mut_slice().split_at_mut(wire_start(nodes));
        let Ok((points, _)) = <[[f32; WIRE_FLOATS]]>::mut_from_prefix_with_elems(bytes, nodes) else { return };
        for (place, at) in put {
            if let Some(point) = points.get_mut(place) {
                *point = at;
            }
        }
        report.bounds = bounds(points);
        let _ = report.write_to_suffix(before);
    }

    /// Nobody is to read the newest step by places any more: something else was put into it.
    pub(super) fn undeal(&mut self) {
        self.wire_in[self.front] = None;
    }

    /// Positions and velocities after the newest whole step, by node.
    pub(super) fn front(&self) -> &[[f32; OUT_FLOATS]] {
        let Some(buffer) = self.buffers.get(self.front) else { return &[] };
        <[[f32; OUT_FLOATS]]>::ref_from_prefix_with_elems(buffer.as_slice(), self.node_count())
            .map_or(&[], |(nodes, _)| nodes)
    }

    /// The same, to show what the next step begins with.
    pub(super) fn front_mut(&mut self) -> &mut [[f32; OUT_FLOATS]] {
        let nodes = self.node_count();
        let Some(buffer) = self.buffers.get_mut(self.front) else { return &mut [] };
        <[[f32; OUT_FLOATS]]>::mut_from_prefix_with_elems(buffer.as_mut_slice(), nodes)
            .map_or(&mut [], |(nodes, _)| nodes)
    }

    fn node_count(&self) -> usize {
        self.world.node_count as usize
    }

    /// Launches a kernel with one thread each.
    fn over(&self, device: &mut dyn Device, kernel: Kernel, threads: usize) -> Result<(), DeviceError> {
        if threads == 0 {
            return Ok(());
        }
        device.launch(kernel, (threads.div_ceil(BLOCK) as u32, 1), BLOCK as u32, &self.world)
    }

    fn launch(&mut self, device: &mut dyn Device, turn: &Turn<'_>) -> Result<(), DeviceError> {
        let nodes = self.node_count();
        self.over(device, Kernel::GateMark, nodes)?;
        self.over(device, Kernel::GatePlace, nodes)?;
        self.over(device, Kernel::GateReset, nodes)?;
        if turn.params.repulsion {
            self.order(device)?;
            self.repel(device, turn.params)?;
            if self.world.sample_count > 0 {
                device.launch(Kernel::Sample, (self.world.sample_count, 1), BLOCK as u32, &self.world)?;
            }
            self.over(device, Kernel::PartCoincident, nodes)?;
        } else {
            self.over(device, Kernel::NoRepulsion, nodes)?;
        }
        self.over(device, Kernel::SpringRows, nodes)?;
        self.over(device, Kernel::SpringPieces, self.world.row_piece_count as usize * WARP)?;
        self.over(device, Kernel::SpringLong, self.world.long_row_count as usize * WARP)?;
        if turn.params.centring {
            self.over(device, Kernel::CentrePieces, self.world.member_piece_count as usize * WARP)?;
            self.over(device, Kernel::CentreComponents, self.world.component_count as usize * WARP)?;
        }
        let world = World { extra: if turn.extra { self.world.extra } else { 0 }, ..self.world };
        device.launch(Kernel::MoveNodes, (world.reduce_blocks, 1), BLOCK as u32, &world)?;
        self.over(device, Kernel::GatePlace, nodes)?;
        self.over(device, Kernel::GateReset, nodes)?;
        if turn.warm {
            self.over(device, Kernel::WarmSpread, nodes)?;
            self.over(device, Kernel::WarmFade, nodes)?;
        }
        self.over(device, Kernel::MoveReport, 1)?;
        if self.wire.is_some() {
            device.launch(Kernel::FrameExtents, (self.world.reduce_blocks, 1), BLOCK as u32, &self.world)?;
            self.over(device, Kernel::FrameBounds, 1)?;
            self.over(device, Kernel::PackWire, nodes)?;
        }
        self.over(device, Kernel::PackNodes, nodes)
    }

    /// Sorts the nodes along the curve when the order is old.
    fn order(&mut self, device: &mut dyn Device) -> Result<(), DeviceError> {
        if self.ordered_at.is_some_and(|at| self.steps.wrapping_sub(at) < ORDER_STEPS) {
            return Ok(());
        }
        self.ordered_at = None;
        let blocks = BLOCK as u32;
        device.launch(Kernel::FrameExtents, (self.world.reduce_blocks, 1), blocks, &self.world)?;
        self.over(device, Kernel::FrameJoin, 1)?;
        self.over(device, Kernel::CurveKeys, self.node_count())?;
        for pass in 0..KEY_BITS / DIGIT_BITS {
            self.world.shift = pass * DIGIT_BITS;
            device.launch(Kernel::SortCount, (self.world.sort_blocks, 1), blocks, &self.world)?;
            self.over(device, Kernel::SortScan, DIGITS * WARP)?;
            device.launch(Kernel::SortScatter, (self.world.sort_blocks, 1), blocks, &self.world)?;
            let world = &mut self.world;
            std::mem::swap(&mut world.key, &mut world.key_next);
            std::mem::swap(&mut world.order, &mut world.order_next);
        }
        self.ordered_at = Some(self.steps);
        Ok(())
    }

    fn repel(&mut self, device: &mut dyn Device, params: &SimParams) -> Result<(), DeviceError> {
        let nodes = self.node_count();
        let inverse = params.force_model != ForceModel::TForce;
        let cutoff = params.repulsion_cutoff > 0.0;
        if nodes <= self.exact_nodes_max || params.theta == 0.0 {
            let kernel = match (inverse, cutoff) {
                (false, false) => Kernel::Exact,
                (false, true) => Kernel::ExactCutoff,
                (true, false) => Kernel::ExactInverse,
                (true, true) => Kernel::ExactInverseCutoff,
            };
            let grid = (nodes.div_ceil(BLOCK) as u32, self.world.split_count);
            device.launch(kernel, grid, BLOCK as u32, &self.world)?;
            return self.over(device, Kernel::ExactSum, nodes);
        }
        self.over(device, Kernel::TreeGather, nodes)?;
        self.over(device, Kernel::TreeLeaves, self.world.level_cells[0] as usize)?;
        for level in 1..self.world.level_count as usize {
            self.world.level = level as u32;
            let cells = self.world.level_cells[level] as usize;
            if cells <= BLOCK {
                // One block does the rest without coming back to the host.
                self.over(device, Kernel::TreeTop, 1)?;
                break;
            }
            self.over(device, Kernel::TreeLevel, cells)?;
        }
        let kernel = match (inverse, cutoff) {
            (false, false) => Kernel::Tree,
            (false, true) => Kernel::TreeCutoff,
            (true, false) => Kernel::TreeInverse,
            (true, true) => Kernel::TreeInverseCutoff,
        };
        let groups = nodes.div_ceil(WARP);
        device.launch(kernel, (groups.div_ceil(WALK_WARPS) as u32, 1), (WALK_WARPS * WARP) as u32, &self.world)
    }
}

/// A buffer of ours that is too short for what we put there would be an error of ours; it is answered as one of the device.
const SHORT: DeviceError = DeviceError::Differs { what: "lengths of the output" };
