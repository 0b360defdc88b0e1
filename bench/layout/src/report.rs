//! The results for people: what was asked for and whether it was met, then every graph.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use swarmcast_bench::report::short;
use swarmcast_bench::round::median;

use crate::change::Change;
use crate::compare::{Entry, PeerRow, Results, Row, middle};

/// Batch layouts whose stress ours is held against.
const STRESS_BARS: [&str; 4] = ["sfdp", "fm3", "fmme", "graph-tool"];

/// Repulsion error of d3-force in the plane, which ours may not exceed where its speed is compared.
const D3_ERROR: f64 = 0.0105;

/// One line of what was asked for.
struct Demand {
    what: String,
    found: Option<f64>,
    /// What makes the difference between a number and its meaning, like the graph that it comes from.
    note: String,
    least: f64,
    aimed: f64,
    /// Whether more is better.
    more: bool,
}

impl Demand {
    fn line(&self) -> String {
        let sign = if self.more { "≥" } else { "≤" };
        let Self { what, note, least, aimed, .. } = self;
        let (found, verdict) = match self.found {
            None => ("-".to_owned(), "not measured"),
            Some(found) => {
                let reaches = |bar: f64| if self.more { found >= bar } else { found <= bar };
                let verdict = if reaches(*aimed) {
                    "**as aimed**"
                } else if reaches(*least) {
                    "**met**"
                } else {
                    "missed"
                };
                (short(found), verdict)
            }
        };
        format!("| {what} | {found} {note} | {sign} {} | {sign} {} | {verdict} |", short(*least), short(*aimed))
    }
}

/// Writes `stem`.md and `stem`.json.
///
/// # Errors
/// When they cannot be written.
pub fn write(stem: &Path, results: &Results) -> Result<()> {
    if let Some(folder) = stem.parent() {
        fs::create_dir_all(folder)?;
    }
    let place = |extension: &str| stem.with_file_name(format!("{}.{extension}", stem_name(stem)));
    fs::write(place("json"), serde_json::to_string_pretty(results)? + "\n")?;
    fs::write(place("md"), text(results)?).with_context(|| stem.display().to_string())
}

