//! Every key, once: its name, what it takes, its unit, its flag, its field and what it is for.
//!
//! A key's default is its field's in [`Config::default`]. Files, environment variables, flags, messages and
//! `default.toml` all follow from here.

use std::time::Duration;

use super::value::{Kind, Setting, Value};
use super::{
    AgentsHttp, AnonymousAgents, BackendChoice, Config, CpuId, ForceModel, GraphFormat, IdleStrategy, LogFormat,
    LogLevel, Toolset,
};
use crate::limits::{MCP_CONNECTIONS_MAX, NODE_ID_MAX};

/// One key.
pub struct Key {
    /// `section.name`.
    pub name: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// Empty where there is none.
    pub unit: &'static str,
    /// The long name of its own flag, without dashes; empty where only `--set` gives it.
    pub flag: &'static str,
    /// Its place in [`Config`].
    pub field: Field,
    /// What it is for: sentences.
    pub doc: &'static str,
}

/// The way to a key's field.
pub struct Field {
    /// The field's value, to show.
    pub read: fn(&Config) -> Value,
    /// Sets the field to a value that the key's kind admitted; false where the field cannot hold it.
    pub store: fn(&mut Config, &Value) -> bool,
    /// It can change while the engine runs; any other is read at start.
    pub live: bool,
}

/// A field whose key can change while the engine runs: `control` knows whom to tell.
const fn live(field: Field) -> Field {
    Field { live: true, ..field }
}

impl Key {
    /// `sim` of `sim.rate_hz`.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// `rate_hz` of `sim.rate_hz`.
    pub fn leaf(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, leaf)| leaf)
    }

    /// `SWARMCAST_SIM_RATE_HZ` of `sim.rate_hz`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase().replace('.', "_"))
    }

    /// Whether it can change while the engine runs.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.field.live
    }

    /// Type, range and unit, as it reads after "must be".
    #[must_use]
    pub fn allowed(&self) -> String {
        self.kind.describe(self.unit)
    }
}

/// What the name of every variable of ours starts with.
pub const VARIABLE_PREFIX: &str = "SWARMCAST_";

/// A section and what its keys are about, in the order of `default.toml`.
pub const SECTIONS: &[(&str, &str)] = &[
    ("graph", "Where the graph comes from, and how large it may be."),
    ("store", "What is kept of the graph, and where."),
    ("sim", "What the simulation computes, and how often."),
    ("net", "Who may connect, and what a connection may cost."),
    ("mcp", "Where AI agents come in, by the Model Context Protocol."),
    ("agents", "Other servers of MCP whose agents are shown in the graph."),
    ("threads", "Which thread runs on which core, and what it does while it waits."),
    ("budgets", "How long each stage of a frame may take: what takes longer is counted. 0 is no budget."),
    ("metrics", "What is measured into a file."),
    ("log", "What is logged, to standard error."),
];

/// The section called `name`, if there is one.
pub fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|(section, _)| *section == name)
}

/// The place of the key called `name` in [`KEYS`], and the key.
pub fn find(name: &str) -> Option<(usize, &'static Key)> {
    KEYS.iter().enumerate().find(|(_, key)| key.name == name)
}

macro_rules! field {
    ($($path:ident).+) => {
        Field {
            read: |config| config.$($path).+.give(),
            store: |config, value| {
                let taken = Setting::take(value);
                let fits = taken.is_some();
                if let Some(taken) = taken {
                    config.$($path).+ = taken;
                }
                fits
            },
            live: false,
        }
    };
}

/// A [`Duration`] in whole seconds; [`field!`] gives milliseconds.
macro_rules! seconds {
    ($($path:ident).+) => {
        Field {
            read: |config| config.$($path).+.as_secs().give(),
            store: |config, value| u64::take(value).is_some_and(|seconds| {
                config.$($path).+ = Duration::from_secs(seconds);
                true
            }),
            live: false,
        }
    };
}

const fn whole(min: i64, max: i64) -> Kind {
    Kind::Whole { min, max }
}

const fn decimal(min: f64, max: f64) -> Kind {
    Kind::Decimal { min, max }
}

