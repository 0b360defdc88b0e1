//! Layouts of others, as installed packages: each is a program that reads an edge list, runs, and writes positions.
//!
//! `setup.sh` installs them; what it could not install is reported as not installed. The command line and the answer are
//! described in `peers/node/adapter.mjs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::graph::Network;
use crate::ours::Taken;
use crate::points::Points;

/// What runs a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runtime {
    /// A script of ours for Node, and the package that must be there.
    Node(&'static str, &'static str),
    /// The Python of the virtual environment.
    Python,
    /// Debian's Python, which graph-tool is installed for.
    DebianPython,
    /// A program that the setup builds.
    Built(&'static str),
}

/// One layout of others.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// As the reports call it.
    pub name: &'static str,
    /// Dimensions that it draws in.
    pub dimensions: &'static [u8],
    /// Iterations of its own schedule, or what is usual.
    pub ticks: usize,
    /// Whether it can be stepped, so that a user could have it live.
    pub live: bool,
    /// Whether it is a crate.
    pub rust: bool,
    runtime: Runtime,
}

const FLAT: &[u8] = &[2];
const BOTH: &[u8] = &[2, 3];
const RUST: Runtime = Runtime::Built("rust/target/release/layout-peers");
const OGDF: Runtime = Runtime::Built("ogdf/build/ogdf");
const FA2_RUST: Runtime = Runtime::Built("forceatlas2/target/release/layout-peer-forceatlas2");
const FA2_NODE: Runtime = Runtime::Node("forceatlas2.mjs", "graphology-layout-forceatlas2");

/// All of them.
pub const PEERS: [Peer; 14] = [
    live("d3", BOTH, 300, Runtime::Node("d3.mjs", "d3-force-3d")),
    live("ngraph", BOTH, 500, Runtime::Node("ngraph.mjs", "ngraph.forcelayout")),
    live("graphology-fa2", FLAT, 500, FA2_NODE),
    Peer { rust: true, ..live("fjadra", FLAT, 300, RUST) },
    Peer { rust: true, ..live("fdg-sim", BOTH, 300, RUST) },
    Peer { rust: true, ..live("forceatlas2-rs", BOTH, 500, FA2_RUST) },
    batch("igraph", BOTH, 500, Runtime::Python),
    batch("networkx", BOTH, 50, Runtime::Python),
    batch("s_gd2", FLAT, 0, Runtime::Python),
    batch("sfdp", BOTH, 0, Runtime::Python),
    batch("graph-tool", FLAT, 0, Runtime::DebianPython),
    batch("fm3", FLAT, 0, OGDF),
    batch("fmme", FLAT, 0, OGDF),
    batch("pmds", FLAT, 0, OGDF),
];

const fn live(name: &'static str, dimensions: &'static [u8], ticks: usize, runtime: Runtime) -> Peer {
    Peer { name, dimensions, ticks, live: true, rust: false, runtime }
}

const fn batch(name: &'static str, dimensions: &'static [u8], ticks: usize, runtime: Runtime) -> Peer {
    Peer { live: false, ..live(name, dimensions, ticks, runtime) }
}

/// A layout that a peer made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Of its packages and its runtime.
    pub version: String,
    /// Where the nodes are.
    pub points: Points,
    /// What it took.
    pub taken: Taken,
}

/// What a peer's program prints.
#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    start_ms: Option<f64>,
    ticks: Option<usize>,
    tick_ms: Option<f64>,
    whole_ms: Option<f64>,
    repulsion_error: Option<f64>,
}

impl Peer {
    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PEERS.iter().find(|peer| peer.name == name)
    }

    /// Why it cannot run here; `None` when it can.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        let here = home();
        let found = match self.runtime {
            Runtime::Node(_, package) => here.join("node/node_modules").join(package).exists(),
            Runtime::Built(program) => here.join(program).exists(),
            Runtime::Python => python().exists() && (self.name != "sfdp" || answers(Command::new("sfdp").arg("-V"))),
            Runtime::DebianPython => answers(Command::new(DEBIAN_PYTHON).args(["-c", "import graph_tool.draw"])),
        };
        (!found).then_some("not installed")
    }

    /// Lays `network` out. A live peer stops by itself after `seconds` of processor time; one that has not ended after
    /// `wall_limit` is ended.
    ///
    /// # Errors
    /// When the program fails, is late, or answers something else than a layout of all nodes.
    pub fn lay_out(
        &self,
        network: &Network,
        dimensions: u8,
        seed: u64,
        seconds: u64,
        wall_limit: Duration,
    ) -> Result<Made> {
        let folder = Scratch::new()?;
        let (graph, out) = (folder.0.join("graph.edges"), folder.0.join("layout.csv"));
        network.write(&graph)?;
        let mut command = self.command();
        command.arg(&graph).arg(&out);
        command.args([dimensions.into(), self.ticks as u64, seed, seconds].map(|number: u64| number.to_string()));
        let text = finish(command, &folder.0, wall_limit)?;
        let answer = text.lines().last().context("no answer")?;
        let answer: Answer = serde_json::from_str(answer).with_context(|| format!("{answer:?}"))?;
        let points = Points::read(&out, network.node_count)?;
        ensure!(points.dimensions == usize::from(dimensions), "{} dimensions", points.dimensions);
        let steps = answer.ticks.zip(answer.tick_ms).map_or(0.0, |(ticks, ms)| ticks as f64 * ms);
        let start_ms = answer.start_ms.unwrap_or(0.0);
        let taken = Taken {
            start_ms,
            ticks: answer.ticks,
            tick_ms: answer.tick_ms,
            tick_wall_ms: None,
            whole_ms: answer.whole_ms.unwrap_or(start_ms + steps),
            repulsion_error: answer.repulsion_error,
        };
        Ok(Made { version: answer.version, points, taken })
    }

    fn command(&self) -> Command {
        let here = home();
        let mut command = match self.runtime {
            Runtime::Node(script, _) => {
                let mut command = Command::new("node");
                command.arg(here.join("node").join(script));
                return command;
            }
            Runtime::Built(program) => Command::new(here.join(program)),
            Runtime::Python => Command::new(python()),
            Runtime::DebianPython => Command::new(DEBIAN_PYTHON),
        };
        if matches!(self.runtime, Runtime::Python | Runtime::DebianPython) {
            command.arg(here.join("python/peers.py"));
        }
        command.arg(self.name);
        command
    }
}

const DEBIAN_PYTHON: &str = "/usr/bin/python3";

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn python() -> PathBuf {
    home().join("python/.venv/bin/python")
}

/// Whether a command can be run and ends well.
fn answers(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs a command to its end and returns what it printed. Files take its output, so that a full pipe cannot hold it up.
fn finish(mut command: Command, folder: &Path, limit: Duration) -> Result<String> {
    let (said, complained) = (folder.join("stdout"), folder.join("stderr"));
    command.stdin(Stdio::null()).stdout(fs::File::create(&said)?).stderr(fs::File::create(&complained)?);
    let mut child = command.spawn().context("could not be started")?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("ended after {:.0} s", limit.as_secs_f64());
        }
        sleep(Duration::from_millis(20));
    };
    let complaint = fs::read_to_string(complained)?;
    ensure!(status.success(), "{status}: {}", complaint.lines().last().unwrap_or_default());
    Ok(fs::read_to_string(said)?)
}

/// A folder that goes when this does.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("swarmcast-layout-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is only in the way of nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
