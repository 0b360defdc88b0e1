//! Byte planes and LZ4: records of one size, all their first bytes first, then all second ones, and so on, as one LZ4
//! block.
//!
//! Neighbouring records agree in exponent and sign bytes and hardly ever in the low bytes of a mantissa. LZ4 finds
//! repeats, not similar numbers, so the planes are what makes it pay.

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

/// An LZ4 block never stands for more than this many times its own bytes: a run's length grows by 255 a byte.
const LZ4_RATIO_MAX: usize = 255;

/// Records whose bytes are spread over the planes at a time: 7 KiB of them and a line of every plane stay in the first
/// cache, where one pass a plane over a large frame would fetch it from memory once a plane.
const RECORDS_AT_ONCE: usize = 256;

/// Bytes of the table in a [`PlaneScratch`].
pub const TABLE_BYTES: usize = 16 << 10;

/// Memory that [`compress`] works in.
pub struct PlaneScratch {
    table: CompressTable,
    planes: Vec<u8>,
}

impl std::fmt::Debug for PlaneScratch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PlaneScratch").field("planes", &self.planes.capacity()).finish_non_exhaustive()
    }
}

impl PlaneScratch {
    /// For up to `raw_bytes` of records without a later allocation; more are taken too, with one.
    #[must_use]
    pub fn new(raw_bytes: usize) -> Self {
        Self { table: CompressTable::large(), planes: Vec::with_capacity(raw_bytes) }
    }
}

/// Most bytes that [`compress`] appends for `raw_bytes` of records: reserve so many, and it allocates nothing.
#[must_use]
pub fn compressed_bytes_max(raw_bytes: usize) -> usize {
    get_maximum_output_size(raw_bytes)
}

/// Why bytes are not the planes of so many records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanesError {
    /// The length is not a whole number of records.
    #[error("{raw_bytes} bytes are not a whole number of {record_bytes}-byte records")]
    Length {
        /// Bytes of records.
        raw_bytes: usize,
        /// Bytes of one.
        record_bytes: usize,
    },
    /// So few bytes cannot stand for so many.
    #[error("an LZ4 block of {payload_bytes} bytes cannot hold {raw_bytes}")]
    Ratio {
        /// Bytes that there are.
        payload_bytes: usize,
        /// Bytes that were announced.
        raw_bytes: usize,
    },
    /// It is no LZ4 block, or it holds another number of bytes than announced.
    #[error("not an LZ4 block of {raw_bytes} bytes")]
    Block {
        /// Bytes that were announced.
        raw_bytes: usize,
    },
}

/// Appends the planes of `records`, as an LZ4 block, to `out`; returns how many bytes that is.
///
/// O(bytes). Allocates nothing when `scratch` was made for that many bytes and `out` has [`compressed_bytes_max`] to
/// spare.
///
/// # Panics
/// When `records` is not a whole number of `record_bytes`.
pub fn compress(records: &[u8], record_bytes: usize, scratch: &mut PlaneScratch, out: &mut Vec<u8>) -> usize {
    let PlaneScratch { table, planes } = scratch;
    planes.resize(records.len(), 0);
    split(records, record_bytes, planes);
    let before = out.len();
    out.resize(before + compressed_bytes_max(records.len()), 0);
    let block = compress_into_with_table(planes, out.get_mut(before..).unwrap_or(&mut []), table);
    assert!(block.is_ok(), "the output has room for the worst case");
    let bytes = block.unwrap_or(0);
    out.truncate(before + bytes);
    bytes
}

/// Replaces `out` by the records of an LZ4 block of planes that holds exactly `raw_bytes`.
///
/// The caller bounds `raw_bytes`. At most twice as many bytes are allocated, and none before the length of `payload`
/// was seen to allow for them. After an error `out` is empty.
///
/// # Errors
/// [`PlanesError`].
pub fn decompress(payload: &[u8], record_bytes: usize, raw_bytes: usize, out: &mut Vec<u8>) -> Result<(), PlanesError> {
    out.clear();
    if record_bytes == 0 || !raw_bytes.is_multiple_of(record_bytes) {
        return Err(PlanesError::Length { raw_bytes, record_bytes });
    }
    if raw_bytes > payload.len().saturating_mul(LZ4_RATIO_MAX) {
        return Err(PlanesError::Ratio { payload_bytes: payload.len(), raw_bytes });
    }
    // Records in the first half, the planes they come from in the second. Growing by halves would take more than
    // announced.
    out.reserve_exact(2 * raw_bytes);
    out.resize(2 * raw_bytes, 0);
    let (records, planes) = out.split_at_mut(raw_bytes);
    if decompress_into(payload, planes).is_ok_and(|bytes| bytes == raw_bytes) {
        join(planes, record_bytes, records);
        out.truncate(raw_bytes);
        return Ok(());
    }
    out.clear();
    Err(PlanesError::Block { raw_bytes })
}

/// Spreads `records` over `planes`: all first bytes, then all second ones. O(bytes), no allocation.
///
/// # Panics
/// When the lengths differ, or are not a whole number of `record_bytes`.
pub fn split(records: &[u8], record_bytes: usize, planes: &mut [u8]) {
    let count = count(records.len(), planes.len(), record_bytes);
    for (first, some) in (0..count).step_by(RECORDS_AT_ONCE).zip(records.chunks(RECORDS_AT_ONCE * record_bytes)) {
        for (place, plane) in planes.chunks_exact_mut(count).enumerate() {
            let bytes = some.iter().skip(place).step_by(record_bytes);
            for (to, byte) in plane.iter_mut().skip(first).zip(bytes) {
                *to = *byte;
            }
        }
    }
}

