//! The parsers of this room, as `tests/fuzz` drives them: bytes from outside, all the way to what is decided about
//! them.

use super::http;
use super::inbound::{Ending, Inbound, Said};
use super::routes::{Trust, route};
use crate::handoff::Transport;
use crate::wire::{parse_binary, parse_message};

/// Parses a request head and decides about it.
///
/// # Panics
/// When a rule of the parser is broken.
pub fn http_head(bytes: &[u8]) {
    if let Ok(Some((request, taken))) = http::parse(bytes) {
        assert!(taken <= bytes.len().min(http::HEAD_BYTES_MAX), "what was taken was there");
        let head = bytes.get(..taken).unwrap_or(bytes);
        assert_eq!(http::parse(head), Ok(Some((request.clone(), taken))), "what follows a head does not change it");
        for any_host in [false, true] {
            drop(route(&request, Trust { any_host, agents: true }));
        }
    }
}

/// Feeds a connection: the first byte says the transport (bit 0) and in pieces of which length (the rest; 0 is one
/// piece). Pieces must come to the same as the whole.
///
/// # Panics
/// When they do not.
pub fn stream_input(bytes: &[u8]) {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let transport = if how & 1 == 0 { Transport::WebSocket } else { Transport::Tcp };
    let piece = usize::from(how >> 1);
    let whole = fed(transport, bytes, bytes.len());
    if piece > 0 {
        assert_eq!(fed(transport, bytes, piece), whole, "in pieces of {piece}");
    }
}

/// What the connection was told (as text or not), what it answers, and how it ended.
type Fed = (Vec<(bool, Vec<u8>)>, Vec<u8>, Result<(), Ending>);

fn fed(transport: Transport, bytes: &[u8], piece: usize) -> Fed {
    let mut inbound = Inbound::new(transport);
    let (mut said_all, mut private) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        let ended = inbound.feed(piece, &mut private, |said, _| {
            said_all.push(match said {
                Said::Text(text) => {
                    assert!(std::str::from_utf8(text).is_ok(), "a text is UTF-8");
                    let _ = parse_message(text);
                    (true, text.to_vec())
                }
                Said::Binary(bytes) => {
                    let _ = parse_binary(bytes);
                    (false, bytes.to_vec())
                }
            });
        });
        if ended.is_err() {
            return (said_all, private, ended);
        }
    }
    (said_all, private, Ok(()))
}
