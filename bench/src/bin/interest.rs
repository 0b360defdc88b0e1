//! Question: how many bytes does a client get that watches a twentieth of the space, for each byte of one that watches all?
//!
//! Budget: at most 12 %, in the median window of the space.
//!
//! Method: the engine over a graph that never rests; the same seconds for a client of all of it and one client for each
//! window, over the compact profile. A window is a box of the layout's proportions, asked for as a frustum of its planes.
//! Windows of two kinds, for the word "space" has two readings: a twentieth of the volume around points spread evenly over
//! it (many of these windows are almost empty), and a box around a node that holds a twentieth of the nodes. Bytes are all that is
//! read after the warm-up: headers, deltas, marks, snapshots of blocks.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::json;
use swarmcast_bench::limits::raise_open_files;
use swarmcast_bench::machine::Machine;
use swarmcast_bench::peek::positions;
use swarmcast_bench::report::{hardware, short};
use swarmcast_bench::round::median;
use swarmcast_bench::server::Server;
use swarmcast_bench::viewers::{Viewers, compact, group, plan};
use swarmcast_load::plan::{Compact, Group, Protocol};
use swarmcast_load::record::Count;

const SHARE_MAX: f64 = 0.12;

/// What part of the bytes a client gets that watches a part of the space.
#[derive(Parser)]
struct Options {
    /// The engine.
    #[arg(long, default_value = "target/release/swarmcast")]
    server: PathBuf,
    /// The graph: one of many blocks of 1,024 nodes.
    #[arg(long, default_value = "examples/graphs/out/debian.json")]
    graph: PathBuf,
    /// Part of the space, and of the nodes.
    #[arg(long, default_value_t = 0.05)]
    share: f64,
    /// Windows of each kind.
    #[arg(long, default_value_t = 10)]
    windows: u32,
    /// Frames a second.
    #[arg(long, default_value_t = 20)]
    rate: u16,
    /// Time for the layout to unfold before the windows are cut, s.
    #[arg(long, default_value_t = 60)]
    unfold: u64,
    /// Left out once everyone is there, s.
    #[arg(long, default_value_t = 5)]
    warm: u64,
    /// Measured, s.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// More for the engine, as in --set sim.dimensions=2; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A short run on a small graph: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

/// A box, by its least and greatest corner.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    low: [f32; 3],
    high: [f32; 3],
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.small {
        (options.windows, options.unfold, options.warm, options.seconds) = (2, 1, 1, 1);
        options.graph = PathBuf::from("examples/graphs/default.json");
    }
    ensure!(options.share > 0.0 && options.share < 1.0 && options.windows > 0, "a share below 1, and windows");
    ensure!(
        options.graph.exists(),
        "no {}; `python3 examples/graphs/make_debian.py` makes it",
        options.graph.display()
    );
    raise_open_files();
    let more: Vec<String> = options.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]).collect();
    let server = Server::engine(&options.server, &options.graph, &more)?;
    sleep(Duration::from_secs(options.unfold));
    let nodes = positions(server.address)?;
    let space = around(&nodes);
    let windows = |cut: &dyn Fn(u32) -> Window| (0..options.windows).map(cut).collect::<Vec<_>>();
    let kinds = [
        ("of the space", windows(&|index| of_space(space, spread(index), options.share as f32))),
        ("of the nodes", windows(&|index| of_nodes(space, &nodes, spread(index)[0], options.share))),
    ];
    let ask = |interest: Option<String>| Protocol::Compact(Compact { interest, ..compact(options.rate) });
    let mut groups: Vec<Group> = vec![group("all", server.address, 1, ask(None))];
    for (kind, windows) in &kinds {
        for (place, window) in windows.iter().enumerate() {
            let name = format!("{}-{place}", kind.replace(' ', "-"));
            groups.push(group(&name, server.address, 1, ask(Some(window.interest()))));
        }
    }
    let seen = Viewers::start(plan(groups, options.warm, options.seconds))?.finish()?;
    let bytes: Vec<f64> = seen.groups.iter().map(|record| record.of(Count::BytesRead) as f64).collect();
    let (all, parts) = bytes.split_first().context("the client of everything")?;
    ensure!(*all > 0.0, "nothing came: the simulation is at rest");

    print!("{}", hardware(&Machine::here()));
    let count = nodes.len();
    println!("- {}, {count} nodes, {} Hz, {} s\n", options.graph.display(), options.rate, options.seconds);
    println!(
        "| {} % of | nodes in the window, %: least, median, most | bytes of all, %: least, median, most |\n|---|---|---|",
        options.share * 100.0
    );
    for ((kind, windows), parts) in kinds.iter().zip(parts.chunks(options.windows as usize)) {
        let inside =
            windows.iter().map(|window| nodes.iter().filter(|node| window.holds(**node)).count() as f64 / count as f64);
        let parts: Vec<f64> = parts.iter().map(|part| part / all).collect();
        println!(
            "| {} | {} | {} |",
            kind.trim_start_matches("of "),
            spread_of(inside.collect()),
            spread_of(parts.clone())
        );
        if *kind == "of the space" {
            let kept = if median(parts) <= SHARE_MAX { "kept" } else { "missed" };
            eprintln!("budget of {} % in the median window of the space: {kept}", SHARE_MAX * 100.0);
        }
    }
    println!("\nall of it: {} KB/s", short(all / options.seconds as f64 / 1e3));
    Ok(())
}

