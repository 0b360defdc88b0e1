//! The bare sender: the least that a process can do to give N clients the same bytes at a rate.
//!
//! One thread. A tick is one call per client: a `writev` of a shared head and a shared body, as the engine does it, or
//! a `write` of both in one piece, which has to be put together once a tick and is then cheaper. A client whose socket is full
//! gets the rest when it can take it, and then the newest frame, so that it conflates as the engine does. No classes,
//! no counters, no inbound, no housekeeping, no other threads. Sockets have the engine's options.

use std::io::{BufRead, BufReader, ErrorKind, IoSlice, Write};
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use swarmcast::base::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns, sleep_until};
use swarmcast::base::cores;
use swarmcast::wire::{FrameHeader, HEADER_BYTES, KIND_FULL, MAGIC, VERSION, ws_header};
use tungstenite::handshake::derive_accept_key;
use zerocopy::IntoBytes;

/// As in the engine's default configuration.
const NOTSENT_LOWAT_BYTES: u32 = 262_144;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Payload of a WebSocket message: our header and a body of whole records.
    pub frame_bytes: usize,
    /// Connections to wait for.
    pub clients: usize,
    /// Frames a second.
    pub rate_hz: f64,
    /// Head and body as one piece.
    pub one_piece: bool,
}

/// Bytes of a record in the body, so that clients can check it as a frame of the engine.
pub const RECORD_BYTES: usize = 28;

/// Every byte of the body: records of finite numbers.
pub const BODY_BYTE: u8 = 0x5A;

/// The frame size nearest to `bytes` that is a header and whole records.
#[must_use]
pub fn whole_frame_bytes(bytes: usize) -> usize {
    let records = bytes.saturating_sub(HEADER_BYTES) / RECORD_BYTES;
    HEADER_BYTES + records.max(1) * RECORD_BYTES
}

struct Link {
    stream: TcpStream,
    /// Of the frame in writing; the whole frame where it is one piece.
    head: Rc<Vec<u8>>,
    /// Bytes of the frame in writing that are still to go.
    left: usize,
    sequence: u64,
    /// The kernel takes no more for now.
    blocked: bool,
}

/// Listens, says where on standard output, waits for the clients, and sends until all of them are gone.
///
/// # Errors
/// When the loop itself fails; a lost client is none.
pub fn send(load: Load, core: Option<usize>) -> Result<()> {
    ensure!(load.rate_hz > 0.0 && load.clients > 0, "a rate and clients above 0");
    if let Some(core) = core {
        ensure!(cores::pin_current(core), "core {core} cannot be used");
    }
    let mut poll = Poll::new()?;
    let mut links = accept(&load, &poll)?;
    let body = vec![BODY_BYTE; load.frame_bytes - HEADER_BYTES];
    let (in_head, body) = if load.one_piece { (body, Vec::new()) } else { (Vec::new(), body) };
    let mut events = Events::with_capacity(1_024);
    let period_ns = (SECOND_NS as f64 / load.rate_hz) as u64;
    let mut deadline_ns = monotonic_ns();
    let (mut sequence, mut rotor) = (0, 0);
    let mut head = Rc::new(Vec::new());
    while !links.is_empty() {
        loop {
            let due = wait(&mut poll, &mut events, deadline_ns, links.iter().any(|link| link.blocked))?;
            // Those that come with the deadline too: an edge that is dropped never comes again.
            for event in &events {
                let Some(link) = links.get_mut(event.token().0) else { continue };
                link.blocked = false;
                if sequence > 0 && !link.flush(&head, &body, sequence) {
                    return Ok(());
                }
            }
            if due {
                break;
            }
        }
        sequence += 1;
        head = Rc::new(make_head(&load, sequence, deadline_ns, &in_head));
        rotor = (rotor + 1) % links.len();
        let (first, second) = links.split_at_mut(rotor);
        for link in second.iter_mut().chain(first) {
            // The clients stop all together.
            if !link.blocked && !link.flush(&head, &body, sequence) {
                return Ok(());
            }
        }
        // Ticks that passed meanwhile are skipped, as in the engine.
        let passed = monotonic_ns().saturating_sub(deadline_ns) / period_ns;
        deadline_ns += period_ns * (passed + 1);
    }
    Ok(())
}

