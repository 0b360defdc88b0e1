//! Goal: through its public face alone, the CPU backend moves nodes as the documented law says, comes to rest, and
//! survives every graph that is not a nice one.
//! Method: a plain double-precision integrator of the same law for the first steps; measured energy, positions and
//! bytes for the rest.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    reason = "a test fails by panicking, and reads as the formula"
)]

use swarmcast::graph::{Csr, NodeIndex};
use swarmcast::sim::cpu::CpuBackend;
use swarmcast::sim::{Backend, BackendError, Dimensions, SimParams, StepReport, Topology};
use swarmcast::wire::NodeRecord;
use zerocopy::IntoBytes;

type Edges = Vec<(u32, u32)>;

/// A small generator of its own, so that the graphs of this file never change.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % u64::from(limit)) as u32
    }
}

/// Preferential attachment, and communities of 50 with as many edges again inside them.
fn real_shaped(node_count: u32) -> Edges {
    let mut dice = Dice(7);
    let mut edges = vec![(0, 1)];
    for node in 2..node_count {
        let (source, target) = edges[dice.below(edges.len() as u32) as usize];
        edges.push((node, if dice.below(2) == 0 { source } else { target }));
        let community = node / 50 * 50;
        edges.push((node, community + dice.below(50.min(node_count - community))));
    }
    edges
}

fn mesh(side: u32) -> Edges {
    let cell = |row, column| row * side + column;
    let across = (0..side).flat_map(|row| (1..side).map(move |column| (cell(row, column - 1), cell(row, column))));
    let down = (1..side).flat_map(|row| (0..side).map(move |column| (cell(row - 1, column), cell(row, column))));
    across.chain(down).collect()
}

fn topology(node_count: u32, edges: &[(u32, u32)]) -> Topology {
    let edges = edges.iter().map(|(source, target)| (NodeIndex(*source), NodeIndex(*target), 1.0));
    let csr = Csr::new(node_count as usize, edges);
    Topology { csr, start: vec![None; node_count as usize], pinned: vec![false; node_count as usize] }
}

fn uploaded(params: SimParams, topology: Topology) -> CpuBackend {
    let mut backend = CpuBackend::new(params);
    backend.upload(topology).unwrap();
    backend
}

fn positions(backend: &CpuBackend, node_count: u32) -> Vec<[f32; 3]> {
    (0..node_count).map(|node| backend.position(NodeIndex(node)).unwrap()).collect()
}

fn distance(left: [f32; 3], right: [f32; 3]) -> f32 {
    (0..3).map(|axis| (left[axis] - right[axis]).powi(2)).sum::<f32>().sqrt()
}

fn steps(backend: &mut CpuBackend, count: usize) -> StepReport {
    (0..count).map(|_| backend.step()).last().unwrap_or_default()
}

/// The law of `SimParams`, one connected graph, all edges of weight 1, nothing near a clamp or the bounds.
struct Reference {
    position: Vec<[f64; 3]>,
    velocity: Vec<[f64; 3]>,
    neighbours: Vec<Vec<usize>>,
}

