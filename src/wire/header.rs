//! The 64-byte header of our own frames. `PROTOCOL.md` section 2 is the byte table.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `SWMC`. No legacy frame or message id begins with its first byte.
pub const MAGIC: [u8; 4] = *b"SWMC";

/// Version of the format.
pub const VERSION: u8 = 1;

/// A frame that carries every node and needs no other frame.
pub const KIND_FULL: u8 = 1;
/// Corrections of the compact profile, on top of the frame before.
pub const KIND_DELTA: u8 = 2;
/// The state of the compact profile's decoder.
pub const KIND_SNAPSHOT: u8 = 3;
/// What a decoder of the compact profile must know.
pub const KIND_INFO: u8 = 4;
/// Hashes of the compact profile's state.
pub const KIND_MARK: u8 = 5;
/// One value of every node, in the order of the compact profile.
pub const KIND_COLUMNS: u8 = 6;

/// The simulation is at rest.
pub const FLAG_SETTLED: u16 = 1;
/// Every z is 0.
pub const FLAG_TWO_DIMENSIONAL: u16 = 2;
/// The same state as the frame before, sent as a sign of life.
pub const FLAG_HEARTBEAT: u16 = 4;
/// A delta of the compact profile whose tick normalises.
pub const FLAG_NORMALISE: u16 = 8;
/// A message of the compact profile with the blocks of one client's interest only.
pub const FLAG_PARTIAL: u16 = 16;

/// Bytes of [`FrameHeader`].
pub const HEADER_BYTES: usize = 64;

/// What precedes the records of a `swarmcast.v1` frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FrameHeader {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// [`VERSION`].
    pub version: u8,
    /// A `KIND_`.
    pub kind: u8,
    /// `FLAG_` bits.
    pub flags: U16,
    /// Subscription class.
    pub class: U16,
    /// 0.
    pub reserved: U16,
    /// Version of the graph's structure.
    pub epoch: U32,
    /// The class's own count of its frames, from 1.
    pub sequence: U64,
    /// Sequence this frame builds on; 0 in a full frame.
    pub base: U64,
    /// Simulation step.
    pub tick: U64,
    /// When the tick was due, monotonic ns.
    pub tick_ns: U64,
    /// When the frame was published, monotonic ns.
    pub published_ns: U64,
    /// Records that follow.
    pub node_count: U32,
    /// Bytes that follow.
    pub body_bytes: U32,
}

const _: () = {
    assert!(size_of::<FrameHeader>() == HEADER_BYTES);
    assert!(std::mem::offset_of!(FrameHeader, epoch) == 12);
    assert!(std::mem::offset_of!(FrameHeader, sequence) == 16);
    assert!(std::mem::offset_of!(FrameHeader, tick_ns) == 40);
    assert!(std::mem::offset_of!(FrameHeader, node_count) == 56);
};

/// Why bytes are not a frame of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than a header has.
    #[error("{bytes} bytes are fewer than the {HEADER_BYTES} of a header")]
    Short {
        /// Bytes that were there.
        bytes: usize,
    },
    /// The first four bytes are not [`MAGIC`].
    #[error("magic {found:02x?} is not that of a swarmcast frame")]
    Magic {
        /// What they are.
        found: [u8; 4],
    },
    /// A version this code does not know.
    #[error("version {found} is not {VERSION}")]
    Version {
        /// What it says.
        found: u8,
    },
    /// A kind this code does not know.
    #[error("kind {found} is not known")]
    Kind {
        /// What it says.
        found: u8,
    },
    /// The counts and the bytes disagree.
    #[error("{nodes} nodes and {said} body bytes are announced, {found} bytes follow")]
    Length {
        /// Announced nodes.
        nodes: u32,
        /// Announced bytes.
        said: u32,
        /// Bytes after the header.
        found: usize,
    },
}

