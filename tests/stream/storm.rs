//! Goal: a crowd that comes at once is let in, not sent away to come again; what is too much is told so, with the limit.
//! Method: the real program with a thousand clients at once and again after a reset; then a real door between lanes that
//! the test empties when it likes, so that the bounds are met exactly.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use swarmcast::handoff::{
    Adopt, ClassRef, Consumer, DoorReply, DoorRequest, Doorbell, Grant, Overflow, Producer, SessionId, lane,
};
use swarmcast::metrics::{Health, Metrics};
use swarmcast::net::{Door, DoorLanes, DoorOptions, FixedPages, SocketOptions, poll_with_bell};
use swarmcast::wire::Profile;

use crate::support::{Answer, Client, Event, PATIENCE, Server, Tcp, reset, within};

const CROWD: usize = 1_000;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A crowd that has asked to stream, none of which has read anything yet.
fn crowd(to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut crowd: Vec<_> = (0..count).map(|_| TcpStream::connect(to).unwrap()).collect();
    for stream in &mut crowd {
        write!(stream, "GET /stream?rate=5 HTTP/1.1\r\nHost: {to}\r\n{UPGRADE}").unwrap();
    }
    crowd
}

/// Whether a binary message has begun in what came behind the answer to the upgrade.
fn has_frame(mut bytes: &[u8]) -> bool {
    while let [first, second, rest @ ..] = bytes {
        if *first == 0x82 {
            return true;
        }
        let (length_bytes, length) = match second {
            126 => (2, rest.iter().take(2).fold(0, |length, byte| length << 8 | usize::from(*byte))),
            _ => (0, usize::from(*second)),
        };
        bytes = rest.get(length_bytes + length..).unwrap_or(&[]);
    }
    false
}

/// Reads until the first frame has begun. Returns the status of the answer.
fn first_frame(stream: &mut TcpStream) -> u16 {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut bytes, mut scratch) = (Vec::new(), [0; 1 << 14]);
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let status = String::from_utf8_lossy(&bytes).split(' ').nth(1).and_then(|status| status.parse().ok());
        if let (Some(head), Some(status)) = (head, status)
            && (status != 101 || has_frame(&bytes[head + 4..]))
        {
            return status;
        }
        match stream.read(&mut scratch) {
            Ok(0) => panic!("the connection ended after {:?}", String::from_utf8_lossy(&bytes)),
            Ok(taken) => bytes.extend_from_slice(&scratch[..taken]),
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
}

#[test]
fn a_thousand_at_once_all_stream_and_again_after_a_reset() {
    let server = Server::start(&["--rate", "5"]);
    for round in 0..2 {
        let asked = Instant::now();
        let mut clients = crowd(server.http, CROWD);
        for client in &mut clients {
            assert_eq!(first_frame(client), 101, "round {round}");
        }
        // Twice what is asked for on a quiet machine: this one is shared.
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?} until all streamed", asked.elapsed());
        assert_eq!(server.metric("swarmcast_streams_opened_total"), (CROWD * (round + 1)) as f64);
        for client in clients {
            reset(&client);
        }
    }
    assert_eq!(server.metric("swarmcast_streams_refused_total"), 0.0, "nobody was sent away");
    assert_eq!(server.metric("swarmcast_door_turned_away_total"), 0.0);
    assert!(within(PATIENCE, || server.metric("swarmcast_sessions") == 0.0));
}

/// A door whose `control` lets everybody in, and whose one shard is the test.
struct Gate {
    http: SocketAddr,
    tcp: SocketAddr,
    metrics: Arc<Metrics>,
    adopted: Consumer<Adopt>,
    stop: Producer<()>,
    door: thread::JoinHandle<()>,
}

/// Its lane to the shard has two slots.
const SLOTS: usize = 2;