impl Reference {
    fn step(&mut self, params: &SimParams) {
        let p = |value: f32| f64::from(value);
        let count = self.position.len();
        let mass: Vec<f64> = self.neighbours.iter().map(|row| 1.0 + (1.0 + row.len() as f64).log2()).collect();
        let crowd = if params.dimensions == Dimensions::Two { count as f64 } else { (count as f64).powf(2.0 / 3.0) };
        let pull = p(params.centre_gravity) * p(params.spring_k) / crowd;
        let centroid =
            [0, 1, 2].map(|axis| self.position.iter().map(|position| position[axis]).sum::<f64>() / count as f64);
        let mut acceleration = vec![[0f64; 3]; count];
        for node in 0..count {
            let grip_at = |u: f64| {
                let rest = p(params.rest_length) / p(params.softening);
                p(params.spring_tail) + (1.0 - p(params.spring_tail)) * (1.0 + rest * rest) / (1.0 + u * u)
            };
            let stiffest = p(params.spring_k) * grip_at(0.0) * self.neighbours[node].len() as f64;
            let (mut force, mut stiffness) = ([0f64; 3], stiffest);
            for other in (0..count).filter(|other| *other != node) {
                let away = [0, 1, 2].map(|axis| self.position[node][axis] - self.position[other][axis]);
                let length = away.iter().map(|axis| axis * axis).sum::<f64>().sqrt();
                let u = length / p(params.softening);
                let repulsion = p(params.repel_k) * mass[node] * mass[other] / (1.0 + u * u).powi(2);
                stiffness += repulsion / p(params.softening);
                let along = if self.neighbours[node].contains(&other) {
                    -p(params.spring_k) * grip_at(u) * (length - p(params.rest_length)) / length
                } else {
                    repulsion / p(params.softening)
                };
                (0..3).for_each(|axis| force[axis] += along * away[axis]);
            }
            let inertia = (stiffness * p(params.time_step).powi(2) / 0.5).max(1.0);
            acceleration[node] = [0, 1, 2].map(|axis| force[axis] / inertia - pull * centroid[axis]);
        }
        for node in 0..count {
            for axis in 0..3 {
                let faster = self.velocity[node][axis] + acceleration[node][axis] * p(params.time_step);
                self.velocity[node][axis] = faster * p(params.damping);
                self.position[node][axis] += self.velocity[node][axis] * p(params.time_step);
            }
        }
    }
}

#[test]
fn the_first_steps_are_those_of_a_plain_integrator() {
    // 250 nodes are summed exactly; 1,600 go through the tree, whose error is a few per cent of the forces.
    for (node_count, dimensions, tolerance) in
        [(250, Dimensions::Two, 1e-4), (250, Dimensions::Three, 1e-4), (1_600, Dimensions::Three, 0.03)]
    {
        let params = SimParams { dimensions, max_force: 1e7, max_velocity: 1e6, ..SimParams::default() };
        let graph = topology(node_count, &real_shaped(node_count));
        let neighbours = (0..node_count as usize).map(|node| {
            let mut row: Vec<usize> = graph.csr.row(node).map(|(other, _)| other as usize).collect();
            row.sort_unstable();
            row.dedup();
            row
        });
        let neighbours: Vec<_> = neighbours.collect();
        let mut backend = uploaded(params, graph);
        // The reference has edges of weight 1 only; parallel ones would pull twice.
        let single = neighbours.iter().enumerate().flat_map(|(node, row)| {
            row.iter().filter(move |other| **other > node).map(move |other| (node as u32, *other as u32))
        });
        backend.upload(topology(node_count, &single.collect::<Vec<_>>())).unwrap();
        let start = positions(&backend, node_count);
        let mut reference = Reference {
            position: start.iter().map(|at| at.map(f64::from)).collect(),
            velocity: vec![[0.0; 3]; node_count as usize],
            neighbours,
        };
        for step in 1..=10 {
            backend.step();
            reference.step(&params);
            if ![1, 2, 10].contains(&step) {
                continue;
            }
            let (mut apart2, mut way2) = (0f64, 0f64);
            for (node, found) in positions(&backend, node_count).iter().enumerate() {
                for axis in 0..3 {
                    apart2 += (f64::from(found[axis]) - reference.position[node][axis]).powi(2);
                    way2 += (reference.position[node][axis] - f64::from(start[node][axis])).powi(2);
                }
            }
            let error = (apart2 / way2).sqrt();
            assert!(error < tolerance, "{node_count} {dimensions:?} step {step}: {error} of the way");
        }
    }
}

