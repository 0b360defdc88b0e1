//! The WebSocket side of the fake server: the answer to a handshake, frames written and frames read.

use swarmcast::wire::{TCP_TEXT_BIT, tcp_prefix};
use tungstenite::handshake::derive_accept_key;

use super::Transport;

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What a client sent.
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
    /// Opcode and payload of a control frame.
    Control(u8, Vec<u8>),
    /// What a client may not do.
    Violation(String),
}

/// The value of a header line, without case.
pub fn header<'head>(head: &'head str, name: &str) -> Option<&'head str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

fn switch(head: &str, accept: &str) -> String {
    let chosen = header(head, "Sec-WebSocket-Protocol").and_then(|offered| offered.split(',').next());
    let chosen = chosen.map(|name| format!("Sec-WebSocket-Protocol: {}\r\n", name.trim())).unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{chosen}\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// The answer that opens a WebSocket.
pub fn answer(head: &str) -> String {
    switch(head, &derive_accept_key(header(head, "Sec-WebSocket-Key").unwrap_or("").as_bytes()))
}

/// The same with a key that belongs to another request.
pub fn answer_to_another(head: &str) -> String {
    switch(head, &derive_accept_key(b"AAAAAAAAAAAAAAAAAAAAAA=="))
}

/// One unmasked frame, as servers send them.
pub fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![opcode | if last { 0x80 } else { 0 }];
    match payload.len() {
        length @ 0..=125 => bytes.push(length as u8),
        length @ 126..=0xFFFF => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A close frame.
pub fn close(code: u16) -> Vec<u8> {
    frame(true, CLOSE, &if code == 1005 { Vec::new() } else { code.to_be_bytes().to_vec() })
}

/// A frame with a mask, which no server may send.
pub fn masked(payload: &[u8]) -> Vec<u8> {
    let plain = frame(true, BINARY, payload);
    let header = plain.len() - payload.len();
    let mut bytes = plain[..header].to_vec();
    bytes[1] |= 0x80;
    // A mask of zeros leaves the payload as it is.
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// One message in three fragments, with a ping before the last one.
pub fn in_pieces(payload: &[u8]) -> Vec<u8> {
    let (one, two) = (payload.len() / 3, payload.len() / 2);
    let mut bytes = frame(false, BINARY, &payload[..one]);
    bytes.extend(frame(false, 0, &payload[one..two]));
    bytes.extend(frame(true, PING, b"in between"));
    bytes.extend(frame(true, 0, &payload[two..]));
    bytes
}

/// A text in the wrapping of a transport of Swarmcast.
pub fn text(transport: Transport, text: &[u8]) -> Vec<u8> {
    match transport {
        Transport::WebSocket => frame(true, TEXT, text),
        Transport::Tcp => [&(text.len() as u32 | TCP_TEXT_BIT).to_le_bytes(), text].concat(),
    }
}

/// A frame in the wrapping of a transport of Swarmcast.
pub fn binary(transport: Transport, payload: &[u8]) -> Vec<u8> {
    match transport {
        Transport::WebSocket => frame(true, BINARY, payload),
        Transport::Tcp => [&tcp_prefix(payload.len()), payload].concat(),
    }
}

/// Takes whole frames of a client off the front of `bytes`. Returns the code of a close frame when there was one.
pub fn take(bytes: &mut Vec<u8>, mut heard: impl FnMut(Heard)) -> Option<u16> {
    loop {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (start, length) = match second & 0x7F {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
            length => (2, usize::from(length)),
        };
        if second & 0x80 == 0 {
            heard(Heard::Violation(format!("a frame without a mask: {first:#x} {second:#x}")));
            return Some(1002);
        }
        let mask: [u8; 4] = bytes.get(start..start + 4)?.try_into().unwrap();
        let masked = bytes.get(start + 4..start + 4 + length)?;
        let payload: Vec<u8> = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        bytes.drain(..start + 4 + length);
        match first {
            0x81 => match String::from_utf8(payload) {
                Ok(text) => heard(Heard::Text(text)),
                Err(_) => heard(Heard::Violation("a text that is not UTF-8".to_owned())),
            },
            0x82 => heard(Heard::Binary(payload)),
            0x88..=0x8A => {
                let code = payload.get(..2).map_or(1005, |code| u16::from_be_bytes(code.try_into().unwrap()));
                heard(Heard::Control(first & 0x0F, payload));
                if first == 0x88 {
                    return Some(code);
                }
            }
            _ => heard(Heard::Violation(format!("a frame that begins with {first:#x}"))),
        }
    }
}
