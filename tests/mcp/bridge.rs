//! Goal: `swarmcast mcp` is a wire between its host and the engine: the token goes first and its answer stays, nothing else is touched,
//! and it ends, with a reason, when either side does.
//! Method: the real program, with this test as host and as engine.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Folder, refusing};
use crate::wire::Agent;

fn bridge(arguments: &[&str], token: Option<&str>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarmcast"));
    command.arg("mcp").args(arguments).env_remove("XDG_RUNTIME_DIR").env_remove("SWARMCAST_MCP_TOKEN");
    // Whatever this user has: nothing of it is for this test.
    command.env("XDG_DATA_HOME", "/nowhere");
    if let Some(token) = token {
        command.env("SWARMCAST_MCP_TOKEN", token);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn accept(listener: &TcpListener) -> (BufReader<TcpStream>, TcpStream) {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    (BufReader::new(stream.try_clone().unwrap()), stream)
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

#[test]
fn the_token_goes_first_and_bytes_go_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = bridge(&["--connect", &listener.local_addr().unwrap().to_string()], Some("se\"cret"));
    let (mut from, mut to) = accept(&listener);
    let first: serde_json::Value = serde_json::from_str(&line(&mut from)).unwrap();
    assert_eq!(
        (first["method"].as_str(), first["params"]["token"].as_str()),
        (Some("swarmcast/authenticate"), Some("se\"cret"))
    );
    // The answer and what follows it in one packet.
    to.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":\"swarmcast-mcp\",\"result\":{}}\n{\"early\":1}\n").unwrap();
    let mut host = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(line(&mut said), "{\"early\":1}\n");
    host.write_all(b"{\"a\":1}\n").unwrap();
    assert_eq!(line(&mut from), "{\"a\":1}\n");
    to.write_all(b"{\"b\":2}\n").unwrap();
    assert_eq!(line(&mut said), "{\"b\":2}\n");
    // The host goes; what is under way is still answered, then the bridge goes too.
    drop(host);
    assert_eq!(line(&mut from), "");
    to.write_all(b"{\"late\":3}\n").unwrap();
    drop((from, to));
    assert_eq!(line(&mut said), "{\"late\":3}\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_engine_that_goes_away_or_refuses_is_explained() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let words = |mut child: Child| {
        // `wait` closes the host's end, and a host that leaves first is no failure.
        let _host = child.stdin.take();
        assert!(!child.wait().unwrap().success());
        let mut words = String::new();
        child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        words
    };
    let child = bridge(&["--connect", &address], None);
    drop(accept(&listener));
    let said = words(child);
    assert!(said.contains("closed the connection") && said.contains(&address), "{said}");
    let child = bridge(&["--connect", &address], Some("wrong-token"));
    let (mut from, mut to) = accept(&listener);
    line(&mut from);
    to.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":\"swarmcast-mcp\",\"error\":{\"code\":4001,\"message\":\"this token is not known\"}}\n").unwrap();
    let said = words(child);
    assert!(said.contains("this token is not known") && !said.contains("wrong-token"), "{said}");
    assert!(words(bridge(&["--connect", "nowhere"], None)).contains("HOST:PORT"));
    assert!(
        words(bridge(&["--connect", &address, "--token-file", "/nonexistent/token"], None))
            .contains("/nonexistent/token")
    );
}

