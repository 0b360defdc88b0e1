//! Binary messages of a client over WebSocket: `PROTOCOL.md` section 4.1. Typed, checked, and borrowed from the
//! message.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ClientError;
use crate::limits::{ACTION_PAYLOAD_BYTES_MAX, ACTIONS_MAX, NODE_ID_MAX};

/// First byte of an agent action, or of a batch of them.
pub const MESSAGE_AGENT_ACTION: u8 = 0x23;
/// First byte of an acknowledgement.
pub const MESSAGE_BROADCAST_ACK: u8 = 0x34;

/// Frames up to `sequence` have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroadcastAck {
    /// The `sequence` of a frame's header.
    pub sequence: u64,
    /// Nodes in that frame, as the client counted them.
    pub nodes: u32,
    /// The client's own clock.
    pub time: u64,
}

/// What an agent did to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// Read it.
    Query = 0,
    /// Changed it.
    Update = 1,
    /// Made it.
    Create = 2,
    /// Removed it.
    Delete = 3,
    /// Tied it to another.
    Link = 4,
    /// Made something else of it.
    Transform = 5,
}

impl Action {
    /// As texts call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Update => "update",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Link => "link",
            Self::Transform => "transform",
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Query,
            1 => Self::Update,
            2 => Self::Create,
            3 => Self::Delete,
            4 => Self::Link,
            5 => Self::Transform,
            _ => return None,
        })
    }
}

/// One action of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentAction<'message> {
    /// Id of the agent, without the class bits of its word.
    pub source: u32,
    /// Id of the node, without the class bits of its word.
    pub target: u32,
    /// What it did.
    pub action: Action,
    /// When, in milliseconds of the agent's clock.
    pub time_ms: u32,
    /// For how long.
    pub duration_ms: u16,
    /// Whatever the agent adds.
    pub payload: &'message [u8],
}

/// The checked items of one message, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentActions<'message> {
    /// A single action.
    One(AgentAction<'message>),
    /// Items behind the count of a batch, each with its length in front.
    Batch {
        /// How many.
        count: u16,
        /// Their bytes; every item was checked.
        items: &'message [u8],
    },
}

/// A binary message, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryMessage<'message> {
    /// 0x34.
    Ack(BroadcastAck),
    /// 0x23.
    AgentActions(AgentActions<'message>),
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawAck {
    sequence: U64,
    nodes: U32,
    time: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawAction {
    source: U32,
    target: U32,
    action: u8,
    time_ms: U32,
    duration_ms: U16,
}

const _: () = {
    assert!(size_of::<RawAck>() == 20);
    assert!(size_of::<RawAction>() == 15);
};

/// Parses one binary message. Allocates nothing; O(bytes).
///
/// # Errors
/// [`ClientError`], naming the message or the field and what it must be.
pub fn parse_binary(message: &[u8]) -> Result<BinaryMessage<'_>, ClientError> {
    match message.split_first() {
        Some((&MESSAGE_BROADCAST_ACK, body)) => ack(body).map(BinaryMessage::Ack),
        Some((&MESSAGE_AGENT_ACTION, body)) => actions(body).map(BinaryMessage::AgentActions),
        _ => Err(ClientError::UnknownType),
    }
}

fn ack(body: &[u8]) -> Result<BroadcastAck, ClientError> {
    let raw = RawAck::ref_from_bytes(body)
        .map_err(|_| ClientError::Unsupported { field: "0x34", allowed: "a message of 21 bytes" })?;
    Ok(BroadcastAck { sequence: raw.sequence.get(), nodes: raw.nodes.get(), time: raw.time.get() })
}

/// A single action and a batch begin with the same byte. Bytes that are a whole batch, to the last one, are a batch:
/// a single one would need its agent's id, its target and its payload to agree on that.
fn actions(body: &[u8]) -> Result<AgentActions<'_>, ClientError> {
    let actions = batch(body).map_or_else(|| action(body).map(AgentActions::One), Ok)?;
    if actions.count() > ACTIONS_MAX {
        return Err(ClientError::Range { field: "count", min: 1.0, max: ACTIONS_MAX as f64 });
    }
    if actions.iter().any(|action| action.payload.len() > ACTION_PAYLOAD_BYTES_MAX) {
        return Err(ClientError::Unsupported { field: "payload", allowed: "at most 4096 bytes" });
    }
    Ok(actions)
}

fn batch(body: &[u8]) -> Option<AgentActions<'_>> {
    let (count, items) = U16::ref_from_prefix(body).ok()?;
    let mut rest = items;
    for _ in 0..count.get() {
        let (item, behind) = split_item(rest)?;
        action(item).ok()?;
        rest = behind;
    }
    (count.get() > 0 && rest.is_empty()).then_some(AgentActions::Batch { count: count.get(), items })
}

/// The bytes of the first item, and what is behind it.
fn split_item(items: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = U16::ref_from_prefix(items).ok()?;
    rest.split_at_checked(usize::from(length.get()))
}

fn action(bytes: &[u8]) -> Result<AgentAction<'_>, ClientError> {
    let short = ClientError::Unsupported { field: "0x23", allowed: "an action of at least 15 bytes, or whole ones" };
    let (raw, payload) = RawAction::ref_from_prefix(bytes).map_err(|_| short)?;
    let action = Action::from_byte(raw.action).ok_or(ClientError::Range { field: "action", min: 0.0, max: 5.0 })?;
    Ok(AgentAction {
        source: raw.source.get() & NODE_ID_MAX,
        target: raw.target.get() & NODE_ID_MAX,
        action,
        time_ms: raw.time_ms.get(),
        duration_ms: raw.duration_ms.get(),
        payload,
    })
}

