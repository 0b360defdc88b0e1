//! Goal: every figure about frames says what the server did: latency corrected and raw, missing, conflated, gaps,
//! first frame, fairness.
//! Method: one run with a group for each plan of the fake server. Delays are planned, so lower bounds are exact; upper
//! ones leave room for a machine that has other things to do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use support::fake::{Act, Door, Fake, Script, Stream};
use support::run::{Cast, Played, between, plan};
use swarmcast::wire::Profile;
use swarmcast_load::plan::{Group, Protocol};
use swarmcast_load::record::{Count, Timing};

/// A turn that is due in the measured part of the run, whatever the machine does: 1.5 s after its client came.
const PLANTED: u64 = 90;

/// Latency below what was planned would be a wrong clock; this is what three digits of a histogram may lose.
const DIGITS_MS: f64 = 0.1;

const STALL: Duration = Duration::from_millis(80);

static PLAYED: LazyLock<Played> = LazyLock::new(|| {
    let mut cast = Cast::default();
    let mut add = |name: &str, fake: Fake, change: fn(&mut Group)| cast.add(name, fake, change);
    let stream = |stream: Stream| Fake::ws(Script::stream(stream));
    let acting = |act: fn(u64) -> Act| Stream { act: Arc::new(act), ..Stream::default() };
    let ms = Duration::from_millis;
    let delayed = || Stream { publish_after: ms(3), send_after: ms(7), ..Stream::default() };

    add("constant", stream(delayed()), |group| group.clients = 3);
    add("constant_tcp", Fake::tcp(Script::stream(delayed())), |group| group.clients = 3);
    let stall = |turn| if turn == PLANTED { Act::Stall { length: STALL, counted: false } } else { Act::Send };
    add("stall", stream(acting(stall)), |_| ());
    let stall = |turn| if turn == PLANTED { Act::Stall { length: STALL, counted: true } } else { Act::Send };
    add("stall_counted", stream(acting(stall)), |_| ());
    let stall = |turn| if turn == 8 { Act::Stall { length: 2 * STALL, counted: true } } else { Act::Send };
    add("stall_in_warmup", stream(acting(stall)), |_| ());
    let drop = |turn| if turn % 7 == 0 && (60..=130).contains(&turn) { Act::LeaveOut } else { Act::Send };
    add("dropped", stream(acting(drop)), |group| group.clients = 3);
    let silence = |turn| if turn == PLANTED { Act::Silence } else { Act::Send };
    add("silence", stream(acting(silence)), |_| ());
    add("never", stream(Stream { first_after: Duration::MAX, ..Stream::default() }), |_| ());
    add("settled", stream(Stream { settle: Some((60, ms(300))), ..Stream::default() }), |_| ());
    add("lowered", stream(Stream { rate_hz_max: 30, ..Stream::default() }), |_| ());
    let confirm = |turn| if turn == 50 { Act::Confirm(20) } else { Act::Send };
    add("lowered_later", stream(acting(confirm)), |_| ());
    let gap = |turn| {
        if turn == PLANTED { Act::Stall { length: Duration::from_millis(200), counted: true } } else { Act::Send }
    };
    add("gap", stream(acting(gap)), |_| ());
    let unfair = |index| Script::stream(Stream { rate_hz_max: if index == 1 { 30 } else { 60 }, ..Stream::default() });
    add("unfair", Fake::start(support::fake::Transport::WebSocket, unfair), |group| group.clients = 3);
    add("fair", stream(Stream::default()), |group| group.clients = 3);
    add("slow_start", stream(Stream { first_after: ms(300), ..Stream::default() }), |_| ());
    let slow_door = Script { door: Door::Slow(ms(150)), ..Script::stream(Stream::default()) };
    add("slow_door", Fake::ws(slow_door), |_| ());
    add("pieces", stream(acting(|_| Act::Pieces)), |_| ());
    // A doubled frame must not make up for one that is left out later.
    let twice = |turn| match turn {
        70 => Act::Twice,
        PLANTED => Act::LeaveOut,
        _ => Act::Send,
    };
    add("twice", stream(acting(twice)), |_| ());
    add("swapped", stream(acting(|turn| if turn == PLANTED { Act::Swap } else { Act::Send })), |_| ());
    for (name, profile) in [("v1", Profile::V1), ("v2", Profile::V2), ("v3", Profile::V3)] {
        let script = Script::stream(Stream::default());
        let fake = if name == "v2" { Fake::tcp(script) } else { Fake::ws(script) };
        cast.add(name, fake, |group| {
            group.protocol = Protocol::Swarmcast { profile, rate_hz: 60 };
            group.target.path = group.target.path.replace("swarmcast.v1", name);
        });
    }
    cast.play(|groups| plan("frames", 2.5, groups))
});

