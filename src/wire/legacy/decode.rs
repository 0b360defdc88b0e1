//! Whole legacy frames taken apart: what they count, and their records without copying.
//!
//! Which of these a frame is, its bytes do not say: whoever subscribed knows.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::{
    MAGIC_VF0, Record26, Record28, RecordV1, RecordV2, RecordV3, VERSION_V1, VERSION_V2, VERSION_V3, VERSION_V5,
    VERSION_V42,
};

/// Why bytes are not a frame of a legacy profile.
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
    /// The frame ends before its records begin.
    #[error("{bytes} bytes are fewer than the {needed} around the records")]
    Short {
        /// Bytes that are there.
        bytes: usize,
        /// Bytes without any record.
        needed: usize,
    },
    /// The first word is another one.
    #[error("first word {found:#010x} is not {MAGIC_VF0:#010x}")]
    Magic {
        /// What it is.
        found: u32,
    },
    /// The count at the end is not that of the records.
    #[error("{said} records are announced, {found} are there")]
    Count {
        /// The count.
        said: u32,
        /// The records.
        found: usize,
    },
}

/// The records of a `legacy-26` frame.
///
/// # Errors
/// [`BodyError::Length`].
pub fn decode_26(frame: &[u8]) -> Result<&[Record26], BodyError> {
    records(frame)
}

/// The records of a `legacy-28` frame.
///
/// # Errors
/// [`BodyError::Length`].
pub fn decode_28(frame: &[u8]) -> Result<&[Record28], BodyError> {
    records(frame)
}

/// The records of a `v1` frame.
///
/// # Errors
/// [`BodyError::Length`].
pub fn decode_v1(frame: &[u8]) -> Result<&[RecordV1], BodyError> {
    records(frame)
}

/// The records of a `v1-lead` frame.
///
/// # Errors
/// [`BodyError`].
pub fn decode_v1_lead(frame: &[u8]) -> Result<&[RecordV1], BodyError> {
    records(versioned(VERSION_V1, frame)?)
}

/// The records of a `v2` frame.
///
/// # Errors
/// [`BodyError`].
pub fn decode_v2(frame: &[u8]) -> Result<&[RecordV2], BodyError> {
    records(versioned(VERSION_V2, frame)?)
}

/// The records of a `v3` frame.
///
/// # Errors
/// [`BodyError`].
pub fn decode_v3(frame: &[u8]) -> Result<&[RecordV3], BodyError> {
    records(versioned(VERSION_V3, frame)?)
}

/// The sequence and the records of a `v5` frame.
///
/// # Errors
/// [`BodyError`].
pub fn decode_v5(frame: &[u8]) -> Result<(u64, &[RecordV3]), BodyError> {
    let (sequence, body) = counted(VERSION_V5, frame)?;
    Ok((sequence, records(body)?))
}

/// The sequence and the records of a `v42` frame.
///
/// # Errors
/// [`BodyError`].
pub fn decode_v42(frame: &[u8]) -> Result<(u64, &[Record28]), BodyError> {
    let (sequence, body) = counted(VERSION_V42, frame)?;
    Ok((sequence, records(body)?))
}

/// The frame id and the records of a `vf0` frame.
///
/// # Errors
/// [`BodyError`].
pub fn decode_vf0(frame: &[u8]) -> Result<(u32, &[Record28]), BodyError> {
    let short = BodyError::Short { bytes: frame.len(), needed: 12 };
    let (magic, rest) = U32::ref_from_prefix(frame).map_err(|_| short)?;
    if magic.get() != MAGIC_VF0 {
        return Err(BodyError::Magic { found: magic.get() });
    }
    let (id, rest) = U32::ref_from_prefix(rest).map_err(|_| short)?;
    let (body, said) = U32::ref_from_suffix(rest).map_err(|_| short)?;
    let records: &[Record28] = records(body)?;
    if said.get() as usize != records.len() {
        return Err(BodyError::Count { said: said.get(), found: records.len() });
    }
    Ok((id.get(), records))
}

fn versioned(expected: u8, frame: &[u8]) -> Result<&[u8], BodyError> {
    match frame.split_first() {
        Some((found, rest)) if *found == expected => Ok(rest),
        other => Err(BodyError::Version { found: other.map(|(found, _)| *found), expected }),
    }
}

/// A version byte, then a sequence.
fn counted(expected: u8, frame: &[u8]) -> Result<(u64, &[u8]), BodyError> {
    let rest = versioned(expected, frame)?;
    let short = BodyError::Short { bytes: frame.len(), needed: 9 };
    let (sequence, body) = U64::ref_from_prefix(rest).map_err(|_| short)?;
    Ok((sequence.get(), body))
}

fn records<R: FromBytes + Immutable + KnownLayout + Unaligned>(bytes: &[u8]) -> Result<&[R], BodyError> {
    let length = BodyError::Length { bytes: bytes.len(), record_bytes: size_of::<R>() };
    <[R]>::ref_from_bytes(bytes).map_err(|_| length)
}
