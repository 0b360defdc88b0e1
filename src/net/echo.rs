//! What the WebSocket conformance test asks of a shard: every whole message sent back, and longer ones let in.
//!
//! Without the feature `echo` all of this is nothing; with it, nothing until [`begin`] is called in the process. The
//! echo goes the way of every private byte: parser, private queue, flush at a message boundary.

#[cfg(feature = "echo")]
pub use on::{answer, begin, raised};

#[cfg(feature = "echo")]
mod on {
    use std::sync::OnceLock;

    use crate::net::inbound::Said;
    use crate::wire::{push_ws_text, ws_header};

    static MESSAGE_BYTES_MAX: OnceLock<usize> = OnceLock::new();

    /// From now on every shard of this process echoes WebSocket messages of up to `message_bytes_max`. For the
    /// conformance test alone: it lifts the bounds on what a client can make us hold.
    pub fn begin(message_bytes_max: usize) {
        let _ = MESSAGE_BYTES_MAX.set(message_bytes_max);
    }

    /// `limit`, or the larger one of an echo.
    pub fn raised(limit: usize) -> usize {
        MESSAGE_BYTES_MAX.get().copied().unwrap_or(limit)
    }

    /// Queues a message to go back; false when this process does not echo.
    pub fn answer(said: Said<'_>, private: &mut Vec<u8>) -> bool {
        if MESSAGE_BYTES_MAX.get().is_none() {
            return false;
        }
        match said {
            Said::Text(text) => push_ws_text(text, private),
            Said::Binary(bytes) => {
                let (header, length) = ws_header(bytes.len());
                private.extend(header.iter().take(length));
                private.extend_from_slice(bytes);
            }
        }
        true
    }
}

/// The limit itself.
#[cfg(not(feature = "echo"))]
#[inline(always)]
pub const fn raised(limit: usize) -> usize {
    limit
}

/// Nothing is echoed.
#[cfg(not(feature = "echo"))]
#[inline(always)]
pub const fn answer(_said: super::inbound::Said<'_>, _private: &mut Vec<u8>) -> bool {
    false
}
