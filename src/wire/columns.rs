//! The columns message: one value of every node in wire order, sent when it changes. `PROTOCOL.md` section 6.1.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::planes::{PlaneScratch, PlanesError, compress, decompress, join, split};

/// Bytes in front of the values.
const COLUMN_HEADER_BYTES: usize = 8;

/// The column of id words.
pub const COLUMN_IDS: u8 = 0;
/// Distance from the source of shortest paths, `f32`; +inf where no path leads.
pub const COLUMN_DISTANCE: u8 = 1;
/// Id of the node before on the path, `i32`; -1 for none.
pub const COLUMN_PARENT: u8 = 2;
/// Cluster from 1, 0 for noise.
pub const COLUMN_CLUSTER: u8 = 3;
/// Anomaly score, `f32`, 0 or above.
pub const COLUMN_ANOMALY: u8 = 4;
/// Community from 1.
pub const COLUMN_COMMUNITY: u8 = 5;
/// PageRank, `f32`.
pub const COLUMN_RANK: u8 = 6;
/// Connected component from 1.
pub const COLUMN_COMPONENT: u8 = 7;
/// Columns above this one are of a later version, and passed over.
pub const COLUMN_LAST: u8 = COLUMN_COMPONENT;

/// Byte planes as they are.
const CODING_RAW: u8 = 0;
/// Byte planes as one LZ4 block.
const CODING_LZ4: u8 = 1;

const WORD_BYTES: usize = size_of::<U32>();

/// Why a columns message is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsError {
    /// Shorter than its own header.
    #[error("{bytes} bytes are fewer than the {COLUMN_HEADER_BYTES} of a column's header")]
    Short {
        /// Bytes that were there.
        bytes: usize,
    },
    /// A column this code does not know.
    #[error("column {found} is not known")]
    Column {
        /// What it says.
        found: u8,
    },
    /// A coding this code does not know.
    #[error("coding {found} is not known")]
    Coding {
        /// What it says.
        found: u8,
    },
    /// Not one word for every node.
    #[error("{said} bytes of ids are announced for {nodes} nodes")]
    Length {
        /// Announced bytes.
        said: u32,
        /// Nodes of the graph.
        nodes: u32,
    },
    /// The planes do not come apart.
    #[error(transparent)]
    Planes(#[from] PlanesError),
}

/// The body of the ids column: `ids` are the id words in wire order. Allocates; made once an order.
pub fn encode_ids(ids: impl Iterator<Item = u32>) -> Vec<u8> {
    encode_column(COLUMN_IDS, ids)
}

/// The body of a column: one word of every node in wire order; a float by its bits. Allocates.
pub fn encode_column(column: u8, words: impl Iterator<Item = u32>) -> Vec<u8> {
    let words: Vec<U32> = words.map(U32::new).collect();
    let records = words.as_bytes();
    let raw_bytes = (records.len() as u32).to_le_bytes();
    let mut body = vec![column, CODING_LZ4, 0, 0];
    body.extend_from_slice(&raw_bytes);
    let packed = compress(records, WORD_BYTES, &mut PlaneScratch::new(records.len()), &mut body);
    if packed >= records.len() {
        body.truncate(COLUMN_HEADER_BYTES);
        if let Some(coding) = body.get_mut(1) {
            *coding = CODING_RAW;
        }
        body.resize(COLUMN_HEADER_BYTES + records.len(), 0);
        split(records, WORD_BYTES, body.get_mut(COLUMN_HEADER_BYTES..).unwrap_or(&mut []));
    }
    body
}

/// Reads the ids column of a graph of `node_count` nodes: id words in wire order.
///
/// # Errors
/// [`ColumnsError`], for anything but exactly one word for every node.
pub fn decode_ids(body: &[u8], node_count: u32) -> Result<Vec<u32>, ColumnsError> {
    match decode_column(body, node_count)? {
        (COLUMN_IDS, words) => Ok(words),
        (found, _) => Err(ColumnsError::Column { found }),
    }
}

