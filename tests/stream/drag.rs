//! Goal: nodes go where clients put them, for everybody, over both transports, within the rules of PROTOCOL.md
//! section 4; a graph at rest wakes for it and rests again; each client gets the rate that it asked for.
//! Method: clients of the real server. What is due in ticks is counted in ticks, so that a loaded machine does not
//! matter; times are asserted where the protocol promises them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use swarmcast::wire::{FLAG_HEARTBEAT, FLAG_SETTLED, NodeRecord};

use crate::support::{Client, Event, Motion, PATIENCE, Server, decode, graph, reset, within};

fn karate(flags: &[&str]) -> Server {
    let [flag, path] = graph("karate.gexf");
    Server::start(&[&[flag.as_str(), &path], flags].concat())
}

fn place(records: &[NodeRecord], node: u32) -> [f32; 3] {
    records.iter().find(|record| record.id() == node).unwrap().position()
}

/// Ids of the first nodes.
fn nodes(client: &mut impl Client) -> Vec<u32> {
    decode(&client.frame()).1.iter().map(NodeRecord::id).collect()
}

/// `by` holds a node at `to` until `seen_by` sees it there.
fn drag_until_seen(by: &mut impl Client, seen_by: &mut impl Client, node: u32, to: [f32; 3]) {
    let started = Instant::now();
    by.drag("nodeDragStart", node, to);
    loop {
        let frame = seen_by.frame();
        if place(decode(&frame).1, node) == to {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "node {node} is not seen at {to:?}");
        by.drag("nodeDragUpdate", node, to);
        while by.next(Duration::from_millis(1)).is_some() {}
    }
}

#[test]
fn a_drag_over_either_transport_is_seen_over_the_other() {
    let server = karate(&[]);
    let (mut ws, mut tcp) = (server.ws(""), server.tcp("{}"));
    let ids = nodes(&mut ws);
    drag_until_seen(&mut ws, &mut tcp, ids[0], [123.5, -77.25, 40.0]);
    drag_until_seen(&mut tcp, &mut ws, ids[1], [-300.0, 10.125, 0.0]);
    ws.send(&json!({ "type": "nodeDragEnd", "nodeId": ids[0] }));
    tcp.send(&json!({ "type": "nodeDragEnd", "nodeId": ids[1] }));
    let rid = || server.metric("swarmcast_drags") == 0.0;
    assert!(within(PATIENCE, rid), "both are let go");
    ws.frame_where("the node went back", |_, records| place(records, ids[0]) != [123.5, -77.25, 40.0]);
}

#[test]
fn the_last_writer_has_the_node_and_both_are_told() {
    let server = karate(&[]);
    let (mut first, mut second) = (server.ws(""), server.tcp("{}"));
    let node = nodes(&mut first)[5];
    let (mine, theirs) = ([50.0, 60.0, 70.0], [-50.0, -60.0, -70.0]);
    drag_until_seen(&mut first, &mut second, node, mine);
    second.drag("nodeDragStart", node, theirs);
    assert_eq!(first.text("drag_taken"), json!({ "type": "drag_taken", "nodeId": node, "by": "another" }));
    assert_eq!(second.text("drag_taken"), json!({ "type": "drag_taken", "nodeId": node, "by": "you" }));
    first.frame_where("the second has it", |_, records| {
        second.drag("nodeDragUpdate", node, theirs);
        place(records, node) == theirs
    });
    // The one who lost it cannot let it go.
    first.send(&json!({ "type": "nodeDragEnd", "nodeId": node }));
    for _ in 0..5 {
        second.drag("nodeDragUpdate", node, theirs);
        first.frame();
    }
    assert_eq!(server.metric("swarmcast_drags"), 1.0);
}

