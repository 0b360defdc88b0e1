//! Goal: the kernels and the order in which they are launched compute what the CPU backend computes.
//! Method: the whole backend over a device that runs the kernels on the processor, against the CPU backend.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::CudaBackend;
use super::device::DeviceError;
use super::host::{HostDevice, Strings, build};
use super::kernels::Kernel;
use super::layout::{BLOCK, FAN};
use super::self_test::{self, relative_difference};
use crate::graph::Csr;
use crate::graph::NodeIndex;
use crate::handoff::WireOrder;
use crate::sim::cpu::CpuBackend;
use crate::sim::hash::{cube_point, mix2};
use crate::sim::{Backend, BackendError, Dimensions, ForceModel, SimParams, Topology};
use crate::wire::NodeRecord;

mod changes;
mod wire;

const SIZES: [u32; 6] = [0, 1, 31, 32, 33, 1_000];

#[derive(Clone, Copy, Debug)]
enum Shape {
    Random,
    Clustered,
    Collinear,
    Coincident,
    Star,
}

const SHAPES: [Shape; 5] = [Shape::Random, Shape::Clustered, Shape::Collinear, Shape::Coincident, Shape::Star];

fn topology(shape: Shape, nodes: u32, dimensions: Dimensions) -> Topology {
    let at = |node: u32| {
        let [x, y, z] = cube_point(node, dimensions);
        let side = 50.0 * (nodes as f32).cbrt();
        match shape {
            Shape::Random | Shape::Star => [x, y, z].map(|axis| side * axis),
            Shape::Clustered => {
                let near = cube_point(mix2(node % 9, 77), dimensions);
                [0, 1, 2].map(|axis| 4.0 * side * near[axis] + 0.3 * side * [x, y, z][axis])
            }
            Shape::Collinear => [side * 3.0 * x, 0.0, 0.0],
            Shape::Coincident => [0.0; 3],
        }
    };
    let edges = (0..nodes).flat_map(|node| {
        let star = matches!(shape, Shape::Star);
        let other = |salt: u32| if star { 0 } else { mix2(node, salt) % nodes };
        // A parallel edge, and a node without any.
        let first = (node, other(1), 1.0);
        let count = if node % 11 == 5 {
            0
        } else if node % 5 == 0 {
            3
        } else {
            2
        };
        [first, (node, other(2), 0.5), first].into_iter().take(count)
    });
    let csr = Csr::new(nodes as usize, edges.map(|(from, to, weight)| (NodeIndex(from), NodeIndex(to), weight)));
    let pinned = (0..nodes).map(|node| node % 13 == 3).collect();
    Topology { csr, start: (0..nodes).map(|node| Some(at(node))).collect(), pinned }
}

fn cuda(params: SimParams, topology: &Topology, tree: bool, reverse: bool) -> (CudaBackend, Arc<Mutex<Strings>>) {
    let (device, strings) = HostDevice::new(reverse);
    let mut backend = CudaBackend::new(Box::new(device), params, 5, Box::new(CpuBackend::new));
    if tree {
        backend.set_exact_nodes_max(0);
    }
    backend.upload(topology.clone()).unwrap();
    (backend, strings)
}

fn cpu(params: SimParams, topology: &Topology) -> CpuBackend {
    let mut backend = CpuBackend::new(params);
    backend.upload(topology.clone()).unwrap();
    backend
}

fn steps(backend: &mut CudaBackend, count: std::ops::Range<u32>) {
    for _ in count {
        backend.step();
    }
}

fn records(backend: &dyn Backend, nodes: usize) -> Vec<NodeRecord> {
    let mut records = vec![NodeRecord::default(); nodes];
    backend.write_into(&mut records);
    records
}

fn velocities(records: &[NodeRecord]) -> Vec<[f32; 3]> {
    records.iter().map(NodeRecord::velocity).collect()
}

