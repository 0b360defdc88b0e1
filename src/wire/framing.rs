//! What stands in front of a message: the WebSocket header of a server frame, the length word on TCP.

/// Longest header of an unmasked server frame.
pub const WS_HEADER_BYTES_MAX: usize = 10;

/// Bytes of the TCP length word.
pub const TCP_PREFIX_BYTES: usize = 4;

/// A message of at most so many bytes, headers included, is kept in one piece for each transport: for the kernel one `write`
/// of a small piece is cheaper than a `writev` of two, by more than copying it once a tick costs.
pub const WHOLE_BYTES_MAX: usize = 16 << 10;

/// Set in the TCP length word when the body is text.
pub const TCP_TEXT_BIT: u32 = 1 << 31;

const WS_FIN_TEXT: u8 = 0x81;
const WS_FIN_BINARY: u8 = 0x82;
const WS_FIN_CLOSE: u8 = 0x88;

/// Longest reason in a close frame: a control frame holds 125 bytes, two of them the code.
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Why a connection ends; the numbers of RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The client asked for it.
    Normal = 1000,
    /// The server is going away.
    Away = 1001,
    /// The client broke the protocol.
    Protocol = 1002,
    /// A kind of message that is not understood.
    Unsupported = 1003,
    /// A text that is not UTF-8.
    NotUtf8 = 1007,
    /// A message over the limit.
    TooLong = 1009,
    /// An error of ours.
    Internal = 1011,
    /// Full, or too slow for too long.
    TryLater = 1013,
    /// Events about agents of a version that is not spoken here.
    VersionSkew = 4001,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// Writes the header of an unmasked, whole message into `out` and returns its length, 2 to 10.
fn ws_header_of(first: u8, payload_bytes: usize, out: &mut [u8; WS_HEADER_BYTES_MAX]) -> usize {
    let length = payload_bytes as u64;
    let (marker, width) = match payload_bytes {
        0..=125 => (length as u8, 0),
        126..=0xFFFF => (126, 2),
        _ => (127, 8),
    };
    let big_endian = length.to_be_bytes();
    let digits = big_endian.iter().skip(8 - width);
    let bytes = [first, marker].into_iter().chain(digits.copied());
    for (place, byte) in out.iter_mut().zip(bytes) {
        *place = byte;
    }
    2 + width
}

/// The WebSocket header of a binary message of `payload_bytes`: bytes and length.
#[must_use]
pub fn ws_header(payload_bytes: usize) -> ([u8; WS_HEADER_BYTES_MAX], usize) {
    let mut bytes = [0; WS_HEADER_BYTES_MAX];
    let length = ws_header_of(WS_FIN_BINARY, payload_bytes, &mut bytes);
    (bytes, length)
}

/// The TCP length word of a frame of `payload_bytes`.
///
/// # Panics
/// When the frame is 2 GiB or larger: the largest graph is bounded far below.
#[must_use]
pub fn tcp_prefix(payload_bytes: usize) -> [u8; TCP_PREFIX_BYTES] {
    let length = u32::try_from(payload_bytes).unwrap_or(u32::MAX);
    assert!(length < TCP_TEXT_BIT, "bit 31 marks text");
    length.to_le_bytes()
}

/// Appends `text` as one WebSocket text message.
pub fn push_ws_text(text: &[u8], out: &mut Vec<u8>) {
    push_ws(WS_FIN_TEXT, text, out);
}

/// Appends `message` as one WebSocket binary message.
pub fn push_ws_binary(message: &[u8], out: &mut Vec<u8>) {
    push_ws(WS_FIN_BINARY, message, out);
}

/// Appends a WebSocket close frame; a reason that does not fit is cut at a character.
pub fn push_ws_close(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
    let fits = reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX);
    let reason = reason.get(..fits).unwrap_or("");
    let mut payload = [0; 125];
    let bytes = code.number().to_be_bytes().into_iter().chain(reason.bytes());
    let mut length = 0;
    for (place, byte) in payload.iter_mut().zip(bytes) {
        *place = byte;
        length += 1;
    }
    push_ws(WS_FIN_CLOSE, payload.get(..length).unwrap_or(&[]), out);
}

fn push_ws(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    let mut header = [0; WS_HEADER_BYTES_MAX];
    let length = ws_header_of(first, payload.len(), &mut header);
    out.extend(header.iter().take(length));
    out.extend_from_slice(payload);
}

/// Appends `text` as one TCP text record.
pub fn push_tcp_text(text: &[u8], out: &mut Vec<u8>) {
    let word = text.len() as u32 | TCP_TEXT_BIT;
    out.extend_from_slice(&word.to_le_bytes());
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lengths_follow_rfc_6455() {
        let of = |bytes| {
            let (header, length) = ws_header(bytes);
            header[..length].to_vec()
        };
        assert_eq!(of(0), [0x82, 0]);
        assert_eq!(of(125), [0x82, 125]);
        assert_eq!(of(126), [0x82, 126, 0, 126]);
        assert_eq!(of(0xFFFF), [0x82, 126, 0xFF, 0xFF]);
        assert_eq!(of(0x10000), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn text_and_close_are_whole_frames() {
        let mut out = Vec::new();
        push_ws_text(b"hi", &mut out);
        push_ws_close(CloseCode::Away, "bye", &mut out);
        push_tcp_text(b"{}", &mut out);
        assert_eq!(out, [0x81, 2, b'h', b'i', 0x88, 5, 3, 0xE9, b'b', b'y', b'e', 2, 0, 0, 0x80, b'{', b'}']);
        out.clear();
        push_ws_close(CloseCode::Internal, &"é".repeat(100), &mut out);
        assert_eq!(out[1], 2 + 122, "cut at a character, so 61 of two bytes");
        assert!(std::str::from_utf8(&out[4..]).is_ok());
    }
}
