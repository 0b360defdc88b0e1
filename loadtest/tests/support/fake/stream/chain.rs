//! The compact profile: a chain of its own for every connection, with one planned act a turn.

use std::sync::Arc;

use swarmcast::wire::compact::{Coding, CompactFrame, Encoder, Info};
use swarmcast::wire::{
    FLAG_HEARTBEAT, FLAG_NORMALISE, FLAG_SETTLED, FrameHeader, KIND_COLUMNS, KIND_DELTA, KIND_INFO, KIND_MARK,
    KIND_SNAPSHOT, encode_ids,
};
use zerocopy::IntoBytes;

use super::{Connection, Player, Sent, node, ns, sleep_until, ws};

/// Deltas from one mark to the next.
const MARK_EVERY: u64 = 64;

/// World units.
const QUANTUM: f32 = 0.05;

/// What a turn of a chain does. Turn 0 is the snapshot that a client begins with.
#[derive(Clone, Default)]
pub enum ChainAct {
    /// The delta, when it is due.
    #[default]
    Send,
    /// Nothing; the chain goes on without this client.
    LeaveOut,
    /// A snapshot in place of the delta, and of those that were left out.
    Snapshot,
    /// The delta, and then a snapshot of the same state, as for a client that asked for more blocks.
    SnapshotToo,
    /// Another info, its columns and a snapshot.
    Again,
    /// The delta of this turn in a copy.
    Twice,
    /// Its positions are this much too far along x, world units.
    Shift(f32),
    /// A mark with a hash that no state has.
    WrongMark,
    /// The columns with two ids alike.
    WrongIds,
    /// The delta with another header.
    Edit(fn(&mut FrameHeader)),
    /// The delta with its last byte changed.
    Corrupt,
    /// A text in front of the delta.
    Text(String),
}

/// What happens on a chain.
#[derive(Clone)]
pub struct ChainPlan {
    /// What a turn does.
    pub act: Arc<dyn Fn(u64) -> ChainAct + Send + Sync>,
    /// Columns as one LZ4 block.
    pub lz4: bool,
}

impl Default for ChainPlan {
    fn default() -> Self {
        Self { act: Arc::new(|_| ChainAct::Send), lz4: true }
    }
}

struct Link<'all, 'stream> {
    player: &'all mut Player<'stream>,
    encoder: Encoder,
    frame: CompactFrame,
    nodes: u32,
    lz4: bool,
}

impl Player<'_> {
    /// Plays a chain to the end of the connection or of the server.
    pub(super) fn chain(&mut self, connection: &Connection) {
        let plan = self.stream.chain.clone();
        let nodes = self.stream.nodes;
        let info = Info { node_count: nodes, origin: [1.0, 2.0, 0.0], quantum: QUANTUM, tick_rate: 60, order: 1 };
        let encoder = Encoder::new(info, Coding::Cheapest).unwrap();
        let frame = CompactFrame::for_snapshots(nodes as usize);
        let mut slot = self.newest();
        let mut link = Link { player: self, encoder, frame, nodes, lz4: plan.lz4 };
        if !link.begin(slot, false) {
            return;
        }
        for turn in 1.. {
            slot += 1;
            sleep_until(link.player.due_ns(slot) + ns(link.player.stream.send_after));
            if connection.over() {
                return;
            }
            if let Some((_, every)) = link.player.stream.settle.filter(|(from, _)| turn == *from) {
                // The state moves no more: what is shown is that of the turn before.
                slot -= 1;
                return link.rest(connection, slot, ns(every));
            }
            let alive = link.turn(turn, slot, (plan.act)(turn));
            if !alive {
                return;
            }
        }
    }
}

impl Link<'_, '_> {
    /// The world at a slot, in the order of the wire: the last id first.
    fn points(&self, slot: u64, shift: f32) -> Vec<[f32; 3]> {
        let tick = self.player.tick(slot);
        let at = |id: u32| node(id, tick).position();
        (0..self.nodes).rev().map(at).map(|[x, y, z]| [x + shift, y, z]).collect()
    }

    fn header(&self, kind: u8, slot: u64) -> FrameHeader {
        let header = FrameHeader { kind, node_count: self.nodes.into(), ..self.player.header(slot) };
        match kind {
            KIND_INFO | KIND_COLUMNS => FrameHeader { sequence: 0.into(), ..header },
            KIND_DELTA => FrameHeader { base: (header.sequence.get() - 1).into(), ..header },
            _ => header,
        }
    }

    fn write(&self, mut header: FrameHeader, body: &[u8]) -> bool {
        header.body_bytes = (body.len() as u32).into();
        let message = [header.as_bytes(), body].concat();
        self.player.pen.write(&ws::binary(self.player.transport, &message))
    }