#[test]
fn a_drag_ends_with_its_connection_at_once_and_by_silence_after_half_a_second() {
    let server = karate(&[]);
    let mut watcher = server.ws("?rate=1");
    let node = nodes(&mut watcher)[3];
    let drags = || server.metric("swarmcast_drags");
    // Silence would end it too, after 500 ms: a loaded machine may need another try to be faster than that.
    let fastest = (0..5)
        .map(|round| {
            let mut client = server.ws("");
            client.drag("nodeDragStart", node, [9.0, 9.0, 9.0]);
            assert!(within(PATIENCE, || drags() == 1.0));
            client.drag("nodeDragUpdate", node, [9.0, 9.0, 10.0]);
            let started = Instant::now();
            if round % 2 == 0 {
                reset(client.stream());
            }
            drop(client);
            assert!(within(PATIENCE, || drags() == 0.0));
            started.elapsed()
        })
        .min()
        .unwrap();
    assert!(fastest < Duration::from_millis(400), "released {fastest:?} after the connection ended");

    let mut silent = server.tcp("{\"rate\":10}");
    let started = Instant::now();
    silent.drag("nodeDragStart", node, [1.0, 2.0, 3.0]);
    let released = silent.text("drag_released");
    assert_eq!(released, json!({ "type": "drag_released", "nodeId": node, "reason": "silence" }));
    assert!(started.elapsed() >= Duration::from_millis(490), "{:?}", started.elapsed());
    assert!(within(PATIENCE, || drags() == 0.0));
}

#[test]
fn updates_closer_than_16_ms_are_left_out() {
    let server = karate(&[]);
    let mut client = server.tcp("{}");
    let node = nodes(&mut client)[2];
    // One write of one segment: the server reads all of it at once.
    let lines: String = (0..40)
        .map(|step| {
            format!("{{\"type\":\"nodeDragUpdate\",\"nodeId\":{node},\"position\":[{}.0,1.0,2.0]}}\n", 100 + step)
        })
        .collect();
    let before = server.metric("swarmcast_sim_commands_total");
    client.stream().write_all(lines.as_bytes()).unwrap();
    client.frame_where("the first of them counts", |_, records| place(records, node) == [100.0, 1.0, 2.0]);
    for _ in 0..5 {
        assert_eq!(place(decode(&client.frame()).1, node), [100.0, 1.0, 2.0]);
    }
    assert_eq!(server.metric("swarmcast_sim_commands_total"), before + 1.0);
}

#[test]
fn a_sixth_node_and_an_unknown_one_are_refused() {
    let server = karate(&[]);
    let mut client = server.ws("?rate=5");
    let ids = nodes(&mut client);
    for node in &ids[..6] {
        client.drag("nodeDragStart", *node, [1.0, 1.0, 1.0]);
    }
    let error = client.text("error");
    assert_eq!((error["code"].as_str(), &error["affectedPaths"]), (Some("too_many_drags"), &json!(["nodeId"])));
    assert!(within(PATIENCE, || server.metric("swarmcast_drags") <= 5.0));
    client.send(&json!({ "type": "nodeDragEnd", "nodeId": ids[0] }));

    client.drag("nodeDragStart", 60_000_000, [1.0, 1.0, 1.0]);
    let error = client.text("error");
    assert_eq!((error["code"].as_str(), error["category"].as_str()), (Some("unknown_node"), Some("validation")));
    assert!(error["message"].as_str().unwrap().contains("60000000"), "{error}");
    client.send(&json!({ "type": "pinNode", "nodeId": 60_000_000, "pinned": true }));
    assert_eq!(client.text("error")["code"], "unknown_node");
    client.send(&json!({ "type": "ping", "timestamp": 1_234_567_890_123_456_789_u64 }));
    assert_eq!(client.text("pong")["timestamp"], 1_234_567_890_123_456_789_u64, "and the connection is kept");
}

