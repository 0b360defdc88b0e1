//! The compact profile: quantised positions as entropy-coded corrections to an integer predictor that both sides run.
//!
//! Bytes in, types out: no sockets, clocks, threads or randomness; nothing allocates after construction. The layouts and
//! the arithmetic are those of `PROTOCOL.md` section 6, and the same in every language. Everything that both sides must
//! agree on is integer; floats appear only where positions enter the encoder and leave the decoder.

mod bits;
mod decode;
mod encode;
mod error;
mod follow;
mod frame;
mod gaps;
mod info;
mod lanes;
mod model;
mod nodes;
mod rans;
mod snapshot;
mod tables;
mod tokens;

pub use decode::Decoder;
pub use encode::{Coding, Encoder, Point};
pub use error::{CompactError, EncodeError};
pub use follow::{FollowError, Follower};
pub use frame::CompactFrame;
pub use info::{INFO_BYTES, Info};
pub use model::{BLOCK_NODES, BOX_QUANTA, UNITS};
pub use tables::{
    FLAG_CONTEXTS, FLAG_FREQUENCY_MIN, FREQUENCY_STEP, HOT_CONTEXTS, QUIET_CONTEXTS, SYMBOLS_HOT, SYMBOLS_QUIET,
    table_hash,
};
pub use tokens::Token;
