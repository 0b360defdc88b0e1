//! Runs that never ran: accounts made by hand from seeded distributions, for tests of what comes after a run.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;
use swarmcast::wire::Profile;
use swarmcast_load::clock::SECOND_NS;
use swarmcast_load::collect::{ClockNote, Collected, GeneratorNote, Merged, Watch};
use swarmcast_load::plan::{
    Behaviour, Call, Calls, ClockMode, Framing, Group, Plan, Protocol, SelfCheck, Stage, StageKind, Stamp, StampClock,
    StampKind, Target, Transport,
};
use swarmcast_load::record::{Count, Record, Timing};
use swarmcast_load::report::{Report, ThresholdResult};
use swarmcast_load::threshold::{Relation, Threshold};

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A folder for one test's files, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = repository("target/report").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Installs `tests/clients` and gives the Python of its environment.
pub fn python() -> PathBuf {
    let set_up = Command::new("sh").arg(repository("tests/clients/setup.sh")).output().unwrap();
    assert!(set_up.status.success(), "{}", String::from_utf8_lossy(&set_up.stderr));
    repository("tests/clients/.venv/bin/python")
}

/// A value of a log-normal distribution.
pub fn log_normal(rng: &mut Rng, median: f64, sigma: f64) -> f64 {
    (median.ln() + sigma * normal(rng)).exp()
}

/// A value of the standard normal distribution (Box and Muller).
pub fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}

pub fn target(url: &str, transport: Transport) -> Target {
    Target {
        url: url.to_owned(),
        transport,
        authority: "127.0.0.1:7400".to_owned(),
        path: "/stream".to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], 7400)),
        headers: Vec::new(),
        subprotocols: Vec::new(),
    }
}

pub fn group(name: &str, clients: u32) -> Group {
    Group {
        name: name.to_owned(),
        clients,
        target: target("ws://127.0.0.1:7400/stream", Transport::WebSocket),
        protocol: Protocol::Swarmcast { profile: Profile::Own, rate_hz: 20 },
        behaviour: Behaviour::Reader,
        sending: None,
        start_ns: 0,
        owed_hz: Some(20.0),
        reconnect_after_ns: None,
        verify: false,
        receive_buffer_bytes: None,
        stages: None,
    }
}

pub fn stage(name: &str, kind: StageKind, seconds: u64, to: f64) -> Stage {
    let measured = kind != StageKind::Ramp;
    Stage { name: name.to_owned(), kind, duration_ns: seconds * SECOND_NS, to, measured }
}

pub fn plan(groups: Vec<Group>, stages: Vec<Stage>) -> Plan {
    Plan {
        name: "made by hand".to_owned(),
        seed: 1,
        stages,
        groups,
        thresholds: Vec::new(),
        warmup_ns: 0,
        threads: 2,
        sources: Vec::new(),
        connect_timeout_ns: 5 * SECOND_NS,
        clock: ClockMode::Same,
        self_check: SelfCheck::default(),
    }
}

/// The account of `series`, summed as the collector sums it.
pub fn collected(plan: Plan, series: Vec<Merged>) -> Collected {
    let mut totals: Vec<Record> = plan.groups.iter().map(|_| Record::with(&[])).collect();
    let mut watch = Watch::default();
    let mut measured_s = 0.0;
    for merged in &series {
        for (total, group) in totals.iter_mut().zip(&merged.groups) {
            total.append(group, merged.slice.measured);
        }
        if merged.slice.measured {
            watch.merge(&merged.watch);
            measured_s += (merged.slice.end_ns - merged.slice.start_ns) as f64 / 1e9;
        }
    }
    let clocks = plan.groups.iter().map(|_| ClockNote { offset_ns: 0, error_ns: Some(0), samples: 0 }).collect();
    let generators = vec![GeneratorNote {
        name: "local".to_owned(),
        machine: "a processor, 2 cores, Linux 6.1".to_owned(),
        threads: plan.threads,
        trouble: None,
    }];
    Collected {
        command: format!("swarmcast-load run {}", plan.groups[0].target.url),
        plan,
        started_unix_ms: 1_790_000_000_123,
        series: series.iter().map(|slice| slice.pack().unwrap()).collect(),
        totals,
        watch,
        measured_s,
        clocks,
        generators,
        cut_short: None,
    }
}

