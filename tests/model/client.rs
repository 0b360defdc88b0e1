//! One client: reads what the kernel took for it, and checks every message against the truth.

use std::rc::Rc;

use serde_json::{Value, json};
use swarmcast::handoff::Transport;
use swarmcast::limits::UNACKED_MAX;
use swarmcast::wire::compact::{BLOCK_NODES, Follower, Info};
use swarmcast::wire::{
    FLAG_PARTIAL, FLAG_TWO_DIMENSIONAL, FrameHeader, KIND_COLUMNS, KIND_DELTA, KIND_INFO, KIND_MARK, KIND_SNAPSHOT,
    Profile, TCP_TEXT_BIT, decode_v2,
};

use super::chance::Chance;
use super::script::Motion;
use super::socket::{Pipe, Shared};

/// What goes out in front of everything on a WebSocket.
pub const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

/// What is true, by tick.
pub struct Truth<'run> {
    pub history: &'run [std::sync::Arc<Vec<Motion>>],
    pub words: &'run [u32],
}

/// Ids are sparse, so that an id taken for an index is noticed.
pub const fn id_of(index: u32) -> u32 {
    index * 7 + 3
}

fn index_of(word: u32) -> usize {
    let id = word & 0x03FF_FFFF;
    assert!(id >= 3 && (id - 3).is_multiple_of(7), "there is no node {id}");
    (id as usize - 3) / 7
}

/// The bound of `PROTOCOL.md` section 6.
fn bound(info: &Info, position: f32, axis: usize) -> f32 {
    let offset = (position - info.origin[axis]).abs();
    info.quantum / 2.0 + info.quantum / 4_096.0 + (4.0 * offset + position.abs()) / (1 << 24) as f32
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Info,
    Columns,
    Snapshot,
    Deltas,
}

/// A message as it came.
enum Message {
    Text(Value),
    Binary(Vec<u8>),
    Close(u16),
    Ping,
    Pong,
}

pub struct Client {
    pub number: u64,
    pub shard: usize,
    pub pipe: Shared,
    chance: Chance,
    transport: Transport,
    pub profile: Profile,
    /// Bytes of what the kernel took that have been looked at.
    parsed: usize,
    greeted: bool,
    /// Class serial, as the client was told.
    class: u16,
    pub rate: u64,
    bits: u8,
    flat: bool,
    pub rung: String,
    stage: Stage,
    pub last: u64,
    begun_tick_ns: u64,
    pub follower: Follower,
    /// Tick of the last state it was shown.
    pub tick: u64,
    /// The oldest that a legacy frame may have shown.
    oldest: u64,
    /// What its interest was confirmed as: blocks, of how many, order.
    pub confirmed: Option<(Vec<usize>, u32)>,
    asked_again: u64,
    // What happened, as the server should have counted it.
    pub frames: u64,
    pub left_out: u64,
    // How it behaves.
    pub stalled_until_ns: u64,
    /// It asked for more than it may leave unread.
    pub flooded: bool,
    read_step: usize,
    ack_every: Option<u64>,
    since_ack: u64,
    /// It has acknowledged something in this class.
    acked: bool,
    beyond: Option<u64>,
    outbox: Vec<u8>,
    pub left: bool,
    pub goodbye: Option<u16>,
    drags: Option<u32>,
    pub trace: Vec<String>,
}

impl Client {
    pub fn new(
        number: u64,
        shard: usize,
        mut chance: Chance,
        transport: Transport,
        profile: Profile,
        nodes: usize,
    ) -> Self {
        let pipe = Pipe::new(chance.split());
        Self {
            number,
            shard,
            pipe,
            transport,
            profile,
            parsed: if transport == Transport::WebSocket { UPGRADE.len() } else { 0 },
            greeted: false,
            class: 0,
            rate: 0,
            bits: 0,
            flat: false,
            rung: "full".to_owned(),
            stage: Stage::Info,
            last: 0,
            begun_tick_ns: 0,
            follower: Follower::new(nodes as u32),
            tick: 0,
            oldest: 0,
            confirmed: None,
            asked_again: 0,
            frames: 0,
            left_out: 0,
            stalled_until_ns: 0,
            flooded: false,
            read_step: chance.pick(&[50, 500, 5_000, usize::MAX, usize::MAX]),
            ack_every: chance.pick(&[None, None, Some(1), Some(10)]),
            since_ack: 0,
            acked: false,
            beyond: None,
            outbox: Vec::new(),
            left: false,
            goodbye: None,
            drags: None,
            trace: Vec::new(),
            chance,
        }
    }

