//! Goal: what a server does wrong is an error of its own kind, counted as often as it happened, and nobody else's.
//! Method: a group for each fault of the fake server, all in one run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use support::fake::{Act, Door, End, Fake, Script, Stream};
use support::run::{Cast, MS, Played, between, plan};
use swarmcast_load::plan::{Behaviour, Group};
use swarmcast_load::record::{Count, Timing};

/// A turn that is due 1.2 s after its client came.
const PLANTED: u64 = 72;

fn at(turn: u64, act: Act) -> Script {
    let act = move |now| if now == turn { act.clone() } else { Act::Send };
    Script::stream(Stream { act: Arc::new(act), ..Stream::default() })
}

static PLAYED: LazyLock<Played> = LazyLock::new(|| {
    let mut cast = Cast::default();
    let mut door = |name: &str, door: Door| cast.add(name, Fake::ws(Script::door(door)), |group| group.clients = 2);
    door("http_503", Door::Status(503, "Service Unavailable"));
    door("http_404", Door::Status(404, "Not Found"));
    door("wrong_accept", Door::WrongAccept);
    door("never", Door::Never);
    door("reset_in_handshake", Door::Reset);
    door("shut_in_handshake", Door::Shut);
    door("single_bytes", Door::SingleBytes(Duration::from_millis(1)));
    door(
        "endless_headers",
        Door::Endless(b"HTTP/1.1 101 Switching Protocols\r\n".to_vec(), b"X-More: of it\r\n".repeat(100)),
    );

    cast.add("refused", Fake::gone(), |_| ());
    let mut acts = |name: &str, act: Act| {
        cast.add(name, Fake::ws(at(PLANTED, act.clone())), |_| ());
        cast.add(&format!("{name}_tcp"), Fake::tcp(at(PLANTED, act)), |_| ());
    };
    acts("close_1013", Act::Close(1013));
    acts("reset", Act::Reset);
    acts("fin", Act::Fin);
    acts("cut", Act::Cut);
    acts("wrong_magic", Act::Edit(|header, _| header.magic = *b"XXXX"));
    acts("wrong_version", Act::Edit(|header, _| header.version = 9));
    acts("wrong_count", Act::Edit(|header, _| header.node_count = 99.into()));
    acts("future", Act::Edit(|header, _| header.published_ns = (header.published_ns.get() + 60_000 * MS).into()));
    acts("error_text", Act::Text(r#"{"type":"error","code":"rate_limited","message":"no"}"#.to_owned()));
    acts("unknown_text", Act::Text(r#"{"type":"something_new","x":1}"#.to_owned()));
    acts("not_json", Act::Text("{".to_owned()));
    let mut ws = |name: &str, act: Act| cast.add(name, Fake::ws(at(PLANTED, act)), |_| ());
    ws("masked", Act::Masked);
    ws("reserved", Act::Bytes(vec![0xC2, 0]));
    ws("lonely_continuation", Act::Bytes(vec![0x80, 0]));
    ws("long_ping", Act::Bytes([&[0x89, 126, 0, 126][..], &[0; 126]].concat()));
    ws("huge", Act::Bytes([&[0x82, 127][..], &[0xFF; 8]].concat()));

    // Every connection ends after half a second, and the client is back 100 ms later.
    let again = |group: &mut Group| group.reconnect_after_ns = Some(100 * MS);
    cast.add("reconnecting", Fake::ws(at(30, Act::Close(1013))), again);
    cast.add("reconnecting_refused", Fake::ws(Script::door(Door::Status(503, "Busy"))), again);
    cast.add("half_open", Fake::ws(Script::door(Door::Limit(Duration::from_millis(400)))), |group| {
        group.behaviour = Behaviour::HalfOpen;
    });
    cast.add("bystander", Fake::ws(at(0, Act::Send)), |group| group.clients = 2);
    cast.play(|groups| {
        let mut plan = plan("errors", 2.0, groups);
        plan.connect_timeout_ns = 700 * MS;
        plan
    })
});

#[test]
fn handshakes_that_fail_say_how() {
    for (group, kind) in [
        ("http_503", "http_503"),
        ("http_404", "http_404"),
        ("wrong_accept", "handshake_bad_accept"),
        ("never", "handshake_timeout"),
        ("reset_in_handshake", "reset"),
        ("shut_in_handshake", "closed_in_handshake"),
        ("endless_headers", "handshake_not_http"),
    ] {
        assert_eq!(PLAYED.errors(group), [format!("{kind} 2")], "{group}");
        assert_eq!((PLAYED.count(group, Count::Connected), PLAYED.count(group, Count::Lost)), (0, 0), "{group}");
        assert_eq!(PLAYED.figure(group, "connect.p50"), None, "{group}");
    }
    assert_eq!(PLAYED.errors("refused"), ["connect_refused 1"]);
    // The limit counts from the moment the client began, which the server may have seen late.
    for seen in PLAYED.seen("never") {
        let kept_ms = (seen.ended.unwrap().0 - seen.accepted_ns) as f64 / MS as f64;
        between(kept_ms, 600.0, 1_000.0 + PLAYED.slack_ms());
    }
    assert_eq!((PLAYED.errors("single_bytes"), PLAYED.count("single_bytes", Count::Connected)), (vec![], 2));
    PLAYED.between_ms("single_bytes", "connect.min", 100.0, 1_500.0);
}

#[test]
fn connections_that_end_say_how() {
    for (group, kind) in [
        ("close_1013", "close_1013"),
        ("close_1013_tcp", "close_1013"),
        ("reset", "reset"),
        ("reset_tcp", "reset"),
        ("fin", "closed_without_goodbye"),
        ("fin_tcp", "closed_without_goodbye"),
        ("cut", "closed_without_goodbye"),
        ("cut_tcp", "closed_without_goodbye"),
    ] {
        assert_eq!(PLAYED.errors(group), [format!("{kind} 1")], "{group}");
        assert_eq!((PLAYED.count(group, Count::Connected), PLAYED.count(group, Count::Lost)), (1, 1), "{group}");
        // A client whose connection is lost and that stays away is owed its frames all the same.
        let last = *PLAYED.seen(group)[0].sent.last().unwrap();
        let owed = (PLAYED.outcome.end_ns - last.due_ns) as f64 * 60.0 / 1e9;
        between(PLAYED.count(group, Count::Missing) as f64, owed - 1.1, owed + 1.1);
    }
    let echoed = &PLAYED.seen("close_1013")[0].controls;
    assert!(
        echoed.iter().any(|(_, opcode, payload)| *opcode == 8 && payload[..] == 1013_u16.to_be_bytes()),
        "{echoed:?}"
    );
}

#[test]
fn frames_that_are_none_end_the_connection() {
    for group in ["wrong_magic", "wrong_version", "wrong_count"] {
        for group in [group.to_owned(), format!("{group}_tcp")] {
            assert_eq!(PLAYED.errors(&group), ["frame_header 1"], "{group}");
            assert_eq!(PLAYED.count(&group, Count::Lost), 1, "{group}");
        }
    }
    for (group, kind) in [
        ("masked", "protocol_masked"),
        ("reserved", "protocol_reserved_bits"),
        ("lonely_continuation", "protocol_fragments"),
        ("long_ping", "protocol_fragments"),
        ("huge", "protocol_too_long"),
        ("not_json", "text_not_json"),
        ("not_json_tcp", "text_not_json"),
    ] {
        assert_eq!(PLAYED.errors(group), [format!("{kind} 1")], "{group}");
        assert_eq!(PLAYED.count(group, Count::Lost), 1, "{group}");
    }
}

#[test]
fn what_only_one_frame_or_text_has_wrong_keeps_the_connection() {
    for (group, kind) in [("future", "stamp_in_the_future"), ("error_text", "server_rate_limited")] {
        for group in [group.to_owned(), format!("{group}_tcp")] {
            assert_eq!(PLAYED.errors(&group), [format!("{kind} 1")], "{group}");
            assert_eq!(PLAYED.count(&group, Count::Lost), 0, "{group}");
        }
    }
    for group in ["unknown_text", "unknown_text_tcp"] {
        assert_eq!(PLAYED.errors(group), [""; 0], "{group}");
        assert_eq!(PLAYED.count(group, Count::OtherMessages), 1, "{group}");
    }
}

#[test]
fn reconnects_are_counted_and_spaced() {
    let seen = PLAYED.seen("reconnecting");
    // 0.5 s with, 0.1 s without a connection, in 2.1 s.
    between(seen.len() as f64, 3.0, 4.0);
    let ended = seen.iter().filter(|seen| seen.ended.is_some_and(|(_, end)| end == End::Ours)).count() as u64;
    assert_eq!(PLAYED.errors("reconnecting"), [format!("close_1013 {ended}")]);
    assert_eq!(PLAYED.count("reconnecting", Count::Lost), ended);
    assert_eq!(PLAYED.count("reconnecting", Count::Connected), seen.len() as u64);
    for pair in seen.windows(2) {
        let away_ms = (pair[1].accepted_ns - pair[0].ended.unwrap().0) as f64 / MS as f64;
        between(away_ms, 100.0, 200.0 + PLAYED.slack_ms());
    }
    // What it missed while it was away shows when it is back.
    PLAYED.between_ms("reconnecting", "latency.max", 100.0, 250.0);
    let refused = PLAYED.seen("reconnecting_refused").len() as u64;
    between(refused as f64, 12.0, 22.0);
    assert_eq!(PLAYED.errors("reconnecting_refused"), [format!("http_503 {refused}")]);
}

#[test]
fn the_end_of_a_half_open_connection_is_its_eviction() {
    assert_eq!(PLAYED.errors("half_open"), [""; 0]);
    let kept = PLAYED.of("half_open").timing(Timing::Eviction).unwrap();
    assert_eq!(kept.len(), 1);
    PLAYED.between_ms("half_open", "eviction.min", 399.0, 600.0);
    let asked = &PLAYED.seen("half_open")[0].opening;
    assert!(asked.starts_with("GET /stream") && !asked.contains("\r\n\r\n"), "{asked}");
}

#[test]
fn others_are_not_disturbed() {
    assert_eq!(PLAYED.errors("bystander"), [""; 0]);
    assert_eq!(
        (PLAYED.figure("bystander", "missing"), PLAYED.figure("bystander", "conflated")),
        (Some(0.0), Some(0.0))
    );
    between(PLAYED.figure("bystander", "delivered").unwrap(), 2.0 * 88.0, 2.0 * 92.0);
}
