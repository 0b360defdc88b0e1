//! Goal: a client of the compact profile has every node where the server has it, within the stated error, at every frame it
//! claims to have: from its first message on, after falling behind, with a part of the graph, on both transports (C31, C33,
//! C38, B1, B2).
//! Method: the real server over real sockets; a full `swarmcast.v1` connection tells the truth of every tick, and the
//! crate's own follower is what a client would use.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swarmcast::wire::compact::{Follower, Info};
use swarmcast::wire::{
    FLAG_HEARTBEAT, FLAG_PARTIAL, FLAG_SETTLED, FrameHeader, KIND_COLUMNS, KIND_DELTA, KIND_INFO, KIND_MARK,
    KIND_SNAPSHOT,
};

use crate::support::{Client, Event, Motion, Server, Tcp, Ws, decode, graph, least_of_three};

const MOVING: [&str; 4] = ["--set", "sim.cooling=0", "--set", "sim.settle_velocity=0"];
const PATIENCE: Duration = Duration::from_secs(60);

/// Positions by id, by tick.
type Truth = HashMap<u64, HashMap<u32, [f32; 3]>>;

fn header(message: &[u8]) -> FrameHeader {
    *FrameHeader::parse_compact(message).unwrap().0
}

/// Writes down what the full stream says next, if it says something soon; the tick of it.
fn note(full: &mut impl Client, truth: &Mutex<Truth>) -> Option<u64> {
    match full.next(Duration::from_millis(100)) {
        Some(Event::Frame(frame)) => {
            let (header, nodes) = decode(&frame);
            let nodes = nodes.iter().map(|node| (node.id_flags.get(), node.position())).collect();
            truth.lock().unwrap().insert(header.tick.get(), nodes);
            Some(header.tick.get())
        }
        Some(Event::Text(_)) | None => None,
        other => panic!("{other:?}"),
    }
}

/// The bound of `PROTOCOL.md` section 6.
fn bound(info: &Info, position: [f32; 3], axis: usize) -> f32 {
    let offset = (position[axis] - info.origin[axis]).abs();
    info.quantum / 2.0 + info.quantum / 4_096.0 + (4.0 * offset + position[axis].abs()) / (1 << 24) as f32
}

/// What a chain began with, and where its nodes were shown, by id word.
type Shown = (Info, Vec<(u32, [f32; 3])>);

/// A compact stream, and the positions that it led to at each tick.
struct Watched {
    follower: Follower,
    kinds: Vec<u8>,
    /// Where every followed node was shown.
    shown: HashMap<u64, Shown>,
    bytes: usize,
    partial: usize,
    texts: Vec<Value>,
}

impl Watched {
    fn new() -> Self {
        Self {
            follower: Follower::new(1 << 20),
            kinds: Vec::new(),
            shown: HashMap::new(),
            bytes: 0,
            partial: 0,
            texts: Vec::new(),
        }
    }

    fn take(&mut self, message: &[u8]) -> FrameHeader {
        let header = *self.follower.take(message).unwrap_or_else(|error| panic!("{error}: {:?}", header(message)));
        self.kinds.push(header.kind);
        if header.kind == KIND_DELTA {
            self.bytes += message.len();
            self.partial += usize::from(header.flags.get() & FLAG_PARTIAL != 0);
        }
        if matches!(header.kind, KIND_DELTA | KIND_SNAPSHOT) {
            let nodes = self.follower.nodes().map(|(id, position, _)| (id, position)).collect();
            self.shown.insert(header.tick.get(), (*self.follower.info().unwrap(), nodes));
        }
        header
    }

