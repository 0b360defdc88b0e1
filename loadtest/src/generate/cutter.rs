//! Cuts a stream of bytes into messages without keeping them: only their first bytes are kept, unless all are asked for.

use crate::plan::Framing;

/// First bytes of a message that are always at hand: our own header.
pub const HEAD_BYTES: usize = 64;

/// A message that is kept whole may have this many bytes; a longer announcement ends the connection. Memory is taken as
/// bytes come, never on the word of a header.
pub const KEPT_BYTES_MAX: u64 = 64 << 20;

/// A text of the protocol, such as an answer to a ping, is kept up to this.
pub const TEXT_BYTES_MAX: u64 = 64 << 10;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Binary on WebSocket, a record on TCP.
    Binary,
    /// Text, or a record marked as such.
    Text,
    /// WebSocket control frames.
    Ping,
    /// Answer to a ping.
    Pong,
    /// The end.
    Close,
}

/// A message, or bytes that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A server must not mask.
    Masked,
    /// Reserved bits or opcodes without an extension that allows them.
    Reserved,
    /// A continuation of nothing, a new message within another, or a control frame in pieces or over 125 bytes.
    Fragments,
    /// More than [`KEPT_BYTES_MAX`] to keep, or 2^63 and over.
    TooLong,
}

impl Fault {
    /// The kind of error it counts as.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Masked => "protocol_masked",
            Self::Reserved => "protocol_reserved_bits",
            Self::Fragments => "protocol_fragments",
            Self::TooLong => "protocol_too_long",
        }
    }
}

/// How messages are marked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// RFC 6455.
    WebSocket,
    /// `u32` with bit 31 for text, as Swarmcast does on TCP.
    Swarmcast,
    /// Any other.
    Plain(Framing),
}

/// A whole message. `bytes` is all of it when it lay in one piece in what was read or when all is kept, else its first
/// [`HEAD_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'bytes> {
    /// What it is.
    pub kind: Kind,
    /// Payload.
    pub length: u64,
    /// All or the first bytes.
    pub bytes: &'bytes [u8],
}

/// Where the cutter stands. About 130 bytes, and a vector that is empty unless something is kept in pieces.
#[derive(Clone, Debug)]
pub struct Cutter {
    marks: Marks,
    /// Keep whole messages of the binary kind.
    keep_all: bool,
    /// Bytes of the mark that is being read.
    mark: [u8; 10],
    mark_bytes: u8,
    /// Payload bytes of the current piece that are to come.
    left: u64,
    inside: bool,
    kind: Kind,
    last: bool,
    /// Kind of the message whose continuation is awaited.
    pending: Option<Kind>,
    /// Payload of the current message so far, over all its pieces, and of a control frame apart.
    length: u64,
    control_length: u64,
    head: [u8; HEAD_BYTES],
    kept: Vec<u8>,
    control: Vec<u8>,
}

impl Cutter {
    /// At the start of a stream.
    #[must_use]
    pub fn new(marks: Marks, keep_all: bool) -> Self {
        Self {
            marks,
            keep_all,
            mark: [0; 10],
            mark_bytes: 0,
            left: 0,
            inside: false,
            kind: Kind::Binary,
            last: true,
            pending: None,
            length: 0,
            control_length: 0,
            head: [0; HEAD_BYTES],
            kept: Vec::new(),
            control: Vec::new(),
        }
    }

    /// Takes bytes off the front of `bytes` up to the end of the next message, and gives that, or takes all.
    ///
    /// # Errors
    /// [`Fault`]; nothing after it can be read.
    pub fn next<'me, 'bytes: 'me>(&'me mut self, bytes: &mut &'bytes [u8]) -> Result<Option<Message<'me>>, Fault> {
        match self.marks {
            Marks::Plain(Framing::Line) => Ok(self.next_line(bytes)),
            Marks::Plain(Framing::None) => {
                *bytes = &[];
                Ok(None)
            }
            _ => self.next_counted(bytes),
        }
    }

