//! The self-test of a device: one step of two small random graphs must be that of the CPU.
//!
//! One graph takes the exact kernels, the other the sort and the tree. Nothing is said of speed.

use super::arrays::Arrays;
use super::device::{Device, DeviceError};
use super::scene::{EXACT_NODES_MAX, Scene, Turn};
use crate::graph::Csr;
use crate::graph::NodeIndex;
use crate::sim::cpu::CpuBackend;
use crate::sim::cpu::heat::Heat;
use crate::sim::hash::{cube_point, mix2};
use crate::sim::{Backend, Dimensions, SimParams, Topology};
use crate::wire::NodeRecord;

/// Most relative RMS difference of the velocities after one step.
const DIFFERENCE_MAX: f64 = 1e-3;

/// Accuracy of the far field at which the tree's own error is a tenth of [`DIFFERENCE_MAX`] or less.
const TREE_THETA: f32 = 0.2;

/// Nodes of the two graphs.
const EXACT_NODES: u32 = 700;
/// See [`EXACT_NODES`].
const TREE_NODES: u32 = 3_000;

/// Runs it.
///
/// # Errors
/// [`DeviceError::SelfTest`] when a step differs, and whatever the device says.
pub(super) fn run(device: &mut dyn Device) -> Result<(), DeviceError> {
    let exact = SimParams { theta: 0.0, ..SimParams::default() };
    step(device, &exact, EXACT_NODES, EXACT_NODES_MAX)?;
    let tree = SimParams { theta: TREE_THETA, ..SimParams::default() };
    step(device, &tree, TREE_NODES, 0)
}

fn step(device: &mut dyn Device, params: &SimParams, nodes: u32, exact_nodes_max: usize) -> Result<(), DeviceError> {
    let topology = random(nodes);
    let arrays = Arrays::new(params, &topology);
    let mut scene = Scene::new(device, &arrays, exact_nodes_max)?;
    let found = first_step(device, &mut scene, params);
    let velocities: Vec<[f32; 3]> = scene.front().iter().map(|[.., x, y, z]| [*x, *y, *z]).collect();
    scene.release(device);
    found?;
    let mut cpu = CpuBackend::new(SimParams { theta: 0.0, ..*params });
    let mut records = vec![NodeRecord::default(); nodes as usize];
    if cpu.upload(topology).is_ok() {
        cpu.step();
        cpu.write_into(&mut records);
    }
    let wanted: Vec<[f32; 3]> = records.iter().map(NodeRecord::velocity).collect();
    let difference = relative_difference(&velocities, &wanted);
    if difference <= DIFFERENCE_MAX {
        return Ok(());
    }
    Err(DeviceError::SelfTest { parts_per_million: (difference * 1e6).min(f64::from(u32::MAX)) as u32 })
}

fn first_step(device: &mut dyn Device, scene: &mut Scene, params: &SimParams) -> Result<(), DeviceError> {
    scene.write_params(device, params)?;
    // Every node comes placed.
    let temperature = Heat::lukewarm().temperature();
    let turn = Turn { params, temperature, samples: 1, extra: false, warm: false };
    scene.step(device, &turn)?;
    scene.finish(device)?;
    Ok(())
}

/// RMS of the differences over that of `wanted`; a NaN counts as infinite.
pub(super) fn relative_difference(found: &[[f32; 3]], wanted: &[[f32; 3]]) -> f64 {
    let square = |axis: f64| axis * axis;
    let (mut apart, mut whole) = (0.0, f64::MIN_POSITIVE);
    for (found, wanted) in found.iter().zip(wanted) {
        for (found, wanted) in found.iter().zip(wanted) {
            apart += square(f64::from(*found) - f64::from(*wanted));
            whole += square(f64::from(*wanted));
        }
    }
    let difference = (apart / whole).sqrt();
    if difference.is_finite() && found.len() == wanted.len() { difference } else { f64::INFINITY }
}

/// A cloud in which each node is joined to two others, some of them with one more edge, and one to a hundred.
fn random(nodes: u32) -> Topology {
    let edges = (0..nodes).flat_map(|node| {
        let other = |salt: u32| mix2(node, salt) % nodes;
        let hub = (node % 7 == 0 && node < 700).then_some((node, 0));
        [(node, other(1)), (node, other(2))].into_iter().chain(hub)
    });
    let csr = Csr::new(nodes as usize, edges.map(|(from, to)| (NodeIndex(from), NodeIndex(to), 1.0)));
    let side = 60.0 * (nodes as f32).cbrt();
    let start = (0..nodes).map(|node| Some(cube_point(node, Dimensions::Three).map(|axis| side * axis))).collect();
    Topology { csr, start, pinned: vec![false; nodes as usize] }
}