#[test]
fn latency_is_counted_from_the_due_tick_and_from_the_publish_stamp() {
    for group in ["constant", "constant_tcp"] {
        let corrected = PLAYED.ms(group, "latency.p50");
        between(corrected, 7.0 - DIGITS_MS, 10.0 + PLAYED.slack_ms());
        PLAYED.between_ms(group, "latency_raw.p50", 4.0 - DIGITS_MS, 7.0);
        PLAYED.between_ms(group, "latency.min", 7.0 - DIGITS_MS, corrected);
        PLAYED.between_ms(group, "latency_raw.min", 4.0 - DIGITS_MS, 7.0);
        assert_eq!((PLAYED.figure(group, "missing"), PLAYED.figure(group, "conflated")), (Some(0.0), Some(0.0)));
        assert_eq!(PLAYED.errors(group), [""; 0]);
        // 2 s at 60 Hz for three clients, one more or fewer at each end.
        between(PLAYED.figure(group, "delivered").unwrap(), 3.0 * 118.0, 3.0 * 122.0);
        between(PLAYED.figure(group, "offered_per_s").unwrap(), 3.0 * 59.0, 3.0 * 61.0);
    }
}

#[test]
fn a_stall_is_in_the_corrected_histogram_in_full_and_not_in_the_raw_one() {
    for (group, conflated) in [("stall", 0), ("stall_counted", 4)] {
        let seen = PLAYED.greatest(group, Timing::Latency, 5);
        // 80 ms of nothing, at 60 Hz: the frame that ends it was due 66.7 ms into it, four before it never came.
        for (place, latency) in seen.iter().enumerate() {
            let planned = 80.0 - place as f64 * 1_000.0 / 60.0;
            between(*latency, planned - DIGITS_MS, planned + 15.0 + PLAYED.slack_ms());
        }
        assert_eq!((PLAYED.count(group, Count::Missing), PLAYED.count(group, Count::Conflated)), (4, conflated));
        PLAYED.between_ms(group, "latency_raw.max", 0.0, 40.0);
        assert_eq!(PLAYED.errors(group), [""; 0]);
    }
}

#[test]
fn the_warm_up_is_left_out() {
    let group = "stall_in_warmup";
    PLAYED.between_ms(group, "latency.max", 0.0, 80.0);
    assert_eq!((PLAYED.count(group, Count::Missing), PLAYED.count(group, Count::Conflated)), (0, 0));
}

#[test]
fn frames_that_are_left_out_are_counted_exactly() {
    let (conflated, missing) = (PLAYED.count("dropped", Count::Conflated), PLAYED.count("dropped", Count::Missing));
    assert_eq!((conflated, missing), (3 * 10, 3 * 10));
    let delivered = PLAYED.count("dropped", Count::Delivered) as f64;
    assert_eq!(PLAYED.figure("dropped", "missing"), Some(30.0 / (delivered + 30.0)));
    assert_eq!(PLAYED.figure("dropped", "conflated"), Some(30.0 / (delivered + 30.0)));
    let truth: usize = PLAYED.seen("dropped").iter().map(|seen| seen.left_out.len()).sum();
    assert_eq!(truth, 30);
}

#[test]
fn frames_that_never_come_count_until_the_end() {
    let seen = &PLAYED.seen("silence")[0];
    let last = seen.sent.iter().find(|sent| sent.turn == PLANTED - 1).unwrap();
    let silence_s = (PLAYED.outcome.end_ns - last.due_ns) as f64 / 1e9;
    between(PLAYED.count("silence", Count::Missing) as f64, (silence_s * 60.0).floor() - 1.0, silence_s * 60.0 + 1.0);
    // The first one that did not come was due a period after the last one that did.
    PLAYED.between_ms("silence", "latency.max", (silence_s - 1.0 / 60.0) * 1e3 - 2.0, silence_s * 1e3 + 1_100.0);
    // Without a first frame everything is missing, from the moment that the connection stood.
    assert_eq!((PLAYED.figure("never", "missing"), PLAYED.count("never", Count::Delivered)), (Some(1.0), 0));
    between(PLAYED.count("never", Count::Missing) as f64, 118.0, 160.0);
    PLAYED.between_ms("never", "latency.max", 1_990.0, 4_000.0);
    assert_eq!(PLAYED.figure("never", "first_frame.p50"), None);
}

