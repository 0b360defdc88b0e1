//! Every bound of the engine that is not a setting, and the const asserts that tie them to each other.

/// Bits of a node id on every wire format: bits 26 to 31 of the word carry the node's class.
pub const NODE_ID_BITS: u32 = 26;

/// Largest node id. An id above it is refused with an error, never truncated.
pub const NODE_ID_MAX: u32 = (1 << NODE_ID_BITS) - 1;

/// Largest number that a key has as its node's id, too: half of the ids stay for nodes that come without one.
pub const NODE_ID_NAMED_MAX: u32 = NODE_ID_MAX / 2;

/// Largest node id that the 34-byte profile `v1` can carry: 14 bits beside its two flags.
pub const NODE_ID_V1_MAX: u32 = 0x3FFF;

/// Bytes of a node's key or label; a longer one is refused by the importers.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// Attributes one node or edge may carry.
pub const ATTRIBUTES_MAX: usize = 256;

const _: () = {
    assert!(NODE_ID_V1_MAX <= NODE_ID_MAX, "a v1 id is a node id");
};

/// Bytes of a client's text message or hello line.
pub const CLIENT_TEXT_BYTES_MAX: usize = 4_096;

/// Bytes of any inbound WebSocket message: a larger one closes the connection with 1009.
pub const WS_MESSAGE_BYTES_MAX: usize = 65_536;

/// Bytes of a request's body. One that announces more is answered with 413, unread.
pub const HTTP_BODY_BYTES_MAX: usize = 256 << 10;

/// Bytes of the body of a request that changes the graph.
pub const GRAPH_BODY_BYTES_MAX: usize = 8 << 20;

/// Operations of one batch.
pub const BATCH_OPS_MAX: usize = 20_000;

/// Bytes of an idempotency key, and of an author's name.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Idempotency keys whose answers are remembered; the oldest goes first.
pub const IDEMPOTENCY_KEYS_MAX: usize = 10_000;

/// Batches that may be on their way to the disk or into the simulation at once; one more is answered with 503.
pub const BATCHES_IN_FLIGHT_MAX: usize = 1_024;

/// Batches whose changes are kept for clients that come back.
pub const CHANGES_KEPT_MAX: usize = 10_000;

/// Bytes of all of them as JSON.
pub const CHANGES_KEPT_BYTES_MAX: usize = 32 << 20;

/// Bytes of changes that a message to every client carries; larger ones are fetched.
pub const CHANGES_TOLD_BYTES_MAX: usize = 32 << 10;

/// Body of a binary message of the settings once it is unpacked, bytes. What is on the wire is at most [`WS_MESSAGE_BYTES_MAX`].
pub const SETTINGS_MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Arrays and objects in each other, in such a message.
pub const SETTINGS_DEPTH_MAX: usize = 8;

/// Requests that steer the simulation and wait for its answer at once; one more is answered with 503.
pub const STEERS_WAITING_MAX: usize = 64;

/// Layout constraints that live at once.
pub const CONSTRAINTS_MAX: usize = 1_024;

/// Nodes that all constraints may name together; a constraint on every node counts them all.
pub const CONSTRAINT_NODES_MAX: usize = 1 << 20;

/// Nodes of one constraint that looks at every pair of them.
pub const CONSTRAINT_PAIRED_NODES_MAX: usize = 64;

/// Relation types with springs of their own.
pub const RELATION_TYPES_MAX: usize = 256;

/// Single steps that may be owed to a paused simulation.
pub const STEPS_OWED_MAX: u32 = 10_000;

/// Largest coordinate that a client may send, either way from 0, world units.
pub const COORDINATE_MAX: f32 = 10_000.0;

/// Requests to `control` (subscribe, pin) that one client may send a minute.
pub const CONTROL_PER_MINUTE: u64 = 300;

/// Of those, at once.
pub const CONTROL_BURST: u64 = 50;

/// Version of the events about agents on a stream: a client that reads another is closed with 4001.
pub const AGENTS_SCHEMA_VERSION: u32 = 1;

/// Bytes of one event about agents. Those who have not read what came before are told later, from a snapshot.
pub const AGENT_EVENT_BYTES_MAX: usize = 24 << 10;

/// Actions of agents that one message says.
pub const ACTIONS_MAX: usize = 100;

/// Bytes of such a message: what it comes to in text has room among what may wait for a client.
pub const ACTIONS_BYTES_MAX: usize = 12 << 10;

/// Bytes that an agent adds to an action.
pub const ACTION_PAYLOAD_BYTES_MAX: usize = 4_096;

