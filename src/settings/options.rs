//! The configuration as the rooms take it: parsed, in range, with the defaults that hold when nobody says otherwise.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    AgentsHttp, AnonymousAgents, BackendChoice, GraphFormat, IdleStrategy, LogFormat, LogLevel, SimParams, Toolset,
};
use crate::limits::MCP_CONNECTIONS_PER_TOKEN;

/// Everything that is read once at start. Ranges are those of the key table, kept by `resolve`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Where the graph comes from.
    pub graph: GraphOptions,
    /// What is kept of it, and where.
    pub store: StoreOptions,
    /// What the simulation computes, and how often.
    pub sim: SimOptions,
    /// Who may connect, and what a connection may cost.
    pub net: NetOptions,
    /// Where AI agents come in.
    pub mcp: McpOptions,
    /// Other servers that are asked for their agents.
    pub agents: AgentOptions,
    /// Which thread runs on which core.
    pub threads: ThreadOptions,
    /// How long each stage of a frame may take.
    pub budgets: BudgetOptions,
    /// What is measured into a file.
    pub metrics: MetricsOptions,
    /// What is logged.
    pub log: LogOptions,
}

/// Where the graph comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphOptions {
    /// The file or folder; `None` is the graph built into the engine.
    pub path: Option<PathBuf>,
    /// How it is read.
    pub format: GraphFormat,
    /// A bad row is counted and left out; otherwise the first one refuses the file.
    pub skip_bad: bool,
    /// A vault's pages are all read, not only the published ones.
    pub vault_all_pages: bool,
    /// The source is read again when it changes.
    pub watch: bool,
    /// From one look at it to the next.
    pub watch_interval: Duration,
    /// Nodes a graph may have, at most 2^26.
    pub nodes_max: u32,
    /// Edges a graph may have.
    pub edges_max: u32,
}

impl Default for GraphOptions {
    fn default() -> Self {
        Self {
            path: None,
            format: GraphFormat::Auto,
            skip_bad: false,
            vault_all_pages: false,
            watch: false,
            watch_interval: Duration::from_secs(1),
            nodes_max: 1_000_000,
            edges_max: 10_000_000,
        }
    }
}

/// What is kept of the graph, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// The file; `None` is the one in the user's data folder.
    pub path: Option<PathBuf>,
    /// Nothing is kept.
    pub ephemeral: bool,
    /// From one kept layout to the next.
    pub layout_interval: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { path: None, ephemeral: false, layout_interval: Duration::from_secs(30) }
    }
}

/// Where AI agents come in, and who they may be.
#[derive(Clone, Debug, PartialEq)]
pub struct McpOptions {
    /// Raw TCP; `None` is off.
    pub tcp: Option<SocketAddr>,
    /// HTTP at `/mcp`.
    pub http: AgentsHttp,
    /// The Unix socket; `None` is the one in the user's runtime folder, where there is such a folder.
    pub socket: Option<PathBuf>,
    /// The file of the token; `None` is beside the socket, or in the user's data folder.
    pub token_file: Option<PathBuf>,
    /// The file of named tokens; `None` is no other than that one.
    pub tokens_file: Option<PathBuf>,
    /// What may be done over TCP and HTTP without a token.
    pub anonymous: AnonymousAgents,
    /// The tools that are offered: at least one set.
    pub toolsets: Vec<Toolset>,
    /// Connections of one principal at once.
    pub connections_per_token: u32,
    /// Calls a second of one principal.
    pub calls_per_second: u32,
    /// Of those, calls that change the graph.
    pub changes_per_second: u32,
    /// MiB of records of calls that changed something; 0 is none.
    pub audit_mib: u32,
}

impl McpOptions {
    /// The customary address. Somebody else having it is no reason not to start.
    pub const TCP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7402);

    /// Whether agents connect by HTTP.
    #[must_use]
    pub fn serves_http(&self) -> bool {
        match self.http {
            AgentsHttp::Auto => self.tcp.is_some(),
            AgentsHttp::On => true,
            AgentsHttp::Off => false,
        }
    }
}

