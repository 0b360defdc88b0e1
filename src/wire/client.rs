//! What a client may say: the hello line of TCP and the control messages of `PROTOCOL.md` section 4.

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{BITS_MAX, BITS_MIN, Detail, PROFILE_NAMES, Profile, RATE_HZ_MAX};
use crate::limits::{AGENTS_SCHEMA_VERSION, CLIENT_TEXT_BYTES_MAX, COORDINATE_MAX, NODE_ID_MAX};

/// A subscription as asked for; what is `None` takes the server's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Format of the frames.
    pub profile: Option<Profile>,
    /// Frames per second, 1 to [`RATE_HZ_MAX`].
    pub rate_hz: Option<u16>,
    /// How exact; full detail unless the profile is the compact one.
    pub detail: Detail,
    /// The session that this client had: what is left out above is as it was there.
    pub session: Option<u64>,
    /// Version of the graph that it had then: it is told what it missed.
    pub version: Option<u64>,
}

/// A client's own clock, echoed as it came: nanoseconds since 1970 need all 64 bits of an integer, and a browser
/// compares the fraction of its milliseconds bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Timestamp {
    /// From 0 to `u64::MAX`.
    Unsigned(u64),
    /// A negative whole number.
    Signed(i64),
    /// Any other number.
    Float(f64),
}

/// A control message, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientMessage {
    /// Answer with the same timestamp.
    Ping {
        /// Whatever the client's clock says; `None` when it did not say.
        timestamp: Option<Timestamp>,
    },
    /// Change the rate.
    Subscribe {
        /// Frames per second.
        rate_hz: Option<u16>,
    },
    /// Send a frame at once.
    FullSnapshot,
    /// Say where the graph's data is.
    InitialData,
    /// A node is taken and put at `position`.
    DragStart {
        /// Its id.
        node: u32,
        /// World units.
        position: [f32; 3],
    },
    /// A taken node moves on.
    DragUpdate {
        /// Its id.
        node: u32,
        /// World units.
        position: [f32; 3],
    },
    /// A taken node is let go.
    DragEnd {
        /// Its id.
        node: u32,
        /// It stays where it is.
        pin: bool,
    },
    /// Fix a node where it is, or free it.
    Pin {
        /// Its id.
        node: u32,
        /// Fix or free.
        pinned: bool,
    },
    /// Everything up to a frame has arrived.
    Ack {
        /// The frame's sequence.
        sequence: u64,
    },
    /// Say how late this connection's frames are.
    Latency,
    /// Send some nodes only: [`super::parse_interest`] reads which.
    Interest,
    /// Parameters are not changed here.
    PhysicsParams,
    /// Say what the settings are, and every change of them from now on.
    WatchSettings {
        /// The version that the client has.
        version: u64,
        /// Blake3 of the whole at that version.
        hash: Option<[u8; 32]>,
    },
    /// Say no more about the settings.
    LeaveSettings,
    /// Say who the agents are, and what they do from now on.
    WatchAgents {
        /// The version of the events that the client reads.
        schema_version: u32,
        /// What nodes' actions come as.
        binary: bool,
    },
    /// Say no more about agents.
    LeaveAgents,
}

/// Why a text is not a message we answer. Carries what the error frame needs; builds no strings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientError {
    /// Longer than [`CLIENT_TEXT_BYTES_MAX`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not a JSON object with fields of the right types.
    Json {
        /// Where the parser stopped, from 1.
        column: usize,
    },
    /// No `type`, or one that is not known.
    UnknownType,
    /// A field that the type needs is missing.
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field is outside its range.
    Range {
        /// Its name.
        field: &'static str,
        /// Least allowed.
        min: f64,
        /// Most allowed.
        max: f64,
    },
    /// A field has a value that this server does not offer.
    Unsupported {
        /// Its name.
        field: &'static str,
        /// What is offered.
        allowed: &'static str,
    },
}

impl ClientError {
    /// The name in an `error` message.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Json { .. } => "bad_json",
            Self::UnknownType => "unknown_type",
            Self::Missing { .. } => "missing_field",
            Self::Range { .. } => "out_of_range",
            Self::Unsupported { .. } => "unsupported",
        }
    }

    /// The field at fault, when it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Missing { field } | Self::Range { field, .. } | Self::Unsupported { field, .. } => Some(field),
            Self::UnknownType => Some("type"),
            Self::TooLong { .. } | Self::Json { .. } => None,
        }
    }
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(out, "a message of {bytes} bytes is longer than {CLIENT_TEXT_BYTES_MAX}")
            }
            Self::Json { column } => {
                write!(out, "expected a JSON object with known field types, stopped at column {column}")
            }
            Self::UnknownType => write!(out, "the message type is missing or not known"),
            Self::Missing { field } => write!(out, "field {field} is missing"),
            Self::Range { field, min, max } => write!(out, "field {field} must be from {min} to {max}"),
            Self::Unsupported { field, allowed } => write!(out, "field {field} must be {allowed}"),
        }
    }
}

