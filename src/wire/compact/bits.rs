//! Bits, lowest first, and variable-length integers.

/// Longest unary part of a Rice code; as many ones say that 32 plain bits follow.
const QUOTIENT_MAX: u32 = 20;

/// Appends bits to bytes.
#[derive(Debug)]
pub(super) struct BitWriter<'out> {
    out: &'out mut Vec<u8>,
    held: u64,
    count: u32,
}

impl<'out> BitWriter<'out> {
    pub(super) fn new(out: &'out mut Vec<u8>) -> Self {
        Self { out, held: 0, count: 0 }
    }

    /// The low `width` bits of `value`, at most 32; the others must be 0.
    #[inline]
    pub(super) fn put(&mut self, value: u32, width: u32) {
        debug_assert!(width == 32 || value >> width == 0, "{value} has more than {width} bits");
        self.held |= u64::from(value) << self.count;
        self.count += width;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.held as u32).to_le_bytes());
            self.held >>= 32;
            self.count -= 32;
        }
    }

    /// `count` ones, at most 31, and a zero.
    #[inline]
    pub(super) fn put_unary(&mut self, count: u32) {
        self.put((1 << count) - 1, count + 1);
    }

    /// Quotient by `1 << log2` in ones and a zero, then `log2` bits of remainder.
    #[inline]
    pub(super) fn put_rice(&mut self, value: u32, log2: u32) {
        let quotient = value >> log2;
        if quotient < QUOTIENT_MAX {
            self.put_unary(quotient);
            self.put(value & ((1 << log2) - 1), log2);
        } else {
            self.put((1 << QUOTIENT_MAX) - 1, QUOTIENT_MAX);
            self.put(value, 32);
        }
    }

    /// Writes out the last bits, zeros above them.
    pub(super) fn end(mut self) {
        while self.count > 0 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.count = self.count.saturating_sub(8);
        }
    }
}

/// Takes bits from bytes; past their end everything is `None`.
#[derive(Debug)]
pub(super) struct BitReader<'bytes> {
    bytes: &'bytes [u8],
    held: u64,
    count: u32,
}

impl<'bytes> BitReader<'bytes> {
    pub(super) fn new(bytes: &'bytes [u8]) -> Self {
        Self { bytes, held: 0, count: 0 }
    }

    #[inline]
    fn fill(&mut self) {
        if let Some(word) = self.bytes.first_chunk() {
            let taken = (63 - self.count) / 8;
            self.held |= u64::from_le_bytes(*word) << self.count;
            self.count += 8 * taken;
            // Bits of the word above these are put there once more by the next one.
            self.held &= u64::MAX >> (64 - self.count);
            self.bytes = self.bytes.get(taken as usize..).unwrap_or_default();
            return;
        }
        while self.count <= 56
            && let Some((byte, rest)) = self.bytes.split_first()
        {
            self.held |= u64::from(*byte) << self.count;
            self.count += 8;
            self.bytes = rest;
        }
    }

    /// `width` bits, at most 32.
    #[inline]
    pub(super) fn take(&mut self, width: u32) -> Option<u32> {
        if self.count < width {
            self.fill();
        }
        self.count = self.count.checked_sub(width)?;
        let value = (self.held & ((1 << width) - 1)) as u32;
        self.held >>= width;
        Some(value)
    }

    /// How many ones before a zero, at most `most`; with `most` of them no zero follows.
    #[inline]
    pub(super) fn take_unary(&mut self, most: u32) -> Option<u32> {
        if self.count <= most {
            self.fill();
        }
        let ones = self.held.trailing_ones().min(most);
        self.take(if ones == most { ones } else { ones + 1 })?;
        Some(ones)
    }

    /// The inverse of [`BitWriter::put_rice`].
    #[inline]
    pub(super) fn take_rice(&mut self, log2: u32) -> Option<u32> {
        let quotient = self.take_unary(QUOTIENT_MAX)?;
        if quotient == QUOTIENT_MAX {
            return self.take(32);
        }
        let rest = self.take(log2)?;
        Some(quotient.checked_shl(log2)? | rest)
    }

    /// Whether nothing is left but the zeros of the last byte.
    pub(super) fn is_over(&self) -> bool {
        self.bytes.is_empty() && self.count < 8 && self.held == 0
    }
}

/// Zigzag: 0, -1, 1, -2 become 0, 1, 2, 3.
#[inline(always)]
pub(super) fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// The inverse of [`zigzag`].
#[inline(always)]
pub(super) fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

/// Appends seven bits a byte, low ones first, the eighth saying that more follow.
pub(super) fn put_varint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of [`put_varint`].
pub(super) fn varint_bytes(value: u32) -> usize {
    (u32::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Takes a varint from the front of `bytes`; `None` when it is cut short or longer than 32 bits.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    for place in 0..5 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << (7 * place);
        if *byte < 0x80 {
            return u32::try_from(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_put_is_taken(values in proptest::collection::vec((proptest::num::u32::ANY, 0_u32..20), 0..200)) {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            for (value, log2) in &values {
                writer.put_rice(*value >> log2, *log2);
                writer.put(*value & ((1 << log2) - 1), *log2);
                writer.put_unary(*log2);
            }
            writer.end();
            let mut reader = BitReader::new(&bytes);
            for (value, log2) in values {
                assert_eq!(reader.take_rice(log2), Some(value >> log2));
                assert_eq!(reader.take(log2), Some(value & ((1 << log2) - 1)));
                assert_eq!(reader.take_unary(31), Some(log2));
            }
            assert!(reader.is_over());
        }

        #[test]
        fn varints_and_zigzag_lead_back(value in proptest::num::u32::ANY) {
            let mut bytes = Vec::new();
            put_varint(value, &mut bytes);
            assert_eq!(bytes.len(), varint_bytes(value));
            let mut rest = bytes.as_slice();
            assert_eq!(take_varint(&mut rest), Some(value));
            assert!(rest.is_empty());
            assert_eq!(zigzag(unzigzag(value)), value);
        }
    }

    #[test]
    fn a_varint_that_never_ends_is_refused() {
        assert_eq!(take_varint(&mut &[0x80; 9][..]), None);
        assert_eq!(take_varint(&mut &[0xFF, 0xFF, 0xFF, 0xFF, 0x7F][..]), None);
        assert_eq!(take_varint(&mut &[0x80][..]), None);
    }
}