/// Actions that one client may say a second, and at once.
pub const ACTIONS_PER_SECOND: u64 = 500;

const _: () = {
    // In base64, with what is beside it.
    assert!(ACTION_PAYLOAD_BYTES_MAX * 4 / 3 + 512 < AGENT_EVENT_BYTES_MAX, "an action fits an event");
};

/// Subscription classes that live at once.
pub const CLASSES_MAX: usize = 16;

/// Blocks of the compact profile's wire order that an interest can name: graphs up to four million nodes.
pub const BLOCKS_MAX: usize = 4_096;

/// Ids, and blocks, that one `interest` message may list.
pub const INTEREST_IDS_MAX: usize = 256;

/// Frames that a client which acknowledges may have before it has acknowledged them.
pub const UNACKED_MAX: usize = 32;

/// Nodes one client may drag at once.
pub const DRAGS_PER_CLIENT_MAX: usize = 5;

/// Nodes dragged at once by all clients together.
pub const DRAGS_MAX: usize = 1_024;

/// Least time between two updates of one dragged node; nearer ones are left out.
pub const DRAG_INTERVAL_MIN_NS: u64 = 16_000_000;

/// A drag without an update for this long is released.
pub const DRAG_SILENCE_MAX_NS: u64 = 500_000_000;

const _: () = {
    assert!(CLIENT_TEXT_BYTES_MAX < WS_MESSAGE_BYTES_MAX, "a message too long for us still gets an error text");
    assert!(BLOCKS_MAX.is_multiple_of(64), "sets of blocks are whole words");
    assert!(DRAGS_PER_CLIENT_MAX <= DRAGS_MAX);
};

/// Nodes up to which a table of all pairs may be made: 32 MiB of distances. Above it analytics use pivots or landmarks,
/// at most so many.
pub const ANALYTICS_DENSE_NODES_MAX: usize = 2_048;

/// Bytes of the largest table of one analytics job; a larger one is an error that names its bytes.
pub const ANALYTICS_TABLE_BYTES_MAX: u64 = 1 << 30;

/// Analytics jobs that may wait for the worker; one more is answered with 503.
pub const ANALYTICS_QUEUED_MAX: usize = 16;

/// Analytics jobs that are over and still known; the oldest goes first.
pub const ANALYTICS_ENDED_MAX: usize = 32;

/// Bytes of a graph as a file over HTTP.
pub const EXPORT_BYTES_MAX: usize = 256 << 20;

/// Copies of the store that are made at once on request.
pub const SNAPSHOTS_WAITING_MAX: usize = 2;

/// Files of clients that are read and written at once, or wait for it.
pub const FILE_ORDERS_MAX: usize = 6;

/// Bytes of all their results together; of one, a quarter.
pub const ANALYTICS_RESULT_BYTES_MAX: usize = 256 << 20;

/// Seconds that a request may wait for the end of its job.
pub const ANALYTICS_WAIT_S_MAX: f64 = 10.0;

/// Requests that wait so at once.
pub const ANALYTICS_WAITING_MAX: usize = 64;

/// Connections of the agents' door.
pub const MCP_CONNECTIONS_MAX: usize = 1_024;

/// Connections of agents that are told why they are closed, at once. Those beyond are closed without a word.
pub const MCP_LEAVING_MAX: usize = 64;

/// Connections that have not said whose they are, once they had a moment for it. The oldest makes room.
pub const MCP_STRANGERS_MAX: usize = 16;

/// How long somebody may stay without saying it, ns.
pub const MCP_STRANGER_NS_MAX: u64 = 60_000_000_000;

/// The longest that a call is under way, ns: a second more than any may ask for, so that one with an end of its own ends in its own words.
pub const MCP_CALL_NS_MAX: u64 = 31_000_000_000;

/// Connections of one principal at once, unless the configuration says otherwise.
pub const MCP_CONNECTIONS_PER_TOKEN: usize = 64;

/// Tokens in a file of named ones.
pub const MCP_TOKENS_MAX: usize = 1_000;

/// How long a cursor may be used, s.
pub const MCP_CURSOR_LIFE_S: u64 = 3_600;

/// Sessions of MCP by HTTP. One more takes the place of the one that was idle for longest.
pub const MCP_SESSIONS_MAX: usize = 1_024;

/// How long a session of MCP by HTTP may be idle, ns.
pub const MCP_SESSION_IDLE_NS: u64 = 1_800_000_000_000;

/// Streams of notices that one session may have open.
pub const MCP_SESSION_STREAMS_MAX: usize = 4;