/// The relative RMS difference of the velocities after one step.
fn one_step(params: SimParams, topology: &Topology, tree: bool) -> f64 {
    let nodes = topology.csr.node_count();
    let mut wanted = cpu(SimParams { theta: 0.0, ..params }, topology);
    let wanted_report = wanted.step();
    let (mut found, _) = cuda(params, topology, tree, false);
    found.step();
    found.finish().unwrap();
    let found_report = found.report();
    let (found, wanted) = (records(&found, nodes), records(&wanted, nodes));
    assert!(found.iter().all(|record| record.position().iter().chain(&record.velocity()).all(|axis| axis.is_finite())));
    let close = |found: f64, wanted: f64| (found - wanted).abs() <= 2e-2 * wanted.abs() + 1e-9;
    let difference = relative_difference(&velocities(&found), &velocities(&wanted));
    let energy = close(found_report.kinetic_energy, wanted_report.kinetic_energy);
    let force = close(f64::from(found_report.rms_force), f64::from(wanted_report.rms_force));
    assert!(energy && force, "{params:?} tree {tree}: {difference}, {found_report:?} {wanted_report:?}");
    difference
}

#[test]
fn an_exact_step_is_that_of_the_cpu() {
    for dimensions in [Dimensions::Two, Dimensions::Three] {
        let params = SimParams { dimensions, ..SimParams::default() };
        for nodes in SIZES {
            for shape in SHAPES {
                let difference = one_step(params, &topology(shape, nodes, dimensions), false);
                assert!(difference < 1e-3, "{dimensions:?} {shape:?} {nodes}: {difference}");
            }
        }
    }
}

#[test]
fn a_step_by_the_tree_is_that_of_the_cpu_to_the_error_of_theta() {
    for dimensions in [Dimensions::Two, Dimensions::Three] {
        for (theta, most) in [(0.2, 2e-3), (1.0, 0.06)] {
            let params = SimParams { dimensions, theta, ..SimParams::default() };
            for nodes in [1, 33, 1_000, 2_000] {
                for shape in SHAPES {
                    let difference = one_step(params, &topology(shape, nodes, dimensions), true);
                    assert!(difference < most, "{dimensions:?} {theta} {shape:?} {nodes}: {difference}");
                }
            }
        }
    }
}

#[test]
fn every_model_and_a_cutoff_agree_with_the_cpu() {
    let topology = topology(Shape::Clustered, 1_000, Dimensions::Three);
    for force_model in [ForceModel::TForce, ForceModel::ForceAtlas2, ForceModel::LinLog] {
        for repulsion_cutoff in [0.0, 200.0] {
            let params = SimParams { force_model, repulsion_cutoff, theta: 0.3, ..SimParams::default() };
            for tree in [false, true] {
                let difference = one_step(params, &topology, tree);
                assert!(difference < 2e-3, "{force_model:?} {repulsion_cutoff} tree {tree}: {difference}");
            }
        }
    }
}

#[test]
fn a_large_graph_takes_the_tree_by_itself() {
    let topology = topology(Shape::Random, 40_000, Dimensions::Three);
    let (mut backend, strings) = cuda(SimParams::default(), &topology, false, false);
    assert_eq!(backend.repulsion_error(64), None, "nothing has been measured yet");
    backend.step();
    backend.finish().unwrap();
    let error = backend.repulsion_error(64).unwrap();
    assert!(error > 1e-6 && error < 0.015, "{error}");
    let strings = strings.lock().unwrap();
    assert!(strings.launched.contains(&"repulse_tree") && !strings.launched.contains(&"repulse_exact"));
}

#[test]
fn blocks_and_threads_in_any_order_give_the_same_bytes() {
    for tree in [false, true] {
        let topology = topology(Shape::Clustered, 1_500, Dimensions::Three);
        let [forwards, backwards] = [false, true].map(|reverse| {
            let (mut backend, _) = cuda(SimParams::default(), &topology, tree, reverse);
            steps(&mut backend, 0..6);
            records(&backend, 1_500)
        });
        assert_eq!(forwards, backwards, "tree {tree}");
    }
}

