//! What the server says in text: one serde type per message of `PROTOCOL.md` section 4.

use serde::Serialize;
use serde_json::Value;

use super::{ClientError, Timestamp};

/// Who is at fault, in an `error` message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCategory {
    /// A field.
    Validation,
    /// Us.
    Server,
    /// The order or kind of messages.
    Protocol,
    /// Who asks.
    Auth,
    /// Too much of it.
    RateLimit,
}

/// The body of an `error` message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerError<'text> {
    /// Stable name.
    pub code: &'text str,
    /// For a person.
    pub message: &'text str,
    /// Who is at fault.
    pub category: ErrorCategory,
    /// Whether the same message may work later.
    pub retryable: bool,
    /// Seconds to wait; null when there is nothing to wait for.
    pub retry_after: Option<f64>,
    /// Fields at fault.
    pub affected_paths: &'text [&'text str],
}

/// A text message to a client.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage<'text> {
    /// First message of every connection.
    #[serde(rename_all = "snake_case")]
    ConnectionEstablished {
        /// Unix ms.
        timestamp: u64,
        /// This connection's session.
        session: u64,
        /// Its subscription class.
        class: u16,
        /// Its profile.
        profile: &'text str,
        /// Its rate, Hz.
        rate: u16,
        /// Rate of the simulation, Hz.
        tick_rate: u16,
        /// 2 or 3.
        dimensions: u8,
        /// Of a position in the compact profile; null in others.
        bits: Option<u8>,
        /// Version of the graph's structure.
        epoch: u32,
        /// Changes that the graph has had.
        version: u64,
        /// Nodes.
        node_count: u32,
        /// Edges.
        edge_count: u32,
        /// The session that the client named is known, and this one goes on where it stopped.
        is_reconnection: bool,
        /// What the client missed of the graph follows, if it missed anything: it need not fetch it.
        state_sync_sent: bool,
        /// What the repulsion is off at most, RMS over the RMS force, however busy the server gets.
        repulsion_error_max: f32,
        /// Where the settings stand.
        settings: SettingsState,
        /// What the server speaks.
        protocol: Protocol,
    },
    /// Answer to `ping`.
    Pong {
        /// The client's own, echoed.
        timestamp: Option<Timestamp>,
        /// Monotonic ns of the server.
        server_ns: u64,
    },
    /// Answer to `subscribe_position_updates`.
    SubscriptionConfirmed {
        /// Milliseconds between frames, rounded.
        interval: u32,
        /// Hz.
        rate: u16,
        /// Always true.
        binary: bool,
        /// The new class.
        class: u16,
        /// Its profile.
        profile: &'text str,
    },
    /// Answer to `requestInitialData`.
    #[serde(rename = "initialDataInfo")]
    InitialDataInfo {
        /// Where to GET the graph.
        url: &'text str,
        /// Version of the graph's structure.
        epoch: u32,
        /// The connection's class.
        class: u16,
    },
    /// Answer to `interest`.
    InterestConfirmed {
        /// Blocks that are sent from now on, as runs of first and last.
        blocks: &'text [[u32; 2]],
        /// Blocks there are.
        of: u32,
        /// Nodes of the blocks that are sent.
        nodes: u32,
        /// Version of the wire order that the blocks are of.
        order: u32,
    },
    /// Answer to `latency`: the server's own view of this connection, ns. Null is not measured yet.
    LatencyReport {
        /// Monotonic ns of the server.
        server_ns: u64,
        /// Frames sent since it connected.
        frames: u64,
        /// Frames that it went without.
        left_out: u64,
        /// From the tick's deadline to the last byte in the kernel.
        tick_to_kernel: LatencyTimes,
        /// From there to the client's acknowledgement.
        sent_to_ack: LatencyTimes,
    },
    /// How the stream of a slow client goes on.
    StreamQuality {
        /// `full`, `skipping`, `coarser` or `snapshots`.
        rung: &'text str,
        /// For a person.
        reason: &'text str,
        /// Hz.
        rate: u16,
        /// Of a position in the compact profile; null in others.
        bits: Option<u8>,
        /// The class from now on.
        class: u16,
    },
    /// Answer to `pinNode`.
    #[serde(rename_all = "camelCase")]
    PinConfirmed {
        /// The node.
        node_id: u32,
        /// Fixed or free.
        pinned: bool,
    },
    /// Two clients held one node.
    #[serde(rename_all = "camelCase")]
    DragTaken {
        /// The node.
        node_id: u32,
        /// `you` or `another`.
        by: &'text str,
    },
    /// The server let go of a node.
    #[serde(rename_all = "camelCase")]
    DragReleased {
        /// The node.
        node_id: u32,
        /// `silence`.
        reason: &'text str,
    },
    /// The simulation stands still until it is told to go on.
    PhysicsPaused {
        /// `request`.
        reason: &'text str,
        /// Steps done so far.
        tick: u64,
    },
    /// It goes on.
    PhysicsResumed {
        /// `request`.
        reason: &'text str,
        /// Steps done so far.
        tick: u64,
    },
    /// Nodes are on their way to the places of another layout mode.
    LayoutChanged {
        /// Its name.
        mode: &'text str,
        /// Counts the changes.
        version: u32,
        /// Steps done when it began.
        tick: u64,
        /// Steps that it takes.
        blend_ticks: u32,
    },
    /// Everybody is to look there. A client passes over the one that it has obeyed last: `time` tells.
    ViewSet {
        /// Who says so.
        by: &'text str,
        /// Unix ms; no two views are of one time.
        time: u64,
        /// Of the graph at that time.
        revision: u64,
        /// Of the view.
        name: &'text str,
        /// Where to put the camera; goes before `focus`.
        camera: Option<CameraPose>,
        /// Nodes that the picture is to hold; where it is empty, `selected`, and without that the whole graph.
        focus: Vec<u32>,
        /// The node to mark with its neighbours; null marks none.
        selected: Option<u32>,
        /// Which nodes are shown, as `PROTOCOL.md` has it; null is all.
        filter: Value,
        /// The rule that colours go by where no encoding says what they mean; null is none.
        group_by: Value,
        /// For a person: text, never markup.
        note: Option<&'text str>,
    },
    /// What the channels of the picture mean to everybody.
    EncodingSet {
        /// Who says so.
        by: &'text str,
        /// Unix ms.
        time: u64,
        /// Of the graph at that time.
        revision: u64,
        /// One of the names of `PROTOCOL.md`.
        colour: &'text str,
        /// `#rrggbb` of some classes or groups.
        colours: Value,
        /// One of the names of `PROTOCOL.md`.
        size: &'text str,
        /// The rule of every channel that is set, by its name.
        channels: Value,
    },
    /// Something was refused.
    Error(ServerError<'text>),
    /// Last record on a TCP connection.
    Goodbye {
        /// As in a WebSocket close.
        code: u16,
        /// For a person.
        reason: &'text str,
    },
}

