//! Swarmcast's stream, spoken by the fake server: turns on an exact grid, and one planned act a turn.

mod chain;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use swarmcast::wire::{
    FLAG_HEARTBEAT, FLAG_SETTLED, FrameHeader, KIND_FULL, MAGIC, NodeRecord, Profile, ServerMessage, VERSION,
    encode_frame, parse_hello,
};
use swarmcast_load::clock::{SECOND_NS, monotonic_ns};
use zerocopy::IntoBytes;

pub use chain::{ChainAct, ChainPlan};

use super::{Connection, End, Pen, Script, Sent, Transport, lock, ns, reset, sleep_until, ws};

/// What a turn does. Turn 0 is the first frame of a connection, which is sent at once.
#[derive(Clone)]
pub enum Act {
    /// The frame, when it is due.
    Send,
    /// No frame; the sequence counts it.
    LeaveOut,
    /// Nothing for so long, then the newest frame that is due; those before it are left out. `counted`: by the
    /// sequence too.
    Stall { length: Duration, counted: bool },
    /// After the next one.
    Swap,
    /// Two times.
    Twice,
    /// With other contents.
    Edit(fn(&mut FrameHeader, &mut Vec<NodeRecord>)),
    /// With a mask.
    Masked,
    /// In three fragments with a ping between them.
    Pieces,
    /// Half of it, then the end of the connection.
    Cut,
    /// A close frame (a `goodbye` on TCP) with this code in its place, then the end of the connection.
    Close(u16),
    /// A reset in its place.
    Reset,
    /// The end of the connection in its place, without a close frame.
    Fin,
    /// Nothing ever after.
    Silence,
    /// A ping frame in front of it.
    Ping(Vec<u8>),
    /// A text in front of it.
    Text(String),
    /// A subscription to another rate is confirmed in front of it, and holds from then on.
    Confirm(u16),
    /// These bytes in its place.
    Bytes(Vec<u8>),
}

/// A stream of frames.
#[derive(Clone)]
pub struct Stream {
    /// Turns of the simulation a second.
    pub tick_hz: u64,
    /// The rate that is confirmed at most; the grid has `tick_hz` all the same.
    pub rate_hz_max: u64,
    /// From the moment a frame is due to the one that its publish stamp names.
    pub publish_after: Duration,
    /// From the moment a frame is due to the one at which it is sent.
    pub send_after: Duration,
    /// From the handshake to the first frame; the longest `Duration` never sends one.
    pub first_after: Duration,
    pub nodes: u32,
    /// From this turn on the simulation is at rest, and a frame is sent so often.
    pub settle: Option<(u64, Duration)>,
    /// A client that takes no more bytes gets the newest frame when it can, as the protocol has it. Without it, every
    /// frame is sent, however late, so that noise of the machine leaves counts as they were planned.
    pub conflate: bool,
    /// What a turn does.
    pub act: Arc<dyn Fn(u64) -> Act + Send + Sync>,
    /// For those who ask for the compact profile.
    pub chain: ChainPlan,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            tick_hz: 60,
            rate_hz_max: 60,
            publish_after: Duration::ZERO,
            send_after: Duration::ZERO,
            first_after: Duration::ZERO,
            nodes: 8,
            settle: None,
            conflate: false,
            act: Arc::new(|_| Act::Send),
            chain: ChainPlan::default(),
        }
    }
}

/// What a client asked for.
pub struct Asked {
    profile: Profile,
    rate_hz: Option<u64>,
}

/// Reads the query or the sub-protocol of a request head, or a hello line.
pub fn asked(opening: &str) -> Asked {
    if let Ok(hello) = serde_json::from_str::<Value>(opening.trim_end()) {
        let profile = hello["profile"].as_str().and_then(Profile::from_name);
        return Asked { profile: profile.unwrap_or(Profile::Own), rate_hz: hello["rate"].as_u64() };
    }
    let path = opening.split(' ').nth(1).unwrap_or("");
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let field = |name| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    let offered = ws::header(opening, "Sec-WebSocket-Protocol").unwrap_or("");
    let by_query = field("profile").and_then(|(_, name)| Profile::from_name(name));
    let profile = by_query.or_else(|| offered.split(',').find_map(|name| Profile::from_name(name.trim())));
    let rate_hz = field("rate").and_then(|(_, rate)| rate.parse().ok());
    Asked { profile: profile.unwrap_or(Profile::Own), rate_hz }
}

