//! What crosses between the door of MCP and `control`.

use bytes::Bytes;

use crate::base::Handle;

/// Which of its listeners a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McpListener {
    /// TCP: whoever reaches the port. It has to say who it is.
    Tcp,
    /// A Unix socket that only this user can open.
    Unix,
}

/// door of MCP → control. Of one connection in the order of its bytes; [`Self::Closed`] is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpInput {
    /// A connection was accepted.
    Opened {
        /// Its place.
        connection: Handle,
        /// Where.
        listener: McpListener,
    },
    /// One line, without its end. Answered with a [`McpOutput`] of one `done`, now or later.
    Line {
        /// Whose.
        connection: Handle,
        /// At most [`crate::limits::MCP_LINE_BYTES_MAX`] bytes.
        line: Bytes,
    },
    /// A line was longer than that. Answered like a line.
    TooLong {
        /// Whose.
        connection: Handle,
    },
    /// The connection is gone: nobody waits for its calls.
    Closed {
        /// Which.
        connection: Handle,
    },
}

/// control → door of MCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpOutput {
    /// To whom.
    pub connection: Handle,
    /// Whole lines, or nothing.
    pub bytes: Bytes,
    /// Lines of its that are done with by this: so many more are read. Notices of progress and of changes have none.
    pub done: u32,
    /// Close it when these bytes are out.
    pub close: bool,
}
