//! The forces against plain double-precision references, on the positions that the backend has at that step.

use proptest::prelude::*;

use super::scene::EXACT_NODES_MAX;
use super::width::{self, Width};
use super::*;
use crate::graph::Csr;
use crate::sim::hash::{cube_point, mix2};
use crate::sim::{Dimensions, ForceModel};

const BOTH: [Dimensions; 2] = [Dimensions::Two, Dimensions::Three];
const MODELS: [ForceModel; 3] = [ForceModel::TForce, ForceModel::ForceAtlas2, ForceModel::LinLog];

fn csr(node_count: usize, edges: &[(u32, u32, f32)]) -> Csr {
    let edges = edges.iter().map(|(source, target, weight)| (NodeIndex(*source), NodeIndex(*target), *weight));
    Csr::new(node_count, edges)
}

fn topology(csr: Csr) -> Topology {
    let node_count = csr.node_count();
    Topology { csr, start: vec![None; node_count], pinned: vec![false; node_count] }
}

fn backend(params: SimParams, topology: Topology) -> CpuBackend {
    let mut backend = CpuBackend::new(params);
    backend.upload(topology).unwrap();
    backend
}

fn random_edges(node_count: u32, edge_count: u32) -> Vec<(u32, u32, f32)> {
    let end = |edge, salt| mix2(edge, salt) % node_count;
    (0..edge_count).map(|edge| (end(edge, 1), end(edge, 2), 1.0 + (mix2(edge, 3) % 3) as f32)).collect()
}

fn places(shape: &str, count: u32, dimensions: Dimensions) -> Vec<Option<[f32; 3]>> {
    let spread = 40.0 * (count as f32).sqrt();
    let place = |key| {
        let random = cube_point(key, dimensions).map(|axis| axis * spread);
        match shape {
            "random" => random,
            "clustered" => {
                let centre = cube_point(1_000_000 + mix2(key, 9) % 20, dimensions);
                [0, 1, 2].map(|axis| centre[axis] * spread + random[axis] * 0.03)
            }
            "collinear" => [random[0], random[0] * 0.5, 0.0],
            _ => [3.0, 4.0, 0.0],
        }
    };
    (0..count).map(|key| Some(place(key))).collect()
}

/// Repulsion of all on each, in node order, the plainest way.
fn reference_repulsion(world: &World, params: &SimParams) -> Vec<[f64; 3]> {
    let soft = f64::from(params.softening);
    let cutoff = if params.repulsion_cutoff > 0.0 { f64::from(params.repulsion_cutoff) } else { f64::INFINITY };
    let repel = |here: usize| {
        let mut sum = [0f64; 3];
        for other in 0..world.position.len() {
            let (from, to) = (world.position[other].map(f64::from), world.position[here].map(f64::from));
            let offset = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
            let distance = offset.iter().map(|axis| axis * axis).sum::<f64>().sqrt();
            if other == here || distance > cutoff {
                continue;
            }
            let (u, masses) = (distance / soft, f64::from(world.mass[here]) * f64::from(world.mass[other]));
            let size = f64::from(params.repel_k) * masses / (1.0 + u * u).powi(2);
            (0..3).for_each(|axis| sum[axis] += size * offset[axis] / soft);
        }
        sum
    };
    (0..world.position.len()).map(repel).collect()
}

/// RMS relative error of the backend's repulsion on its present positions.
fn repulsion_error(backend: &mut CpuBackend) -> f64 {
    let params = backend.params;
    let expected = reference_repulsion(&backend.world, &params);
    backend.world.attract_and_repel(&params, &mut backend.crew, false);
    let (mut error2, mut whole2) = (0f64, 0f64);
    for (found, expected) in backend.world.force.iter().zip(&expected) {
        for axis in 0..3 {
            error2 += (f64::from(found[axis]) - expected[axis]).powi(2);
            whole2 += expected[axis].powi(2);
        }
    }
    if whole2 > 0.0 { (error2 / whole2).sqrt() } else { error2.sqrt() }
}