/// The last part of the path; `with_extension` would cut a date with dots in it.
fn stem_name(stem: &Path) -> String {
    stem.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn text(results: &Results) -> Result<String> {
    let mut out = String::from("# Layouts\n\n");
    let machine = &results.machine;
    writeln!(out, "- command: `{}`\n- commit: {}", machine.command, machine.commit)?;
    let (processor, cores, kernel) = (&machine.processor, machine.cores, &machine.kernel);
    writeln!(out, "- machine: {processor} ({cores} cores), {kernel}; load average before: {}", machine.load_before)?;
    writeln!(
        out,
        "- {} steps of ours from nothing, one thread; times are processor time, medians over rounds",
        results.ticks
    )?;
    for version in versions(results) {
        writeln!(out, "- {version}")?;
    }
    out.push_str("\n## What was asked for\n\n| what | found | at least | aimed | |\n|---|---|---|---|---|\n");
    for demand in demands(results) {
        writeln!(out, "{}", demand.line())?;
    }
    for row in &results.rows {
        row_text(&mut out, row)?;
    }
    if !results.changes.is_empty() {
        out.push_str("\n## One node in a hundred taken out and put back\n\n");
        out.push_str("Every line is another choice of nodes and another layout; what was asked for is held against the median of a graph's lines.\n\n");
        out.push_str("| graph | added | np1: after, from nothing | stress: after, from nothing | old nodes moved: median, p95, edges |\n|---|---|---|---|---|\n");
        for change in &results.changes {
            let (np1, np1_scratch, stress) = (change.np1, change.np1_scratch, change.stress);
            let (graph, dimensions, added) = (&change.graph, change.dimensions, change.added);
            let (median, p95, stress_scratch) = (change.moved_median, change.moved_p95, change.stress_scratch);
            write!(out, "| {graph} {dimensions}D | {added} | {np1:.3}, {np1_scratch:.3} ")?;
            writeln!(out, "| {stress:.4}, {stress_scratch:.4} | {median:.2}, {p95:.2} |")?;
        }
    }
    if !results.growth.is_empty() {
        out.push_str("\n## Growth, 3D\n\n| graph | nodes | tick, ms | two threads: ms of both, ms on the clock | start, ms |\n|---|---|---|---|---|\n");
        for growth in &results.growth {
            let (tick, start) = (short(growth.tick_ms), short(growth.start_ms));
            let [both, wall] =
                [growth.two_threads_ms, growth.two_threads_wall_ms].map(|ms| short(ms.unwrap_or(f64::NAN)));
            writeln!(out, "| {} | {} | {tick} | {both}, {wall} | {start} |", growth.graph, growth.nodes)?;
        }
    }
    Ok(out)
}

fn versions(results: &Results) -> Vec<String> {
    let peers = results.rows.iter().flat_map(|row| &row.peers);
    let mut versions: Vec<String> =
        peers.filter_map(|peer| Some(format!("{}: {}", peer.name, peer.version.as_ref()?))).collect();
    versions.sort();
    versions.dedup();
    versions
}

fn row_text(out: &mut String, row: &Row) -> Result<()> {
    let Row { graph, nodes, edges, dimensions, .. } = row;
    writeln!(out, "\n## {graph}, {dimensions}D: {nodes} nodes, {edges} edges\n")?;
    out.push_str(
        "| layout | stress | np1 | np2 | edge spread | steps | ms a step | to ours | start, ms | whole, s | repulsion error |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    entries_text(out, "**swarmcast**", &row.ours, None)?;
    for peer in &row.peers {
        match (&peer.not_measured, peer.rounds.is_empty()) {
            (Some(why), true) => writeln!(out, "| {} | not measured: {why} | | | | | | | | | |", peer.name)?,
            _ => entries_text(out, &peer.name, &peer.rounds, peer.ratio())?,
        }
    }
    Ok(())
}

fn entries_text(out: &mut String, name: &str, entries: &[Entry], ratio: Option<f64>) -> Result<()> {
    let of = |value: &dyn Fn(&Entry) -> Option<f64>, digits: usize| {
        middle(entries, value).map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let stress = of(&|entry| Some(entry.score.as_ref()?.stress), 4);
    let np1 = of(&|entry| Some(entry.score.as_ref()?.np1), 3);
    let np2 = of(&|entry| Some(entry.score.as_ref()?.np2), 3);
    let spread = of(&|entry| Some(entry.score.as_ref()?.edge_spread), 2);
    let ticks = of(&|entry| entry.taken.ticks.map(|ticks| ticks as f64), 0);
    let tick = of(&|entry| entry.taken.tick_ms, 3);
    let start = of(&|entry| (entry.taken.start_ms > 0.0).then_some(entry.taken.start_ms), 1);
    let whole = of(&|entry| Some(entry.taken.whole_ms / 1e3), 2);
    let error = of(&|entry| entry.taken.repulsion_error, 4);
    let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{} ×", short(ratio)));
    writeln!(
        out,
        "| {name} | {stress} | {np1} | {np2} | {spread} | {ticks} | {tick} | {ratio} | {start} | {whole} | {error} |"
    )?;
    Ok(())
}

fn demands(results: &Results) -> Vec<Demand> {
    let mut demands = speed(results);
    demands.push(worst_error(results));
    demands.extend(growth(results));
    demands.extend(quality(results));
    demands.extend(change(results));
    demands
}

/// Ratios at 10,000 nodes and 50,000 edges.
fn speed(results: &Results) -> Vec<Demand> {
    let row = |dimensions: u8| results.rows.iter().find(|row| row.graph == "comm10k" && row.dimensions == dimensions);
    let ratio = |dimensions: u8, name: &str| row(dimensions)?.peers.iter().find(|peer| peer.name == name)?.ratio();
    let crates = |dimensions: u8| {
        let rust = row(dimensions)?.peers.iter().filter(|peer| peer.rust);
        rust.filter_map(|peer| Some((peer.ratio()?, peer.name.clone())))
            .min_by(|left, right| left.0.total_cmp(&right.0))
    };
    let fast = |what: &str, found: Option<f64>, note: String, least: f64, aimed: f64| Demand {
        what: what.to_owned(),
        found,
        note: format!("× {note}"),
        least,
        aimed,
        more: true,
    };
    let flat_to_d3 = |graph: &str, what: &str| {
        let row = results.rows.iter().find(|row| row.graph == graph && row.dimensions == 2);
        let even = row.and_then(|row| row.peers.iter().find(|peer| peer.name == "d3")?.even());
        let fair = even.is_some_and(|(_, error)| error <= D3_ERROR);
        let note = even.map_or_else(String::new, |(_, error)| {
            let held = if fair { "" } else { ", above the 1.05 % of d3-force: does not count" };
            format!("(our error {:.2} %{held})", error * 100.0)
        });
        fast(what, even.filter(|_| fair).map(|even| even.0), note, 40.0, 100.0)
    };
    let named =
        |found: &Option<(f64, String)>| found.as_ref().map_or_else(String::new, |(_, name)| format!("({name})"));
    let (space, flat) = (crates(3), crates(2));
    vec![
        fast("3D step, 10,000 nodes, to d3-force-3d", ratio(3, "d3"), String::new(), 40.0, 100.0),
        flat_to_d3("comm10k", "2D step, 10,000 nodes, to d3-force"),
        flat_to_d3("comm50k", "2D step, 50,000 nodes, to d3-force"),
        fast(
            "3D step, 10,000 nodes, to the fastest crate",
            space.as_ref().map(|found| found.0),
            named(&space),
            12.0,
            40.0,
        ),
        fast(
            "2D step, 10,000 nodes, to the fastest crate",
            flat.as_ref().map(|found| found.0),
            named(&flat),
            8.0,
            20.0,
        ),
    ]
}

fn worst_error(results: &Results) -> Demand {
    let rows = results.rows.iter().filter(|row| row.dimensions == 3);
    let errors = rows.filter_map(|row| Some((middle(&row.ours, |entry| entry.taken.repulsion_error)?, &row.graph)));
    let worst = errors.max_by(|left, right| left.0.total_cmp(&right.0));
    Demand {
        what: "3D repulsion against the exact sum, rms, worst graph".to_owned(),
        found: worst.map(|worst| worst.0 * 100.0),
        note: worst.map_or_else(String::new, |worst| format!("% ({})", worst.1)),
        least: 3.0,
        aimed: 1.5,
        more: false,
    }
}

/// How a step grows from the smallest to the largest graph, and the start of the one of 100,000 nodes.
fn growth(results: &Results) -> Vec<Demand> {
    let smallest = results.growth.iter().min_by_key(|growth| growth.nodes);
    let largest = results.growth.iter().max_by_key(|growth| growth.nodes);
    let ends = smallest.zip(largest).filter(|(small, large)| small.nodes < large.nodes);
    let exponent = ends
        .map(|(small, large)| (large.tick_ms / small.tick_ms).ln() / (large.nodes as f64 / small.nodes as f64).ln());
    let note = ends.map_or_else(String::new, |(small, large)| format!("(n^x from {} to {})", small.nodes, large.nodes));
    let large = results.growth.iter().find(|growth| growth.nodes == 100_000);
    let start = large.map(|growth| growth.start_ms / 1e3);
    vec![
        Demand {
            what: "3D step of 100,000 nodes and 500,000 edges, two cores, on the clock".to_owned(),
            found: large.and_then(|growth| growth.two_threads_wall_ms),
            note: "ms".to_owned(),
            least: 33.0,
            aimed: 12.0,
            more: false,
        },
        Demand { what: "growth of a 3D step".to_owned(), found: exponent, note, least: 1.2, aimed: 1.1, more: false },
        Demand {
            what: "start of 100,000 nodes and 500,000 edges, 3D".to_owned(),
            found: start,
            note: "s".to_owned(),
            least: 0.5,
            aimed: 0.2,
            more: false,
        },
    ]
}

/// The worst graph in each respect.
fn quality(results: &Results) -> Vec<Demand> {
    type Value = fn(&crate::score::Score) -> f64;
    let of = |entries: &[Entry], value: Value| middle(entries, |entry| entry.score.as_ref().map(value));
    let best = |row: &Row, value: Value, more: bool, among: &dyn Fn(&PeerRow) -> bool| {
        let peers = row.peers.iter().filter(|peer| among(peer)).filter_map(|peer| of(&peer.rounds, value));
        peers.reduce(if more { f64::max } else { f64::min })
    };
    let worst = |what: &str, value: Value, more: bool, bars: [f64; 2], among: &dyn Fn(&PeerRow) -> bool| {
        let ratios = results.rows.iter().filter_map(|row| {
            let ratio = of(&row.ours, value)? / best(row, value, more, among)?;
            ratio.is_finite().then(|| (ratio, format!("× ({} {}D)", row.graph, row.dimensions)))
        });
        let found = ratios.reduce(|left, right| if (right.0 < left.0) == more { right } else { left });
        let (found, note) = found.map_or((None, String::new()), |(ratio, note)| (Some(ratio), note));
        Demand { what: what.to_owned(), found, note, least: bars[0], aimed: bars[1], more }
    };
    let anybody = |_: &PeerRow| true;
    let bar = |peer: &PeerRow| STRESS_BARS.contains(&peer.name.as_str());
    vec![
        worst(
            "stress to the best of sfdp, FM3, FMME, graph-tool, worst graph",
            |score| score.stress,
            false,
            [1.2, 1.05],
            &bar,
        ),
        worst("np1 to the best of all, worst graph", |score| score.np1, true, [1.0, 1.5], &anybody),
        worst("np2 to the best of all, worst graph", |score| score.np2, true, [0.9, 1.0], &anybody),
    ]
}

fn change(results: &Results) -> Vec<Demand> {
    // Draws of one graph stand together.
    let graphs =
        || results.changes.chunk_by(|left, right| (&left.graph, left.dimensions) == (&right.graph, right.dimensions));
    let over = |value: fn(&Change) -> f64| {
        graphs().filter_map(move |draws| Some((median(draws.iter().map(value)), draws.first()?)))
    };
    let kept = over(|change| change.np1 / change.np1_scratch).min_by(|left, right| left.0.total_cmp(&right.0));
    let moved = over(|change| change.moved_median).max_by(|left, right| left.0.total_cmp(&right.0));
    let note = |unit: &str, found: &Option<(f64, &Change)>| {
        found.map_or_else(String::new, |(_, change)| {
            format!("{unit} ({} {}D, median of draws)", change.graph, change.dimensions)
        })
    };
    vec![
        Demand {
            what: "1 % of the nodes added, 30 steps: np1 to that from nothing, worst graph".to_owned(),
            found: kept.map(|kept| kept.0),
            note: note("×", &kept),
            least: 0.97,
            aimed: 0.99,
            more: true,
        },
        Demand {
            what: "the same: median move of the old nodes, worst graph".to_owned(),
            found: moved.map(|moved| moved.0),
            note: note("edges", &moved),
            least: 0.7,
            aimed: 0.3,
            more: false,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_says_how_far_it_is_met() {
        let verdict = |found: Option<f64>, more: bool, least: f64, aimed: f64| {
            let (what, note) = ("x".to_owned(), String::new());
            let line = Demand { what, found, note, least, aimed, more }.line();
            line.rsplit('|').nth(1).map(|cell| cell.trim().to_owned()).unwrap()
        };
        assert_eq!(verdict(Some(39.9), true, 40.0, 100.0), "missed");
        assert_eq!(verdict(Some(40.0), true, 40.0, 100.0), "**met**");
        assert_eq!(verdict(Some(100.0), true, 40.0, 100.0), "**as aimed**");
        assert_eq!(verdict(Some(1.21), false, 1.2, 1.05), "missed");
        assert_eq!(verdict(Some(1.2), false, 1.2, 1.05), "**met**");
        assert_eq!(verdict(Some(0.9), false, 1.2, 1.05), "**as aimed**");
        assert_eq!(verdict(None, false, 1.2, 1.05), "not measured");
        assert_eq!(verdict(Some(f64::NAN), true, 1.2, 1.05), "missed");
    }
}
