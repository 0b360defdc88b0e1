//! A run of the load tester, from a plan to its figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarmcast::wire::Profile;
use swarmcast_load::clock::{SECOND_NS, monotonic_ns};
use swarmcast_load::figures;
use swarmcast_load::generate::{Job, Offsets, Share, start};
use swarmcast_load::plan::{
    Behaviour, ClockMode, Group, Message, Plan, Protocol, SelfCheck, Sending, Stage, StageKind, Target, Transport,
};
use swarmcast_load::record::{Count, Record, Timing};

use super::fake::{Fake, Seen};

pub const MS: u64 = 1_000_000;

/// What a test reads off a finished run.
pub struct Outcome {
    names: Vec<String>,
    totals: Vec<Record>,
    pub measured_s: f64,
    /// Start and end of the run, monotonic ns; the start is known to a millisecond.
    pub start_ns: u64,
    pub end_ns: u64,
}

impl Outcome {
    /// All that was recorded of a group in measured slices, and what counts always.
    pub fn of(&self, group: &str) -> &Record {
        let place = self.names.iter().position(|name| name == group).unwrap_or_else(|| panic!("no group {group}"));
        &self.totals[place]
    }

    /// A figure by its name; `None` when it was not measured.
    pub fn figure(&self, group: &str, name: &str) -> Option<f64> {
        figures::lookup(name).unwrap_or_else(|| panic!("no figure {name}")).read(self.of(group), self.measured_s)
    }

    /// A time in ms.
    pub fn ms(&self, group: &str, name: &str) -> f64 {
        self.figure(group, name).unwrap_or_else(|| panic!("{group}: {name} was not measured")) / MS as f64
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
        Played { outcome: play(plan(self.groups)), fakes: self.fakes }
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
pub fn play(plan: Plan) -> Outcome {
    let plan = Arc::new(plan);
    let (start_ns, offsets) = (monotonic_ns() + 50 * MS, Arc::new(Offsets::none(plan.groups.len())));
    let job = Job { plan: Arc::clone(&plan), share: Share { index: 0, of: 1 }, start_ns, offsets };
    let running = start(&job).unwrap();
    let slices = plan.slices();
    let mut totals = vec![Record::with(&[]); plan.groups.len()];
    for interval in running.intervals() {
        for (total, record) in totals.iter_mut().zip(&interval.groups) {
            total.append(record, slices[interval.slice].measured);
        }
    }
    running.join().unwrap();
    let measured = slices.iter().filter(|slice| slice.measured).map(|slice| slice.end_ns - slice.start_ns);
    Outcome {
        names: plan.groups.iter().map(|group| group.name.clone()).collect(),
        totals,
        measured_s: measured.sum::<u64>() as f64 / 1e9,
        start_ns,
        end_ns: start_ns + plan.duration_ns(),
    }
}