impl FrameHeader {
    /// Takes a whole frame apart: header and records, without copying.
    ///
    /// # Errors
    /// [`HeaderError`], for anything but a frame of exactly this version whose counts agree with its bytes.
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[super::NodeRecord]), HeaderError> {
        let (header, body) = Self::split(bytes)?;
        if header.kind != KIND_FULL {
            return Err(HeaderError::Kind { found: header.kind });
        }
        let (nodes, said) = (header.node_count.get(), header.body_bytes.get());
        let length = HeaderError::Length { nodes, said, found: body.len() };
        let records = <[super::NodeRecord]>::ref_from_bytes(body).map_err(|_| length)?;
        if body.len() != said as usize || records.len() != nodes as usize {
            return Err(length);
        }
        Ok((header, records))
    }

    /// Takes a message of the compact profile apart: header and body, which [`super::compact`] reads by its kind.
    ///
    /// # Errors
    /// [`HeaderError`], for anything but a compact kind of exactly this version whose `body_bytes` agrees with its bytes.
    pub fn parse_compact(bytes: &[u8]) -> Result<(&Self, &[u8]), HeaderError> {
        let (header, body) = Self::split(bytes)?;
        if !(KIND_DELTA..=KIND_COLUMNS).contains(&header.kind) {
            return Err(HeaderError::Kind { found: header.kind });
        }
        let (nodes, said) = (header.node_count.get(), header.body_bytes.get());
        if body.len() != said as usize {
            return Err(HeaderError::Length { nodes, said, found: body.len() });
        }
        Ok((header, body))
    }

    pub(super) fn split(bytes: &[u8]) -> Result<(&Self, &[u8]), HeaderError> {
        let short = HeaderError::Short { bytes: bytes.len() };
        let (header, body) = Self::ref_from_prefix(bytes).map_err(|_| short)?;
        if header.magic != MAGIC {
            return Err(HeaderError::Magic { found: header.magic });
        }
        if header.version != VERSION {
            return Err(HeaderError::Version { found: header.version });
        }
        Ok((header, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NodeRecord;

    fn frame(nodes: u32) -> Vec<u8> {
        let header = FrameHeader {
            magic: MAGIC,
            version: VERSION,
            kind: KIND_FULL,
            node_count: nodes.into(),
            body_bytes: (nodes * 28).into(),
            ..FrameHeader::default()
        };
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(HEADER_BYTES + nodes as usize * size_of::<NodeRecord>(), 0);
        bytes
    }

    #[test]
    fn only_a_whole_frame_of_this_version_parses() {
        assert_eq!(FrameHeader::parse(&frame(3)).unwrap().1.len(), 3);
        assert!(FrameHeader::parse(&frame(0)).is_ok());
        assert_eq!(FrameHeader::parse(&frame(3)[..63]).unwrap_err(), HeaderError::Short { bytes: 63 });
        for (offset, value, expected) in [
            (0, 2, HeaderError::Magic { found: [2, b'W', b'M', b'C'] }),
            (4, 9, HeaderError::Version { found: 9 }),
            (5, 0, HeaderError::Kind { found: 0 }),
            (56, 4, HeaderError::Length { nodes: 4, said: 84, found: 84 }),
            (60, 1, HeaderError::Length { nodes: 3, said: 1, found: 84 }),
        ] {
            let mut bytes = frame(3);
            bytes[offset] = value;
            assert_eq!(FrameHeader::parse(&bytes).unwrap_err(), expected);
        }
        assert!(matches!(FrameHeader::parse(&frame(3)[..100]), Err(HeaderError::Length { found: 36, .. })));
    }

    #[test]
    fn compact_messages_have_kinds_of_their_own() {
        for kind in 0..8 {
            let mut bytes = frame(3);
            bytes[5] = kind;
            let parsed = FrameHeader::parse_compact(&bytes).map(|(_, body)| body.len());
            let expected = if (2..=6).contains(&kind) { Ok(84) } else { Err(HeaderError::Kind { found: kind }) };
            assert_eq!(parsed, expected);
            bytes.pop();
            assert!(FrameHeader::parse_compact(&bytes).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = (FrameHeader::parse(&bytes), FrameHeader::parse_compact(&bytes));
        }
    }
}