/// A position as clients write it: `{"x":..,"y":..,"z":..}` or `[x, y, z]`. By hand, because serde's untagged enum
/// buffers its input on the heap and drags come at frame rate.
#[derive(Clone, Copy)]
pub(super) struct RawPosition(pub(super) [f64; 3]);

impl<'de> Deserialize<'de> for RawPosition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PositionVisitor)
    }
}

struct PositionVisitor;

impl<'de> Visitor<'de> for PositionVisitor {
    type Value = RawPosition;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a position as {x, y, z} or [x, y, z]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawPosition, A::Error> {
        let (mut x, mut y, mut z) = (None, None, Some(0.0));
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "x" => x = Some(map.next_value()?),
                "y" => y = Some(map.next_value()?),
                "z" => z = Some(map.next_value()?),
                _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
            }
        }
        match (x, y, z) {
            (Some(x), Some(y), Some(z)) => Ok(RawPosition([x, y, z])),
            _ => Err(serde::de::Error::missing_field("x or y")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawPosition, A::Error> {
        let mut xyz = [0.0; 3];
        for axis in &mut xyz {
            *axis = seq.next_element()?.ok_or_else(|| serde::de::Error::missing_field("x, y or z"))?;
        }
        match seq.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(RawPosition(xyz)),
            Some(_) => Err(serde::de::Error::invalid_length(4, &self)),
        }
    }
}

/// All fields of all messages: one flat struct, so that parsing borrows and allocates nothing.
#[derive(Deserialize)]
struct Raw<'text> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'text str>,
    #[serde(default)]
    timestamp: Option<Timestamp>,
    #[serde(default)]
    rate: Option<f64>,
    #[serde(default)]
    interval: Option<f64>,
    #[serde(default)]
    binary: Option<bool>,
    #[serde(rename = "nodeId", default)]
    node_id: Option<f64>,
    #[serde(default)]
    position: Option<RawPosition>,
    #[serde(default)]
    pin: Option<bool>,
    #[serde(default)]
    pinned: Option<bool>,
    #[serde(default)]
    sequence: Option<u64>,
    #[serde(default)]
    version: Option<u64>,
    #[serde(borrow, default)]
    hash: Option<&'text str>,
    #[serde(default)]
    schema_version: Option<u32>,
    #[serde(borrow, default)]
    actions: Option<&'text str>,
}

/// Parses one control message. The bare text `ping` is one too.
///
/// # Errors
/// [`ClientError`], naming the field and its limit.
pub fn parse_message(text: &[u8]) -> Result<ClientMessage, ClientError> {
    if text == b"ping" {
        return Ok(ClientMessage::Ping { timestamp: None });
    }
    if text.len() > CLIENT_TEXT_BYTES_MAX {
        return Err(ClientError::TooLong { bytes: text.len() });
    }
    let raw: Raw<'_> = object(text)?;
    match raw.kind.ok_or(ClientError::UnknownType)? {
        "ping" => Ok(ClientMessage::Ping { timestamp: raw.timestamp }),
        "subscribe_position_updates" => subscribe(&raw),
        "request_full_snapshot" => Ok(ClientMessage::FullSnapshot),
        "requestInitialData" => Ok(ClientMessage::InitialData),
        "nodeDragStart" => Ok(ClientMessage::DragStart { node: node(&raw)?, position: position(&raw)? }),
        "nodeDragUpdate" => Ok(ClientMessage::DragUpdate { node: node(&raw)?, position: position(&raw)? }),
        "nodeDragEnd" => Ok(ClientMessage::DragEnd { node: node(&raw)?, pin: raw.pin.unwrap_or(false) }),
        "pinNode" => {
            let pinned = raw.pinned.ok_or(ClientError::Missing { field: "pinned" })?;
            Ok(ClientMessage::Pin { node: node(&raw)?, pinned })
        }
        "ack" => {
            let sequence = raw.sequence.ok_or(ClientError::Missing { field: "sequence" })?;
            Ok(ClientMessage::Ack { sequence })
        }
        "latency" => Ok(ClientMessage::Latency),
        "interest" => Ok(ClientMessage::Interest),
        "update_physics_params" => Ok(ClientMessage::PhysicsParams),
        "settings_subscribe" => {
            let hash = raw.hash.map(hash).transpose()?;
            Ok(ClientMessage::WatchSettings { version: raw.version.unwrap_or(0), hash })
        }
        "settings_unsubscribe" => Ok(ClientMessage::LeaveSettings),
        "agents_subscribe" => {
            let binary = match raw.actions {
                None | Some("text") => false,
                Some("binary") => true,
                Some(_) => return Err(ClientError::Unsupported { field: "actions", allowed: "text or binary" }),
            };
            let schema_version = raw.schema_version.unwrap_or(AGENTS_SCHEMA_VERSION);
            Ok(ClientMessage::WatchAgents { schema_version, binary })
        }
        "agents_unsubscribe" => Ok(ClientMessage::LeaveAgents),
        _ => Err(ClientError::UnknownType),
    }
}