#[test]
fn a_layout_of_many_steps_is_as_good_as_on_the_cpu() {
    let topology = topology(Shape::Random, 400, Dimensions::Three);
    let mean_edge = |records: &[NodeRecord]| {
        let (mut sum, mut count) = (0.0, 0.0);
        for node in 0..400 {
            for (other, _) in topology.csr.row(node) {
                let (from, to) = (records[node].position(), records[other as usize].position());
                sum += (0..3).map(|axis| f64::from(from[axis] - to[axis]).powi(2)).sum::<f64>().sqrt();
                count += 1.0;
            }
        }
        sum / count
    };
    let mut on_cpu = cpu(SimParams::default(), &topology);
    let (mut on_cuda, _) = cuda(SimParams::default(), &topology, true, false);
    for _ in 0..100 {
        on_cpu.step();
        on_cuda.step();
    }
    let (on_cpu, on_cuda) = (mean_edge(&records(&on_cpu, 400)), mean_edge(&records(&on_cuda, 400)));
    assert!((on_cuda / on_cpu - 1.0).abs() < 0.02, "{on_cuda} {on_cpu}");
}

#[test]
fn it_settles_and_a_touch_wakes_it() {
    let topology = topology(Shape::Random, 33, Dimensions::Two);
    let params = SimParams {
        dimensions: Dimensions::Two,
        cooling: 0.2,
        warmup_iterations: 0,
        settle_velocity: 1.0,
        ..SimParams::default()
    };
    let (mut backend, _) = cuda(params, &topology, false, false);
    let settled = (0..300).position(|_| backend.step().settled).unwrap();
    assert!(settled > 30, "{settled}");
    backend.hold(NodeIndex(1), [10.0, 20.0, 5.0]);
    assert!(!backend.step().settled);
    backend.step();
    assert_eq!(backend.position(NodeIndex(1)), Some([10.0, 20.0, 0.0]), "on the plane, a step late");
    backend.release(NodeIndex(1));
    steps(&mut backend, 0..3);
    assert_ne!(backend.position(NodeIndex(1)), Some([10.0, 20.0, 0.0]));
}

#[test]
fn pins_holds_springs_and_forces_from_outside_are_those_of_the_cpu() {
    let topology = topology(Shape::Star, 200, Dimensions::Three);
    let params = SimParams::default();
    let (mut found, _) = cuda(params, &topology, false, false);
    let mut wanted = cpu(params, &topology);
    let half_edges = topology.csr.half_edge_count();
    let weight: Vec<f32> = (0..half_edges).map(|half| 0.5 + (half % 3) as f32).collect();
    let rest: Vec<f32> = (0..half_edges).map(|half| 40.0 + (half % 5) as f32).collect();
    let mut extra: Vec<[f32; 4]> = (0..200).map(|node| [node as f32, 5.0, -3.0, 0.1]).collect();
    extra[7] = [f32::NAN, 1.0, f32::INFINITY, 0.0];
    for backend in [&mut found as &mut dyn Backend, &mut wanted] {
        backend.set_springs(&weight, &rest);
        backend.set_springs(&weight[1..], &rest);
        backend.set_extra_forces(&extra);
        backend.hold(NodeIndex(4), [1.0, 2.0, 1e9]);
        backend.pin(NodeIndex(5), true);
        backend.pin(NodeIndex(3), false);
        backend.pin(NodeIndex(999), true);
        backend.hold(NodeIndex(6), [f32::NAN; 3]);
        assert!(
            backend.is_pinned(NodeIndex(5)) && !backend.is_pinned(NodeIndex(3)) && !backend.is_pinned(NodeIndex(999))
        );
        backend.step();
    }
    found.finish().unwrap();
    let (found, wanted) = (records(&found, 200), records(&wanted, 200));
    assert_eq!(found[4], wanted[4]);
    assert_eq!(found[5], wanted[5]);
    let difference = relative_difference(&velocities(&found), &velocities(&wanted));
    assert!(difference < 1e-3, "{difference}");
}

