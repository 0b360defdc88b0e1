//! From typed flags to a plan, or to everything that is wrong with them.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use super::{AgentArgs, RunArgs};
use crate::agents::TOKEN_VARIABLE;
use crate::nearest;
use crate::plan::Plan;
use crate::report::Outputs;
use crate::scenario::{
    Draft, FRAMING_FORM, GroupDraft, Overrides, READY, Ready, SPOKEN, STAMP_FORM, ScenarioError, framing,
    interest_message, parse_stamp, read, ready,
};
use crate::target::{BITS_FORM, TargetError, Url, is_bits};
use crate::threshold::{Threshold, ThresholdError};

/// A longer file is no scenario; and `--scenario /dev/zero` ends.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Clients, where nothing is said.
const CLIENTS: u32 = 100;

/// The name of the only group of a run without a scenario.
const GROUP: &str = "viewers";

/// What `--interest` takes.
const INTEREST_MESSAGE: &str = r#"an interest message, such as {"sphere":{"center":[0,0,0],"radius":100}}"#;

/// What a `run` is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The checked plan.
    pub plan: Plan,
    /// Where results go.
    pub outputs: Outputs,
    /// `host:port` of other generators.
    pub agents: Vec<String>,
    /// Their token.
    pub agent_token: Option<String>,
    /// No progress line.
    pub quiet: bool,
    /// Print the plan and exit.
    pub check: bool,
}

/// Why a command line is refused, before anything is connected.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Neither target nor scenario.
    #[error("say what to load: swarmcast-load run ws://127.0.0.1:7400/stream, or run --scenario NAME")]
    NothingToDo,
    /// The address on the command line.
    #[error("{text}: {error}")]
    Target {
        /// As typed.
        text: String,
        /// What is wrong.
        error: TargetError,
    },
    /// The scenario.
    #[error("{0}")]
    Scenario(#[from] ScenarioError),
    /// A threshold, in a run without a scenario.
    #[error("--threshold {0}")]
    Threshold(#[from] ThresholdError),
    /// What cannot stand with `--scenario`.
    #[error(
        "{0} cannot stand with --scenario: change it in the file (`swarmcast-load scenario NAME` prints a ready one)"
    )]
    NotWithScenario(&'static str),
    /// No such ready scenario, and no such file.
    #[error("no ready scenario is called {name}{hint} `swarmcast-load scenario` lists them")]
    NoScenario {
        /// As typed.
        name: String,
        /// The nearest.
        hint: String,
    },
    /// A file that cannot be read.
    #[error("{file}: {error}")]
    File {
        /// As typed.
        file: String,
        /// What happened.
        error: String,
    },
    /// An agent that anyone could use.
    #[error("--listen {0} can be reached from other machines: give --token-file, or listen on 127.0.0.1")]
    OpenAgent(SocketAddr),
    /// Flags that are wrong in themselves or together; one a line.
    #[error("{0}")]
    Flags(String),
}

/// Resolves a `run`: reads files and host names, connects nowhere.
///
/// # Errors
/// Everything that is wrong with it.
pub fn resolve(args: &RunArgs) -> Result<Resolved, UsageError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let target = args
        .target
        .as_ref()
        .map(|text| Url::parse(text).map_err(|error| UsageError::Target { text: text.clone(), error }));
    let target = target.transpose()?;
    let plan = match (&args.scenario, target) {
        (Some(scenario), target) => from_scenario(args, scenario, target, cores)?,
        (None, Some(target)) => from_flags(args, target, cores)?,
        (None, None) => return Err(UsageError::NothingToDo),
    };
    for agent in &args.agents {
        let port =
            agent.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            return Err(UsageError::Flags(format!("--agents: {agent:?} must be HOST:PORT, as in 10.0.0.6:7500")));
        }
    }
    let outputs = args.outputs.resolve(&plan.name);
    let agent_token = match &args.agent_token_file {
        Some(file) => Some(read_token(file)?),
        None => args.agent_token.clone(),
    };
    let (agents, quiet, check) = (args.agents.clone(), args.quiet, args.check);
    Ok(Resolved { plan, outputs, agents, agent_token, quiet, check })
}

/// The plan as `--check` prints it: JSON.
#[must_use]
pub fn show_plan(plan: &Plan) -> String {
    // A plan has no maps with other keys than text, so this cannot fail.
    serde_json::to_string_pretty(plan).unwrap_or_default()
}

/// A ready scenario by its name.
pub(super) fn ready_named(name: &str) -> Result<Ready, UsageError> {
    ready(name).ok_or_else(|| {
        let hint = nearest::hint(name, READY.iter().map(|ready| ready.name), 3);
        UsageError::NoScenario { name: name.to_owned(), hint: if hint.is_empty() { ";".to_owned() } else { hint } }
    })
}

