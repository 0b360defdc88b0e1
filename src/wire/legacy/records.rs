//! The records of one node, and what of ours goes into each.

use zerocopy::little_endian::{F32, I32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::super::{NodeRecord, Profile};
use crate::limits::NODE_ID_V1_MAX;

/// Agent flag of a 16-bit id.
const V1_AGENT: u16 = 1 << 15;
/// Knowledge flag of a 16-bit id.
const V1_KNOWLEDGE: u16 = 1 << 14;
/// Agent flag of a 32-bit id.
pub(super) const AGENT: u32 = 1 << 31;
/// Knowledge flag of a 32-bit id.
pub(super) const KNOWLEDGE: u32 = 1 << 30;

/// Shortest-path distance of a node that is not reached, or for which none was computed.
const NO_DISTANCE: f32 = f32::INFINITY;
/// Shortest-path parent of such a node.
const NO_PARENT: i32 = -1;
/// Anomaly score when none was computed.
const NO_ANOMALY: f32 = -1.0;
/// Cluster and community when none was computed; real ones count from 1.
const NO_GROUP: u32 = 0;

/// 26 bytes: `legacy-26`.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Record26 {
    /// The id, without flags.
    pub id: U16,
    /// World units.
    pub position: [F32; 3],
    /// World units per second.
    pub velocity: [F32; 3],
}

/// 28 bytes: `legacy-28`, `v42` and `vf0`.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Record28 {
    /// `legacy-28`: id in bits 0-29, 30 knowledge, 31 agent. `v42` and `vf0`: the id, without flags.
    pub id_flags: U32,
    /// World units.
    pub position: [F32; 3],
    /// World units per second.
    pub velocity: [F32; 3],
}

/// What the profiles from `v1` to `v5` say after the id: position, velocity, shortest path.
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

/// 34 bytes: `v1` and `v1-lead`.
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

/// 48 bytes: `v3` and `v5`.
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
    assert!(size_of::<Record26>() == Profile::Legacy26.record_bytes());
    assert!(size_of::<Record28>() == Profile::Legacy28.record_bytes());
    assert!(size_of::<Record28>() == Profile::V42.record_bytes());
    assert!(size_of::<Record28>() == Profile::Vf0.record_bytes());
    assert!(size_of::<RecordV1>() == Profile::V1.record_bytes());
    assert!(size_of::<RecordV1>() == Profile::V1Lead.record_bytes());
    assert!(size_of::<RecordV2>() == Profile::V2.record_bytes());
    assert!(size_of::<RecordV3>() == Profile::V3.record_bytes());
    assert!(size_of::<RecordV3>() == Profile::V5.record_bytes());
    assert!(std::mem::offset_of!(Record26, position) == 2);
    assert!(std::mem::offset_of!(Record28, velocity) == 16);
    assert!(std::mem::offset_of!(RecordV1, tail) == 2);
    assert!(std::mem::offset_of!(RecordV3, cluster) == 36);
};

impl From<&NodeRecord> for Record26 {
    /// The id must fit into 16 bits: a graph with a larger one is refused at subscription.
    fn from(node: &NodeRecord) -> Self {
        debug_assert!(node.id() <= u32::from(u16::MAX), "a class is opened only on a graph whose ids fit");
        Self { id: U16::new(node.id() as u16), position: node.position, velocity: node.velocity }
    }
}

impl Record28 {
    /// With id and the flags that `legacy-28` has.
    pub(super) fn flagged(node: &NodeRecord) -> Self {
        let flags = node.id_flags.get() & (AGENT | KNOWLEDGE);
        Self { id_flags: U32::new(node.id() | flags), position: node.position, velocity: node.velocity }
    }

    /// With the id alone.
    pub(super) fn plain(node: &NodeRecord) -> Self {
        Self { id_flags: U32::new(node.id()), position: node.position, velocity: node.velocity }
    }
}

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
