//! What comes in over a WebSocket. Clients say nearly everything in small messages of one masked frame each: those are
//! taken apart here, and nothing is allocated for them. All else (fragments, long messages, closes, and what breaks the
//! rules) is tungstenite's, whose parser is there only while it has something to do.

use std::io::{self, ErrorKind, Read, Write};

use tungstenite::error::CapacityError;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::echo;
use super::inbound::{Ending, Said};
use crate::limits::{CLIENT_TEXT_BYTES_MAX, WS_MESSAGE_BYTES_MAX};
use crate::wire::CloseCode;

/// Buffer of the parser. The default of 128 KiB is allocated at once and zeroed again at every read.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// Payload of a frame that is small. A longer text is refused anyway.
const SMALL_BYTES_MAX: usize = CLIENT_TEXT_BYTES_MAX;

/// Payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;

const MASK_BYTES: usize = 4;

const FIN: u8 = 0x80;
const BINARY: u8 = 2;
const TEXT_WHOLE: u8 = FIN | 1;
const BINARY_WHOLE: u8 = FIN | BINARY;
const PING_WHOLE: u8 = FIN | 9;
const PONG_WHOLE: u8 = FIN | 10;

const NOT_UTF8: Ending = Ending::Close(CloseCode::NotUtf8, "a text is not UTF-8");

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
struct Head {
    first: u8,
    /// Its own bytes, mask included.
    bytes: usize,
    payload_bytes: u64,
    mask: Option<[u8; MASK_BYTES]>,
}

impl Head {
    /// The head that `bytes` begin with; `None` when there is not all of it.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let width = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let length = bytes.get(2..2 + width)?;
        let payload_bytes = match width {
            0 => u64::from(second & 0x7F),
            _ => length.iter().fold(0, |length, byte| (length << 8) | u64::from(*byte)),
        };
        let (mut end, mut mask) = (2 + width, None);
        if second & 0x80 != 0 {
            mask = Some(bytes.get(end..end + MASK_BYTES)?.try_into().ok()?);
            end += MASK_BYTES;
        }
        Some(Self { first, bytes: end, payload_bytes, mask })
    }

    /// Its mask, when this is a whole small message or a sign of life. `fragmented` says that a message is under way, whose
    /// end must come before another message.
    fn small(&self, fragmented: bool) -> Option<[u8; MASK_BYTES]> {
        // Lengths are to be written as short as they can be: others are the parser's to judge.
        let shortest = (self.payload_bytes < 126) == (self.bytes == 2 + MASK_BYTES);
        let fits = match self.first {
            TEXT_WHOLE | BINARY_WHOLE => !fragmented && self.payload_bytes <= SMALL_BYTES_MAX as u64,
            PING_WHOLE | PONG_WHOLE => self.payload_bytes <= CONTROL_BYTES_MAX,
            _ => false,
        };
        self.mask.filter(|_| shortest && fits)
    }

    fn frame_bytes(&self) -> usize {
        self.bytes.saturating_add(usize::try_from(self.payload_bytes).unwrap_or(usize::MAX))
    }
}

/// The inbound half of a WebSocket.
#[derive(Default)]
pub struct WsIn {
    /// A small frame, or the head of any, that has not come whole.
    partial: Vec<u8>,
    parser: Option<Box<WebSocketContext>>,
    /// Payload still to come of a frame that the parser has the head of.
    through: u64,
    /// The parser is in the middle of a message in fragments.
    fragmented: bool,
}

