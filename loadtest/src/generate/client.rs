//! One client: what has come on its connection and what that means for the figures. No sockets: bytes in, bytes out.

mod compact;

use std::sync::Arc;

use fastrand::Rng;
use mio::net::TcpStream;
use serde::Deserialize;
use swarmcast::wire::FrameHeader;

use super::calls::Caller;
use super::chain::Chain;
use super::checker::Checker;
use super::cutter::{Cutter, Fault, Kind, Marks, Message};
use super::handshake::{self, Answer};
use super::owed::Owed;
use super::stamp::{Clocks, Facts, facts};
use super::write::{Wrap, push_close, push_frame, push_text};
use crate::clock::MILLISECOND_NS;
use crate::plan::{self, Behaviour, Group, Protocol, Sending, Transport};
use crate::record::{Count, Record, Timing};
use crate::verify::Meeting;

/// A stamp this far ahead of our clock is a wrong clock, not a frame that came at once.
const FUTURE_NS: u64 = MILLISECOND_NS;

/// What a client that leaves mid-run is still owed ends this long before: frames on their way are not missing.
const LEAVE_GRACE_NS: u64 = 250 * MILLISECOND_NS;

/// Bytes that wait to be sent; what goes over it is dropped and counted.
const OUTBOX_BYTES_MAX: usize = 1 << 20;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is none.
    Away,
    /// TCP is under way.
    Connecting,
    /// The request is out.
    Handshake,
    /// Messages come.
    Open,
}

/// Why a connection is of no more use: the kind of error it counts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended(pub String);

impl From<&str> for Ended {
    fn from(kind: &str) -> Self {
        Self(kind.to_owned())
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self(fault.name().to_owned())
    }
}

/// What a client needs to know of the world while it takes bytes.
pub struct Sight<'turn> {
    /// Its group.
    pub group: &'turn Group,
    /// Where its figures go.
    pub record: &'turn mut Record,
    /// Monotonic.
    pub now_ns: u64,
    /// The current slice counts.
    pub measured: bool,
    /// The run is over at this moment; what is due later is nobody's.
    pub end_ns: u64,
    /// It is over: only what was due before still counts.
    pub draining: bool,
    /// The server's clocks.
    pub clocks: Clocks,
    /// Where verified frames of the compact profile and full ones meet.
    pub meeting: Option<&'turn Arc<Meeting>>,
    /// Masks and calls.
    pub rng: &'turn mut Rng,
}

/// A client of a group, connected or not. About 600 bytes.
#[derive(Debug)]
pub struct Client {
    /// Place of its group in the plan.
    pub group: usize,
    /// Its number within the group, over all generators.
    pub number: u32,
    /// The schedule wants it connected.
    pub wanted: bool,
    /// Where its connection stands.
    pub phase: Phase,
    /// The socket, unless away.
    pub stream: Option<TcpStream>,
    /// Counts connections: what was planned for an older one is void.
    pub attempt: u32,
    /// When it should have begun to connect.
    pub scheduled_ns: u64,
    /// Last time that it did what its server waits for.
    pub acted_ns: u64,
    /// Bytes to send.
    pub outbox: Vec<u8>,
    /// Bytes that it may read now; only of slow readers.
    pub allowance: u64,
    /// It reads nothing.
    pub deaf: bool,
    /// More is to be read than its turn allowed.
    pub in_ready: bool,
    /// The server has shut its side: read to the end.
    pub hung_up: bool,
    /// Messages sent so far.
    pub sent: u64,
    /// Only of callers.
    pub caller: Option<Box<Caller>>,
    /// Only where frames are checked byte for byte.
    verifier: Option<Box<Checker>>,
    chain: Chain,
    /// Frames since the last acknowledgement.
    unacked: u32,
    /// Bytes of a handshake's answer.
    inbox: Vec<u8>,
    key: String,
    cutter: Cutter,
    owed: Owed,
    opened_ns: u64,
    framed: bool,
    last_frame_ns: u64,
    sequence: u64,
    resting: bool,
    owing: bool,
    measured_frames: u64,
}

/// What says that a text is a change of the graph. Such texts are counted and not read: reading them for hundreds of clients would take
/// this process longer than their frames, and be measured as the server's latency.
const GRAPH_CHANGED: &[u8] = br#""type":"graph_changed""#;

/// Bytes of a text that this is looked for in.
const HEAD_BYTES: usize = 128;

