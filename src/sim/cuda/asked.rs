//! The graph of a device as the host knows it, and what the device has not been told yet.

#![allow(clippy::indexing_slicing, reason = "an order names the nodes of the graph, see `deal`")]

use std::sync::Arc;

use super::arrays::Arrays;
use super::device::{Device, DeviceError};
use super::layout::{Edit, Touch};
use super::scene::Scene;
use crate::graph::NodeIndex;
use crate::handoff::WireOrder;
use crate::sim::{SimParams, Topology};

/// The graph as the host knows it, and what the device has not been told yet.
#[derive(Default)]
pub(super) struct GraphState {
    pub(super) topology: Topology,
    pub(super) arrays: Arrays,
    /// Slots of held nodes.
    pub(super) held: Vec<u32>,
    /// No slot twice.
    pub(super) edits: Vec<Edit>,
    /// What warms nodes in the next step.
    pub(super) touches: Vec<Touch>,
    /// Steps for which nodes may be warm whatever the device has counted: it counts a step late.
    pub(super) warm_steps: u32,
    /// By node, and by slot.
    pub(super) extra: Vec<[f32; 4]>,
    pub(super) extra_by_slot: Vec<[f32; 4]>,
    pub(super) extra_changed: bool,
    /// As set, by half-edge of the topology.
    pub(super) springs: Option<(Vec<f32>, Vec<f32>)>,
    pub(super) springs_changed: bool,
    /// Positions have to be made to fit, after being lifted so far out of the plane.
    pub(super) refit: Option<f32>,
    /// By node: where it goes back to at a reset.
    pub(super) home: Vec<[f32; 3]>,
    /// All nodes are to go back there.
    pub(super) reset: bool,
    /// By slot: how nodes are to move on.
    pub(super) velocity: Option<Vec<[f32; 4]>>,
    /// The wire order in which the nodes are to be handed out.
    pub(super) wire: Option<Arc<WireOrder>>,
    pub(super) wire_changed: bool,
    /// Nodes that were put somewhere, and where, until the device has heard of it.
    pub(super) put: Vec<(NodeIndex, [f32; 3])>,
}

impl GraphState {
    /// Does on the device what was asked since the last step. What fails is left to be asked again.
    pub(super) fn tell(
        &mut self,
        device: &mut dyn Device,
        scene: &mut Scene,
        params: &SimParams,
    ) -> Result<(), DeviceError> {
        scene.write_params(device, params)?;
        if self.reset {
            scene.reset(device)?;
            self.reset = false;
        }
        if let Some(velocity) = &self.velocity {
            scene.write_velocities(device, velocity)?;
            self.velocity = None;
        }
        if let Some(lift) = self.refit {
            scene.refit(device, lift)?;
            self.refit = None;
        }
        if self.springs_changed {
            scene.write_springs(device, &self.arrays)?;
            self.springs_changed = false;
        }
        if self.extra_changed {
            scene.write_extra(device, &self.extra_by_slot)?;
            self.extra_changed = false;
        }
        if self.wire_changed {
            let slot_of = &self.arrays.slot_of;
            let slots =
                |order: &WireOrder| order.nodes().iter().map(|node| slot_of[*node as usize]).collect::<Vec<u32>>();
            scene.write_wire(device, self.wire.as_deref().map(|order| (order.version(), slots(order))))?;
            self.wire_changed = false;
        }
        if !self.edits.is_empty() {
            scene.edit(device, &self.edits)?;
            self.edits.clear();
        }
        if !self.touches.is_empty() {
            self.warm_steps = 2;
            scene.touch(device, &self.touches)?;
            self.touches.clear();
        }
        Ok(())
    }

    /// A node was put there, which the step under way does not know.
    pub(super) fn put(&mut self, node: NodeIndex, to: [f32; 3]) {
        match self.put.iter_mut().find(|(before, _)| *before == node) {
            Some((_, at)) => *at = to,
            None => self.put.push((node, to)),
        }
    }
}

/// Has what is read say that these nodes are there, at rest. With `wire` in its order too; without, nobody reads that order until the
/// next step.
pub(super) fn show(scene: &mut Scene, wire: Option<&WireOrder>, put: &[(NodeIndex, [f32; 3])]) {
    if put.is_empty() {
        return;
    }
    let front = scene.front_mut();
    for (node, [x, y, z]) in put {
        if let Some(out) = front.get_mut(node.get()) {
            *out = [*x, *y, *z, 0.0, 0.0, 0.0];
        }
    }
    match wire {
        Some(wire) => {
            scene.deal_again(wire.version(), put.iter().filter_map(|(node, at)| Some((wire.place(*node)?, *at))))
        }
        None => scene.undeal(),
    }
}
