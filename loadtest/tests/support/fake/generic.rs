//! A stream of another kind than Swarmcast's: messages of one size at a rate, with a time stamp somewhere or none.

use std::thread;
use std::time::Duration;

use swarmcast_load::clock::{SECOND_NS, monotonic_ns, realtime_ns};

use super::{Connection, Pen, Sent, Transport, ns, sleep_until, ws};

/// How messages are cut on TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    U32Le,
    U32Be,
    Line,
    Fixed,
}

/// A stamp in every message.
#[derive(Clone, Copy, Debug)]
pub struct Stamping {
    pub offset: usize,
    pub big_endian: bool,
    /// An IEEE double instead of a whole number.
    pub float: bool,
    pub unit_ns: u64,
    /// Since 1970 instead of monotonic.
    pub unix: bool,
}

/// The stream.
#[derive(Clone, Debug)]
pub struct Generic {
    pub rate_hz: u64,
    pub bytes: usize,
    /// Messages in all; then nothing.
    pub count: u64,
    /// From the handshake, or from the last message of the client's hello, to the first message.
    pub start_after: Duration,
    /// Text messages that a client has to send first.
    pub hellos: usize,
    /// From the time a stamp names to the send.
    pub send_after: Duration,
    pub stamping: Option<Stamping>,
    /// On TCP.
    pub cut: Cut,
}

impl Default for Generic {
    fn default() -> Self {
        Self {
            rate_hz: 60,
            bytes: 200,
            count: u64::MAX,
            start_after: Duration::ZERO,
            hellos: 0,
            send_after: Duration::ZERO,
            stamping: None,
            cut: Cut::U32Le,
        }
    }
}

impl Generic {
    pub(super) fn play(&self, pen: &Pen, connection: &Connection) {
        while super::lock(&connection.shared.seen)[connection.index as usize].texts.len() < self.hellos {
            thread::sleep(Duration::from_millis(1));
            if connection.over() {
                return;
            }
        }
        thread::sleep(self.start_after);
        let first_ns = monotonic_ns();
        for turn in 0..self.count {
            let due_ns = first_ns + turn * SECOND_NS / self.rate_hz;
            sleep_until(due_ns + ns(self.send_after));
            if connection.over() {
                return;
            }
            let wrapped =
                self.wrap(connection.shared.transport, self.message(due_ns, connection.script.clock_ahead_ns));
            let sent_ns = monotonic_ns();
            if !pen.write(&wrapped) {
                return;
            }
            pen.note(|seen| seen.sent.push(Sent { turn, sequence: 0, due_ns, sent_ns }));
        }
    }

    fn message(&self, due_ns: u64, ahead_ns: i64) -> Vec<u8> {
        // Letters, so that it is a line too.
        let mut message: Vec<u8> = (0..self.bytes).map(|at| b'a' + (at % 26) as u8).collect();
        if let Some(stamping) = self.stamping {
            let unix_ns = realtime_ns() - (monotonic_ns() - due_ns);
            let stamp_ns = (if stamping.unix { unix_ns } else { due_ns }).saturating_add_signed(ahead_ns);
            let units = stamp_ns / stamping.unit_ns;
            let bits = if stamping.float { (stamp_ns as f64 / stamping.unit_ns as f64).to_bits() } else { units };
            let bytes = if stamping.big_endian { bits.to_be_bytes() } else { bits.to_le_bytes() };
            message[stamping.offset..stamping.offset + 8].copy_from_slice(&bytes);
        }
        message
    }

    fn wrap(&self, transport: Transport, message: Vec<u8>) -> Vec<u8> {
        let length = message.len() as u32;
        match (transport, self.cut) {
            (Transport::WebSocket, _) => ws::frame(true, ws::BINARY, &message),
            (Transport::Tcp, Cut::U32Le) => [&length.to_le_bytes(), &message[..]].concat(),
            (Transport::Tcp, Cut::U32Be) => [&length.to_be_bytes(), &message[..]].concat(),
            (Transport::Tcp, Cut::Line) => [&message[..], b"\n"].concat(),
            (Transport::Tcp, Cut::Fixed) => message,
        }
    }
}