impl WsIn {
    /// Feeds received bytes; calls `each` with every whole message. Replies are appended to `private`.
    ///
    /// # Errors
    /// [`Ending`], after which nothing more is to be fed.
    pub fn feed(
        &mut self,
        mut received: &[u8],
        private: &mut Vec<u8>,
        each: &mut impl FnMut(Said<'_>, &mut Vec<u8>),
    ) -> Result<(), Ending> {
        while !received.is_empty() {
            let taken = if self.through > 0 {
                let most = usize::try_from(self.through).unwrap_or(usize::MAX).min(received.len());
                self.through -= most as u64;
                self.parse(received.get(..most).unwrap_or(&[]), private, each)?;
                most
            } else if self.partial.is_empty() {
                self.take(received, private, each)?
            } else {
                self.complete(received, private, each)?
            };
            received = received.get(taken..).unwrap_or(&[]);
        }
        if self.through == 0 && !self.fragmented {
            self.parser = None;
        }
        Ok(())
    }

    /// Takes a small frame, or the head of another for the parser, or holds back what there is of it; returns the bytes
    /// taken.
    fn take(
        &mut self,
        bytes: &[u8],
        private: &mut Vec<u8>,
        each: &mut impl FnMut(Said<'_>, &mut Vec<u8>),
    ) -> Result<usize, Ending> {
        let Some(head) = Head::read(bytes) else {
            self.partial.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        let Some(mask) = head.small(self.fragmented) else {
            self.through = head.payload_bytes;
            if head.first & 0x0F <= BINARY {
                self.fragmented = head.first & FIN == 0;
            }
            self.parse(bytes.get(..head.bytes).unwrap_or(&[]), private, each)?;
            return Ok(head.bytes);
        };
        let Some(masked) = bytes.get(head.bytes..head.frame_bytes()) else {
            self.partial.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        whole(head.first, mask, masked, private, each)?;
        Ok(head.frame_bytes())
    }

    /// Adds to what was held back as much as it lacks; returns the bytes taken.
    fn complete(
        &mut self,
        received: &[u8],
        private: &mut Vec<u8>,
        each: &mut impl FnMut(Said<'_>, &mut Vec<u8>),
    ) -> Result<usize, Ending> {
        // A head comes byte by byte, since what follows it may be another's.
        let lacks = Head::read(&self.partial).map_or(1, |head| head.frame_bytes() - self.partial.len());
        let most = lacks.min(received.len());
        self.partial.extend_from_slice(received.get(..most).unwrap_or(&[]));
        let ready = Head::read(&self.partial)
            .is_some_and(|head| head.small(self.fragmented).is_none() || head.frame_bytes() == self.partial.len());
        if ready {
            let mut partial = std::mem::take(&mut self.partial);
            let taken = self.take(&partial, private, each)?;
            debug_assert!(taken == partial.len(), "a whole frame, or a head");
            partial.clear();
            self.partial = partial;
        }
        Ok(most)
    }

    fn parse(
        &mut self,
        received: &[u8],
        private: &mut Vec<u8>,
        each: &mut impl FnMut(Said<'_>, &mut Vec<u8>),
    ) -> Result<(), Ending> {
        let parser = self.parser.get_or_insert_with(|| {
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER_BYTES)
                .write_buffer_size(0)
                .max_message_size(Some(echo::raised(WS_MESSAGE_BYTES_MAX)))
                .max_frame_size(Some(echo::raised(WS_MESSAGE_BYTES_MAX)));
            Box::new(WebSocketContext::new(Role::Server, Some(config)))
        });
        let mut memory = Memory { received, private };
        loop {
            match parser.read(&mut memory) {
                Ok(Message::Text(text)) => say(Said::Text(text.as_bytes()), memory.private, each),
                Ok(Message::Binary(bytes)) => say(Said::Binary(&bytes), memory.private, each),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Err(Ending::Peer),
                Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                    return Err(Ending::Close(CloseCode::TooLong, "a message is longer than 65536 bytes"));
                }
                Err(Error::Utf8(_)) => return Err(NOT_UTF8),
                Err(_) => return Err(Ending::Close(CloseCode::Protocol, "the WebSocket protocol was broken")),
            }
        }
    }
}

/// Acts on a whole small frame.
fn whole(
    first: u8,
    mask: [u8; MASK_BYTES],
    masked: &[u8],
    private: &mut Vec<u8>,
    each: &mut impl FnMut(Said<'_>, &mut Vec<u8>),
) -> Result<(), Ending> {
    let mut room = [0; SMALL_BYTES_MAX];
    for (place, (byte, mask)) in room.iter_mut().zip(masked.iter().zip(mask.iter().cycle())) {
        *place = byte ^ mask;
    }
    let payload = room.get(..masked.len()).unwrap_or(&[]);
    match first {
        TEXT_WHOLE if std::str::from_utf8(payload).is_err() => return Err(NOT_UTF8),
        TEXT_WHOLE => say(Said::Text(payload), private, each),
        BINARY_WHOLE => say(Said::Binary(payload), private, each),
        PING_WHOLE => {
            private.extend([PONG_WHOLE, payload.len() as u8]);
            private.extend_from_slice(payload);
        }
        // A pong: that something came is all it says.
        _ => {}
    }
    Ok(())
}

fn say(said: Said<'_>, private: &mut Vec<u8>, each: &mut impl FnMut(Said<'_>, &mut Vec<u8>)) {
    if !echo::answer(said, private) {
        each(said, private);
    }
}

/// The parser's view of the connection: reads what was received, writes into the private bytes.
struct Memory<'turn> {
    received: &'turn [u8],
    private: &'turn mut Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.received.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.received.read(into)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.private.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was said (as text or not), what is answered, and how it ended.
    type Fed = (Vec<(bool, Vec<u8>)>, Vec<u8>, Result<(), Ending>);

    fn note(said_all: &mut Vec<(bool, Vec<u8>)>, said: Said<'_>) {
        said_all.push(match said {
            Said::Text(text) => (true, text.to_vec()),
            Said::Binary(bytes) => (false, bytes.to_vec()),
        });
    }

    fn fed<'bytes>(pieces: impl IntoIterator<Item = &'bytes [u8]>) -> Fed {
        let (mut ws, mut said_all, mut private) = (WsIn::default(), Vec::new(), Vec::new());
        for piece in pieces {
            let ended = ws.feed(piece, &mut private, &mut |said, _| note(&mut said_all, said));
            if ended.is_err() {
                return (said_all, private, ended);
            }
        }
        (said_all, private, Ok(()))
    }

    /// The same by tungstenite alone.
    fn parsed(bytes: &[u8]) -> Fed {
        let (mut ws, mut said_all, mut private) = (WsIn::default(), Vec::new(), Vec::new());
        let ended = ws.parse(bytes, &mut private, &mut |said, _| note(&mut said_all, said));
        (said_all, private, ended)
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 0, 255, 1];
        let mut bytes = vec![first];
        match payload.len() {
            0..126 => bytes.push(0x80 | payload.len() as u8),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((payload.len() as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((payload.len() as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// Every kind of frame, in an order that a client may send.
    fn lawful() -> Vec<u8> {
        [
            frame(0x81, b"one"),
            frame(0x82, &[9; 200]),
            frame(0x89, b"p!"),
            frame(0x01, "h\u{e9}".as_bytes()),
            frame(0x8A, b""),
            frame(0x89, b"within"),
            frame(0x00, b"all"),
            frame(0x80, b"o"),
            frame(0x81, &[b'x'; SMALL_BYTES_MAX]),
            frame(0x81, &[b'y'; SMALL_BYTES_MAX + 1]),
            frame(0x82, b""),
            frame(0x81, b"last"),
        ]
        .concat()
    }

    #[test]
    fn the_same_comes_out_as_by_the_parser_however_the_bytes_are_cut() {
        let stream = lawful();
        let expected = parsed(&stream);
        assert_eq!((expected.0.len(), &expected.2), (7, &Ok(())));
        assert_eq!(expected.1, [&[0x8A, 2][..], b"p!", &[0x8A, 6], b"within"].concat());
        assert_eq!(fed([&stream[..]]), expected);
        for piece in [1, 2, 3, 7, 100, 1_000] {
            assert_eq!(fed(stream.chunks(piece)), expected, "in pieces of {piece}");
        }
        for cut in (0..stream.len()).step_by(7) {
            let (first, second) = stream.split_at(cut);
            assert_eq!(fed([first, second]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_breaks_the_rules_ends_as_by_the_parser() {
        let cases = [
            vec![0x81, 1, b'x'],
            frame(0xC1, b"reserved bit"),
            frame(0x83, b"unknown opcode"),
            frame(0x80, b"a continuation of nothing"),
            frame(0x09, b"a ping in fragments"),
            frame(0x89, &[0; 126]),
            frame(0x81, &[0xC3, 0x28]),
            [frame(0x01, b"a"), frame(0x81, b"b")].concat(),
            frame(0x88, &[3, 0xE8]),
            frame(0x88, b""),
            vec![0x82, 0xFF, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            vec![0x82, 0xFE, 0, 1, 0, 0, 0, 0, b'z'],
        ];
        for bytes in cases {
            let bytes = [frame(0x82, b"before"), bytes].concat();
            let expected = parsed(&bytes);
            assert_eq!(fed([&bytes[..]]), expected, "{bytes:02x?}");
            assert_eq!(fed(bytes.chunks(1)), expected, "{bytes:02x?} byte by byte");
        }
    }

    #[test]
    fn the_parser_is_there_only_while_it_is_needed() {
        let mut ws = WsIn::default();
        let mut feed = |bytes: &[u8]| {
            ws.feed(bytes, &mut Vec::new(), &mut |_, _| ()).unwrap();
            ws.parser.is_some()
        };
        assert!(!feed(&frame(0x81, b"{}")));
        assert!(feed(&frame(0x01, b"{")));
        assert!(!feed(&frame(0x80, b"}")));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_end_as_by_the_parser(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            proptest::prop_assert_eq!(fed([&bytes[..]]), parsed(&bytes));
        }

        #[test]
        fn lawful_bytes_with_a_wrong_one_end_as_by_the_parser(place in 0_usize..250, wrong: u8) {
            let mut bytes = lawful();
            bytes.truncate(300);
            bytes[place] = wrong;
            proptest::prop_assert_eq!(fed([&bytes[..]]), parsed(&bytes));
        }
    }
}
