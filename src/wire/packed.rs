//! Full frames of our own whose records travel as byte planes in an LZ4 block: the profile `swarmcast.v1.lz4`.

use zerocopy::{FromBytes, IntoBytes};

use super::planes::{self, PlaneScratch, PlanesError};
use super::{FrameHeader, HEADER_BYTES, HeaderError, KIND_FULL, NodeRecord};

/// The body is a `u32` of its unpacked length, then an LZ4 block.
pub const FLAG_COMPRESSED: u16 = 32;

/// Bodies up to this length are sent as they are: there is nothing to win in a packet that is sent anyway.
pub const PACK_BYTES_MIN: usize = 512;

/// Bytes of the length in front of the block.
const LENGTH_BYTES: usize = 4;

/// Writes the body of a compressed frame to `body`; true when it is packed, false when the records stand as they are,
/// being few or not to be made smaller.
///
/// O(nodes). Allocates nothing once `scratch` and `body` have served as many nodes.
pub fn pack(nodes: &[NodeRecord], scratch: &mut PlaneScratch, body: &mut Vec<u8>) -> bool {
    let raw = nodes.as_bytes();
    body.clear();
    if raw.len() > PACK_BYTES_MIN {
        body.extend_from_slice(&(raw.len() as u32).to_le_bytes());
        planes::compress(raw, size_of::<NodeRecord>(), scratch, body);
        if body.len() < raw.len() {
            return true;
        }
        body.clear();
    }
    body.extend_from_slice(raw);
    false
}

/// Why bytes are not a frame of ours, packed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// The header, or the counts and the bytes disagree.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// More nodes than the caller takes.
    #[error("{nodes} nodes are more than {limit}")]
    Nodes {
        /// Announced.
        nodes: u32,
        /// Taken.
        limit: u32,
    },
    /// The length in front of the block is not that of the announced nodes.
    #[error("{nodes} nodes are announced, and {said:?} bytes of them")]
    Length {
        /// Announced nodes.
        nodes: u32,
        /// Announced bytes; `None` when the body ends before them.
        said: Option<u32>,
    },
    /// The block.
    #[error(transparent)]
    Planes(#[from] PlanesError),
}

/// Takes a whole frame apart, like [`FrameHeader::parse`], but also a compressed one: its records are unpacked into
/// `unpacked`, and stand there until the next call.
///
/// Takes memory for at most twice `nodes_max` records.
///
/// # Errors
/// [`PackedError`].
pub fn parse_own<'frame>(
    frame: &'frame [u8],
    nodes_max: u32,
    unpacked: &'frame mut Vec<u8>,
) -> Result<(&'frame FrameHeader, &'frame [NodeRecord]), PackedError> {
    let (header, body) = FrameHeader::split(frame)?;
    let nodes = header.node_count.get();
    if nodes > nodes_max {
        return Err(PackedError::Nodes { nodes, limit: nodes_max });
    }
    if header.flags.get() & FLAG_COMPRESSED == 0 {
        return Ok(FrameHeader::parse(frame)?);
    }
    if header.kind != KIND_FULL {
        return Err(HeaderError::Kind { found: header.kind }.into());
    }
    let said = header.body_bytes.get();
    if body.len() != said as usize {
        return Err(HeaderError::Length { nodes, said, found: body.len() }.into());
    }
    let raw_bytes = nodes as usize * size_of::<NodeRecord>();
    let wrong = |said| PackedError::Length { nodes, said };
    let (length, block) = body.split_first_chunk::<LENGTH_BYTES>().ok_or(wrong(None))?;
    let length = u32::from_le_bytes(*length);
    if length as usize != raw_bytes {
        return Err(wrong(Some(length)));
    }
    planes::decompress(block, size_of::<NodeRecord>(), raw_bytes, unpacked)?;
    let records = <[NodeRecord]>::ref_from_bytes(unpacked).map_err(|_| wrong(Some(length)))?;
    Ok((header, records))
}

