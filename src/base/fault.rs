//! Named fault points, for tests that build with the feature `faults`. Without it every point is nothing.

/// Where a fault can be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A streaming connection acts on a message; panics when the message asks for it.
    ConnectionMessage,
    /// A snapshot is read; nothing comes of the one that is called so.
    SnapshotRead,
}

/// A message with this text panics at [`Point::ConnectionMessage`].
pub const PANIC_TEXT: &[u8] = br#"{"type":"fault","at":"connection.message"}"#;

/// A snapshot of this name takes longer than any call may at [`Point::SnapshotRead`].
pub const STALL_NAME: &[u8] = b"fault-stall";

/// Longer than any call may take.
#[cfg(feature = "faults")]
const STALL: std::time::Duration = std::time::Duration::from_secs(45);

/// Has the fault at `point` that `input` asks for.
#[cfg(feature = "faults")]
#[allow(clippy::panic, reason = "the panic is the feature")]
pub fn point(point: Point, input: &[u8]) {
    match point {
        Point::ConnectionMessage if input == PANIC_TEXT => panic!("a fault was asked for at {point:?}"),
        Point::SnapshotRead if input == STALL_NAME => std::thread::sleep(STALL),
        _ => {}
    }
}

/// Nothing.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn point(_point: Point, _input: &[u8]) {}
