//! Why the engine did not start, or stopped, with the exit code of each.

use std::net::SocketAddr;

use crate::graph::OpError;
use crate::graph::formats::ImportError;
use crate::sim::cuda::NoCuda;
use crate::sim::{BackendError, ParamError};
use crate::store::StoreError;

/// A start that failed, or an end that was not asked for. Each names its step.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The graph's file was refused.
    #[error("{0}")]
    Import(#[from] ImportError),
    /// No such format to write, or none named.
    #[error("{0}")]
    Format(String),
    /// A file cannot be written.
    #[error("{path}: cannot be written: {reason}")]
    Output {
        /// As it was given.
        path: std::path::PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The store was refused.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The store holds a graph from elsewhere than what was asked for.
    #[error(
        "the store {} holds the graph of {from}, not of {asked}: leave --graph out to go on with it, or name another file with --store", store.display()
    )]
    OtherGraph {
        /// The store.
        store: std::path::PathBuf,
        /// Where its graph came from.
        from: String,
        /// `graph.path`.
        asked: String,
    },
    /// There is no place for the token of agents.
    #[error(
        "there is no home folder for the token of agents: name a file with mcp.token_file, or close their door with --mcp \"\""
    )]
    NoTokenPlace,
    /// The file of named tokens is not what it is to be. Nothing that is in it is repeated.
    #[error("mcp.tokens_file {}: {reason}", path.display())]
    Tokens {
        /// Which.
        path: std::path::PathBuf,
        /// Each line that is wrong, or what the system says.
        reason: String,
    },
    /// What the store holds is not a graph.
    #[error("the store {} holds no graph: {reason}; see `swarmcast check-store`", store.display())]
    KeptGraph {
        /// The store.
        store: std::path::PathBuf,
        /// The first row that does not fit.
        reason: crate::graph::RowsError,
    },
    /// There is no place for one.
    #[error(
        "there is no home folder to keep the store in: name a file with --store FILE (store.path), or keep nothing with --ephemeral"
    )]
    NoHome,
    /// A file asks for what the graph cannot be.
    #[error("nothing was imported: {0}")]
    Batch(OpError),
    /// A source is to be followed, and there is none.
    #[error("graph.watch is true, and graph.path names nothing to follow: give it with --graph PATH")]
    NothingToWatch,
    /// A command for the store, and none is kept.
    #[error("store.ephemeral is true, so there is no store; name one with --store FILE and leave --ephemeral out")]
    NothingKept,
    /// The check found something.
    #[error(
        "the store {} has problems: bring back a backup with `swarmcast restore`, or put it right with sqlite3", path.display()
    )]
    Unsound {
        /// The store.
        path: std::path::PathBuf,
    },
    /// Somebody else has the port.
    #[error("{key}: {address} is already in use{}; choose another with --{flag} ADDRESS, or end the program that has it", holder.as_ref().map(|who| format!(" by {who}")).unwrap_or_default())]
    InUse {
        /// The setting.
        key: &'static str,
        /// The flag that sets it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// Program and process id, when they can be seen.
        holder: Option<String>,
    },
    /// The address cannot be listened on.
    #[error("{key}: cannot listen on {address}: {reason}")]
    Listen {
        /// The setting.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A core that the configuration names is not there for us.
    #[error("{key}: CPU {core} is not among those this process may use: {allowed:?}")]
    Core {
        /// The setting.
        key: &'static str,
        /// The core.
        core: usize,
        /// The ones there are.
        allowed: Vec<usize>,
    },
    /// The cores and the shards disagree.
    #[error("threads.shard_cores names {cores} cores for {shards} shards (net.shards)")]
    ShardCores {
        /// Cores named.
        cores: usize,
        /// Shards asked for.
        shards: usize,
    },
    /// `sim` and a shard on one core.
    #[error("CPU {core} is both threads.sim_core and among threads.shard_cores")]
    SharedCore {
        /// The core.
        core: usize,
    },
    /// The graph does not fit.
    #[error(
        "this graph needs {needed} MiB and the machine has {available} MiB available; load a smaller one or lower net.frames"
    )]
    Memory {
        /// MiB.
        needed: u64,
        /// MiB.
        available: u64,
    },
    /// The backend refused parameters.
    #[error("simulation parameters: {0}")]
    Params(#[from] ParamError),
    /// The backend refused the graph.
    #[error("simulation: {0}")]
    Backend(#[from] BackendError),
    /// `sim.backend` asks for a device, and there is none that works.
    #[error("sim.backend = \"cuda\" (--backend): {0}; with auto the processor computes instead")]
    Cuda(NoCuda),
    /// The system refused something at start.
    #[error("{step}: {reason}")]
    System {
        /// What was being done.
        step: &'static str,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A thread ended that must not.
    #[error("the thread {thread} ended: {reason}")]
    Thread {
        /// Its name.
        thread: String,
        /// Panic text or error.
        reason: String,
    },
}

impl StartError {
    /// 2 for what the user gave, 1 for what the machine refused, 70 for an error of ours.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Import(_)
            | Self::Format(_)
            | Self::Core { .. }
            | Self::ShardCores { .. }
            | Self::SharedCore { .. }
            | Self::Params(_)
            | Self::NoHome
            | Self::NothingKept
            | Self::NothingToWatch
            | Self::Batch(_)
            | Self::NoTokenPlace
            | Self::Tokens { .. }
            | Self::OtherGraph { .. }
            | Self::KeptGraph { .. } => 2,
            Self::Store(error) => error.exit_code(),
            Self::InUse { .. }
            | Self::Output { .. }
            | Self::Listen { .. }
            | Self::Memory { .. }
            | Self::Backend(_)
            | Self::Cuda(_)
            | Self::System { .. }
            | Self::Unsound { .. } => 1,
            Self::Thread { .. } => 70,
        }
    }
}