const FRAMES: [Timing; 6] =
    [Timing::Latency, Timing::LatencyRaw, Timing::Gap, Timing::FirstFrame, Timing::Connect, Timing::ClientRate];

/// One slice of a group of viewers at 20 frames/s each, of which `stall` of the frames come 80 ms late.
pub fn viewers(rng: &mut Rng, clients: u64, median_ns: f64, stall: f64, missing: f64) -> Record {
    let mut record = Record::with(&FRAMES);
    record.connected = clients;
    for _ in 0..clients * 20 {
        let raw = log_normal(rng, median_ns, 0.45) + if rng.f64() < stall { 80e6 * rng.f64() } else { 0.0 };
        record.count(Count::BytesRead, 48_000);
        if rng.f64() < missing {
            record.count(Count::Missing, 1);
            record.count(Count::Conflated, 1);
            record.record(Timing::Latency, (raw + 50e6) as u64, 1);
            continue;
        }
        record.count(Count::Delivered, 1);
        record.count(Count::Owed, 1);
        record.count(Count::Sequenced, 1);
        record.record(Timing::LatencyRaw, raw as u64, 1);
        record.record(Timing::Latency, (raw + 200e3 * rng.f64()) as u64, 1);
        record.record(Timing::Gap, (50e6 + raw * normal(rng) * 0.3).max(1e5) as u64, 1);
    }
    record
}

fn joins(rng: &mut Rng, record: &mut Record, count: u64) {
    for _ in 0..count {
        let connect = log_normal(rng, 900e3, 0.5);
        record.record(Timing::Connect, connect as u64, 1);
        record.record(Timing::FirstFrame, (connect + 50e6 * rng.f64()) as u64, 1);
        record.count(Count::Connected, 1);
        record.count(Count::Owing, 1);
    }
}