    pub fn transport(&self) -> Transport {
        self.transport
    }

    pub fn is_web_socket(&self) -> bool {
        self.transport == Transport::WebSocket
    }

    /// The server ended it without a word, and not because it had left.
    pub fn was_dropped(&self) -> bool {
        !self.left && self.goodbye.is_none() && self.pipe.borrow().server_gone
    }

    /// What a failure has to tell of it.
    pub fn story(&self, tick: u64) -> String {
        let tail = self.trace.len().saturating_sub(60);
        format!(
            "\nclient {} of shard {} ({:?}, {:?}, {} Hz, {} bits, rung {}): tick {} of {tick}, sequence {}, confirmed {:?}, beyond {:?}\n  {}",
            self.number,
            self.shard,
            self.profile,
            self.transport,
            self.rate,
            self.bits,
            self.rung,
            self.tick,
            self.last,
            self.confirmed,
            self.beyond,
            self.trace[tail..].join("\n  ")
        )
    }

    /// Whether frames can be expected of its connection.
    pub fn is_connected(&self) -> bool {
        !self.left && self.goodbye.is_none() && !self.pipe.borrow().server_gone
    }

    /// Reads, acts now and then, and sends what it has to say.
    pub fn turn(&mut self, now_ns: u64, truth: &Truth<'_>, faults: bool) {
        if !faults {
            self.stalled_until_ns = 0;
            self.read_step = usize::MAX;
            let mut pipe = self.pipe.borrow_mut();
            (pipe.step_max, pipe.refuse_one_in) = (usize::MAX, u64::MAX);
            pipe.capacity = pipe.capacity.max(1 << 20);
        } else if self.is_connected() {
            self.misbehave(now_ns, truth);
        }
        if now_ns >= self.stalled_until_ns {
            let step = self.read_step;
            let mut pipe = self.pipe.borrow_mut();
            pipe.read = pipe.taken.len().min(pipe.read.saturating_add(step));
            let read = pipe.read;
            drop(pipe);
            self.parse(read, truth);
            self.acknowledge();
            self.post(faults);
        }
    }

    /// Looks at the rest of what the kernel took: counted by the server, whether or not it was read.
    pub fn drain(&mut self, truth: &Truth<'_>) {
        let taken = self.pipe.borrow().taken.len();
        self.parse(taken, truth);
    }

    fn misbehave(&mut self, now_ns: u64, truth: &Truth<'_>) {
        let nodes = truth.words.len();
        match self.chance.range(0, 2_999) {
            0..8 => {
                let long = if self.chance.one_in(8) { 4_000 } else { 700 };
                self.stalled_until_ns = now_ns + self.chance.range(20, long) * 1_000_000;
            }
            8..14 => self.read_step = self.chance.pick(&[1, 50, 500, 5_000, usize::MAX]),
            14..24 => {
                let mut pipe = self.pipe.borrow_mut();
                pipe.step_max = self.chance.pick(&[1, 2, 20, 100, 1_000, usize::MAX]);
                pipe.refuse_one_in = self.chance.pick(&[2, 5, 50, u64::MAX]);
            }
            24..32 => {
                let rate = self.chance.pick(&[60, 30, 20, 7]);
                self.say(&json!({"type": "subscribe_position_updates", "rate": rate}));
            }
            32..42 => {
                self.asked_again += 1;
                self.say(&json!({"type": "request_full_snapshot"}));
            }
            42..46 => self.ack_every = self.chance.pick(&[None, Some(1), Some(3), Some(10)]),
            46..64 if self.profile.is_chain() => self.ask_interest(nodes),
            64..72 => {
                let node = self.drags.unwrap_or_else(|| id_of(self.chance.size(0, nodes - 1) as u32));
                self.drags = Some(node);
                let at = [self.chance.unit() * 500.0, self.chance.unit() * 500.0, 1.0];
                self.say(&json!({"type": "nodeDragUpdate", "nodeId": node, "position": at}));
            }
            72..75 => {
                if let Some(node) = self.drags.take() {
                    let pin = self.chance.one_in(2);
                    self.say(&json!({"type": "nodeDragEnd", "nodeId": node, "pin": pin}));
                }
            }
            75..78 => {
                let node = id_of(self.chance.size(0, nodes - 1) as u32);
                let pinned = self.chance.one_in(2);
                self.say(&json!({"type": "pinNode", "nodeId": node, "pinned": pinned}));
            }
            78..84 => self.say(&json!({"type": "ping", "timestamp": 7})),
            84..86 => self.say(&json!({"type": "latency"})),
            86 => self.ask_too_much(),
            87 => {
                self.pipe.borrow_mut().break_off();
                self.left = true;
            }
            88 => self.leave(),
            _ => {}
        }
    }

