//! Goal: no connection takes more than its share of a turn, and no answer goes to a request that did not ask for it.
//! Method: a door whose turns the test takes by hand, and real sockets.

use std::io::Write;
use std::time::Instant;

use super::*;
use crate::handoff::{Overflow, lane};
use crate::limits::GRAPH_BODY_BYTES_MAX;
use crate::net::poll_with_bell;

const PATIENCE: Duration = Duration::from_secs(20);

const ASKS: &[u8] = b"GET /api/graph/state HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A door with what it asks of `control`, and where `control` answers.
fn door() -> (Door, Consumer<DoorRequest>, Producer<DoorReply>) {
    let (poll, bell) = poll_with_bell().unwrap();
    let quiet = Arc::new(Doorbell::silent());
    let (requests, asked) = lane("door->control.request", 64, Overflow::Refuse, Arc::clone(&quiet));
    let slots = 2 * REPLIES_PER_TURN_MAX;
    let (replies, replies_in) = lane("control->door.reply", slots, Overflow::Refuse, Arc::clone(&quiet));
    let (_, stop) = lane("main->door.stop", 1, Overflow::Conflate, quiet);
    let http = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    http.set_nonblocking(true).unwrap();
    let options = DoorOptions {
        handshake_ns_max: 60 * SECOND_NS,
        hold_max: 8,
        hold_ns_max: SECOND_NS,
        socket: SocketOptions::default(),
        trust_any_host: false,
        pages: FixedPages { viewer: b"", openapi: "" },
    };
    let lanes = DoorLanes { requests, replies: replies_in, adopt: Vec::new(), agents: None, stop };
    let (metrics, health) = (Arc::new(Metrics::new(1)), Arc::new(Health::default()));
    (Door::new(poll, bell, http, None, lanes, options, metrics, health).unwrap(), asked, replies)
}

