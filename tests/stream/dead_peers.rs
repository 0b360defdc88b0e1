//! Goal: a client that is gone without a word is found out by a timer, also while the graph is at rest (O11).
//! Method: one second of patience instead of thirty. WebSocket clients that never answer a ping beside ones that do; then,
//! in a network namespace of its own, clients whose packets vanish from one moment to the next, over both transports.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::{Client, PATIENCE, Server, graph, within};

/// Asked after a second of silence, gone a second later.
const FLAGS: [&str; 6] = ["--set", "net.ping_seconds=1", "--set", "net.pong_seconds=1", "--set", "net.stall_seconds=1"];

/// Two heartbeats, and what a loaded machine needs more.
const GONE: Duration = Duration::from_secs(8);

const UPGRADE: &str = "GET /stream?rate=1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server whose small graph has come to rest.
fn at_rest() -> Server {
    let karate = graph("karate.gexf");
    let flags: Vec<&str> = karate.iter().map(String::as_str).chain(FLAGS).collect();
    let server = Server::start(&flags);
    server.settle();
    server
}

fn gone(server: &Server) -> f64 {
    server.metric("swarmcast_connections_dead_total")
}

#[test]
fn who_answers_no_ping_is_closed_and_who_does_is_kept() {
    let server = at_rest();
    let mut answers = server.ws("?rate=1");
    let mut talks = server.tcp(r#"{"rate":1}"#);
    // It reads all there is, so that its kernel is well, and says nothing.
    let mut mute = TcpStream::connect(server.http).unwrap();
    mute.write_all(UPGRADE.as_bytes()).unwrap();
    mute.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (joined, mut heard, mut ended_after) = (Instant::now(), Vec::new(), None);
    while ended_after.is_none() && joined.elapsed() < GONE {
        let mut scratch = [0; 1 << 16];
        match mute.read(&mut scratch) {
            Ok(0) => ended_after = Some(joined.elapsed()),
            Ok(taken) => heard.extend_from_slice(&scratch[..taken]),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        }
        // tungstenite answers pings while it reads.
        let _ = answers.next(Duration::from_millis(20));
        let _ = talks.next(Duration::from_millis(1));
    }
    let ended_after = ended_after.unwrap_or_else(|| panic!("it is kept, after {:?}", joined.elapsed()));
    assert!(ended_after > Duration::from_secs(2), "it had no time to answer: {ended_after:?}");
    assert!(heard.windows(2).any(|two| two == [0x89, 0]), "it was asked");
    let why = String::from_utf8_lossy(&heard);
    assert!(why.contains("net.pong_seconds"), "it was told why");
    assert_eq!(gone(&server), 1.0);
    // The others live on, and still get what they ask for.
    answers.send(&serde_json::json!({ "type": "ping", "timestamp": 1 }));
    talks.send(&serde_json::json!({ "type": "ping", "timestamp": 1 }));
    answers.text("pong");
    talks.text("pong");
    assert!(server.metric("swarmcast_pings_sent_total") >= 3.0, "the mute one once, the other every second");
}

/// `unshare` with what it takes to have a network of one's own, as root or by a user namespace.
fn own_network() -> Command {
    let root = Command::new("unshare").args(["--net", "true"]).output().is_ok_and(|answer| answer.status.success());
    let mut command = Command::new("unshare");
    command.args(if root { &["--net"][..] } else { &["--user", "--map-root-user", "--net"] });
    command
}

#[test]
fn a_peer_whose_packets_vanish_is_gone_within_two_heartbeats() {
    let mut command = own_network();
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "dead_peers::in_a_network_of_its_own", "--ignored", "--nocapture", "--test-threads=1"]);
    let answer = command.output().unwrap_or_else(|error| panic!("{error}: unshare is of util-linux"));
    let said = format!("{}{}", String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
    assert!(answer.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the inner test did not run:\n{said}");
}

fn ip(arguments: &str) {
    let answer = Command::new("ip").args(arguments.split(' ')).output();
    let answer = answer.unwrap_or_else(|error| panic!("{error}: ip is of iproute2"));
    assert!(answer.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&answer.stderr));
}

/// A connection from another address of the loopback, which a route can make vanish.
fn from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&format!("{source}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

fn await_bytes(stream: &mut TcpStream, wanted: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut bytes, mut scratch) = (Vec::new(), [0; 1 << 14]);
    while !bytes.windows(wanted.len()).any(|found| found == wanted) {
        let taken = stream.read(&mut scratch).unwrap();
        assert!(taken > 0, "ended after {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&scratch[..taken]);
    }
}

#[test]
#[ignore = "a_peer_whose_packets_vanish_is_gone_within_two_heartbeats runs it in a network namespace"]
fn in_a_network_of_its_own() {
    ip("link set lo up");
    let server = at_rest();
    let mut web = from("127.0.0.2", server.http);
    web.write_all(UPGRADE.as_bytes()).unwrap();
    await_bytes(&mut web, b"connection_established");
    let mut raw = from("127.0.0.3", server.tcp);
    raw.write_all(b"{\"rate\":1}\n").unwrap();
    await_bytes(&mut raw, b"connection_established");
    let stays = server.tcp(r#"{"rate":1}"#);
    assert!(within(PATIENCE, || server.metric("swarmcast_sessions") == 3.0));
    // As if both machines had lost their power: nothing arrives there, so nothing comes back, not even a reset.
    ip("route add blackhole 127.0.0.2 table local");
    ip("route add blackhole 127.0.0.3 table local");
    let vanished = Instant::now();
    let all_gone = within(PATIENCE, || server.metric("swarmcast_sessions") == 1.0);
    let took = vanished.elapsed();
    assert!(all_gone, "after {took:?} there are {} sessions", server.metric("swarmcast_sessions"));
    assert!(took < GONE, "{took:?}");
    assert_eq!(gone(&server), 2.0);
    assert_eq!(server.metric("swarmcast_connections_stalled_total"), 0.0);
    drop(stays);
}