impl Default for McpOptions {
    fn default() -> Self {
        Self {
            tcp: Some(Self::TCP),
            http: AgentsHttp::Auto,
            socket: None,
            token_file: None,
            tokens_file: None,
            anonymous: AnonymousAgents::None,
            toolsets: vec![Toolset::Core],
            connections_per_token: MCP_CONNECTIONS_PER_TOKEN as u32,
            calls_per_second: 5_000,
            changes_per_second: 500,
            audit_mib: 64,
        }
    }
}

/// Other servers of MCP that are asked for their agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentOptions {
    /// Each address once.
    pub sources: Vec<AgentSource>,
    /// The tool that lists them; empty is one of the customary ones.
    pub tool: String,
    /// From one list to the next.
    pub interval: Duration,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self { sources: Vec::new(), tool: String::new(), interval: Duration::from_secs(5) }
    }
}

/// A server that is asked for its agents. Displays as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSource {
    /// Host and port; at most [`AgentSource::ADDRESS_BYTES_MAX`] bytes.
    pub address: String,
    /// The token that is shown to it.
    pub token_file: Option<PathBuf>,
}

impl AgentSource {
    /// Bytes of an address: a name of DNS, and a port.
    pub const ADDRESS_BYTES_MAX: usize = 260;

    /// Reads `HOST:PORT` or `HOST:PORT TOKEN_FILE`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (address, token_file) = match text.trim().split_once(' ') {
            Some((address, file)) => (address, Some(file.trim())),
            None => (text.trim(), None),
        };
        let (host, port) = address.rsplit_once(':')?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let is_host =
            !host.is_empty() && (bracketed || !host.contains(':')) && host.bytes().all(|byte| byte.is_ascii_graphic());
        let fits =
            is_host && address.len() <= Self::ADDRESS_BYTES_MAX && port.parse::<u16>().is_ok_and(|port| port > 0);
        let token_file = token_file.filter(|file| !file.is_empty()).map(PathBuf::from);
        fits.then(|| Self { address: address.to_owned(), token_file })
    }
}

impl std::fmt::Display for AgentSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.token_file {
            Some(file) => write!(f, "{} {}", self.address, file.display()),
            None => f.write_str(&self.address),
        }
    }
}

/// What the simulation computes, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct SimOptions {
    /// Ticks per second.
    pub rate_hz: u32,
    /// What computes.
    pub backend: BackendChoice,
    /// Errors of a device in a row, at least 1, after which the processor takes over.
    pub device_errors_max: u32,
    /// Valid: `resolve` has asked [`SimParams::validate`].
    pub params: SimParams,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self { rate_hz: 60, backend: BackendChoice::Auto, device_errors_max: 5, params: SimParams::default() }
    }
}

/// Who may connect, and what a connection may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct NetOptions {
    /// Viewer, REST, WebSocket stream, health and metrics.
    pub http: SocketAddr,
    /// The plain TCP stream; `None` is off.
    pub tcp: Option<SocketAddr>,
    /// An address that other machines can reach is allowed.
    pub allow_remote: bool,
    /// Streaming threads; `None` is by the machine's cores.
    pub shards: Option<NonZeroU32>,
    /// Streaming connections, over all shards.
    pub connections_max: u32,
    /// Of those, from one address; `None` is [`NetOptions::CONNECTIONS_PER_ADDRESS_AUTOMATIC`], and on loopback no limit
    /// of its own.
    pub connections_per_address_max: Option<NonZeroU32>,
    /// Connections and requests that wait for room in the lane to a network thread or to `control`.
    pub hold_max: u32,
    /// How long one of them may wait.
    pub hold_time_max: Duration,
    /// From accept to a finished handshake.
    pub handshake_timeout: Duration,
    /// `TCP_NOTSENT_LOWAT` in bytes; `None` leaves the kernel's.
    pub notsent_lowat_bytes: Option<NonZeroU32>,
    /// `SO_SNDBUF` in bytes; `None` leaves the kernel's, which grows by itself.
    pub send_buffer_bytes: Option<NonZeroU32>,
    /// Silence of a client after which it is asked for a sign of life.
    pub ping: Duration,
    /// How long that sign may take.
    pub pong: Duration,
    /// How long a slow connection may keep a frame from reuse before the rest is copied.
    pub frame_lease_max: Duration,
    /// How long a connection may take nothing before it is closed.
    pub stall: Duration,
    /// Bytes of such copies that one shard may hold.
    pub lease_copy_bytes_max: u64,
    /// Frames in the pool; `None` is by shards and rate.
    pub frames: Option<NonZeroU32>,
}

