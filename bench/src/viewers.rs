//! Viewers by the load tester, in this process: what the benches of the compact profile have for clients.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use swarmcast_load::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use swarmcast_load::generate::{Job, Offsets, Running, Share, start};
use swarmcast_load::plan::{
    Behaviour, ClockMode, Compact, Group, Plan, Protocol, SelfCheck, Stage, StageKind, Target, Transport,
};
use swarmcast_load::record::Record;

/// Clients that connect in a second.
const RAMP_CLIENTS_PER_S: u64 = 1_000;

/// What a client of the compact profile asks for when it asks for nothing special.
#[must_use]
pub fn compact(rate_hz: u16) -> Compact {
    Compact { rate_hz, bits: None, dimensions: None, interest: None, ack_every: 0 }
}

/// Readers over WebSocket that never come back once they are lost.
#[must_use]
pub fn group(name: &str, address: SocketAddr, clients: u32, protocol: Protocol) -> Group {
    let query = match &protocol {
        Protocol::Compact(compact) => format!("?profile=swarmcast.compact&rate={}", compact.rate_hz),
        Protocol::Swarmcast { profile, rate_hz } => format!("?profile={}&rate={rate_hz}", profile.name()),
        Protocol::Generic { .. } | Protocol::JsonRpc(_) => String::new(),
    };
    Group {
        name: name.to_owned(),
        clients,
        target: Target {
            url: format!("ws://{address}/stream"),
            transport: Transport::WebSocket,
            authority: address.to_string(),
            path: format!("/stream{query}"),
            address,
            headers: Vec::new(),
            subprotocols: Vec::new(),
        },
        protocol,
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

/// Everyone connects, and then `seconds` count after a warm-up of `warm_s`. One thread.
#[must_use]
pub fn plan(groups: Vec<Group>, warm_s: u64, seconds: u64) -> Plan {
    let clients: u64 = groups.iter().map(|group| u64::from(group.clients)).sum();
    let ramp_ns = (clients * SECOND_NS / RAMP_CLIENTS_PER_S).max(SECOND_NS);
    let stage = |kind, duration_ns, measured| Stage { name: String::new(), kind, duration_ns, to: 1.0, measured };
    let hold_ns = (warm_s + seconds) * SECOND_NS;
    Plan {
        name: "viewers".to_owned(),
        seed: 1,
        stages: vec![stage(StageKind::Ramp, ramp_ns, false), stage(StageKind::Hold, hold_ns, true)],
        groups,
        thresholds: Vec::new(),
        warmup_ns: warm_s * SECOND_NS,
        threads: 1,
        sources: Vec::new(),
        connect_timeout_ns: 10 * SECOND_NS,
        clock: ClockMode::Same,
        self_check: SelfCheck::default(),
    }
}

/// Viewers that are on their way.
#[derive(Debug)]
pub struct Viewers {
    plan: Arc<Plan>,
    running: Running,
}

/// What they saw in the measured time.
#[derive(Debug)]
pub struct Seen {
    /// Of each group.
    pub groups: Vec<Record>,
    /// Processor time of the generating thread, ns.
    pub thread_ns: f64,
}

impl Viewers {
    /// Starts them.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn start(plan: Plan) -> Result<Self> {
        let plan = Arc::new(plan);
        let running = start(&Job {
            plan: Arc::clone(&plan),
            share: Share { index: 0, of: 1 },
            start_ns: monotonic_ns() + 20 * MILLISECOND_NS,
            offsets: Arc::new(Offsets::none(plan.groups.len())),
        })?;
        Ok(Self { plan, running })
    }

    /// Waits for the end of their plan.
    ///
    /// # Errors
    /// When anything went wrong with any of them: a figure with errors in it is none.
    pub fn finish(self) -> Result<Seen> {
        let slices = self.plan.slices();
        let mut groups = vec![Record::with(&[]); self.plan.groups.len()];
        let mut thread_ns = 0.0;
        for interval in self.running.intervals() {
            let slice = slices.get(interval.slice).copied().context("a slice that the plan does not have")?;
            groups.iter_mut().zip(&interval.groups).for_each(|(sum, record)| sum.append(record, slice.measured));
            if slice.measured {
                thread_ns += interval.watch.thread_cpu * (slice.end_ns - slice.start_ns) as f64;
            }
            self.running.recycle(interval);
        }
        self.running.join()?;
        for (group, record) in self.plan.groups.iter().zip(&groups) {
            ensure!(record.error_count() == 0, "{}: {:?}", group.name, record.errors);
        }
        Ok(Seen { groups, thread_ns })
    }
}
