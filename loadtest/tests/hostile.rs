//! Goal: whatever a server sends, the tool neither panics nor takes memory for it, and it ends when the run does.
//! Method: servers that never stop, and lengths that nobody can mean; the tool's memory is read while it runs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::fake::{Door, Fake, Script, Speak};
use support::run::{MS, Tool, plan, start, viewer};
use swarmcast_load::plan::{Framing, Group, Plan, Protocol};

/// Kilobytes of `field`, such as `VmRSS`, of a process; 0 when it is gone.
fn memory(tool: &Tool, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", tool.pid())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).map_or(0, |kilobytes| kilobytes.parse().unwrap())
}

fn forgiving(mut plan: Plan) -> Plan {
    (plan.self_check.lateness_p99_max_ns, plan.self_check.thread_cpu_max) = (60_000 * MS, 1.0);
    plan
}

/// Plays one client against a server that speaks so, and says how much memory it took at most, MB, and what it said.
fn play(fake: &Fake, change: impl FnOnce(&mut Group)) -> (u64, String) {
    fake.expect_probe();
    let mut group = viewer("victim", fake);
    change(&mut group);
    let plan = forgiving(plan("hostile", 0.7, vec![group]));
    let tool = start(&plan, &[], &[]);
    let (started, mut most) = (Instant::now(), 0);
    loop {
        let now = memory(&tool, "VmHWM");
        if now == 0 {
            break;
        }
        most = most.max(now);
        assert!(started.elapsed() < Duration::from_secs(20), "it does not end");
        thread::sleep(Duration::from_millis(10));
    }
    let done = tool.finish();
    let report = done.report.unwrap_or_else(|| panic!("exit code {:?}: {}", done.code, done.said));
    (most / 1_024, report["groups"][0]["errors"].to_string())
}

fn endless(head: &[u8], again: &[u8]) -> Speak {
    Speak::Endless(head.to_vec(), again.to_vec())
}

const MOST_MB: u64 = 80;

#[test]
fn servers_that_never_stop_cost_no_memory() {
    let texts = [&[0x81, 18][..], br#"{"type":"chatter"}"#].concat();
    let zeros = vec![0; 65_536];
    let open_ended = [&[0x01, 126, 0xFF, 0xFF][..], &[b'x'; 0xFFFF]].concat();
    let cases: Vec<(&str, Fake, bool, &str)> = vec![
        ("a flood of texts", Fake::ws(Script::new(endless(&texts, &texts.repeat(1_000)))), false, "{}"),
        ("a flood of texts, verified", Fake::ws(Script::new(endless(&texts, &texts.repeat(1_000)))), true, "{}"),
        (
            "2^63 bytes",
            Fake::ws(Script::new(endless(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], &zeros))),
            false,
            "protocol_too_long",
        ),
        ("2^62 bytes", Fake::ws(Script::new(endless(&[0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0], &zeros))), false, ""),
        (
            "2^62 bytes, verified",
            Fake::ws(Script::new(endless(&[0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0], &zeros))),
            true,
            "",
        ),
        (
            "a text that never ends",
            Fake::ws(Script::new(endless(&open_ended, &[&[0, 126, 0xFF, 0xFF][..], &[b'x'; 0xFFFF]].concat()))),
            false,
            "",
        ),
        ("empty fragments", Fake::ws(Script::new(endless(&[0x01, 0], &[0, 0].repeat(10_000)))), true, ""),
        (
            "a flood of pings",
            Fake::ws(Script::new(endless(&[0x89, 0], &[&[0x89, 125][..], &[7; 125]].concat().repeat(200)))),
            false,
            "",
        ),
        ("a record of 2 GiB", Fake::tcp(Script::new(endless(&[0xFF, 0xFF, 0xFF, 0x7F], &zeros))), false, ""),
        ("a record of 2 GiB, verified", Fake::tcp(Script::new(endless(&[0xFF, 0xFF, 0xFF, 0x7F], &zeros))), true, ""),
        ("a text of 2 GiB", Fake::tcp(Script::new(endless(&[0xFF; 4], &zeros))), false, ""),
        ("empty records", Fake::tcp(Script::new(endless(&[0; 4], &zeros))), false, ""),
        (
            "headers without end",
            Fake::ws(Script::door(Door::Endless(b"HTTP/1.1 101 x\r\n".to_vec(), b"a: b\r\n".repeat(1_000)))),
            false,
            "handshake",
        ),
        (
            "a header without end",
            Fake::ws(Script::door(Door::Endless(b"HTTP/1.1 101 x\r\na: ".to_vec(), vec![b'y'; 65_536]))),
            false,
            "handshake",
        ),
    ];
    for some in cases.chunks(4) {
        thread::scope(|scope| {
            for (name, fake, verify, error) in some {
                scope.spawn(move || {
                    let (most, errors) = play(fake, |group| group.verify = *verify);
                    assert!(most < MOST_MB, "{name}: {most} MB");
                    assert!(errors.contains(error), "{name}: {errors}");
                });
            }
        });
    }
}