    /// Takes messages until `done` says so.
    fn watch(&mut self, client: &mut impl Client, mut done: impl FnMut(&Self, Option<&FrameHeader>) -> bool) {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < PATIENCE, "it takes too long: {:?}", self.kinds);
            let header = match client.next(PATIENCE) {
                Some(Event::Frame(message)) => Some(self.take(&message)),
                Some(Event::Text(text)) => {
                    self.texts.push(text);
                    None
                }
                other => panic!("{other:?}"),
            };
            if done(self, header.as_ref()) {
                return;
            }
        }
    }

    fn deltas(&mut self, client: &mut impl Client, count: usize) {
        let mut left = count;
        self.watch(client, |_, header| {
            left -= usize::from(header.is_some_and(|header| header.kind == KIND_DELTA));
            left == 0
        });
    }

    /// Takes messages until so many ticks are in the truth as well: on a loaded machine the full stream leaves many out.
    fn meet(&mut self, client: &mut impl Client, truth: &Mutex<Truth>, ticks: usize) {
        self.watch(client, |watched, _| {
            let truth = truth.lock().unwrap();
            watched.shown.keys().filter(|tick| truth.contains_key(tick)).count() >= ticks
        });
    }

    /// Deltas since the newest snapshot.
    fn in_a_row(&self) -> usize {
        let since = self.kinds.rsplit(|kind| *kind == KIND_SNAPSHOT).next().unwrap();
        since.iter().filter(|kind| **kind == KIND_DELTA).count()
    }

    /// Compares what was shown with the truth; returns how many ticks both have.
    fn compare(&self, truth: &Truth) -> usize {
        let mut ticks = 0;
        for (tick, (info, nodes)) in &self.shown {
            let Some(truth) = truth.get(tick) else { continue };
            ticks += 1;
            for (id, shown) in nodes {
                let real = truth.get(id).unwrap_or_else(|| panic!("there is no node {id:x}"));
                for axis in 0..3 {
                    let off = (shown[axis] - real[axis]).abs();
                    let bound = bound(info, *real, axis);
                    assert!(
                        off <= bound,
                        "tick {tick}, node {id:x}, axis {axis}: {shown:?} for {real:?}, {off} > {bound}"
                    );
                }
            }
        }
        ticks
    }
}

/// Runs `watch` while a second client of the full profile writes the truth down, of every tick that it may have shown.
fn beside_the_truth<R: Send>(server: &Server, watch: impl FnOnce(&Mutex<Truth>) -> R + Send) -> (R, Truth) {
    let mut full = server.ws("?profile=swarmcast.v1");
    let truth = Mutex::new(Truth::new());
    let watched = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&truth));
        while !watching.is_finished() {
            note(&mut full, &truth);
        }
        watching.join().unwrap()
    });
    let (last, started) = (server.state()["tick"].as_u64().unwrap(), Instant::now());
    while note(&mut full, &truth).is_none_or(|tick| tick < last) {
        assert!(started.elapsed() < PATIENCE, "tick {last} does not come");
    }
    (watched, truth.into_inner().unwrap())
}