fn hash(text: &str) -> Result<[u8; 32], ClientError> {
    let wrong = ClientError::Unsupported { field: "hash", allowed: "64 hexadecimal digits" };
    blake3::Hash::from_hex(text).map(Into::into).map_err(|_| wrong)
}

/// A rate in Hz from `rate`, or from `interval` in ms.
fn subscribe(raw: &Raw<'_>) -> Result<ClientMessage, ClientError> {
    if raw.binary == Some(false) {
        return Err(ClientError::Unsupported { field: "binary", allowed: "true: positions are binary" });
    }
    let rate_hz = match (raw.rate, raw.interval) {
        (Some(rate), _) => Some(checked_rate(rate)?),
        (None, Some(interval)) => {
            if !(interval.is_finite() && (1.0..=1_000.0).contains(&interval)) {
                return Err(ClientError::Range { field: "interval", min: 1.0, max: 1_000.0 });
            }
            Some((1_000.0 / interval).round().clamp(1.0, f64::from(RATE_HZ_MAX)) as u16)
        }
        (None, None) => None,
    };
    Ok(ClientMessage::Subscribe { rate_hz })
}

fn checked_rate(rate: f64) -> Result<u16, ClientError> {
    let max = f64::from(RATE_HZ_MAX);
    if !(1.0..=max).contains(&rate) || rate.fract() != 0.0 {
        return Err(ClientError::Range { field: "rate", min: 1.0, max });
    }
    Ok(rate as u16)
}

fn node(raw: &Raw<'_>) -> Result<u32, ClientError> {
    let id = raw.node_id.ok_or(ClientError::Missing { field: "nodeId" })?;
    let max = f64::from(NODE_ID_MAX);
    if !(0.0..=max).contains(&id) || id.fract() != 0.0 {
        return Err(ClientError::Range { field: "nodeId", min: 0.0, max });
    }
    Ok(id as u32)
}

fn position(raw: &Raw<'_>) -> Result<[f32; 3], ClientError> {
    let RawPosition(position) = raw.position.ok_or(ClientError::Missing { field: "position" })?;
    let max = f64::from(COORDINATE_MAX);
    if position.iter().all(|axis| (-max..=max).contains(axis)) {
        Ok(position.map(|axis| axis as f32))
    } else {
        Err(ClientError::Range { field: "position", min: -max, max })
    }
}

/// Reads a JSON object. A derived struct would take an array of its fields as well.
pub(super) fn object<'text, T: Deserialize<'text>>(text: &'text [u8]) -> Result<T, ClientError> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(ClientError::Json { column: 1 });
    }
    serde_json::from_slice(text).map_err(|error| ClientError::Json { column: error.column() })
}

/// Values of any type, so that one of a wrong type is refused by its field's name.
#[derive(Deserialize)]
struct RawHello {
    #[serde(default)]
    profile: Option<serde_json::Value>,
    #[serde(default)]
    rate: Option<serde_json::Value>,
    #[serde(default)]
    bits: Option<serde_json::Value>,
    #[serde(default)]
    dimensions: Option<serde_json::Value>,
    #[serde(default)]
    compression: Option<serde_json::Value>,
    #[serde(default)]
    session: Option<serde_json::Value>,
    #[serde(default)]
    version: Option<serde_json::Value>,
}

