//! The legacy record profiles, from and to our own node records.

use zerocopy::little_endian::{F32, I32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{NodeRecord, Profile};
use crate::limits::NODE_ID_V1_MAX;

/// Version byte in front of `v2` records.
const VERSION_V2: u8 = 2;
/// Version byte in front of `v3` records.
const VERSION_V3: u8 = 3;
/// Agent flag of a 16-bit id.
const V1_AGENT: u16 = 1 << 15;
/// Knowledge flag of a 16-bit id.
const V1_KNOWLEDGE: u16 = 1 << 14;
/// Agent flag of a 32-bit id.
const AGENT: u32 = 1 << 31;
/// Knowledge flag of a 32-bit id.
const KNOWLEDGE: u32 = 1 << 30;

/// Shortest-path distance of a node that is not reached, or for which none was computed.
const NO_DISTANCE: f32 = f32::INFINITY;
/// Shortest-path parent of such a node.
const NO_PARENT: i32 = -1;
/// Anomaly score when none was computed.
const NO_ANOMALY: f32 = -1.0;
/// Cluster and community when none was computed; real ones count from 1.
const NO_GROUP: u32 = 0;

/// What the legacy profiles say after the id: position, velocity, shortest path.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RecordTail {
    /// World units.
    pub position: [F32; 3],
    /// World units per second.
    pub velocity: [F32; 3],
    /// Distance from the source; +inf = none.
    pub distance: F32,
    /// Id of the node before it on the shortest path; -1 = none.
    pub parent: I32,
}

/// 34 bytes: `v1`.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RecordV1 {
    /// Id in bits 0-13, 14 knowledge, 15 agent.
    pub id_flags: U16,
    /// Motion and path.
    pub tail: RecordTail,
}

/// 36 bytes: `v2`.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RecordV2 {
    /// Id in bits 0-25, class flags above.
    pub id_flags: U32,
    /// Motion and path.
    pub tail: RecordTail,
}

/// 48 bytes: `v3`.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RecordV3 {
    /// As `v2`.
    pub node: RecordV2,
    /// Cluster from 1; 0 = none.
    pub cluster: U32,
    /// Anomaly score; -1 = not computed.
    pub anomaly: F32,
    /// Community from 1; 0 = none.
    pub community: U32,
}

const _: () = {
    assert!(size_of::<RecordV1>() == Profile::V1.record_bytes());
    assert!(size_of::<RecordV2>() == Profile::V2.record_bytes());
    assert!(size_of::<RecordV3>() == Profile::V3.record_bytes());
    assert!(std::mem::offset_of!(RecordV1, tail) == 2);
    assert!(std::mem::offset_of!(RecordV3, cluster) == 36);
};

impl From<&NodeRecord> for RecordTail {
    fn from(node: &NodeRecord) -> Self {
        Self {
            position: node.position,
            velocity: node.velocity,
            distance: F32::new(NO_DISTANCE),
            parent: I32::new(NO_PARENT),
        }
    }
}

impl From<&NodeRecord> for RecordV1 {
    /// The id must be at most [`NODE_ID_V1_MAX`]: a graph with a larger one is refused at subscription.
    fn from(node: &NodeRecord) -> Self {
        debug_assert!(node.id() <= NODE_ID_V1_MAX, "a v1 class is opened only on a graph whose ids fit");
        let word = node.id_flags.get();
        let agent = if word & AGENT != 0 { V1_AGENT } else { 0 };
        let knowledge = if word & KNOWLEDGE != 0 { V1_KNOWLEDGE } else { 0 };
        let id = (node.id() & NODE_ID_V1_MAX) as u16;
        Self { id_flags: U16::new(id | agent | knowledge), tail: node.into() }
    }
}

impl From<&NodeRecord> for RecordV2 {
    fn from(node: &NodeRecord) -> Self {
        Self { id_flags: node.id_flags, tail: node.into() }
    }
}

impl From<&NodeRecord> for RecordV3 {
    fn from(node: &NodeRecord) -> Self {
        Self {
            node: node.into(),
            cluster: U32::new(NO_GROUP),
            anomaly: F32::new(NO_ANOMALY),
            community: U32::new(NO_GROUP),
        }
    }
}

/// Encodes `nodes` as the body of `profile` into `body`, which must have exactly the body's length.
///
/// O(nodes), no allocation. For [`Profile::Own`] the records are copied as they are.
///
/// # Panics
/// When `body` has another length than `profile.body_bytes(nodes.len())`.
pub fn encode_body(profile: Profile, nodes: &[NodeRecord], body: &mut [u8]) {
    assert_eq!(body.len(), profile.body_bytes(nodes.len()), "the frame was sized for this epoch");
    match profile {
        Profile::Own => body.copy_from_slice(nodes.as_bytes()),
        Profile::V1 => encode::<RecordV1>(nodes, body),
        Profile::V2 => encode::<RecordV2>(nodes, after_version(VERSION_V2, body)),
        Profile::V3 => encode::<RecordV3>(nodes, after_version(VERSION_V3, body)),
        // It has no records: its messages are made by the chain.
        Profile::Compact => {}
    }
}