#[test]
fn every_frame_is_within_its_bound_on_both_transports_and_in_every_detail() {
    let server = Server::start(&MOVING);
    for (query, hello, bits) in [
        ("?profile=swarmcast.compact", r#"{"profile":"swarmcast.compact"}"#, 14),
        ("?profile=swarmcast.compact&bits=10&rate=20", r#"{"profile":"swarmcast.compact","bits":16}"#, 10),
    ] {
        let ((ws, tcp), truth) = beside_the_truth(&server, |truth| {
            let (mut ws, mut tcp) = (server.ws(query), server.tcp(hello));
            assert_eq!(ws.hello()["bits"], bits);
            let count = if bits == 10 { 20 } else { 70 };
            // Both at once: whoever is not read for ten seconds is ended, and on a loaded machine the other may take so long.
            std::thread::scope(|scope| {
                let over_ws = scope.spawn(|| {
                    let mut watched = Watched::new();
                    watched.deltas(&mut ws, count);
                    watched.meet(&mut ws, truth, 10);
                    if bits == 14 {
                        // Who fell behind, or had the chain begin anew, went on from a snapshot, and may have missed the mark.
                        let is_due = |watched: &Watched| watched.in_a_row() > 64;
                        watched.watch(&mut ws, |watched, _| watched.kinds.contains(&KIND_MARK) || is_due(watched));
                    }
                    watched
                });
                let mut watched = Watched::new();
                watched.deltas(&mut tcp, count);
                watched.meet(&mut tcp, truth, 10);
                (over_ws.join().unwrap(), watched)
            })
        });
        for watched in [&ws, &tcp] {
            assert_eq!(watched.kinds[..3], [KIND_INFO, KIND_COLUMNS, KIND_SNAPSHOT], "how every stream begins");
            assert!(watched.compare(&truth) >= 10, "both streams have ticks in common");
            let nodes = watched.follower.info().unwrap().node_count as usize;
            assert_eq!(watched.follower.nodes().count(), nodes);
            let per_node = watched.bytes as f64 / watched.shown.len() as f64 / nodes as f64;
            assert!(per_node < 3.0, "{per_node} bytes a node and frame; full ones have 28");
        }
        if bits == 14 {
            assert!(ws.kinds.contains(&KIND_MARK), "one in 64 deltas: {:?}", ws.kinds);
        }
    }
}

#[test]
fn a_flat_class_sends_no_depth() {
    let server = Server::start(&MOVING);
    let mut client = server.ws("?profile=swarmcast.compact&dimensions=2");
    assert_eq!(client.hello()["dimensions"], 2);
    let mut watched = Watched::new();
    watched.deltas(&mut client, 5);
    assert!(watched.follower.nodes().all(|(_, position, _)| position[2].abs() < 0.01));
    assert!(watched.follower.nodes().any(|(_, position, _)| position[0].abs() > 1.0));
}

#[test]
fn a_settled_graph_is_shown_at_once_and_left_in_the_next_frame() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    server.settle();
    let mut joined = None;
    let at_once = Duration::from_secs(2);
    let took = least_of_three(at_once, || {
        let (mut client, mut watched) = (server.ws("?profile=swarmcast.compact"), Watched::new());
        let started = Instant::now();
        watched.watch(&mut client, |_, header| header.is_some_and(|header| header.kind == KIND_SNAPSHOT));
        let took = started.elapsed();
        joined = Some((client, watched));
        took
    });
    assert!(took < at_once, "{took:?}");
    let (mut client, mut watched) = joined.unwrap();
    watched.watch(&mut client, |_, header| {
        header.is_some_and(|header| {
            assert!(header.flags.get() & FLAG_SETTLED != 0);
            header.flags.get() & FLAG_HEARTBEAT != 0
        })
    });
    let state = server.get("/api/graph/data").json();
    for node in state["nodes"].as_array().unwrap() {
        let id = node["id"].as_u64().unwrap() as u32;
        let real = ["x", "y", "z"].map(|axis| node[axis].as_f64().unwrap() as f32);
        let (_, shown, _) = watched.follower.nodes().find(|(word, _, _)| word & 0x03FF_FFFF == id).unwrap();
        let info = watched.follower.info().unwrap();
        assert!((0..3).all(|axis| (shown[axis] - real[axis]).abs() <= bound(info, real, axis)), "{shown:?} {real:?}");
    }
    let mut mover = server.ws("?rate=1");
    mover.drag("nodeDragStart", 3, [50.0, 60.0, 70.0]);
    watched.watch(&mut client, |watched, header| {
        header.is_some_and(|header| header.flags.get() & FLAG_SETTLED == 0)
            && watched.follower.nodes().any(|(word, at, _)| word & 0x03FF_FFFF == 3 && (at[0] - 50.0).abs() < 1.0)
    });
}

#[test]
fn a_full_snapshot_is_sent_again_when_it_is_asked_for() {
    let server = Server::start(&MOVING);
    let mut client = server.ws("?profile=swarmcast.compact");
    let mut watched = Watched::new();
    watched.deltas(&mut client, 3);
    client.say(&json!({"type": "request_full_snapshot"}).to_string());
    let before = watched.kinds.len();
    watched.watch(&mut client, |watched, _| watched.kinds[before..].contains(&KIND_SNAPSHOT));
    watched.deltas(&mut client, 3);
}

#[test]
fn a_client_that_stops_reading_goes_on_from_a_snapshot() {
    let server = Server::start(&[&MOVING[..], &["--set", "net.stall_seconds=60"]].concat());
    let (watched, truth) = beside_the_truth(&server, |truth| {
        let mut slow = Ws::connect(server.http, "?profile=swarmcast.compact&bits=16", Some(4_096));
        let mut watched = Watched::new();
        watched.deltas(&mut slow, 2);
        // Long enough to fill both kernels' buffers, and for what a shard keeps to pass it by.
        std::thread::sleep(Duration::from_secs(5));
        let before = watched.kinds.len();
        watched.watch(&mut slow, |watched, _| watched.kinds[before..].contains(&KIND_SNAPSHOT));
        watched.deltas(&mut slow, 20);
        watched.meet(&mut slow, truth, 20);
        watched
    });
    assert!(watched.compare(&truth) >= 20);
    assert!(server.metric("swarmcast_frames_conflated_total") > 30.0, "deltas were left out");
}

#[test]
fn a_slow_client_is_given_less_and_told() {
    let server = Server::start(&MOVING);
    let mut slow = Ws::connect(server.http, "?profile=swarmcast.compact&bits=16", Some(4_096));
    let mut watched = Watched::new();
    let mut rungs = Vec::new();
    // One message in 100 ms, of sixty a second that come.
    watched.watch(&mut slow, |watched, header| {
        rungs = watched.texts.iter().map(|text| text["rung"].as_str().unwrap().to_owned()).collect();
        if header.is_some() {
            std::thread::sleep(Duration::from_millis(100));
        }
        rungs.len() >= 2
    });
    assert_eq!(rungs, ["skipping", "coarser"]);
    let told = watched.texts.last().unwrap();
    assert_eq!((&told["rate"], &told["bits"]), (&json!(30), &json!(14)), "half the rate, two bits less");
    watched.deltas(&mut slow, 3);
    assert_eq!(server.metric("swarmcast_rung_skipping_total"), 1.0);
    // It reads as fast as it can now, and is given everything again.
    watched.watch(&mut slow, |watched, _| watched.texts.last().unwrap()["rung"] == "full");
    assert_eq!(watched.texts.last().unwrap()["rate"], 60);
}

#[test]
fn an_interest_is_served_from_the_shared_blocks() {
    let server = Server::start(&MOVING);
    let (watched, truth) = beside_the_truth(&server, |truth| {
        let mut client = server.ws("?profile=swarmcast.compact");
        let mut watched = Watched::new();
        watched.deltas(&mut client, 2);
        let whole = watched.follower.nodes().count();
        assert!(whole > 1_024, "the embedded graph has more than one block");
        ask(&mut client, &mut watched, &json!({"type": "interest", "blocks": [1]}));
        let confirmed = watched.texts.last().unwrap().clone();
        assert_eq!((&confirmed["blocks"], &confirmed["of"]), (&json!([[1, 1]]), &json!(whole.div_ceil(1_024))));
        watched.follower.keep(|block| block == 1);
        watched.deltas(&mut client, 10);
        assert_eq!(watched.partial, 10, "every delta since is a part");
        assert_eq!(watched.follower.nodes().count(), confirmed["nodes"].as_u64().unwrap() as usize);
        // A block that it did not follow is entered by its snapshot.
        let id = watched.follower.nodes().next().unwrap().0 & 0x03FF_FFFF;
        ask(&mut client, &mut watched, &json!({"type": "interest", "blocks": [0], "ids": [id]}));
        watched.watch(&mut client, |watched, _| watched.follower.nodes().count() == whole);
        watched.deltas(&mut client, 10);
        ask(&mut client, &mut watched, &json!({"type": "interest", "all": true}));
        let before = watched.kinds.len();
        watched.watch(&mut client, |watched, _| watched.kinds[before..].contains(&KIND_SNAPSHOT));
        let partial = watched.partial;
        watched.deltas(&mut client, 5);
        assert_eq!(watched.partial, partial, "all of it again");
        watched.meet(&mut client, truth, 20);
        watched
    });
    assert!(watched.compare(&truth) >= 20);
}

#[test]
fn an_interest_goes_on_with_the_session() {
    let server = Server::start(&MOVING);
    let mut client = server.ws("?profile=swarmcast.compact&bits=12");
    let session = client.hello()["session"].clone();
    let mut watched = Watched::new();
    watched.deltas(&mut client, 2);
    let whole = watched.follower.nodes().count();
    ask(&mut client, &mut watched, &json!({"type": "interest", "blocks": [1]}));
    let confirmed = watched.texts.last().unwrap().clone();
    // Back after its end and, the second time, while nobody has noticed that it is gone; then after it wanted everything again.
    drop(client);
    let comes_back = |session: &Value, sees: usize| {
        let mut client = server.ws(&format!("?session={session}"));
        assert_eq!((&client.hello()["is_reconnection"], &client.hello()["bits"]), (&json!(true), &json!(12)));
        let session = client.hello()["session"].clone();
        let mut watched = Watched::new();
        if sees < whole {
            watched.watch(&mut client, |watched, _| !watched.texts.is_empty());
            let told = &watched.texts[0];
            assert_eq!(
                (&told["type"], &told["blocks"]),
                (&json!("interest_confirmed"), &confirmed["blocks"]),
                "{told}"
            );
            assert_eq!(watched.follower.nodes().count(), 0, "nothing comes before it is known what is wanted");
        }
        watched.deltas(&mut client, 10);
        assert_eq!(watched.follower.nodes().count(), sees, "{:?}", watched.kinds);
        (client, watched, session)
    };
    let sees = confirmed["nodes"].as_u64().unwrap() as usize;
    assert!(sees < whole);
    let (_there_still, _, session) = comes_back(&session, sees);
    let (mut client, mut watched, session) = comes_back(&session, sees);
    ask(&mut client, &mut watched, &json!({"type": "interest", "all": true}));
    drop(client);
    let (client, _, session) = comes_back(&session, whole);
    drop(client);
    // Another profile has no interests; one that never was has none either.
    for query in [format!("?session={session}&profile=swarmcast.v1"), "?profile=swarmcast.compact&session=99999".into()]
    {
        let mut client = server.ws(&query);
        assert_eq!(client.text_within("interest_confirmed", Duration::from_millis(500)), None);
    }
}

/// Sends an interest and takes messages up to its confirmation.
fn ask(client: &mut Ws, watched: &mut Watched, interest: &Value) {
    let texts = watched.texts.len();
    client.say(&interest.to_string());
    watched.watch(client, |watched, _| watched.texts.len() > texts);
    assert_eq!(watched.texts.last().unwrap()["type"], "interest_confirmed", "{:?}", watched.texts.last());
}

#[test]
fn an_interest_by_class_sphere_and_planes_names_the_blocks_that_hold_it() {
    let server = Server::start(&MOVING);
    let mut client = server.ws("?profile=swarmcast.compact");
    let mut watched = Watched::new();
    watched.deltas(&mut client, 2);
    let far = json!({"type": "interest", "sphere": {"center": [9_999, 9_999, 9_999], "radius": 1}});
    ask(&mut client, &mut watched, &far);
    assert_eq!(watched.texts.last().unwrap()["nodes"], 0);
    watched.follower.keep(|_| false);
    watched.deltas(&mut client, 2);
    let half = json!({"type": "interest", "frustum": {"planes": [[0, 0, 0, 1]]}, "max_nodes": 1_500});
    ask(&mut client, &mut watched, &half);
    assert_eq!(watched.texts.last().unwrap()["blocks"], json!([[0, 0]]), "as many whole blocks as fit");
    client.say(r#"{"type":"interest","classes":["robot"]}"#);
    watched.watch(&mut client, |watched, _| watched.texts.last().is_some_and(|text| text["type"] == "error"));
    assert_eq!(watched.texts.last().unwrap()["affectedPaths"], json!(["classes"]));
    let mut full = server.ws("");
    full.say(r#"{"type":"interest","all":true}"#);
    assert_eq!(full.text("error")["code"], "unsupported");
}

#[test]
fn acknowledgements_bound_what_is_on_its_way() {
    let server = Server::start(&MOVING);
    let mut client = server.ws("?profile=swarmcast.compact");
    let mut watched = Watched::new();
    watched.deltas(&mut client, 2);
    let acked = watched.follower.sequence();
    client.say(&json!({"type": "ack", "sequence": acked}).to_string());
    let mut last = acked;
    while let Some(event) = client.next(Duration::from_secs(2)) {
        if let Event::Frame(message) = event {
            last = last.max(watched.take(&message).sequence.get());
        }
    }
    assert!(last <= acked + 32 + 2, "{last} of {acked}: the server waits for the next acknowledgement");
    client.say(&json!({"type": "ack", "sequence": last}).to_string());
    watched.deltas(&mut client, 5);
    client.say(r#"{"type":"latency"}"#);
    client.say(r#"{"type":"latency"}"#);
    watched.watch(&mut client, |watched, _| watched.texts.len() >= 2);
    assert_eq!(watched.texts[0]["tick_to_kernel"]["last_ns"], Value::Null, "not measured before it is asked for");
    assert!(watched.texts[0]["frames"].as_u64().unwrap() > 5 && watched.texts[0]["left_out"].as_u64().unwrap() > 0);
}

#[test]
fn detail_is_refused_by_its_field_where_there_is_no_choice() {
    let server = Server::start(&MOVING);
    for (query, field) in [
        ("?profile=v1&bits=12", "bits"),
        ("?profile=swarmcast.compact&bits=13", "bits"),
        ("?profile=swarmcast.compact&dimensions=4", "dimensions"),
        ("?rate=60&dimensions=2", "dimensions"),
    ] {
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let answer = server.request("GET", &format!("/stream{query}"), upgrade);
        assert_eq!((answer.status, &answer.json()["affectedPaths"]), (400, &json!([field])), "{query}");
    }
    let mut tcp = Tcp::open(server.tcp, r#"{"profile":"v2","dimensions":2}"#, None);
    match tcp.next(PATIENCE) {
        Some(Event::Text(text)) => assert_eq!(text["affectedPaths"], json!(["dimensions"]), "{text}"),
        other => panic!("{other:?}"),
    }
    let _motion = Motion::start(&server);
}
