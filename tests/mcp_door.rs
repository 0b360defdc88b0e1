//! Goal: the door of MCP carries lines whole and in order, holds a client back instead of holding memory, and closes on what is no MCP.
//! Method: the real door over real sockets, with this test in the place of `control`; and `swarmcast mcp` in front of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/mcp.rs"]
mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Engine, TOKEN, me, modern, request};
use swarmcast::base::Handle;
use swarmcast::handoff::{Doorbell, McpInput, McpListener, McpOutput, Overflow, lane};
use swarmcast::mcp::Session;
use swarmcast::net::{McpDoor, McpLanes, bind_unix, poll_with_bell};

struct Running {
    tcp: SocketAddr,
    unix: PathBuf,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A door, and a thread that answers in the place of `control`. Both live as long as the process.
fn start(connections_max: usize) -> Running {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("swarmcast-mcp-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    let unix = folder.join("run/mcp.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    let address = tcp.local_addr().unwrap();
    let (poll, bell) = poll_with_bell().unwrap();
    let (lines, mut input) = lane::<McpInput>("lines", 64, Overflow::Refuse, Arc::new(Doorbell::silent()));
    let (mut output, answers) = lane::<McpOutput>("answers", 64, Overflow::Refuse, Arc::clone(&bell));
    let (stop_out, stop) = lane::<()>("stop", 1, Overflow::Conflate, Arc::clone(&bell));
    let listener = bind_unix(&unix).unwrap();
    let door = McpDoor::new(poll, bell, Some(tcp), Some(listener), McpLanes { lines, answers, stop }, connections_max)
        .unwrap();
    thread::spawn(move || door.run().unwrap());
    thread::spawn(move || {
        let _stop = stop_out;
        let mut engine = Engine::sample(12);
        let mut sessions: HashMap<Handle, Session> = HashMap::new();
        loop {
            let Some(input) = input.pop() else {
                thread::sleep(Duration::from_micros(100));
                continue;
            };
            let (connection, answer) = match input {
                McpInput::Opened { connection, listener } => {
                    let principal = (listener == McpListener::Unix).then(me);
                    sessions.insert(connection, Session::new(principal));
                    continue;
                }
                McpInput::Closed { connection } => {
                    assert!(sessions.remove(&connection).is_some(), "what is closed was opened");
                    continue;
                }
                McpInput::Line { connection, line } => {
                    (connection, engine.feed(sessions.get_mut(&connection).unwrap(), &line))
                }
                McpInput::TooLong { connection } => {
                    let mut out = Vec::new();
                    let goes_on = sessions.get_mut(&connection).unwrap().too_long(&mut out);
                    (connection, goes_on.then_some(out))
                }
            };
            let close = answer.is_none();
            let mut item = McpOutput { connection, bytes: answer.unwrap_or_default().into(), done: 1, close };
            while let Err(back) = output.push(item) {
                item = back;
                thread::sleep(Duration::from_micros(100));
            }
        }
    });
    Running { tcp: address, unix, folder }
}

fn connect(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.tcp).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn line(from: &mut impl BufRead) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

fn authenticate() -> String {
    request("auth", "swarmcast/authenticate", json!({ "token": TOKEN })) + "\n"
}

#[test]
fn lines_are_answered_in_order_however_they_arrive() {
    let running = start(16);
    let mut stream = connect(&running);
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let first = authenticate();
    for byte in first.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(line(&mut from)["id"], json!("auth"));
    // Five hundred in one packet, and the client says that this was all.
    let all: String = (0..500)
        .map(|id| modern(id, "tools/call", json!({ "name": "get_nodes", "arguments": { "ids": ["n1"] } })) + "\r\n")
        .collect();
    stream.write_all(all.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    for id in 0..500 {
        let answer = line(&mut from);
        assert_eq!(
            (answer["id"].clone(), answer["result"]["structuredContent"]["nodes"][0]["id"].clone()),
            (json!(id), json!("n1"))
        );
    }
    assert_eq!(from.read(&mut [0]).unwrap(), 0, "everything was answered, then it was closed");
}

#[test]
fn a_web_page_cannot_make_it_speak() {
    let running = start(16);
    let body = request("auth", "swarmcast/authenticate", json!({ "token": TOKEN }))
        + "\n"
        + &modern(1, "server/discover", json!({}))
        + "\n";
    for head in
        ["POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "\r\nPOST /mcp HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n"]
    {
        let mut stream = connect(&running);
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
        let mut said = Vec::new();
        // Closed with unread bytes it may be reset instead of ended; either way nothing was said.
        let _ = stream.read_to_end(&mut said);
        assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
    let mut stream = connect(&running);
    stream.write_all((modern(1, "tools/list", json!({})) + "\n").as_bytes()).unwrap();
    assert_eq!(line(&mut BufReader::new(stream))["error"]["code"], json!(4_001), "without a token");
}

#[test]
fn the_socket_of_this_user_needs_no_token() {
    use std::os::unix::fs::PermissionsExt;
    let running = start(16);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&running.unix), mode(running.unix.parent().unwrap())), (0o600, 0o700));
    let mut stream = UnixStream::connect(&running.unix).unwrap();
    stream.write_all((modern(1, "tools/list", json!({})) + "\n").as_bytes()).unwrap();
    assert_eq!(line(&mut BufReader::new(stream))["result"]["tools"].as_array().unwrap().len(), 21);
    assert!(bind_unix(&running.unix).is_err(), "somebody listens there");
}

#[test]
fn a_client_that_does_not_read_is_held_back() {
    let running = start(16);
    let mut stream = connect(&running);
    stream.write_all(authenticate().as_bytes()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let ask = modern(1, "tools/list", json!({})) + "\n";
    // Each answer is two hundred times as long as its question.
    let mut asked = 0;
    while asked < 200_000 && stream.write_all(ask.as_bytes()).is_ok() {
        asked += 1;
    }
    assert!(asked < 200_000, "the kernel's buffers, four megabytes of answers, and no more");
}

#[test]
fn lines_that_are_too_long_are_refused_and_three_of_them_are_the_end() {
    let running = start(16);
    let mut stream = connect(&running);
    let mut from = BufReader::new(stream.try_clone().unwrap());
    stream.write_all(authenticate().as_bytes()).unwrap();
    line(&mut from);
    let long = vec![b'x'; (1 << 20) + 100];
    for _ in 0..2 {
        stream.write_all(&long).unwrap();
        stream.write_all(b"\n").unwrap();
        assert_eq!(line(&mut from)["error"]["code"], json!(-32_600));
    }
    stream.write_all((modern(7, "tools/list", json!({})) + "\n").as_bytes()).unwrap();
    assert_eq!(line(&mut from)["id"], json!(7), "the connection goes on");
    for _ in 0..3 {
        let _ = stream.write_all(&long).and_then(|()| stream.write_all(b"\n"));
    }
    let mut rest = Vec::new();
    let _ = from.read_to_end(&mut rest);
    assert!(rest.iter().filter(|byte| **byte == b'\n').count() <= 2);
}

#[test]
fn there_are_only_so_many_connections() {
    let running = start(2);
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = connect(&running);
            stream.write_all(authenticate().as_bytes()).unwrap();
            line(&mut BufReader::new(stream.try_clone().unwrap()));
            stream
        })
        .collect();
    let mut third = connect(&running);
    let mut said = Vec::new();
    let _ = third.read_to_end(&mut said);
    assert!(said.is_empty(), "closed at once");
    drop(held);
}

#[test]
fn a_host_works_with_the_graph_through_the_bridge() {
    let running = start(16);
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarmcast"));
    command
        .args(["mcp", "--connect", &running.tcp.to_string()])
        .env("SWARMCAST_MCP_TOKEN", TOKEN)
        .env_remove("XDG_RUNTIME_DIR");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    to.write_all((request(1, "initialize", params) + "\n").as_bytes()).unwrap();
    assert_eq!(line(&mut from)["result"]["serverInfo"]["name"], json!("swarmcast"));
    let made = json!({ "name": "upsert_nodes", "arguments": { "nodes": [{ "id": "made", "label": "By a host" }] } });
    to.write_all((request(2, "tools/call", made) + "\n").as_bytes()).unwrap();
    assert_eq!(line(&mut from)["result"]["structuredContent"]["created"], json!(["made"]));
    drop(to);
    assert!(child.wait().unwrap().success());
}
