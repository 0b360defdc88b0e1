//! The Rust crate forceatlas2. The command line and the answer are those of ../node/adapter.mjs:
//!
//!     layout-peer-forceatlas2 forceatlas2-rs GRAPH.edges OUT.csv DIMENSIONS TICKS SEED SECONDS
//!
//! A program of its own because the crate is under the AGPL, and needs `RUSTC_BOOTSTRAP=1` because it names a feature of
//! the nightly compiler.

use std::fmt::Write as _;
use std::fs;

use forceatlas2::{AbstractNode, Layout, Settings};
use rand::SeedableRng as _;
use rustix::time::{ClockId, clock_gettime};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, _, graph, out, dimensions, ticks, seed, seconds] = arguments.as_slice() else {
        panic!("layout-peer-forceatlas2 forceatlas2-rs GRAPH.edges OUT.csv DIMENSIONS TICKS SEED SECONDS");
    };
    let text = fs::read_to_string(graph).expect("the graph can be read");
    let mut rows = text.lines().map(|line| {
        let (left, right) = line.split_once(' ').expect("two numbers");
        (left.parse::<usize>().expect("a number"), right.parse::<usize>().expect("a number"))
    });
    let (nodes, _) = rows.next().expect("counts");
    let edges: Vec<((usize, usize), f32)> = rows.map(|edge| (edge, 1.0)).collect();
    let (ticks, seed) = (ticks.parse().expect("ticks"), seed.parse().expect("a seed"));
    let seconds = seconds.parse().expect("seconds");
    match dimensions.as_str() {
        "2" => run::<2>(nodes, edges, ticks, seed, seconds, out),
        _ => run::<3>(nodes, edges, ticks, seed, seconds, out),
    }
}

/// All defaults: theta 0.5, speed 0.01, one thread.
fn run<const N: usize>(
    nodes: usize,
    edges: Vec<((usize, usize), f32)>,
    ticks: usize,
    seed: u64,
    seconds: f64,
    out: &str,
) where
    Layout<f32, N>: Steps<N>,
{
    let began = cpu_ms();
    let mut layout = Layout::<f32, N>::start(nodes, edges, seed);
    let start_ms = cpu_ms() - began;
    let began = cpu_ms();
    let mut done = 0;
    while done < ticks && (done == 0 || cpu_ms() - began < seconds * 1e3) {
        layout.tick();
        done += 1;
    }
    let tick_ms = (cpu_ms() - began) / done as f64;
    let mut text = String::from(if N == 3 { "id,x,y,z\n" } else { "id,x,y\n" });
    for (node, at) in layout.places().into_iter().enumerate() {
        let _ = write!(text, "{node}");
        at.iter().for_each(|axis| {
            let _ = write!(text, ",{axis}");
        });
        text.push('\n');
    }
    fs::write(out, text).expect("the layout can be written");
    println!(r#"{{"version": "forceatlas2 0.8.0", "start_ms": {start_ms}, "ticks": {done}, "tick_ms": {tick_ms}}}"#);
}

/// What the crate offers in two and in three dimensions, but not in any.
trait Steps<const N: usize> {
    fn start(nodes: usize, edges: Vec<((usize, usize), f32)>, seed: u64) -> Self;
    fn tick(&mut self);
    fn places(&self) -> Vec<[f32; N]>;
}

macro_rules! steps {
    ($axes:literal) => {
        impl Steps<$axes> for Layout<f32, $axes> {
            fn start(nodes: usize, edges: Vec<((usize, usize), f32)>, seed: u64) -> Self {
                let mut random = rand::rngs::StdRng::seed_from_u64(seed);
                let all = (0..nodes).map(|node| (node, AbstractNode::default()));
                Self::from_abstract(Settings::default(), all, edges, &mut random)
            }

            fn tick(&mut self) {
                self.iteration();
            }

            fn places(&self) -> Vec<[f32; $axes]> {
                self.nodes.iter().map(|node| node.pos.0).collect()
            }
        }
    };
}

steps!(2);
steps!(3);

/// Processor time of the whole process.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}
