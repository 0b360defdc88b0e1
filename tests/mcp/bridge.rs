//! Goal: `swarmcast mcp` is a wire between its host and the engine: the token goes first and its answer stays, nothing else is touched,
//! and it ends, with a reason, when either side does.
//! Method: the real program, with this test as host and as engine.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child = bridge(&["--connect", &port.to_string()], None);
    let mut words = BufReader::new(child.stderr.take().unwrap());
    assert!(line(&mut words).contains("no engine at"));
    let listener = TcpListener::bind(port).unwrap();
    let (mut from, _to) = accept(&listener);
    child.stdin.take().unwrap().write_all(b"{\"a\":1}\n").unwrap();
    assert_eq!(line(&mut from), "{\"a\":1}\n");
    child.kill().unwrap();
    child.wait().unwrap();
}