fn accept(load: &Load, poll: &Poll) -> Result<Vec<Link>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("  stream  ws://{}/stream", listener.local_addr()?);
    std::io::stdout().flush()?;
    let mut links = Vec::with_capacity(load.clients);
    while links.len() < load.clients {
        let (mut stream, _) = listener.accept()?;
        let mut request = BufReader::new(stream.try_clone()?);
        let (mut line, mut accept) = (String::new(), String::new());
        while request.read_line(&mut line)? > 2 {
            if let Some((name, key)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("Sec-WebSocket-Key")
            {
                accept = derive_accept_key(key.trim().as_bytes());
            }
            line.clear();
        }
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        stream.set_nodelay(true)?;
        socket2::SockRef::from(&stream).set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(links.len()), Interest::WRITABLE)?;
        links.push(Link { stream, head: Rc::default(), left: 0, sequence: 0, blocked: false });
    }
    Ok(links)
}

/// Waits for sockets that become writable, at most until the deadline; true when it has come. While none is full there
/// is nothing to poll for, so the wait is a sleep, which unlike a poll is exact below a millisecond.
fn wait(poll: &mut Poll, events: &mut Events, deadline_ns: u64, any_blocked: bool) -> Result<bool> {
    events.clear();
    let left_ms = deadline_ns.saturating_sub(monotonic_ns()) / MILLISECOND_NS;
    if any_blocked {
        match poll.poll(events, Some(Duration::from_millis(left_ms))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            other => other.context("polling")?,
        }
    }
    if events.is_empty() {
        sleep_until(deadline_ns);
    }
    Ok(monotonic_ns() >= deadline_ns)
}

fn make_head(load: &Load, sequence: u64, due_ns: u64, in_head: &[u8]) -> Vec<u8> {
    let (ws, ws_bytes) = ws_header(load.frame_bytes);
    let mut head = Vec::with_capacity(ws_bytes + HEADER_BYTES + in_head.len());
    head.extend_from_slice(ws.get(..ws_bytes).unwrap_or(&[]));
    head.extend_from_slice(frame_header(load.frame_bytes, sequence, due_ns).as_bytes());
    head.extend_from_slice(in_head);
    head
}

/// The header of a frame of `frame_bytes` that is published now.
#[must_use]
pub fn frame_header(frame_bytes: usize, sequence: u64, due_ns: u64) -> FrameHeader {
    let body_bytes = frame_bytes.saturating_sub(HEADER_BYTES);
    FrameHeader {
        magic: MAGIC,
        version: VERSION,
        kind: KIND_FULL,
        epoch: 1.into(),
        sequence: sequence.into(),
        tick: sequence.into(),
        tick_ns: due_ns.into(),
        published_ns: monotonic_ns().into(),
        node_count: ((body_bytes / RECORD_BYTES) as u32).into(),
        body_bytes: (body_bytes as u32).into(),
        ..FrameHeader::default()
    }
}

impl Link {
    /// Sends what the socket takes of the frame begun, then of the newest one. False when the client is gone.
    fn flush(&mut self, head: &Rc<Vec<u8>>, body: &[u8], sequence: u64) -> bool {
        loop {
            if self.left == 0 {
                if self.sequence == sequence {
                    return true;
                }
                self.sequence = sequence;
                self.head = Rc::clone(head);
                self.left = head.len() + body.len();
            }
            let sent = self.head.len() + body.len() - self.left;
            let written = match self.head.get(sent..) {
                Some(rest) if body.is_empty() => self.stream.write(rest),
                Some(rest) => self.stream.write_vectored(&[IoSlice::new(rest), IoSlice::new(body)]),
                None => self.stream.write(body.get(sent - self.head.len()..).unwrap_or(&[])),
            };
            match written {
                Ok(taken) => self.left -= taken,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return true;
                }
                Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_whole_records() {
        assert_eq!(whole_frame_bytes(0), 92);
        assert_eq!(whole_frame_bytes(64 + 28 * 1_054), 64 + 28 * 1_054);
        assert_eq!(whole_frame_bytes(34 * 1_054), 64 + 28 * 1_277);
    }
}
