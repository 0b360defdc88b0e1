//! Goal: clients that this project did not write work with a live graph over every door and in every era: Python `mcp`, both TypeScript
//! SDKs, the Inspector; and every message that goes by is as the official schema of its revision says.
//! Method: the programs in `tests/mcp` against the real server, through a wire that is listened to (`tap.py`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use serde_json::Value;

use crate::support::{Folder, Server, repository};

fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let done = Command::new("sh").arg(repository("tests/mcp/setup.sh")).output().unwrap();
        assert!(done.status.success(), "tests/mcp/setup.sh: {}", String::from_utf8_lossy(&done.stderr));
    });
}

fn node() -> PathBuf {
    let name = format!("node-linux-{}/bin/node", if cfg!(target_arch = "x86_64") { "x64" } else { "arm64" });
    repository("tests/mcp/node_modules").join(name)
}

fn python() -> PathBuf {
    repository("tests/mcp/.venv/bin/python")
}

/// The engine, and the addresses of its doors for agents.
struct Engine {
    _server: Server,
    folder: Folder,
    http: String,
    tcp: String,
}

impl Engine {
    fn start(name: &str) -> Self {
        Self::with(name, &[])
    }

    fn with(name: &str, flags: &[&str]) -> Self {
        set_up();
        let folder = Folder::new(name);
        let token_file = format!("mcp.token_file={}", folder.join("token").display());
        let server = Server::start(&[&["--mcp", "127.0.0.1:0", "--set", &token_file], flags].concat());
        let line = server.banner.lines().find(|line| line.contains("mcp at")).unwrap();
        let tcp = line.split("mcp at ").nth(1).unwrap().split(',').next().unwrap().to_owned();
        Self { http: server.http.to_string(), tcp, _server: server, folder }
    }

    fn token_file(&self) -> String {
        self.folder.join("token").display().to_string()
    }

    /// The command that a host would be told, joined by spaces.
    fn bridge(&self, address: &str) -> String {
        format!("{} mcp --connect {address} --token-file {}", env!("CARGO_BIN_EXE_swarmcast"), self.token_file())
    }
}

/// A wire that is listened to.
struct Tap {
    child: Child,
    from: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Tap {
    fn start(upstream: &str) -> Self {
        let mut child = Command::new(python())
            .arg(repository("tests/mcp/tap.py"))
            .arg(upstream)
            .arg(repository("tests/data/mcp"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut from = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        from.read_line(&mut address).unwrap();
        Self { child, from, address: address.trim().to_owned() }
    }

    /// Everything that went by was as the schemas say, and it was at least `least` messages of this revision's kinds.
    fn hold(mut self, least: u64, version: &str) {
        drop(self.child.stdin.take());
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert!(self.child.wait().unwrap().success());
        let report: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(report["ok"], true, "{}", report["errors"]);
        assert!(report["messages"].as_u64().unwrap() >= least, "{report}");
        let kinds = report["kinds"][version].as_array().unwrap_or_else(|| panic!("nothing of {version}: {report}"));
        for kind in ["server tools/list", "server tools/call", "server notifications/resources/updated"] {
            assert!(kinds.iter().any(|found| found == kind), "{kind} did not go by: {report}");
        }
    }
}

/// Runs a client to its end.
fn run(program: PathBuf, arguments: &[&str]) -> String {
    // `timeout` ends a client that hangs; its own limits are shorter.
    let done = Command::new("timeout").arg("120").arg(program).args(arguments).output().unwrap();
    let (out, said) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{arguments:?}: {}\n{said}\n{out}", done.status);
    out.into_owned()
}

fn ok(out: &str) {
    let result: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(result["ok"], true, "{result}");
}

const NEWEST_OLD: &str = "2025-11-25";
const NEWEST: &str = "2026-07-28";

#[test]
fn the_python_sdk_over_every_door_in_every_mode() {
    let engine = Engine::start("python");
    let program = repository("tests/mcp/client_python.py").display().to_string();
    for (mode, version) in [("legacy", NEWEST_OLD), ("auto", NEWEST), (NEWEST, NEWEST)] {
        for way in ["http", "tcp", "stdio"] {
            let tap = Tap::start(if way == "http" { &engine.http } else { &engine.tcp });
            let address = match way {
                "http" => format!("http://{}/mcp", tap.address),
                "tcp" => tap.address.clone(),
                _ => engine.bridge(&tap.address),
            };
            ok(&run(python(), &[&program, mode, way, &address, &engine.token_file()]));
            tap.hold(20, version);
        }
    }
}

#[test]
fn the_typescript_sdks_over_http_and_the_bridge() {
    let engine = Engine::start("typescript");
    let program = repository("tests/mcp/client_node.mjs").display().to_string();
    for (sdk, mode, version) in
        [("v1", "legacy", NEWEST_OLD), ("v2", "legacy", NEWEST_OLD), ("v2", "auto", NEWEST), ("v2", NEWEST, NEWEST)]
    {
        for way in ["http", "stdio"] {
            let tap = Tap::start(if way == "http" { &engine.http } else { &engine.tcp });
            let address = match way {
                "http" => format!("http://{}/mcp", tap.address),
                _ => engine.bridge(&tap.address),
            };
            ok(&run(node(), &[&program, sdk, mode, way, &address, &engine.token_file()]));
            tap.hold(20, version);
        }
    }
}

#[test]
fn a_memory_is_what_the_reference_memory_server_is() {
    let folder = Folder::new("memory-graph");
    let file = folder.write("graph.json", r#"{"nodes":[{"id":"anchor","group":"thing"}],"edges":[]}"#);
    let engine = Engine::with("memory", &["--toolsets", "memory", "--graph", &file.display().to_string()]);
    let program = repository("tests/mcp/client_memory.mjs").display().to_string();
    let kept = engine.folder.join("memory.jsonl").display().to_string();
    let said = run(node(), &[&program, &kept, &engine.bridge(&engine.tcp)]);
    ok(&said);
    let said: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!((said["tools"].as_u64(), said["calls"].as_u64() > Some(25)), (Some(9), true), "{said}");
}

#[test]
fn the_inspector_over_http_and_the_bridge() {
    let engine = Engine::start("inspector");
    let inspector = repository("tests/mcp/node_modules/.bin/mcp-inspector").display().to_string();
    let token = std::fs::read_to_string(engine.token_file()).unwrap();
    let authorization = format!("Authorization: Bearer {}", token.trim());
    let url = format!("http://{}/mcp", engine.http);
    let bridge = engine.bridge(&engine.tcp);
    for era in ["legacy", "auto", "modern"] {
        for way in ["http", "stdio"] {
            let mut arguments = vec![inspector.as_str(), "--cli"];
            match way {
                "http" => arguments.extend(["--server-url", &url, "--transport", "http", "--header", &authorization]),
                _ => arguments.extend(bridge.split(' ')),
            }
            arguments.extend(["--protocol-era", era, "--format", "json", "-q"]);
            for (asks, member) in [
                (vec!["--method", "tools/list", "--strict"], "tools"),
                (vec!["--method", "resources/list"], "resources"),
                (vec!["--method", "prompts/list"], "prompts"),
                (vec!["--method", "tools/call", "--tool-name", "graph_overview"], "structuredContent"),
            ] {
                // A schema that is not portable between models is exit status 6.
                let out = run(node(), &[&arguments[..], &asks].concat());
                let said: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
                assert!(!said["result"][member].is_null(), "{era} {way} {asks:?}: {out}");
            }
        }
    }
}