    /// More questions than answers fit into what a client may leave unread.
    fn ask_too_much(&mut self) {
        self.flooded = true;
        for _ in 0..self.chance.size(10, 1_500) {
            self.say(&json!({"type": "ping", "timestamp": 123_456_789}));
        }
    }

    fn ask_interest(&mut self, nodes: usize) {
        let blocks = nodes.div_ceil(BLOCK_NODES);
        let block = self.chance.size(0, blocks - 1);
        let ask = match self.chance.range(0, 6) {
            0 => json!({"type": "interest", "all": true}),
            1 => json!({"type": "interest", "blocks": [block]}),
            2 => json!({"type": "interest", "blocks": [block, self.chance.size(0, blocks - 1)]}),
            3 => json!({"type": "interest", "ids": [id_of(self.chance.size(0, nodes - 1) as u32)]}),
            4 => json!({"type": "interest", "sphere": {"center": [50, 0, 0], "radius": self.chance.range(1, 150)}}),
            5 => json!({"type": "interest", "frustum": {"planes": [[1, 0, 0, 0]]}, "max_nodes": BLOCK_NODES + 1}),
            _ => json!({"type": "interest", "classes": ["agent"]}),
        };
        self.say(&ask);
    }

    pub fn leave(&mut self) {
        self.left = true;
        match self.transport {
            Transport::WebSocket if self.chance.one_in(2) => {
                let frame = [0x88, 0x82, 0, 0, 0, 0, 3, 0xE8];
                self.pipe.borrow_mut().send(self.outbox.drain(..).chain(frame));
            }
            // A TCP client that ends its half goes on watching.
            Transport::Tcp => self.pipe.borrow_mut().break_off(),
            Transport::WebSocket => self.pipe.borrow_mut().finish(),
        }
    }

