//! Goal: servers of any kind are measured as exactly as ours: every byte and message, and a stamp of any form.
//! Method: streams of a known number of messages that begin and end within the measured part of a run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use support::fake::{Cut, Fake, Generic, Script, Speak, Stamping, Stream};
use support::run::{Cast, Played, between, plan, sending};
use swarmcast_load::plan::{Framing, Message, Protocol, Stamp, StampClock, StampKind};
use swarmcast_load::record::{Count, Timing};

/// Messages of a stream.
const COUNT: u64 = 50;

/// From the time in the stamp to the send.
const DELAY_MS: u64 = 6;

fn stream() -> Generic {
    // Begins after the warm-up and is over 0.4 s before the run.
    let start_after = Duration::from_millis(900);
    Generic { count: COUNT, start_after, bytes: 150, send_after: Duration::from_millis(DELAY_MS), ..Generic::default() }
}

fn protocol(framing: Framing, stamp: Option<Stamp>) -> Protocol {
    Protocol::Generic { framing, stamp, hello: vec![] }
}

/// Name, unit in ns, and stamp as the server writes it.
fn stamps() -> Vec<(&'static str, Stamping, Stamp)> {
    let of = |offset, kind, unit_ns: u32, clock| {
        let stamping = Stamping {
            offset: usize::from(offset),
            big_endian: matches!(kind, StampKind::U64Be | StampKind::F64Be),
            float: matches!(kind, StampKind::F64Le | StampKind::F64Be),
            unit_ns: u64::from(unit_ns),
            unix: clock == StampClock::Unix,
        };
        (stamping, Stamp { offset, kind, unit_ns, clock })
    };
    let cases = [
        ("u64_le_ns_monotonic", of(0, StampKind::U64Le, 1, StampClock::Monotonic)),
        ("u64_be_us_unix", of(13, StampKind::U64Be, 1_000, StampClock::Unix)),
        ("u64_le_ms_unix", of(56, StampKind::U64Le, 1_000_000, StampClock::Unix)),
        ("f64_le_ms_monotonic", of(8, StampKind::F64Le, 1_000_000, StampClock::Monotonic)),
        ("f64_be_s_monotonic", of(3, StampKind::F64Be, 1_000_000_000, StampClock::Monotonic)),
    ];
    cases.map(|(name, (stamping, stamp))| (name, stamping, stamp)).into()
}

const FRAMINGS: [(&str, Framing, Cut, u64); 4] = [
    ("u32_le", Framing::U32Le, Cut::U32Le, 154),
    ("u32_be", Framing::U32Be, Cut::U32Be, 154),
    ("line", Framing::Line, Cut::Line, 151),
    ("fixed", Framing::Fixed(150), Cut::Fixed, 150),
];

