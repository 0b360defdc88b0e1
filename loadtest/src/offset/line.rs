//! A small connection for `ping` and `pong`, blocking, with timeouts everywhere.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::Deserialize;
use swarmcast::wire::{TCP_PREFIX_BYTES, TCP_TEXT_BIT};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::estimate::Sample;
use crate::clock::monotonic_ns;
use crate::plan::{Target, Transport};

/// For an answer; a longer round trip would be of no use.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Messages that are read past while an answer is awaited: at a rate of 1 a few frames at most.
const PASSED_MAX: usize = 64;

/// Bytes of one message that is read past.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// What a connection for pings asks for: one frame a second is the least there is.
const QUERY: &str = "profile=swarmcast.v1&rate=1";

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// Of the socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Of the WebSocket.
    #[error("{0}")]
    WebSocket(#[from] Box<tungstenite::Error>),
    /// A name or value of a header that HTTP does not have.
    #[error("header {0} cannot be sent")]
    Header(String),
    /// Frames, other texts, but no `pong`.
    #[error("{PASSED_MAX} messages came and no pong was among them")]
    NoPong,
    /// A record longer than any frame.
    #[error("a record of {bytes} bytes, over {MESSAGE_BYTES_MAX}")]
    TooLong {
        /// As its prefix says.
        bytes: usize,
    },
}

impl From<tungstenite::Error> for PingError {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Io(error) => Self::Io(error),
            other => Self::WebSocket(Box::new(other)),
        }
    }
}

/// The part of a text that is of use here.
#[derive(Deserialize)]
struct Pong {
    #[serde(rename = "type")]
    kind: String,
    timestamp: Option<u64>,
    server_ns: Option<u64>,
}

/// How it speaks.
enum Way {
    WebSocket(Box<WebSocket<TcpStream>>),
    Tcp { stream: TcpStream, body: Vec<u8> },
}

/// A connection for pings.
pub(super) struct Line {
    way: Way,
    /// Of the last ping; tells a late answer from the right one.
    number: u64,
}

impl Line {
    /// Connects, within `within`.
    pub(super) fn open(target: &Target, within: Duration) -> Result<Self, PingError> {
        let mut stream = TcpStream::connect_timeout(&target.address, within)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(within))?;
        stream.set_write_timeout(Some(within))?;
        let way = match target.transport {
            Transport::Tcp => {
                stream.write_all(b"{\"profile\":\"swarmcast.v1\",\"rate\":1}\n")?;
                Way::Tcp { stream, body: Vec::new() }
            }
            Transport::WebSocket => Way::WebSocket(Box::new(shake_hands(target, stream)?)),
        };
        let line = Self { way, number: 0 };
        line.socket().set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(line)
    }

    /// The socket again, to shut it down from another thread.
    pub(super) fn stream(&self) -> io::Result<TcpStream> {
        self.socket().try_clone()
    }

    /// One round trip.
    pub(super) fn ping(&mut self) -> Result<Sample, PingError> {
        self.number += 1;
        let text = format!("{{\"type\":\"ping\",\"timestamp\":{}}}", self.number);
        let asked_ns = monotonic_ns();
        match &mut self.way {
            Way::WebSocket(socket) => socket.send(Message::text(text))?,
            Way::Tcp { stream, .. } => stream.write_all(format!("{text}\n").as_bytes())?,
        }
        for _ in 0..PASSED_MAX {
            let pong = self.way.next_pong()?;
            let heard_ns = monotonic_ns();
            if let Some(Pong { server_ns: Some(server_ns), timestamp, .. }) = pong
                && timestamp == Some(self.number)
            {
                return Ok(Sample { asked_ns, server_ns, heard_ns });
            }
        }
        Err(PingError::NoPong)
    }

    fn socket(&self) -> &TcpStream {
        match &self.way {
            Way::WebSocket(socket) => socket.get_ref(),
            Way::Tcp { stream, .. } => stream,
        }
    }
}

impl Way {
    /// The next message if it is a `pong`; anything else is read past.
    fn next_pong(&mut self) -> Result<Option<Pong>, PingError> {
        match self {
            Self::WebSocket(socket) => match socket.read()? {
                Message::Text(text) => Ok(pong(text.as_bytes())),
                _ => Ok(None),
            },
            Self::Tcp { stream, body } => {
                let mut prefix = [0; TCP_PREFIX_BYTES];
                stream.read_exact(&mut prefix)?;
                let word = u32::from_le_bytes(prefix);
                let bytes = (word & !TCP_TEXT_BIT) as usize;
                if bytes > MESSAGE_BYTES_MAX {
                    return Err(PingError::TooLong { bytes });
                }
                body.resize(bytes, 0);
                stream.read_exact(body)?;
                Ok(if word & TCP_TEXT_BIT == 0 { None } else { pong(body) })
            }
        }
    }
}

fn pong(text: &[u8]) -> Option<Pong> {
    serde_json::from_slice::<Pong>(text).ok().filter(|pong| pong.kind == "pong")
}

fn shake_hands(target: &Target, stream: TcpStream) -> Result<WebSocket<TcpStream>, PingError> {
    let uri = format!("ws://{}{}", target.authority, ping_path(&target.path));
    let mut request = uri.into_client_request()?;
    for (name, value) in &target.headers {
        let wrong = || PingError::Header(name.clone());
        let key = http::HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        request.headers_mut().append(key, http::HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    match tungstenite::client::client_with_config(request, stream, Some(config)) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(error)) => Err(error.into()),
        // The socket blocks, so this is its timeout.
        Err(HandshakeError::Interrupted(_)) => Err(io::Error::from(ErrorKind::TimedOut).into()),
    }
}

/// The path of the group, asking for few frames in our own format instead of what the group wants.
fn ping_path(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let ours = |part: &&str| !part.starts_with("profile=") && !part.starts_with("rate=");
    let kept = query.split('&').filter(|part| !part.is_empty()).filter(ours);
    let query: Vec<&str> = kept.chain([QUERY]).collect();
    format!("{path}?{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_keeps_what_is_not_about_frames() {
        assert_eq!(ping_path("/stream"), format!("/stream?{QUERY}"));
        assert_eq!(ping_path("/ws?profile=v1&token=abc&rate=60"), format!("/ws?token=abc&{QUERY}"));
    }

    #[test]
    fn only_a_pong_is_one() {
        assert!(pong(br#"{"type":"pong","timestamp":3,"server_ns":9}"#).is_some());
        assert!(pong(br#"{"type":"error","code":"x"}"#).is_none());
        assert!(pong(b"nonsense").is_none());
    }
}
