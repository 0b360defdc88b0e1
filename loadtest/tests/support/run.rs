//! A run of the load tester, from a plan to its figures.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use swarmcast::wire::Profile;
use swarmcast_load::clock::{SECOND_NS, monotonic_ns, realtime_ns};
use swarmcast_load::figures;
use swarmcast_load::plan::{
    Behaviour, ClockMode, Group, Message, Plan, Protocol, SelfCheck, Sending, Stage, StageKind, Target, Transport,
};
use swarmcast_load::record::{Count, Packed, Record, Timing};

use super::fake::{Fake, Seen};
use super::scenario;

pub const MS: u64 = 1_000_000;

/// The program as a child process, with a scenario of its own.
pub struct Tool {
    child: Child,
    folder: PathBuf,
}

/// What a run of the program left.
pub struct Finished {
    pub code: Option<i32>,
    pub said: String,
    /// The JSON that it wrote, if it did.
    pub report: Option<Value>,
}

/// The program, quiet.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarmcast-load"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts the program on a plan. `before` are words in front of the program, such as `nice`.
pub fn start(plan: &Plan, before: &[&str], more: &[&str]) -> Tool {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("load-{}-{count}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (scenario, json) = (folder.join("scenario.toml"), folder.join("out.json"));
    fs::write(&scenario, scenario::toml(plan)).unwrap();
    let words = [before, &[env!("CARGO_BIN_EXE_swarmcast-load"), "run", "--quiet", "--scenario"]].concat();
    let said = fs::File::create(folder.join("said")).unwrap();
    let child = Command::new(words[0])
        .args(&words[1..])
        .arg(scenario)
        .arg("--json")
        .arg(json)
        .args(more)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap();
    Tool { child, folder }
}

impl Tool {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended.
    pub fn finish(mut self) -> Finished {
        let code = self.child.wait().unwrap().code();
        let said = fs::read_to_string(self.folder.join("said")).unwrap();
        let report = fs::read(self.folder.join("out.json")).ok();
        let report = report.map(|bytes| serde_json::from_slice(&bytes).unwrap());
        assert!(!said.contains("panicked"), "{said}");
        Finished { code, said, report }
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // A test that failed leaves it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a test reads off a finished run.
pub struct Outcome {
    names: Vec<String>,
    totals: Vec<Record>,
    pub report: Value,
    pub measured_s: f64,
    /// Start and end of the run, monotonic ns; the start is known to a millisecond.
    pub start_ns: u64,
    pub end_ns: u64,
}

impl Outcome {
    fn new(plan: &Plan, report: Value) -> Self {
        let groups = report["groups"].as_array().unwrap();
        let unpack = |group: &Value| {
            let packed: Packed = serde_json::from_value(group["record"].clone()).unwrap();
            packed.unpack().unwrap()
        };
        let since_1970 = realtime_ns() - monotonic_ns();
        let start_ns = report["started_unix_ms"].as_u64().unwrap() * MS - since_1970;
        Self {
            names: groups.iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect(),
            totals: groups.iter().map(unpack).collect(),
            measured_s: report["measured_s"].as_f64().unwrap(),
            start_ns,
            end_ns: start_ns + plan.duration_ns(),
            report,
        }
    }

    fn place(&self, group: &str) -> usize {
        self.names.iter().position(|name| name == group).unwrap_or_else(|| panic!("no group {group}"))
    }

    /// All that was recorded of a group in measured slices, and what counts always.
    pub fn of(&self, group: &str) -> &Record {
        &self.totals[self.place(group)]
    }

    /// A figure by its name; `None` when it was not measured.
    pub fn figure(&self, group: &str, name: &str) -> Option<f64> {
        let stated = &self.report["groups"][self.place(group)];
        if let Some(figure) = stated["figures"].get(name) {
            return figure["value"].as_f64();
        }
        let (timing, stat) = name.split_once('.').unwrap_or_else(|| panic!("no figure {name}"));
        let stated = stated["timings"].get(timing).unwrap_or_else(|| panic!("no figure {name}"));
        // Those that the report does not state are in its records.
        let read = || figures::lookup(name).unwrap_or_else(|| panic!("no figure {name}")).read(self.of(group), 1.0);
        stated.get(stat).map_or_else(read, Value::as_f64)
    }

    /// A time in ms.
    pub fn ms(&self, group: &str, name: &str) -> f64 {
        self.figure(group, name).unwrap_or_else(|| panic!("{group}: {name} was not measured")) / MS as f64
    }

    /// How late this machine was in this very run, as the tool saw it by itself, ms. The fake server and its clients
    /// share the machine: what should take a time may take this much more, and never less.
    pub fn slack_ms(&self) -> f64 {
        3.0 * self.report["tool"]["lateness_max"].as_f64().unwrap_or(0.0) / MS as f64
    }

    /// Holds when a figure is in the range, give or take what the machine was late.
    #[track_caller]
    pub fn between_ms(&self, group: &str, name: &str, low: f64, high: f64) {
        between(self.ms(group, name), low, high + self.slack_ms());
    }

    pub fn count(&self, group: &str, what: Count) -> u64 {
        self.of(group).of(what)
    }

    /// Errors as `kind count`, in order of their names.
    pub fn errors(&self, group: &str) -> Vec<String> {
        self.of(group).errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect()
    }

    /// The greatest values of a timing, ms, in falling order.
    pub fn greatest(&self, group: &str, timing: Timing, count: usize) -> Vec<f64> {
        let values = self.of(group).timing(timing).unwrap();
        let each = values.iter_recorded().flat_map(|step| {
            let value = step.value_iterated_to() as f64 / MS as f64;
            std::iter::repeat_n(value, step.count_since_last_iteration() as usize)
        });
        let mut each: Vec<f64> = each.collect();
        each.reverse();
        each.truncate(count);
        each
    }
}

/// The groups of one run, each with a server of its own.
#[derive(Default)]
pub struct Cast {
    pub groups: Vec<Group>,
    fakes: BTreeMap<String, Fake>,
}

impl Cast {
    /// A viewer of our own format at 60 Hz, changed as the test needs it.
    pub fn add(&mut self, name: &str, fake: Fake, change: impl FnOnce(&mut Group)) {
        let mut group = viewer(name, &fake);
        change(&mut group);
        self.groups.push(group);
        self.fakes.insert(name.to_owned(), fake);
    }

    /// A client that speaks something else.
    pub fn speak(&mut self, name: &str, fake: Fake, protocol: Protocol, change: impl FnOnce(&mut Group)) {
        let plain = fake.plain_path();
        self.add(name, fake, |group| {
            (group.protocol, group.target.path) = (protocol, plain);
            change(group);
        });
    }

    pub fn play(self, plan: impl FnOnce(Vec<Group>) -> Plan) -> Played {
        self.fakes.values().for_each(Fake::expect_probe);
        Played { outcome: play(&plan(self.groups)), fakes: self.fakes }
    }
}

/// A finished run and the servers that it was against.
pub struct Played {
    pub outcome: Outcome,
    pub fakes: BTreeMap<String, Fake>,
}

impl Played {
    /// What the server of a group saw.
    pub fn seen(&self, group: &str) -> Vec<Seen> {
        self.fakes[group].seen()
    }
}

impl std::ops::Deref for Played {
    type Target = Outcome;

    fn deref(&self) -> &Outcome {
        &self.outcome
    }
}

/// Holds when `what` is in the range.
#[track_caller]
pub fn between(what: f64, low: f64, high: f64) {
    assert!((low..=high).contains(&what), "{what} is not in {low}..={high}");
}

/// One viewer of our own format at 60 Hz.
pub fn viewer(name: &str, fake: &Fake) -> Group {
    let url = fake.url();
    let transport = if url.starts_with("tcp") { Transport::Tcp } else { Transport::WebSocket };
    Group {
        name: name.to_owned(),
        clients: 1,
        target: Target {
            url,
            transport,
            authority: fake.address().to_string(),
            path: if transport == Transport::Tcp {
                String::new()
            } else {
                "/stream?profile=swarmcast.v1&rate=60".into()
            },
            address: fake.address(),
            headers: vec![],
            subprotocols: vec![],
        },
        protocol: Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 },
        behaviour: Behaviour::Reader,
        sending: None,
        start_ns: 0,
        owed_hz: None,
        reconnect_after_ns: None,
        verify: false,
        receive_buffer_bytes: None,
        stages: None,
    }
}

pub fn sending(rate_hz: f64, what: Message) -> Option<Sending> {
    Some(Sending { rate_hz, what })
}

/// All clients come within 100 ms; then they are watched for so long, the first half second left out.
pub fn plan(name: &str, seconds: f64, groups: Vec<Group>) -> Plan {
    let stage = |kind, seconds: f64, measured| Stage {
        name: format!("{kind:?}").to_lowercase(),
        kind,
        duration_ns: (seconds * SECOND_NS as f64) as u64,
        to: 1.0,
        measured,
    };
    Plan {
        name: name.to_owned(),
        seed: 1,
        stages: vec![stage(StageKind::Ramp, 0.1, false), stage(StageKind::Hold, seconds, true)],
        groups,
        thresholds: vec![],
        warmup_ns: SECOND_NS / 2,
        threads: 1,
        sources: vec![],
        connect_timeout_ns: 5 * SECOND_NS,
        clock: ClockMode::Same,
        self_check: SelfCheck::default(),
    }
}

/// Plays a plan to its end.
pub fn play(plan: &Plan) -> Outcome {
    let done = start(plan, &[], &[]).finish();
    let report = done.report.unwrap_or_else(|| panic!("no report, exit code {:?}: {}", done.code, done.said));
    // A machine that is short of time makes a run invalid; what it says of the server holds within wide bounds.
    assert!(matches!(done.code, Some(0 | 3)), "exit code {:?}: {}", done.code, done.said);
    Outcome::new(plan, report)
}