    fn next_counted<'me, 'bytes: 'me>(&'me mut self, bytes: &mut &'bytes [u8]) -> Result<Option<Message<'me>>, Fault> {
        loop {
            if !self.inside {
                if !self.take_mark(bytes)? {
                    return Ok(None);
                }
                self.inside = true;
            }
            let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (piece, rest) = bytes.split_at(taken);
            *bytes = rest;
            self.left -= taken as u64;
            let control = self.is_control();
            // The usual case: all of a message in one read, given on as it lies there.
            let whole =
                self.left == 0 && self.last && if control { self.control_length } else { self.length } == taken as u64;
            if !whole {
                self.keep(piece, control);
            }
            if self.left > 0 {
                return Ok(None);
            }
            self.inside = false;
            if control {
                let (kind, length) = (self.kind, self.control_length);
                return Ok(Some(Message { kind, length, bytes: if whole { piece } else { &self.control } }));
            }
            if !self.last {
                self.pending = Some(self.kind);
                continue;
            }
            self.pending = None;
            let (kind, length) = (self.kind, self.length);
            let head = usize::try_from(length).unwrap_or(usize::MAX).min(HEAD_BYTES);
            let kept = if self.keeps(kind) { self.kept.as_slice() } else { self.head.get(..head).unwrap_or(&[]) };
            return Ok(Some(Message { kind, length, bytes: if whole { piece } else { kept } }));
        }
    }

    fn is_control(&self) -> bool {
        matches!(self.kind, Kind::Ping | Kind::Pong | Kind::Close)
    }

    /// Texts are short and mean something; of other messages the head does.
    fn keeps(&self, kind: Kind) -> bool {
        self.keep_all || (kind == Kind::Text && self.length <= TEXT_BYTES_MAX)
    }

    fn keep(&mut self, piece: &[u8], control: bool) {
        if control {
            self.control.extend_from_slice(piece);
            return;
        }
        let before = self.length - self.left - piece.len() as u64;
        if let Some(room) = usize::try_from(before).ok().and_then(|before| self.head.get_mut(before..)) {
            for (place, byte) in room.iter_mut().zip(piece) {
                *place = *byte;
            }
        }
        if self.keeps(self.kind) {
            self.kept.extend_from_slice(piece);
        }
    }

    /// Reads the mark in front of a piece; false when it is not all there yet.
    fn take_mark(&mut self, bytes: &mut &[u8]) -> Result<bool, Fault> {
        if let Marks::Plain(Framing::Fixed(length)) = self.marks {
            return Ok(!bytes.is_empty() && self.begin(Kind::Binary, true, false, u64::from(length)).is_ok());
        }
        loop {
            if usize::from(self.mark_bytes) == self.mark_wanted() {
                break;
            }
            let Some((byte, rest)) = bytes.split_first() else { return Ok(false) };
            *bytes = rest;
            if let Some(place) = self.mark.get_mut(usize::from(self.mark_bytes)) {
                *place = *byte;
            }
            self.mark_bytes += 1;
        }
        self.mark_bytes = 0;
        let word = self.mark.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        match self.marks {
            Marks::WebSocket => self.begin_websocket(),
            Marks::Swarmcast => {
                let kind = if word >> 31 == 1 { Kind::Text } else { Kind::Binary };
                self.begin(kind, true, false, u64::from(word & !(1 << 31)))
            }
            Marks::Plain(Framing::U32Be) => self.begin(Kind::Binary, true, false, u64::from(word.swap_bytes())),
            Marks::Plain(_) => self.begin(Kind::Binary, true, false, u64::from(word)),
        }?;
        Ok(true)
    }

    /// Bytes of the mark, as far as the bytes so far tell.
    fn mark_wanted(&self) -> usize {
        match (self.marks, self.mark_bytes, self.mark) {
            (Marks::WebSocket, 0 | 1, _) => 2,
            (Marks::WebSocket, _, [_, second, ..]) => match second & 0x7F {
                127 => 10,
                126 => 4,
                _ => 2,
            },
            _ => 4,
        }
    }

    fn begin_websocket(&mut self) -> Result<(), Fault> {
        let [first, second, rest @ ..] = self.mark;
        if second & 0x80 != 0 {
            return Err(Fault::Masked);
        }
        if first & 0x70 != 0 {
            return Err(Fault::Reserved);
        }
        let length = match second & 0x7F {
            127 => u64::from_be_bytes(rest),
            126 => rest.first_chunk().map_or(0, |two| u64::from(u16::from_be_bytes(*two))),
            short => u64::from(short),
        };
        let last = first & 0x80 != 0;
        let (kind, continues) = match (first & 0x0F, self.pending) {
            (0, Some(pending)) => (pending, true),
            (1, None) => (Kind::Text, false),
            (2, None) => (Kind::Binary, false),
            (8, _) => (Kind::Close, false),
            (9, _) => (Kind::Ping, false),
            (10, _) => (Kind::Pong, false),
            (0..=2, _) => return Err(Fault::Fragments),
            _ => return Err(Fault::Reserved),
        };
        self.begin(kind, last, continues, length)
    }

