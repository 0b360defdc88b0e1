//! Who takes part, how each is started, and what of it is installed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::json;
use swarmcast::wire::HEADER_BYTES;
use swarmcast_bench::sender::{Load, RECORD_BYTES};
use swarmcast_bench::server::Server;

/// The bare send loop that everyone is compared with: a frame is one piece, and one `write` a client.
pub const FLOOR: &str = "floor";

/// The same with a shared head and a shared body, as the engine has them.
pub const FLOOR_WRITEV: &str = "floor-writev";

/// Ourselves.
pub const SWARMCAST: &str = "swarmcast";

/// Where the servers are.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The engine.
    pub engine: PathBuf,
    /// The bare sender.
    pub floor: PathBuf,
    /// The Rust peers.
    pub peer: PathBuf,
    /// The folder with `node` and `python`.
    pub scripts: PathBuf,
    /// Where graphs are written.
    pub graphs: PathBuf,
}

/// What one server is to send in one turn.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Payload of a message: a header and whole records.
    pub frame_bytes: usize,
    /// Connections.
    pub clients: usize,
    /// Messages a second.
    pub rate_hz: u32,
    /// Core of the thread that sends.
    pub core: Option<usize>,
}

/// One server of the contest.
#[derive(Clone, Debug)]
pub struct Player {
    /// As in `--only` and in the tables.
    pub name: &'static str,
    /// What it is, with versions.
    pub version: String,
    /// Why it cannot take part.
    pub absent: Option<String>,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    Floor {
        one_piece: bool,
    },
    Engine,
    /// A subcommand of `peer`.
    Peer,
    Script {
        program: PathBuf,
        script: PathBuf,
    },
}

/// Everyone, in the order of the tables; those that are not installed say so.
#[must_use]
pub fn field(paths: &Paths) -> Vec<Player> {
    let locked = locked_versions();
    let version = |name: &str| format!("{name} {}", locked.get(name).map_or("?", String::as_str));
    let rust = |name: &'static str, parts: &[&str]| {
        let parts: Vec<String> = parts.iter().map(|part| version(part)).collect();
        Player { name, version: parts.join(", "), absent: no_file(&paths.peer), how: How::Peer }
    };
    let floor = |name: &'static str, what: &str, one_piece: bool| {
        let (version, absent) = (format!("bare loop, one {what} a client"), no_file(&paths.floor));
        Player { name, version, absent, how: How::Floor { one_piece } }
    };
    vec![
        floor(FLOOR, "write of one piece", true),
        floor(FLOOR_WRITEV, "writev of two pieces", false),
        Player {
            name: SWARMCAST,
            version: format!("{}, over a simulated ring", env!("CARGO_PKG_VERSION")),
            absent: no_file(&paths.engine),
            how: How::Engine,
        },
        rust("tungstenite-mio", &["tungstenite", "mio"]),
        rust("tokio-tungstenite", &["tokio-tungstenite", "tokio"]),
        rust("axum", &["axum", "tokio"]),
        rust("fastwebsockets", &["fastwebsockets", "hyper", "tokio"]),
        node_ws(&paths.scripts),
        bun(&paths.scripts),
        uwebsockets(&paths.scripts),
    ]
}

fn no_file(path: &Path) -> Option<String> {
    (!path.exists()).then(|| format!("no {}; `cargo build --release --workspace` makes it", path.display()))
}

const SETUP: &str = "`sh bench/peers/setup.sh` installs it";

fn node_ws(scripts: &Path) -> Player {
    let folder = scripts.join("node");
    let node = said(Command::new("node").arg("--version"));
    let ws = package_version(&folder.join("node_modules/ws/package.json"));
    let (version, absent) = match (node, ws) {
        (Some(node), Some(ws)) => (format!("ws {ws}, Node {node}"), None),
        (None, _) => (String::new(), Some("no node".to_owned())),
        (_, None) => (String::new(), Some(SETUP.to_owned())),
    };
    let how = How::Script { program: PathBuf::from("node"), script: folder.join("ws.mjs") };
    Player { name: "node-ws", version, absent, how }
}

fn bun(scripts: &Path) -> Player {
    let folder = scripts.join("node");
    // One package a platform; npm installs the one that fits.
    let platforms = fs::read_dir(folder.join("node_modules/@oven")).into_iter().flatten().flatten();
    let program = platforms.map(|platform| platform.path().join("bin/bun")).find(|program| program.exists());
    let version = program.as_ref().and_then(|program| said(Command::new(program).arg("--version")));
    let absent = version.is_none().then(|| SETUP.to_owned());
    let version = version.map_or_else(String::new, |version| format!("Bun {version}, its fork of uWebSockets"));
    let how = How::Script { program: program.unwrap_or_default(), script: folder.join("bun.mjs") };
    Player { name: "bun", version, absent, how }
}