#[test]
fn a_server_at_rest_owes_nothing() {
    assert_eq!(PLAYED.figure("settled", "missing"), Some(0.0));
    assert_eq!(PLAYED.errors("settled"), [""; 0]);
    PLAYED.between_ms("settled", "gap.max", 10.0, 150.0);
    PLAYED.between_ms("settled", "latency.max", 0.0, 150.0);
}

#[test]
fn the_confirmed_rate_is_what_is_owed() {
    assert_eq!(PLAYED.figure("lowered", "missing"), Some(0.0));
    between(PLAYED.figure("lowered", "offered_per_s").unwrap(), 29.0, 31.0);
    assert_eq!(PLAYED.figure("lowered_later", "missing"), Some(0.0));
    assert_eq!(PLAYED.figure("lowered_later", "conflated"), Some(0.0));
    between(PLAYED.figure("lowered_later", "offered_per_s").unwrap(), 20.0, 35.0);
}

#[test]
fn gaps_are_between_two_frames_of_one_client() {
    PLAYED.between_ms("gap", "gap.max", 200.0, 260.0);
    PLAYED.between_ms("gap", "gap.p50", 15.0, 18.5);
    PLAYED.between_ms("constant", "gap.max", 16.0, 80.0);
    let second = PLAYED.greatest("gap", Timing::Gap, 2)[1];
    between(second, 16.0, 80.0 + PLAYED.slack_ms());
}

#[test]
fn fairness_is_the_slowest_client_against_the_median() {
    between(PLAYED.figure("unfair", "fairness").unwrap(), 0.45, 0.55);
    between(PLAYED.figure("fair", "fairness").unwrap(), 0.95, 1.0);
    between(PLAYED.figure("fair", "client_rate.p50").unwrap(), 58.0, 62.0);
}

#[test]
fn connecting_and_the_first_frame_count_from_when_the_client_should_have_begun() {
    PLAYED.between_ms("slow_start", "first_frame.min", 300.0 - 0.4, 400.0);
    PLAYED.between_ms("slow_start", "connect.max", 0.0, 100.0);
    PLAYED.between_ms("slow_door", "connect.min", 150.0 - 0.2, 250.0);
    PLAYED.between_ms("slow_door", "first_frame.min", 150.0 - 0.2, 260.0);
    assert_eq!(PLAYED.of("constant").timing(Timing::Connect).unwrap().len(), 3);
}

#[test]
fn fragments_with_pings_between_them_are_whole_frames() {
    assert_eq!((PLAYED.figure("pieces", "missing"), PLAYED.figure("pieces", "conflated")), (Some(0.0), Some(0.0)));
    assert_eq!(PLAYED.errors("pieces"), [""; 0]);
    let seen = &PLAYED.seen("pieces")[0];
    let pongs = seen.controls.iter().filter(|(_, opcode, payload)| *opcode == 10 && payload == b"in between").count();
    // Those of the last few frames may still be on their way when the run ends.
    between(pongs as f64, seen.sent.len() as f64 - 4.0, seen.sent.len() as f64);
    assert_eq!(seen.violations, [""; 0]);
}

#[test]
fn doubled_and_swapped_frames_are_errors() {
    assert_eq!(PLAYED.errors("twice"), ["frame_twice 1"]);
    assert_eq!((PLAYED.count("twice", Count::Conflated), PLAYED.count("twice", Count::Missing)), (1, 1));
    assert_eq!(PLAYED.errors("swapped"), ["frame_order 1"]);
}

#[test]
fn legacy_frames_have_no_stamps_and_so_no_latency() {
    for group in ["v1", "v2", "v3"] {
        between(PLAYED.figure(group, "delivered").unwrap(), 118.0, 122.0);
        PLAYED.between_ms(group, "gap.p50", 15.0, 18.5);
        for unknown in ["latency.p50", "latency_raw.p50", "conflated", "missing"] {
            assert_eq!(PLAYED.figure(group, unknown), None, "{group} {unknown}");
        }
        assert_eq!(PLAYED.errors(group), [""; 0]);
    }
}

#[test]
fn clients_ask_for_what_the_plan_says_and_leave_in_good_order() {
    for (name, fake) in &PLAYED.fakes {
        for seen in fake.seen() {
            let profile = if name.starts_with('v') { name } else { "swarmcast.v1" };
            let asked = [format!("profile={profile}&rate=60"), format!("\"profile\":\"{profile}\"")];
            assert!(asked.iter().any(|asked| seen.opening.contains(asked)), "{name}: {}", seen.opening);
            assert_eq!(seen.violations, [""; 0], "{name}");
        }
    }
}