#[test]
fn new_parameters_flatten_and_lift_the_layout_as_on_the_cpu() {
    let topology = topology(Shape::Random, 100, Dimensions::Three);
    let (mut found, _) = cuda(SimParams::default(), &topology, false, false);
    let mut wanted = cpu(SimParams::default(), &topology);
    let flat = SimParams { dimensions: Dimensions::Two, bounds: 150.0, ..SimParams::default() };
    for params in [flat, SimParams { bounds: 120.0, ..SimParams::default() }] {
        for backend in [&mut found as &mut dyn Backend, &mut wanted] {
            backend.apply(&params).unwrap();
            assert_eq!(backend.params(), params);
            backend.step();
        }
        found.finish().unwrap();
        let (found, wanted) = (records(&found, 100), records(&wanted, 100));
        let positions = |records: &[NodeRecord]| records.iter().map(NodeRecord::position).collect::<Vec<_>>();
        let difference = relative_difference(&positions(&found), &positions(&wanted));
        assert!(difference < 1e-3, "{difference}");
        assert!(found.iter().all(|record| (record.position()[2] == 0.0) == (params.dimensions == Dimensions::Two)));
    }
    let before = found.params();
    assert!(found.apply(&SimParams { theta: f32::NAN, ..flat }).is_err());
    assert_eq!(found.params(), before);
}

#[test]
fn a_node_that_is_not_finite_is_put_beside_its_neighbours() {
    let topology = topology(Shape::Random, 64, Dimensions::Three);
    let (mut backend, _) = cuda(SimParams::default(), &topology, false, false);
    // Not through `hold`, which refuses it: as a faulty device would.
    backend.poison(NodeIndex(9));
    backend.step();
    backend.finish().unwrap();
    assert_eq!(backend.report().nonfinite_resets, 1);
    let at = backend.position(NodeIndex(9)).unwrap();
    let near: Vec<_> = topology.csr.row(9).map(|(other, _)| backend.position(NodeIndex(other)).unwrap()).collect();
    assert!(!near.is_empty());
    for axis in 0..3 {
        let mean = near.iter().map(|at| at[axis]).sum::<f32>() / near.len() as f32;
        assert!((at[axis] - mean).abs() < 80.0, "{at:?} {near:?}");
    }
}

#[test]
fn the_self_test_passes_and_can_fail() {
    let (mut device, strings) = HostDevice::new(false);
    self_test::run(&mut device).unwrap();
    strings.lock().unwrap().garbled = true;
    assert!(matches!(self_test::run(&mut device), Err(DeviceError::Differs { .. } | DeviceError::SelfTest { .. })));
}

#[test]
fn what_does_not_fit_is_refused_and_the_graph_before_it_goes_on() {
    let (small, large) =
        (topology(Shape::Random, 50, Dimensions::Three), topology(Shape::Random, 5_000, Dimensions::Three));
    let (mut backend, strings) = cuda(SimParams::default(), &small, false, false);
    let held = strings.lock().unwrap().held_bytes;
    assert!(held <= CudaBackend::footprint(50, small.csr.half_edge_count()));
    assert_eq!(backend.condition().memory.unwrap().used, held);
    strings.lock().unwrap().memory_bytes = Some(held + 100_000);
    let refused = backend.upload(large.clone()).unwrap_err();
    let BackendError::Device(DeviceError::Memory { needed, available }) = refused else { panic!("{refused}") };
    assert!(needed > available && available == 100_000, "{refused}");
    // The driver may refuse what seemed to fit, at any of the allocations.
    strings.lock().unwrap().memory_bytes = None;
    for allocations in [0, 1, 20, 44] {
        strings.lock().unwrap().allocations_left = Some(allocations);
        assert!(matches!(backend.upload(large.clone()), Err(BackendError::Device(DeviceError::Memory { .. }))));
        strings.lock().unwrap().allocations_left = None;
        assert_eq!(strings.lock().unwrap().held_bytes, held, "all that was taken is given back");
        backend.step();
        assert!(backend.position(NodeIndex(49)).is_some() && backend.position(NodeIndex(50)).is_none());
    }
    backend.upload(large).unwrap();
    assert!(backend.position(NodeIndex(4_999)).is_some());
}

