//! Goal: with `verify`, a frame that breaks a promise of the protocol is named, and the others are counted as right.
//! Method: one wrong frame a group, in every way that a frame can be wrong; and a server whose clock is not ours.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use support::fake::{Act, Fake, Script, Stream};
use support::run::{Cast, MS, Played, between, plan};
use swarmcast::wire::{FLAG_HEARTBEAT, FLAG_TWO_DIMENSIONAL, FrameHeader, NodeRecord, Profile};
use swarmcast_load::plan::{ClockMode, Protocol};
use swarmcast_load::record::Count;

/// A turn that is due 1.2 s after its client came.
const PLANTED: u64 = 72;

type Edit = fn(&mut FrameHeader, &mut Vec<NodeRecord>);

const WRONG: [(&str, Edit); 15] = [
    ("flags", |header, _| header.flags = 0x80.into()),
    ("reserved", |header, _| header.reserved = 1.into()),
    ("reserved-base", |header, _| header.base = 1.into()),
    ("class", |header, _| header.class = 7.into()),
    ("sequence", |header, _| header.sequence = 0.into()),
    ("epoch", |header, _| header.epoch = 0.into()),
    ("back_in_time", |header, _| header.tick = 1.into()),
    ("early", |header, _| header.published_ns = (header.tick_ns.get() - 1).into()),
    ("node_count", |header, nodes| {
        nodes.pop();
        (header.node_count, header.body_bytes) = (7.into(), (7 * 28).into());
    }),
    ("ids", |_, nodes| nodes.swap(2, 3)),
    ("value", |_, nodes| nodes[5].set_motion([0.0, f32::NAN, 0.0], [0.0; 3])),
    ("value-velocity", |_, nodes| nodes[7].set_motion([0.0; 3], [0.0, 0.0, f32::INFINITY])),
    ("depth", |header, _| header.flags = FLAG_TWO_DIMENSIONAL.into()),
    ("heartbeat", |header, _| header.flags = FLAG_HEARTBEAT.into()),
    ("magic", |header, _| header.magic = *b"swmc"),
];

fn stream(edit: Edit) -> Script {
    let act = move |turn| if turn == PLANTED { Act::Edit(edit) } else { Act::Send };
    Script::stream(Stream { act: Arc::new(act), publish_after: Duration::from_micros(200), ..Stream::default() })
}

static PLAYED: LazyLock<Played> = LazyLock::new(|| {
    let mut cast = Cast::default();
    for (place, (name, edit)) in WRONG.into_iter().enumerate() {
        let fake = if place % 2 == 0 { Fake::ws(stream(edit)) } else { Fake::tcp(stream(edit)) };
        cast.add(name, fake, |group| group.verify = true);
    }
    let resting = Stream { settle: Some((60, Duration::from_millis(200))), ..Stream::default() };
    cast.add("settled", Fake::ws(Script::stream(resting)), |group| group.verify = true);
    let pieces = Stream { act: Arc::new(|_| Act::Pieces), nodes: 500, ..Stream::default() };
    cast.add("pieces", Fake::ws(Script::stream(pieces)), |group| group.verify = true);
    for (name, profile) in [("v1", Profile::V1), ("v2", Profile::V2), ("v3", Profile::V3)] {
        let change = |group: &mut swarmcast_load::plan::Group| {
            group.protocol = Protocol::Swarmcast { profile, rate_hz: 60 };
            group.target.path = group.target.path.replace("swarmcast.v1", name);
            group.verify = true;
        };
        cast.add(name, Fake::ws(Script::stream(Stream::default())), change);
        cast.add(&format!("{name}-value"), Fake::ws(stream(WRONG[10].1)), change);
    }
    cast.add("not_asked", Fake::ws(stream(WRONG[10].1)), |_| ());
    cast.play(|groups| plan("verify", 1.8, groups))
});

static AHEAD: LazyLock<Played> = LazyLock::new(|| {
    let mut cast = Cast::default();
    let stream =
        Stream { publish_after: Duration::from_millis(3), send_after: Duration::from_millis(7), ..Stream::default() };
    for (name, ahead) in [("ahead", 5_000), ("behind", -5_000)] {
        let script = Script { clock_ahead_ns: ahead * MS as i64, ..Script::stream(stream.clone()) };
        cast.add(name, Fake::ws(script.clone()), |group| group.clients = 2);
        cast.add(&format!("{name}_tcp"), Fake::tcp(script), |group| group.clients = 2);
    }
    // The tool measures the offset on connections of its own, before the run and in it.
    cast.play(|groups| {
        let mut plan = plan("clocks", 2.0, groups);
        plan.clock = ClockMode::Ping;
        plan
    })
});

#[test]
fn every_broken_promise_is_named_once() {
    for (name, _) in WRONG {
        let kind = format!("verify_{}", name.split('-').next().unwrap());
        let errors = PLAYED.errors(name);
        assert!(errors.contains(&format!("{kind} 1")), "{name}: {errors:?}");
        let others: Vec<&String> = errors.iter().filter(|error| error.starts_with("verify_")).collect();
        assert_eq!(others.len(), 1, "{name}: {errors:?}");
        // Every frame but one is right. `verified` counts always.
        let sent = PLAYED.seen(name)[0].sent.len() as f64;
        let ended = PLAYED.count(name, Count::Lost) > 0;
        between(PLAYED.count(name, Count::Verified) as f64, if ended { 70.0 } else { sent - 5.0 }, sent - 1.0);
    }
}

#[test]
fn right_frames_are_right() {
    for name in ["settled", "pieces", "v1", "v2", "v3"] {
        assert_eq!(PLAYED.errors(name), [""; 0], "{name}");
        let sent = PLAYED.seen(name)[0].sent.len() as f64;
        between(PLAYED.count(name, Count::Verified) as f64, sent - 4.0, sent);
    }
    for name in ["v1-value", "v2-value", "v3-value"] {
        assert_eq!(PLAYED.errors(name), ["verify_value 1"], "{name}");
    }
}

#[test]
fn nobody_is_verified_who_did_not_ask() {
    assert_eq!((PLAYED.errors("not_asked"), PLAYED.figure("not_asked", "verified")), (vec![], None));
}

#[test]
fn a_server_with_another_clock_is_measured_by_its_pings() {
    for (place, name) in ["ahead", "ahead_tcp", "behind", "behind_tcp"].into_iter().enumerate() {
        let truth_ms = if place < 2 { 5_000.0 } else { -5_000.0 };
        let clock = &AHEAD.report["groups"][place]["clock"];
        let offset_ms = clock["offset_ns"].as_f64().unwrap() / MS as f64;
        let error_ms = clock["error_ns"].as_f64().unwrap() / MS as f64;
        assert!((offset_ms - truth_ms).abs() <= error_ms, "{name}: {clock} is not {truth_ms} ms");
        assert!(error_ms > 0.0 && error_ms < 5.0 && clock["samples"].as_u64().unwrap() >= 3, "{name}: {clock}");
        AHEAD.between_ms(name, "latency.p50", 7.0 - error_ms - 0.1, 11.0 + error_ms);
        AHEAD.between_ms(name, "latency_raw.p50", 4.0 - error_ms - 0.1, 8.0 + error_ms);
        assert_eq!(AHEAD.errors(name), [""; 0], "{name}");
        assert_eq!(AHEAD.figure(name, "missing"), Some(0.0), "{name}");
    }
}