#[test]
fn one_edge_rests_at_its_rest_length_and_leaves_rest_when_touched() {
    for dimensions in [Dimensions::Two, Dimensions::Three] {
        let params = SimParams { dimensions, ..SimParams::default() };
        let mut graph = topology(2, &[(0, 1)]);
        graph.start = vec![Some([0.0; 3]), Some([3.0 * params.rest_length, 0.0, 0.0])];
        let mut backend = uploaded(params, graph);
        assert!(backend.step().rms_velocity > 0.0, "what starts at rest moves");
        assert!((0..600).any(|_| backend.step().settled));
        let ends = positions(&backend, 2);
        assert!((distance(ends[0], ends[1]) / params.rest_length - 1.0).abs() < 0.02, "{ends:?}");

        let disturb: [fn(&mut CpuBackend); 6] = [
            |backend| backend.hold(NodeIndex(0), [500.0, 0.0, 0.0]),
            |backend| backend.release(NodeIndex(0)),
            |backend| backend.pin(NodeIndex(1), true),
            |backend| backend.pin(NodeIndex(1), false),
            |backend| backend.apply(&SimParams { rest_length: 50.0, ..backend.params() }).unwrap(),
            CpuBackend::reheat,
        ];
        for (turn, disturb) in disturb.iter().enumerate() {
            disturb(&mut backend);
            assert!(!backend.step().settled, "disturbance {turn}");
            let settles = (0..700).any(|_| backend.step().settled);
            assert_eq!(settles, turn != 0, "a held node keeps the layout awake, nothing else does ({turn})");
        }
    }
}

#[test]
fn a_real_shaped_graph_of_5000_nodes_is_at_rest_within_600_steps() {
    let params = SimParams::default();
    let mut backend = uploaded(params, topology(5_000, &real_shaped(5_000)));
    let mut before = positions(&backend, 5_000);
    let mut quiet = 0;
    for step in 1..=600 {
        let report = backend.step();
        let after = positions(&backend, 5_000);
        // Measured a second time from the outside: what moved, over the time that it took.
        let moved: f64 = before.iter().zip(&after).map(|(a, b)| f64::from(distance(*a, *b)).powi(2)).sum();
        let outside = (moved / 5_000.0).sqrt() as f32 / params.time_step;
        // The grain of a f32 at 1,000 units, over a step.
        assert!((outside - report.rms_velocity).abs() < 0.01 * report.rms_velocity + 0.01, "step {step}");
        quiet = if report.rms_velocity < params.settle_velocity { quiet + 1 } else { 0 };
        assert_eq!(report.settled, quiet >= 30, "step {step}");
        before = after;
    }
    assert!(quiet >= 30, "settled by the end");
    assert!(backend.repulsion_error_sample(300) < 0.1);
}