#[test]
fn after_five_errors_in_a_row_the_cpu_goes_on_from_the_last_good_positions() {
    let topology = topology(Shape::Random, 300, Dimensions::Three);
    let (mut backend, strings) = cuda(SimParams::default(), &topology, false, false);
    steps(&mut backend, 0..10);
    backend.hold(NodeIndex(2), [1.0, 2.0, 3.0]);
    backend.step();
    let last = records(&backend, 300);
    let fault = |on: bool| strings.lock().unwrap().broken = on;
    fault(true);
    for _ in 0..4 {
        assert!(!backend.step().settled);
        assert_eq!(records(&backend, 300), last, "the last good positions stand");
    }
    fault(false);
    backend.step();
    assert_eq!(backend.name(), "cuda", "four errors, then one good step");
    fault(true);
    steps(&mut backend, 0..4);
    assert_eq!((backend.name(), backend.condition().errors), ("cuda", 8));
    backend.hold(NodeIndex(8), [-7.0, 0.0, 7.0]);
    let report = backend.step();
    let condition = backend.condition();
    assert_eq!((backend.name(), condition.fell_back, condition.errors, condition.memory), ("cpu", true, 9, None));
    assert!(condition.last_error.is_some() && report.rms_velocity.is_finite());
    let now = records(&backend, 300);
    assert!(now.iter().all(|record| record.position().iter().chain(&record.velocity()).all(|axis| axis.is_finite())));
    assert_eq!(now[2].position(), [1.0, 2.0, 3.0], "still held");
    assert_eq!(now[8].position(), [-7.0, 0.0, 7.0], "held since");
    assert_eq!(now[3].position(), last[3].position(), "still pinned");
    let [before, after] = [&last, &now].map(|records| records.iter().map(NodeRecord::position).collect::<Vec<_>>());
    let moved = |node: &usize| (0..3).map(|axis| (after[*node][axis] - before[*node][axis]).abs()).fold(0.0, f32::max);
    let far = (0..300).filter(|node| ![2, 8].contains(node)).map(|node| moved(&node)).fold(0.0, f32::max);
    // Two steps at full speed at most.
    assert!(far < 130.0, "it went on from there: {far}");
    assert_ne!(now, last);
    assert_eq!(strings.lock().unwrap().held_bytes, 0, "the device's memory is given back");
    let params = SimParams { rest_length: 33.0, ..SimParams::default() };
    backend.apply(&params).unwrap();
    assert_eq!(backend.params(), params, "what the processor has now");
}

#[test]
fn garbled_parameters_are_noticed() {
    let topology = topology(Shape::Random, 40, Dimensions::Three);
    let (mut backend, strings) = cuda(SimParams::default(), &topology, false, false);
    backend.step();
    strings.lock().unwrap().garbled = true;
    backend.apply(&SimParams { damping: 0.5, ..SimParams::default() }).unwrap();
    backend.step();
    assert_eq!(backend.condition().last_error, Some(DeviceError::Differs { what: "parameters" }));
    strings.lock().unwrap().garbled = false;
    backend.step();
    assert_eq!(backend.condition().errors, 1);
}

/// A run that launches all kernels that its parameters have, written down; notes in `launched` which.
fn recorded(params: SimParams, topology: &Topology, tree: bool, launched: &mut BTreeSet<&'static str>) -> Vec<u8> {
    let nodes = topology.csr.node_count() as u32;
    let (mut backend, strings) = recorder(params, tree);
    backend.upload(topology.clone()).unwrap();
    backend.repulsion_error(3);
    backend.hold(NodeIndex(1), [0.0; 3]);
    backend.deal(Some(&Arc::new(WireOrder::new(1, (0..nodes).rev().collect()))));
    backend.set_velocities(&vec![[1.0; 3]; nodes as usize]);
    steps(&mut backend, 0..2);
    backend.reset();
    backend.poison(NodeIndex(0));
    backend.warm(&[NodeIndex(nodes - 1)]);
    backend.set_extra_forces(&vec![[1.0, 0.0, 0.0, 0.0]; nodes as usize]);
    backend.step();
    backend.apply(&SimParams { dimensions: Dimensions::Two, ..params }).unwrap();
    backend.step();
    drop(backend);
    written(&strings, launched)
}

