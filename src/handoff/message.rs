//! What crosses between threads: one type per lane. Small and `Copy` on the way to `sim` and the shards.

use std::net::{IpAddr, SocketAddr, TcpStream};

use bytes::Bytes;

use super::sync::Arc;
use super::{ChainWriter, Replaced, Rung, SettingsSaid, SidePlanes, Steer, Steered, Structure, Watching};
use crate::base::Handle;
use crate::graph::{NodeId, NodeIndex};
use crate::wire::{BlockSet, ClassSpec, CloseCode, Hello, InterestAsk, Profile};

/// A connection's place among sessions. Never reused while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A subscription class: a slot in every frame, and a serial that tells apart the classes a slot has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClassRef {
    /// Below [`crate::limits::CLASSES_MAX`].
    pub slot: u8,
    /// The class id on the wire, from 1.
    pub serial: u16,
}

impl ClassRef {
    /// No class.
    pub const NONE: Self = Self { slot: u8::MAX, serial: 0 };
}

/// Which framing a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RFC 6455.
    WebSocket,
    /// Length words.
    Tcp,
}

/// Which connection something came from: where to answer, and whose it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its shard.
    pub shard: u8,
    /// Its place in the shard.
    pub handle: Handle,
    /// Its session.
    pub session: SessionId,
}

/// What a drag does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DragPhase {
    /// Put the node here; takes it from another client.
    Move([f32; 3]),
    /// Let it go; pinned where it is when true.
    End {
        /// Pin it.
        pin: bool,
    },
}

/// shard → sim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ViewCommand {
    /// A node is dragged.
    Drag {
        /// By whom.
        origin: Origin,
        /// Which.
        node: NodeId,
        /// How.
        phase: DragPhase,
    },
    /// Somebody waits for a snapshot of a compact class.
    Snapshot {
        /// Which.
        class: ClassRef,
    },
    /// The connection is gone: let go of everything it drags.
    ReleaseAll {
        /// Whose.
        session: SessionId,
    },
}

/// control → sim.
#[derive(Debug)]
pub enum SimCommand {
    /// Encode this class from the next tick on.
    OpenClass {
        /// Its slot and serial.
        class: ClassRef,
        /// Its format and rate.
        spec: ClassSpec,
        /// What a compact class is followed with.
        chain: Option<Box<ChainWriter>>,
    },
    /// Nobody subscribes any more.
    CloseClass {
        /// Which.
        class: ClassRef,
    },
    /// Frames of this class come at its rate divided by this.
    Divide {
        /// Which.
        class: ClassRef,
        /// From 1.
        divisor: u16,
    },
    /// The repulsion is less accurate by so many notches than its parameters say.
    Accuracy {
        /// 0 for none.
        notches: u8,
    },
    /// Frames carry these values from now on, while the graph has their epoch.
    Side {
        /// All that are known.
        planes: Arc<SidePlanes>,
    },
    /// Fix or free a node.
    Pin {
        /// Its index.
        node: NodeIndex,
        /// Fix or free.
        pinned: bool,
    },
    /// Go on with another structure of the graph; answered with [`SimEvent::Restructured`] or [`SimEvent::StructureRefused`].
    Restructure {
        /// Which.
        structure: Box<Structure>,
    },
    /// Put a node somewhere; it moves on from there.
    Place {
        /// Its index.
        node: NodeIndex,
        /// World units.
        position: [f32; 3],
    },
    /// Steer the layout; answered with [`SimEvent::Steered`].
    Steer {
        /// Comes back in the answer.
        ticket: u64,
        /// How.
        order: Steer,
    },
}