const _: () = assert!(PACK_BYTES_MIN > HEADER_BYTES, "a frame that is packed is longer than its header");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{MAGIC, VERSION};

    fn nodes(count: u32) -> Vec<NodeRecord> {
        let of = |id: u32| {
            let mut node = NodeRecord { id_flags: id.into(), ..NodeRecord::default() };
            node.set_motion([(id as f32).sin() * 100.0, (id as f32).cos() * 100.0, 0.0], [0.25; 3]);
            node
        };
        (0..count).map(of).collect()
    }

    fn frame(nodes: &[NodeRecord]) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        let packed = pack(nodes, &mut PlaneScratch::new(0), &mut body);
        let header = FrameHeader {
            magic: MAGIC,
            version: VERSION,
            kind: KIND_FULL,
            flags: if packed { FLAG_COMPRESSED } else { 0 }.into(),
            node_count: (nodes.len() as u32).into(),
            body_bytes: (body.len() as u32).into(),
            ..FrameHeader::default()
        };
        ([header.as_bytes(), &body].concat(), packed)
    }

    #[test]
    fn frames_come_back_packed_or_not() {
        for (count, expected) in [(0, false), (18, false), (19, true), (3_000, true)] {
            let nodes = nodes(count);
            let (bytes, packed) = frame(&nodes);
            assert_eq!(packed, expected, "{count} nodes");
            assert!(!packed || bytes.len() < HEADER_BYTES + 28 * nodes.len());
            let mut unpacked = Vec::new();
            let (header, back) = parse_own(&bytes, count, &mut unpacked).unwrap();
            assert_eq!((header.node_count.get(), back), (count, nodes.as_slice()));
            assert_eq!(FrameHeader::parse(&bytes).is_ok(), !packed, "who knows no compression is not misled");
        }
    }

    #[test]
    fn noise_is_sent_as_it_is() {
        let mut noise = nodes(40);
        let mut state = 1_u64;
        for node in &mut noise {
            node.id_flags = ((state >> 29) as u32).into();
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                f32::from_bits((state >> 32) as u32)
            };
            node.set_motion([next(), next(), next()], [next(), next(), next()]);
        }
        let (bytes, packed) = frame(&noise);
        assert_eq!((packed, bytes.len()), (false, HEADER_BYTES + 28 * 40));
    }

    #[test]
    fn lies_are_refused() {
        let (bytes, _) = frame(&nodes(100));
        let mut out = Vec::new();
        let mut refused = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            parse_own(&bytes, 5_000, &mut out).map(|_| ()).unwrap_err()
        };
        assert_eq!(refused(56, 99), PackedError::Length { nodes: 99, said: Some(2_800) });
        assert_eq!(refused(64, 1), PackedError::Length { nodes: 100, said: Some(0x0A01) });
        assert_eq!(refused(58, 1), PackedError::Nodes { nodes: 0x1_0064, limit: 5_000 });
        assert_eq!(refused(5, 2), PackedError::Header(HeaderError::Kind { found: 2 }));
        assert!(matches!(refused(60, 0), PackedError::Header(HeaderError::Length { .. })));
        assert!(matches!(refused(6, 0), PackedError::Header(HeaderError::Length { .. })), "not compressed after all");
        assert_eq!(refused(0, 0), PackedError::Header(HeaderError::Magic { found: [0, b'W', b'M', b'C'] }));
        let mut short = bytes[..66].to_vec();
        short[60..64].copy_from_slice(&2_u32.to_le_bytes());
        let said = parse_own(&short, 5_000, &mut out).map(|_| ()).unwrap_err();
        assert_eq!(said, PackedError::Length { nodes: 100, said: None });
    }

    proptest::proptest! {
        #[test]
        fn broken_blocks_never_panic(at in 68_usize..1_000, value: u8, cut in 68_usize..1_000) {
            let (mut bytes, _) = frame(&nodes(100));
            let last = bytes.len() - 1;
            bytes[at.min(last)] = value;
            bytes.truncate(cut.max(65));
            let said = (bytes.len() - HEADER_BYTES) as u32;
            bytes[60..64].copy_from_slice(&said.to_le_bytes());
            let mut out = Vec::new();
            let _ = parse_own(&bytes, 100, &mut out);
            proptest::prop_assert!(out.capacity() <= 2 * 2_800);
        }
    }
}
