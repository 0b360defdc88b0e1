//! A run before it is checked as a whole: the same for scenario files and for the command line.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use swarmcast::wire::{Profile, RATE_HZ_MAX};

use super::group::{GroupDraft, Spoken};
use super::stages;
use crate::clock::SECOND_NS;
use crate::figures::Figure;
use crate::plan::{Behaviour, ClockMode, Group, Message, Plan, Protocol, SelfCheck, Stage};
use crate::quantity::show_ns;
use crate::record::Timing;
use crate::target::Url;
use crate::threshold::Threshold;

/// Measured time, where nothing is said.
const DURATION_NS: u64 = 30 * SECOND_NS;

/// Clients that one second of the default ramp connects.
const RAMP_CLIENTS_PER_S: u64 = 1_000;

/// Clients that a thread of its own is worth.
const CLIENTS_PER_THREAD: u64 = 250;

/// Connections from one address to one port of a server: the kernel has about 28,000 ports for them, and those of
/// connections just closed stay taken for a minute.
pub(crate) const CLIENTS_PER_SOURCE: u64 = 20_000;

/// What is said of a run. `None` and empty: nothing.
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) seed: Option<u64>,
    pub(crate) target: Option<Url>,
    /// There was one, and it was refused.
    pub(crate) target_refused: bool,
    /// `None`: one of them was refused.
    pub(crate) stages: Option<Vec<Stage>>,
    pub(crate) ramp_ns: Option<u64>,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) groups: Vec<GroupDraft>,
    pub(crate) thresholds: Vec<Threshold>,
    pub(crate) warmup_ns: Option<u64>,
    pub(crate) threads: Option<usize>,
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) connect_timeout_ns: Option<u64>,
    pub(crate) clock: Option<ClockMode>,
    pub(crate) self_check: SelfCheck,
}

/// Takes what is wrong: the group's place where it is about one, the key, and the message.
pub(crate) type Say<'a> = &'a mut dyn FnMut(Option<usize>, &str, String);

