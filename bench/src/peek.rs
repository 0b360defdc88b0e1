//! One blocking WebSocket client, for what a bench must know before it measures.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use swarmcast::wire::{FrameHeader, NodeRecord};
use tungstenite::{Message, WebSocket, client};

/// Longest wait for a message: a heartbeat comes every five seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that reads messages one by one.
#[derive(Debug)]
pub struct Peek {
    socket: WebSocket<TcpStream>,
}

impl Peek {
    /// Subscribes with a query such as `profile=v1&rate=60`.
    ///
    /// # Errors
    /// When it cannot connect, or is refused.
    pub fn connect(address: SocketAddr, query: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (socket, _) = client(format!("ws://{address}/stream?{query}"), stream).context("the handshake")?;
        Ok(Self { socket })
    }

    /// The next binary message.
    ///
    /// # Errors
    /// When none comes in time, or the server says that something is wrong.
    pub fn frame(&mut self) -> Result<bytes::Bytes> {
        loop {
            match self.socket.read()? {
                Message::Binary(bytes) => return Ok(bytes),
                Message::Text(text) => ensure!(!text.contains(r#""type":"error""#), "the server says: {text}"),
                Message::Close(_) => bail!("the server closed the stream"),
                _ => {}
            }
        }
    }
}

/// Where every node is now.
///
/// # Errors
/// When no full frame comes.
pub fn positions(address: SocketAddr) -> Result<Vec<[f32; 3]>> {
    let frame = Peek::connect(address, "profile=swarmcast.v1&rate=5")?.frame()?;
    let (_, records) = FrameHeader::parse(&frame)?;
    Ok(records.iter().map(NodeRecord::position).collect())
}