#[test]
fn a_pin_holds_through_motion() {
    let server = karate(&[]);
    let _motion = Motion::start(&server);
    let mut client = server.ws("");
    let node = nodes(&mut client)[0];
    client.send(&json!({ "type": "pinNode", "nodeId": node, "pinned": true }));
    assert_eq!(client.text("pin_confirmed"), json!({ "type": "pin_confirmed", "nodeId": node, "pinned": true }));
    // The confirmation may overtake the frames of before.
    let (_, _) = (client.frame(), client.frame());
    let frame = client.frame();
    let (pinned, others) = (place(decode(&frame).1, node), decode(&frame).1[1..].to_vec());
    for _ in 0..40 {
        assert_eq!(place(decode(&client.frame()).1, node), pinned);
    }
    let frame = client.frame();
    let moved = decode(&frame).1[1..].iter().zip(&others).filter(|(now, then)| now.position() != then.position());
    assert!(moved.count() > 20, "the others are in motion");
    assert_eq!(server.state()["pinned_count"], 1);
    // Dropping it with `pin` leaves it where it is, too.
    let second = decode(&frame).1[1].id();
    let mut watcher = server.ws("");
    drag_until_seen(&mut client, &mut watcher, second, [200.0, 200.0, 50.0]);
    client.send(&json!({ "type": "nodeDragEnd", "nodeId": second, "pin": true }));
    assert!(within(PATIENCE, || server.state()["pinned_count"] == 2));
    for _ in 0..20 {
        assert_eq!(place(decode(&watcher.frame()).1, second), [200.0, 200.0, 50.0]);
    }
    client.send(&json!({ "type": "pinNode", "nodeId": node, "pinned": false }));
    watcher.frame_where("the free one moves", |_, records| place(records, node) != pinned);
}

#[test]
fn a_graph_at_rest_says_so_greets_late_joiners_wakes_for_a_drag_and_rests_again() {
    let server = karate(&[]);
    let mut client = server.ws("");
    client.frame_where("it rests", |header, _| header.flags.get() & FLAG_SETTLED != 0);

    // A sign of life every five seconds, of the same state.
    let mut last = client.frame();
    for _ in 0..2 {
        let started = Instant::now();
        let frame = client.frame();
        let waited = started.elapsed();
        let (now, then) = (decode(&frame), decode(&last));
        assert_eq!(now.0.flags.get(), FLAG_SETTLED | FLAG_HEARTBEAT);
        assert_eq!(now.0.sequence.get(), then.0.sequence.get() + 1);
        assert_eq!((now.1, now.0.tick), (then.1, then.0.tick));
        assert!((Duration::from_millis(4_500)..Duration::from_secs(8)).contains(&waited), "{waited:?}");
        let apart_ns = now.0.published_ns.get() - then.0.published_ns.get();
        assert!((4_990_000_000..6_000_000_000).contains(&apart_ns), "{apart_ns} ns by the server's clock");
        last = frame;
    }

    // Late joiners: of a class that lives, and of new ones. The best of some tries is what a loaded machine allows.
    for query in ["", "?rate=7", "?profile=v2", "?profile=v1&rate=1"] {
        let fastest = (0..5)
            .map(|_| {
                let started = Instant::now();
                let mut late = server.ws(query);
                late.frame();
                started.elapsed()
            })
            .min()
            .unwrap();
        assert!(fastest < Duration::from_millis(500), "{query}: first frame after {fastest:?}");
    }

    let rest_tick = decode(&last).0.tick.get();
    let node = decode(&last).1[0].id();
    client.drag("nodeDragStart", node, [400.0, 0.0, 0.0]);
    let woken = client.frame_where("it moves", |header, _| header.flags.get() & FLAG_SETTLED == 0);
    let woken = decode(&woken);
    assert!(woken.0.tick.get() <= rest_tick + 3, "tick {} after {rest_tick}", woken.0.tick);
    assert!(!server.is_settled());
    client.send(&json!({ "type": "nodeDragEnd", "nodeId": node }));
    let again = Instant::now();
    loop {
        let frame = client.frame();
        let header = decode(&frame).0;
        if header.flags.get() & FLAG_SETTLED != 0 {
            assert!(header.tick.get() > rest_tick + 30, "rest is measured over thirty ticks");
            break;
        }
        assert!(again.elapsed() < Duration::from_secs(60), "it does not rest again");
    }
}

