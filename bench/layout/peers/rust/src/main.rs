//! The Rust crates fjadra and fdg-sim. The command line and the answer are those of ../node/adapter.mjs:
//!
//!     layout-peers PEER GRAPH.edges OUT.csv DIMENSIONS TICKS SEED SECONDS

use std::fmt::Write as _;
use std::fs;

use fdg_sim::{Dimensions, ForceGraph, ForceGraphHelper, Simulation, SimulationParameters, force};
use fjadra::force::{Center, Link, ManyBody, Node, SimulationBuilder};
use rustix::time::{ClockId, clock_gettime};

/// A graph, taken.
struct Graph {
    nodes: usize,
    edges: Vec<(usize, usize)>,
}

/// What the loop needs of a peer.
struct Peer {
    version: &'static str,
    tick: Box<dyn FnMut()>,
    place: Box<dyn Fn() -> Vec<[f64; 3]>>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, peer, graph_file, out_file, dimensions, ticks, _seed, seconds] = arguments.as_slice() else {
        panic!("layout-peers PEER GRAPH.edges OUT.csv DIMENSIONS TICKS SEED SECONDS");
    };
    let text = fs::read_to_string(graph_file).expect("the graph can be read");
    let mut rows = text.lines().map(|line| {
        let (left, right) = line.split_once(' ').expect("two numbers");
        (left.parse::<usize>().expect("a number"), right.parse::<usize>().expect("a number"))
    });
    let (nodes, _) = rows.next().expect("counts");
    let graph = Graph { nodes, edges: rows.collect() };
    let space = dimensions == "3";
    let (ticks, seconds): (usize, f64) = (ticks.parse().expect("ticks"), seconds.parse().expect("seconds"));

    let began = cpu_ms();
    let Peer { version, mut tick, place } = match (peer.as_str(), space) {
        ("fjadra", false) => fjadra(&graph),
        ("fdg-sim", _) => fdg_sim(&graph, space),
        _ => panic!("no peer is called {peer} in {dimensions} dimensions"),
    };
    let start_ms = cpu_ms() - began;
    let began = cpu_ms();
    let mut done = 0;
    while done < ticks && (done == 0 || cpu_ms() - began < seconds * 1e3) {
        tick();
        done += 1;
    }
    let tick_ms = (cpu_ms() - began) / done as f64;

    let mut out = String::from(if space { "id,x,y,z\n" } else { "id,x,y\n" });
    for (node, [x, y, z]) in place().into_iter().enumerate() {
        let _ = if space { writeln!(out, "{node},{x},{y},{z}") } else { writeln!(out, "{node},{x},{y}") };
    }
    fs::write(out_file, out).expect("the layout can be written");
    println!(r#"{{"version": "{version}", "start_ms": {start_ms}, "ticks": {done}, "tick_ms": {tick_ms}}}"#);
}

/// As its own example of a lattice has it: links, charge, centre, all defaults.
fn fjadra(graph: &Graph) -> Peer {
    let simulation = SimulationBuilder::default()
        .build((0..graph.nodes).map(|_| Node::default()))
        .add_force("link", Link::new(graph.edges.clone()))
        .add_force("charge", ManyBody::new())
        .add_force("center", Center::new());
    let simulation = std::rc::Rc::new(std::cell::RefCell::new(simulation));
    let stepped = simulation.clone();
    Peer {
        version: "fjadra 0.2.1",
        tick: Box::new(move || stepped.borrow_mut().tick(1)),
        place: Box::new(move || simulation.borrow().positions().map(|[x, y]| [x, y, 0.0]).collect()),
    }
}

/// Fruchterman-Reingold with its defaults, at the time step of its documentation.
fn fdg_sim(graph: &Graph, space: bool) -> Peer {
    let mut force_graph: ForceGraph<(), ()> = ForceGraph::default();
    let indices: Vec<_> = (0..graph.nodes).map(|node| force_graph.add_force_node(node.to_string(), ())).collect();
    for (left, right) in &graph.edges {
        force_graph.add_edge(indices[*left], indices[*right], ());
    }
    let dimensions = if space { Dimensions::Three } else { Dimensions::Two };
    let parameters = SimulationParameters::new(200.0, dimensions, force::fruchterman_reingold(45.0, 0.975));
    let simulation = std::rc::Rc::new(std::cell::RefCell::new(Simulation::from_graph(force_graph, parameters)));
    let stepped = simulation.clone();
    Peer {
        version: "fdg-sim 0.9.1",
        tick: Box::new(move || stepped.borrow_mut().update(0.035)),
        place: Box::new(move || {
            let simulation = simulation.borrow();
            simulation.get_graph().node_weights().map(|node| node.location.to_array().map(f64::from)).collect()
        }),
    }
}

/// Processor time of the whole process.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}