/// The records that [`split`] spread. O(bytes), no allocation.
///
/// # Panics
/// When the lengths differ, or are not a whole number of `record_bytes`.
pub fn join(planes: &[u8], record_bytes: usize, records: &mut [u8]) {
    let count = count(records.len(), planes.len(), record_bytes);
    for (first, some) in (0..count).step_by(RECORDS_AT_ONCE).zip(records.chunks_mut(RECORDS_AT_ONCE * record_bytes)) {
        for (place, plane) in planes.chunks_exact(count).enumerate() {
            let bytes = some.iter_mut().skip(place).step_by(record_bytes);
            for (to, byte) in bytes.zip(plane.iter().skip(first)) {
                *to = *byte;
            }
        }
    }
}

fn count(records: usize, planes: usize, record_bytes: usize) -> usize {
    assert_eq!(records, planes, "planes are the same bytes in another order");
    assert!(record_bytes > 0 && records.is_multiple_of(record_bytes), "records are whole");
    records / record_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_the_bytes_of_all_records_in_turn() {
        let records: Vec<u8> = (0..12).collect();
        let mut planes = [0; 12];
        split(&records, 4, &mut planes);
        assert_eq!(planes, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        let mut back = [0; 12];
        join(&planes, 4, &mut back);
        assert_eq!(back, records[..]);
        split(&[], 28, &mut []);
        join(&[], 28, &mut []);
    }

    #[test]
    fn words_in_rising_order_shrink_and_come_back() {
        let words: Vec<u8> = (0..10_000_u32).flat_map(|word| (word | 1 << 30).to_le_bytes()).collect();
        let mut scratch = PlaneScratch::new(words.len());
        let mut out = vec![9];
        let bytes = compress(&words, 4, &mut scratch, &mut out);
        assert_eq!(out.len(), 1 + bytes);
        assert!(bytes < words.len() / 20, "{bytes}");
        let mut back = vec![1, 2, 3];
        decompress(&out[1..], 4, words.len(), &mut back).unwrap();
        assert_eq!(back, words);
    }

    #[test]
    fn nothing_is_a_block_too() {
        let mut out = Vec::new();
        assert!(compress(&[], 28, &mut PlaneScratch::new(0), &mut out) > 0);
        let mut back = vec![1];
        decompress(&out, 28, 0, &mut back).unwrap();
        assert!(back.is_empty());
    }

    #[test]
    fn wrong_lengths_and_bombs_are_refused_before_memory_is_taken() {
        let mut out = Vec::new();
        let refused = |payload: &[u8], record_bytes, raw_bytes, out: &mut Vec<u8>| {
            decompress(payload, record_bytes, raw_bytes, out).unwrap_err()
        };
        let length = PlanesError::Length { raw_bytes: 29, record_bytes: 28 };
        assert_eq!(refused(&[0; 10], 28, 29, &mut out), length);
        assert_eq!(refused(&[], 0, 0, &mut out), PlanesError::Length { raw_bytes: 0, record_bytes: 0 });
        let ratio = PlanesError::Ratio { payload_bytes: 10, raw_bytes: 1 << 31 };
        assert_eq!(refused(&[0; 10], 4, 1 << 31, &mut out), ratio);
        assert_eq!(out.capacity(), 0);
        let records = [7; 280];
        let mut block = Vec::new();
        compress(&records, 28, &mut PlaneScratch::new(280), &mut block);
        for raw_bytes in [252, 308] {
            assert_eq!(refused(&block, 28, raw_bytes, &mut out), PlanesError::Block { raw_bytes });
            assert!(out.is_empty());
        }
    }

    proptest::proptest! {
        #[test]
        fn records_come_back(
            record_bytes in proptest::sample::select(vec![1_usize, 4, 28]),
            count in 0_usize..700,
            seed: u32,
        ) {
            // Bytes that are half noise, half repeats.
            let noise = |at: usize| (at as u32 ^ seed).wrapping_mul(2_654_435_761) >> 24;
            let records: Vec<u8> =
                (0..count * record_bytes).map(|at| if at % 3 == 0 { noise(at) as u8 } else { at as u8 & 3 }).collect();
            let (mut block, mut back) = (Vec::new(), Vec::new());
            compress(&records, record_bytes, &mut PlaneScratch::new(0), &mut block);
            proptest::prop_assert!(block.len() <= compressed_bytes_max(records.len()));
            decompress(&block, record_bytes, records.len(), &mut back).unwrap();
            proptest::prop_assert_eq!(back, records);
        }

        #[test]
        fn random_bytes_never_panic(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100),
            raw_bytes in 0_usize..30_000,
        ) {
            let mut out = Vec::new();
            let _ = decompress(&bytes, 4, raw_bytes, &mut out);
            proptest::prop_assert!(out.capacity() <= 2 * 255 * bytes.len() || out.capacity() <= 2 * raw_bytes);
        }
    }
}