/// Least, median and most, in per cent.
fn spread_of(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let places = [values.first().copied(), Some(median(values.iter().copied())), values.last().copied()];
    places.map(|value| format!("{:.1}", value.unwrap_or(f64::NAN) * 100.0)).join(", ")
}

/// Points spread evenly over the unit cube, the same every time: multiples of irrational numbers.
fn spread(index: u32) -> [f32; 3] {
    [0.819_172_5, 0.671_043_6, 0.549_700_5].map(|step: f64| (0.5 + step * f64::from(index)).fract() as f32)
}

/// The box of all nodes.
fn around(nodes: &[[f32; 3]]) -> Window {
    let mut all = Window { low: [f32::INFINITY; 3], high: [f32::NEG_INFINITY; 3] };
    for node in nodes {
        for ((low, high), at) in all.low.iter_mut().zip(&mut all.high).zip(node) {
            (*low, *high) = (low.min(*at), high.max(*at));
        }
    }
    all
}

/// A box with so much of the volume, within the space; in a flat layout of the area.
fn of_space(space: Window, at: [f32; 3], share: f32) -> Window {
    let sides = space.low.iter().zip(&space.high).filter(|(low, high)| high > low).count();
    let scale = share.powf(1.0 / sides.max(1) as f32);
    let mut window = space;
    for ((low, high), at) in window.low.iter_mut().zip(&mut window.high).zip(at) {
        let (from, side) = (*low, *high - *low);
        *low = from + side * (1.0 - scale) * at;
        *high = *low + side * scale;
    }
    window
}

/// A box around the node at a place of the list that holds so many of the nodes, at least.
fn of_nodes(space: Window, nodes: &[[f32; 3]], place: f32, share: f64) -> Window {
    let center = nodes.get((place * nodes.len() as f32) as usize).copied().unwrap_or_default();
    let sides = space.low.iter().zip(&space.high).map(|(low, high)| (high - low).max(f32::MIN_POSITIVE));
    let sides: Vec<f32> = sides.collect();
    // How far out a node is, in sides of the space: the greatest of its axes.
    let out = |node: &[f32; 3]| {
        let axes = node.iter().zip(&center).zip(&sides);
        axes.map(|((at, center), side)| (at - center).abs() / side).fold(0.0, f32::max)
    };
    let mut reach: Vec<f32> = nodes.iter().map(out).collect();
    reach.sort_by(f32::total_cmp);
    let reach = reach.get((share * nodes.len() as f64) as usize).copied().unwrap_or(0.0);
    let mut window = Window { low: center, high: center };
    for ((low, high), side) in window.low.iter_mut().zip(&mut window.high).zip(&sides) {
        (*low, *high) = (*low - reach * side, *high + reach * side);
    }
    window
}

impl Window {
    fn holds(&self, node: [f32; 3]) -> bool {
        node.iter().zip(self.low.iter().zip(&self.high)).all(|(at, (low, high))| (low..=high).contains(&at))
    }

    /// The message that asks for it: a plane for each side.
    fn interest(&self) -> String {
        let axes = (0..3).zip(self.low.iter().zip(&self.high));
        let planes: Vec<[f32; 4]> = axes
            .flat_map(|(axis, (low, high))| {
                let normal = |sign: f32| [0, 1, 2].map(|other| if other == axis { sign } else { 0.0 });
                let plane = |[a, b, c]: [f32; 3], d: f32| [a, b, c, d];
                [plane(normal(1.0), -low), plane(normal(-1.0), *high)]
            })
            .collect();
        json!({ "type": "interest", "frustum": { "planes": planes } }).to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_the_part_that_they_say() {
        let nodes: Vec<[f32; 3]> = (0..10_000).map(|at| spread(at).map(|at| at * 100.0 - 50.0)).collect();
        let space = around(&nodes);
        for index in 0..10 {
            let inside = |window: Window| nodes.iter().filter(|node| window.holds(**node)).count();
            let window = of_space(space, spread(index), 0.05);
            assert!((450..550).contains(&inside(window)), "{index}: {}", inside(window));
            let window = of_nodes(space, &nodes, spread(index)[0], 0.05);
            assert!((500..503).contains(&inside(window)), "{index}: {}", inside(window));
        }
        let flat: Vec<[f32; 3]> = nodes.iter().map(|[x, y, _]| [*x, *y, 0.0]).collect();
        let window = of_space(around(&flat), [0.5; 3], 0.05);
        let side = (window.high[0] - window.low[0]) / 100.0;
        assert!((side - 0.05_f32.sqrt()).abs() < 0.01, "{side}");
    }

    #[test]
    fn a_point_is_on_the_inner_side_of_every_plane() {
        let window = Window { low: [-1.0, 2.0, -3.0], high: [1.0, 4.0, 5.0] };
        let message: serde_json::Value = serde_json::from_str(&window.interest()).unwrap();
        let planes: Vec<[f32; 4]> = serde_json::from_value(message["frustum"]["planes"].clone()).unwrap();
        assert_eq!(planes.len(), 6);
        let inside = |[x, y, z]: [f32; 3]| planes.iter().all(|[a, b, c, d]| a * x + b * y + c * z + d >= 0.0);
        assert!(inside([0.0, 3.0, 0.0]));
        for outside in
            [[-2.0, 3.0, 0.0], [2.0, 3.0, 0.0], [0.0, 1.0, 0.0], [0.0, 5.0, 0.0], [0.0, 3.0, -4.0], [0.0, 3.0, 6.0]]
        {
            assert!(!inside(outside), "{outside:?}");
        }
    }
}
