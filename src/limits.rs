//! Every bound of the engine that is not a setting, and the const asserts that tie them to each other.

/// Bits of a node id on every wire format: bits 26 to 31 of the word carry the node's class.
pub const NODE_ID_BITS: u32 = 26;

/// Largest node id. An id above it is refused with an error, never truncated.
pub const NODE_ID_MAX: u32 = (1 << NODE_ID_BITS) - 1;

/// Largest node id that the 34-byte profile `v1` can carry: 14 bits beside its two flags.
pub const NODE_ID_V1_MAX: u32 = 0x3FFF;

/// Bytes of a node's key or label; a longer one is refused by the importers.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// Attributes one node or edge may carry.
pub const ATTRIBUTES_MAX: usize = 256;

const _: () = {
    assert!(NODE_ID_V1_MAX <= NODE_ID_MAX, "a v1 id is a node id");
};