fn recorder(params: SimParams, tree: bool) -> (CudaBackend, Arc<Mutex<Strings>>) {
    let (device, strings) = HostDevice::new(false);
    strings.lock().unwrap().trace = Some(Vec::new());
    let mut backend = CudaBackend::new(Box::new(device), params, 5, Box::new(CpuBackend::new));
    if tree {
        backend.set_exact_nodes_max(0);
    }
    (backend, strings)
}

fn written(strings: &Mutex<Strings>, launched: &mut BTreeSet<&'static str>) -> Vec<u8> {
    let mut strings = strings.lock().unwrap();
    launched.extend(strings.launched.iter());
    strings.trace.take().unwrap()
}

/// Records runs with all laws of repulsion and the shapes that need kernels of their own.
fn record_all(nodes: u32, traces: &mut Vec<Vec<u8>>, launched: &mut BTreeSet<&'static str>) {
    let some = topology(Shape::Clustered, nodes, Dimensions::Three);
    for force_model in [ForceModel::TForce, ForceModel::LinLog] {
        for repulsion_cutoff in [0.0, 300.0] {
            for tree in [false, true] {
                let params = SimParams { force_model, repulsion_cutoff, ..SimParams::default() };
                traces.push(recorded(params, &some, tree, launched));
            }
        }
    }
    let alone = SimParams { repulsion: false, ..SimParams::default() };
    traces.push(recorded(alone, &some, false, launched));
    // A row that is long enough for its pieces, and nodes at one place.
    for shape in [Shape::Star, Shape::Coincident] {
        traces.push(recorded(SimParams::default(), &topology(shape, nodes, Dimensions::Three), true, launched));
    }
}

/// Does the runs again in a program built with a sanitizer.
fn under(sanitizer: &str, traces: &[Vec<u8>]) {
    let option = format!("-fsanitize={sanitizer}");
    let name = format!("replay-{}", sanitizer.replace(',', "-"));
    let program =
        build(&name, &["replay.cpp", "host.cpp"], &["-O1", "-rdynamic", "-fno-sanitize-recover=all", &option]);
    for (number, trace) in traces.iter().enumerate() {
        let file = program.with_extension(format!("{}.{number}.trace", std::process::id()));
        std::fs::write(&file, trace).unwrap();
        let done = run(&program, &file);
        std::fs::remove_file(&file).unwrap();
        assert!(done.status.success(), "{sanitizer}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

fn run(program: &Path, file: &Path) -> std::process::Output {
    // Address space layouts of some kernels are more random than ThreadSanitizer of older compilers can take.
    Command::new("setarch").arg("-R").arg(program).arg(file).output().unwrap()
}

#[test]
fn address_and_undefined_behaviour_sanitizers_find_nothing() {
    let (mut traces, mut launched) = (Vec::new(), BTreeSet::new());
    for nodes in [2, 33] {
        record_all(nodes, &mut traces, &mut launched);
    }
    for tree in [false, true] {
        let several_blocks = topology(Shape::Star, 700, Dimensions::Three);
        traces.push(recorded(SimParams::default(), &several_blocks, tree, &mut launched));
    }
    // Enough for a tree whose second level is more than a block's work.
    let large = topology(Shape::Random, (FAN * FAN * BLOCK + 9) as u32, Dimensions::Three);
    let params = SimParams { theta: 2.0, repulsion_cutoff: 1.0, ..SimParams::default() };
    let (mut backend, strings) = recorder(params, true);
    backend.upload(large).unwrap();
    backend.step();
    drop(backend);
    traces.push(written(&strings, &mut launched));
    let never: Vec<_> =
        Kernel::ALL.iter().map(|kernel| kernel.name()).filter(|name| !launched.contains(name)).collect();
    assert!(never.is_empty(), "never launched: {never:?}");
    under("address,undefined", &traces);
}

#[test]
fn the_thread_sanitizer_finds_no_race_in_a_block() {
    let (mut traces, mut launched) = (Vec::new(), BTreeSet::new());
    record_all(300, &mut traces, &mut launched);
    under("thread", &traces);
}
