//! Goal: a panic while one client's message is handled costs that client its connection, with code 1011, and no other.
//! Method: the program built with the feature `faults` panics at a message that only this feature knows.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::Duration;

use support::{Client, Event, Motion, PATIENCE, Server, graph, sequence, within};
use swarmcast::base::fault::PANIC_TEXT;

/// Frames left out among those that arrive within `span`.
fn gaps(client: &mut impl Client, span: Duration) -> (usize, u64) {
    let frames = client.collect(span).into_iter().map(|event| match event {
        Event::Frame(frame) => Some(sequence(&frame)),
        Event::Text(_) => None,
        other => panic!("another client was sent {other:?}"),
    });
    let sequences: Vec<u64> = frames.flatten().collect();
    let missed = sequences.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
    (sequences.len(), missed)
}

fn contained<C: Client>(join: impl Fn(&Server) -> C) {
    let [flag, path] = graph("karate.gexf");
    // 10 Hz: a shard that a loaded machine wakes late still finds every frame of its own.
    let server = Server::start(&[flag.as_str(), &path, "--rate", "10"]);
    let _motion = Motion::start(&server);
    let (mut ws, mut tcp) = (server.ws(""), server.tcp("{}"));
    let mut faulty = join(&server);
    faulty.frame();
    faulty.say(std::str::from_utf8(PANIC_TEXT).unwrap());
    assert_eq!(faulty.goodbye(PATIENCE), Some(1011));
    assert_eq!(server.metric("swarmcast_connection_panics_total"), 1.0);
    for (name, (count, missed)) in
        [("ws", gaps(&mut ws, Duration::from_secs(2))), ("tcp", gaps(&mut tcp, Duration::from_secs(2)))]
    {
        // A loaded machine may be late by a tick; a shard that began anew would leave out many.
        assert!(count >= 10 && missed <= 1, "{name}: {count} frames, {missed} missed");
    }
    assert!(within(PATIENCE, || server.metric("swarmcast_sessions") == 3.0), "two readers and the motion are left");
    assert_eq!(server.get("/readyz").status, 200);
    join(&server).frame();
}

#[test]
fn over_a_websocket() {
    contained(|server| server.ws("?rate=2"));
}

#[test]
fn over_tcp() {
    contained(|server| server.tcp("{\"rate\":2}"));
}