/// Parses the hello line of a TCP client, without its newline.
///
/// # Errors
/// [`ClientError`], naming the field and its limit.
pub fn parse_hello(line: &[u8]) -> Result<Hello, ClientError> {
    if line.len() > CLIENT_TEXT_BYTES_MAX {
        return Err(ClientError::TooLong { bytes: line.len() });
    }
    let raw: RawHello = object(line)?;
    let number = |value: Option<serde_json::Value>| value.map(|value| value.as_f64().unwrap_or(f64::NAN));
    // No profile has an empty name.
    let profile = raw.profile.as_ref().map(|name| name.as_str().unwrap_or(""));
    let hello = Hello::from_parts(profile, number(raw.rate), number(raw.bits), number(raw.dimensions))?;
    let hello = hello.compressed(raw.compression.as_ref().map(|name| name.as_str().unwrap_or("")))?;
    let hello = hello.resuming(number(raw.session), number(raw.version))?;
    hello.check_detail().map(|()| hello)
}

impl Hello {
    /// From a profile's name, a rate, and bits and dimensions of the compact profile, as they stand in a hello line or
    /// in a query.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] for an unknown profile or detail, [`ClientError::Range`] for a rate.
    pub fn from_parts(
        profile: Option<&str>,
        rate: Option<f64>,
        bits: Option<f64>,
        dimensions: Option<f64>,
    ) -> Result<Self, ClientError> {
        let unknown = ClientError::Unsupported { field: "profile", allowed: PROFILE_NAMES };
        let profile = profile.map(|name| Profile::from_name(name).ok_or(unknown)).transpose()?;
        let mut detail = Detail::default();
        if let Some(bits) = bits {
            if !(f64::from(BITS_MIN)..=f64::from(BITS_MAX)).contains(&bits) || bits % 2.0 != 0.0 {
                return Err(ClientError::Unsupported { field: "bits", allowed: "10, 12, 14 or 16" });
            }
            detail.bits = bits as u8;
        }
        if let Some(dimensions) = dimensions {
            if dimensions != 2.0 && dimensions != 3.0 {
                return Err(ClientError::Unsupported { field: "dimensions", allowed: "2 or 3" });
            }
            detail.flat = dimensions == 2.0;
        }
        Ok(Self { profile, rate_hz: rate.map(checked_rate).transpose()?, detail, ..Self::default() })
    }

    /// With the compression that is asked for, `none` or `lz4`, which only `swarmcast.v1` offers. Asked once the profile
    /// is certain, since a WebSocket may name it in the sub-protocol.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`], naming `compression`.
    pub fn compressed(self, compression: Option<&str>) -> Result<Self, ClientError> {
        let refuse = |allowed| Err(ClientError::Unsupported { field: "compression", allowed });
        match (compression, self.profile) {
            (None, _) => Ok(self),
            (Some("none"), profile) if profile != Some(Profile::OwnLz4) => Ok(self),
            (Some("none"), _) => refuse("lz4: the profile is named for it"),
            (Some("lz4"), None | Some(Profile::Own | Profile::OwnLz4)) => {
                Ok(Self { profile: Some(Profile::OwnLz4), ..self })
            }
            (Some("lz4"), _) => refuse("left out: only swarmcast.v1 offers a choice"),
            (Some(_), _) => refuse("none or lz4"),
        }
    }

    /// The same of a client that comes back: its session and its version of the graph, as `connection_established` and
    /// `graph_changed` told it.
    ///
    /// # Errors
    /// [`ClientError::Range`]; [`ClientError::Missing`] for a version without the session that it belongs to.
    pub fn resuming(self, session: Option<f64>, version: Option<f64>) -> Result<Self, ClientError> {
        /// The largest number that a script has exactly, 2^53.
        const MAX: f64 = 9_007_199_254_740_992.0;
        let whole = |field, number: Option<f64>| match number {
            Some(number) if !(0.0..=MAX).contains(&number) || number.fract() != 0.0 => {
                Err(ClientError::Range { field, min: 0.0, max: MAX })
            }
            number => Ok(number.map(|number| number as u64)),
        };
        let (session, version) = (whole("session", session)?, whole("version", version)?);
        if version.is_some() && session.is_none() {
            return Err(ClientError::Missing { field: "session" });
        }
        Ok(Self { session, version, ..self })
    }