#[test]
fn the_tree_stays_within_its_stated_error_at_every_step() {
    let count = EXACT_NODES_MAX as u32 + 100;
    for dimensions in BOTH {
        for shape in ["random", "clustered", "collinear", "coincident"] {
            let params = SimParams { dimensions, ..SimParams::default() };
            let mut graph = topology(csr(count as usize, &random_edges(count, count)));
            graph.start = places(shape, count, dimensions);
            let mut backend = backend(params, graph);
            let mut steps = 0;
            for check in [0, 1, 2, 10, 1_000] {
                (steps..check).for_each(|_| assert_eq!(backend.step().nonfinite_resets, 0));
                steps = check;
                if shape == "coincident" && check == 0 {
                    continue; // Every force is 0 but the parting, which the reference has not.
                }
                let error = repulsion_error(&mut backend);
                let bound = f64::from(params.repulsion_error_max(0));
                assert!(error <= bound, "{dimensions:?} {shape} after {check}: {error} > {bound}");
            }
        }
    }
}

#[test]
fn the_error_on_a_mesh_in_space_is_as_stated() {
    let side = 40;
    let nodes = (0..side * side).filter(|node| node % side + 1 < side);
    let along = nodes.map(|node| (node, node + 1, 1.0));
    let across = (0..side * (side - 1)).map(|node| (node, node + side, 1.0));
    let edges: Vec<_> = along.chain(across).collect();
    let mut backend = backend(SimParams::default(), topology(csr((side * side) as usize, &edges)));
    for steps in [30, 270] {
        (0..steps).for_each(|_| drop_report(backend.step()));
        let error = repulsion_error(&mut backend);
        assert!(error > 0.0 && error < 0.03, "{error}");
    }
}

#[test]
fn the_sampled_error_is_that_of_the_reference() {
    let mut backend = backend(SimParams::default(), topology(csr(2_000, &random_edges(2_000, 4_000))));
    (0..20).for_each(|_| drop_report(backend.step()));
    let (sampled, expected) = (f64::from(backend.repulsion_error_sample(usize::MAX)), repulsion_error(&mut backend));
    assert!((sampled - expected).abs() < 1e-4 && expected > 1e-4, "{sampled} {expected}");
    let few = f64::from(backend.repulsion_error_sample(200));
    assert!(few > 0.3 * expected && few < 3.0 * expected, "{few} {expected}");
}

fn drop_report(report: StepReport) {
    assert!(report.rms_velocity.is_finite());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_error_follows_theta_whatever_else_is_set(
        theta in 0.0f32..2.0,
        softening in 5.0f32..100.0,
        cutoff in prop_oneof![Just(0.0f32), 100.0f32..1_000.0],
        shape in prop_oneof![Just("random"), Just("clustered"), Just("collinear")],
        flat in any::<bool>(),
    ) {
        let dimensions = if flat { Dimensions::Two } else { Dimensions::Three };
        let params = SimParams { theta, softening, repulsion_cutoff: cutoff, dimensions, ..SimParams::default() };
        let count = EXACT_NODES_MAX as u32 + 100;
        let mut graph = topology(csr(count as usize, &random_edges(count, 2 * count)));
        graph.start = places(shape, count, dimensions);
        let mut backend = backend(params, graph);
        let error = repulsion_error(&mut backend);
        prop_assert!(error <= f64::from(params.repulsion_error_max(0)), "{error}");
    }
}

