//! Goal: the fake server does what its script says and nothing else; every other test here stands on it.
//! Method: clients that this package did not write (Python `websockets`, NumPy, tungstenite) read what it sends, and its
//! records are held against its plan.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::fake::{Act, Answer, Calls, Cut, Door, End, Fake, Generic, Script, Seen, Speak, Stamping, Stream};
use swarmcast::wire::FrameHeader;
use swarmcast_load::clock::monotonic_ns;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

const MS: Duration = Duration::from_millis(1);

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients")
}

/// Runs one of the Python clients of the repository against `fake`.
fn python(program: &str, arguments: &[&str]) {
    let set_up = Command::new("sh").arg(clients().join("setup.sh")).output().unwrap();
    assert!(set_up.status.success(), "tests/clients/setup.sh: {}", String::from_utf8_lossy(&set_up.stderr));
    let python = clients().join(".venv/bin/python");
    let done = Command::new("timeout").arg("60").arg(python).arg(clients().join(program)).args(arguments).output();
    let done = done.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
}

fn acting(act: impl Fn(u64) -> Act + Send + Sync + 'static) -> Script {
    Script::stream(Stream { act: Arc::new(act), ..Stream::default() })
}

fn connect(fake: &Fake) -> WebSocket<TcpStream> {
    let socket = TcpStream::connect(fake.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    tungstenite::client(format!("{}?profile=swarmcast.v1&rate=60", fake.url()), socket).unwrap().0
}

/// The next frame's sequence, with the texts before it left out.
fn sequence(socket: &mut WebSocket<TcpStream>) -> Result<u64, tungstenite::Error> {
    loop {
        if let Message::Binary(frame) = socket.read()? {
            return Ok(FrameHeader::parse(&frame).map_or(0, |(header, _)| header.sequence.get()));
        }
    }
}

fn sequences(script: Script, count: usize) -> Vec<u64> {
    let fake = Fake::ws(script);
    let mut socket = connect(&fake);
    let first = sequence(&mut socket).unwrap();
    (1..count).map(|_| sequence(&mut socket).unwrap() - first).collect()
}

/// What was seen of the only connection, once `done` says so.
fn seen(fake: &Fake, done: impl Fn(&Seen) -> bool) -> Seen {
    let started = Instant::now();
    loop {
        let seen = fake.seen();
        if seen.first().is_some_and(&done) || started.elapsed() > Duration::from_secs(5) {
            return seen.into_iter().next().unwrap();
        }
        thread::sleep(MS);
    }
}

#[test]
fn python_clients_accept_every_byte_of_an_undisturbed_stream() {
    let (ws, tcp) = (Fake::ws(acting(|_| Act::Send)), Fake::tcp(acting(|_| Act::Send)));
    let address = tcp.address().to_string();
    thread::scope(|scope| {
        for profile in ["swarmcast.v1", "v1", "v2", "v3"] {
            let (program, way) = if profile == "v2" || profile == "swarmcast.v1" {
                ("ws_python.py", ["--url", &ws.url()].map(str::to_owned))
            } else {
                ("tcp_python.py", ["--addr", &address].map(str::to_owned))
            };
            let common = ["--profile", profile, "--rate", "60", "--frames", "40", "--frames-only", "--still-ok"];
            // Four of them start at once: how soon a frame comes is not what this is about.
            let patient = ["--first-frame-ms", "5000"];
            scope.spawn(move || {
                let way = way.each_ref().map(String::as_str);
                python(program, &[&common[..], &patient, &way].concat());
            });
        }
    });
}

#[test]
fn acts_do_what_their_names_say() {
    let on_turn_2 = |act: Act| move |turn| if turn == 2 { act.clone() } else { Act::Send };
    assert_eq!(sequences(acting(on_turn_2(Act::Send)), 5), [1, 2, 3, 4]);
    assert_eq!(sequences(acting(on_turn_2(Act::LeaveOut)), 5), [1, 3, 4, 5]);
    assert_eq!(sequences(acting(on_turn_2(Act::Swap)), 5), [1, 3, 2, 4]);
    assert_eq!(sequences(acting(on_turn_2(Act::Twice)), 5), [1, 2, 2, 3]);
    assert_eq!(sequences(acting(on_turn_2(Act::Pieces)), 5), [1, 2, 3, 4]);
    let length = 80 * MS;
    assert_eq!(sequences(acting(on_turn_2(Act::Stall { length, counted: true })), 4), [1, 6, 7]);
    assert_eq!(sequences(acting(on_turn_2(Act::Stall { length, counted: false })), 4), [1, 2, 3]);

    let fake = Fake::ws(acting(on_turn_2(Act::Masked)));
    let mut socket = connect(&fake);
    assert!(sequence(&mut socket).is_ok() && sequence(&mut socket).is_ok());
    assert!(matches!(sequence(&mut socket), Err(tungstenite::Error::Protocol(_))));
}

#[test]
fn connections_end_as_planned() {
    let on_turn_1 = |act: Act| Fake::ws(acting(move |turn| if turn == 1 { act.clone() } else { Act::Send }));
    let last = |fake: &Fake| {
        let mut socket = connect(fake);
        loop {
            match socket.read() {
                Ok(Message::Close(frame)) => return format!("close {}", u16::from(frame.unwrap().code)),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) => return error.kind().to_string(),
                Err(error) => return error.to_string(),
            }
        }
    };
    assert_eq!(last(&on_turn_1(Act::Close(1013))), "close 1013");
    assert_eq!(last(&on_turn_1(Act::Reset)), ErrorKind::ConnectionReset.to_string());
    for act in [Act::Fin, Act::Cut] {
        assert!(last(&on_turn_1(act)).contains("without closing handshake"));
    }
}

