//! A process to measure: the engine, or the bare sender.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::sender::Load;

/// The engine of the same build as `bench`. `cargo test --workspace` has built it; a run of one package alone may not have.
///
/// # Errors
/// When it cannot be built.
pub fn beside(bench: &Path) -> Result<PathBuf> {
    let engine = bench.with_file_name("swarmcast");
    if !engine.exists() {
        let profile = if bench.parent().is_some_and(|folder| folder.ends_with("release")) { "release" } else { "test" };
        let built =
            Command::new(env!("CARGO")).args(["build", "--package", "swarmcast", "--profile", profile]).status()?;
        if !built.success() {
            bail!("cargo build --package swarmcast: {built}");
        }
    }
    Ok(engine)
}

/// A started server. It ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Kept open: a server whose output nobody takes is another server.
    _output: BufReader<ChildStdout>,
    /// Where its clients connect.
    pub address: SocketAddr,
    /// The core that its first shard is pinned to, as it says.
    pub shard_core: Option<usize>,
}

impl Server {
    /// The engine over `graph`, never at rest unless `more` says so, on a free port.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn engine(binary: &Path, graph: &Path, more: &[String]) -> Result<Self> {
        let mut command = Command::new(binary);
        command.arg("--graph").arg(graph).args(["--http", "127.0.0.1:0", "--tcp", "", "--mcp=", "--log", "warn"]);
        // A key may be set once only.
        let of = |key: &str| more.iter().any(|option| option.starts_with(key));
        for motion in
            ["sim.cooling=0", "sim.settle_velocity=0"].iter().filter(|motion| !of(motion.trim_end_matches('0')))
        {
            command.args(["--set", motion]);
        }
        command.args(more);
        Self::start(command)
    }

    /// The engine over the store at `path`, as a user starts it, on a free port.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn kept(binary: &Path, path: &Path, more: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary);
        command.arg("--store").arg(path).args(["--http", "127.0.0.1:0", "--tcp", "", "--mcp=", "--log", "warn"]);
        command.args(more);
        Self::start(command)
    }

    /// The bare sender of `load`, on `core`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn floor(binary: &Path, load: Load, core: Option<usize>) -> Result<Self> {
        let mut command = Command::new(binary);
        command.arg("send").args(["--bytes", &load.frame_bytes.to_string(), "--clients", &load.clients.to_string()]);
        command.args(["--rate", &load.rate_hz.to_string()]).args(load.one_piece.then_some("--one-piece"));
        if let Some(core) = core {
            command.args(["--core", &core.to_string()]);
        }
        Self::start(command)
    }

    /// A server of somebody else, which says where it streams as ours do.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn other(command: Command) -> Result<Self> {
        Self::start(command)
    }

    /// All say `stream  ws://ADDRESS/stream` when they are ready.
    fn start(mut command: Command) -> Result<Self> {
        let name = command.get_program().display().to_string();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}; build it with `cargo build --release --workspace`"))?;
        let mut output = BufReader::new(child.stdout.take().context("a pipe was asked for")?);
        let mut shard_core = None;
        let mut line = String::new();
        loop {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                let status = child.wait()?;
                bail!("{name} ended before it was ready: {status}");
            }
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("shard-0"), Some("core"), Some(core)) => shard_core = core.parse().ok(),
                (Some("stream"), Some(url), _) => {
                    let host = url.trim_start_matches("ws://").split('/').next().unwrap_or("");
                    let address = host.parse().with_context(|| format!("{url} has no address"))?;
                    return Ok(Self { child, _output: output, address, shard_core });
                }
                _ => {}
            }
        }
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