#[test]
fn springs_are_hookes_law_and_weight_zero_pulls_nothing() {
    let edges = [(0, 1, 2.0), (1, 2, 0.5), (2, 0, 1.0), (3, 0, 0.0), (4, 1, 1e30)];
    let params = SimParams { repulsion: false, centring: false, ..SimParams::default() };
    let mut graph = topology(csr(5, &edges));
    graph.start = places("random", 5, Dimensions::Three);
    let mut backend = backend(params, graph);
    backend.world.sum_forces(&params, &mut backend.crew);
    for node in 0..5u32 {
        let mut expected = [0f64; 3];
        for (source, target, weight) in edges {
            let other = if source == node { target } else { source };
            if source != node && target != node {
                continue;
            }
            let (here, there) = (at(&backend, node), at(&backend, other));
            let offset = [0, 1, 2].map(|axis| f64::from(there[axis]) - f64::from(here[axis]));
            let length = offset.iter().map(|axis| axis * axis).sum::<f64>().sqrt();
            let grip = |length: f64| {
                let u2 = |length: f64| (length / f64::from(params.softening)).powi(2);
                let tail = f64::from(params.spring_tail);
                tail + (1.0 - tail) * (1.0 + u2(f64::from(params.rest_length))) / (1.0 + u2(length))
            };
            assert!((grip(f64::from(params.rest_length)) - 1.0).abs() < 1e-6);
            let pull =
                f64::from(params.spring_k) * f64::from(weight.min(crate::sim::params::EDGE_WEIGHT_MAX)) * grip(length);
            let pull = pull * (length - f64::from(params.rest_length));
            (0..3).for_each(|axis| expected[axis] += pull * offset[axis] / length);
        }
        let found = backend.world.force[backend.world.slot(NodeIndex(node)).unwrap()];
        for axis in 0..3 {
            let scale = expected.iter().map(|axis| axis.abs()).sum::<f64>();
            assert!((f64::from(found[axis]) - expected[axis]).abs() <= 1e-5 * scale, "{node} {found:?} {expected:?}");
        }
    }
    let loose = backend.world.slot(NodeIndex(3)).unwrap();
    assert_eq!(backend.world.force[loose], [0.0; 3]);
}

#[test]
fn the_springs_of_a_graph_push_it_nowhere() {
    let params = SimParams { repulsion: false, centring: false, ..SimParams::default() };
    let mut backend = backend(params, topology(csr(500, &random_edges(500, 2_000))));
    backend.world.sum_forces(&params, &mut backend.crew);
    let (mut sum, mut whole) = ([0f64; 3], 0f64);
    for force in &backend.world.force {
        (0..3).for_each(|axis| sum[axis] += f64::from(force[axis]));
        whole += force.iter().map(|axis| f64::from(axis.abs())).sum::<f64>();
    }
    assert!(sum.iter().all(|axis| axis.abs() < 1e-3 * whole / 500.0), "{sum:?} of {whole}");
}

#[test]
fn parallel_edges_act_as_one_of_their_summed_weight() {
    let run = |edges: &[(u32, u32, f32)]| {
        let mut backend = backend(SimParams::default(), topology(csr(3, edges)));
        (0..50).for_each(|_| drop_report(backend.step()));
        backend.world.position
    };
    assert_eq!(run(&[(0, 1, 1.0), (1, 0, 2.0), (1, 2, 1.0)]), run(&[(0, 1, 3.0), (1, 2, 1.0)]));
}