    pub fn say(&mut self, message: &Value) {
        let text = message.to_string();
        match self.transport {
            Transport::Tcp => {
                self.outbox.extend(text.bytes());
                self.outbox.push(b'\n');
            }
            Transport::WebSocket => self.frame(0x81, text.as_bytes()),
        }
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        assert!(payload.len() < 65_536);
        self.outbox.push(first);
        match payload.len() {
            0..126 => self.outbox.push(0x80 | payload.len() as u8),
            _ => {
                self.outbox.push(0x80 | 126);
                self.outbox.extend((payload.len() as u16).to_be_bytes());
            }
        }
        let mask = (self.chance.next() as u32).to_le_bytes();
        self.outbox.extend(mask);
        self.outbox.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// Sends what it has to say, cut anywhere.
    fn post(&mut self, faults: bool) {
        if self.outbox.is_empty() || self.left {
            return;
        }
        let whole = !faults || self.chance.one_in(3);
        let count = if whole { self.outbox.len() } else { self.chance.size(1, self.outbox.len()) };
        self.pipe.borrow_mut().send(self.outbox.drain(..count));
    }

    fn acknowledge(&mut self) {
        if self.last == 0 || self.ack_every.is_none_or(|every| self.since_ack < every) {
            return;
        }
        let pipe = self.pipe.borrow();
        // The bound holds from the first acknowledgement that the server has seen; what it sent before then is here by now.
        let seen = self.acked && self.outbox.is_empty() && pipe.is_heard() && pipe.read == pipe.taken.len();
        drop(pipe);
        (self.since_ack, self.acked) = (0, true);
        self.beyond = (seen || self.beyond.is_some()).then_some(0);
        self.trace.push(format!("  says that it has {}", self.last));
        if self.transport == Transport::WebSocket && self.chance.one_in(2) {
            let mut ack = vec![0x34];
            ack.extend(self.last.to_le_bytes());
            ack.extend([0; 12]);
            self.frame(0x82, &ack);
        } else {
            self.say(&json!({"type": "ack", "sequence": self.last}));
        }
    }

    /// Goes on acknowledging, as a client must that has begun to.
    pub fn recover(&mut self) {
        if self.acked {
            (self.ack_every, self.since_ack) = (Some(10), 10);
        }
        if let Some(node) = self.drags.take() {
            self.say(&json!({"type": "nodeDragEnd", "nodeId": node, "pin": false}));
        }
    }

    fn parse(&mut self, until: usize, truth: &Truth<'_>) {
        let pipe = Rc::clone(&self.pipe);
        let pipe = pipe.borrow();
        loop {
            let bytes = &pipe.taken[self.parsed.min(until)..until];
            let Some((message, length)) = split(bytes, self.transport) else { break };
            self.parsed += length;
            assert!(self.goodbye.is_none(), "a message behind the goodbye");
            match message {
                Message::Text(text) => self.text(&text),
                Message::Binary(bytes) => self.binary(&bytes, truth),
                Message::Close(code) => self.goodbye = Some(code),
                Message::Ping => self.frame(0x8A, b""),
                Message::Pong => {}
            }
        }
        if self.parsed == UPGRADE.len() && self.transport == Transport::WebSocket && until >= UPGRADE.len() {
            assert_eq!(&pipe.taken[..UPGRADE.len()], UPGRADE, "the answer to the upgrade comes first");
        }
    }

    fn text(&mut self, text: &Value) {
        let kind = text["type"].as_str().expect("a text has a type").to_owned();
        assert_eq!(self.greeted, kind != "connection_established", "the greeting comes first, and once: {text}");
        self.trace.push(text.to_string());
        match kind.as_str() {
            "connection_established" => {
                self.greeted = true;
                self.flat = text["dimensions"] == 2;
                self.bits = text["bits"].as_u64().unwrap_or(0) as u8;
                assert_eq!(text["profile"], self.profile.name());
                self.class_told(text);
            }
            "subscription_confirmed" => {
                self.class_told(text);
                // When classes run short another detail may be all there is; only the info says so.
                self.bits = 0;
            }
            "stream_quality" => {
                self.rung = text["rung"].as_str().unwrap().to_owned();
                self.bits = text["bits"].as_u64().unwrap_or(0) as u8;
                self.class_told(text);
            }
            "interest_confirmed" => {
                let runs = text["blocks"].as_array().unwrap().iter();
                let run = |run: &Value| run[0].as_u64().unwrap() as usize..=run[1].as_u64().unwrap() as usize;
                let blocks: Vec<usize> = runs.flat_map(run).collect();
                self.follower.keep(|block| blocks.contains(&block));
                self.confirmed = Some((blocks, text["order"].as_u64().unwrap() as u32));
            }
            "goodbye" => self.goodbye = Some(text["code"].as_u64().unwrap() as u16),
            "error" => assert!(
                ["busy", "rate_limited", "not_dragged", "not_yet", "too_many_drags", "classes"]
                    .contains(&text["code"].as_str().unwrap()),
                "{text}"
            ),
            "pong" | "pin_confirmed" | "physics_paused" | "physics_resumed" | "layout_changed" | "drag_taken"
            | "drag_released" | "latency_report" | "graph_changed" => {}
            other => panic!("{other} is no text of the protocol"),
        }
    }

    fn class_told(&mut self, text: &Value) {
        self.rate = text["rate"].as_u64().unwrap();
        let class = text["class"].as_u64().unwrap() as u16;
        if self.class != class {
            self.class = class;
            (self.stage, self.last, self.acked, self.beyond) = (Stage::Info, 0, false, None);
        }
    }

    fn binary(&mut self, bytes: &[u8], truth: &Truth<'_>) {
        assert!(self.greeted, "the greeting comes before any frame");
        self.frames += 1;
        self.since_ack += 1;
        match self.profile {
            Profile::Compact => self.chain(bytes, truth),
            Profile::Own => {
                let (header, nodes) = FrameHeader::parse(bytes).expect("a whole frame");
                assert_eq!(header.class.get(), self.class, "a frame of the class that the client was told");
                self.full_sequence(header.sequence.get());
                let tick = header.tick.get();
                assert!(tick >= self.tick, "ticks never go back: {tick} after {}{}", self.tick, self.story(tick));
                self.tick = tick;
                let true_nodes = &truth.history[tick as usize];
                assert_eq!(nodes.len(), true_nodes.len());
                for ((node, (position, velocity)), word) in nodes.iter().zip(true_nodes.iter()).zip(truth.words) {
                    let found = (node.id_flags.get(), node.position(), node.velocity());
                    assert_eq!(found, (*word, *position, *velocity), "tick {tick} of a full frame");
                }
            }
            Profile::V2 => {
                let records = decode_v2(bytes).expect("a whole frame");
                let shows = |motions: &[Motion]| {
                    let same = |(record, (position, _)): (&swarmcast::wire::RecordV2, &Motion)| {
                        record.tail.position.map(|x| x.get()) == *position
                    };
                    records.len() == motions.len() && records.iter().zip(motions).all(same)
                };
                // Ticks that look the same are told apart by nobody.
                let later = &truth.history[self.oldest as usize..];
                let newest = later.iter().rposition(|motions| shows(motions));
                let newest = newest.expect("a legacy frame shows a tick that is not before the last one");
                let same = later[..newest].iter().rev().take_while(|motions| shows(motions)).count();
                self.tick = self.oldest + newest as u64;
                self.oldest = self.tick - same as u64;
            }
            other => panic!("no client asks for {other:?}"),
        }
    }

    fn full_sequence(&mut self, sequence: u64) {
        if sequence == self.last {
            assert!(self.asked_again > 0, "sequence {sequence} twice without being asked for");
            self.asked_again -= 1;
            return;
        }
        assert!(sequence > self.last, "sequence {sequence} after {}", self.last);
        if self.last > 0 {
            self.left_out += sequence - self.last - 1;
        }
        self.last = sequence;
        self.trace.push(format!("frame {sequence}"));
        self.spend_credit();
    }

    /// One more frame that is not acknowledged.
    fn spend_credit(&mut self) {
        self.beyond = self.beyond.map(|beyond| beyond + 1);
        if let Some(beyond) = self.beyond {
            assert!(beyond <= UNACKED_MAX as u64, "{beyond} frames beyond the last acknowledged one{}", self.story(0));
        }
    }

    fn chain(&mut self, bytes: &[u8], truth: &Truth<'_>) {
        let before = self.last;
        let header = match self.follower.take(bytes) {
            Ok(header) => *header,
            Err(error) => panic!(
                "{error} at {before}: {:?}{}",
                FrameHeader::parse_compact(bytes).map(|(head, _)| *head),
                self.story(0)
            ),
        };
        let (kind, sequence, tick) = (header.kind, header.sequence.get(), header.tick.get());
        self.trace.push(format!("kind {kind} sequence {sequence} base {} tick {tick}", header.base.get()));
        assert_eq!(header.class.get(), self.class, "a message of the class that the client was told");
        assert_eq!(header.flags.get() & FLAG_TWO_DIMENSIONAL != 0, self.flat);
        let partial = header.flags.get() & FLAG_PARTIAL != 0;
        match (self.stage, kind) {
            (_, KIND_INFO) => {
                self.stage = Stage::Columns;
                self.begun_tick_ns = header.tick_ns.get();
                self.check_info(tick, truth);
            }
            (Stage::Columns, KIND_COLUMNS) => self.stage = Stage::Snapshot,
            (Stage::Snapshot | Stage::Deltas, KIND_SNAPSHOT) => {
                let begins = header.tick_ns.get() == self.begun_tick_ns;
                let entered = self.stage == Stage::Deltas && sequence == before;
                assert!(sequence > before || entered, "a snapshot of {sequence} after {before}");
                if entered && !partial {
                    assert!(
                        self.asked_again > 0 || self.confirmed.is_some(),
                        "{sequence} twice without being asked for"
                    );
                }
                if before > 0 && !entered {
                    self.left_out += sequence - before - u64::from(begins);
                }
                self.stage = Stage::Deltas;
            }
            (Stage::Deltas, KIND_DELTA) => {
                assert_eq!((header.base.get(), sequence), (before, before + 1));
                self.spend_credit();
            }
            (Stage::Deltas, KIND_MARK) => {
                assert_eq!(sequence, before);
                assert!(sequence.is_multiple_of(64), "a mark after {sequence}");
            }
            (stage, kind) => panic!("kind {kind} in stage {stage:?}"),
        }
        if partial {
            let (_, order) = self.confirmed.as_ref().expect("parts go to those who asked for a part");
            assert_eq!(*order, self.follower.info().unwrap().order, "blocks of the order that was confirmed");
        }
        if matches!(kind, KIND_DELTA | KIND_SNAPSHOT) {
            assert!(tick >= self.tick, "ticks never go back: {tick} after {}{}", self.tick, self.story(tick));
            (self.last, self.tick) = (sequence, tick);
            assert!(self.follower.is_live());
            assert_eq!(self.follower.sequence(), sequence);
            self.compare(tick, truth);
        }
    }

    /// The quantum is that of the layout at the tick that the chain begins with.
    fn check_info(&self, tick: u64, truth: &Truth<'_>) {
        let info = self.follower.info().unwrap();
        assert_eq!(info.node_count as usize, truth.words.len());
        let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
        for (position, _) in truth.history[tick as usize].iter() {
            for axis in 0..3 {
                (low[axis], high[axis]) = (low[axis].min(position[axis]), high[axis].max(position[axis]));
            }
        }
        let side = (0..3).map(|axis| high[axis] - low[axis]).fold(0.0, f32::max);
        let fits = |bits: u8| (info.quantum / (side / (1_u32 << bits) as f32).max(1e-4) - 1.0).abs() < 1e-3;
        assert!(
            [10, 12, 14, 16].into_iter().any(|bits| fits(bits) && [0, bits].contains(&self.bits)),
            "a quantum of {} for a side of {side}{}",
            info.quantum,
            self.story(tick)
        );
    }

    /// Every node that is followed is where the server has it.
    pub fn compare(&self, tick: u64, truth: &Truth<'_>) {
        let info = self.follower.info().unwrap();
        let positions = &truth.history[tick as usize];
        for (word, shown, _) in self.follower.nodes() {
            let index = index_of(word);
            assert_eq!(word, truth.words[index]);
            let mut real = positions[index].0;
            if self.flat {
                real[2] = 0.0;
            }
            for axis in 0..3 {
                let (off, bound) = ((shown[axis] - real[axis]).abs(), bound(info, real[axis], axis));
                assert!(
                    off <= bound,
                    "tick {tick}, node {index}, axis {axis}: {shown:?} for {real:?}: {off} > {bound}"
                );
            }
        }
    }

    /// Blocks that it should follow, of `count`.
    pub fn wanted(&self, count: usize) -> Vec<usize> {
        self.confirmed.as_ref().map_or_else(|| (0..count).collect(), |(blocks, _)| blocks.clone())
    }
}

/// The first whole message of a stream, and its length.
fn split(bytes: &[u8], transport: Transport) -> Option<(Message, usize)> {
    match transport {
        Transport::Tcp => {
            let word = u32::from_le_bytes(bytes.get(..4)?.try_into().unwrap());
            let length = 4 + (word & !TCP_TEXT_BIT) as usize;
            let body = bytes.get(4..length)?;
            let text = word & TCP_TEXT_BIT != 0;
            let message = if text { Message::Text(parsed(body)) } else { Message::Binary(body.to_vec()) };
            Some((message, length))
        }
        Transport::WebSocket => {
            let (first, second) = (*bytes.first()?, *bytes.get(1)?);
            let (head, length) = match second {
                126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()) as usize),
                127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
                short => (2, usize::from(short)),
            };
            let body = bytes.get(head..head + length)?;
            let message = match first {
                0x81 => Message::Text(parsed(body)),
                0x82 => Message::Binary(body.to_vec()),
                0x88 => Message::Close(u16::from_be_bytes([body[0], body[1]])),
                0x89 => Message::Ping,
                0x8A => Message::Pong,
                other => panic!("a WebSocket frame that begins with {other:#x}"),
            };
            Some((message, head + length))
        }
    }
}

fn parsed(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("a text is JSON")
}