/// Reads any column of a graph of `node_count` nodes: its number, and a word of every node in wire order.
///
/// # Errors
/// [`ColumnsError`], for anything but exactly one word for every node, and for a column of a later version.
pub fn decode_column(body: &[u8], node_count: u32) -> Result<(u8, Vec<u32>), ColumnsError> {
    let short = ColumnsError::Short { bytes: body.len() };
    let ([column, coding, _, _, a, b, c, d], payload) = body.split_first_chunk::<COLUMN_HEADER_BYTES>().ok_or(short)?;
    if *column > COLUMN_LAST {
        return Err(ColumnsError::Column { found: *column });
    }
    let said = u32::from_le_bytes([*a, *b, *c, *d]);
    let length = ColumnsError::Length { said, nodes: node_count };
    if Some(said) != node_count.checked_mul(WORD_BYTES as u32) {
        return Err(length);
    }
    let mut records = Vec::new();
    match *coding {
        CODING_LZ4 => decompress(payload, WORD_BYTES, said as usize, &mut records)?,
        CODING_RAW if payload.len() == said as usize => {
            records.resize(payload.len(), 0);
            join(payload, WORD_BYTES, &mut records);
        }
        CODING_RAW => return Err(length),
        found => return Err(ColumnsError::Coding { found }),
    }
    Ok((*column, records.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_in_their_order() {
        let near: Vec<u32> = (0..5_000).map(|node| node * 7 % 5_000).collect();
        let wild: Vec<u32> = (0..300_u32).map(|node| node.wrapping_mul(0x9E37_79B1)).collect();
        for ids in [near, wild, vec![], vec![u32::MAX]] {
            let body = encode_ids(ids.iter().copied());
            assert_eq!(decode_ids(&body, ids.len() as u32), Ok(ids.clone()));
            assert!(body.len() <= COLUMN_HEADER_BYTES + 4 * ids.len(), "never larger than the words");
            assert!(decode_ids(&body, ids.len() as u32 + 1).is_err());
        }
        let packed = encode_ids(0..10_000).len();
        assert!(packed < 25_000, "two of four planes are all but empty: {packed}");
    }

    #[test]
    fn other_columns_come_back_with_their_number() {
        let bits: Vec<u32> = [0.0f32, 1.5, f32::INFINITY].map(f32::to_bits).to_vec();
        let body = encode_column(COLUMN_DISTANCE, bits.iter().copied());
        assert_eq!(decode_column(&body, 3), Ok((COLUMN_DISTANCE, bits)));
        assert_eq!(decode_ids(&body, 3), Err(ColumnsError::Column { found: COLUMN_DISTANCE }));
        let later = encode_column(COLUMN_LAST + 1, [1, 2, 3].into_iter());
        assert_eq!(decode_column(&later, 3), Err(ColumnsError::Column { found: COLUMN_LAST + 1 }));
    }

    #[test]
    fn a_wrong_header_is_named() {
        let body = |change: (usize, u8)| {
            let mut body = encode_ids([1, 2].into_iter());
            body[change.0] = change.1;
            decode_ids(&body, 2).unwrap_err()
        };
        assert_eq!(decode_ids(&[0; 7], 2).unwrap_err(), ColumnsError::Short { bytes: 7 });
        assert_eq!(body((0, 9)), ColumnsError::Column { found: 9 });
        assert_eq!(body((1, 9)), ColumnsError::Coding { found: 9 });
        assert_eq!(body((4, 4)), ColumnsError::Length { said: 4, nodes: 2 });
        assert_eq!(
            decode_ids(&[0, 1, 0, 0, 252, 255, 255, 255], u32::MAX / 4),
            Err(ColumnsError::Planes(PlanesError::Ratio { payload_bytes: 0, raw_bytes: 0xFFFF_FFFC }))
        );
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100), nodes in 0..100_u32) {
            let _ = decode_ids(&bytes, nodes);
        }
    }
}
