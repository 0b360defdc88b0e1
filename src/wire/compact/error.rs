//! Why a frame was not encoded, and why bytes were not taken.

/// Why positions were not encoded. The encoder is as it was before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// As many positions as nodes are expected.
    #[error("{found} positions for {expected} nodes")]
    Count {
        /// Positions given.
        found: usize,
        /// Nodes of this encoder.
        expected: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("node {node} has a position that is not finite")]
    NotFinite {
        /// First such node.
        node: usize,
    },
    /// A snapshot is of a state that only a normalising tick leaves.
    #[error("the last tick was not a normalising one")]
    NotNormalised,
    /// The frame was made for fewer nodes.
    #[error("the frame has room for {room} blocks, {blocks} are needed")]
    FrameTooSmall {
        /// Blocks of the encoder.
        blocks: usize,
        /// Blocks of the frame.
        room: usize,
    },
}

/// Why bytes are not a message of this profile, or not the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// An info message has exactly `INFO_BYTES`.
    #[error("an info message of {found} bytes")]
    InfoLength {
        /// Bytes found.
        found: usize,
    },
    /// A value of the info message that this code cannot follow.
    #[error("{field} of the info message is {found}")]
    Info {
        /// Its name in [`super::Info`].
        field: &'static str,
        /// What it says; the bits of a float.
        found: u64,
    },
    /// More nodes than the caller allows.
    #[error("{nodes} nodes are announced, at most {limit} are taken")]
    TooManyNodes {
        /// Announced.
        nodes: u32,
        /// Allowed.
        limit: u32,
    },
    /// A frame builds on another one than the last. A snapshot heals it.
    #[error("a frame builds on sequence {base}, this is at {at}")]
    Gap {
        /// What the frame builds on.
        base: u64,
        /// Where the decoder is.
        at: u64,
    },
    /// The bytes end inside a block.
    #[error("block {block} is cut short")]
    Short {
        /// Its index, or the one expected.
        block: u32,
    },
    /// Indices must ascend and be below the count of blocks.
    #[error("block index {found} after {after:?}, of {blocks}")]
    BlockIndex {
        /// Found.
        found: u32,
        /// The one before.
        after: Option<u32>,
        /// Blocks there are.
        blocks: u32,
    },
    /// A mode that this version does not know.
    #[error("block {block} has mode {mode:#04x}")]
    Mode {
        /// Its index.
        block: u32,
        /// The byte.
        mode: u8,
    },
    /// The bytes of a block do not decode to exactly its nodes.
    #[error("block {block} does not decode")]
    Corrupt {
        /// Its index.
        block: u32,
    },
    /// The state of a followed block is not the server's. A snapshot heals it.
    #[error("block {block} has drifted")]
    Drifted {
        /// Its index.
        block: u32,
    },
}