impl<'message> AgentActions<'message> {
    /// How many actions there are, at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Batch { count, .. } => usize::from(*count),
        }
    }

    /// All of them, in the order of the message.
    pub fn iter(&self) -> impl Iterator<Item = AgentAction<'message>> + use<'message> {
        let (one, mut items) = match *self {
            Self::One(action) => (Some(action), &[][..]),
            Self::Batch { items, .. } => (None, items),
        };
        one.into_iter().chain(std::iter::from_fn(move || {
            let (item, rest) = split_item(items)?;
            items = rest;
            action(item).ok()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 15 bytes of an action, then a payload.
    fn item(source: u32, action: u8, payload: &[u8]) -> Vec<u8> {
        let raw = RawAction {
            source: source.into(),
            target: (9 | 1 << 30).into(),
            action,
            time_ms: 77.into(),
            duration_ms: 250.into(),
        };
        [raw.as_bytes(), payload].concat()
    }

    fn batch_of(items: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![MESSAGE_AGENT_ACTION];
        bytes.extend((items.len() as u16).to_le_bytes());
        for item in items {
            bytes.extend((item.len() as u16).to_le_bytes());
            bytes.extend(item);
        }
        bytes
    }

    fn parsed(bytes: &[u8]) -> Vec<AgentAction<'_>> {
        match parse_binary(bytes) {
            Ok(BinaryMessage::AgentActions(actions)) => {
                let all: Vec<_> = actions.iter().collect();
                assert_eq!(all.len(), actions.count());
                all
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_ack_is_21_bytes() {
        let mut bytes = vec![MESSAGE_BROADCAST_ACK];
        bytes.extend((1_u64 << 40 | 5).to_le_bytes());
        bytes.extend(1_998_u32.to_le_bytes());
        bytes.extend(u64::MAX.to_le_bytes());
        let ack = BroadcastAck { sequence: 1 << 40 | 5, nodes: 1_998, time: u64::MAX };
        assert_eq!(parse_binary(&bytes), Ok(BinaryMessage::Ack(ack)));
        for length in (1..21).chain([22]) {
            bytes.resize(length, 0);
            let error = parse_binary(&bytes).unwrap_err();
            assert_eq!(error.to_string(), "field 0x34 must be a message of 21 bytes", "{length}");
        }
    }

    #[test]
    fn actions_come_alone_or_in_batches() {
        let single = [vec![MESSAGE_AGENT_ACTION], item(3 | 1 << 31, 5, b"why")].concat();
        let expected = AgentAction {
            source: 3,
            target: 9,
            action: Action::Transform,
            time_ms: 77,
            duration_ms: 250,
            payload: b"why",
        };
        assert_eq!(parsed(&single), [expected]);
        let batch = batch_of(&[item(1, 0, b""), item(2, 4, &[7; 300]), item(3, 5, b"why")]);
        let all = parsed(&batch);
        assert_eq!(all.iter().map(|one| one.source).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((all[0].action, all[1].action, all[1].payload.len()), (Action::Query, Action::Link, 300));
        assert_eq!(all[2], expected);
    }

    #[test]
    fn bad_actions_are_refused() {
        assert_eq!(parse_binary(&[]), Err(ClientError::UnknownType));
        assert_eq!(parse_binary(&[0x35, 1, 2]), Err(ClientError::UnknownType));
        let bad = [vec![MESSAGE_AGENT_ACTION], item(3, 6, b"")].concat();
        assert_eq!(parse_binary(&bad), Err(ClientError::Range { field: "action", min: 0.0, max: 5.0 }));
        let batch = batch_of(&[item(1, 0, b""), item(2, 4, b"")]);
        for length in 1..16 {
            let error = parse_binary(&batch[..length]).unwrap_err();
            assert!(matches!(error, ClientError::Unsupported { field: "0x23", .. }), "{length}");
        }
    }

    #[test]
    fn there_are_only_so_many_actions_and_they_are_only_so_long() {
        let most = vec![item(1, 0, b""); ACTIONS_MAX];
        assert_eq!(parsed(&batch_of(&most)).len(), ACTIONS_MAX);
        let range = ClientError::Range { field: "count", min: 1.0, max: ACTIONS_MAX as f64 };
        assert_eq!(parse_binary(&batch_of(&[most, vec![item(1, 0, b"")]].concat())), Err(range));
        let fits = item(1, 0, &[7; ACTION_PAYLOAD_BYTES_MAX]);
        let long = item(1, 0, &[7; ACTION_PAYLOAD_BYTES_MAX + 1]);
        assert_eq!(parsed(&batch_of(std::slice::from_ref(&fits))).len(), 1);
        let single = |item: &[u8]| [&[MESSAGE_AGENT_ACTION], item].concat();
        assert_eq!(parsed(&single(&fits)).len(), 1);
        for bad in [single(&long), batch_of(&[item(1, 0, b""), long])] {
            let error = parse_binary(&bad).unwrap_err();
            assert_eq!(error.to_string(), "field payload must be at most 4096 bytes");
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(
            kind in proptest::sample::select(vec![MESSAGE_AGENT_ACTION, MESSAGE_BROADCAST_ACK, 0]),
            bytes in proptest::collection::vec(0_u8..20, 0..120),
        ) {
            let message = [vec![kind], bytes].concat();
            if let Ok(BinaryMessage::AgentActions(actions)) = parse_binary(&message) {
                proptest::prop_assert_eq!(actions.iter().count(), actions.count());
            }
        }
    }
}