#[test]
fn clamps_and_bounds_hold_for_any_parameters() {
    // Bounds, speed and force after every step, with parameters drawn over their whole ranges: all pairs for long, and the tree.
    let tree = EXACT_NODES_MAX as u32 + 90;
    let cases = (0..24).map(|case| (case, 24, 10_000)).chain((24..48).map(|case| (case, tree, 500)));
    for (case, count, steps) in cases {
        let draw =
            |salt: u32, low: f32, high: f32| low * (high / low).powf((mix2(case, salt) >> 8) as f32 / 16_777_216.0);
        let flag = |salt: u32| !mix2(case, salt).is_multiple_of(4);
        let params = SimParams {
            dimensions: BOTH[case as usize % 2],
            force_model: MODELS[(mix2(case, 21) % 3) as usize],
            theta: draw(22, 1e-3, 2.0),
            time_step: draw(1, 1e-4, 1.0),
            damping: draw(2, 0.01, 0.999),
            spring_k: draw(3, 1.0, 1e6),
            spring_tail: draw(20, 0.01, 1.0),
            rest_length: draw(4, 0.01, 1e4),
            repel_k: draw(5, 1.0, 1e7),
            repulsion_cutoff: if flag(6) { 0.0 } else { draw(7, 1.0, 1e6) },
            softening: draw(8, 1e-3, 1e4),
            centre_gravity: draw(9, 1e-3, 10.0),
            max_force: draw(10, 1.0, 1e7),
            max_velocity: draw(11, 0.01, 1e6),
            bounds: if flag(12) { draw(13, 1.0, 1e6) } else { 0.0 },
            boundary_damping: draw(14, 0.01, 1.0),
            warmup_iterations: mix2(case, 15) % 20_000,
            cooling: draw(16, 1e-5, 0.5),
            repulsion: flag(17),
            springs: flag(18),
            centring: flag(19),
            ..SimParams::default()
        };
        assert_eq!(params.validate(), Ok(()));
        let mut backend = backend(params, topology(csr(count as usize, &random_edges(count, 2 * count))));
        let bound = params.bounds_for(count as usize);
        for step in 0..steps {
            assert_eq!(backend.step().nonfinite_resets, 0, "case {case} step {step}");
            let world = &backend.world;
            assert!(world.position.iter().flatten().all(|axis| axis.abs() <= bound), "case {case} step {step}");
            let longest = |all: &[[f32; 3]]| all.iter().map(motion::squared).fold(0.0, f32::max).sqrt();
            assert!(longest(&world.velocity) <= params.max_velocity * (1.0 + f32::EPSILON), "case {case} step {step}");
            assert!(longest(&world.force) <= params.max_force * (1.0 + f32::EPSILON), "case {case} step {step}");
        }
    }
}

#[test]
fn a_node_that_is_not_finite_goes_to_its_neighbours_and_disturbs_nobody() {
    for count in [30, EXACT_NODES_MAX as u32 + 50] {
        let edges = random_edges(count, 2 * count);
        let mut backend = backend(SimParams::default(), topology(csr(count as usize, &edges)));
        (0..5).for_each(|_| drop_report(backend.step()));
        let node = 7;
        let before: Vec<[f32; 3]> = (0..count).map(|node| at(&backend, node)).collect();
        backend.poison(NodeIndex(node));
        let report = backend.step();
        assert_eq!(report.nonfinite_resets, 1);
        let pace = backend.params.max_velocity * backend.params.time_step * 1.001;
        for other in (0..count).filter(|other| *other != node) {
            assert!(distance(at(&backend, other), before[other as usize]) <= pace);
        }
        let near: Vec<u32> = backend.world.neighbours(backend.world.slot(NodeIndex(node)).unwrap()).to_vec();
        assert!(!near.is_empty());
        let mean = [0, 1, 2].map(|axis| {
            let sum: f32 = near.iter().map(|slot| before[backend.world.node_of[*slot as usize] as usize][axis]).sum();
            sum / near.len() as f32
        });
        assert!(distance(at(&backend, node), mean) <= pace, "it starts again at the mean of its neighbours");
        assert_eq!(backend.step().nonfinite_resets, 0);
    }
}

#[test]
fn everyone_lost_at_once_comes_back_where_it_began() {
    let mut backend = backend(SimParams::default(), topology(csr(6, &[])));
    let start: Vec<[f32; 3]> = (0..6).map(|node| at(&backend, node)).collect();
    (0..6).for_each(|node| backend.poison(NodeIndex(node)));
    assert_eq!(backend.world.reset_nonfinite(&backend.params), 6);
    assert_eq!((0..6).map(|node| at(&backend, node)).collect::<Vec<_>>(), start);
}

#[test]
fn the_footprint_counts_what_is_held() {
    let (nodes, half_edges) = (2_000, 8_000);
    let bytes = CpuBackend::footprint(nodes, half_edges);
    assert!(bytes > nodes * 100 && bytes < nodes * 1_000, "{bytes}");
    assert!(CpuBackend::footprint(2 * nodes, half_edges) > bytes + nodes * 100);
}

