//! What clients send: masked WebSocket frames, records of Swarmcast on TCP, and the messages in them.

use std::f32::consts::TAU;
use std::io::Write as _;

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

/// First byte of an acknowledgement among the binary messages.
const ACK: u8 = 0x34;

/// Bytes of an acknowledgement: first byte, sequence, nodes, time.
const ACK_BYTES: usize = 21;

/// Appends the acknowledgement of frame `sequence`, which showed `nodes` nodes. Written by hand: it is part of the
/// receive path, which allocates nothing once the buffer has its size.
pub fn push_ack(transport: Transport, sequence: u64, nodes: u32, now_ns: u64, mask: [u8; 4], out: &mut Vec<u8>) {
    if transport == Transport::Tcp {
        // Writing to a Vec cannot fail.
        let _ = writeln!(out, "{{\"type\":\"ack\",\"sequence\":{sequence}}}");
        return;
    }
    // A binary frame, whole and masked.
    out.extend_from_slice(&[0x82, 0x80 | ACK_BYTES as u8]);
    out.extend_from_slice(&mask);
    let [sequence, now] = [sequence, now_ns].map(u64::to_le_bytes);
    let nodes = nodes.to_le_bytes();
    let payload = [ACK].iter().chain(&sequence).chain(&nodes).chain(&now);
    out.extend(payload.zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
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
    fn an_acknowledgement_is_21_bytes_on_websocket_and_a_line_on_tcp() {
        let mut out = Vec::new();
        push_ack(Transport::WebSocket, 0x0102, 7, 9, [1, 2, 3, 4], &mut out);
        assert_eq!(out.len(), 2 + 4 + ACK_BYTES);
        assert_eq!(out[..6], [0x82, 0x95, 1, 2, 3, 4]);
        let plain: Vec<u8> = out[6..].iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(
            plain,
            [[0x34].as_slice(), &[2, 1, 0, 0, 0, 0, 0, 0], &[7, 0, 0, 0], &[9, 0, 0, 0, 0, 0, 0, 0]].concat()
        );
        out.clear();
        push_ack(Transport::Tcp, 12, 7, 9, [0; 4], &mut out);
        assert_eq!(out, b"{\"type\":\"ack\",\"sequence\":12}\n");
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