/// Bytes of answers on the way to one of them until what it asks is not answered any more.
pub const MCP_OUTPUT_BYTES_PAUSE: usize = 4 << 20;

/// Bytes that are left of them when it is answered again.
pub const MCP_OUTPUT_BYTES_RESUME: usize = 1 << 20;

/// Bytes of answers that lie unread at one of them until it is closed. What was under way already can lead to it, and nothing else.
pub const MCP_OUTPUT_BYTES_MAX: usize = 32 << 20;

/// Bytes of lines that one of them has sent ahead, and that wait until it is answered again. With more it is not read on.
pub const MCP_AHEAD_BYTES_MAX: usize = 256 << 10;

/// Long reads of agents that may wait for the thread that does them.
pub const MCP_READS_MAX: usize = 256;

/// Threads that look. No principal has more than one of them at a time, so that whoever looks for half a minute holds up themselves alone.
pub const MCP_LOOKERS: usize = 2;

/// Bytes of one line of MCP, without its end.
pub const MCP_LINE_BYTES_MAX: usize = 1 << 20;

/// Lines that are too long, one after the other, until an MCP connection is closed.
pub const MCP_LONG_LINES_MAX: u32 = 3;

/// Objects and lists of a line of MCP inside each other.
pub const MCP_DEPTH_MAX: usize = 64;

/// Members of one object of a line of MCP.
pub const MCP_MEMBERS_MAX: usize = 4_096;

/// Bytes of a request's id.
pub const MCP_ID_BYTES_MAX: usize = 256;

/// Requests of one MCP connection that wait for their answer; with more the next one is not begun.
pub const MCP_IN_FLIGHT_MAX: usize = 128;

/// Subscriptions of one MCP connection.
pub const MCP_SUBSCRIPTIONS_MAX: usize = 256;

/// Resources of one subscription.
pub const MCP_SUBSCRIPTION_URIS_MAX: usize = 100;

/// Bytes of a resource's URI.
pub const MCP_URI_BYTES_MAX: usize = 512;

/// Least time between two notices of one resource to one subscriber.
pub const MCP_NOTICE_INTERVAL_NS: u64 = 100_000_000;

/// Bytes of a tool's result as text.
pub const MCP_RESULT_BYTES_MAX: usize = 64 << 10;

/// Bytes of a picture that a tool returns.
pub const MCP_IMAGE_BYTES_MAX: usize = 1 << 20;

/// Edges that one call may look at.
pub const MCP_EXPANSIONS_MAX: u64 = 5_000_000;

/// Views that are kept by name; the one that was set longest ago makes room.
pub const MCP_VIEWS_MAX: usize = 32;

/// Time between two looks or encodings that everybody is told, ns: of what agents set meanwhile the newest counts.
pub const STAGE_INTERVAL_NS: u64 = 250_000_000;

/// Other servers that are asked for their agents.
pub const SOURCES_MAX: usize = 16;

/// Agents of one of them.
pub const SOURCE_AGENTS_MAX: usize = 1_024;

/// Parts of one of its lists.
pub const SOURCE_PAGES_MAX: usize = 64;

/// Messages of it between two answers.
pub const SOURCE_LINES_MAX: usize = 10_000;

/// Bytes for it that it has not read.
pub const SOURCE_OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Batches that become one transaction of the store.
pub const STORE_GROUP_BATCHES_MAX: usize = 64;

/// About how many bytes of changes do; a batch larger than this is a transaction of its own.
pub const STORE_GROUP_BYTES_MAX: usize = 4 << 20;

/// Batches that the store's log goes back; older ones are dropped.
pub const STORE_LOG_ENTRIES_MAX: u64 = 1_000_000;

/// Bytes that the store's log has, beyond which older batches are dropped.
pub const STORE_LOG_BYTES_MAX: u64 = 256 << 20;

/// Batches that one commit drops at most, so that no commit waits for a long clearing.
pub const STORE_TRIM_MAX: u64 = 1_024;

/// Bytes of the write-ahead log at which they are moved to their place.
pub const STORE_WAL_BYTES: u64 = 16 << 20;

/// Idempotency keys that are known again after a restart, newest first.
pub const STORE_RETRIES_MAX: u32 = 10_000;

/// About how many bytes of the log are read in one answer.
pub const STORE_PAGE_BYTES_MAX: usize = 4 << 20;

/// Nodes of one part of a kept layout: a mebibyte of positions a transaction.
pub const STORE_LAYOUT_PART_NODES: usize = 1 << 16;

const _: () = {
    assert!(STORE_TRIM_MAX > STORE_GROUP_BATCHES_MAX as u64, "a commit drops more than it adds");
};
