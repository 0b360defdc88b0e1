//! What crosses between the doors and `control` about agents: lines or HTTP requests one way, lines or parts of answers the other; and
//! the sockets of HTTP that the door and the agents' door pass to each other.

use std::net::{SocketAddr, TcpStream};

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
    /// Lines of a connection. The door reads on when it is told that they were taken.
    Lines {
        /// Whose.
        conn: Handle,
        /// Each with a line end; an empty one stands for a line that was too long and was left out.
        lines: Bytes,
        /// The end of the stream is behind them.
        ended: bool,
    },
    /// A request to `/mcp`. The door reads on when it is answered to its end.
    Http {
        /// Whose. There was no [`McpEvent::Open`] for it.
        conn: Handle,
        /// What is asked.
        request: Box<McpRequest>,
    },
    /// Its client does not read as fast as it is told things, or does again.
    Stuck {
        /// Which.
        conn: Handle,
        /// What was sent waits for it.
        stuck: bool,
    },
    /// Most of what a [`McpReply::Lines`] asked about is out.
    Drained {
        /// Which.
        conn: Handle,
        /// Bytes that are not.
        left: usize,
    },
    /// It is gone.
    Closed {
        /// Which.
        conn: Handle,
    },
}

/// An HTTP request to `/mcp` that came whole. Host and origin are right already.
#[derive(Debug, Default)]
pub struct McpRequest {
    /// As sent.
    pub method: String,
    /// Lower-case names, in order.
    pub headers: Vec<(String, String)>,
    /// At most [`crate::limits::MCP_LINE_BYTES_MAX`] bytes.
    pub body: Bytes,
}

impl McpRequest {
    /// The value of the first header called `name` (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// The agents' part of a turn of `control`, which the thread that brings what agents say may take itself: then nobody has to be woken
/// for a call, and nobody for its answer.
pub trait AgentsTurn: Send + Sync {
    /// Takes it, and says whether lines are left for another one; `None` when somebody else is at a turn, and `control` is to be woken. It
    /// never waits.
    fn try_take(&self) -> Option<bool>;
}

/// control → mcp.
#[derive(Debug)]
pub enum McpReply {
    /// To a connection of lines.
    Lines {
        /// To whom.
        conn: Handle,
        /// Whole lines; may be empty.
        bytes: Bytes,
        /// The lines of the last [`McpEvent::Lines`] are done with.
        taken: bool,
        /// Close it when the bytes are out.
        close: bool,
        /// It is known whose connection it is.
        known: bool,
        /// To be followed by a [`McpEvent::Drained`] when less than [`crate::limits::MCP_OUTPUT_BYTES_RESUME`] is not out.
        drain: bool,
    },
    /// The whole answer to a request of HTTP.
    Http {
        /// To whom.
        conn: Handle,
        /// HTTP status.
        status: u16,
        /// Headers beside those of every answer, each with its line end.
        extra: String,
        /// JSON, or nothing.
        body: Bytes,
    },
    /// Messages of an answer that is a stream of events. The first one begins it.
    Events {
        /// To whom.
        conn: Handle,
        /// Lines, each a message; may be empty.
        lines: Bytes,
        /// Nothing follows: the door may read the next request.
        end: bool,
    },
}

/// A connection that the other of the two doors is to go on with: to the agents' door when it asks for `/mcp`, back when it asks for
/// anything else.
#[derive(Debug)]
pub struct McpSocket {
    /// Non-blocking.
    pub stream: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// What was read of it and not acted on: it begins with a whole request head.
    pub received: Vec<u8>,
}
