//! What one connection sends us: WebSocket messages, or lines.
//!
//! Nothing here touches the socket. Automatic replies (pong, close) land in the connection's private bytes and
//! leave at a message boundary: written straight to the socket they would cut a half-sent frame open.

use super::ws_in::WsIn;
use crate::handoff::Transport;
use crate::limits::{CLIENT_TEXT_BYTES_MAX, WS_MESSAGE_BYTES_MAX};
use crate::wire::CloseCode;

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer said goodbye; the reply is among the private bytes.
    Peer,
    /// We say goodbye, because of what the peer sent.
    Close(CloseCode, &'static str),
}

/// A whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'bytes> {
    /// UTF-8, checked.
    Text(&'bytes [u8]),
    /// Anything.
    Binary(&'bytes [u8]),
}

/// The inbound half of a connection.
pub enum Inbound {
    /// RFC 6455 frames, masked.
    WebSocket(WsIn),
    /// Lines of JSON.
    Tcp(Lines),
}

impl Inbound {
    /// For a connection whose handshake is done.
    pub fn new(transport: Transport) -> Self {
        match transport {
            Transport::WebSocket => Self::WebSocket(WsIn::default()),
            Transport::Tcp => Self::Tcp(Lines::default()),
        }
    }

    /// Feeds received bytes; calls `each` with every whole message. Replies of the parser are appended to `private`.
    ///
    /// # Errors
    /// [`Ending`], after which nothing more is to be fed.
    pub fn feed(
        &mut self,
        received: &[u8],
        private: &mut Vec<u8>,
        mut each: impl FnMut(Said<'_>, &mut Vec<u8>),
    ) -> Result<(), Ending> {
        match self {
            Self::WebSocket(ws) => ws.feed(received, private, &mut each),
            Self::Tcp(lines) => lines.feed(received, &mut |line| each(Said::Text(line), private)),
        }
    }
}

/// Splits a TCP stream into lines, holding back an unfinished one. The bounds are those of a WebSocket's texts.
#[derive(Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, mut received: &[u8], each: &mut impl FnMut(&[u8])) -> Result<(), Ending> {
        const TOO_LONG: Ending = Ending::Close(CloseCode::TooLong, "a line is longer than 65536 bytes");
        while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = received.split_at(end);
            if self.partial.len() + line.len() > WS_MESSAGE_BYTES_MAX {
                return Err(TOO_LONG);
            }
            if self.partial.is_empty() {
                whole(line, each)?;
            } else {
                self.partial.extend_from_slice(line);
                whole(&self.partial, each)?;
                self.forget();
            }
            received = rest.get(1..).unwrap_or(&[]);
        }
        if self.partial.len() + received.len() > WS_MESSAGE_BYTES_MAX {
            return Err(TOO_LONG);
        }
        self.partial.extend_from_slice(received);
        Ok(())
    }

    /// Empties what was held back. Its memory stays, unless the line was longer than any text may be.
    fn forget(&mut self) {
        if self.partial.len() > CLIENT_TEXT_BYTES_MAX {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
        }
    }
}

fn whole(line: &[u8], each: &mut impl FnMut(&[u8])) -> Result<(), Ending> {
    if std::str::from_utf8(line).is_err() {
        return Err(Ending::Close(CloseCode::NotUtf8, "a line is not UTF-8"));
    }
    each(line.trim_ascii());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(inbound: &mut Inbound, bytes: &[u8]) -> (Vec<String>, Vec<u8>, Result<(), Ending>) {
        let (mut texts, mut private) = (Vec::new(), Vec::new());
        let ended = inbound.feed(bytes, &mut private, |said, _| match said {
            Said::Text(text) => texts.push(String::from_utf8(text.to_vec()).unwrap()),
            Said::Binary(bytes) => texts.push(format!("{} bytes", bytes.len())),
        });
        (texts, private, ended)
    }

    /// A masked client frame with the all-zero mask.
    fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn messages_come_out_however_the_bytes_are_cut() {
        let mut stream = client_frame(0x81, b"one");
        stream.extend(client_frame(0x89, b"p!"));
        stream.extend(client_frame(0x81, b"two"));
        for cut in 0..stream.len() {
            let mut inbound = Inbound::new(Transport::WebSocket);
            let (mut texts, mut private, ended) = fed(&mut inbound, &stream[..cut]);
            assert_eq!(ended, Ok(()));
            let (more, pong, ended) = fed(&mut inbound, &stream[cut..]);
            assert_eq!(ended, Ok(()));
            texts.extend(more);
            private.extend(pong);
            assert_eq!(texts, ["one", "two"], "cut at {cut}");
            assert_eq!(private, [0x8A, 2, b'p', b'!'], "cut at {cut}");
        }
    }

    #[test]
    fn a_close_is_answered_and_ends_the_connection() {
        let mut inbound = Inbound::new(Transport::WebSocket);
        let (_, private, ended) = fed(&mut inbound, &client_frame(0x88, &[3, 0xE8]));
        assert_eq!((private, ended), (vec![0x88, 2, 3, 0xE8], Err(Ending::Peer)));
    }

    #[test]
    fn broken_frames_name_their_close_code() {
        let code = |bytes: &[u8]| match fed(&mut Inbound::new(Transport::WebSocket), bytes).2 {
            Err(Ending::Close(code, _)) => code.number(),
            other => panic!("{other:?}"),
        };
        assert_eq!(fed(&mut Inbound::new(Transport::WebSocket), &client_frame(0x82, b"bin")).0, ["3 bytes"]);
        assert_eq!(code(&[0x81, 1, b'x']), 1002, "a client frame must be masked");
        assert_eq!(code(&client_frame(0x83, b"")), 1002, "an unknown opcode");
        assert_eq!(code(&client_frame(0x81, &[0xC3, 0x28])), 1007);
        assert_eq!(code(&[0x81, 0xFF, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), 1009, "16 MiB announced");
    }

    #[test]
    fn lines_are_joined_and_bounded() {
        let mut inbound = Inbound::new(Transport::Tcp);
        assert_eq!(fed(&mut inbound, b"{\"a\"").0, [""; 0]);
        assert_eq!(fed(&mut inbound, b":1}\r\nping\n{").0, ["{\"a\":1}", "ping"]);
        let (texts, _, ended) = fed(&mut inbound, &[[b'x'; 5_000].as_slice(), b"\n"].concat());
        assert_eq!((texts.len(), ended), (1, Ok(())), "over 4096 bytes is the parser's to refuse");
        let (_, _, ended) = fed(&mut inbound, &[b'x'; WS_MESSAGE_BYTES_MAX + 1]);
        assert!(matches!(ended, Err(Ending::Close(CloseCode::TooLong, _))));
        let (_, _, ended) = fed(&mut Inbound::new(Transport::Tcp), b"{\"type\":\"\xFF\"}\n");
        assert!(matches!(ended, Err(Ending::Close(CloseCode::NotUtf8, _))));
    }

    #[test]
    fn a_long_line_keeps_no_memory() {
        let mut lines = Lines::default();
        let mut fed = |bytes: &[u8]| {
            lines.feed(bytes, &mut |_| {}).unwrap();
            lines.partial.capacity()
        };
        assert!(fed(&[b' '; 60_000]) >= 60_000);
        assert_eq!(fed(b"\n"), 0);
        let ordinary = fed(&[b'x'; 3_000]);
        assert!(ordinary >= 3_000);
        assert_eq!(fed(b"\n"), ordinary, "ordinary memory stays");
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = fed(&mut Inbound::new(Transport::WebSocket), &bytes);
        }
    }
}