#[test]
fn a_line_without_end_costs_no_memory() {
    for protocol in [
        Protocol::Generic { framing: Framing::Line, stamp: None, hello: vec!["go".to_owned()] },
        Protocol::Generic { framing: Framing::U32Be, stamp: None, hello: vec!["go".to_owned()] },
        Protocol::Generic { framing: Framing::None, stamp: None, hello: vec!["go".to_owned()] },
        Protocol::JsonRpc(swarmcast_load::plan::Calls {
            rate_hz: 10.0,
            mcp: true,
            mix: vec![swarmcast_load::plan::Call { method: "x".to_owned(), params: None, weight: 1.0 }],
            timeout_ns: 100 * MS,
            in_flight_max: 4,
        }),
    ] {
        let fake = Fake::tcp(Script::new(endless(b"{", &vec![b'7'; 65_536])));
        let (most, errors) = play(&fake, |group| group.protocol = protocol.clone());
        assert!(most < MOST_MB, "{protocol:?}: {most} MB, {errors}");
    }
}

/// Bytes that one idle viewer may take.
const VIEWER_BYTES_MAX: u64 = 8 * 1_024;

#[test]
fn an_idle_viewer_takes_at_most_8_kib() {
    const VIEWERS: u32 = 2_000;
    let wanted = u64::from(VIEWERS) * 2 + 200;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|now| now < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).unwrap();
    }
    // What the tool takes without viewers is what it takes with a single one.
    let idle = |viewers: u32| {
        let fake = Fake::ws(Script::new(Speak::Park));
        fake.expect_probe();
        let mut group = viewer("viewers", &fake);
        group.clients = viewers;
        let mut plan = forgiving(plan("idle", 8.0, vec![group]));
        plan.connect_timeout_ns = 10_000 * MS;
        plan.stages[0].duration_ns = 1_000 * MS;
        let tool = start(&plan, &[], &[]);
        (fake, tool)
    };
    let (one_fake, one) = idle(1);
    let (fake, tool) = idle(VIEWERS);
    let stood = || fake.seen().iter().filter(|seen| !seen.sent.is_empty()).count();
    let started = Instant::now();
    while stood() < VIEWERS as usize && started.elapsed() < Duration::from_secs(7) {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(stood(), VIEWERS as usize);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(one_fake.seen().len(), 1);
    let (before, after) = (memory(&one, "VmRSS"), memory(&tool, "VmRSS"));
    assert!(before > 0 && after > before, "{before} kB and {after} kB");
    let each = (after - before) * 1_024 / u64::from(VIEWERS);
    println!("{before} kB with one viewer, {after} kB with {VIEWERS}: {each} bytes each");
    one.signal("INT");
    one.finish();
    tool.signal("INT");
    let report = tool.finish().report.unwrap();
    assert_eq!(report["groups"][0]["errors"], serde_json::json!({}));
    assert_eq!(report["groups"][0]["figures"]["connected"]["value"].as_f64(), Some(f64::from(VIEWERS)));
    assert!(each <= VIEWER_BYTES_MAX, "{each} bytes for each viewer");
}
