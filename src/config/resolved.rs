//! From flags, environment and file to the one [`Config`], with the origin of every value.

use std::ffi::OsString;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::args::Args;
use super::environment::Environment;
use super::error::{ConfigError, Origin, PROBLEMS_MAX, Problem, Wrong, cut};
use super::{Config, file};
use crate::settings::{KEYS, Kind, ParamError, SECTIONS, Value, find, nearest};

/// The configuration, and where each value came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// In range, and consistent.
    pub config: Config,
    /// By place in the key table.
    origins: Vec<Origin>,
}

/// The configuration that `args` and `environment` ask for: defaults, overridden by the file that `--config` or
/// `SWARMCAST_CONFIG` names, by the environment, by flags.
///
/// Reads that file and nothing else: no global state.
///
/// # Errors
/// Every problem of every source, together.
pub fn resolve(
    args: &Args,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Resolved, ConfigError> {
    let mut draft = Draft::new();
    let environment = Environment::new(environment);
    if let Some(path) = args.config(&mut draft).or_else(|| environment.config().map(PathBuf::from)) {
        file::apply(&path, &mut draft);
    }
    environment.apply(&mut draft);
    args.apply(&mut draft);
    draft.finish()
}

impl Resolved {
    /// Where the value of `key`, a `section.name`, came from; `None` where there is no such key.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        find(key).and_then(|(index, _)| self.origins.get(index))
    }

    /// The same with these keys as they are in `config`, where they come from `origin`.
    #[must_use]
    pub fn overlaid(mut self, config: &Config, keys: &[&str], origin: &Origin) -> Self {
        for (key, place) in KEYS.iter().zip(&mut self.origins).filter(|(key, _)| keys.contains(&key.name)) {
            if (key.field.store)(&mut self.config, &(key.field.read)(config)) {
                *place = origin.clone();
            }
        }
        self
    }

    /// Every key and value as TOML that resolves to this configuration again; with `origin`, each line ends in a comment
    /// that says where the value came from.
    #[must_use]
    pub fn show(&self, origin: bool) -> String {
        let mut shown = String::new();
        for (section, _) in SECTIONS {
            let gap = if shown.is_empty() { "" } else { "\n" };
            // Writing to a String cannot fail.
            let _ = writeln!(shown, "{gap}[{section}]");
            for (key, from) in KEYS.iter().zip(&self.origins).filter(|(key, _)| key.section() == *section) {
                let _ = write!(shown, "{} = {}", key.leaf(), (key.field.read)(&self.config));
                let _ = if origin { writeln!(shown, " # {from}") } else { writeln!(shown) };
            }
        }
        shown
    }
}

/// The configuration while its sources are read, in the order in which they override each other.
pub(super) struct Draft {
    config: Config,
    /// By place in the key table.
    origins: Vec<Origin>,
    problems: Vec<Problem>,
}

impl Draft {
    fn new() -> Self {
        Self { config: Config::default(), origins: vec![Origin::Default; KEYS.len()], problems: Vec::new() }
    }

    /// Notes a problem, unless there are [`PROBLEMS_MAX`] already.
    pub(super) fn refuse(&mut self, problem: Problem) {
        if !self.is_full() {
            self.problems.push(problem);
        }
    }

    /// Whether further problems would be dropped.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= PROBLEMS_MAX
    }

    /// Gives the key at `index` of the table a value, or notes why not. It comes from `given_at`; a problem with it is
    /// at `wrong_at`, which differ where the source has columns.
    pub(super) fn offer(&mut self, index: usize, value: &Value, given_at: Origin, wrong_at: Origin) {
        let (Some(key), Some(origin)) = (KEYS.get(index), self.origins.get_mut(index)) else { return };
        let refuse = |wrong| Problem { origin: wrong_at.clone(), key: key.name.to_owned(), wrong };
        if origin.same_source(&given_at) {
            let first = match &*origin {
                Origin::Default | Origin::File { .. } => origin.to_string(),
                Origin::Environment(name) | Origin::Flag(name) => name.clone(),
                Origin::Saved(path) => path.display().to_string(),
            };
            self.refuse(refuse(Wrong::Twice { first }));
            return;
        }
        let stored = key.kind.admit(value).is_some_and(|admitted| (key.field.store)(&mut self.config, &admitted));
        *origin = given_at;
        if !stored {
            let nearest = match (key.kind, value) {
                (Kind::Choice(names), Value::Text(text)) => nearest::name(text, names.iter().copied()),
                _ => None,
            };
            let (nearest, found) = (nearest.map(str::to_owned), cut(value.to_string()));
            self.refuse(refuse(Wrong::Refused { allowed: key.allowed(), found, nearest }));
        }
    }

    /// Checks what concerns more than one key.
    fn finish(mut self) -> Result<Resolved, ConfigError> {
        self.check_remote("net.http", Some(self.config.net.http));
        self.check_remote("net.tcp", self.config.net.tcp);
        self.check_remote_agents();
        self.check_distinct();
        self.check_params();
        if self.problems.is_empty() {
            Ok(Resolved { config: self.config, origins: self.origins })
        } else {
            Err(ConfigError { problems: self.problems })
        }
    }

    /// Not even `allow_remote` lets tokens over a network.
    fn check_remote_agents(&mut self) {
        if let Some(address) = self.config.mcp.tcp.filter(reaches_out)
            && !self.is_refused("mcp.tcp")
        {
            self.refuse_value("mcp.tcp", Wrong::RemoteAgents { address });
        }
    }

    /// Whoever wrote `allow_remote` wrongly hears of that first.
    fn check_remote(&mut self, key: &str, address: Option<SocketAddr>) {
        if let Some(address) = address.filter(reaches_out)
            && !self.config.net.allow_remote
            && !self.is_refused(key)
            && !self.is_refused("net.allow_remote")
        {
            self.refuse_value(key, Wrong::Remote { address });
        }
    }

    fn check_distinct(&mut self) {
        let http = self.config.net.http;
        if http.port() != 0 && self.config.net.tcp == Some(http) && !self.is_refused("net.http") {
            self.refuse_value("net.tcp", Wrong::AddressTaken { address: http, by: "net.http" });
        }
    }

    /// The table's ranges are the simulation's (a test holds them together); here is its own word on the whole.
    fn check_params(&mut self) {
        if let Err(ParamError { field, value, min, max }) = self.config.sim.params.validate() {
            let (allowed, found) = (format!("a number from {min} to {max}"), value.to_string());
            self.refuse_value(&format!("sim.{field}"), Wrong::Refused { allowed, found, nearest: None });
        }
    }

    /// Notes that the value that `key` ended up with is wrong.
    fn refuse_value(&mut self, key: &str, wrong: Wrong) {
        let origin = find(key).and_then(|(index, _)| self.origins.get(index));
        let origin = origin.unwrap_or(&Origin::Default).clone();
        self.refuse(Problem { origin, key: key.to_owned(), wrong });
    }

    fn is_refused(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key == key)
    }
}

/// Whether other machines can reach it.
fn reaches_out(address: &SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

impl Wrong {
    /// No key is called `name`.
    pub(super) fn unknown_key(name: &str) -> Self {
        let nearest = nearest::key(name, KEYS.iter().map(|key| key.name));
        Self::UnknownKey { nearest: nearest.map(str::to_owned) }
    }
}