static PLAYED: LazyLock<Played> = LazyLock::new(|| {
    let mut cast = Cast::default();
    let generic = |generic: Generic| Script::new(Speak::Generic(generic));
    for (name, stamping, stamp) in stamps() {
        let fake = Fake::ws(generic(Generic { stamping: Some(stamping), ..stream() }));
        cast.speak(name, fake, protocol(Framing::None, Some(stamp)), |_| ());
    }
    for (name, framing, cut, _) in FRAMINGS {
        let fake = Fake::tcp(generic(Generic { cut, ..stream() }));
        cast.speak(name, fake, protocol(framing, None), |_| ());
    }
    cast.speak("bare", Fake::tcp(generic(stream())), protocol(Framing::None, None), |_| ());
    cast.speak("plain", Fake::ws(generic(stream())), protocol(Framing::None, None), |_| ());
    let large = Generic { count: 20, bytes: 100_000, ..stream() };
    cast.speak("large", Fake::ws(generic(large)), protocol(Framing::None, None), |_| ());
    let short = Generic { bytes: 10, ..stream() };
    let stamp = Stamp { offset: 8, kind: StampKind::U64Le, unit_ns: 1, clock: StampClock::Monotonic };
    cast.speak("too_short", Fake::ws(generic(short)), protocol(Framing::None, Some(stamp)), |_| ());
    let (_, stamping, stamp) = stamps()[0];
    let owed = Generic { stamping: Some(stamping), ..stream() };
    cast.speak("owed", Fake::ws(generic(owed)), protocol(Framing::None, Some(stamp)), |group| {
        group.owed_hz = Some(60.0)
    });
    let hello = || vec!["one".to_owned(), "two".to_owned()];
    let after_hello = Protocol::Generic { framing: Framing::U32Le, stamp: None, hello: hello() };
    cast.speak("hello", Fake::ws(generic(Generic { hellos: 2, ..stream() })), after_hello.clone(), |_| ());
    cast.speak("hello_tcp", Fake::tcp(generic(Generic { hellos: 2, ..stream() })), after_hello, |_| ());

    let late = Script { pong_after: Some(Duration::from_millis(20)), ..Script::stream(Stream::default()) };
    cast.add("ping", Fake::ws(late.clone()), |group| group.sending = sending(20.0, Message::Ping));
    cast.add("ping_tcp", Fake::tcp(late.clone()), |group| group.sending = sending(20.0, Message::Ping));
    cast.add("ws_ping", Fake::ws(late.clone()), |group| group.sending = sending(20.0, Message::WsPing));
    let never = Script { pong_after: None, ..late };
    cast.add("no_pong", Fake::ws(never), |group| group.sending = sending(20.0, Message::WsPing));
    // The stream of a server that stamps with a clock of its own: nothing is to be believed but that it is wrong.
    let ahead = Script { clock_ahead_ns: 5_000_000_000, ..Script::stream(Stream::default()) };
    cast.add("clock_ahead", Fake::ws(ahead), |_| ());
    let text = Message::Text("{\"type\":\"hello\"}".to_owned());
    let silent = Script::new(Speak::Nothing);
    cast.speak("texts", Fake::ws(silent), protocol(Framing::None, None), |group| {
        (group.clients, group.sending) = (3, sending(10.0, text));
    });
    cast.play(|groups| plan("generic", 2.3, groups))
});

#[test]
fn stamps_of_every_form_give_the_same_latency() {
    for (name, _, stamp) in stamps() {
        let unit_ms = f64::from(stamp.unit_ns) / 1e6;
        // A stamp of whole units is early by up to one; a double of seconds is exact to less than a microsecond.
        let coarse = if matches!(stamp.kind, StampKind::U64Le | StampKind::U64Be) { unit_ms } else { 0.0 };
        PLAYED.between_ms(name, "latency_raw.min", DELAY_MS as f64 - 0.1, 9.0 + coarse);
        PLAYED.between_ms(name, "latency_raw.p50", DELAY_MS as f64 - 0.1, 9.0 + coarse);
        assert_eq!(PLAYED.of(name).timing(Timing::LatencyRaw).unwrap().len(), COUNT, "{name}");
        for unknown in ["latency.p50", "missing", "offered", "offered_per_s"] {
            assert_eq!(PLAYED.figure(name, unknown), None, "{name}: {unknown} without an owed rate");
        }
        assert_eq!(PLAYED.errors(name), [""; 0]);
    }
}

#[test]
fn every_byte_and_message_is_counted() {
    let counts = |group: &str| (PLAYED.count(group, Count::Delivered), PLAYED.count(group, Count::BytesRead));
    for (name, _, _, bytes) in FRAMINGS {
        assert_eq!(counts(name), (COUNT, COUNT * bytes), "{name}");
    }
    assert_eq!(counts("plain"), (COUNT, COUNT * 154));
    assert_eq!(counts("large"), (20, 20 * 100_010));
    assert_eq!(counts("bare"), (0, COUNT * 154));
    for (name, fake) in &PLAYED.fakes {
        let written: u64 = fake.seen().iter().map(|seen| seen.bytes_written).sum();
        let whole = !name.contains("ping") && !["no_pong", "clock_ahead", "too_short"].contains(&&name[..]);
        assert!(!whole || counts(name).1 == written, "{name}: {} of {written}", counts(name).1);
    }
    assert_eq!(PLAYED.figure("bare", "delivered"), None);
    assert_eq!(PLAYED.figure("plain", "latency_raw.p50"), None);
    PLAYED.between_ms("plain", "gap.p50", 15.0, 18.5);
    PLAYED.between_ms("plain", "first_frame.min", 906.0, 1_200.0);
}