/// The only connection of a door, and the door's name for it.
fn client(door: &mut Door) -> (std::net::TcpStream, Handle) {
    assert!(door.pending.is_empty());
    let client = std::net::TcpStream::connect(door.http.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    until(door, |door| {
        door.accept(Transport::WebSocket, monotonic_ns());
        !door.pending.is_empty()
    });
    let handle = door.pending.iter_mut().map(|(handle, _)| handle).last().unwrap();
    (client, handle)
}

fn until(door: &mut Door, mut done: impl FnMut(&mut Door) -> bool) {
    let began = Instant::now();
    while !done(door) {
        assert!(began.elapsed() < PATIENCE, "it does not come about");
        std::thread::yield_now();
    }
}

fn asks(door: &Door, handle: Handle) -> bool {
    matches!(door.pending.get(handle), Some(Pending { state: State::Asking { .. }, .. }))
}

fn answer(mut client: std::net::TcpStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

fn late(token: Handle) -> DoorReply {
    DoorReply::Http { token, status: 200, content_type: "text/plain", lead: Bytes::new(), body: Bytes::new() }
}

fn upload_head() -> String {
    format!("POST /api/graph/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: {GRAPH_BODY_BYTES_MAX}\r\n\r\n")
}

#[test]
fn a_long_body_comes_in_by_shares_and_leaves_no_room_behind() {
    let (mut door, mut asked, _replies) = door();
    let (mut client, handle) = client(&mut door);
    let head = upload_head();
    let needs = head.len() + GRAPH_BODY_BYTES_MAX;
    let sender = std::thread::spawn(move || {
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(&vec![b' '; GRAPH_BODY_BYTES_MAX]).unwrap();
        client
    });
    let mut turns = 0;
    until(&mut door, |door| {
        let held_bytes = door.received_bytes;
        door.serve(handle, monotonic_ns());
        if asks(door, handle) {
            return true;
        }
        let came_bytes = door.received_bytes - held_bytes;
        assert!(came_bytes <= READS_PER_TURN_MAX * READ_BYTES, "{came_bytes} bytes in one turn");
        assert!(door.again.len() <= 1, "it waits once");
        turns += usize::from(came_bytes > 0);
        let pending = door.pending.get(handle).unwrap();
        assert_eq!(door.received_bytes, pending.received.len());
        // A head that is known is not looked at before its body is there.
        assert!(pending.received.len() < needs - GRAPH_BODY_BYTES_MAX || pending.needs == needs);
        false
    });
    assert!(turns >= GRAPH_BODY_BYTES_MAX / (READS_PER_TURN_MAX * READ_BYTES) - 1, "{turns} turns");
    let Some(DoorRequest::Http { query: HttpQuery::Rest(call), .. }) = asked.pop() else { panic!("no request") };
    assert_eq!(call.body.len(), GRAPH_BODY_BYTES_MAX);
    let pending = door.pending.get(handle).unwrap();
    assert!(pending.received.capacity() <= 2 * READ_BYTES, "{} bytes stay", pending.received.capacity());
    assert_eq!((pending.needs, door.received_bytes), (0, 0));
    drop(sender.join().unwrap());
}

#[test]
fn a_body_too_many_is_told_to_come_again() {
    let (mut door, _asked, _replies) = door();
    let (mut client, handle) = client(&mut door);
    door.received_bytes = RECEIVED_BYTES_MAX + 1;
    client.write_all(upload_head().as_bytes()).unwrap();
    until(&mut door, |door| {
        door.serve(handle, monotonic_ns());
        door.pending.is_empty()
    });
    let answer = answer(client);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    assert_eq!(door.received_bytes, RECEIVED_BYTES_MAX + 1, "what it had sent no longer counts");
}

#[test]
fn who_pipelines_waits_once_and_gets_a_share_a_turn() {
    let (mut door, _asked, _replies) = door();
    let (mut client, handle) = client(&mut door);
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(request.repeat(4 * REQUESTS_PER_TURN_MAX).as_bytes()).unwrap();
    until(&mut door, |door| {
        door.serve(handle, monotonic_ns());
        !door.again.is_empty()
    });
    let answered = |door: &Door| door.metrics.door.http_requests.get();
    let (before, share) = (answered(&door), REQUESTS_PER_TURN_MAX as u64);
    for _ in 0..3 {
        door.event(handle, false, monotonic_ns());
    }
    assert_eq!((door.again.len(), answered(&door)), (1, before), "its turn comes from the queue");
    door.serve_queued(monotonic_ns());
    assert_eq!((door.again.len(), answered(&door)), (1, before + share));
    until(&mut door, |door| {
        door.serve_queued(monotonic_ns());
        door.again.is_empty()
    });
    assert_eq!(answered(&door), 4 * share);
}

#[test]
fn an_answer_that_comes_after_the_deadline_is_nobody_elses() {
    let (mut door, mut asked, mut replies) = door();
    let (mut first, token) = client(&mut door);
    first.write_all(ASKS).unwrap();
    until(&mut door, |door| {
        door.serve(token, monotonic_ns());
        asks(door, token)
    });
    assert!(matches!(asked.pop(), Some(DoorRequest::Http { .. })));
    door.time_out(token, monotonic_ns());
    let told = answer(first);
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("Connection: close\r\n"), "{told}");

    let (mut second, other) = client(&mut door);
    assert_eq!(other.slot, token.slot, "it has the place of the first");
    second.write_all(ASKS).unwrap();
    until(&mut door, |door| {
        door.serve(other, monotonic_ns());
        asks(door, other)
    });
    replies.push(late(token)).unwrap();
    door.take_replies();
    assert!(asks(&door, other), "it waits for its own answer");
}

#[test]
fn a_turn_takes_so_many_answers_and_leaves_the_rest() {
    let (mut door, _asked, mut replies) = door();
    for _ in 0..=REPLIES_PER_TURN_MAX {
        replies.push(late(Handle { slot: 0, generation: 0 })).unwrap();
    }
    door.take_replies();
    assert!(!door.lanes.replies.is_empty());
    door.take_replies();
    assert!(door.lanes.replies.is_empty());
}