#[test]
fn a_mesh_unfolds() {
    for dimensions in [Dimensions::Two, Dimensions::Three] {
        let params = SimParams { dimensions, ..SimParams::default() };
        let (side, edges) = (32, mesh(32));
        let mut backend = uploaded(params, topology(side * side, &edges));
        steps(&mut backend, 300);
        let at = positions(&backend, side * side);
        let lengths: Vec<f32> = edges.iter().map(|(a, b)| distance(at[*a as usize], at[*b as usize])).collect();
        let mean = lengths.iter().sum::<f32>() / lengths.len() as f32;
        assert!(mean > params.rest_length && mean < 2.0 * params.rest_length, "{mean}");
        assert!(lengths.iter().all(|length| (length / mean - 1.0).abs() < 0.5), "edges are of a length");
        for (a, b) in [(0, side * side - 1), (side - 1, side * (side - 1))] {
            assert!(distance(at[a as usize], at[b as usize]) > 25.0 * mean, "opposite corners are far apart");
        }
        assert!(dimensions == Dimensions::Three || at.iter().all(|at| at[2] == 0.0));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = |seed| {
        let mut backend = uploaded(SimParams { seed, ..SimParams::default() }, topology(1_800, &real_shaped(1_800)));
        backend.step();
        backend.hold(NodeIndex(5), [10.0, 20.0, 30.0]);
        steps(&mut backend, 250);
        backend.release(NodeIndex(5));
        steps(&mut backend, 250);
        let mut records = vec![NodeRecord::default(); 1_800];
        backend.write_into(&mut records);
        records.as_bytes().to_vec()
    };
    let once = run(42);
    assert_eq!(once, run(42));
    assert_ne!(once, run(43));
}

#[test]
fn pinned_and_held_nodes_stay_and_records_carry_the_rest() {
    let mut graph = topology(50, &real_shaped(50));
    graph.start[3] = Some([77.0, -5.0, 9.0]);
    graph.pinned[3] = true;
    let mut backend = uploaded(SimParams::default(), graph);
    backend.hold(NodeIndex(4), [-100.0, 1.0, 2.0]);
    backend.hold(NodeIndex(4), [f32::NAN, 1.0, 2.0]);
    backend.hold(NodeIndex(99), [0.0; 3]);
    steps(&mut backend, 200);
    let mut records = vec![NodeRecord::default(); 51];
    backend.write_into(&mut records);
    assert_eq!((records[3].position(), records[3].velocity()), ([77.0, -5.0, 9.0], [0.0; 3]));
    assert_eq!((records[4].position(), records[4].velocity()), ([-100.0, 1.0, 2.0], [0.0; 3]));
    assert_eq!(records[5].position(), backend.position(NodeIndex(5)).unwrap());
    assert_eq!(records[50], NodeRecord::default());
    assert!(backend.is_pinned(NodeIndex(3)) && !backend.is_pinned(NodeIndex(4)) && !backend.is_pinned(NodeIndex(99)));
    backend.pin(NodeIndex(3), false);
    backend.release(NodeIndex(4));
    steps(&mut backend, 20);
    assert_ne!(backend.position(NodeIndex(3)).unwrap(), [77.0, -5.0, 9.0]);
    assert_ne!(backend.position(NodeIndex(4)).unwrap(), [-100.0, 1.0, 2.0]);
}

#[test]
fn two_dimensions_are_entered_and_left_while_running() {
    let params = SimParams::default();
    let mut backend = uploaded(params, topology(300, &real_shaped(300)));
    steps(&mut backend, 10);
    backend.apply(&SimParams { dimensions: Dimensions::Two, ..params }).unwrap();
    for _ in 0..50 {
        backend.step();
        assert!(positions(&backend, 300).iter().all(|at| at[2] == 0.0));
    }
    backend.apply(&params).unwrap();
    steps(&mut backend, 100);
    let depth = positions(&backend, 300).iter().map(|at| at[2].abs()).fold(0.0, f32::max);
    assert!(depth > params.rest_length, "{depth}");
}

#[test]
fn nodes_at_one_place_are_parted() {
    for (node_count, dimensions) in [(2, Dimensions::Two), (40, Dimensions::Three), (2_000, Dimensions::Three)] {
        for edges in [vec![], real_shaped(node_count)] {
            let mut graph = topology(node_count, &edges);
            graph.start = vec![Some([5.0, 5.0, 0.0]); node_count as usize];
            let mut backend = uploaded(SimParams { dimensions, ..SimParams::default() }, graph);
            steps(&mut backend, 60);
            let mut at = positions(&backend, node_count);
            at.sort_by(|left, right| left[0].total_cmp(&right[0]));
            assert!(at.windows(2).all(|pair| pair[0] != pair[1]), "{node_count} {dimensions:?}");
        }
    }
}

#[test]
fn graphs_that_are_hardly_graphs_run_too() {
    for node_count in [0, 1, 2, 3] {
        let mut backend = uploaded(SimParams::default(), topology(node_count, &[]));
        let report = steps(&mut backend, 100);
        assert!(report.rms_velocity.is_finite() && report.nonfinite_resets == 0);
        assert_eq!(backend.position(NodeIndex(node_count)), None);
    }
    let mut singletons = uploaded(SimParams::default(), topology(10_000, &[]));
    assert_eq!(steps(&mut singletons, 5).nonfinite_resets, 0);
    let star: Edges = (1..100_000).map(|leaf| (0, leaf)).collect();
    let mut backend = uploaded(SimParams::default(), topology(100_000, &star));
    let report = steps(&mut backend, 2);
    assert!(report.nonfinite_resets == 0 && report.rms_velocity > 0.0);

    let mut far = topology(4, &[(0, 1), (2, 3)]);
    far.start = vec![Some([1e30, 0.0, 0.0]), Some([-1e30; 3]), Some([f32::NAN; 3]), Some([f32::MIN_POSITIVE; 3])];
    let mut backend = uploaded(SimParams::default(), far);
    let bound = 15.0 * SimParams::default().rest_length;
    for _ in 0..300 {
        assert_eq!(backend.step().nonfinite_resets, 0);
        assert!(positions(&backend, 4).iter().flatten().all(|axis| axis.abs() <= bound));
    }
    let mismatched = Topology { pinned: vec![false; 3], ..topology(4, &[]) };
    let error = BackendError::Mismatch { rows: 4, start: 4, pinned: 3 };
    assert_eq!(backend.upload(mismatched).unwrap_err(), error);
    assert!(backend.position(NodeIndex(3)).is_some(), "the graph before is still there");
}

#[test]
fn an_edit_keeps_what_was_placed_and_grows_the_new_beside_it() {
    let params = SimParams::default();
    let mut backend = uploaded(params, topology(400, &real_shaped(400)));
    steps(&mut backend, 600);
    let old = positions(&backend, 400);
    let mut edges = real_shaped(400);
    edges.extend([(400, 7), (401, 400), (402, 403)]);
    let mut graph = topology(404, &edges);
    for (start, at) in graph.start.iter_mut().zip(&old) {
        *start = Some(*at);
    }
    backend.upload(graph).unwrap();
    let now = positions(&backend, 404);
    assert_eq!(now[..400], old);
    assert!(distance(now[400], now[7]) < 2.0 * params.rest_length);
    assert!(distance(now[401], now[400]) < 2.0 * params.rest_length);
    let reach = old.iter().map(|at| distance(*at, [0.0; 3])).fold(0.0, f32::max);
    assert!(distance(now[402], [0.0; 3]) > reach, "a new component stands outside the old ones");
    steps(&mut backend, 600);
    let mut moved: Vec<f32> = positions(&backend, 400).iter().zip(&old).map(|(a, b)| distance(*a, *b)).collect();
    moved.sort_by(f32::total_cmp);
    assert!(moved[200] < 0.3 * params.rest_length, "old nodes hardly move: median {}", moved[200]);
}

#[test]
fn what_is_dragged_moves_its_neighbourhood_and_leaves_the_rest() {
    // A path: what is far along it has no reason to move.
    let count = 400;
    let edges: Vec<(u32, u32)> = (1..count).map(|node| (node - 1, node)).collect();
    let params = SimParams::default();
    let mut backend = uploaded(params, topology(count, &edges));
    assert!((0..2_000).any(|_| backend.step().settled));
    let before = positions(&backend, count);
    let [x, y, z] = before[200];
    backend.hold(NodeIndex(200), [x, y + 3.0 * params.rest_length, z]);
    steps(&mut backend, 200);
    let held = positions(&backend, count);
    let moved = |now: &[[f32; 3]], node: usize| distance(now[node], before[node]);
    assert!(moved(&held, 201) > params.rest_length, "the neighbour follows");
    assert!(moved(&held, 0) < 0.01 * params.rest_length && moved(&held, 399) < 0.01 * params.rest_length);
    backend.release(NodeIndex(200));
    assert!((0..1_000).any(|_| backend.step().settled), "it comes to rest again");
    backend.warm(&[NodeIndex(100)]);
    assert!(!backend.step().settled, "a change next to a node wakes the layout");
}
