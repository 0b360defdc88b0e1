//! Goal: an offset and its error hold the truth. Method: servers whose clock is shifted by a known amount, over
//! WebSocket and TCP, with frames in between and uneven delays.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use swarmcast::wire::TCP_TEXT_BIT;
use tungstenite::Message;

use super::*;
use crate::collect::tests::plan;
use crate::plan::Transport;

const MS: Duration = Duration::from_millis(1);

/// A server: its clock is `shift` ahead; it waits `before` and `after` it reads its clock.
#[derive(Clone, Copy)]
struct Fake {
    transport: Transport,
    shift: i64,
    before: Duration,
    after: Duration,
    /// Pings of one connection, after which it is closed.
    pings: usize,
}

impl Fake {
    /// Serves on the address that it answers with, and counts connections.
    fn serve(self) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || self.talk(stream.unwrap()));
            }
        });
        (address, connections)
    }

    fn answer(self, text: &str) -> Option<String> {
        let ping: serde_json::Value = serde_json::from_str(text).ok()?;
        assert_eq!(ping["type"], "ping");
        thread::sleep(self.before);
        let server_ns = monotonic_ns().wrapping_add_signed(self.shift);
        thread::sleep(self.after);
        Some(format!(r#"{{"type":"pong","timestamp":{},"server_ns":{server_ns}}}"#, ping["timestamp"]))
    }

    /// Every answer comes after a frame and a text of another kind.
    fn talk(self, mut stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).unwrap();
        match self.transport {
            Transport::WebSocket => {
                let mut socket = tungstenite::accept(stream).unwrap();
                for _ in 0..self.pings {
                    let text = socket.read().ok()?;
                    socket.write(Message::binary(vec![7; 50_000])).ok()?;
                    socket.write(Message::text(r#"{"type":"connection_established"}"#)).ok()?;
                    socket.send(Message::text(self.answer(text.to_text().unwrap())?)).ok()?;
                }
            }
            Transport::Tcp => {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                assert_eq!(lines.next()?.ok()?, r#"{"profile":"swarmcast.v1","rate":1}"#);
                for _ in 0..self.pings {
                    let text = self.answer(&lines.next()?.ok()?)?;
                    let mut out = 3_u32.to_le_bytes().to_vec();
                    out.extend([1, 2, 3]);
                    out.extend((text.len() as u32 | TCP_TEXT_BIT).to_le_bytes());
                    out.extend(text.as_bytes());
                    stream.write_all(&out).ok()?;
                }
            }
        }
        None
    }

    /// A plan that asks this server, with so many groups.
    fn plan(self, groups: usize, address: SocketAddr) -> Plan {
        let mut plan = plan(groups, 1, 1);
        plan.clock = ClockMode::Ping;
        for group in &mut plan.groups {
            group.target.address = address;
            group.target.transport = self.transport;
            group.target.authority = address.to_string();
        }
        plan
    }
}

const FAKE: Fake = Fake {
    transport: Transport::WebSocket,
    shift: 0,
    before: Duration::ZERO,
    after: Duration::ZERO,
    pings: usize::MAX,
};

fn holds(note: ClockNote, truth: i64) -> bool {
    note.error_ns.is_some_and(|error| note.offset_ns.abs_diff(truth) <= error)
}

#[test]
fn the_true_offset_lies_within_the_error() {
    let hour = 3_600_000_000_000;
    for transport in [Transport::WebSocket, Transport::Tcp] {
        for (shift, before, after) in [(hour, 0, 0), (-5_000, 0, 0), (-777_777_777, 3, 0), (5_000_000, 0, 4)] {
            let fake = Fake { transport, shift, before: before * MS, after: after * MS, ..FAKE };
            let (address, connections) = fake.serve();
            let offsets = Arc::new(Offsets::none(2));
            let clocks = Clocks::start(&fake.plan(2, address), &offsets).unwrap();
            assert_eq!(clocks.known(), [Known::Pings, Known::Pings]);
            let started = offsets.get(1).0;
            let [one, two] = clocks.finish()[..] else { panic!("two groups") };
            assert_eq!((one, offsets.get(0).0), (two, one.offset_ns), "one target, one estimate");
            assert_eq!(started, one.offset_ns, "known before the start");
            assert!(holds(one, shift), "{shift} {before} {after}: {one:?}");
            assert!(one.error_ns.unwrap() < 50_000_000 && one.samples == BURST as u64, "{one:?}");
            // An answer that waits on one side is off by half the wait, and the error says so.
            let wait_ns = (before + after) as u64 * 1_000_000;
            assert!(one.error_ns.unwrap() >= wait_ns / 2);
            assert_eq!(connections.load(Ordering::Relaxed), 1);
        }
    }
}

#[test]
fn the_offset_is_watched_and_survives_a_lost_connection() {
    let fake = Fake { shift: 42_000_000, pings: BURST + 3, ..FAKE };
    let (address, connections) = fake.serve();
    let offsets = Arc::new(Offsets::none(1));
    let clocks = Clocks::start(&fake.plan(1, address), &offsets).unwrap();
    offsets.set(0, 0, 0);
    let begun = Instant::now();
    while connections.load(Ordering::Relaxed) < 2 && begun.elapsed() < Duration::from_secs(20) {
        thread::sleep(10 * MS);
    }
    thread::sleep(200 * MS);
    let notes = clocks.finish();
    assert!(connections.load(Ordering::Relaxed) >= 2);
    assert!(holds(notes[0], 42_000_000) && notes[0].samples > BURST as u64, "{notes:?}");
    assert_eq!(offsets.get(0).0, notes[0].offset_ns, "written again by the thread");
}

#[test]
fn a_server_that_does_not_answer_is_an_error_and_ending_does_not_wait() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut silent = FAKE.plan(1, address);
    silent.connect_timeout_ns = 50_000_000;
    let begun = Instant::now();
    let error = Clocks::start(&silent, &Arc::new(Offsets::none(1))).unwrap_err();
    assert!(error.to_string().contains("ws://"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    drop(listener);
    assert!(Clocks::start(&silent, &Arc::new(Offsets::none(1))).is_err());
    let (address, _) = Fake { pings: BURST, ..FAKE }.serve();
    let clocks = Clocks::start(&FAKE.plan(1, address), &Arc::new(Offsets::none(1))).unwrap();
    let begun = Instant::now();
    drop(clocks);
    assert!(begun.elapsed() < Duration::from_millis(500));
}

#[test]
fn clocks_of_this_host_are_not_asked_for() {
    let mut plan = plan(3, 1, 1);
    plan.groups[1].target.address = SocketAddr::from(([0, 0, 0, 0], 7400));
    plan.groups[2].target.address = SocketAddr::from(([192, 0, 2, 1], 7400));
    plan.groups[2].protocol = Protocol::Generic { framing: crate::plan::Framing::Line, stamp: None, hello: Vec::new() };
    let offsets = Arc::new(Offsets::none(3));
    let clocks = Clocks::start(&plan, &offsets).unwrap();
    assert_eq!(clocks.known(), [Known::Loopback, Known::OwnAddress, Known::Unknown]);
    let errors: Vec<_> = clocks.finish().iter().map(|note| note.error_ns).collect();
    assert_eq!(errors, [Some(0), Some(0), None]);
    plan.clock = ClockMode::Same;
    assert_eq!(Clocks::start(&plan, &offsets).unwrap().known(), [Known::Told; 3]);
    assert_eq!(same_host("192.0.2.1".parse().unwrap()), None, "TEST-NET-1 is nobody");
    // The address that this host would use towards others, where it has one, is its own.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    if socket.connect("192.0.2.1:9").is_ok() {
        assert_eq!(same_host(socket.local_addr().unwrap().ip()), Some(Known::OwnAddress));
    }
}