    /// Whether the detail that is asked for exists in the profile that is asked for. Asked once the profile is certain,
    /// since a WebSocket may name it in the sub-protocol.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`], naming `bits` or `dimensions`.
    pub fn check_detail(&self) -> Result<(), ClientError> {
        let usual = Detail::default();
        let compact = self.profile == Some(Profile::Compact);
        let field = if self.detail.bits != usual.bits { "bits" } else { "dimensions" };
        if compact || self.detail == usual {
            return Ok(());
        }
        Err(ClientError::Unsupported { field, allowed: "left out: only swarmcast.compact offers a choice" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Result<ClientMessage, ClientError> {
        parse_message(text.as_bytes())
    }

    #[test]
    fn every_message_of_the_table_parses() {
        let drag = r#"{"type":"nodeDragUpdate","nodeId":7,"position":{"x":1,"y":-2.5,"z":3},"timestamp":1}"#;
        assert_eq!(message(drag), Ok(ClientMessage::DragUpdate { node: 7, position: [1.0, -2.5, 3.0] }));
        let start = r#"{"type":"nodeDragStart","nodeId":7,"position":[1,2,3]}"#;
        assert_eq!(message(start), Ok(ClientMessage::DragStart { node: 7, position: [1.0, 2.0, 3.0] }));
        let end = r#"{"type":"nodeDragEnd","nodeId":7}"#;
        assert_eq!(message(end), Ok(ClientMessage::DragEnd { node: 7, pin: false }));
        assert_eq!(message("ping"), Ok(ClientMessage::Ping { timestamp: None }));
        assert_eq!(
            message(r#"{"type":"ping","timestamp":5}"#),
            Ok(ClientMessage::Ping { timestamp: Some(Timestamp::Unsigned(5)) })
        );
        let subscribe = r#"{"type":"subscribe_position_updates","interval":60,"binary":true}"#;
        assert_eq!(message(subscribe), Ok(ClientMessage::Subscribe { rate_hz: Some(17) }));
        let pin = r#"{"type":"pinNode","nodeId":0,"pinned":true}"#;
        assert_eq!(message(pin), Ok(ClientMessage::Pin { node: 0, pinned: true }));
        assert_eq!(
            message(r#"{"type":"request_full_snapshot","graphs":["knowledge"]}"#),
            Ok(ClientMessage::FullSnapshot)
        );
    }

    #[test]
    fn bad_messages_name_the_field_and_its_limit() {
        let cases = [
            ("{}", "the message type is missing or not known"),
            (r#"{"type":"dance"}"#, "the message type is missing or not known"),
            (r#"{"type":"nodeDragEnd"}"#, "field nodeId is missing"),
            (r#"{"type":"nodeDragEnd","nodeId":67108864}"#, "field nodeId must be from 0 to 67108863"),
            (r#"{"type":"nodeDragEnd","nodeId":1.5}"#, "field nodeId must be from 0 to 67108863"),
            (
                r#"{"type":"nodeDragStart","nodeId":1,"position":[0,0,1e9]}"#,
                "field position must be from -10000 to 10000",
            ),
            (r#"{"type":"nodeDragStart","nodeId":1}"#, "field position is missing"),
            (r#"{"type":"subscribe_position_updates","rate":0}"#, "field rate must be from 1 to 120"),
            (r#"{"type":"subscribe_position_updates","interval":0}"#, "field interval must be from 1 to 1000"),
            (
                r#"{"type":"subscribe_position_updates","binary":false}"#,
                "field binary must be true: positions are binary",
            ),
            (r#"{"type":"pinNode","nodeId":1}"#, "field pinned is missing"),
        ];
        for (text, expected) in cases {
            assert_eq!(message(text).unwrap_err().to_string(), expected, "{text}");
        }
        for no_object in ["[1", "", r#"["ping"]"#] {
            assert!(matches!(message(no_object), Err(ClientError::Json { .. })), "{no_object}");
        }
        let long = format!("{{\"type\":\"{}\"}}", "x".repeat(CLIENT_TEXT_BYTES_MAX));
        assert!(matches!(message(&long), Err(ClientError::TooLong { .. })));
    }

    #[test]
    fn hello_lines_take_defaults_and_refuse_the_rest() {
        assert_eq!(parse_hello(b" {} "), Ok(Hello::default()));
        assert_eq!(parse_hello(br#"{"profile":null,"rate":null}"#), Ok(Hello::default()));
        for no_object in [&b""[..], b"  ", b"[]", b"[\"v1\",60]", b"5"] {
            assert!(matches!(parse_hello(no_object), Err(ClientError::Json { .. })), "{no_object:?}");
        }
        assert!(matches!(parse_hello(br#"{"profile":3}"#), Err(ClientError::Unsupported { field: "profile", .. })));
        assert!(matches!(parse_hello(br#"{"rate":"60"}"#), Err(ClientError::Range { field: "rate", .. })));
        let hello = Hello { profile: Some(Profile::V1), rate_hz: Some(60), ..Hello::default() };
        assert_eq!(parse_hello(br#"{"profile":"v1","rate":60}"#), Ok(hello));
        assert!(matches!(parse_hello(br#"{"profile":"v9"}"#), Err(ClientError::Unsupported { field: "profile", .. })));
        assert!(matches!(parse_hello(br#"{"rate":1000}"#), Err(ClientError::Range { field: "rate", .. })));
        let back = Hello { session: Some(7), version: Some(9), ..Hello::default() };
        assert_eq!(parse_hello(br#"{"session":7,"version":9}"#), Ok(back));
        assert!(matches!(parse_hello(br#"{"version":9}"#), Err(ClientError::Missing { field: "session" })));
        for wrong in [&br#"{"session":-1}"#[..], br#"{"session":0.5}"#, br#"{"session":"7"}"#] {
            assert!(matches!(parse_hello(wrong), Err(ClientError::Range { field: "session", .. })), "{wrong:?}");
        }
        let compact = parse_hello(br#"{"profile":"swarmcast.compact","bits":12,"dimensions":2}"#).unwrap();
        assert_eq!(compact.detail, Detail { bits: 12, flat: true });
        assert!(matches!(parse_hello(br#"{"bits":13}"#), Err(ClientError::Unsupported { field: "bits", .. })));
        let packed = |line: &[u8]| parse_hello(line).map(|hello| hello.profile);
        assert_eq!(packed(br#"{"compression":"lz4"}"#), Ok(Some(Profile::OwnLz4)));
        assert_eq!(packed(br#"{"profile":"swarmcast.v1","compression":"lz4"}"#), Ok(Some(Profile::OwnLz4)));
        assert_eq!(packed(br#"{"profile":"swarmcast.v1.lz4"}"#), Ok(Some(Profile::OwnLz4)));
        assert_eq!(packed(br#"{"profile":"v3","compression":"none"}"#), Ok(Some(Profile::V3)));
        for wrong in [
            &br#"{"profile":"v1","compression":"lz4"}"#[..],
            br#"{"profile":"swarmcast.compact","compression":"lz4"}"#,
            br#"{"profile":"swarmcast.v1.lz4","compression":"none"}"#,
            br#"{"compression":"zstd"}"#,
            br#"{"compression":true}"#,
        ] {
            assert!(matches!(packed(wrong), Err(ClientError::Unsupported { field: "compression", .. })));
        }
        let flat = parse_hello(br#"{"profile":"v1","dimensions":2}"#);
        assert!(matches!(flat, Err(ClientError::Unsupported { field: "dimensions", .. })));
        assert!(matches!(parse_hello(b"GET / HTTP/1.1"), Err(ClientError::Json { .. })));
    }

    proptest::proptest! {
        #[test]
        fn a_timestamp_is_echoed_to_the_bit(float: f64, whole: u64, signed: i64) {
            // A page's clock: milliseconds with a fraction, below a day.
            let float = float % 86_400_000.0;
            for timestamp in [Timestamp::Float(float), Timestamp::Unsigned(whole), Timestamp::Signed(signed)] {
                let number = match timestamp {
                    Timestamp::Float(float) if float.is_nan() => continue,
                    Timestamp::Float(float) => format!("{float:?}"),
                    Timestamp::Unsigned(whole) => whole.to_string(),
                    Timestamp::Signed(signed) => signed.to_string(),
                };
                let text = format!("{{\"type\":\"ping\",\"timestamp\":{number}}}");
                let Ok(ClientMessage::Ping { timestamp }) = message(&text) else { panic!("{text}") };
                let pong = crate::wire::ServerMessage::Pong { timestamp, server_ns: 1 }.to_vec();
                let pong = String::from_utf8(pong).unwrap();
                let echoed = pong.split("timestamp\":").nth(1).unwrap().split(',').next().unwrap();
                match echoed.parse::<i128>() {
                    Ok(whole) => assert_eq!(whole.to_string(), number),
                    Err(_) => assert_eq!(echoed.parse::<f64>().unwrap().to_bits(), float.to_bits(), "{number}"),
                }
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = (parse_message(&bytes), parse_hello(&bytes));
        }
    }
}