#[test]
fn frames_leave_on_the_grid_and_never_early() {
    let stream = Stream { publish_after: 3 * MS, send_after: 7 * MS, ..Stream::default() };
    let fake = Fake::ws(Script { clock_ahead_ns: 5_000_000_000, ..Script::stream(stream) });
    let mut socket = connect(&fake);
    let mut due = Vec::new();
    while due.len() < 60 {
        let Message::Binary(frame) = socket.read().unwrap() else { continue };
        let (header, _) = FrameHeader::parse(&frame).unwrap();
        assert_eq!(header.published_ns.get() - header.tick_ns.get(), 3_000_000);
        let due_ns = header.tick_ns.get() - 5_000_000_000;
        assert!(monotonic_ns() >= due_ns + 7_000_000, "it came before it was to be sent");
        due.push(due_ns);
    }
    for (turn, due_ns) in due.iter().enumerate() {
        let exact = due[0] as f64 + turn as f64 * 1e9 / 60.0;
        assert!((*due_ns as f64 - exact).abs() < 2.0, "turn {turn} is {} ns off", *due_ns as f64 - exact);
    }
}

#[test]
fn a_rate_is_lowered_and_changed_by_a_message() {
    let fake = Fake::ws(Script::stream(Stream { rate_hz_max: 30, ..Stream::default() }));
    let mut socket = connect(&fake);
    let Message::Text(greeting) = socket.read().unwrap() else { panic!("the greeting comes first") };
    let greeting: Value = serde_json::from_str(&greeting).unwrap();
    assert_eq!((&greeting["type"], &greeting["rate"]), (&json!("connection_established"), &json!(30)));
    let subscribe = r#"{"type":"subscribe_position_updates","rate":15}"#;
    socket.send(Message::Text(subscribe.into())).unwrap();
    let mut ticks = Vec::new();
    let mut confirmed = false;
    while ticks.len() < 5 {
        match socket.read().unwrap() {
            Message::Text(text) => confirmed |= text.contains(r#""rate":15"#),
            Message::Binary(frame) if confirmed => ticks.push(FrameHeader::parse(&frame).unwrap().0.tick.get()),
            _ => {}
        }
    }
    assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == 4), "{ticks:?}");
}

#[test]
fn doors_open_as_planned() {
    let answer = |door: Door| {
        let fake = Fake::ws(Script::door(door));
        let socket = TcpStream::connect(fake.address()).unwrap();
        socket.set_read_timeout(Some(300 * MS)).unwrap();
        let started = Instant::now();
        let outcome = match tungstenite::client(fake.url(), socket) {
            Ok(_) => "open".to_owned(),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => answer.status().to_string(),
            Err(tungstenite::HandshakeError::Failure(error)) => error.to_string(),
            Err(tungstenite::HandshakeError::Interrupted(_)) => "nothing".to_owned(),
        };
        (outcome, started.elapsed())
    };
    assert_eq!(answer(Door::Open).0, "open");
    assert!(answer(Door::Slow(100 * MS)).1 >= 100 * MS);
    // That is what tungstenite calls an answer in packets so small.
    assert_eq!(answer(Door::SingleBytes(Duration::from_micros(100))).0, "Attack attempt detected");
    assert_eq!(answer(Door::Status(503, "Service Unavailable")).0, "503 Service Unavailable");
    assert!(answer(Door::WrongAccept).0.contains("Sec-WebSocket-Accept"), "{:?}", answer(Door::WrongAccept));
    assert_eq!(answer(Door::Never).0, "nothing");
    assert!(answer(Door::Reset).0.to_lowercase().contains("reset"), "{:?}", answer(Door::Reset));
    assert!(TcpStream::connect(support::fake::refused_address()).is_err());
}