fn at(backend: &CpuBackend, node: u32) -> [f32; 3] {
    backend.position(NodeIndex(node)).unwrap()
}

fn distance(left: [f32; 3], right: [f32; 3]) -> f32 {
    (0..3).map(|axis| (left[axis] - right[axis]).powi(2)).sum::<f32>().sqrt()
}

#[test]
fn notches_cost_accuracy_within_the_bound_and_are_given_back() {
    let count = 2_000;
    let edges = random_edges(count, 2 * count);
    let params = SimParams { theta: 0.6, ..SimParams::default() };
    let mut backend = backend(params, topology(csr(count as usize, &edges)));
    (0..5).for_each(|_| drop_report(backend.step()));
    let fine = backend.repulsion_error_sample(200);
    backend.coarsen(3);
    let coarse = backend.repulsion_error_sample(200);
    assert!(coarse > 1.5 * fine && coarse <= params.repulsion_error_max(3), "{fine} {coarse}");
    backend.coarsen(0);
    assert_eq!(backend.repulsion_error_sample(200), fine);
}

#[test]
fn every_width_of_vectors_gives_the_same_bytes() {
    let count = EXACT_NODES_MAX as u32 + 400;
    for (force_model, dimensions, repulsion_cutoff) in [
        (ForceModel::TForce, Dimensions::Three, 0.0),
        (ForceModel::TForce, Dimensions::Two, 400.0),
        (ForceModel::ForceAtlas2, Dimensions::Three, 0.0),
        (ForceModel::LinLog, Dimensions::Two, 0.0),
    ] {
        let run = |width| {
            width::force(width);
            let params = SimParams { force_model, dimensions, repulsion_cutoff, ..SimParams::default() };
            let mut backend = backend(params, topology(csr(count as usize, &random_edges(count, 3 * count))));
            (0..500).for_each(|_| drop_report(backend.step()));
            width::force(None);
            backend.world.position
        };
        // The widest is AVX-512 where there is; the others are then compared with it too.
        let widest = run(None);
        for width in [Width::Plain, Width::Avx2] {
            assert!(run(Some(width)) == widest, "{force_model:?} {dimensions:?}: {width:?}");
        }
    }
}