#[derive(Deserialize)]
struct ServerText<'text> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'text, str>,
    #[serde(default)]
    rate: Option<f64>,
    #[serde(default)]
    timestamp: Option<u64>,
    #[serde(default)]
    code: Option<serde_json::Value>,
    /// Of an interest: rows of the first and the last block.
    #[serde(default)]
    blocks: Option<Vec<[u32; 2]>>,
}

impl Client {
    /// Away, unwanted.
    #[must_use]
    pub fn new(group: usize, number: u32) -> Self {
        Self {
            group,
            number,
            wanted: false,
            phase: Phase::Away,
            stream: None,
            attempt: 0,
            scheduled_ns: 0,
            acted_ns: 0,
            outbox: Vec::new(),
            allowance: 0,
            deaf: false,
            in_ready: false,
            hung_up: false,
            sent: 0,
            caller: None,
            verifier: None,
            chain: Chain::default(),
            unacked: 0,
            inbox: Vec::new(),
            key: String::new(),
            cutter: Cutter::new(Marks::WebSocket, false),
            owed: Owed::default(),
            opened_ns: 0,
            framed: false,
            last_frame_ns: 0,
            sequence: 0,
            resting: false,
            owing: false,
            measured_frames: 0,
        }
    }

    /// TCP stands: puts what opens the stream into the outbox.
    pub fn shake_hands(&mut self, see: &mut Sight<'_>) {
        self.phase = Phase::Handshake;
        self.acted_ns = see.now_ns;
        let mut first = match see.group.target.transport {
            Transport::WebSocket => {
                let (request, key) = handshake::request(&see.group.target);
                self.key = key;
                request
            }
            Transport::Tcp => handshake::hello(&see.group.protocol),
        };
        if see.group.behaviour == Behaviour::HalfOpen {
            first.truncate(first.len() / 2);
        }
        self.outbox = first;
        if see.group.target.transport == Transport::Tcp && see.group.behaviour != Behaviour::HalfOpen {
            self.open(see);
        }
    }

    fn open(&mut self, see: &mut Sight<'_>) {
        self.phase = Phase::Open;
        (self.inbox, self.key) = (Vec::new(), String::new());
        (self.opened_ns, self.last_frame_ns, self.sequence) = (see.now_ns, 0, 0);
        (self.framed, self.resting) = (false, false);
        self.acted_ns = see.now_ns;
        see.record.record(Timing::Connect, see.now_ns.saturating_sub(self.scheduled_ns), 1);
        see.record.count(Count::Connected, 1);
        let marks = match (see.group.target.transport, &see.group.protocol) {
            (Transport::WebSocket, _) => Marks::WebSocket,
            (Transport::Tcp, Protocol::Swarmcast { .. } | Protocol::Compact(_)) => Marks::Swarmcast,
            (Transport::Tcp, Protocol::Generic { framing, .. }) => Marks::Plain(*framing),
            (Transport::Tcp, Protocol::JsonRpc(_)) => Marks::Plain(plan::Framing::Line),
        };
        let calls = matches!(see.group.protocol, Protocol::JsonRpc(_));
        self.verifier = Checker::of(see.group, self.number).map(Box::new);
        self.cutter = Cutter::new(marks, self.verifier.is_some() || calls);
        self.set_rate(see.group.owed_hz, see);
        (self.chain, self.unacked) = (Chain::default(), 0);
        match &see.group.protocol {
            Protocol::Generic { hello, .. } => {
                for text in hello {
                    let mask = see.rng.u32(..).to_le_bytes();
                    push_text(&see.group.protocol, see.group.target.transport, text.as_bytes(), mask, &mut self.outbox);
                }
            }
            Protocol::JsonRpc(calls) => self.caller = Some(Box::new(Caller::new(calls, &mut self.outbox))),
            Protocol::Swarmcast { .. } | Protocol::Compact(_) => {}
        }
    }

    /// From now on the server owes so many frames a second.
    fn set_rate(&mut self, rate_hz: Option<f64>, see: &mut Sight<'_>) {
        let Some(rate_hz) = rate_hz else { return };
        self.owed.set_rate(Some(rate_hz));
        if !self.owing {
            self.owing = true;
            see.record.count(Count::Owing, 1);
        }
    }