/// Ticks a frame, over the frames of `span`, and the frames.
fn ticks_per_frame(client: &mut impl Client, span: Duration) -> (f64, usize) {
    let frames: Vec<_> = client.collect(span).into_iter().filter_map(Event::frame).collect();
    let ends = (decode(&frames[0]).0, decode(frames.last().unwrap()).0);
    let ticks = (ends.1.tick.get() - ends.0.tick.get()) as f64;
    (ticks / (ends.1.sequence.get() - ends.0.sequence.get()) as f64, frames.len())
}

#[test]
fn each_client_gets_its_own_rate_and_may_change_it() {
    let server = karate(&[]);
    let _motion = Motion::start(&server);
    let (mut fast, mut slow) = (server.ws("?rate=20"), server.tcp("{\"rate\":5}"));
    assert_eq!((&fast.hello()["rate"], &slow.hello()["rate"]), (&json!(20), &json!(5)));
    assert_eq!(server.ws("?rate=120").hello()["rate"], 60, "a higher rate is lowered to that of the simulation");
    let _ = (fast.frame(), slow.frame());
    let span = Duration::from_secs(4);
    let (ticks, count) = ticks_per_frame(&mut fast, span);
    assert!((2.9..3.1).contains(&ticks) && (40..=90).contains(&count), "20 Hz: {ticks} ticks a frame, {count} in 4 s");
    let (ticks, count) = ticks_per_frame(&mut slow, span);
    assert!((11.5..12.5).contains(&ticks) && (10..=45).contains(&count), "5 Hz: {ticks} ticks a frame, {count}");

    let before = fast.hello()["class"].as_u64().unwrap();
    fast.send(&json!({ "type": "subscribe_position_updates", "interval": 200, "binary": true }));
    let answer = fast.text("subscription_confirmed");
    assert_eq!(
        (&answer["rate"], &answer["interval"], &answer["profile"]),
        (&json!(5), &json!(200), &json!("swarmcast.v1"))
    );
    let class = answer["class"].as_u64().unwrap();
    assert_ne!(class, before);
    assert_eq!(class, slow.hello()["class"].as_u64().unwrap(), "one class for all who want the same");
    for _ in 0..3 {
        let frame = fast.frame();
        assert_eq!(u64::from(decode(&frame).0.class.get()), class, "no frame of the old class after the answer");
    }
    let (ticks, _) = ticks_per_frame(&mut fast, Duration::from_secs(3));
    assert!((11.5..12.5).contains(&ticks), "{ticks} ticks a frame");
}

#[test]
fn odd_rates_share_what_is_left_and_every_full_rate_has_a_class() {
    let server = karate(&[]);
    let clients: Vec<_> = (1..=11).map(|rate| server.ws(&format!("?rate={}", rate * 3))).collect();
    assert!(within(PATIENCE, || server.metric("swarmcast_classes") == 11.0));
    let class = |index: usize| &clients[index].hello()["class"];
    for (rate, joined, index) in [(10, 9, 2), (50, 33, 10), (1, 3, 0), (12, 12, 3)] {
        let mut late = server.tcp(&format!("{{\"rate\":{rate}}}"));
        assert_eq!((&late.hello()["rate"], &late.hello()["class"]), (&json!(joined), class(index)), "{rate} Hz");
        late.frame();
    }
    let full: Vec<_> = ["swarmcast.v1", "v1", "v2", "v3", "swarmcast.compact"]
        .map(|profile| {
            let mut full = server.tcp(&format!("{{\"profile\":\"{profile}\"}}"));
            assert_eq!(full.hello()["rate"], 60, "{profile}");
            assert!(full.next(PATIENCE).is_some());
            full
        })
        .into_iter()
        .collect();
    assert!(within(PATIENCE, || server.metric("swarmcast_classes") == 16.0));
    // With all sixteen taken, an odd rate of a legacy profile joins the one class there is of it.
    let late = server.tcp("{\"profile\":\"v2\",\"rate\":7}");
    assert_eq!((&late.hello()["rate"], &late.hello()["class"]), (&json!(60), &full[2].hello()["class"]));
}