#[test]
fn what_clients_do_is_kept() {
    let fake = Fake::ws(acting(|_| Act::Send));
    let mut socket = connect(&fake);
    socket.send(Message::Text(r#"{"type":"ping","timestamp":7}"#.into())).unwrap();
    socket.send(Message::Ping(b"hey".to_vec().into())).unwrap();
    let mut answers = Vec::new();
    while answers.len() < 2 {
        match socket.read().unwrap() {
            Message::Text(text) if text.contains("pong") => {
                let pong: Value = serde_json::from_str(&text).unwrap();
                assert!(pong["timestamp"] == 7 && pong["server_ns"].as_u64().unwrap() <= monotonic_ns());
                answers.push("text");
            }
            Message::Pong(payload) => {
                assert_eq!(&payload[..], b"hey");
                answers.push("frame");
            }
            _ => {}
        }
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    let seen = seen(&fake, |seen| seen.ended.is_some());
    assert_eq!(seen.ended.unwrap().1, End::Close(1005));
    assert_eq!((seen.texts.len(), seen.controls[0].1, seen.violations.len()), (1, 9, 0));
    assert!(seen.opening.starts_with("GET /stream?profile=swarmcast.v1&rate=60 HTTP/1.1\r\n"));

    // A client that forgets its mask breaks the rules, and the record says so.
    let fake = Fake::ws(acting(|_| Act::Send));
    let tungstenite_side = connect(&fake);
    let mut as_server = WebSocket::from_raw_socket(tungstenite_side.get_ref().try_clone().unwrap(), Role::Server, None);
    as_server.send(Message::Text("bare".into())).unwrap();
    assert_eq!(self::seen(&fake, |seen| !seen.violations.is_empty()).violations.len(), 1);
}

#[test]
fn generic_streams_carry_their_stamp() {
    let stamping = Stamping { offset: 12, big_endian: true, float: false, unit_ns: 1_000, unix: true };
    let generic = Generic { count: 5, bytes: 100, hellos: 1, stamping: Some(stamping), ..Generic::default() };
    let fake = Fake::ws(Script::new(Speak::Generic(generic.clone())));
    let mut socket = connect(&fake);
    socket.send(Message::Text("subscribe".into())).unwrap();
    for _ in 0..5 {
        let Message::Binary(message) = socket.read().unwrap() else { panic!("no message") };
        let stamp = u64::from_be_bytes(message[12..20].try_into().unwrap()) * 1_000;
        let age = swarmcast_load::clock::realtime_ns() - stamp;
        assert!(message.len() == 100 && age < 1_000_000_000, "{age}");
    }
    for (cut, length, lead) in
        [(Cut::U32Le, 104, 100), (Cut::U32Be, 104, 0), (Cut::Line, 101, b'a'), (Cut::Fixed, 100, b'a')]
    {
        let fake =
            Fake::tcp(Script::new(Speak::Generic(Generic { cut, hellos: 0, stamping: None, ..generic.clone() })));
        let mut bytes = vec![0; 5 * length];
        TcpStream::connect(fake.address()).unwrap().read_exact(&mut bytes).unwrap();
        assert!(bytes.chunks(length).all(|message| message[0] == lead), "{cut:?}");
        assert_eq!(seen(&fake, |seen| seen.sent.len() == 5).bytes_written as usize, bytes.len());
    }
}

#[test]
fn calls_are_answered_as_planned() {
    let fake = Fake::tcp(Script::new(Speak::Calls(Calls::new(|nth, _| match nth {
        0 => Answer::After(60 * MS),
        1 => Answer::Error(Duration::ZERO),
        2 => Answer::Never,
        _ => Answer::ToolError(20 * MS),
    }))));
    let mut socket = TcpStream::connect(fake.address()).unwrap();
    let started = Instant::now();
    let mut lines = String::from(
        "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"x\"}}\n",
    );
    for id in 0..4 {
        lines += &(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call"}).to_string() + "\n");
    }
    socket.write_all(lines.as_bytes()).unwrap();
    let mut answers: Vec<Value> = Vec::new();
    let mut read = std::io::BufRead::lines(std::io::BufReader::new(socket));
    while answers.len() < 4 {
        answers.push(serde_json::from_str(&read.next().unwrap().unwrap()).unwrap());
    }
    assert!(started.elapsed() >= 60 * MS);
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [json!("i"), json!(1), json!(3), json!(0)]);
    assert!(answers[1]["error"]["code"] == -32_000 && answers[2]["result"]["isError"] == true);
    assert_eq!(answers[0]["result"]["protocolVersion"], "x");
}