    /// Takes what was read.
    ///
    /// # Errors
    /// [`Ended`] when the connection is of no more use.
    pub fn take(&mut self, mut bytes: &[u8], see: &mut Sight<'_>) -> Result<(), Ended> {
        if self.phase == Phase::Handshake {
            self.inbox.extend_from_slice(bytes);
            match handshake::answer(&self.inbox, &self.key) {
                Answer::Partial => return Ok(()),
                Answer::Refused(kind) => return Err(Ended(kind)),
                Answer::Accepted(length) => {
                    // What came with the answer belongs to the stream already.
                    let answer_ends = bytes.len().saturating_sub(self.inbox.len() - length);
                    bytes = bytes.get(answer_ends..).unwrap_or(&[]);
                    self.open(see);
                }
            }
        }
        if !see.draining {
            see.record.count(Count::BytesRead, bytes.len() as u64);
        }
        // The cutter lends its own bytes while the rest of the client is at work.
        let mut cutter = std::mem::replace(&mut self.cutter, Cutter::new(Marks::WebSocket, false));
        let taken = loop {
            match cutter.next(&mut bytes) {
                Ok(Some(message)) => match self.message(message, see) {
                    Ok(()) => {}
                    ended => break ended,
                },
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault.into()),
            }
        };
        self.cutter = cutter;
        taken
    }

    fn message(&mut self, message: Message<'_>, see: &mut Sight<'_>) -> Result<(), Ended> {
        match (message.kind, &see.group.protocol) {
            (Kind::Ping, _) => {
                let mask = see.rng.u32(..).to_le_bytes();
                self.push(see, |out| push_frame(Wrap::Pong, message.bytes, mask, out));
                Ok(())
            }
            (Kind::Pong, _) => {
                if let Some(due) = message.bytes.first_chunk() {
                    let due_ns = u64::from_le_bytes(*due);
                    see.record.record(Timing::RoundTrip, see.now_ns.saturating_sub(due_ns), 1);
                }
                Ok(())
            }
            (Kind::Close, _) => {
                let code = message.bytes.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                let mask = see.rng.u32(..).to_le_bytes();
                let echoed = if code == 1005 { 1000 } else { code };
                self.push(see, |out| push_close(echoed, mask, out));
                Err(Ended(format!("close_{code}")))
            }
            (_, Protocol::JsonRpc(_)) => {
                let caller = self.caller.get_or_insert_default();
                Ok(caller.answer(message.bytes, see.now_ns, see.record, &mut self.outbox)?)
            }
            (Kind::Text, Protocol::Swarmcast { .. } | Protocol::Compact(_)) => {
                see.record.count(Count::OtherMessages, 1);
                self.text(message.bytes, see)
            }
            (Kind::Binary, Protocol::Compact(compact)) => self.chained(message, compact, see),
            (Kind::Binary | Kind::Text, _) => self.frame(message, see),
        }
    }

    fn text(&mut self, text: &[u8], see: &mut Sight<'_>) -> Result<(), Ended> {
        let head = text.get(..HEAD_BYTES).unwrap_or(text);
        if head.windows(GRAPH_CHANGED.len()).any(|part| part == GRAPH_CHANGED) {
            return Ok(());
        }
        let text: ServerText<'_> = serde_json::from_slice(text).map_err(|_| "text_not_json")?;
        let code = || match &text.code {
            Some(serde_json::Value::String(code)) => code.clone(),
            Some(other) => other.to_string(),
            None => "unknown".to_owned(),
        };
        match &*text.kind {
            "pong" => {
                if let Some(due_ns) = text.timestamp {
                    see.record.record(Timing::RoundTrip, see.now_ns.saturating_sub(due_ns), 1);
                }
            }
            // Only our own format says when the server is at rest: in any other, silence may be right.
            "connection_established" | "subscription_confirmed"
                if see.group.protocol.has_header() && see.group.owed_hz.is_none() =>
            {
                self.set_rate(text.rate, see);
            }
            "stream_quality" => {
                see.record.count(Count::Rungs, 1);
                if see.group.owed_hz.is_none() {
                    self.set_rate(text.rate, see);
                }
            }
            "interest_confirmed" => {
                if let (Some(Checker::Chain(verifier)), Some(blocks)) = (self.verifier.as_deref_mut(), &text.blocks) {
                    verifier.keep(blocks);
                }
            }
            "error" => see.record.error(&format!("server_{}", code())),
            "goodbye" => return Err(Ended(format!("close_{}", code()))),
            _ => {}
        }
        Ok(())
    }

    fn frame(&mut self, message: Message<'_>, see: &mut Sight<'_>) -> Result<(), Ended> {
        if let Some(Checker::Full(verifier)) = self.verifier.as_deref_mut() {
            match verifier.check(message.bytes) {
                Ok(_) => {
                    see.record.count(Count::Verified, 1);
                    let full = see.meeting.and_then(|meeting| Some((meeting, FrameHeader::parse(message.bytes).ok()?)));
                    if let Some((meeting, (header, records))) = full {
                        meeting.bring(header, records);
                    }
                }
                Err(wrong) => see.record.error(wrong.kind()),
            }
        }
        let facts = facts(&see.group.protocol, message.bytes, message.length, see.clocks)?;
        if !self.arrived(facts, see) {
            return Ok(());
        }
        if let Some(nodes) = facts.nodes {
            see.record.count(Count::FrameBytes, message.length);
            see.record.count(Count::NodeFrames, u64::from(nodes));
        }
        if let Some(sequence) = facts.sequence {
            self.follow(sequence, see);
        }
        Ok(())
    }

    /// A frame of a time before the connection has come: it is seen, and neither owed nor late.
    fn joined(&mut self, see: &mut Sight<'_>) {
        if !std::mem::replace(&mut self.framed, true) {
            see.record.record(Timing::FirstFrame, see.now_ns.saturating_sub(self.scheduled_ns), 1);
        }
        self.last_frame_ns = see.now_ns;
    }

    /// A frame has come: what was owed, when it came, and what it was late. False when it no longer counts.
    fn arrived(&mut self, facts: Facts, see: &mut Sight<'_>) -> bool {
        let now = see.now_ns;
        let due = facts.due_ns.unwrap_or(now);
        self.owed.come(due, |due, count| miss(see.record, now, see.end_ns, due, count));
        // After the end only what was due before it is still looked for.
        if see.draining && due > see.end_ns {
            return false;
        }
        if !self.framed {
            self.framed = true;
            see.record.record(Timing::FirstFrame, now.saturating_sub(self.scheduled_ns), 1);
        } else if !self.resting {
            see.record.record(Timing::Gap, now.saturating_sub(self.last_frame_ns), 1);
        }
        self.last_frame_ns = now;
        see.record.count(Count::Delivered, 1);
        see.record.count(Count::Owed, u64::from(self.owed.is_known()));
        see.record.count(Count::Sequenced, u64::from(facts.sequence.is_some()));
        self.measured_frames += u64::from(see.measured);
        self.time(facts, see);
        self.resting = facts.resting;
        if facts.resting {
            self.owed.rest();
        }
        true
    }

    fn follow(&mut self, sequence: u64, see: &mut Sight<'_>) {
        if sequence <= self.sequence {
            see.record.error(if sequence == self.sequence { "frame_twice" } else { "frame_order" });
            return;
        }
        if self.sequence > 0 {
            see.record.count(Count::Conflated, sequence - self.sequence - 1);
        }
        self.sequence = sequence;
    }

    fn time(&self, facts: Facts, see: &mut Sight<'_>) {
        let (Some(due), Some(published)) = (facts.due_ns, facts.published_ns) else { return };
        if published > see.now_ns + FUTURE_NS + see.clocks.error_ns {
            see.record.error("stamp_in_the_future");
            return;
        }
        if self.owed.is_known() {
            see.record.record(Timing::Latency, see.now_ns.saturating_sub(due), 1);
        }
        see.record.record(Timing::LatencyRaw, see.now_ns.saturating_sub(published), 1);
    }

    /// Whether frames that were due within the run are still awaited.
    #[must_use]
    pub fn awaits(&self, end_ns: u64) -> bool {
        let waits = self.phase == Phase::Open && !self.deaf;
        waits && (!self.owed.is_met(end_ns) || self.caller.as_ref().is_some_and(|caller| caller.is_waiting()))
    }

    /// The connection is over, wanted or not; `measured_ns` is how much of it since [`Client::opened_ns`] counts.
    pub fn close(&mut self, why: Close, measured_ns: u64, see: &mut Sight<'_>) {
        if self.phase == Phase::Open && measured_ns > 0 {
            // Per 1,000 s.
            let rate = self.measured_frames as f64 * 1e12 / measured_ns as f64;
            see.record.record(Timing::ClientRate, rate as u64, 1);
        }
        let since = (self.opened_ns > 0 && !self.framed).then_some(self.opened_ns);
        let (now, end) = (see.now_ns, see.end_ns);
        let owed_until = match why {
            // It is still owed what does not come while it is cut off: that shows when it is back, or at the end.
            Close::Lost => None,
            Close::Left => Some(now.saturating_sub(LEAVE_GRACE_NS)),
            Close::Over => Some(end.min(now)),
        };
        if let Some(until) = owed_until {
            self.owed.finish(since, until, |due, count| miss(see.record, now, end, due, count));
            self.owed.rest();
            // Nothing is owed for this connection a second time.
            self.opened_ns = 0;
        }
        if let (Some(caller), Protocol::JsonRpc(calls)) = (&mut self.caller, &see.group.protocol) {
            let kind = if why == Close::Lost { "call_connection_lost" } else { "call_unanswered" };
            caller.sweep(calls, Some(kind), now, see.record);
        }
        (self.caller, self.verifier) = (None, None);
        self.phase = Phase::Away;
        self.measured_frames = 0;
        self.stream = None;
        (self.outbox, self.inbox) = (Vec::new(), Vec::new());
        (self.hung_up, self.deaf, self.allowance) = (false, false, 0);
        self.cutter = Cutter::new(Marks::WebSocket, false);
    }

    /// When the connection opened, monotonic ns.
    #[must_use]
    pub fn opened_ns(&self) -> u64 {
        self.opened_ns
    }

    /// Message `self.sent` of its group was due at `due_ns`: puts it into the outbox.
    pub fn send(&mut self, sending: &Sending, due_ns: u64, see: &mut Sight<'_>) {
        let count = self.sent;
        self.sent += 1;
        see.record.count(Count::MessagesDue, 1);
        let mask = see.rng.u32(..).to_le_bytes();
        let text = super::write::text(sending, self.number, count, due_ns);
        let (protocol, transport) = (&see.group.protocol, see.group.target.transport);
        let fits = self.push(see, |out| match &text {
            Some(text) => push_text(protocol, transport, text.as_bytes(), mask, out),
            None => push_frame(Wrap::Ping, &due_ns.to_le_bytes(), mask, out),
        });
        if fits {
            see.record.count(Count::MessagesSent, 1);
        }
    }

    /// A call was due at `due_ns`.
    pub fn call(&mut self, calls: &plan::Calls, due_ns: u64, see: &mut Sight<'_>) {
        let full = self.outbox.len() > OUTBOX_BYTES_MAX;
        match &mut self.caller {
            Some(caller) if self.phase == Phase::Open && !full => {
                caller.call(calls, see.rng, due_ns, see.now_ns, see.record, &mut self.outbox);
            }
            _ => {
                see.record.count(Count::CallsDue, 1);
                see.record.count(Count::CallsFailed, 1);
                see.record.error(if full { "outbox_full" } else { "call_not_connected" });
            }
        }
    }

    /// Puts bytes into the outbox, unless it is full.
    fn push(&mut self, see: &mut Sight<'_>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let fits = self.outbox.len() <= OUTBOX_BYTES_MAX;
        if fits {
            write(&mut self.outbox);
        } else {
            see.record.error("outbox_full");
        }
        fits
    }
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The server or the network ended it, or it could not be made.
    Lost,
    /// The schedule or the client's own behaviour ended it.
    Left,
    /// The run is over.
    Over,
}