impl Draft {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            seed: None,
            target: None,
            target_refused: false,
            stages: Some(Vec::new()),
            ramp_ns: None,
            duration_ns: None,
            groups: Vec::new(),
            thresholds: Vec::new(),
            warmup_ns: None,
            threads: None,
            sources: Vec::new(),
            connect_timeout_ns: None,
            clock: None,
            self_check: SelfCheck::default(),
        }
    }

    /// The plan, unless something in it cannot be, which is said. A group that is refused is left out of the checks
    /// of the whole.
    pub(crate) fn finish(mut self, cores: usize, say: Say<'_>) -> Option<Plan> {
        let mut fine = true;
        let mut refuse = |group: Option<usize>, key: &str, wrong: String| {
            fine = false;
            say(group, key, wrong);
        };
        let mut names = BTreeSet::new();
        let (mut groups, mut during, mut urls) = (Vec::new(), Vec::new(), Vec::new());
        for (place, group) in std::mem::take(&mut self.groups).into_iter().enumerate() {
            if !names.insert(group.name.clone()) {
                refuse(Some(place), "name", format!("{} is the name of another group too", group.name));
            }
            during.push(group.during.clone());
            urls.push(group.target.clone().or_else(|| self.target.clone()));
            let mut refuse_group = |key: &str, wrong| refuse(Some(place), key, wrong);
            groups.push(group.finish(self.target.as_ref(), self.target_refused, &mut refuse_group));
        }
        if groups.is_empty() {
            refuse(None, "group", "is missing: a run needs at least one [[group]] of clients".to_owned());
        }
        let clients: u64 = groups.iter().flatten().map(|group| u64::from(group.clients)).sum();
        let stages = self.settle_stages(clients, &mut |key, wrong| refuse(None, key, wrong));
        let duration_ns: Option<u64> =
            stages.iter().flatten().map(|stage| stage.duration_ns).reduce(|sum, next| sum + next);
        for (place, group) in groups.iter().enumerate().filter_map(|(place, group)| Some((place, group.as_ref()?))) {
            if let Some(duration_ns) = duration_ns.filter(|duration_ns| group.start_ns >= *duration_ns) {
                let (start, end) = (show_ns(group.start_ns), show_ns(duration_ns));
                refuse(Some(place), "start", format!("is {start}, when the run of {end} is over"));
            }
        }
        for (place, (group, names)) in groups.iter_mut().zip(&during).enumerate() {
            let stages = stages_called(names, stages.as_deref(), &mut |key, wrong| refuse(Some(place), key, wrong));
            if let Some(group) = group {
                group.stages = stages;
            }
        }
        let mut groups = groups.into_iter().collect::<Option<Vec<Group>>>()?;
        add_references(&mut groups, &urls, &mut |place, wrong| refuse(Some(place), "verify", wrong));
        self.check_whole(&groups, &mut |key, wrong| refuse(None, key, wrong));
        if !fine {
            return None;
        }
        let sources = if self.sources.is_empty() { default_sources(&groups) } else { self.sources };
        let threads_wanted = usize::try_from((clients / CLIENTS_PER_THREAD).max(1)).unwrap_or(usize::MAX);
        Some(Plan {
            name: self.name,
            seed: self.seed.unwrap_or(1),
            stages: stages?,
            groups,
            thresholds: self.thresholds,
            warmup_ns: self.warmup_ns.unwrap_or(SECOND_NS),
            threads: self.threads.unwrap_or_else(|| cores.min(threads_wanted)).max(1),
            sources,
            connect_timeout_ns: self.connect_timeout_ns.unwrap_or(10 * SECOND_NS),
            clock: self.clock.unwrap_or(ClockMode::Auto),
            self_check: self.self_check,
        })
    }

    fn settle_stages(&mut self, clients: u64, refuse: &mut dyn FnMut(&str, String)) -> Option<Vec<Stage>> {
        let warmup_ns = self.warmup_ns.unwrap_or(SECOND_NS);
        let stages = self.stages.take()?;
        if stages.is_empty() {
            let ramp_ns = self.ramp_ns.unwrap_or((clients * SECOND_NS / RAMP_CLIENTS_PER_S).max(SECOND_NS));
            let stages = stages::simple(ramp_ns, warmup_ns, self.duration_ns.unwrap_or(DURATION_NS));
            check_length("duration", &stages, refuse);
            return Some(stages);
        }
        for (key, given) in [("duration", self.duration_ns.is_some()), ("ramp", self.ramp_ns.is_some())] {
            if given {
                refuse(key, "cannot stand with [[stage]]: each stage has a duration of its own".to_owned());
            }
        }
        check_length("stage", &stages, refuse);
        // Hold and soak carry the level that the stages before them led to.
        if stages.iter().all(|stage| stage.to <= 0.0) {
            refuse("stage", "nobody ever connects: begin with a ramp or a spike to more than 0%".to_owned());
        }
        match stages.iter().find(|stage| stage.measured) {
            None => refuse("stage", "none is measured: a ramp is not, unless measured = true is in it".to_owned()),
            Some(first) if first.duration_ns <= warmup_ns => {
                let (warmup, stage) = (show_ns(warmup_ns), show_ns(first.duration_ns));
                let wrong = format!("is {warmup}, and the first measured stage lasts only {stage}: nothing is left");
                refuse("warmup", wrong);
            }
            Some(_) => {}
        }
        Some(stages)
    }

    fn check_whole(&self, groups: &[Group], refuse: &mut dyn FnMut(&str, String)) {
        let swarmcast = |group: &Group| group.protocol.is_swarmcast();
        if self.clock == Some(ClockMode::Ping) && !groups.iter().any(swarmcast) {
            refuse("clock", "cannot be ping: only Swarmcast answers the pings that tell the offset".to_owned());
        }
        for source in &self.sources {
            for address in groups.iter().map(|group| group.target.address.ip()) {
                if source.is_ipv4() != address.is_ipv4() {
                    refuse("sources", format!("{source} cannot reach {address}: one is IPv4, the other IPv6"));
                } else if source.is_loopback() != address.is_loopback() {
                    refuse("sources", format!("{source} cannot reach {address}: one is this host, the other is not"));
                }
            }
        }
        for threshold in &self.thresholds {
            let of = |group: &&Group| threshold.group.as_ref().is_none_or(|name| *name == group.name);
            let measured = groups.iter().filter(of).any(|group| measures(group, threshold));
            if let (false, Some(needs)) = (measured, threshold.lookup().and_then(|figure| needs(&figure))) {
                refuse("thresholds", format!("`{}`: nobody measures {}: {needs}", threshold.text, threshold.figure));
            }
        }
    }
}

/// Places of the stages with these names.
fn stages_called(
    names: &[String],
    stages: Option<&[Stage]>,
    refuse: &mut dyn FnMut(&str, String),
) -> Option<Vec<usize>> {
    let stages = stages?;
    for name in names.iter().filter(|name| !stages.iter().any(|stage| stage.name == **name)) {
        refuse("during", format!("no stage is called {name}"));
    }
    let wanted = |(_, stage): &(usize, &Stage)| names.contains(&stage.name);
    (!names.is_empty()).then(|| stages.iter().enumerate().filter(wanted).map(|(place, _)| place).collect())
}

