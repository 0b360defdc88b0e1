//! What clients send: masked WebSocket frames, records of Swarmcast on TCP, and the messages in them.

use std::f32::consts::TAU;

use bytes::Bytes;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use crate::plan::{Message, Protocol, Sending, Transport};

/// A dragged node is let go after this.
const DRAG_SECONDS: f64 = 5.0;

/// A dragged node moves along a circle of this radius, world units.
const DRAG_RADIUS: f32 = 100.0;

/// What goes around a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// A text frame.
    Text,
    /// A ping frame.
    Ping,
    /// The answer to one.
    Pong,
}

/// Appends `payload` as one masked WebSocket frame.
pub fn push_frame(wrap: Wrap, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let payload = Bytes::copy_from_slice(payload);
    let frame = match wrap {
        Wrap::Text => Frame::message(payload, OpCode::Data(Data::Text), true),
        Wrap::Ping => Frame::ping(payload),
        Wrap::Pong => Frame::pong(payload),
    };
    push(frame, mask, out);
}

/// Appends a close frame: 1000, or the code that the server gave.
pub fn push_close(code: u16, mask: [u8; 4], out: &mut Vec<u8>) {
    let close = CloseFrame { code: CloseCode::from(code), reason: "".into() };
    push(Frame::close(Some(close)), mask, out);
}

fn push(mut frame: Frame, mask: [u8; 4], out: &mut Vec<u8>) {
    frame.header_mut().mask = Some(mask);
    let written = frame.format(out);
    debug_assert!(written.is_ok(), "a Vec takes every write");
}

/// Appends `text` as a client of `protocol` sends it.
pub fn push_text(protocol: &Protocol, transport: Transport, text: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    match (transport, protocol) {
        (Transport::WebSocket, _) => push_frame(Wrap::Text, text, mask, out),
        // Control messages on Swarmcast's TCP stream are lines.
        (Transport::Tcp, _) => {
            out.extend_from_slice(text);
            out.push(b'\n');
        }
    }
}

/// The text of message `count`, from 0, of client `number`, due at `due_ns`; `None` for a ping frame.
#[must_use]
pub fn text(sending: &Sending, number: u32, count: u64, due_ns: u64) -> Option<String> {
    match &sending.what {
        Message::Ping => Some(format!(r#"{{"type":"ping","timestamp":{due_ns}}}"#)),
        Message::WsPing => None,
        Message::Drag { nodes } => drag(nodes, sending.rate_hz, number, count),
        Message::Text(text) => Some(text.clone()),
    }
}

fn drag(nodes: &[u32], rate_hz: f64, number: u32, count: u64) -> Option<String> {
    let node = nodes.get(number as usize % nodes.len().max(1))?;
    let steps = ((DRAG_SECONDS * rate_hz) as u64).max(3);
    let step = count % steps;
    if step == steps - 1 {
        return Some(format!(r#"{{"type":"nodeDragEnd","nodeId":{node}}}"#));
    }
    let kind = if step == 0 { "nodeDragStart" } else { "nodeDragUpdate" };
    let angle = TAU * step as f32 / steps as f32;
    let (x, y) = (DRAG_RADIUS * angle.cos(), DRAG_RADIUS * angle.sin());
    Some(format!(r#"{{"type":"{kind}","nodeId":{node},"position":{{"x":{x},"y":{y},"z":0}}}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarmcast::wire::{ClientMessage, parse_message};

    #[test]
    fn frames_are_masked() {
        let mut out = Vec::new();
        push_frame(Wrap::Text, b"hi", [1, 2, 3, 4], &mut out);
        push_close(1000, [0; 4], &mut out);
        assert_eq!(out, [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2, 0x88, 0x82, 0, 0, 0, 0, 3, 0xE8]);
    }

    #[test]
    fn a_drag_starts_moves_and_ends_as_the_server_reads_it() {
        let sending = Sending { rate_hz: 2.0, what: Message::Drag { nodes: vec![4, 7] } };
        let kind = |count| match parse_message(text(&sending, 1, count, 0).unwrap().as_bytes()).unwrap() {
            ClientMessage::DragStart { node: 7, .. } => 's',
            ClientMessage::DragUpdate { node: 7, .. } => 'u',
            ClientMessage::DragEnd { node: 7, .. } => 'e',
            other => panic!("{other:?}"),
        };
        assert_eq!((0..22).map(kind).collect::<String>(), "suuuuuuuuesuuuuuuuuesu");
        let ping = Sending { rate_hz: 1.0, what: Message::Ping };
        assert!(matches!(
            parse_message(text(&ping, 0, 0, u64::MAX).unwrap().as_bytes()),
            Ok(ClientMessage::Ping { timestamp: Some(_) })
        ));
        assert_eq!(text(&Sending { rate_hz: 1.0, what: Message::WsPing }, 0, 0, 1), None);
    }
}