/// Periods without a frame of their own: their client has had an old picture until now.
fn miss(record: &mut Record, now_ns: u64, end_ns: u64, due_ns: u64, count: u64) {
    if due_ns <= end_ns {
        record.count(Count::Missing, count);
        record.record(Timing::Latency, now_ns.saturating_sub(due_ns), count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_frame(sequence: u64, due_ns: u64) -> Vec<u8> {
        use swarmcast::wire::{FrameHeader, KIND_FULL, MAGIC, VERSION, tcp_prefix};
        use zerocopy::IntoBytes;
        let header = FrameHeader {
            magic: MAGIC,
            version: VERSION,
            kind: KIND_FULL,
            sequence: sequence.into(),
            tick_ns: due_ns.into(),
            published_ns: (due_ns + 1_000_000).into(),
            ..FrameHeader::default()
        };
        [&tcp_prefix(64)[..], header.as_bytes()].concat()
    }

    /// The figures of a TCP client that gets `frames` as (arrival ms, bytes), until 1 s.
    fn figures(frames: &[(u64, Vec<u8>)]) -> Record {
        let group = crate::generate::tests::group("tcp://127.0.0.1:1");
        let timings = [Timing::Latency, Timing::LatencyRaw, Timing::Gap, Timing::FirstFrame, Timing::Connect];
        let mut record = Record::with(&timings);
        let mut rng = Rng::with_seed(1);
        let mut client = Client::new(0, 0);
        let mut see = Sight {
            group: &group,
            record: &mut record,
            now_ns: 1,
            measured: true,
            end_ns: 1_000_000_000,
            draining: false,
            clocks: Clocks { offset_ns: 0, error_ns: 0, unix_ns: 0 },
            meeting: None,
            rng: &mut rng,
        };
        client.shake_hands(&mut see);
        client.set_rate(Some(100.0), &mut see);
        for (ms, bytes) in frames {
            see.now_ns = ms * 1_000_000;
            client.take(bytes, &mut see).unwrap();
        }
        see.now_ns = 1_000_000_000;
        client.close(Close::Over, 1, &mut see);
        record
    }

    #[test]
    fn a_stall_is_in_the_corrected_histogram_in_full_and_not_in_the_raw_one() {
        // 100 Hz for a second; the server stalls from 500 to 580 ms and skips its ticks. Each frame is 2 ms late.
        let due = (0..=100).map(|tick| tick * 10).filter(|due| !(500..580).contains(due));
        let frames: Vec<_> =
            due.enumerate().map(|(place, due)| (due + 2, own_frame(place as u64 + 1, due * 1_000_000))).collect();
        let record = figures(&frames);
        let (latency, raw) = (record.timing(Timing::Latency).unwrap(), record.timing(Timing::LatencyRaw).unwrap());
        assert_eq!((record.of(Count::Missing), record.of(Count::Conflated)), (8, 0));
        assert_eq!(latency.len(), 101);
        assert!((82_000_000..83_000_000).contains(&latency.max()), "{}", latency.max());
        assert!(raw.max() < 1_100_000);
        for late in [12, 22, 32, 42, 52, 62, 72, 82] {
            assert_eq!(latency.count_between(late * 1_000_000 - 100_000, late * 1_000_000 + 100_000), 1, "{late} ms");
        }
    }

    #[test]
    fn frames_left_out_by_the_server_are_conflated_and_missing() {
        let frames: Vec<_> = (1..=100_u64)
            .filter(|tick| tick % 10 != 0)
            .map(|tick| (tick * 10, own_frame(tick, tick * 10_000_000)))
            .collect();
        let record = figures(&frames);
        assert_eq!(record.of(Count::Delivered), 90);
        assert_eq!(record.of(Count::Conflated), 9, "the last one has no frame after it that shows it");
        assert_eq!(record.of(Count::Missing), 10);
    }

    #[test]
    fn order_and_doubles_are_errors() {
        let frames = [1, 2, 2, 4, 3, 5].map(|tick| (tick * 10 + 1, own_frame(tick, tick * 10_000_000)));
        let record = figures(&frames);
        assert_eq!((record.errors.get("frame_twice"), record.errors.get("frame_order")), (Some(&1), Some(&1)));
        assert_eq!(record.of(Count::Conflated), 1);
    }

    #[test]
    fn a_frame_that_comes_allocates_nothing_in_whatever_pieces() {
        let group = crate::generate::tests::group("tcp://127.0.0.1:1");
        let mut record = Record::with(&crate::generate::timings_of(&group));
        let mut rng = Rng::with_seed(1);
        let mut client = Client::new(0, 0);
        let mut see = Sight {
            group: &group,
            record: &mut record,
            now_ns: 1,
            measured: true,
            end_ns: u64::MAX,
            draining: false,
            clocks: Clocks { offset_ns: 0, error_ns: 0, unix_ns: 0 },
            meeting: None,
            rng: &mut rng,
        };
        client.shake_hands(&mut see);
        client.set_rate(Some(100.0), &mut see);
        let stream: Vec<u8> = (1..=1_000).flat_map(|tick| own_frame(tick, tick * 10_000_000)).collect();
        let taken = allocation_counter::measure(|| {
            for (place, piece) in stream.chunks(37).enumerate() {
                see.now_ns = 12_000_000_000 + place as u64;
                client.take(piece, &mut see).unwrap();
            }
        });
        assert_eq!(taken.count_total, 0, "{taken:?}");
        assert_eq!(record.of(Count::Delivered), 1_000);
    }

    #[test]
    fn a_stamp_from_the_future_is_no_latency() {
        let record = figures(&[(10, own_frame(1, 500_000_000))]);
        assert_eq!(record.errors.get("stamp_in_the_future"), Some(&1));
        assert!(record.timing(Timing::LatencyRaw).unwrap().is_empty());
    }
}
