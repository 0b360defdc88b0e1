//! What crosses between the agents' door and `control`: lines one way, bytes the other.

use bytes::Bytes;

use crate::base::Handle;

/// mcp → control.
#[derive(Debug)]
pub enum McpEvent {
    /// A connection was accepted.
    Open {
        /// The door's name for it.
        conn: Handle,
        /// Only this engine's own user can have made it.
        own_user: bool,
    },
    /// Lines of a connection. The door reads on when they are answered with [`McpReply::taken`].
    Lines {
        /// Whose.
        conn: Handle,
        /// Each with a line end; an empty one stands for a line that was too long and was left out.
        lines: Bytes,
        /// The end of the stream is behind them.
        ended: bool,
    },
    /// It is gone.
    Closed {
        /// Which.
        conn: Handle,
    },
}

/// control → mcp.
#[derive(Debug)]
pub struct McpReply {
    /// To whom.
    pub conn: Handle,
    /// Whole lines; may be empty.
    pub bytes: Bytes,
    /// The lines of the last [`McpEvent::Lines`] are done with.
    pub taken: bool,
    /// Close it when the bytes are out.
    pub close: bool,
}
