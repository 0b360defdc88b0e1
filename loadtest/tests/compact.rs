//! Goal: the compact profile is followed as the protocol has it: what comes is counted by its kind, what a snapshot
//! explains is told from what nothing explains, and with `verify` every frame is decoded and held against a full one.
//! Method: a chain with one planned act a group, from the real encoder, over both transports.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use support::fake::{ChainAct, ChainPlan, Fake, Script, Stream};
use support::run::{Cast, Played, between, plan};
use swarmcast_load::plan::{Behaviour, Compact, Group, Protocol};
use swarmcast_load::record::Count;

/// A turn that is due 1.2 s after its client came.
const PLANTED: u64 = 72;

/// Few, so that all of this costs a busy machine little.
const NODES: u32 = 60;

/// More than one block, the last one not full.
const TWO_BLOCKS: u32 = 1_100;

fn script(act: impl Fn(u64) -> ChainAct + Send + Sync + 'static) -> Script {
    of(NODES, act)
}

fn of(nodes: u32, act: impl Fn(u64) -> ChainAct + Send + Sync + 'static) -> Script {
    let chain = ChainPlan { act: Arc::new(act), ..ChainPlan::default() };
    Script::stream(Stream { nodes, publish_after: Duration::from_micros(200), chain, ..Stream::default() })
}

fn planted(act: ChainAct) -> Script {
    script(move |turn| if turn == PLANTED { act.clone() } else { ChainAct::Send })
}

fn compact(group: &mut Group) {
    let asked = Compact { rate_hz: 60, bits: None, dimensions: None, interest: None, ack_every: 0 };
    group.protocol = Protocol::Compact(asked);
    group.target.path = group.target.path.replace("swarmcast.v1", "swarmcast.compact");
}

fn verified(group: &mut Group) {
    compact(group);
    group.verify = true;
}

/// Each with the errors that it must give, and no others.
const WRONG: [(&str, ChainAct, &[&str]); 8] = [
    ("gap", ChainAct::LeaveOut, &["chain_gap", "verify_gap"]),
    ("twice", ChainAct::Twice, &["frame_twice", "verify_gap"]),
    ("mark", ChainAct::WrongMark, &["verify_mark"]),
    ("ids", ChainAct::WrongIds, &["verify_ids"]),
    ("position", ChainAct::Shift(0.03), &["verify_position"]),
    ("corrupt", ChainAct::Corrupt, &["verify_body"]),
    ("class", ChainAct::Edit(|header| header.class = 7.into()), &["chain_class"]),
    ("early", ChainAct::Edit(|header| header.published_ns = (header.tick_ns.get() - 1).into()), &["verify_early"]),
];

