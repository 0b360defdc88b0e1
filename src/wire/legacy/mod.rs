//! The legacy record profiles, from our own node records and back to theirs. `PROTOCOL.md` section 3 has the bytes.

mod decode;
mod encode;
mod records;
#[cfg(test)]
mod tests;

pub use decode::{
    BodyError, decode_26, decode_28, decode_v1, decode_v1_lead, decode_v2, decode_v3, decode_v5, decode_v42, decode_vf0,
};
pub use encode::{encode_frame, encode_records, encode_side_values, legacy_head};
pub use records::{Record26, Record28, RecordTail, RecordV1, RecordV2, RecordV3};

/// Version byte in front of `v1-lead` records.
const VERSION_V1: u8 = 1;
/// Version byte in front of `v2` records.
const VERSION_V2: u8 = 2;
/// Version byte in front of `v3` records.
const VERSION_V3: u8 = 3;
/// Version byte in front of a sequence and `v5` records.
const VERSION_V5: u8 = 5;
/// First byte of a `v42` frame.
const VERSION_V42: u8 = 0x42;
/// First word of a `vf0` frame.
const MAGIC_VF0: u32 = 0x5633_4630;