impl NetOptions {
    /// Connections from one address where nothing else is said: a large office behind one router.
    pub const CONNECTIONS_PER_ADDRESS_AUTOMATIC: usize = 1_000;
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
            tcp: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 7401))),
            allow_remote: false,
            shards: None,
            connections_max: 10_000,
            connections_per_address_max: None,
            hold_max: 4_096,
            hold_time_max: Duration::from_secs(5),
            handshake_timeout: Duration::from_millis(5_000),
            notsent_lowat_bytes: NonZeroU32::new(64 << 10),
            send_buffer_bytes: None,
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(10),
            frame_lease_max: Duration::from_millis(1_000),
            stall: Duration::from_secs(10),
            lease_copy_bytes_max: 64 << 20,
            frames: None,
        }
    }
}

/// A logical CPU as the operating system counts it, 0 to [`CpuId::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(u16);

impl CpuId {
    /// The largest id: `cpu_set_t` has 1,024 bits.
    pub const MAX: u16 = 1_023;

    /// The CPU `id`, or `None` above [`CpuId::MAX`].
    #[must_use]
    pub const fn new(id: u16) -> Option<Self> {
        if id <= Self::MAX { Some(Self(id)) } else { None }
    }

    /// The id.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Which thread runs on which core. Whether the machine has these cores is for `supervise` to say.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadOptions {
    /// `sim` and the shards are pinned where there are cores for it.
    pub pin: bool,
    /// The core of `sim`; `None` is automatic.
    pub sim_core: Option<CpuId>,
    /// Threads that help it; `None` is automatic.
    pub sim_workers: Option<u16>,
    /// The cores of the shards, in shard order, each once; empty is automatic.
    pub shard_cores: Vec<CpuId>,
    /// How `sim` waits for a tick.
    pub sim_idle: IdleStrategy,
    /// How a shard waits for work.
    pub shard_idle: IdleStrategy,
    /// How long `spin_then_park` spins, microseconds.
    pub spin_us: u32,
}

impl Default for ThreadOptions {
    fn default() -> Self {
        Self {
            pin: true,
            sim_core: None,
            sim_workers: None,
            shard_cores: Vec::new(),
            sim_idle: IdleStrategy::Auto,
            shard_idle: IdleStrategy::Auto,
            spin_us: 100,
        }
    }
}

/// How long each stage of a frame may take, ms; 0 is no budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetOptions {
    /// Commands of a tick applied.
    pub commands_ms: f32,
    /// One step.
    pub step_ms: f32,
    /// A frame encoded for all classes.
    pub encode_ms: f32,
    /// Published to picked up by a shard.
    pub pickup_ms: f32,
    /// Picked up to the last client served.
    pub fanout_ms: f32,
    /// Tick due to the last client served.
    pub tick_to_wire_ms: f32,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self { commands_ms: 0.5, step_ms: 8.0, encode_ms: 1.5, pickup_ms: 0.5, fanout_ms: 5.0, tick_to_wire_ms: 10.0 }
    }
}

/// What is measured into a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricsOptions {
    /// The log of every stage's times; `None` is none.
    pub hlog: Option<PathBuf>,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogOptions {
    /// The least severe message that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Text }
    }
}