/// Answers what a client says in text: pings, subscriptions. The rest is only kept.
pub(super) fn converse(pen: &Pen, script: &Script, text: &str, rate: &AtomicU64) {
    let message: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    match message["type"].as_str().unwrap_or(text) {
        "ping" => {
            let Some(after) = script.pong_after else { return };
            let server_ns = monotonic_ns().saturating_add_signed(script.clock_ahead_ns);
            thread::sleep(after);
            let pong = json!({"type": "pong", "timestamp": message["timestamp"], "server_ns": server_ns});
            pen.text(pong.to_string().as_bytes());
        }
        "subscribe_position_updates" => {
            if let Some(asked) = message["rate"].as_u64() {
                rate.store(asked, Ordering::SeqCst);
            }
        }
        _ => {}
    }
}

/// Where a connection is in its stream.
struct Player<'all> {
    stream: &'all Stream,
    pen: &'all Pen,
    transport: Transport,
    profile: Profile,
    rate_hz: u64,
    clock_ahead_ns: i64,
    /// When tick 0 was due.
    origin_ns: u64,
    /// Frames that the sequence does not count.
    uncounted: u64,
    /// Another rate is another class.
    class: u16,
    /// Held back by [`Act::Swap`].
    held: Option<(Vec<u8>, Sent)>,
}

impl Stream {
    /// Plays to the end of the connection, of the script or of the server.
    pub(super) fn play(&self, pen: &Pen, connection: &Connection, asked: &Asked, rate: &AtomicU64) {
        let mut player = self.greet(pen, connection, asked);
        if self.first_after == Duration::MAX {
            return;
        }
        thread::sleep(self.first_after);
        if asked.profile == Profile::Compact {
            return player.chain(connection);
        }
        let mut slot = player.newest();
        for turn in 0.. {
            let wanted = rate.swap(0, Ordering::SeqCst);
            if wanted > 0 {
                slot = player.confirm(wanted.min(self.rate_hz_max), slot);
            }
            sleep_until(player.due_ns(slot) + ns(self.send_after));
            if connection.over() {
                return;
            }
            if self.settle.is_some_and(|(from, _)| turn >= from) {
                return player.rest(connection, turn);
            }
            let at = if self.conflate { player.newest().max(slot) } else { slot };
            player.skip(turn, at - slot);
            let Some(next) = player.turn(turn, at) else { return };
            slot = next;
        }
    }

    /// Greets, sends the one frame of a world at rest, and leaves the connection as it is.
    pub(super) fn park(&self, pen: &Pen, connection: &Connection, asked: &Asked) {
        let mut player = self.greet(pen, connection, asked);
        player.settled_frame(0, FLAG_SETTLED, player.newest());
    }

    fn greet<'all>(&'all self, pen: &'all Pen, connection: &Connection, asked: &Asked) -> Player<'all> {
        let rate_hz = asked.rate_hz.unwrap_or(self.tick_hz).min(self.rate_hz_max).min(self.tick_hz).max(1);
        let transport = connection.shared.transport;
        let greeting = ServerMessage::ConnectionEstablished {
            timestamp: swarmcast_load::clock::realtime_ns() / 1_000_000,
            session: connection.index + 1,
            class: 0,
            profile: asked.profile.name(),
            rate: rate_hz as u16,
            tick_rate: self.tick_hz as u16,
            dimensions: 3,
            bits: None,
            epoch: 1,
            version: 0,
            settings: swarmcast::wire::SettingsState { version: 1, hash: "".into() },
            node_count: self.nodes,
            edge_count: 0,
            is_reconnection: false,
            state_sync_sent: false,
            repulsion_error_max: 0.0,
            protocol: swarmcast::wire::Protocol::default(),
        };
        pen.text(&greeting.to_vec());
        Player {
            stream: self,
            pen,
            transport,
            profile: asked.profile,
            rate_hz,
            clock_ahead_ns: connection.script.clock_ahead_ns,
            origin_ns: connection.shared.origin_ns,
            uncounted: 0,
            class: 0,
            held: None,
        }
    }
}

