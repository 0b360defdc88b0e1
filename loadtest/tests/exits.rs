//! Goal: the exit code says what became of a run: 0 held, 1 wrong use, 2 could not connect, 3 invalid, 99 broken.
//! Method: one run for each; the tool is disturbed from outside where a run has to be invalid.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::fake::{Door, Fake, Generic, Script, Speak, Stream, refused_address};
use support::run::{Finished, MS, command, plan, start, viewer};
use swarmcast_load::plan::{ClockMode, Plan, SelfCheck};
use swarmcast_load::threshold::Threshold;

fn fake() -> Fake {
    let fake = Fake::ws(Script::stream(Stream { send_after: Duration::from_millis(3), ..Stream::default() }));
    fake.expect_probe();
    fake
}

/// Two viewers for a second.
fn short(fake: &Fake) -> Plan {
    let mut plan = plan("short", 1.0, vec![viewer("viewers", fake)]);
    plan.groups[0].clients = 2;
    // The machine of a test may be short of time; only the tests that are about that ask for more.
    (plan.self_check.lateness_p99_max_ns, plan.self_check.thread_cpu_max) = (60_000 * MS, 1.0);
    plan
}

fn with_thresholds(thresholds: &[&str]) -> Finished {
    let fake = fake();
    let more: Vec<&str> = thresholds.iter().flat_map(|text| ["--threshold", *text]).collect();
    start(&short(&fake), &[], &more).finish()
}

/// Why the run is invalid, as one text.
fn reasons(done: &Finished) -> String {
    done.report.as_ref().unwrap()["verdict"]["invalid_reasons"].to_string()
}