fn from_scenario(args: &RunArgs, scenario: &str, target: Option<Url>, cores: usize) -> Result<Plan, UsageError> {
    for (flag, given) in [
        ("--duration", args.duration.is_some()),
        ("--rate", args.rate.is_some()),
        ("--protocol", args.protocol.is_some()),
        ("--ramp", args.ramp.is_some()),
        ("--bits", args.bits.is_some()),
        ("--dimensions", args.dimensions.is_some()),
        ("--interest", args.interest.is_some()),
        ("--ack-every", args.ack_every.is_some()),
        ("--expect", args.expect.is_some()),
        ("--stamp", args.stamp.is_some()),
        ("--framing", args.framing.is_some()),
    ] {
        if given {
            return Err(UsageError::NotWithScenario(flag));
        }
    }
    // A file of that name wins: whoever has one means it.
    let path = Path::new(scenario);
    let looks_like_file = scenario.contains(['/', '.']) || path.exists();
    let text = if looks_like_file { read_text(path)? } else { ready_named(scenario)?.text.to_owned() };
    let over = Overrides {
        target,
        clients: args.clients,
        warmup_ns: args.warmup,
        threads: args.threads.map(usize::from),
        sources: args.source.clone(),
        clock: args.clock,
        verify: args.verify,
        thresholds: args.threshold.clone(),
    };
    Ok(read(&text, scenario, &over, cores)?)
}

fn from_flags(args: &RunArgs, target: Url, cores: usize) -> Result<Plan, UsageError> {
    let mut problems = Vec::new();
    let mut group = GroupDraft::new(GROUP, args.clients.unwrap_or(CLIENTS));
    match args.protocol.as_deref().map(|name| (name, SPOKEN.iter().find(|(known, _)| *known == name))) {
        None => {}
        Some(("json-rpc" | "mcp", _)) => {
            let wrong = "--protocol: calls need a scenario that says which; see `swarmcast-load scenario json-rpc`";
            problems.push(wrong.to_owned());
        }
        Some((_, Some((_, spoken)))) => group.spoken = *spoken,
        Some((name, None)) => {
            let hint = nearest::hint(name, SPOKEN.iter().map(|(name, _)| *name), 1);
            problems.push(format!(
                "--protocol: {name:?} must be swarmcast, swarmcast.v1, swarmcast.compact, v1, v2, v3 or generic{hint}"
            ));
        }
    }
    group.rate_hz = args.rate;
    (group.dimensions, group.ack_every) = (args.dimensions, args.ack_every);
    group.bits = args.bits.filter(|bits| is_bits(*bits));
    if args.bits != group.bits {
        problems.push(format!("--bits: must be {BITS_FORM}"));
    }
    group.interest = args.interest.as_deref().and_then(interest_message);
    if args.interest.is_some() && group.interest.is_none() {
        problems.push(format!("--interest: must be the JSON of {INTEREST_MESSAGE}"));
    }
    group.owed_hz = args.expect;
    if args.expect.is_some_and(|hz| !(hz > 0.0 && hz <= 100_000.0)) {
        problems.push("--expect: must be a number over 0 and at most 100000 Hz".to_owned());
    }
    group.stamp = args.stamp.as_deref().and_then(parse_stamp);
    if args.stamp.is_some() && group.stamp.is_none() {
        problems.push(format!("--stamp: must be {STAMP_FORM}"));
    }
    group.framing = args.framing.as_deref().and_then(framing);
    if args.framing.is_some() && group.framing.is_none() {
        problems.push(format!("--framing: must be {FRAMING_FORM}"));
    }
    group.verify = args.verify;
    let mut draft = Draft::new("run");
    for text in &args.threshold {
        draft.thresholds.push(Threshold::parse(text, &[GROUP])?);
    }
    draft.target = Some(target);
    draft.groups = vec![group];
    (draft.ramp_ns, draft.duration_ns, draft.warmup_ns) = (args.ramp, args.duration, args.warmup);
    (draft.clock, draft.threads) = (args.clock, args.threads.map(usize::from));
    draft.sources.clone_from(&args.source);
    let plan = draft.finish(cores, &mut |_, key, wrong| problems.push(format!("{}: {wrong}", flag_of(key))));
    match plan {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(UsageError::Flags(problems.join("\n"))),
    }
}

/// The flag that gives a scenario's key.
fn flag_of(key: &str) -> String {
    match key.split('.').next().unwrap_or(key) {
        "target" => "TARGET".to_owned(),
        "thresholds" => "--threshold".to_owned(),
        "sources" => "--source".to_owned(),
        "ack_every" => "--ack-every".to_owned(),
        other => format!("--{other}"),
    }
}

fn read_text(path: &Path) -> Result<String, UsageError> {
    let wrong = |error: String| UsageError::File { file: path.display().to_string(), error };
    let file = std::fs::File::open(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("is longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text".to_owned()))
}

impl AgentArgs {
    /// The token that coordinators must know; `None` lets every one in, and only from this host.
    ///
    /// # Errors
    /// When the file cannot be read, or there is none and other hosts could connect.
    pub fn token(&self) -> Result<Option<String>, UsageError> {
        match &self.token_file {
            Some(file) => read_token(file).map(Some),
            None if self.listen.ip().is_loopback() || std::env::var_os(TOKEN_VARIABLE).is_some() => Ok(None),
            None => Err(UsageError::OpenAgent(self.listen)),
        }
    }
}

/// A token is the file without the white space around it.
fn read_token(path: &Path) -> Result<String, UsageError> {
    let token = read_text(path)?.trim().to_owned();
    let empty = || UsageError::File { file: path.display().to_string(), error: "holds no token".to_owned() };
    if token.is_empty() { Err(empty()) } else { Ok(token) }
}