fn uwebsockets(scripts: &Path) -> Player {
    let folder = scripts.join("python");
    let program = folder.join(".venv/bin/python");
    let ask = "import socketify, importlib.metadata, platform; \
               print(importlib.metadata.version('socketify'), 'Python', platform.python_version())";
    // Without libuv the import fails.
    let version = said(Command::new(&program).args(["-c", ask]));
    let absent = version.is_none().then(|| SETUP.to_owned());
    let version = version.map_or_else(String::new, |version| format!("uWebSockets 20 in socketify {version}"));
    Player { name: "uwebsockets", version, absent, how: How::Script { program, script: folder.join("uwebsockets.py") } }
}

/// The first line that a command prints; none when it fails.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn package_version(path: &Path) -> Option<String> {
    let package: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

/// The versions that this program was built with; of two of one package the newer one, which is the one we name.
fn locked_versions() -> BTreeMap<String, String> {
    let lock: toml::Table = toml::from_str(include_str!("../../../Cargo.lock")).unwrap_or_default();
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for package in lock.get("package").and_then(toml::Value::as_array).into_iter().flatten() {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        if let (Some(name), Some(version)) = (text("name"), text("version")) {
            let numbers = |version: &str| -> Vec<u64> { version.split('.').flat_map(str::parse).collect() };
            if versions.get(&name).is_none_or(|other| numbers(other) < numbers(&version)) {
                versions.insert(name, version);
            }
        }
    }
    versions
}

impl Player {
    /// Is it the engine, which tells its metrics?
    #[must_use]
    pub fn is_engine(&self) -> bool {
        matches!(self.how, How::Engine)
    }

    /// Starts it; it is ready when this returns.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, paths: &Paths, asked: Asked) -> Result<Server> {
        let (bytes, rate) = (asked.frame_bytes.to_string(), asked.rate_hz.to_string());
        match &self.how {
            How::Floor { one_piece } => {
                let Asked { frame_bytes, clients, rate_hz, core } = asked;
                let load = Load { frame_bytes, clients, rate_hz: rate_hz.into(), one_piece: *one_piece };
                Server::floor(&paths.floor, load, core)
            }
            How::Engine => {
                let graph = ring(paths, (asked.frame_bytes - HEADER_BYTES) / RECORD_BYTES)?;
                // One thread that sends, as everyone else has.
                let more = ["--rate", &rate, "--set", "net.shards=1", "--set"].map(str::to_owned);
                let room = format!("net.connections_max={}", asked.clients + 16);
                Server::engine(&paths.engine, &graph, &[more.as_slice(), &[room]].concat())
            }
            How::Peer => {
                let mut command = Command::new(&paths.peer);
                command.arg(self.name).args(["--bytes", &bytes, "--rate", &rate]);
                if let Some(core) = asked.core {
                    command.args(["--core", &core.to_string()]);
                }
                Server::other(command)
            }
            How::Script { program, script } => {
                let mut command = Command::new(program);
                command.arg(script).args(["--bytes", &bytes, "--rate", &rate]);
                let server = Server::other(command)?;
                if let Some(core) = asked.core {
                    pin_main_thread(server.process(), core)?;
                }
                Ok(server)
            }
        }
    }
}

/// The thread that serves; helpers such as a garbage collector's may run where they like.
fn pin_main_thread(process: u32, core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    let process = i32::try_from(process).ok().and_then(Pid::from_raw).context("a process id")?;
    sched_setaffinity(Some(process), &set).with_context(|| format!("core {core} cannot be used"))
}

/// A graph whose frames have exactly the wanted size: a ring of `nodes`.
fn ring(paths: &Paths, nodes: usize) -> Result<PathBuf> {
    let path = paths.graphs.join(format!("ring-{nodes}.json"));
    if !path.exists() {
        let links = if nodes < 2 { 0 } else { nodes };
        let graph = json!({
            "directed": false,
            "nodes": (0..nodes).map(|id| json!({ "id": id })).collect::<Vec<_>>(),
            "links": (0..links).map(|id| json!({ "source": id, "target": (id + 1) % nodes })).collect::<Vec<_>>(),
        });
        fs::create_dir_all(&paths.graphs)?;
        fs::write(&path, graph.to_string()).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let versions = locked_versions();
        for name in ["tungstenite", "tokio-tungstenite", "axum", "fastwebsockets", "tokio", "hyper", "mio"] {
            assert!(versions.contains_key(name), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_says_why() {
        let nowhere = PathBuf::from("nowhere");
        let paths = Paths {
            engine: nowhere.clone(),
            floor: nowhere.clone(),
            peer: nowhere.clone(),
            scripts: nowhere.clone(),
            graphs: nowhere,
        };
        let field = field(&paths);
        assert_eq!(field.len(), 10);
        assert!(field.iter().all(|player| player.absent.is_some()), "{field:?}");
    }
}