/// sim → control: what somebody has to be told.
#[derive(Debug)]
pub enum SimEvent {
    /// Two clients dragged one node; the second has it now.
    DragTaken {
        /// Which.
        node: NodeId,
        /// Who lost it.
        from: Origin,
        /// Who has it.
        to: Origin,
    },
    /// A drag fell silent.
    DragReleased {
        /// Which.
        node: NodeId,
        /// Whose.
        origin: Origin,
    },
    /// A drag named a node that is not there, or all places for drags are taken.
    DragRefused {
        /// Which.
        node: NodeId,
        /// Whose.
        origin: Origin,
        /// No such node, or no room.
        unknown: bool,
    },
    /// A drag ended with a pin.
    Pinned {
        /// Which.
        node: NodeId,
        /// Where it is.
        position: [f32; 3],
        /// Who let it go.
        origin: Origin,
    },
    /// A structure was taken, and frames have its epoch from now on.
    Restructured {
        /// Its epoch.
        epoch: u32,
        /// Steps done so far.
        tick: u64,
        /// What it has replaced.
        replaced: Box<Replaced>,
    },
    /// A structure could not be taken: the simulation goes on with the one before, and hears nothing that names a node by its index until
    /// it has taken another.
    StructureRefused {
        /// Its epoch.
        epoch: u32,
        /// For a person.
        reason: Box<str>,
        /// What came with it.
        spent: Box<Replaced>,
    },
    /// A class is closed; its memory is given back where it came from.
    ChainClosed {
        /// What followed the nodes for it.
        chain: Box<ChainWriter>,
    },
    /// Frames carry newer values; the memory of the old ones goes back where it came from.
    SideReplaced {
        /// No longer in use.
        planes: Arc<SidePlanes>,
    },
    /// An order was taken.
    Steered {
        /// Which.
        ticket: u64,
        /// Steps done so far.
        tick: u64,
        /// The simulation is paused.
        paused: bool,
        /// What it came to.
        outcome: Steered,
    },
}

/// What a client of the compact profile wants to see: on its way to `control` and back, then part of its connection.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// As it asked.
    pub ask: InterestAsk,
    /// The wire order that `wanted` is of; 0 while it is not resolved.
    pub order: u32,
    /// The blocks that it asked for.
    pub wanted: BlockSet,
    /// Of those, the ones whose state it has.
    pub followed: BlockSet,
}

/// What a new connection may have.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its session.
    pub session: SessionId,
    /// Its class.
    pub class: ClassRef,
    /// Its format.
    pub profile: Profile,
    /// Bytes a second that it is going to take at full rate.
    pub demand_bytes: u64,
    /// `connection_established`, as JSON.
    pub greeting: Bytes,
    /// `graph_changed`, as JSON, for a client that comes back and has missed something.
    pub missed: Option<Bytes>,
    /// The graph's version when this was granted: what changed after it is told by the shard.
    pub version: u64,
    /// What it wanted to see before, for a client of a chain that comes back. To be resolved.
    pub interest: Option<Box<Interest>>,
}

/// door → shard: an upgraded connection. What a socket is, is the business of the two.
#[derive(Debug)]
pub struct Adopt<Handed = TcpStream> {
    /// Non-blocking, with every socket option set.
    pub stream: Handed,
    /// For log lines.
    pub peer: SocketAddr,
    /// Which framing it speaks.
    pub transport: Transport,
    /// What it may have.
    pub grant: Grant,
    /// Bytes to send before anything else: the answer to the upgrade.
    pub first: Vec<u8>,
    /// Bytes the client sent behind its handshake.
    pub received: Vec<u8>,
}