impl Player<'_> {
    /// Frames are due at slots: slot `n` of a rate is the tick `n * tick_hz / rate`, rounded up.
    fn tick(&self, slot: u64) -> u64 {
        (slot * self.stream.tick_hz).div_ceil(self.rate_hz)
    }

    fn due_ns(&self, slot: u64) -> u64 {
        self.origin_ns + self.tick(slot) * SECOND_NS / self.stream.tick_hz
    }

    /// The newest slot whose frame could have been sent by now.
    fn newest(&self) -> u64 {
        let ago = monotonic_ns().saturating_sub(self.origin_ns + ns(self.stream.send_after));
        let mut slot = ago * self.rate_hz / SECOND_NS;
        while slot > 0 && self.due_ns(slot) + ns(self.stream.send_after) > monotonic_ns() {
            slot -= 1;
        }
        slot
    }

    /// Counts `slots` turns from `turn` on as left out.
    fn skip(&self, turn: u64, slots: u64) {
        if slots > 0 {
            self.pen.note(|seen| seen.left_out.extend((0..slots).map(|_| turn)));
        }
    }

    fn confirm(&mut self, rate_hz: u64, slot: u64) -> u64 {
        let due_ns = self.due_ns(slot);
        let sequence = self.sequence(slot);
        self.rate_hz = rate_hz;
        self.class += 1;
        let confirmed = ServerMessage::SubscriptionConfirmed {
            interval: (1_000 / rate_hz) as u32,
            rate: rate_hz as u16,
            binary: true,
            class: self.class,
            profile: self.profile.name(),
        };
        self.pen.text(&confirmed.to_vec());
        let mut slot = self.newest();
        while self.due_ns(slot) < due_ns {
            slot += 1;
        }
        // The sequence goes on as if nothing had been left out.
        self.uncounted = slot.saturating_add(1).saturating_sub(sequence);
        slot
    }

    fn sequence(&self, slot: u64) -> u64 {
        slot + 1 - self.uncounted
    }

    fn header(&self, slot: u64) -> FrameHeader {
        let due_ns = self.due_ns(slot);
        let shifted = |at_ns: u64| at_ns.saturating_add_signed(self.clock_ahead_ns);
        FrameHeader {
            magic: MAGIC,
            version: VERSION,
            kind: KIND_FULL,
            class: self.class.into(),
            epoch: 1.into(),
            sequence: self.sequence(slot).into(),
            tick: self.tick(slot).into(),
            tick_ns: shifted(due_ns).into(),
            published_ns: shifted(due_ns + ns(self.stream.publish_after)).into(),
            ..FrameHeader::default()
        }
    }

    fn payload(&self, mut header: FrameHeader, edit: impl FnOnce(&mut FrameHeader, &mut Vec<NodeRecord>)) -> Vec<u8> {
        let mut nodes: Vec<NodeRecord> = (0..self.stream.nodes).map(|id| node(id, header.tick.get())).collect();
        header.node_count = self.stream.nodes.into();
        header.body_bytes = (self.stream.nodes * size_of::<NodeRecord>() as u32).into();
        edit(&mut header, &mut nodes);
        if self.profile == Profile::Own {
            return [header.as_bytes(), nodes.as_bytes()].concat();
        }
        encode_frame(self.profile, header.sequence.get(), &nodes)
    }

    /// Writes a frame and puts it on record; `false` when the connection is gone.
    fn send(&mut self, bytes: &[u8], mut sent: Sent) -> bool {
        sent.sent_ns = monotonic_ns();
        let written = self.pen.write(bytes);
        if written {
            self.pen.note(|seen| seen.sent.push(sent));
        }
        let held = self.held.take();
        written && held.is_none_or(|(bytes, sent)| self.send(&bytes, sent))
    }

    /// One turn; the next slot, or `None` when nothing comes any more.
    fn turn(&mut self, turn: u64, slot: u64) -> Option<u64> {
        let transport = self.transport;
        let header = self.header(slot);
        let sent = Sent { turn, sequence: self.sequence(slot), due_ns: self.due_ns(slot), sent_ns: 0 };
        let plain = self.payload(header, |_, _| ());
        let whole = ws::binary(transport, &plain);
        let alive = match (self.stream.act)(turn) {
            Act::Send => self.send(&whole, sent),
            Act::LeaveOut => {
                self.skip(turn, 1);
                true
            }
            Act::Stall { length, counted } => return self.stall(turn, slot, length, counted),
            Act::Swap => {
                self.held = Some((whole, sent));
                true
            }
            Act::Twice => self.send(&whole, sent) && self.send(&whole, sent),
            Act::Edit(edit) => {
                let edited = self.payload(header, edit);
                self.send(&ws::binary(transport, &edited), sent)
            }
            Act::Masked => self.send(&ws::masked(&plain), sent),
            Act::Pieces => self.send(&ws::in_pieces(&plain), sent),
            Act::Cut => {
                self.pen.write(&whole[..whole.len() / 2]);
                return self.leave();
            }
            Act::Close(code) => {
                // Before the client can answer it.
                self.pen.end(End::Ours);
                let goodbye = json!({"type": "goodbye", "code": code, "reason": "planned"}).to_string();
                self.pen.write(&match transport {
                    Transport::WebSocket => ws::close(code),
                    Transport::Tcp => ws::text(transport, goodbye.as_bytes()),
                });
                return self.leave();
            }
            Act::Reset => {
                self.pen.end(End::Ours);
                reset(&lock(&self.pen.socket));
                return None;
            }
            Act::Fin => return self.leave(),
            Act::Silence => return None,
            Act::Ping(payload) => self.pen.write(&ws::frame(true, ws::PING, &payload)) && self.send(&whole, sent),
            Act::Text(text) => self.pen.text(text.as_bytes()) && self.send(&whole, sent),
            Act::Confirm(rate_hz) => return Some(self.confirm(u64::from(rate_hz), slot)),
            Act::Bytes(bytes) => self.pen.write(&bytes),
        };
        alive.then_some(slot + 1)
    }

    /// Ends our half in good order; what the client still says is read.
    fn leave(&self) -> Option<u64> {
        self.pen.end(End::Ours);
        let _ = lock(&self.pen.socket).shutdown(std::net::Shutdown::Write);
        None
    }

    /// The stall of a server: nothing leaves it, and then what is newest by now, published now.
    fn stall(&mut self, turn: u64, slot: u64, length: Duration, counted: bool) -> Option<u64> {
        let until_ns = self.due_ns(slot) + ns(length);
        sleep_until(until_ns);
        let mut newest = slot;
        // By the plan, not by the clock: a machine that oversleeps must not move the frame that ends the stall.
        while self.due_ns(newest + 1) <= until_ns {
            newest += 1;
        }
        self.skip(turn, newest - slot);
        self.uncounted += if counted { 0 } else { newest - slot };
        let mut header = self.header(newest);
        header.published_ns = monotonic_ns().saturating_add_signed(self.clock_ahead_ns).into();
        let bytes = ws::binary(self.transport, &self.payload(header, |_, _| ()));
        let sent = Sent { turn, sequence: self.sequence(newest), due_ns: self.due_ns(newest), sent_ns: 0 };
        self.send(&bytes, sent).then_some(newest + 1)
    }

    /// At rest: the last state once, marked as settled, then heartbeats with the same one.
    fn rest(&mut self, connection: &Connection, from: u64) {
        let Some((_, every)) = self.stream.settle else { return };
        let last = self.newest();
        for turn in from.. {
            let flags = if turn == from { FLAG_SETTLED } else { FLAG_SETTLED | FLAG_HEARTBEAT };
            let due_ns = self.due_ns(self.newest());
            if connection.over() || !self.settled_frame(turn, flags, last) {
                return;
            }
            sleep_until(due_ns + ns(every));
        }
    }

    /// The state of slot `last`, sent now.
    fn settled_frame(&mut self, turn: u64, flags: u16, last: u64) -> bool {
        let (now, mut header) = (self.header(self.newest()), self.header(last));
        let due_ns = self.due_ns(self.newest());
        // At rest a sequence counts what is sent.
        let sent = lock(&self.pen.shared.seen)[self.pen.index as usize].sent.last().map(|sent| sent.sequence);
        let sequence = sent.map_or(1, |sequence| sequence + 1);
        (header.sequence, header.flags) = (sequence.into(), flags.into());
        (header.tick_ns, header.published_ns) = (now.tick_ns, now.published_ns);
        let bytes = ws::binary(self.transport, &self.payload(header, |_, _| ()));
        self.send(&bytes, Sent { turn, sequence, due_ns, sent_ns: 0 })
    }
}

/// A node that moves with the tick, within the world.
fn node(id: u32, tick: u64) -> NodeRecord {
    let at = (tick % 1_000) as f32 / 10.0;
    let mut node = NodeRecord { id_flags: id.into(), ..NodeRecord::default() };
    // Each its own way, so that nothing predicts it.
    let shake = ((tick * 7 + u64::from(id) * 13) % 31) as f32 / 20.0;
    node.set_motion([id as f32 + shake, at, -at], [0.0, 6.0, -6.0]);
    node
}