    /// A frame, on record.
    fn frame(&mut self, turn: u64, slot: u64, header: FrameHeader, body: &[u8]) -> bool {
        let mut header = header;
        header.body_bytes = (body.len() as u32).into();
        let message = [header.as_bytes(), body].concat();
        let sent = Sent { turn, sequence: header.sequence.get(), due_ns: self.player.due_ns(slot), sent_ns: 0 };
        self.player.send(&ws::binary(self.player.transport, &message), sent)
    }

    /// Info, columns and the snapshot of a slot.
    fn begin(&mut self, slot: u64, twice: bool) -> bool {
        let points = self.points(slot, 0.0);
        self.encoder.reset(&points).unwrap();
        let info = self.encoder.info().to_bytes();
        let columns = columns(self.nodes, self.lz4, twice);
        self.write(self.header(KIND_INFO, slot), &info)
            && self.write(self.header(KIND_COLUMNS, slot), &columns)
            && self.snapshot(0, slot)
    }

    fn snapshot(&mut self, turn: u64, slot: u64) -> bool {
        self.encoder.snapshot(&mut self.frame).unwrap();
        let body = self.frame.body().to_vec();
        self.frame(turn, slot, self.header(KIND_SNAPSHOT, slot), &body)
    }

    fn turn(&mut self, turn: u64, slot: u64, act: ChainAct) -> bool {
        let shift = if let ChainAct::Shift(by) = act { by } else { 0.0 };
        let normalise = matches!(act, ChainAct::Snapshot | ChainAct::SnapshotToo);
        let points = self.points(slot, shift);
        self.encoder.tick(&points, normalise, &mut self.frame).unwrap();
        let mut body = self.frame.body().to_vec();
        let mut header = self.header(KIND_DELTA, slot);
        header.flags = if normalise { FLAG_NORMALISE } else { 0 }.into();
        let alive = match act {
            ChainAct::LeaveOut => {
                self.player.skip(turn, 1);
                return true;
            }
            ChainAct::Snapshot => return self.snapshot(turn, slot),
            ChainAct::SnapshotToo => self.frame(turn, slot, header, &body) && self.snapshot(turn, slot),
            ChainAct::Again => return self.begin(slot, false),
            ChainAct::WrongIds => return self.begin(slot, true),
            ChainAct::Twice => self.frame(turn, slot, header, &body) && self.frame(turn, slot, header, &body),
            ChainAct::Edit(edit) => {
                edit(&mut header);
                self.frame(turn, slot, header, &body)
            }
            ChainAct::Corrupt => {
                // A length that the body does not have.
                body.extend([0, 9]);
                self.frame(turn, slot, header, &body)
            }
            ChainAct::Text(text) => self.player.pen.text(text.as_bytes()) && self.frame(turn, slot, header, &body),
            ChainAct::WrongMark => self.frame(turn, slot, header, &body) && self.mark(slot, true),
            ChainAct::Send | ChainAct::Shift(_) => self.frame(turn, slot, header, &body),
        };
        alive && (!turn.is_multiple_of(MARK_EVERY) || self.mark(slot, false))
    }

    fn mark(&mut self, slot: u64, wrong: bool) -> bool {
        self.encoder.mark(&mut self.frame).unwrap();
        let mut body = self.frame.body().to_vec();
        if let Some(last) = body.last_mut().filter(|_| wrong) {
            *last ^= 1;
        }
        self.write(self.header(KIND_MARK, slot), &body)
    }

    /// At rest: a delta that says so, then heartbeats.
    fn rest(&mut self, connection: &Connection, slot: u64, every_ns: u64) {
        let points = self.points(slot, 0.0);
        for beat in 0_u64.. {
            let now = self.player.newest();
            let mut header = FrameHeader { tick: self.player.tick(slot).into(), ..self.header(KIND_DELTA, now) };
            let sequence = self.player.sequence(slot) + 1 + beat;
            (header.sequence, header.base) = (sequence.into(), (sequence - 1).into());
            header.flags = if beat == 0 { FLAG_SETTLED } else { FLAG_SETTLED | FLAG_HEARTBEAT }.into();
            self.encoder.tick(&points, false, &mut self.frame).unwrap();
            let body = self.frame.body().to_vec();
            let due_ns = self.player.due_ns(now);
            if connection.over() || !self.frame(beat, now, header, &body) {
                return;
            }
            sleep_until(due_ns + every_ns);
        }
    }
}

/// The ids, last one first, as planes.
fn columns(nodes: u32, lz4: bool, twice: bool) -> Vec<u8> {
    let mut words: Vec<u32> = (0..nodes).rev().collect();
    if twice {
        words[0] = words[1];
    }
    if lz4 {
        return encode_ids(words.into_iter());
    }
    let plane = |byte: usize| words.iter().map(move |word| word.to_le_bytes()[byte]);
    let raw: Vec<u8> = (0..4).flat_map(plane).collect();
    [&[0, 0, 0, 0], (raw.len() as u32).to_le_bytes().as_slice(), &raw].concat()
}
