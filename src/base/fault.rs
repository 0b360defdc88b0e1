//! Named fault points, for tests that build with the feature `faults`. Without it every point is nothing.

/// Where a fault can be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A streaming connection acts on a message; panics when the message asks for it.
    ConnectionMessage,
}

/// A message with this text panics at [`Point::ConnectionMessage`].
pub const PANIC_TEXT: &[u8] = br#"{"type":"fault","at":"connection.message"}"#;

/// Panics when `input` asks for a fault at `point`.
#[cfg(feature = "faults")]
#[allow(clippy::panic, reason = "the panic is the feature")]
pub fn point(point: Point, input: &[u8]) {
    assert!(point == Point::ConnectionMessage, "the only point there is");
    if input == PANIC_TEXT {
        panic!("a fault was asked for at {point:?}");
    }
}

/// Nothing.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn point(_point: Point, _input: &[u8]) {}