/// A run with everything in it: three groups, a ramp, a warm-up, a hold and a spike, errors, calls, two clocks.
pub fn rich(seed: u64) -> Collected {
    let mut rng = Rng::with_seed(seed);
    let mut slow = group("slow-tenth", 20);
    slow.behaviour = Behaviour::Slow { bytes_per_s: 200_000 };
    let mut generic = group("other_server", 10);
    generic.protocol = Protocol::Generic {
        framing: Framing::None,
        stamp: Some(Stamp { offset: 4, kind: StampKind::U64Le, unit_ns: 1_000, clock: StampClock::Unix }),
        hello: vec!["{\"subscribe\":\"</script><b>&\"}".to_owned()],
    };
    let mut callers = group("callers", 4);
    callers.target = target("tcp://127.0.0.1:7402", Transport::Tcp);
    callers.owed_hz = None;
    let call = |method: &str| Call { method: method.to_owned(), params: None, weight: 1.0 };
    callers.protocol = Protocol::JsonRpc(Calls {
        rate_hz: 200.0,
        mcp: true,
        mix: vec![call("tools/call"), call("tools/list")],
        timeout_ns: 5 * SECOND_NS,
        in_flight_max: 8,
    });
    let stages = vec![
        stage("ramp", StageKind::Ramp, 6, 1.0),
        stage("hold", StageKind::Hold, 34, 1.0),
        stage("spike", StageKind::Spike, 10, 1.0),
    ];
    let mut plan = plan(vec![group("viewers", 100), slow, generic, callers], stages);
    plan.name = "everything at once </script><script>alert(1)</script>".to_owned();
    plan.warmup_ns = 4 * SECOND_NS;
    let bound = |text: &str, figure: &str, bound: f64| Threshold {
        text: text.to_owned(),
        group: None,
        figure: figure.to_owned(),
        relation: Relation::Less,
        bound,
    };
    plan.thresholds = vec![bound("latency.p99 < 50ms", "latency.p99", 50e6), bound("missing < 0.1%", "missing", 0.001)];
    let slices = plan.slices();
    let mut series = Vec::new();
    for (index, slice) in slices.iter().enumerate() {
        let (ramp, spike) = (slice.stage == 0, slice.stage == 2);
        let share = if ramp { (index as f64 + 1.0) / 6.0 } else { 1.0 };
        let swell = (1.0 + 0.25 * (index as f64 / 6.0).sin()) * if spike { 2.6 } else { 1.0 };
        let stall = if index == 22 { 0.2 } else { 0.001 };
        let mut groups = vec![
            viewers(&mut rng, (100.0 * share) as u64, 1.4e6 * swell, stall, 0.0004),
            viewers(&mut rng, (20.0 * share) as u64, 6.0e6 * swell, 0.02, 0.08),
            viewers(&mut rng, (10.0 * share) as u64, 2.4e6 * swell, 0.002, 0.0),
        ];
        for record in &mut groups {
            let new = if ramp { record.connected / 6 + 1 } else { 0 };
            joins(&mut rng, record, new);
        }
        if index == 22 {
            // A second in which nothing came at all to this group.
            groups[2].clear();
            groups[2].connected = 10;
            groups[1].error("close_1013");
            groups[1].error("close_1013");
            groups[0].error("reset");
            groups[0].count(Count::Lost, 1);
        }
        let mut calls = Record::with(&[Timing::Connect, Timing::Call, Timing::CallService, Timing::RoundTrip]);
        calls.connected = 4;
        for _ in 0..200 {
            let service = log_normal(&mut rng, 700e3, 0.6);
            calls.count(Count::CallsDue, 1);
            if rng.f64() < 0.003 {
                calls.count(Count::CallsFailed, 1);
                calls.error("rpc_-32000");
                continue;
            }
            calls.count(Count::CallsAnswered, 1);
            calls.record(Timing::CallService, service as u64, 1);
            calls.record(Timing::Call, (service * (1.0 + rng.f64())) as u64, 1);
            calls.record(Timing::RoundTrip, (service / 2.0) as u64, 1);
        }
        groups.push(calls);
        if index + 1 == slices.len() {
            for (record, clients) in groups.iter_mut().zip([100_u64, 20, 10]) {
                for _ in 0..clients {
                    record.record(Timing::ClientRate, (19_980.0 - 900.0 * rng.f64()) as u64, 1);
                }
            }
        }
        let mut watch = Watch { thread_cpu: 0.31, thread_wait: Some(0.012), ..Watch::default() };
        for _ in 0..1_000 {
            watch.lateness.record(log_normal(&mut rng, 60e3, 0.7) as u64).unwrap();
        }
        series.push(Merged { slice: *slice, groups, watch });
    }
    let mut collected = collected(plan, series);
    collected.clocks[2] = ClockNote { offset_ns: -1_482_113, error_ns: Some(41_000), samples: 250 };
    collected
}

/// The report of [`rich`], one threshold broken.
pub fn rich_report() -> Report {
    let collected = rich(7);
    let verdicts = vec![
        ThresholdResult { text: "latency.p99 < 50ms".to_owned(), value: Some(21.4e6), held: true },
        ThresholdResult { text: "missing < 0.1%".to_owned(), value: Some(0.0126), held: false },
    ];
    Report::build(&collected, Vec::new(), verdicts).unwrap()
}

/// A run of one group of viewers whose every slice is drawn by `record`.
pub fn steady(seconds: u64, mut record: impl FnMut(usize) -> Record) -> Report {
    let plan = plan(vec![group("viewers", 100)], vec![stage("hold", StageKind::Hold, seconds, 1.0)]);
    let slices = plan.slices();
    let merged = |(index, slice)| Merged { slice, groups: vec![record(index)], watch: Watch::default() };
    let series = slices.into_iter().enumerate().map(merged).collect();
    Report::build(&collected(plan, series), Vec::new(), Vec::new()).unwrap()
}

/// Values by name, for comparisons with what other programs say.
pub type Values = BTreeMap<String, f64>;