/// A compact group that verifies is held against full frames of the same ticks: one more client gets them, as a group
/// of its own, unless a group of the scenario does already.
fn add_references(groups: &mut Vec<Group>, urls: &[Option<Url>], refuse: &mut dyn FnMut(usize, String)) {
    for place in 0..groups.len() {
        let Some(group) = groups.get(place).filter(|group| group.verify) else { continue };
        let full = |other: &Group| matches!(other.protocol, Protocol::Swarmcast { profile: Profile::Own, .. });
        let server = group.target.address;
        let there = groups.iter().any(|other| other.verify && full(other) && other.target.address == server);
        let Some(url) = urls.get(place).and_then(Option::as_ref) else { continue };
        if there || !matches!(group.protocol, Protocol::Compact(_)) {
            continue;
        }
        let mut reference = GroupDraft::new(&format!("{}-reference", group.name), 1);
        // Every tick, whichever of them the compact class is sent.
        (reference.rate_hz, reference.verify) = (Some(RATE_HZ_MAX), true);
        reference.spoken = Spoken::Swarmcast(Some(Profile::Own));
        reference.target = Some(url.without_asking());
        (reference.headers, reference.start_ns) = (group.target.headers.clone(), group.start_ns);
        let made =
            reference.finish(None, false, &mut |key, wrong| refuse(place, format!("its reference's {key} {wrong}")));
        groups.extend(made);
    }
}

fn check_length(key: &str, stages: &[Stage], refuse: &mut dyn FnMut(&str, String)) {
    let sum_ns: u64 = stages.iter().map(|stage| stage.duration_ns).sum();
    if sum_ns > stages::RUN_NS_MAX {
        let (sum, most) = (show_ns(sum_ns), show_ns(stages::RUN_NS_MAX));
        refuse(key, format!("all stages together take {sum}; a run may take {most}"));
    }
}

/// What a figure needs in a group, where not every group has it.
fn needs(figure: &Figure) -> Option<&'static str> {
    match figure {
        Figure::Timing(Timing::Call | Timing::CallService, _) => Some("it needs a group that calls"),
        Figure::Timing(Timing::RoundTrip, _) => Some("it needs a group that sends ping or ws-ping"),
        Figure::Timing(Timing::Eviction, _) => Some("it needs a group that is half_open or silent"),
        Figure::Timing(Timing::OwnQueue, _) => Some("it needs a group with read"),
        Figure::Scalar(scalar) => match scalar.name {
            "calls" | "calls_per_s" | "calls_failed" => Some("it needs a group that calls"),
            "messages" | "messages_per_s" => Some("it needs a group that sends"),
            "verified" => Some("it needs a group with verify"),
            "compared" => Some("it needs a group with verify and protocol = \"swarmcast.compact\""),
            "deltas" | "snapshots" | "infos" | "columns" | "marks" | "left_out" | "rungs" | "acks" => {
                Some("it needs a group with protocol = \"swarmcast.compact\"")
            }
            _ => None,
        },
        Figure::Timing(..) => None,
    }
}

fn measures(group: &Group, threshold: &Threshold) -> bool {
    let calls = matches!(group.protocol, Protocol::JsonRpc(_));
    let compact = matches!(group.protocol, Protocol::Compact(_));
    let what = group.sending.as_ref().map(|sending| &sending.what);
    match threshold.lookup() {
        Some(Figure::Timing(Timing::Call | Timing::CallService, _)) => calls,
        Some(Figure::Timing(Timing::RoundTrip, _)) => matches!(what, Some(Message::Ping | Message::WsPing)),
        Some(Figure::Timing(Timing::OwnQueue, _)) => matches!(group.behaviour, Behaviour::Slow { .. }),
        Some(Figure::Timing(Timing::Eviction, _)) => {
            matches!(group.behaviour, Behaviour::HalfOpen | Behaviour::Silent)
        }
        Some(Figure::Scalar(scalar)) => match scalar.name {
            "calls" | "calls_per_s" | "calls_failed" => calls,
            "messages" | "messages_per_s" => what.is_some(),
            "verified" => group.verify,
            "compared" => group.verify && compact,
            "deltas" | "snapshots" | "infos" | "columns" | "marks" | "left_out" | "rungs" | "acks" => compact,
            _ => true,
        },
        Some(Figure::Timing(..)) => true,
        None => false,
    }
}

/// More loopback addresses where one has not ports enough; all of 127.0.0.0/8 is this host.
fn default_sources(groups: &[Group]) -> Vec<IpAddr> {
    let clients: u64 = groups.iter().map(|group| u64::from(group.clients)).sum();
    let loopback = groups.iter().all(|group| group.target.address.ip().is_loopback() && group.target.address.is_ipv4());
    if !loopback || clients <= CLIENTS_PER_SOURCE {
        return Vec::new();
    }
    let count = u32::try_from(clients.div_ceil(CLIENTS_PER_SOURCE)).unwrap_or(u32::MAX);
    let first = u32::from(Ipv4Addr::new(127, 0, 0, 2));
    (first..first.saturating_add(count)).map(|address| IpAddr::V4(address.into())).collect()
}
