//! Our records as the shared body of a profile, and the bytes that count with a class as its head.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::super::{NodeRecord, Profile, Records, SideValues};
use super::{
    MAGIC_VF0, Record26, Record28, RecordTail, RecordV1, RecordV2, RecordV3, VERSION_V1, VERSION_V2, VERSION_V3,
    VERSION_V5, VERSION_V42,
};

/// Longest head of a legacy profile: a version byte and a sequence.
const HEAD_BYTES_MAX: usize = 9;

/// What precedes the shared body in a frame of a class of `profile`, as bytes and length: version and count. Empty for
/// a profile that has neither, and for our own, whose head is a `FrameHeader`.
#[must_use]
pub fn legacy_head(profile: Profile, sequence: u64) -> ([u8; HEAD_BYTES_MAX], usize) {
    let mut bytes = [0; HEAD_BYTES_MAX];
    let mut fill = |first: &[u8], second: &[u8]| {
        for (place, byte) in bytes.iter_mut().zip(first.iter().chain(second)) {
            *place = *byte;
        }
        first.len() + second.len()
    };
    let length = match profile {
        Profile::V1Lead => fill(&[VERSION_V1], &[]),
        Profile::V2 => fill(&[VERSION_V2], &[]),
        Profile::V3 => fill(&[VERSION_V3], &[]),
        Profile::V5 => fill(&[VERSION_V5], &sequence.to_le_bytes()),
        Profile::V42 => fill(&[VERSION_V42], &sequence.to_le_bytes()),
        // The count of a `vf0` frame has 32 bits and begins again at 0 after them.
        Profile::Vf0 => fill(&MAGIC_VF0.to_le_bytes(), &(sequence as u32).to_le_bytes()),
        Profile::Own | Profile::OwnLz4 | Profile::Compact | Profile::V1 | Profile::Legacy26 | Profile::Legacy28 => 0,
    };
    (bytes, length)
}

/// Encodes `nodes` as `kind` into the front of `body`. O(nodes), no allocation. [`Records::Packed`] is made by
/// [`super::super::pack`], and its records are copied as they are here.
///
/// # Panics
/// When `body` is too short.
pub fn encode_records(kind: Records, nodes: &[NodeRecord], body: &mut [u8]) {
    let bytes = nodes.len() * kind.bytes();
    assert!(bytes <= body.len(), "the body was sized for this epoch");
    let body = body.get_mut(..bytes).unwrap_or(&mut []);
    match kind {
        Records::None => {}
        Records::Own | Records::Packed => body.copy_from_slice(nodes.as_bytes()),
        Records::R26 => encode::<Record26>(nodes, body),
        Records::R28 => encode_with(nodes, body, Record28::flagged),
        Records::Plain28 => encode_with(nodes, body, Record28::plain),
        Records::R34 => encode::<RecordV1>(nodes, body),
        Records::R36 => encode::<RecordV2>(nodes, body),
        Records::R48 => encode::<RecordV3>(nodes, body),
    }
}

/// Puts what is known beside the motion of `nodes` records into `body`, which [`encode_records`] has filled as `kind`. A kind of
/// record without such fields, and a value that is not there, stay as they are. O(nodes), no allocation.
pub fn encode_side_values(kind: Records, side: &SideValues<'_>, nodes: usize, body: &mut [u8]) {
    let body = body.get_mut(..nodes * kind.bytes()).unwrap_or(&mut []);
    match kind {
        Records::R34 => tails(<[RecordV1]>::mut_from_bytes(body).unwrap_or(&mut []), side, |record| &mut record.tail),
        Records::R36 => tails(<[RecordV2]>::mut_from_bytes(body).unwrap_or(&mut []), side, |record| &mut record.tail),
        Records::R48 => {
            let records = <[RecordV3]>::mut_from_bytes(body).unwrap_or(&mut []);
            for (record, cluster) in records.iter_mut().zip(side.cluster.unwrap_or(&[])) {
                record.cluster = (*cluster).into();
            }
            for (record, anomaly) in records.iter_mut().zip(side.anomaly.unwrap_or(&[])) {
                record.anomaly = (*anomaly).into();
            }
            for (record, community) in records.iter_mut().zip(side.community.unwrap_or(&[])) {
                record.community = (*community).into();
            }
            tails(records, side, |record| &mut record.node.tail);
        }
        Records::None | Records::Own | Records::Packed | Records::R26 | Records::R28 | Records::Plain28 => {}
    }
}

fn tails<R>(records: &mut [R], side: &SideValues<'_>, tail: impl Fn(&mut R) -> &mut RecordTail) {
    for (record, distance) in records.iter_mut().zip(side.distance.unwrap_or(&[])) {
        tail(record).distance = (*distance).into();
    }
    for (record, parent) in records.iter_mut().zip(side.parent.unwrap_or(&[])) {
        tail(record).parent = (*parent).into();
    }
}

/// Encodes a whole frame of a legacy profile, as a client gets it: for tools, which have no frames to share.
#[must_use]
pub fn encode_frame(profile: Profile, sequence: u64, nodes: &[NodeRecord]) -> Vec<u8> {
    let (head, head_bytes) = legacy_head(profile, sequence);
    let mut frame: Vec<u8> = head.into_iter().take(head_bytes).collect();
    frame.resize(head_bytes + profile.body_bytes(nodes.len()), 0);
    encode_records(profile.records(), nodes, frame.get_mut(head_bytes..).unwrap_or(&mut []));
    if let (Profile::Vf0, Some(count)) = (profile, frame.last_chunk_mut()) {
        *count = (nodes.len() as u32).to_le_bytes();
    }
    frame
}

fn encode<R>(nodes: &[NodeRecord], body: &mut [u8])
where
    R: for<'node> From<&'node NodeRecord> + FromBytes + IntoBytes + Immutable + Unaligned + KnownLayout,
{
    encode_with(nodes, body, |node| R::from(node));
}

fn encode_with<R>(nodes: &[NodeRecord], body: &mut [u8], record_of: impl Fn(&NodeRecord) -> R)
where
    R: FromBytes + IntoBytes + Immutable + Unaligned + KnownLayout,
{
    let records = <[R]>::mut_from_bytes(body);
    debug_assert!(records.is_ok(), "the length was asserted by the caller");
    for (record, node) in records.unwrap_or(&mut []).iter_mut().zip(nodes) {
        *record = record_of(node);
    }
}
