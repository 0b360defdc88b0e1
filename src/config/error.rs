//! Where a value came from, and what can be wrong with it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a value came from. Later variants override earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// The configuration file. Line and column count from 1, the column in characters; 0 is the file as a whole.
    File {
        /// As it was given.
        path: PathBuf,
        /// Of the key, or of its value where that is wrong.
        line: u32,
        /// As `line`.
        column: u32,
    },
    /// An environment variable, by its full name.
    Environment(String),
    /// A flag, with its dashes.
    Flag(String),
    /// Saved while an engine ran, in this store.
    Saved(PathBuf),
}

impl Origin {
    /// Whether both are the same source, which may give a key only once.
    pub(super) fn same_source(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// As a problem names it: `swarm.toml:12:8`, `SWARMCAST_SIM_RATE_HZ`, `--rate`.
    fn place(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File { path, line: 0, .. } => printable(&path.to_string_lossy()),
            Self::File { path, line, column } => format!("{}:{line}:{column}", printable(&path.to_string_lossy())),
            Self::Environment(name) | Self::Flag(name) => printable(name),
            Self::Saved(path) => printable(&path.to_string_lossy()),
        }
    }
}

/// As `config show --origin` names it: `file swarm.toml:12`, `env SWARMCAST_SIM_RATE_HZ`, `flag --rate`, `saved in graph.db`, `default`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, .. } => write!(f, "file {}:{line}", printable(&path.to_string_lossy())),
            Self::Environment(name) => write!(f, "env {}", printable(name)),
            Self::Flag(name) => write!(f, "flag {}", printable(name)),
            Self::Saved(path) => write!(f, "saved in {}", printable(&path.to_string_lossy())),
        }
    }
}

/// `text` with its control characters escaped: it comes from outside and goes to a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if c.is_control() {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
        shown
    })
}

/// Characters of a key or value that a message repeats.
const SHOWN_CHARS_MAX: usize = 120;

/// The start of `text`, where it is long.
pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Who said it.
    pub origin: Origin,
    /// The key it is about, `section.name`; empty where it is about none.
    pub key: String,
    /// What is wrong.
    pub wrong: Wrong,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin.place())?;
        if !self.key.is_empty() {
            write!(f, "{}: ", cut(printable(&self.key)))?;
        }
        write!(f, "{}", self.wrong)
    }
}

/// What is wrong with one value or name.
#[derive(Clone, Debug, PartialEq)]
pub enum Wrong {
    /// The file cannot be read.
    Unreadable(String),
    /// The file is longer than a configuration can be.
    TooLong {
        /// The most that is read.
        limit_bytes: u64,
    },
    /// The file is not TOML.
    Syntax(String),
    /// No such key.
    UnknownKey {
        /// The most alike.
        nearest: Option<String>,
    },
    /// No such section.
    UnknownSection {
        /// The most alike.
        nearest: Option<String>,
    },
    /// No such environment variable.
    UnknownVariable {
        /// The most alike.
        nearest: Option<String>,
    },
    /// A value where a section belongs.
    NotASection,
    /// `--set` without `=`.
    NotAnAssignment,
    /// Not UTF-8.
    NotText,
    /// Wrong type, or out of range.
    Refused {
        /// Type, range and unit.
        allowed: String,
        /// As TOML.
        found: String,
        /// The most alike of the names allowed.
        nearest: Option<String>,
    },
    /// Given before by the same source.
    Twice {
        /// By whom.
        first: String,
    },
    /// An address that another key has.
    AddressTaken {
        /// The address.
        address: SocketAddr,
        /// The other key.
        by: &'static str,
    },
    /// An address that other machines reach, without leave.
    Remote {
        /// The address.
        address: SocketAddr,
    },
    /// An address of agents that other machines reach: their tokens would go over the network as they are.
    RemoteAgents {
        /// The address.
        address: SocketAddr,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::TooLong { limit_bytes } => write!(f, "is longer than {limit_bytes} bytes"),
            Self::Syntax(message) => write!(f, "is not TOML: {}", cut(printable(message))),
            Self::UnknownKey { nearest } => write_unknown(f, "key", nearest.as_deref()),
            Self::UnknownSection { nearest } => write_unknown(f, "section", nearest.as_deref()),
            Self::UnknownVariable { nearest } => write_unknown(f, "variable", nearest.as_deref()),
            Self::NotASection => f.write_str("must be a section of keys, found a value"),
            Self::NotAnAssignment => f.write_str("must be KEY=VALUE"),
            Self::NotText => f.write_str("must be UTF-8 text"),
            Self::Refused { allowed, found, nearest } => {
                write!(f, "must be {allowed}, found {found}")?;
                nearest.iter().try_for_each(|name| write!(f, "; did you mean \"{name}\"?"))
            }
            Self::Twice { first } => write!(f, "was given by {first} already"),
            Self::AddressTaken { address, by } => write!(f, "{address} is taken by {by}"),
            Self::Remote { address } => write!(
                f,
                "{address} can be reached from other machines, and there is no authentication yet; \
                 listen on a loopback address such as 127.0.0.1, or set net.allow_remote = true to let everyone in"
            ),
            Self::RemoteAgents { address } => write!(
                f,
                "{address} can be reached from other machines, and tokens of agents would go there unencrypted: there is no \
                 TLS here; listen on a loopback address such as 127.0.0.1, and lead agents of other machines to it through \
                 ssh -L, stunnel or WireGuard"
            ),
        }
    }
}

fn write_unknown(f: &mut fmt::Formatter<'_>, what: &str, nearest: Option<&str>) -> fmt::Result {
    match nearest {
        Some(name) => write!(f, "no such {what}; did you mean {name}?"),
        None => write!(f, "no such {what}; `swarmcast config default` lists them all"),
    }
}

/// Everything that is wrong with the configuration, or the first 50 of it: never empty, in the order of
/// the sources.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigError {
    pub(super) problems: Vec<Problem>,
}

/// Problems that are reported; nobody reads more, and a file can have a million.
pub(super) const PROBLEMS_MAX: usize = 50;

impl ConfigError {
    /// The process's exit code, the same as for a usage error.
    pub const EXIT_CODE: u8 = 2;

    /// One by one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// One problem a line, without a newline at the end.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => write!(f, "configuration refused: {problem}"),
            problems => {
                let at_least = if problems.len() < PROBLEMS_MAX { "" } else { "at least " };
                write!(f, "configuration refused, {at_least}{} problems:", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}