static PLAYED: LazyLock<Played> = LazyLock::new(|| {
    let mut cast = Cast::default();
    for (place, (name, act, _)) in WRONG.into_iter().enumerate() {
        let script = planted(act);
        cast.add(name, if place % 2 == 0 { Fake::ws(script) } else { Fake::tcp(script) }, verified);
    }
    cast.add("plain", Fake::ws(of(TWO_BLOCKS, |_| ChainAct::Send)), verified);
    cast.add("tcp", Fake::tcp(script(|_| ChainAct::Send)), verified);
    let slow = |turn| match turn {
        60..=63 => ChainAct::LeaveOut,
        64 => ChainAct::Snapshot,
        80 => ChainAct::SnapshotToo,
        _ => ChainAct::Send,
    };
    cast.add("healed", Fake::ws(script(slow)), verified);
    cast.add("again", Fake::ws(planted(ChainAct::Again)), verified);
    let told = r#"{"type":"stream_quality","rung":"coarser","reason":"slow","rate":60,"bits":12,"class":0}"#;
    cast.add("told", Fake::ws(planted(ChainAct::Text(told.to_owned()))), compact);
    for (name, fake) in
        [("acks", Fake::ws(script(|_| ChainAct::Send))), ("acks_tcp", Fake::tcp(script(|_| ChainAct::Send)))]
    {
        cast.add(name, fake, |group| {
            compact(group);
            if let Protocol::Compact(asked) = &mut group.protocol {
                asked.ack_every = 10;
                asked.interest = Some(r#"{"type":"interest","blocks":[0]}"#.to_owned());
                (asked.bits, asked.dimensions) = (Some(12), Some(2));
            }
        });
    }
    let rests = Stream { settle: Some((60, Duration::from_millis(300))), nodes: NODES, ..Stream::default() };
    cast.add("settled", Fake::ws(Script::stream(rests)), verified);
    let raw = ChainPlan { lz4: false, ..ChainPlan::default() };
    cast.add("raw", Fake::ws(Script::stream(Stream { nodes: 40, chain: raw, ..Stream::default() })), verified);
    cast.add("slow", Fake::ws(script(|_| ChainAct::Send)), |group| {
        compact(group);
        group.behaviour = Behaviour::Slow { bytes_per_s: 10_000 };
        group.receive_buffer_bytes = Some(4_096);
    });
    cast.play(|groups| plan("compact", 1.8, groups))
});

#[test]
fn every_broken_promise_is_named() {
    for (name, _, wanted) in WRONG {
        let errors = PLAYED.errors(name);
        let kinds: Vec<&str> = errors.iter().map(|error| error.split(' ').next().unwrap()).collect();
        for kind in wanted {
            assert!(kinds.contains(kind), "{name}: {errors:?}");
        }
        // One fault is one error of each kind: it does not go on until the end of the run.
        assert_eq!(errors.len(), wanted.len(), "{name}: {errors:?}");
        assert!(errors.iter().all(|error| error.ends_with(" 1")), "{name}: {errors:?}");
    }
}

#[test]
fn right_chains_are_right_and_compared_with_full_frames() {
    for name in ["plain", "tcp", "healed", "again", "settled", "raw"] {
        assert_eq!(PLAYED.errors(name), [""; 0], "{name}");
        let delivered = PLAYED.count(name, Count::Deltas) + PLAYED.count(name, Count::Snapshots);
        let verified = PLAYED.count(name, Count::Verified);
        assert!(verified >= delivered, "{name}: {verified} of {delivered}");
        assert!(PLAYED.count(name, Count::Compared) as f64 > 0.6 * delivered as f64, "{name}");
        assert_eq!(PLAYED.errors(&format!("{name}-reference")), [""; 0], "{name}");
    }
}

#[test]
fn messages_are_counted_by_kind() {
    assert_eq!((PLAYED.count("plain", Count::Infos), PLAYED.count("plain", Count::Columns)), (1, 1));
    // The measured 1.3 s of 60 Hz have a mark in them, and the snapshot of the start is before it.
    assert_eq!((PLAYED.count("plain", Count::Snapshots), PLAYED.count("plain", Count::Marks)), (0, 1));
    between(PLAYED.count("plain", Count::Deltas) as f64, 74.0, 79.0);
    assert_eq!((PLAYED.count("again", Count::Infos), PLAYED.count("again", Count::Snapshots)), (2, 1));
    assert_eq!((PLAYED.count("told", Count::Rungs), PLAYED.errors("told")), (1, vec![]));
    let bytes = PLAYED.figure("plain", "bytes_per_node").unwrap();
    between(bytes, 0.1, 4.0);
    assert_eq!(PLAYED.figure("plain-reference", "bytes_per_node").map(|bytes| bytes.round()), Some(28.0));
    assert_eq!(PLAYED.figure("plain-reference", "deltas"), None);
}

#[test]
fn what_a_snapshot_heals_is_left_out_and_late_but_no_error() {
    // Turns 60 to 63 never came; the snapshot stands for the delta of turn 64 too.
    assert_eq!(PLAYED.count("healed", Count::LeftOut), 5);
    assert_eq!(PLAYED.count("healed", Count::Conflated), 4);
    assert_eq!(PLAYED.count("healed", Count::Missing), 4);
    assert_eq!(PLAYED.count("healed", Count::Snapshots), 2);
    assert_eq!(PLAYED.count("plain", Count::Missing), 0);
    // Four periods without a frame: the oldest was 4 x 16.7 ms late.
    PLAYED.between_ms("healed", "latency.max", 66.0, 75.0);
    assert_eq!(PLAYED.count("gap", Count::LeftOut), 0);
    let asked = |name: &str| {
        PLAYED.seen(name)[0].texts.iter().filter(|(_, text)| text.contains("request_full_snapshot")).count()
    };
    assert_eq!((asked("gap"), asked("healed")), (1, 0));
}

#[test]
fn acknowledgements_and_interest_are_sent_as_the_server_reads_them() {
    let seen = &PLAYED.seen("acks")[0];
    assert!(seen.violations.is_empty(), "{:?}", seen.violations);
    assert_eq!(seen.texts[0].1, r#"{"blocks":[0],"type":"interest"}"#);
    assert!(seen.opening.contains("profile=swarmcast.compact&rate=60&bits=12&dimensions=2"), "{}", seen.opening);
    let first = seen.sent[0].sequence;
    let sequences: Vec<u64> = seen
        .binaries
        .iter()
        .map(|(_, ack)| {
            assert_eq!((ack.len(), ack[0]), (21, 0x34));
            assert_eq!(ack[9..13], NODES.to_le_bytes());
            u64::from_le_bytes(ack[1..9].try_into().unwrap())
        })
        .collect();
    assert!(sequences.len() >= 9, "{sequences:?}");
    assert!(
        sequences.iter().enumerate().all(|(place, sequence)| *sequence == first + 9 + place as u64 * 10),
        "{sequences:?}"
    );
    let seen = &PLAYED.seen("acks_tcp")[0];
    assert_eq!(seen.opening.trim(), r#"{"profile":"swarmcast.compact","rate":60,"bits":12,"dimensions":2}"#);
    assert_eq!(seen.texts[0].1, r#"{"blocks":[0],"type":"interest"}"#);
    assert_eq!(seen.texts[1].1, format!(r#"{{"type":"ack","sequence":{}}}"#, seen.sent[0].sequence + 9));
    assert!(PLAYED.figure("acks", "acks").unwrap() >= 7.0);
}

#[test]
fn a_slow_readers_own_buffer_is_told_apart_from_the_server() {
    assert!(PLAYED.figure("slow", "own_queue.count").unwrap() > 10.0);
    assert!(PLAYED.figure("slow", "own_queue.max").unwrap() > 0.0);
    assert_eq!(PLAYED.figure("plain", "own_queue.p50"), None);
}