fn gate(hold_max: usize, hold: Duration) -> Gate {
    let metrics = Arc::new(Metrics::new(1));
    let (poll, bell) = poll_with_bell().unwrap();
    let quiet = Arc::new(Doorbell::silent());
    let (requests, mut asked) = lane("door->control.request", 64, Overflow::Refuse, Arc::clone(&quiet));
    let (mut replies, replies_in) = lane("control->door.reply", 64, Overflow::Refuse, Arc::clone(&bell));
    let (adopt, adopted) = lane("door->shard.connection", SLOTS, Overflow::Refuse, quiet);
    let (stop, stop_in) = lane("main->door.stop", 1, Overflow::Conflate, Arc::clone(&bell));
    let [http, tcp] = [(); 2].map(|()| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let addresses = (http.local_addr().unwrap(), tcp.local_addr().unwrap());
    let options = DoorOptions {
        handshake_ns_max: 5_000_000_000,
        hold_max,
        hold_ns_max: hold.as_nanos() as u64,
        socket: SocketOptions::default(),
        trust_any_host: false,
        pages: FixedPages { viewer: b"", openapi: "" },
    };
    let lanes = DoorLanes { requests, replies: replies_in, adopt: vec![adopt], agents: None, stop: stop_in };
    let health = Arc::new(Health::default());
    let door = Door::new(poll, bell, http, Some(tcp), lanes, options, Arc::clone(&metrics), health).unwrap();
    let door = thread::spawn(move || door.run().unwrap());
    thread::spawn(move || {
        let mut session = 0;
        // The door's end of the lane goes with the door; until then it is asked now and then.
        for _ in 0..60_000 {
            while let Some(request) = asked.pop() {
                let DoorRequest::Open { token, .. } = request else { continue };
                session += 1;
                let class = ClassRef { slot: 0, serial: 1 };
                let (profile, session) = (Profile::Own, SessionId(session));
                let grant = Grant {
                    session,
                    class,
                    profile,
                    demand_bytes: 1,
                    greeting: "{}".into(),
                    missed: None,
                    version: 0,
                    interest: None,
                };
                replies.push(DoorReply::Granted { token, grant }).unwrap();
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    Gate { http: addresses.0, tcp: addresses.1, metrics, adopted, stop, door }
}

impl Gate {
    fn end(mut self) {
        self.stop.push(()).unwrap();
        self.door.join().unwrap();
    }

    /// A client that has asked and whose asking was acted on.
    fn come(&self, acted: impl Fn(&Metrics) -> u64) -> TcpStream {
        let before = acted(&self.metrics);
        let client = crowd(self.http, 1).remove(0);
        assert!(within(PATIENCE, || acted(&self.metrics) > before), "nothing was done about it");
        client
    }
}

#[test]
fn those_who_find_no_room_wait_in_order_and_get_in() {
    let mut gate = gate(3, Duration::from_secs(20));
    let in_lane: Vec<_> = (0..SLOTS).map(|_| gate.come(|metrics| metrics.door.upgraded.get())).collect();
    let held: Vec<_> = (0..3).map(|_| gate.come(|metrics| metrics.door.held.get())).collect();
    let mut beyond = gate.come(|metrics| metrics.door.turned_away.get());
    let answer = Answer::read(&mut beyond);
    assert_eq!(answer.status, 503, "{}", answer.head);
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    let error = answer.json();
    assert!(error["message"].as_str().unwrap().contains("net.hold_max"), "{error}");
    // Raw TCP hears the same in its own words.
    let mut tcp = Tcp::open(gate.tcp, "{}", None);
    let error = tcp.text("error");
    assert_eq!((&error["code"], &error["retryable"]), (&"busy".into(), &true.into()));
    assert_eq!(tcp.goodbye(PATIENCE), Some(1013));

    assert!(within(PATIENCE, || gate.metrics.door.holding.get() == 3.0));
    let mut order = Vec::new();
    assert!(within(PATIENCE, || {
        order.extend(gate.adopted.pop().map(|adopt| (adopt.grant.session.0, adopt.peer.port())));
        order.len() == 5
    }));
    let ports = in_lane.iter().chain(&held).map(|client| client.local_addr().unwrap().port());
    assert_eq!(order, (1..=5).zip(ports).collect::<Vec<_>>(), "first come, first served");
    assert_eq!((gate.metrics.door.holding.get(), gate.metrics.door.upgraded.get()), (0.0, 5));
    assert_eq!(gate.metrics.door.hold.counts().iter().sum::<u64>(), 3, "their waiting is on record");
    gate.end();
}

#[test]
fn nobody_waits_longer_than_the_limit_and_who_left_is_not_let_in() {
    let mut gate = gate(8, Duration::from_millis(300));
    let _in_lane: Vec<_> = (0..SLOTS).map(|_| gate.come(|metrics| metrics.door.upgraded.get())).collect();
    let leaves = gate.come(|metrics| metrics.door.held.get());
    let came = Instant::now();
    let mut stays = gate.come(|metrics| metrics.door.held.get());
    reset(&leaves);
    drop(leaves);
    let answer = Answer::read(&mut stays);
    let waited = came.elapsed();
    assert_eq!(answer.status, 503);
    assert!(waited >= Duration::from_millis(250), "it was told after {waited:?} already");
    assert_eq!(gate.metrics.door.turned_away.get(), 1, "the other one had left");
    assert_eq!(std::iter::from_fn(|| gate.adopted.pop()).count(), SLOTS);
    gate.end();
}

#[test]
fn an_address_that_has_its_share_is_told_the_limit_and_gets_in_when_it_gives_one_back() {
    let server = Server::start(&["--set", "net.connections_per_address_max=3"]);
    let mut clients: Vec<_> = (0..3).map(|_| server.ws("?rate=5")).collect();
    let target = "/stream HTTP/1.1\r\nHost: localhost\r\n";
    let answer = server.send(format!("GET {target}{UPGRADE}").as_bytes());
    let error = answer.json();
    assert_eq!((answer.status, &error["code"]), (503, &"address_full".into()), "{error}");
    assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("net.connections_per_address_max") && message.contains('3'), "{message}");
    let mut tcp = Tcp::open(server.tcp, "{}", None);
    assert_eq!(tcp.text("error")["code"], "address_full");
    assert_eq!(tcp.goodbye(PATIENCE), Some(1013));
    // Pages are no streams.
    assert_eq!(server.get("/healthz").status, 200);

    clients.pop().unwrap().close();
    assert!(within(PATIENCE, || server.metric("swarmcast_sessions") == 2.0));
    let mut again = server.ws("?rate=5");
    assert!(matches!(again.next(PATIENCE), Some(Event::Frame(_) | Event::Text(_))));
}