/// A whole number that 0 leaves to the engine.
const fn whole_or_auto(min: i64, max: i64) -> Kind {
    Kind::WholeOr { other: 0, means: "automatic", min, max }
}

/// Every key, by section in the order of [`SECTIONS`].
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    Key {
        name: "graph.path", kind: Kind::Text, unit: "", flag: "graph", field: field!(graph.path),
        doc: "The file or folder to import, from the working directory. \"\" is the graph built into the engine.",
    },
    Key {
        name: "graph.format", kind: Kind::Choice(GraphFormat::NAMES), unit: "", flag: "format",
        field: field!(graph.format),
        doc: "How it is read. auto goes by the path: a folder is a vault, a file goes by its extension and first bytes.",
    },
    Key {
        name: "graph.skip_bad", kind: Kind::Bool, unit: "", flag: "skip-bad", field: field!(graph.skip_bad),
        doc: "Leave out bad rows and count them, instead of refusing the file at the first one.",
    },
    Key {
        name: "graph.vault_all_pages", kind: Kind::Bool, unit: "", flag: "vault-all-pages",
        field: field!(graph.vault_all_pages),
        doc: "Read every page of a vault, instead of only those that say `public:: true`.",
    },
    Key {
        name: "graph.watch", kind: Kind::Bool, unit: "", flag: "watch", field: field!(graph.watch),
        doc: "Read the file or folder of graph.path again when it changes, and have the graph follow. What people and agents added \
              stays.",
    },
    Key {
        name: "graph.watch_ms", kind: whole(100, 3_600_000), unit: "ms", flag: "", field: live(field!(graph.watch_interval)),
        doc: "Time between two looks at it.",
    },
    Key {
        name: "graph.nodes_max", kind: whole(1, NODE_ID_MAX as i64 + 1), unit: "nodes", flag: "",
        field: live(field!(graph.nodes_max)),
        doc: "A graph with more nodes is refused. Memory is taken for the nodes that are there, not for this many.",
    },
    Key {
        name: "graph.edges_max", kind: whole(0, 1_000_000_000), unit: "edges", flag: "", field: live(field!(graph.edges_max)),
        doc: "A graph with more edges is refused.",
    },
    Key {
        name: "store.path", kind: Kind::Text, unit: "", flag: "store", field: field!(store.path),
        doc: "The file that keeps graph and layout; it is made when it is not there. A graph that it holds goes on; an empty one \
              takes the graph of graph.path. \"\" is swarmcast/graph.db in the user's data folder ($XDG_DATA_HOME or \
              ~/.local/share), but nothing is kept when graph.path names a file.",
    },
    Key {
        name: "store.ephemeral", kind: Kind::Bool, unit: "", flag: "ephemeral", field: field!(store.ephemeral),
        doc: "Keep nothing: changes are gone when the engine ends.",
    },
    Key {
        name: "store.layout_seconds", kind: whole(1, 86_400), unit: "s", flag: "", field: live(seconds!(store.layout_interval)),
        doc: "How often the layout is kept while it moves; it is kept at the end as well. After a crash it goes on from there.",
    },
    Key {
        name: "sim.rate_hz", kind: whole(1, 120), unit: "Hz", flag: "rate", field: live(field!(sim.rate_hz)),
        doc: "Simulation ticks, and so frames, per second.",
    },
    Key {
        name: "sim.backend", kind: Kind::Choice(BackendChoice::NAMES), unit: "", flag: "backend",
        field: field!(sim.backend),
        doc: "What computes the layout: auto (an NVIDIA device where there is one that passes a self-test, otherwise the \
              processor), cpu, or cuda (without such a device the program does not start).",
    },
    Key {
        name: "sim.device_errors_max", kind: whole(1, 1_000), unit: "errors", flag: "",
        field: field!(sim.device_errors_max),
        doc: "Errors of the device in a row after which the processor takes over.",
    },
    Key {
        name: "sim.dimensions", kind: whole(2, 3), unit: "", flag: "dimensions",
        field: live(field!(sim.params.dimensions)),
        doc: "Lay out in the plane or in space. In the plane z is 0.",
    },
    Key {
        name: "sim.force_model", kind: Kind::Choice(ForceModel::NAMES), unit: "", flag: "",
        field: live(field!(sim.params.force_model)),
        doc: "The laws of force: t_force (bounded repulsion, edges with a rest length: keeps neighbourhoods best), \
              force_atlas_2 (repulsion as 1 / d, edges pull in proportion to their length) or lin_log (the same repulsion, edges \
              pull as the logarithm of their length: clusters stand apart).",
    },
    Key {
        name: "sim.seed", kind: whole(0, i64::MAX), unit: "", flag: "seed", field: live(field!(sim.params.seed)),
        doc: "Seed of the start positions: on one backend the same graph, seed and parameters give the same layout.",
    },
    Key {
        name: "sim.time_step", kind: decimal(0.0001, 1.0), unit: "s", flag: "", field: live(field!(sim.params.time_step)),
        doc: "Time that one tick simulates. At 1 / sim.rate_hz the velocities on the wire are real ones.",
    },
    Key {
        name: "sim.damping", kind: decimal(0.0, 0.999), unit: "", flag: "", field: live(field!(sim.params.damping)),
        doc: "Share of its velocity that a node keeps in a tick. Less comes to rest sooner, more swings longer.",
    },
    Key {
        name: "sim.spring_k", kind: decimal(0.0, 1e6), unit: "per s^2", flag: "", field: live(field!(sim.params.spring_k)),
        doc: "Acceleration of an edge's ends per unit of its stretch. More is stiffer.",
    },
    Key {
        name: "sim.rest_length", kind: decimal(0.01, 1e4), unit: "world units", flag: "", field: live(field!(sim.params.rest_length)),
        doc: "Length at which an edge neither pulls nor pushes.",
    },
    Key {
        name: "sim.spring_tail", kind: decimal(0.0, 1.0), unit: "", flag: "", field: live(field!(sim.params.spring_tail)),
        doc: "Share of an edge's strength that is left when it is long. 1 is Hooke's law; less keeps neighbours nearer to each \
              other and the distances of the whole a little less true.",
    },
    Key {
        name: "sim.repel_k", kind: decimal(0.0, 1e7), unit: "world units/s^2", flag: "", field: live(field!(sim.params.repel_k)),
        doc: "Strength with which two nodes that are no neighbours repel each other. More spreads the layout \
              out.",
    },
    Key {
        name: "sim.repulsion_cutoff", kind: decimal(0.0, 1e6), unit: "world units", flag: "", field: live(field!(sim.params.repulsion_cutoff)),
        doc: "Distance beyond which nodes do not repel each other. 0 is none: without far repulsion large graphs \
              fold over themselves.",
    },
    Key {
        name: "sim.softening", kind: decimal(0.001, 1e4), unit: "world units", flag: "", field: live(field!(sim.params.softening)),
        doc: "Distance below which repulsion grows no further; about half of sim.rest_length.",
    },
    Key {
        name: "sim.centre_gravity", kind: decimal(0.0, 10.0), unit: "", flag: "", field: live(field!(sim.params.centre_gravity)),
        doc: "Pull of each connected component as a whole towards the origin, as a share of sim.spring_k. It \
              does not squeeze the component.",
    },
    Key {
        name: "sim.max_force", kind: decimal(1.0, 1e7), unit: "world units/s^2", flag: "", field: live(field!(sim.params.max_force)),
        doc: "Most acceleration that the forces on one node may add up to.",
    },
    Key {
        name: "sim.max_velocity", kind: decimal(0.01, 1e6), unit: "world units/s", flag: "", field: live(field!(sim.params.max_velocity)),
        doc: "Fastest that a node may move.",
    },
    Key {
        name: "sim.bounds", kind: decimal(0.0, 1e6), unit: "world units", flag: "", field: live(field!(sim.params.bounds)),
        doc: "Half the side of the cube that holds every node. 0 is automatic, by the number of nodes.",
    },
    Key {
        name: "sim.boundary_damping", kind: decimal(0.0, 1.0), unit: "", flag: "", field: live(field!(sim.params.boundary_damping)),
        doc: "Share of its speed that a node keeps when it bounces off the bounds.",
    },
    Key {
        name: "sim.theta", kind: decimal(0.0, 2.0), unit: "", flag: "", field: live(field!(sim.params.theta)),
        doc: "Accuracy of far repulsion: nodes in a cell act as one when its size is at most theta times its \
              distance. 0 is exact and slow, more is faster.",
    },
    Key {
        name: "sim.warmup_iterations", kind: whole(0, 100_000), unit: "ticks", flag: "", field: live(field!(sim.params.warmup_iterations)),
        doc: "Ticks at full temperature before the layout cools.",
    },
    Key {
        name: "sim.cooling", kind: decimal(0.0, 0.5), unit: "", flag: "", field: live(field!(sim.params.cooling)),
        doc: "Share of the temperature that each later tick takes away. 0 lets the layout rest only where its forces balance.",
    },
    Key {
        name: "sim.settle_velocity", kind: decimal(0.0, 1e6), unit: "world units/s", flag: "", field: live(field!(sim.params.settle_velocity)),
        doc: "Root mean square velocity below which the layout is called settled, after 30 such ticks.",
    },
    Key {
        name: "sim.repulsion", kind: Kind::Bool, unit: "", flag: "", field: live(field!(sim.params.repulsion)),
        doc: "Whether nodes repel each other.",
    },
    Key {
        name: "sim.springs", kind: Kind::Bool, unit: "", flag: "", field: live(field!(sim.params.springs)),
        doc: "Whether edges pull.",
    },
    Key {
        name: "sim.centring", kind: Kind::Bool, unit: "", flag: "", field: live(field!(sim.params.centring)),
        doc: "Whether components are drawn to the origin.",
    },
    Key {
        name: "net.http", kind: Kind::Address { off: false }, unit: "", flag: "http", field: field!(net.http),
        doc: "Where the viewer, REST, the WebSocket stream, health and metrics are served. Port 0 takes a free one.",
    },
    Key {
        name: "net.tcp", kind: Kind::Address { off: true }, unit: "", flag: "tcp", field: field!(net.tcp),
        doc: "Where the plain TCP stream is served. \"\" turns it off.",
    },
    Key {
        name: "net.allow_remote", kind: Kind::Bool, unit: "", flag: "", field: field!(net.allow_remote),
        doc: "Let net.http and net.tcp be addresses that other machines can reach. There is no authentication yet: \
              whoever reaches the address may read the graph and change it. Without this such an address is refused.",
    },
    Key {
        name: "net.shards", kind: whole_or_auto(1, 64), unit: "threads", flag: "shards", field: field!(net.shards),
        doc: "Threads that write to streaming connections. 0 takes what the machine's cores allow.",
    },
    Key {
        name: "net.connections_max", kind: whole(1, 1_000_000), unit: "connections", flag: "",
        field: field!(net.connections_max),
        doc: "Streaming connections over all shards; the next one is refused with 503.",
    },
    Key {
        name: "net.connections_per_address_max", kind: whole_or_auto(1, 1_000_000), unit: "connections", flag: "",
        field: live(field!(net.connections_per_address_max)),
        doc: "Of those, from one IP address, or from one /64 of IPv6; the next one is refused with 503. 0 is 1000, and as \
              many as there may be from this machine itself.",
    },
    Key {
        name: "net.hold_max", kind: whole(0, 1_000_000), unit: "connections", flag: "", field: field!(net.hold_max),
        doc: "Connections and requests that wait their turn when many come at once, such as after a restart; one more is \
              answered with 503.",
    },
    Key {
        name: "net.hold_ms_max", kind: whole(1, 60_000), unit: "ms", flag: "", field: live(field!(net.hold_time_max)),
        doc: "The longest that one of them waits before it is answered with 503.",
    },
    Key {
        name: "net.handshake_timeout_ms", kind: whole(100, 600_000), unit: "ms", flag: "",
        field: live(field!(net.handshake_timeout)),
        doc: "A connection that has not finished its handshake by then is closed.",
    },
    Key {
        name: "net.notsent_lowat_bytes", unit: "bytes", flag: "", field: field!(net.notsent_lowat_bytes),
        kind: Kind::WholeOr { other: 0, means: "the system's", min: 4_096, max: 16_777_216 },
        doc: "TCP_NOTSENT_LOWAT of a streaming connection: how much the kernel takes beyond what the network has. \
              Less means fresher frames for slow clients, more means fewer wake-ups.",
    },
    Key {
        name: "net.send_buffer_bytes", unit: "bytes", flag: "", field: field!(net.send_buffer_bytes),
        kind: Kind::WholeOr { other: 0, means: "the system's", min: 4_096, max: 1 << 30 },
        doc: "SO_SNDBUF of a streaming connection, for systems without TCP_NOTSENT_LOWAT and for lines of known delay. \
              The system's own grows with the line.",
    },
    Key {
        name: "net.ping_seconds", kind: whole(1, 3_600), unit: "s", flag: "",
        field: live(seconds!(net.ping)),
        doc: "A client that has said nothing for so long is asked for a sign of life: by a WebSocket ping, or by the \
              kernel on plain TCP, there as it was set when the client came.",
    },
    Key {
        name: "net.pong_seconds", kind: whole(1, 3_600), unit: "s", flag: "",
        field: live(seconds!(net.pong)),
        doc: "A client that gives none within this time is gone: its connection is closed.",
    },
    Key {
        name: "net.frame_lease_max_ms", kind: whole(10, 60_000), unit: "ms", flag: "",
        field: live(field!(net.frame_lease_max)),
        doc: "A connection that holds one frame longer gets the rest of it copied, so that the frame can be used again.",
    },
    Key {
        name: "net.stall_seconds", kind: whole(1, 3_600), unit: "s", flag: "",
        field: live(seconds!(net.stall)),
        doc: "A connection that takes no byte for so long is closed; stuck in the middle of a frame, it cannot be told why.",
    },
    Key {
        name: "net.lease_copy_bytes_max", kind: whole(65_536, 1 << 34), unit: "bytes", flag: "",
        field: live(field!(net.lease_copy_bytes_max)),
        doc: "Bytes per shard for those copies; a connection that needs more is closed.",
    },
    Key {
        name: "net.frames", kind: whole_or_auto(8, 256), unit: "frames", flag: "", field: field!(net.frames),
        doc: "Frames in the pool. Each takes the encoded bytes of every class. 0 takes what fits into 512 MiB, 12 to 64.",
    },
    Key {
        name: "mcp.tcp", kind: Kind::Address { off: true }, unit: "", flag: "mcp", field: field!(mcp.tcp),
        doc: "Where agents connect: one JSON-RPC message a line. \"\" turns it off. It must be an address of this machine alone, since \
              tokens go over it unencrypted: lead others to it through ssh -L, stunnel or WireGuard. When something else has the default \
              address the engine starts without it, and says so.",
    },
    Key {
        name: "mcp.http", kind: Kind::Choice(AgentsHttp::NAMES), unit: "", flag: "", field: field!(mcp.http),
        doc: "Whether agents connect by HTTP as well, at /mcp of net.http: on, off, or auto, which is on while mcp.tcp is.",
    },
    Key {
        name: "mcp.socket", kind: Kind::Text, unit: "", flag: "", field: field!(mcp.socket),
        doc: "The Unix socket for agents of the same user, who need no token. \"\" is swarmcast/mcp.sock in $XDG_RUNTIME_DIR, where \
              there is such a folder.",
    },
    Key {
        name: "mcp.token_file", kind: Kind::Text, unit: "", flag: "", field: field!(mcp.token_file),
        doc: "The file with the token that agents show over TCP and HTTP; it is made, for its user alone, when it is not there. \"\" is \
              mcp.token beside the socket, or in swarmcast in the user's data folder.",
    },
    Key {
        name: "mcp.tokens_file", kind: Kind::Text, unit: "", flag: "", field: field!(mcp.tokens_file),
        doc: "A file of further tokens, one a line: NAME SCOPES TOKEN [UNTIL]. NAME is the author of what is changed with it, SCOPES a list of \
              read, write, agent, admin with commas between, UNTIL a moment such as 2027-01-31T00:00:00Z; # begins a comment. Nobody but its \
              user may have rights to the file (chmod 600). It is read again within two seconds of a change: whoever has lost a token, or what it was \
              for, loses the connections made with it, and a file with a fault changes nothing, which the log says. \"\" is none.",
    },
    Key {
        name: "mcp.anonymous", kind: Kind::Choice(AnonymousAgents::NAMES), unit: "", flag: "",
        field: field!(mcp.anonymous),
        doc: "What may be done over TCP and HTTP without the token: none, read, or write. Any program and any web page of this machine can \
              reach a loopback address.",
    },
    Key {
        name: "mcp.toolsets", kind: Kind::Names(Toolset::NAMES), unit: "", flag: "toolsets", field: field!(mcp.toolsets),
        doc: "The tools that are offered to agents, by sets. graph://help/tools says which there are in each; what is not offered costs a \
              model no room.",
    },
    Key {
        name: "mcp.connections_per_token", kind: whole(1, MCP_CONNECTIONS_MAX as i64), unit: "connections", flag: "",
        field: live(field!(mcp.connections_per_token)),
        doc: "Connections with tokens of one name at once, over all doors; one of HTTP counts while it waits for an answer. One more is told \
              so and closed.",
    },
    Key {
        name: "mcp.calls_per_second", kind: whole(1, 10_000_000), unit: "calls", flag: "", field: live(field!(mcp.calls_per_second)),
        doc: "Calls a second of all connections with one token, on average; twice as many at once. With more they wait for up to a \
              second, and what comes behind them as well; beyond that they are told when to come again.",
    },
    Key {
        name: "mcp.changes_per_second", kind: whole(1, 10_000_000), unit: "calls", flag: "", field: live(field!(mcp.changes_per_second)),
        doc: "The same for calls that change the graph.",
    },
    Key {
        name: "mcp.audit_mib", kind: whole(0, 65_536), unit: "MiB", flag: "", field: field!(mcp.audit_mib),
        doc: "Room for the audit log: who called what that changes something, when, and what came of it; never what was said. It is two files of \
              JSON Lines beside the store, FILE.audit.jsonl and the older FILE.audit.1.jsonl, which swarmcast audit prints; what does not fit is \
              forgotten, the oldest first. 0 keeps none, and neither does an engine without a store.",
    },
    Key {
        name: "agents.sources", kind: Kind::Sources, unit: "", flag: "agents-from", field: field!(agents.sources),
        doc: "Servers that are asked for their agents over TCP, such as [\"localhost:9500\"]: one JSON-RPC message a line. Behind a space the \
              file of a token for that server may follow; another engine of this kind asks for its own. One that fails is asked again \
              after 1 to 30 s, and after five failures in a row every 30 s.",
    },
    Key {
        name: "agents.tool", kind: Kind::Text, unit: "", flag: "", field: field!(agents.tool),
        doc: "The tool of such a server that lists its agents. \"\" is list_agents or, where there is none, agent_list.",
    },
    Key {
        name: "agents.interval_ms", kind: whole(100, 20_000), unit: "ms", flag: "", field: field!(agents.interval),
        doc: "Time between two lists of one server. An agent that no list had for 60 s is gone from the graph; one that a list leaves out \
              is gone at once.",
    },
    Key {
        name: "threads.pin", kind: Kind::Bool, unit: "", flag: "no-pin", field: field!(threads.pin),
        doc: "Give sim and each shard a core of its own, as far as there are cores. With one core nothing is pinned.",
    },
    Key {
        name: "threads.sim_core", unit: "", flag: "", field: field!(threads.sim_core),
        kind: Kind::WholeOr { other: -1, means: "automatic", min: 0, max: CpuId::MAX as i64 },
        doc: "The core of sim, by its CPU id.",
    },
    Key {
        name: "threads.sim_workers", unit: "", flag: "", field: field!(threads.sim_workers),
        kind: Kind::WholeOr { other: -1, means: "automatic", min: 0, max: 1_023 },
        doc: "Threads that help the simulation to sum forces, each pinned to a core. Automatic is one for every core that no \
              other thread of the engine has to itself, less one for the rest of the machine. The layout does not depend on it.",
    },
    Key {
        name: "threads.shard_cores", kind: Kind::Cpus, unit: "", flag: "", field: field!(threads.shard_cores),
        doc: "The cores of shard-0, shard-1 and so on, such as [2, 3]. [] is automatic.",
    },
    Key {
        name: "threads.sim_idle", kind: Kind::Choice(IdleStrategy::NAMES), unit: "", flag: "",
        field: field!(threads.sim_idle),
        doc: "How sim waits for a tick. park sleeps; spin_then_park sleeps but for the last threads.spin_us, spin not at \
              all: both meet the tick more exactly and cost processor time. auto is spin_then_park on a core that the \
              kernel keeps free of others (isolcpus), otherwise park.",
    },
    Key {
        name: "threads.shard_idle", kind: Kind::Choice(IdleStrategy::NAMES), unit: "", flag: "",
        field: field!(threads.shard_idle),
        doc: "How a shard waits for frames and clients. park sleeps at once; spin_then_park looks on for threads.spin_us \
              first, spin for ever. auto as for sim.",
    },
    Key {
        name: "threads.spin_us", kind: whole(1, 100_000), unit: "us", flag: "", field: field!(threads.spin_us),
        doc: "How long spin_then_park spins.",
    },
    Key {
        name: "budgets.commands_ms", kind: decimal(0.0, 60_000.0), unit: "ms", flag: "", field: live(field!(budgets.commands_ms)),
        doc: "Applying the commands of a tick: drags, pins, classes.",
    },
    Key {
        name: "budgets.step_ms", kind: decimal(0.0, 60_000.0), unit: "ms", flag: "", field: live(field!(budgets.step_ms)),
        doc: "One simulation step.",
    },
    Key {
        name: "budgets.encode_ms", kind: decimal(0.0, 60_000.0), unit: "ms", flag: "", field: live(field!(budgets.encode_ms)),
        doc: "Encoding a frame for all classes.",
    },
    Key {
        name: "budgets.pickup_ms", kind: decimal(0.0, 60_000.0), unit: "ms", flag: "", field: live(field!(budgets.pickup_ms)),
        doc: "From a frame's publication to a shard that has it. 0.1 where shards spin.",
    },
    Key {
        name: "budgets.fanout_ms", kind: decimal(0.0, 60_000.0), unit: "ms", flag: "", field: live(field!(budgets.fanout_ms)),
        doc: "From there to the last client of the shard served.",
    },
    Key {
        name: "budgets.tick_to_wire_ms", kind: decimal(0.0, 60_000.0), unit: "ms", flag: "", field: live(field!(budgets.tick_to_wire_ms)),
        doc: "From the moment a tick is due to the last client of a shard served.",
    },
    Key {
        name: "metrics.hlog", kind: Kind::Text, unit: "", flag: "", field: field!(metrics.hlog),
        doc: "The file that gets the times of every stage once a second, in the format of HdrHistogram's logs, with tags such \
              as sim.step; about 2 KB a second. A file that is there is appended to. \"\" is none.",
    },
    Key {
        name: "log.level", kind: Kind::Choice(LogLevel::NAMES), unit: "", flag: "log", field: live(field!(log.level)),
        doc: "The least severe message that is written.",
    },
    Key {
        name: "log.format", kind: Kind::Choice(LogFormat::NAMES), unit: "", flag: "", field: field!(log.format),
        doc: "text for people, json for one object a line.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SimParams;
    use std::collections::BTreeSet;

    #[test]
    fn names_flags_and_variables_are_unique_and_in_section_order() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            assert!(seen.insert(key.variable()), "{} twice", key.name);
            assert!(key.flag.is_empty() || seen.insert(key.flag.to_owned()), "--{} twice", key.flag);
            assert!(key.doc.ends_with('.'), "{} is explained in sentences", key.name);
        }
        let sections: Vec<_> = KEYS.iter().map(Key::section).collect();
        let mut distinct = sections.clone();
        distinct.dedup();
        assert_eq!(distinct, SECTIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn every_default_is_allowed_and_comes_back_from_its_field() {
        for key in KEYS {
            let default = (key.field.read)(&Config::default());
            assert_eq!(key.kind.admit(&default), Some(default.clone()), "{}", key.name);
            let mut config = Config::default();
            assert!((key.field.store)(&mut config, &default), "{}", key.name);
            assert_eq!(config, Config::default(), "{}", key.name);
        }
    }

    /// The values at the ends of what a key takes.
    fn ends(kind: Kind) -> Vec<Value> {
        match kind {
            Kind::Bool => vec![Value::Bool(false), Value::Bool(true)],
            Kind::Whole { min, max } => vec![Value::Whole(min), Value::Whole(max)],
            Kind::WholeOr { other, min, max, .. } => vec![Value::Whole(other), Value::Whole(min), Value::Whole(max)],
            Kind::Decimal { min, max } => vec![Value::Decimal(min), Value::Decimal(max)],
            Kind::Text => vec![Value::Text(String::new()), Value::Text("a b".to_owned())],
            Kind::Choice(names) => names.iter().map(|name| Value::Text((*name).to_owned())).collect(),
            Kind::Address { off } => {
                let mut ends = vec![Value::Text("127.0.0.1:1".to_owned()), Value::Text("[::1]:65535".to_owned())];
                ends.extend(off.then(|| Value::Text(String::new())));
                ends
            }
            Kind::Cpus => vec![Value::List(vec![]), Value::List(vec![1_023, 0])],
            Kind::Names(names) => {
                let all: Vec<String> = names.iter().rev().map(|name| (*name).to_owned()).collect();
                vec![Value::Texts(all.iter().take(1).cloned().collect()), Value::Texts(all)]
            }
            Kind::Sources => {
                vec![Value::Texts(vec![]), Value::Texts(vec!["a:1".to_owned(), "[::1]:65535 a b/token".to_owned()])]
            }
        }
    }

    #[test]
    fn every_field_holds_all_that_its_key_allows() {
        for key in KEYS {
            for end in ends(key.kind) {
                let mut config = Config::default();
                assert_eq!(key.kind.admit(&end), Some(end.clone()), "{}", key.name);
                assert!((key.field.store)(&mut config, &end), "{} = {end}", key.name);
                assert_eq!((key.field.read)(&config), end, "{}", key.name);
                assert_eq!(config.sim.params.validate(), Ok(()), "{} = {end}", key.name);
            }
        }
    }

    /// What lies just outside of the table's ranges is outside of the simulation's own.
    #[test]
    fn physics_ranges_are_those_of_the_simulation() {
        let mut checked = 0;
        for key in KEYS.iter().filter(|key| key.section() == "sim") {
            let Kind::Decimal { min, max } = key.kind else { continue };
            checked += 1;
            for beyond in [min - 1e-3, max * 1.001] {
                let mut config = Config::default();
                assert!((key.field.store)(&mut config, &Value::Decimal(beyond)));
                let error = config.sim.params.validate().unwrap_err();
                assert_eq!((error.field, error.min, error.max), (key.leaf(), min, max), "{}", key.name);
            }
        }
        assert_eq!(checked, 16);
        let warmup = KEYS.iter().find(|key| key.leaf() == "warmup_iterations").unwrap();
        let Kind::Whole { max, .. } = warmup.kind else { panic!("{} is a whole number", warmup.name) };
        let params = SimParams { warmup_iterations: u32::try_from(max).unwrap() + 1, ..SimParams::default() };
        assert!(params.validate().is_err());
    }

    /// A new parameter of the simulation is a new key: this pattern stops compiling when there is one.
    #[test]
    fn every_parameter_of_the_simulation_has_a_key() {
        macro_rules! keyed {
            ($($field:ident)+) => {{
                let SimParams { $($field: _),+ } = SimParams::default();
                for name in [$(stringify!($field)),+] {
                    assert!(find(&format!("sim.{name}")).is_some(), "{name}");
                }
            }};
        }
        keyed!(dimensions force_model seed time_step damping spring_k rest_length spring_tail repel_k repulsion_cutoff softening centre_gravity
            max_force max_velocity bounds boundary_damping theta warmup_iterations cooling settle_velocity
            repulsion springs centring);
    }
}
