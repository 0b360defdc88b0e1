//! The backend against plain double-precision references.

use super::*;
use crate::graph::Csr;
use crate::sim::Dimensions;

fn csr(node_count: usize, edges: &[(u32, u32)]) -> Csr {
    Csr::new(node_count, edges.iter().map(|(source, target)| (NodeIndex(*source), NodeIndex(*target), 1.0)))
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

fn at(backend: &CpuBackend, node: u32) -> [f32; 3] {
    backend.position(NodeIndex(node)).unwrap()
}

fn distance(left: [f32; 3], right: [f32; 3]) -> f32 {
    (0..3).map(|axis| (left[axis] - right[axis]).powi(2)).sum::<f32>().sqrt()
}

#[test]
fn one_edge_comes_to_rest_at_its_rest_length() {
    for dimensions in [Dimensions::Two, Dimensions::Three] {
        let params = SimParams { dimensions, ..SimParams::default() };
        let mut graph = topology(csr(2, &[(0, 1)]));
        graph.start = vec![Some([0.0; 3]), Some([3.0 * params.rest_length, 0.0, 0.0])];
        let mut backend = backend(params, graph);
        assert!(backend.step().rms_velocity > 0.0, "it moves from rest");
        let settled = (0..600).find(|_| backend.step().settled);
        let length = distance(at(&backend, 0), at(&backend, 1));
        assert!((length / params.rest_length - 1.0).abs() < 0.02, "{length}");
        assert!(settled.is_some());
    }
}