/// Where a camera stands and what it looks at, in `view_set`; world units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CameraPose {
    /// Where it is.
    pub position: [f32; 3],
    /// What is in the middle of the picture.
    pub target: [f32; 3],
}

/// Times of one kind, in `latency_report`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LatencyTimes {
    /// The newest.
    pub last_ns: Option<u64>,
    /// Of the newest ones, each counting a sixteenth.
    pub mean_ns: Option<u64>,
    /// Since the question before.
    pub max_ns: Option<u64>,
}

/// Which settings are in force, in `connection_established` and `/api/graph/state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SettingsState {
    /// Counts changes, from 1 in each process.
    pub version: u64,
    /// Blake3 of all of them, hexadecimal.
    pub hash: Box<str>,
}

/// Profiles, in `connection_established`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Protocol {
    /// All that are served.
    pub supported: [&'static str; super::PROFILES.len()],
    /// The one to use.
    pub preferred: &'static str,
}

impl Default for Protocol {
    fn default() -> Self {
        Self { supported: super::PROFILES.map(super::Profile::name), preferred: super::Profile::Own.name() }
    }
}

impl ServerMessage<'_> {
    /// Appends the message as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        let written = serde_json::to_writer(out, self);
        debug_assert!(written.is_ok(), "these types have string keys and a Vec takes every write");
    }

    /// The message as JSON.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out);
        out
    }
}

/// Appends the `error` message that answers a bad message of a client.
pub fn write_client_error(error: &ClientError, out: &mut Vec<u8>) {
    let message = error.to_string();
    let field = error.field();
    let category = match error {
        ClientError::Json { .. } | ClientError::UnknownType => ErrorCategory::Protocol,
        _ => ErrorCategory::Validation,
    };
    let paths: &[&str] = match &field {
        Some(field) => std::slice::from_ref(field),
        None => &[],
    };
    ServerMessage::Error(ServerError {
        code: error.code(),
        message: &message,
        category,
        retryable: false,
        retry_after: None,
        affected_paths: paths,
    })
    .write(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_echoed_bit_for_bit() {
        for number in ["816.2999999523163", "11589.100000023842", "1732156800123.4568", "5e-324"] {
            let ping = format!(r#"{{"type":"ping","timestamp":{number}}}"#);
            let Ok(crate::wire::ClientMessage::Ping { timestamp }) = crate::wire::parse_message(ping.as_bytes()) else {
                panic!("{ping} is a ping");
            };
            let pong = String::from_utf8(ServerMessage::Pong { timestamp, server_ns: 1 }.to_vec()).unwrap();
            assert_eq!(pong, format!(r#"{{"type":"pong","timestamp":{number},"server_ns":1}}"#));
        }
    }

    #[test]
    fn messages_have_the_names_that_clients_expect() {
        let text = |message: ServerMessage<'_>| String::from_utf8(message.to_vec()).unwrap();
        assert_eq!(
            text(ServerMessage::Pong { timestamp: Some(Timestamp::Float(1.5)), server_ns: 7 }),
            r#"{"type":"pong","timestamp":1.5,"server_ns":7}"#
        );
        assert_eq!(
            text(ServerMessage::DragTaken { node_id: 3, by: "you" }),
            r#"{"type":"drag_taken","nodeId":3,"by":"you"}"#
        );
        let mut out = Vec::new();
        write_client_error(&ClientError::Missing { field: "nodeId" }, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"type":"error","code":"missing_field","message":"field nodeId is missing","#,
                r#""category":"validation","retryable":false,"retryAfter":null,"affectedPaths":["nodeId"]}"#
            )
        );
    }
}