    fn begin(&mut self, kind: Kind, last: bool, continues: bool, length: u64) -> Result<(), Fault> {
        (self.kind, self.last, self.left) = (kind, last, length);
        if self.is_control() {
            if !last || length > 125 {
                return Err(Fault::Fragments);
            }
            self.control_length = length;
            self.control.clear();
            return Ok(());
        }
        if !continues {
            self.length = 0;
            self.kept.clear();
        }
        let total = self.length.checked_add(length).filter(|total| total >> 63 == 0).ok_or(Fault::TooLong)?;
        if self.keep_all && total > KEPT_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        self.length = total;
        Ok(())
    }

    fn next_line<'me, 'bytes: 'me>(&'me mut self, bytes: &mut &'bytes [u8]) -> Option<Message<'me>> {
        if !self.inside {
            self.kept.clear();
            self.length = 0;
            self.inside = true;
        }
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            let piece = std::mem::take(bytes);
            self.length += piece.len() as u64;
            let room = usize::try_from(self.line_room()).unwrap_or(0).min(piece.len());
            self.kept.extend_from_slice(piece.get(..room).unwrap_or(&[]));
            return None;
        };
        let (piece, rest) = bytes.split_at(end);
        *bytes = rest.get(1..).unwrap_or(&[]);
        self.inside = false;
        let length = self.length + end as u64;
        if self.kept.is_empty() && self.length == 0 {
            return Some(Message { kind: Kind::Binary, length, bytes: piece });
        }
        let room = usize::try_from(self.line_room()).unwrap_or(0).min(end);
        self.kept.extend_from_slice(piece.get(..room).unwrap_or(&[]));
        Some(Message { kind: Kind::Binary, length, bytes: &self.kept })
    }

    /// Bytes of this line that may still be kept.
    fn line_room(&self) -> u64 {
        let most = if self.keep_all { KEPT_BYTES_MAX } else { HEAD_BYTES as u64 };
        most.saturating_sub(self.kept.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything cut out of `stream` when it comes in pieces of `piece` bytes.
    fn cut(marks: Marks, keep_all: bool, stream: &[u8], piece: usize) -> Result<Vec<(Kind, u64, Vec<u8>)>, Fault> {
        let mut cutter = Cutter::new(marks, keep_all);
        let mut out = Vec::new();
        for mut bytes in stream.chunks(piece) {
            loop {
                match cutter.next(&mut bytes)? {
                    Some(message) => out.push((message.kind, message.length, message.bytes.to_vec())),
                    None if bytes.is_empty() => break,
                    None => panic!("bytes are left and no message"),
                }
            }
        }
        Ok(out)
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            length @ 0..126 => out.push(length as u8),
            length @ 126..0x1_0000 => {
                out.push(126);
                out.extend((length as u16).to_be_bytes());
            }
            length => {
                out.push(127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend(payload);
        out
    }

    #[test]
    fn messages_come_out_whole_whatever_the_pieces() {
        let long: Vec<u8> = (0..70_000_u32).map(|byte| byte as u8).collect();
        let stream = [
            frame(0x82, &long),
            frame(0x81, b"text"),
            frame(0x02, &long[..100]),
            frame(0x89, b"ping within"),
            frame(0x00, &long[100..300]),
            frame(0x80, &long[300..400]),
            frame(0x82, b""),
            frame(0x88, &[3, 232]),
        ]
        .concat();
        let expected = vec![
            (Kind::Binary, 70_000, long.clone()),
            (Kind::Text, 4, b"text".to_vec()),
            (Kind::Ping, 11, b"ping within".to_vec()),
            (Kind::Binary, 400, long[..400].to_vec()),
            (Kind::Binary, 0, vec![]),
            (Kind::Close, 2, vec![3, 232]),
        ];
        for piece in [1, 2, 3, 7, 64, 65, 4_096, 1 << 20] {
            assert_eq!(cut(Marks::WebSocket, true, &stream, piece).unwrap(), expected, "pieces of {piece}");
            let heads = cut(Marks::WebSocket, false, &stream, piece).unwrap();
            for ((kind, length, bytes), (want_kind, want_length, want)) in heads.iter().zip(&expected) {
                assert_eq!((kind, length), (want_kind, want_length));
                let least = want.len().min(HEAD_BYTES);
                assert!(bytes.len() >= least && want.starts_with(bytes), "pieces of {piece}");
            }
            assert_eq!(heads.len(), expected.len());
        }
    }

    #[test]
    fn faults_of_a_server_are_named() {
        let fault = |bytes: &[u8]| cut(Marks::WebSocket, false, bytes, 1_000).unwrap_err();
        assert_eq!(fault(&[0x82, 0x81, 0, 0, 0, 0, 1]), Fault::Masked);
        assert_eq!(fault(&[0xC2, 1, 0]), Fault::Reserved);
        assert_eq!(fault(&[0x83, 1, 0]), Fault::Reserved);
        assert_eq!(fault(&[0x80, 1, 0]), Fault::Fragments);
        assert_eq!(fault(&[0x02, 1, 0, 0x82, 1, 0]), Fault::Fragments);
        assert_eq!(fault(&[0x09, 0]), Fault::Fragments);
        assert_eq!(fault(&[0x89, 126, 0, 200]), Fault::Fragments);
        let endless = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(fault(&endless), Fault::TooLong);
        // A long one is read through when only its head is kept, and refused before a byte of it when all is.
        let gigabyte = [0x82, 127, 0, 0, 0, 0, 0x40, 0, 0, 0];
        assert_eq!(cut(Marks::WebSocket, false, &gigabyte, 100).unwrap(), []);
        assert_eq!(cut(Marks::WebSocket, true, &gigabyte, 100).unwrap_err(), Fault::TooLong);
    }

    #[test]
    fn other_framings() {
        let binary = |bytes: &[u8]| (Kind::Binary, bytes.len() as u64, bytes.to_vec());
        for piece in 1..9 {
            let own = [2, 0, 0, 0, 7, 8, 3, 0, 0, 0x80, b'{', 1, b'}', 0, 0, 0, 0];
            let cut_own = cut(Marks::Swarmcast, false, &own, piece).unwrap();
            assert_eq!(cut_own, [binary(&[7, 8]), (Kind::Text, 3, b"{\x01}".to_vec()), binary(&[])]);
            let plain = |framing, bytes: &[u8]| cut(Marks::Plain(framing), false, bytes, piece).unwrap();
            assert_eq!(plain(Framing::U32Be, &[0, 0, 0, 1, 9]), [binary(&[9])]);
            assert_eq!(plain(Framing::U32Le, &[1, 0, 0, 0, 9]), [binary(&[9])]);
            assert_eq!(plain(Framing::Line, b"ab\n\ncde\nx"), [binary(b"ab"), binary(b""), binary(b"cde")]);
            assert_eq!(plain(Framing::Fixed(3), b"abcdefg"), [binary(b"abc"), binary(b"def")]);
            assert_eq!(plain(Framing::None, b"abc"), []);
        }
        let long = [vec![b'x'; 100], b"\n".to_vec()].concat();
        let cut_long = cut(Marks::Plain(Framing::Line), false, &long, 10).unwrap();
        assert_eq!(cut_long, [(Kind::Binary, 100, vec![b'x'; 64])]);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_nor_keep_more_than_came(bytes in proptest::collection::vec(any::<u8>(), 0..600), piece in 1..50_usize, all in any::<bool>()) {
            for marks in [Marks::WebSocket, Marks::Swarmcast, Marks::Plain(Framing::Line), Marks::Plain(Framing::Fixed(7))] {
                let mut cutter = Cutter::new(marks, all);
                'stream: for mut chunk in bytes.chunks(piece) {
                    loop {
                        match cutter.next(&mut chunk) {
                            Err(_) => break 'stream,
                            Ok(None) => break,
                            Ok(Some(_)) => {}
                        }
                    }
                }
                prop_assert!(cutter.kept.len() <= bytes.len());
            }
        }
    }
}