#[test]
fn an_owed_rate_makes_the_corrected_latency_and_missing_known() {
    // The stream ends early: from there to the end of the run all is missing.
    let seen = &PLAYED.seen("owed")[0];
    let last = seen.sent.last().unwrap();
    let owed = (PLAYED.outcome.end_ns - last.due_ns) as f64 * 60.0 / 1e9;
    between(PLAYED.count("owed", Count::Missing) as f64, owed - 1.1, owed + 1.1);
    PLAYED.between_ms("owed", "latency.p20", DELAY_MS as f64 - 0.1, 10.0);
    PLAYED.between_ms("owed", "latency.max", owed / 60.0 * 1e3 - 20.0, owed / 60.0 * 1e3 + 1_100.0);
}

#[test]
fn a_message_too_short_for_its_stamp_is_an_error() {
    assert_eq!(PLAYED.errors("too_short"), ["frame_without_stamp 1"]);
}

#[test]
fn the_hello_is_sent_first_and_once() {
    for group in ["hello", "hello_tcp"] {
        let texts: Vec<String> = PLAYED.seen(group)[0].texts.iter().map(|(_, text)| text.clone()).collect();
        assert_eq!(texts, ["one", "two"], "{group}");
        assert_eq!(PLAYED.count(group, Count::Delivered), COUNT, "{group}");
    }
}

#[test]
fn round_trips_count_from_when_a_ping_was_due() {
    for group in ["ping", "ping_tcp", "ws_ping"] {
        PLAYED.between_ms(group, "round_trip.min", 20.0 - 0.1, 24.0);
        PLAYED.between_ms(group, "round_trip.p50", 20.0 - 0.1, 26.0);
        between(PLAYED.figure(group, "messages_per_s").unwrap(), 19.0, 21.0);
        between(PLAYED.figure(group, "round_trip.count").unwrap(), 34.0, 38.0);
        assert_eq!(PLAYED.errors(group), [""; 0], "{group}");
    }
    assert_eq!(PLAYED.figure("no_pong", "round_trip.p50"), None);
    between(PLAYED.figure("no_pong", "messages").unwrap(), 34.0, 38.0);
}

#[test]
fn stamps_of_a_clock_that_is_not_ours_are_not_believed() {
    let errors = PLAYED.errors("clock_ahead");
    assert!(errors.len() == 1 && errors[0].starts_with("stamp_in_the_future "), "{errors:?}");
    assert_eq!(PLAYED.figure("clock_ahead", "latency_raw.p50"), None);
}

#[test]
fn texts_are_sent_at_their_rate() {
    between(PLAYED.figure("texts", "messages_per_s").unwrap(), 29.0, 31.0);
    for seen in PLAYED.seen("texts") {
        assert!(seen.texts.iter().all(|(_, text)| text == "{\"type\":\"hello\"}"));
        between(seen.texts.len() as f64, 21.0, 25.0);
        let mut steps: Vec<f64> = seen.texts.windows(2).map(|pair| (pair[1].0 - pair[0].0) as f64 / 1e6).collect();
        steps.sort_by(f64::total_cmp);
        between(steps[steps.len() / 2], 95.0, 105.0);
        // Few are late, each with one close behind it: that is for a late machine to happen.
        let uneven = steps.iter().filter(|step| !(40.0..=160.0).contains(*step)).count();
        assert!(uneven * 4 < steps.len(), "{uneven} of {steps:?}");
    }
}
