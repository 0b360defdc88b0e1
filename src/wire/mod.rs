//! Bytes <-> types: our own frame, the legacy profiles, client and server messages, WebSocket and TCP framing.
//!
//! The layouts are those of `PROTOCOL.md`. No sockets, no clocks: bytes in, types out.

#![forbid(unsafe_code)]

mod binary;
mod client;
mod columns;
pub mod compact;
mod framing;
mod header;
mod interest;
mod legacy;
mod lines;
mod node;
mod packed;
pub mod planes;
mod problem;
mod profile;
mod server;
mod settings;
mod side;

pub use binary::{
    Action, AgentAction, AgentActions, BinaryMessage, BroadcastAck, MESSAGE_AGENT_ACTION, MESSAGE_BROADCAST_ACK,
    parse_binary,
};
pub use client::{ClientError, ClientMessage, Hello, Timestamp, parse_hello, parse_message};
pub use columns::{
    COLUMN_ANOMALY, COLUMN_CLUSTER, COLUMN_COMMUNITY, COLUMN_COMPONENT, COLUMN_DISTANCE, COLUMN_IDS, COLUMN_LAST,
    COLUMN_PARENT, COLUMN_RANK, ColumnsError, decode_column, decode_ids, encode_column, encode_ids,
};
pub use framing::{
    CloseCode, TCP_PREFIX_BYTES, TCP_TEXT_BIT, WHOLE_BYTES_MAX, WS_HEADER_BYTES_MAX, push_tcp_text, push_ws_binary,
    push_ws_close, push_ws_text, tcp_prefix, ws_header,
};
pub use header::{
    FLAG_HEARTBEAT, FLAG_NORMALISE, FLAG_PARTIAL, FLAG_SETTLED, FLAG_TWO_DIMENSIONAL, FrameHeader, HEADER_BYTES,
    HeaderError, KIND_COLUMNS, KIND_DELTA, KIND_FULL, KIND_INFO, KIND_MARK, KIND_SNAPSHOT, MAGIC, VERSION,
};
pub use interest::{BlockSet, Few, InterestAsk, parse_interest};
pub use legacy::{
    BodyError, Record26, Record28, RecordTail, RecordV1, RecordV2, RecordV3, decode_26, decode_28, decode_v1,
    decode_v1_lead, decode_v2, decode_v3, decode_v5, decode_v42, decode_vf0, encode_frame, encode_records,
    encode_side_values, legacy_head,
};
pub use lines::{Framed, LineFramer};
pub use node::NodeRecord;
pub use packed::{FLAG_COMPRESSED, PACK_BYTES_MIN, PackedError, pack, parse_own};
pub use problem::{PROBLEM_JSON, RETRY_AFTER_S, problem};
pub use profile::{
    BITS_DEFAULT, BITS_MAX, BITS_MIN, ClassSpec, Detail, PROFILE_NAMES, PROFILES, Profile, RATE_HZ_MAX, RECORDS,
    Records,
};
pub use server::write_client_error;
pub use server::{CameraPose, ErrorCategory, LatencyTimes, Protocol, ServerError, ServerMessage, SettingsState};
pub use settings::{
    SETTINGS_PACKED, SETTINGS_PLAIN, SettingsBody, SettingsError, SettingsMessage, SettingsPath, SettingsValue,
    is_settings,
};
pub use side::SideValues;
