//! The scenarios that come with the tool.

/// A scenario in the binary.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// What `run --scenario NAME` takes.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! ready {
    ($($name:literal)+) => {
        [$(Ready { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),+]
    };
}

/// All of them, simple ones first.
pub const READY: [Ready; 21] = ready![
    "viewers-100" "viewers-1000" "viewers-10000" "messages-100x20" "joins-50" "late-joiners" "slow-tenth" "stall"
    "storm" "compact-10000" "compact-slow-tenth" "compact-storm" "compact-interest" "compact-tcp" "compact-verify" "soak-short" "soak" "generic" "json-rpc" "mcp" "mixed"
];

/// The ready scenario called `name`.
#[must_use]
pub fn ready(name: &str) -> Option<Ready> {
    READY.into_iter().find(|ready| ready.name == name)
}

impl Ready {
    /// The question that it answers: the first line of its comment.
    #[must_use]
    pub fn question(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }
}