fn after_version(version: u8, body: &mut [u8]) -> &mut [u8] {
    match body.split_first_mut() {
        Some((first, rest)) => {
            *first = version;
            rest
        }
        None => &mut [],
    }
}

fn encode<R>(nodes: &[NodeRecord], body: &mut [u8])
where
    R: for<'node> From<&'node NodeRecord> + FromBytes + IntoBytes + Immutable + Unaligned + KnownLayout,
{
    let records = <[R]>::mut_from_bytes(body);
    debug_assert!(records.is_ok(), "the length was asserted by the caller");
    for (record, node) in records.unwrap_or(&mut []).iter_mut().zip(nodes) {
        *record = R::from(node);
    }
}

/// Why bytes are not a body of a legacy profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The length is not a whole number of records.
    #[error("{bytes} bytes are not a whole number of {record_bytes}-byte records")]
    Length {
        /// Bytes of records.
        bytes: usize,
        /// Bytes of one.
        record_bytes: usize,
    },
    /// The version byte is missing or another one.
    #[error("version byte {found:?} is not {expected}")]
    Version {
        /// What is there.
        found: Option<u8>,
        /// What should be.
        expected: u8,
    },
}

/// The records of a `v1` frame, without copying.
///
/// # Errors
/// [`BodyError::Length`].
pub fn decode_v1(frame: &[u8]) -> Result<&[RecordV1], BodyError> {
    records(frame)
}

/// The records of a `v2` frame, without copying.
///
/// # Errors
/// [`BodyError`].
pub fn decode_v2(frame: &[u8]) -> Result<&[RecordV2], BodyError> {
    records(versioned(VERSION_V2, frame)?)
}

/// The records of a `v3` frame, without copying.
///
/// # Errors
/// [`BodyError`].
pub fn decode_v3(frame: &[u8]) -> Result<&[RecordV3], BodyError> {
    records(versioned(VERSION_V3, frame)?)
}

fn versioned(expected: u8, frame: &[u8]) -> Result<&[u8], BodyError> {
    match frame.split_first() {
        Some((found, rest)) if *found == expected => Ok(rest),
        other => Err(BodyError::Version { found: other.map(|(found, _)| *found), expected }),
    }
}

fn records<R: FromBytes + Immutable + KnownLayout + Unaligned>(bytes: &[u8]) -> Result<&[R], BodyError> {
    let length = BodyError::Length { bytes: bytes.len(), record_bytes: size_of::<R>() };
    <[R]>::ref_from_bytes(bytes).map_err(|_| length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id_flags: u32) -> NodeRecord {
        let mut node = NodeRecord { id_flags: id_flags.into(), ..NodeRecord::default() };
        node.set_motion([1.0, -2.5, 3.0], [0.5, 0.0, -8.0]);
        node
    }

    #[test]
    fn flags_survive_in_every_profile() {
        let nodes = [node(7 | AGENT), node(NODE_ID_V1_MAX | KNOWLEDGE), node(9 | 1 << 29 | 1 << 27)];
        let mut v1 = vec![0; Profile::V1.body_bytes(3)];
        encode_body(Profile::V1, &nodes, &mut v1);
        let ids: Vec<u16> = decode_v1(&v1).unwrap().iter().map(|record| record.id_flags.get()).collect();
        assert_eq!(ids, [7 | 0x8000, 0x3FFF | 0x4000, 9]);
        let mut v3 = vec![0; Profile::V3.body_bytes(3)];
        encode_body(Profile::V3, &nodes, &mut v3);
        let back = decode_v3(&v3).unwrap();
        assert!(back.iter().zip(&nodes).all(|(record, node)| record.node.id_flags == node.id_flags));
        assert!(back.iter().zip(&nodes).all(|(record, node)| record.node.tail.velocity == node.velocity));
        assert_eq!((back[0].node.tail.parent.get(), back[0].node.tail.distance.get()), (-1, f32::INFINITY));
    }

    #[test]
    fn a_wrong_version_or_length_is_named() {
        assert_eq!(decode_v2(&[]).unwrap_err(), BodyError::Version { found: None, expected: 2 });
        assert_eq!(decode_v2(&[3; 37]).unwrap_err(), BodyError::Version { found: Some(3), expected: 2 });
        assert_eq!(decode_v1(&[0; 35]).unwrap_err(), BodyError::Length { bytes: 35, record_bytes: 34 });
        assert!(decode_v2(&[2]).unwrap().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = (decode_v1(&bytes), decode_v2(&bytes), decode_v3(&bytes));
        }
    }
}