/// Runs the program to its end without a scenario of ours.
fn bare(arguments: &[&str]) -> (Option<i32>, String) {
    let done = command(arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(!said.contains("panicked"), "{said}");
    (done.status.code(), said)
}

#[test]
fn thresholds_that_hold_are_0_and_one_that_does_not_is_99() {
    let held = ["latency.p50 < 10s", "missing <= 0%", "viewers/connected == 2", "errors == 0", "latency.min > 2.9ms"];
    let done = with_thresholds(&held);
    assert_eq!(done.code, Some(0), "{}", done.said);
    let report = done.report.unwrap();
    assert!(report["thresholds"].as_array().unwrap().iter().all(|threshold| threshold["held"] == true), "{report}");
    assert_eq!(report["verdict"]["valid"], true);
    let done = with_thresholds(&["latency.p50 < 10s", "latency.min < 2ms"]);
    assert_eq!(done.code, Some(99), "{}", done.said);
    assert!(done.said.contains("latency.min < 2ms"), "{}", done.said);
    // Nobody knows the round trip of clients that do not ping: refused before the run, as a wrong name is.
    for wrong in ["nothing.p50 < 1ms", "latency.p50 < 1", "latency.p50", "others/errors == 0", "round_trip.p50 < 1s"] {
        let fake = Fake::ws(Script::stream(Stream::default()));
        let done = start(&short(&fake), &[], &["--threshold", wrong]).finish();
        assert_eq!((done.code, done.report), (Some(1), None), "{wrong}: {}", done.said);
        assert!(done.said.contains(wrong.split(['.', ' ', '/']).next().unwrap()), "{}", done.said);
        assert_eq!(fake.seen().len(), 0, "{wrong}: the run has begun");
    }
}

#[test]
fn a_threshold_of_the_scenario_counts_as_one_of_the_command_line() {
    let fake = fake();
    let mut plan = short(&fake);
    let names = ["viewers".to_owned()];
    plan.thresholds = vec![Threshold::parse("viewers/latency.max < 1us", &names).unwrap()];
    let done = start(&plan, &[], &[]).finish();
    assert_eq!(done.code, Some(99), "{}", done.said);
    assert_eq!(done.report.unwrap()["thresholds"][0]["held"], false);
}

#[test]
fn a_figure_that_was_not_measured_breaks_its_threshold() {
    let fake = Fake::ws(Script::stream(Stream { first_after: Duration::MAX, ..Stream::default() }));
    fake.expect_probe();
    let done = start(&short(&fake), &[], &["--threshold", "first_frame.p99 < 10s"]).finish();
    assert_eq!(done.code, Some(99), "{}", done.said);
}

#[test]
fn wrong_use_is_1() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let empty = format!("{folder}/empty-{}.toml", std::process::id());
    std::fs::write(&empty, "").unwrap();
    let broken = format!("{folder}/broken-{}.toml", std::process::id());
    std::fs::write(&broken, "name = \"x\"\nclients == 3\n").unwrap();
    let cases: [(&[&str], &str); 8] = [
        (&["run"], "what to load"),
        (&["run", "--scenario", "/nowhere/at-all.toml"], "/nowhere/at-all.toml"),
        (&["run", "--scenario", "-"], "-"),
        (&["run", "--scenario", &empty], "group"),
        (&["run", "--scenario", &broken], "2"),
        (&["run", "ftp://127.0.0.1:1/"], "ftp"),
        (&["run", "ws://127.0.0.1:1/", "--clients", "none"], "clients"),
        (&["rnu"], "rnu"),
    ];
    for (arguments, named) in cases {
        let (code, said) = bare(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
    let _ = (std::fs::remove_file(empty), std::fs::remove_file(broken));
    assert_eq!(bare(&["--help"]).0, Some(0));
}

#[test]
fn when_nothing_connects_it_is_2() {
    let url = format!("ws://{}/stream", refused_address());
    let started = Instant::now();
    let (code, said) = bare(&["run", &url, "--quiet"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&url) && said.to_lowercase().contains("refused"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(5), "it is told at once");
    // It listens, and takes nobody: over long before the run would be.
    let fake = Fake::ws(Script::door(Door::Status(503, "Service Unavailable")));
    fake.expect_probe();
    let mut plan = short(&fake);
    plan.stages[1].duration_ns = 60_000 * MS;
    let done = start(&plan, &[], &[]).finish();
    assert_eq!(done.code, Some(2), "{}", done.said);
    assert!(done.said.contains("http_503"), "{}", done.said);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_tool_that_was_stopped_for_a_while_says_that_the_run_is_invalid() {
    let fake = fake();
    let mut plan = short(&fake);
    plan.self_check = SelfCheck::default();
    plan.self_check.lateness_p99_max_ns = 50 * MS;
    plan.stages[1].duration_ns = 2_000 * MS;
    let tool = start(&plan, &[], &["--threshold", "latency.p50 < 1us"]);
    while fake.seen().iter().all(|seen| seen.sent.len() < 60) {
        thread::sleep(Duration::from_millis(5));
    }
    tool.signal("STOP");
    thread::sleep(Duration::from_millis(300));
    tool.signal("CONT");
    let done = tool.finish();
    // What an invalid run says of thresholds is worth nothing.
    assert_eq!(done.code, Some(3), "{}", done.said);
    let report = done.report.as_ref().unwrap();
    assert_eq!(report["verdict"]["valid"], false);
    assert!(reasons(&done).contains("the tool itself was late"), "{}", reasons(&done));
    assert!(report["tool"]["lateness_max"].as_f64().unwrap() >= 290e6, "{}", report["tool"]["lateness_max"]);
    // The frames that waited are late in the histograms: that is what makes the run invalid.
    assert!(report["groups"][0]["timings"]["latency"]["max"].as_f64().unwrap() >= 280e6);
}

/// Programs that use all that a core has.
struct Spinners(Vec<Child>);

impl Spinners {
    fn on_core_0(count: usize) -> Self {
        let mut spin = Command::new("taskset");
        spin.args(["-c", "0", "sh", "-c", "while :; do :; done"]).stdout(Stdio::null());
        Self((0..count).map(|_| spin.spawn().unwrap()).collect())
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for spinner in &mut self.0 {
            let _ = spinner.kill();
            let _ = spinner.wait();
        }
    }
}

#[test]
fn a_tool_without_a_core_of_its_own_says_that_the_run_is_invalid() {
    let fake = fake();
    let mut plan = short(&fake);
    plan.self_check = SelfCheck::default();
    plan.groups[0].clients = 20;
    let spinners = Spinners::on_core_0(3);
    let done = start(&plan, &["taskset", "-c", "0", "nice", "-n", "19"], &[]).finish();
    drop(spinners);
    assert_eq!(done.code, Some(3), "{}", done.said);
    assert!(reasons(&done).contains("the tool itself was late"), "{}", reasons(&done));
}

#[test]
fn a_clock_that_is_not_ours_makes_the_run_invalid() {
    let fake = Fake::ws(Script { clock_ahead_ns: 10_000_000_000, ..Script::stream(Stream::default()) });
    fake.expect_probe();
    let mut plan = short(&fake);
    plan.clock = ClockMode::Same;
    let done = start(&plan, &[], &[]).finish();
    assert_eq!(done.code, Some(3), "{}", done.said);
    assert!(reasons(&done).contains("the server's clock is not this host's"), "{}", reasons(&done));
}

#[test]
fn an_interrupted_run_gives_what_it_has() {
    for signal in ["INT", "TERM"] {
        let fake = fake();
        let mut plan = short(&fake);
        plan.stages[1].duration_ns = 60_000 * MS;
        let tool = start(&plan, &[], &["--threshold", "missing <= 0%"]);
        while fake.seen().iter().all(|seen| seen.sent.len() < 100) {
            thread::sleep(Duration::from_millis(5));
        }
        let stopped = Instant::now();
        tool.signal(signal);
        let done = tool.finish();
        assert!(stopped.elapsed() < Duration::from_secs(5), "{signal}");
        let report = done.report.as_ref().unwrap_or_else(|| panic!("{signal}: {}", done.said));
        assert!(report["verdict"]["cut_short"].is_string(), "{signal}: {}", report["verdict"]);
        // What it has seen by then: 100 frames after the connection, half a second of them warm-up.
        let measured_s = report["measured_s"].as_f64().unwrap();
        assert!((0.5..10.0).contains(&measured_s), "{signal}: {measured_s}");
        let delivered = report["groups"][0]["figures"]["delivered"]["value"].as_f64().unwrap();
        let rate = delivered / measured_s / 2.0;
        assert!((50.0..65.0).contains(&rate), "{signal}: {delivered} frames in {measured_s} s");
        assert_eq!(report["groups"][0]["figures"]["missing"]["value"], 0.0, "{signal}");
        assert_eq!(done.code, Some(0), "{signal}: {}", done.said);
        assert!(fake.seen().iter().all(|seen| seen.ended.is_some()), "{signal}: clients were left behind");
    }
}

#[test]
fn one_line_without_a_scenario_is_a_run() {
    let script = Script::new(Speak::Generic(Generic { rate_hz: 20, ..Generic::default() }));
    let fake = Fake::ws(script);
    fake.expect_probe();
    let json = format!("{}/line-{}.json", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let url = fake.url();
    let arguments = [
        &["run", &url, "--clients", "3", "--duration", "1s", "--ramp", "100ms", "--warmup", "200ms"][..],
        &["--protocol", "generic", "--expect", "20", "--threads", "1", "--json", &json],
    ];
    let (code, said) = bare(&arguments.concat());
    assert!(matches!(code, Some(0 | 3)), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let _ = std::fs::remove_file(json);
    let delivered = report["all"]["figures"]["delivered"]["value"].as_f64().unwrap();
    assert!((57.0..=63.0).contains(&delivered), "{delivered}");
    assert_eq!(fake.seen().len(), 3);
}