/// shard → control.
#[derive(Debug)]
pub enum ShardEvent {
    /// A connection is gone.
    Ended {
        /// Its session.
        session: SessionId,
    },
    /// It wants another rate.
    Subscribe {
        /// Who.
        origin: Origin,
        /// Frames per second; `None` for the simulation's rate.
        rate_hz: Option<u16>,
    },
    /// It wants some nodes only.
    Interest {
        /// Who.
        origin: Origin,
        /// Which; comes back resolved.
        interest: Box<Interest>,
        /// The client is told: it has asked just now.
        asked: bool,
    },
    /// It cannot keep up with its class, or can again.
    Rung {
        /// Who.
        origin: Origin,
        /// Where it stands now.
        rung: Rung,
    },
    /// It says something about the settings.
    Settings {
        /// Who.
        origin: Origin,
        /// What.
        said: SettingsSaid,
    },
    /// It wants to hear of agents, or of nobody any more.
    Agents {
        /// Who.
        origin: Origin,
        /// How, from now on.
        heard: Watching,
    },
    /// It says what agents have done to nodes.
    Actions {
        /// Who.
        origin: Origin,
        /// The message as it came, checked as far as it can be without the graph.
        message: Bytes,
    },
    /// It wants a node fixed or freed.
    Pin {
        /// Who.
        origin: Origin,
        /// Which.
        node: u32,
        /// Fix or free.
        pinned: bool,
    },
}

/// What everybody is shown, in parts of which the newest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagePart {
    /// `view_set`.
    View,
    /// `encoding_set`.
    Encoding,
}

impl StagePart {
    /// Both.
    pub const ALL: [Self; 2] = [Self::View, Self::Encoding];
}

/// control → shard.
#[derive(Clone, Debug)]
pub enum ShardMessage {
    /// A binary message for one connection of a WebSocket.
    Binary {
        /// Which.
        handle: Handle,
        /// Whole.
        message: Bytes,
    },
    /// A connection hears of changed settings from now on, or no more; the message is its answer.
    Watch {
        /// Which.
        handle: Handle,
        /// How, from now on.
        watching: Watching,
        /// JSON, or a binary message when it watches in that form; may be empty.
        message: Bytes,
    },
    /// The settings have changed: for whoever watches them.
    SettingsChanged {
        /// JSON.
        text: Bytes,
        /// The same.
        binary: Bytes,
    },
    /// A connection hears of agents from now on, or no more; the text is its answer.
    WatchAgents {
        /// Which.
        handle: Handle,
        /// How, from now on.
        heard: Watching,
        /// JSON.
        text: Bytes,
    },
    /// Something about agents: for whoever wants to hear of them.
    AgentEvents {
        /// JSON, in order.
        texts: Vec<Bytes>,
    },
    /// What agents have done to nodes: in text for most who hear of them, as it came for those who read that.
    AgentActions {
        /// JSON, in order.
        texts: Vec<Bytes>,
        /// The same.
        message: Bytes,
    },
    /// A text for every connection.
    Broadcast {
        /// JSON.
        text: Bytes,
    },
    /// `graph_changed`, for every connection, and for one that was granted before it and comes after it.
    Changed {
        /// The graph's version after it.
        version: u64,
        /// JSON.
        text: Bytes,
    },
    /// A text for every connection, and for each that comes later until another takes its place.
    Stage {
        /// Which of them.
        part: StagePart,
        /// JSON.
        text: Bytes,
    },
    /// A text for one connection.
    Text {
        /// Which.
        handle: Handle,
        /// JSON.
        text: Bytes,
    },
    /// The connection moves to another class; the text confirms it.
    Reclass {
        /// Which.
        handle: Handle,
        /// Its new class.
        class: ClassRef,
        /// Bytes a second that it is going to take.
        demand_bytes: u64,
        /// JSON.
        text: Bytes,
    },
    /// An interest, resolved.
    Interest {
        /// Whose.
        handle: Handle,
        /// Which blocks.
        interest: Box<Interest>,
        /// JSON that names the blocks; none while it is not resolved.
        text: Option<Bytes>,
        /// The client has asked just now; otherwise it hears of a change only.
        asked: bool,
    },
    /// Close every connection of a class, which cannot be served any more.
    Expel {
        /// Which.
        class: ClassRef,
        /// Why, for programs.
        code: CloseCode,
        /// For a person.
        reason: &'static str,
    },
    /// Close every connection and stop.
    Shutdown {
        /// Why.
        code: CloseCode,
        /// For a person.
        reason: &'static str,
    },
}