/// Layouts that this very code gave once: a change of a layout is meant, or found here. One that is meant is recorded anew, and the
/// commit says why. Sines and logarithms of the start are those of the C library, so it is for one only.
#[test]
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
fn layouts_are_those_recorded() {
    let count = EXACT_NODES_MAX as u32 + 400;
    let mesh = (0..count - 1).map(|node| (node, node + 1, 1.0));
    let across = (0..count - 30).map(|node| (node, node + 30, 2.0));
    let edges: Vec<_> = mesh.chain(across).collect();
    for (dimensions, recorded) in [(Dimensions::Two, "9955850fb021f7e0"), (Dimensions::Three, "a422b65b4c24847f")] {
        let mut backend =
            backend(SimParams { dimensions, ..SimParams::default() }, topology(csr(count as usize, &edges)));
        (0..500).for_each(|_| drop_report(backend.step()));
        let mut hash = blake3::Hasher::new();
        for node in 0..count {
            for axis in at(&backend, node) {
                hash.update(&axis.to_le_bytes());
            }
        }
        assert_eq!(&hash.finalize().to_hex()[..16], recorded, "{dimensions:?}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let count = 1_500;
    let run = |workers: &[Option<usize>]| {
        let mut backend = CpuBackend::with_workers(SimParams::default(), workers);
        backend.upload(topology(csr(count as usize, &random_edges(count, 3 * count)))).unwrap();
        (0..500).for_each(|_| drop_report(backend.step()));
        (backend.threads(), backend.world.position)
    };
    let (alone, expected) = run(&[]);
    assert_eq!(alone, 1);
    for workers in [&[Some(0)][..], &[None, Some(1)], &[Some(0), Some(1), None, None]] {
        let (threads, found) = run(workers);
        assert_eq!(threads, workers.len() + 1);
        assert!(found == expected, "{threads} threads");
    }
}

#[test]
fn forces_from_outside_push_and_end() {
    let params = SimParams { repulsion: false, springs: false, centring: false, ..SimParams::default() };
    let mut graph = topology(csr(3, &[]));
    graph.start = vec![Some([0.0; 3]), Some([500.0, 0.0, 0.0]), Some([0.0, 500.0, 0.0])];
    let mut backend = backend(params, graph);
    backend.set_extra_forces(&[[0.0; 4], [-100.0, 0.0, 0.0, 0.0], [f32::NAN, 50.0, 0.0, 0.0]]);
    drop_report(backend.step());
    assert_eq!(at(&backend, 0), [0.0; 3]);
    assert!(at(&backend, 1)[0] < 500.0 && at(&backend, 1)[1] == 0.0);
    assert!(at(&backend, 2)[1] > 500.0 && at(&backend, 2)[0] == 0.0, "what is not finite pushes nowhere");
    backend.set_extra_forces(&[]);
    (0..200).for_each(|_| drop_report(backend.step()));
    let rest = at(&backend, 1);
    drop_report(backend.step());
    assert_eq!(at(&backend, 1), rest);
    let mut read = [[0.0; 3]; 3];
    backend.read_positions(&mut read);
    assert_eq!(read, [at(&backend, 0), rest, at(&backend, 2)]);
}

#[test]
fn springs_take_new_strengths_and_lengths() {
    let params = SimParams { repulsion: false, centring: false, ..SimParams::default() };
    let mut backend = backend(params, topology(csr(4, &[(0, 1, 1.0), (2, 3, 1.0), (3, 2, 1.0)])));
    let settle = |backend: &mut CpuBackend| (0..600).for_each(|_| drop_report(backend.step()));
    settle(&mut backend);
    assert!((distance(at(&backend, 0), at(&backend, 1)) - params.rest_length).abs() < 0.5);
    // Rows: 0: (1); 1: (0); 2: (3, 3); 3: (2, 2). The pair of edges is one of the mean rest length by strength.
    backend.set_springs(&[1.0, 1.0, 1.0, 3.0, 1.0, 3.0], &[40.0, 40.0, 200.0, 100.0, 200.0, 100.0]);
    settle(&mut backend);
    assert!((distance(at(&backend, 0), at(&backend, 1)) - 40.0).abs() < 0.5);
    assert!((distance(at(&backend, 2), at(&backend, 3)) - 125.0).abs() < 0.5);
    let before = at(&backend, 0);
    backend.set_springs(&[1.0], &[40.0]);
    backend.set_springs(&[-1.0; 6], &[40.0; 6]);
    drop_report(backend.step());
    assert!(distance(at(&backend, 0), before) < 0.1, "what does not fit changes nothing");
}

#[test]
fn every_force_model_finds_a_finite_rest_and_keeps_neighbours_near() {
    for force_model in MODELS {
        for dimensions in BOTH {
            let params = SimParams { force_model, dimensions, ..SimParams::default() };
            let count = 900;
            let edges: Vec<_> = (0..count).filter(|node| node % 30 != 0).map(|node| (node - 1, node, 1.0)).collect();
            let ladder: Vec<_> = (30..count).map(|node| (node - 30, node, 1.0)).collect();
            let mesh = [edges, ladder].concat();
            let mut backend = backend(params, topology(csr(count as usize, &mesh)));
            let mut report = StepReport::default();
            (0..400).for_each(|_| report = backend.step());
            assert_eq!(report.nonfinite_resets, 0);
            let edge = mesh.iter().map(|(a, b, _)| distance(at(&backend, *a), at(&backend, *b))).sum::<f32>()
                / mesh.len() as f32;
            let across = distance(at(&backend, 0), at(&backend, count - 1));
            assert!(edge > 1.0 && across > 8.0 * edge, "{force_model:?} {dimensions:?}: {edge} {across}");
            assert!(report.rms_velocity < 5.0, "{force_model:?} {dimensions:?}: {report:?}");
        }
    }
}
