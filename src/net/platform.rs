//! What a shard stands on: a clock, and sockets that say when they are ready.

use std::io::{Read, Result, Write};

/// The clock and the sockets of a shard.
pub trait Platform {
    /// A connection as the door hands it over.
    type Handed;
    /// Its socket. It never blocks: what cannot be done now is `WouldBlock`, and readiness is told once it can.
    type Stream: Read + Write;

    /// Monotonic ns.
    fn now_ns(&self) -> u64;

    /// Makes the socket of a connection.
    fn take(&mut self, handed: Self::Handed) -> Self::Stream;

    /// From now on its readiness is told, edge by edge, under the name of `slot`.
    ///
    /// # Errors
    /// When it cannot be watched.
    fn watch(&mut self, stream: &mut Self::Stream, slot: u32) -> Result<()>;

    /// Its readiness is told no more.
    fn forget(&mut self, stream: &mut Self::Stream);

    /// Nothing more will be written; the peer sees the end behind what was.
    fn end_writing(&mut self, stream: &mut Self::Stream);
}

/// A connection that has become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The name it is watched under.
    pub slot: u32,
    /// There is something to read: bytes, the end, or an error.
    pub readable: bool,
    /// It takes bytes again.
    pub writable: bool,
}