/// door → control. `token` comes back in the answer.
#[derive(Clone, Debug)]
pub enum DoorRequest {
    /// A stream connection asks to be let in.
    Open {
        /// The door's own name for the connection.
        token: Handle,
        /// What it asks for.
        hello: Hello,
        /// Where it comes from.
        address: IpAddr,
    },
    /// A let-in connection went away before a shard had it.
    Abandon {
        /// Its session.
        session: SessionId,
    },
    /// An HTTP request that needs the graph.
    Http {
        /// The door's own name for the connection.
        token: Handle,
        /// What it asks.
        query: HttpQuery,
    },
}

/// What stands behind the question mark of a request, decoded, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// The first value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The name of a parameter that is none of `known`.
    #[must_use]
    pub fn unknown(&self, known: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !known.contains(name))
    }
}

/// A request of the REST interface, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestCall {
    /// GET, PUT, POST, DELETE, or whatever else was sent.
    pub method: String,
    /// Before the question mark.
    pub path: String,
    /// Behind it, decoded, in order.
    pub query: Query,
    /// At most [`crate::limits::HTTP_BODY_BYTES_MAX`].
    pub body: Bytes,
}

/// What HTTP can ask of `control`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpQuery {
    /// Something that its path and body say.
    Rest(Box<RestCall>),
    /// Nodes, edges, positions.
    GraphData {
        /// Whose sequence to name.
        class: Option<u16>,
    },
    /// Counts and where the simulation stands.
    GraphState,
    /// Prometheus text.
    Metrics,
    /// Every stage's times since start, as `.hlog`.
    LatencyLog,
    /// What each part is doing.
    HealthDetail,
}

/// Why a stream connection is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `net.connections_max` are connected.
    #[error("the server is full: {limit} connections (net.connections_max)")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// Its address has as many as one may have.
    #[error("this address has {limit} connections already (net.connections_per_address_max)")]
    Address {
        /// The limit.
        limit: usize,
    },
    /// All classes are taken and none of this profile lives.
    #[error("all {limit} subscription classes are in use; ask for a profile and rate that others use")]
    Classes {
        /// The limit.
        limit: usize,
    },
    /// The graph does not fit the compact profile.
    #[error("this graph cannot be sent as swarmcast.compact: {reason}")]
    Codec {
        /// In words.
        reason: String,
    },
    /// Ids do not fit the profile.
    #[error("profile {profile} carries ids up to {limit}, this graph has {found}; ask for v2")]
    IdRange {
        /// Its name.
        profile: &'static str,
        /// Largest id of the profile.
        limit: u32,
        /// Largest id of the graph.
        found: u32,
    },
}

impl Refusal {
    /// The name in an `error` message.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::Address { .. } => "address_full",
            Self::Classes { .. } => "classes",
            Self::Codec { .. } => "codec",
            Self::IdRange { .. } => "id_range",
        }
    }

    /// Whether the same request may work later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        !matches!(self, Self::IdRange { .. } | Self::Codec { .. })
    }
}

/// control → door.
#[derive(Clone, Debug)]
pub enum DoorReply {
    /// Let in.
    Granted {
        /// The door's own name for the connection.
        token: Handle,
        /// What it may have.
        grant: Grant,
    },
    /// Not let in.
    Refused {
        /// The door's own name for the connection.
        token: Handle,
        /// Why.
        refusal: Refusal,
    },
    /// The answer to an HTTP request.
    Http {
        /// The door's own name for the connection.
        token: Handle,
        /// 200, 404, 503.
        status: u16,
        /// MIME type.
        content_type: &'static str,
        /// First bytes of the body, this answer's own.
        lead: Bytes,
        /// The rest of the body, which many answers may share.
        body: Bytes,
    },
    /// An answer with headers of its own.
    Headed {
        /// The door's own name for the connection.
        token: Handle,
        /// HTTP status.
        status: u16,
        /// MIME type.
        content_type: &'static str,
        /// Names and values, printable ASCII.
        headers: Vec<(&'static str, String)>,
        /// All of it.
        body: Bytes,
    },
}