#[test]
fn an_engine_that_comes_late_is_waited_for() {
    let (socket, address) = refusing();
    let mut child = bridge(&["--connect", &address.to_string()], None);
    let mut words = BufReader::new(child.stderr.take().unwrap());
    assert!(line(&mut words).contains("no engine at"));
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let (mut from, _to) = accept(&listener);
    child.stdin.take().unwrap().write_all(b"{\"a\":1}\n").unwrap();
    assert_eq!(line(&mut from), "{\"a\":1}\n");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A bridge that looks for its engine in this folder of its user.
fn at_home(home: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarmcast"));
    command.arg("mcp").args(arguments).env("XDG_RUNTIME_DIR", home).env("XDG_DATA_HOME", home.join("data"));
    command.env_remove("SWARMCAST_MCP_TOKEN").env_remove("HOME");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends an engine that a bridge has started, also when the test fails.
struct Spawned(u32);

impl Spawned {
    /// Its number is in what the bridge says.
    fn of(words: &mut impl BufRead) -> Self {
        let said = loop {
            let said = line(words);
            assert!(!said.is_empty(), "nothing was started");
            if said.contains("started an engine") {
                break said;
            }
        };
        Self(said.trim().rsplit(' ').next().unwrap().parse().unwrap())
    }

    fn is_there(&self) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        // One that has ended and that nobody has asked about yet is a Z.
        !state.is_empty() && !state.rsplit(')').next().unwrap().trim_start().starts_with('Z')
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-9").arg(self.0.to_string()).status();
    }
}

const LIST: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\
\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":{}}}}\n";

/// What somebody who may do everything is shown.
fn lists_all(said: &mut impl BufRead) {
    let answer: serde_json::Value = serde_json::from_str(&line(said)).unwrap();
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(tools.iter().any(|tool| tool["name"] == "upsert_nodes"), "{answer}");
}

#[test]
fn an_engine_is_started_found_by_the_next_and_outlives_them() {
    let home = Folder::new("spawn");
    // Nobody else may look at a user's runtime folder.
    std::fs::set_permissions(&*home, std::fs::Permissions::from_mode(0o700)).unwrap();
    let flags = ["--spawn", "--", "--ephemeral", "--http", "127.0.0.1:0", "--tcp=", "--mcp="];
    let mut first = at_home(&home, &flags);
    let mut words = BufReader::new(first.stderr.take().unwrap());
    let engine = Spawned::of(&mut words);
    let mut host = first.stdin.take().unwrap();
    host.write_all(LIST).unwrap();
    let mut said = BufReader::new(first.stdout.take().unwrap());
    lists_all(&mut said);
    // Nothing but the engine's answers goes to the host, whatever the engine prints.
    drop(host);
    assert_eq!(line(&mut said), "");
    assert!(first.wait().unwrap().success());
    assert!(engine.is_there(), "it is for the next one too");

    let socket = home.join("swarmcast/mcp.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    for flags in
        [&[][..], &["--connect", &format!("unix:{}", socket.display())], &["--connect", socket.to_str().unwrap()]]
    {
        let mut next = at_home(&home, flags);
        next.stdin.take().unwrap().write_all(LIST).unwrap();
        let Output { status, stdout, stderr } = next.wait_with_output().unwrap();
        lists_all(&mut &*stdout);
        assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    }
    // The way that `nc -U` and `socat` have.
    let mut agent = Agent::unix(&socket);
    assert!(agent.is_there());

    // Its end is the bridge's, and is explained.
    let mut last = at_home(&home, &[]);
    let mut host = last.stdin.take().unwrap();
    host.write_all(LIST).unwrap();
    lists_all(&mut BufReader::new(last.stdout.as_mut().unwrap()));
    drop(engine);
    assert!(!last.wait().unwrap().success());
    let mut said = String::new();
    last.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("closed the connection") && said.contains("mcp.sock"), "{said}");
    assert!(agent.line().is_none());
    // What a killed engine left behind is in nobody's way.
    assert!(socket.exists());
    let mut again = at_home(&home, &flags);
    let engine = Spawned::of(&mut BufReader::new(again.stderr.take().unwrap()));
    again.stdin.take().unwrap().write_all(LIST).unwrap();
    lists_all(&mut BufReader::new(again.stdout.as_mut().unwrap()));
    assert!(again.wait().unwrap().success() && engine.is_there());
}

#[test]
fn over_tcp_the_token_beside_the_socket_is_shown() {
    let home = Folder::new("spawn-tcp");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let engine = ["--ephemeral", "--http", "127.0.0.1:0", "--tcp=", "--mcp", &address];
    let mut child = at_home(&home, &[&["--connect", &address, "--spawn", "--"], &engine[..]].concat());
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let _engine = Spawned::of(&mut words);
    child.stdin.take().unwrap().write_all(LIST).unwrap();
    // The engine is new, and so is its token: it was there before the door was open.
    lists_all(&mut BufReader::new(child.stdout.as_mut().unwrap()));
    assert!(child.wait().unwrap().success());
    let token = home.join("swarmcast/mcp.token");
    assert_eq!(std::fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    // By name as well, and from the variable before the file.
    let mut named = bridge(&["--connect", &address, "--token-file", token.to_str().unwrap()], None);
    named.stdin.take().unwrap().write_all(LIST).unwrap();
    lists_all(&mut &*named.wait_with_output().unwrap().stdout);
    let mut wrong = bridge(&["--connect", &address], Some("not the token of it"));
    let _host = wrong.stdin.take();
    let Output { status, stdout, stderr } = wrong.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && stdout.is_empty() && said.contains("not known"), "{said}");
}

#[test]
fn an_engine_that_never_comes_is_given_up_after_thirty_seconds() {
    let home = Folder::new("never");
    let (_held, nowhere) = refusing();
    let nowhere = nowhere.to_string();
    let begun = Instant::now();
    let mut child = at_home(&home, &["--connect", &nowhere]);
    let _host = child.stdin.take();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && stdout.is_empty());
    assert!((Duration::from_secs(30)..Duration::from_secs(36)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    for words in [nowhere.as_str(), "trying for 30 s", "no engine answered", "--spawn"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
