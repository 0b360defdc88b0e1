//! The chain of one compact class: its encoder, and the messages that every client of the class shares.
//!
//! A message is headers and body in one piece, made once. Snapshots are made when somebody waits for one. What clients hold
//! of a message is a lease, as with frames: it is written again when the last lease is gone.

// Of what nobody writes after it was made: the model checker need not look at it.
use std::sync::Arc as Shared;

use zerocopy::IntoBytes;

use super::sync::Arc;
use super::{ClassRef, LeasePool, SidePlanes, Stamp, Transport, WireOrder};
use crate::wire::compact::{BLOCK_NODES, BOX_QUANTA, Coding, CompactError, CompactFrame, Encoder, Info};
use crate::wire::{
    BlockSet, ClassSpec, FLAG_NORMALISE, FLAG_PARTIAL, FLAG_TWO_DIMENSIONAL, FrameHeader, HEADER_BYTES, KIND_COLUMNS,
    KIND_DELTA, KIND_INFO, KIND_MARK, KIND_SNAPSHOT, MAGIC, TCP_PREFIX_BYTES, VERSION, WHOLE_BYTES_MAX,
    WS_HEADER_BYTES_MAX, encode_ids, tcp_prefix, ws_header,
};

/// Bytes in front of a body: the longest WebSocket header, and ours.
const LEAD_BYTES: usize = WS_HEADER_BYTES_MAX + HEADER_BYTES;

/// Deltas from one mark to the next.
const MARK_EVERY: u64 = 64;

/// Least time between two snapshots of a class: a crowd that joins shares one.
const SNAPSHOT_GAP_NS: u64 = 100_000_000;

/// Least time between two beginnings of a chain while the layout still fits into its box.
const BEGIN_GAP_NS: u64 = 2_000_000_000;

/// Snapshots that may be leased at once.
const SNAPSHOTS: usize = 4;

/// Deltas that are leased besides those a shard keeps: by frames in lanes, by the last frames of slow classes (one a class) and
/// those that `control` has, and by clients in the middle of one.
const DELTAS_IN_FLIGHT: usize = 48;

/// How many ticks of a chain a client may be behind: half a second, as DESIGN has it, within bounds.
#[must_use]
pub fn chain_ticks_max(rate_hz: u16) -> usize {
    (usize::from(rate_hz) / 2).clamp(8, 60)
}

/// One message of a chain, as both transports send it.
#[derive(Debug)]
pub struct ChainMessage {
    frame: CompactFrame,
    header: FrameHeader,
    /// Where the WebSocket header begins; it ends where ours does.
    ws_start: usize,
    prefix: [u8; TCP_PREFIX_BYTES],
    /// A small message once more with the length word in front: one piece costs less to send than two.
    tcp: Vec<u8>,
}

impl ChainMessage {
    fn new(frame: CompactFrame, body_bytes_max: usize) -> Self {
        let tcp_bytes = (TCP_PREFIX_BYTES + HEADER_BYTES + body_bytes_max).min(WHOLE_BYTES_MAX);
        Self {
            frame: frame.with_lead(LEAD_BYTES),
            header: FrameHeader::default(),
            ws_start: 0,
            prefix: [0; TCP_PREFIX_BYTES],
            tcp: Vec::with_capacity(tcp_bytes),
        }
    }

    /// The sequence in its header.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.header.sequence.get()
    }

    /// The sequence it builds on, 0 for none.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.header.base.get()
    }

    /// Its kind, a `KIND_` of the wire.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.header.kind
    }

    /// Blocks of the graph that it is of.
    #[must_use]
    pub fn block_count(&self) -> usize {
        (self.header.node_count.get() as usize).div_ceil(BLOCK_NODES)
    }

    /// The simulation step that it shows.
    #[must_use]
    pub fn tick(&self) -> u64 {
        self.header.tick.get()
    }

    /// When its tick was due, monotonic ns.
    #[must_use]
    pub fn tick_ns(&self) -> u64 {
        self.header.tick_ns.get()
    }

    /// Its bytes for one transport, in two pieces of which the second may be empty.
    #[must_use]
    pub fn pieces(&self, transport: Transport) -> (&[u8], &[u8]) {
        let whole = self.frame.whole();
        match transport {
            Transport::WebSocket => (whole.get(self.ws_start..).unwrap_or(&[]), &[]),
            Transport::Tcp if !self.tcp.is_empty() => (&self.tcp, &[]),
            Transport::Tcp => (&self.prefix, whole.get(WS_HEADER_BYTES_MAX..).unwrap_or(&[])),
        }
    }

    /// Whether it consists of blocks, so that a part of it can be sent.
    #[must_use]
    pub fn has_blocks(&self) -> bool {
        matches!(self.header.kind, KIND_DELTA | KIND_SNAPSHOT | KIND_MARK)
    }

    /// Appends the message with the given blocks only, headers included.
    pub fn gather(&self, blocks: &BlockSet, transport: Transport, out: &mut Vec<u8>) {
        let body_bytes: usize = blocks.runs().map(|(first, last)| self.frame.run(first, last).len()).sum();
        let header = FrameHeader {
            flags: (self.header.flags.get() | FLAG_PARTIAL).into(),
            body_bytes: (body_bytes as u32).into(),
            ..self.header
        };
        match transport {
            Transport::WebSocket => {
                let (ws, ws_bytes) = ws_header(HEADER_BYTES + body_bytes);
                out.extend(ws.iter().take(ws_bytes));
            }
            Transport::Tcp => out.extend(tcp_prefix(HEADER_BYTES + body_bytes)),
        }
        out.extend_from_slice(header.as_bytes());
        for (first, last) in blocks.runs() {
            out.extend_from_slice(self.frame.run(first, last));
        }
    }

    /// Writes the headers in front of the body.
    fn seal(&mut self, header: FrameHeader) {
        let body_bytes = self.frame.body().len();
        self.header = FrameHeader { body_bytes: (body_bytes as u32).into(), ..header };
        let payload_bytes = HEADER_BYTES + body_bytes;
        let (ws, ws_bytes) = ws_header(payload_bytes);
        self.ws_start = WS_HEADER_BYTES_MAX - ws_bytes;
        self.prefix = tcp_prefix(payload_bytes);
        let headers = ws.iter().take(ws_bytes).chain(self.header.as_bytes());
        for (place, byte) in self.frame.lead_mut().iter_mut().skip(self.ws_start).zip(headers) {
            *place = *byte;
        }
        self.tcp.clear();
        if TCP_PREFIX_BYTES + payload_bytes <= self.tcp.capacity() {
            self.tcp.extend_from_slice(&self.prefix);
            self.tcp.extend_from_slice(self.frame.whole().get(WS_HEADER_BYTES_MAX..).unwrap_or(&[]));
        }
    }
}

/// What a tick added to the chain of one class, in the order in which a client takes it.
#[derive(Clone, Debug)]
pub struct ChainPart {
    /// Counts the beginnings of the chain; what was sent of another one is void.
    pub generation: u32,
    /// Version of the wire order.
    pub order: u32,
    /// Deltas that a shard keeps for clients which are behind.
    pub keep: usize,
    /// What a decoder must know first.
    pub info: Arc<ChainMessage>,
    /// Whose node is whose, right after it; then what else is known of every node, a message for each column.
    pub columns: Shared<[Arc<ChainMessage>]>,
    /// The corrections of this tick; none when the chain began with it.
    pub delta: Option<Arc<ChainMessage>>,
    /// The state after this tick, if somebody waited.
    pub snapshot: Option<Arc<ChainMessage>>,
    /// Hashes of that state.
    pub mark: Option<Arc<ChainMessage>>,
}

/// The nodes as chains take them: in wire order.
#[derive(Clone, Copy, Debug)]
pub struct ChainInput<'tick> {
    /// The order.
    pub order: &'tick WireOrder,
    /// Id words in index order.
    pub words: &'tick [u32],
    /// Positions in wire order.
    pub points: &'tick [[f32; 3]],
    /// The same with every z at 0; empty unless a class asks for it.
    pub flat: &'tick [[f32; 3]],
    /// Least and greatest coordinate by axis.
    pub bounds: [[f32; 3]; 2],
    /// What is known beside the motion, of the same nodes.
    pub side: Option<&'tick SidePlanes>,
}

/// A message that waits for its publication.
#[derive(Debug)]
struct Pending {
    place: usize,
    header: FrameHeader,
}

/// Writes the headers of a message that waits, and leases it.
fn publish(
    pool: &mut LeasePool<ChainMessage>,
    pending: Option<Pending>,
    published_ns: u64,
) -> Option<Arc<ChainMessage>> {
    let Pending { place, header } = pending?;
    pool.at(place)?.seal(FrameHeader { published_ns: published_ns.into(), ..header });
    pool.lease(place)
}

/// Follows the nodes for one class. Made by `control`, driven by `sim`.
#[derive(Debug)]
pub struct ChainWriter {
    class: ClassRef,
    spec: ClassSpec,
    encoder: Encoder,
    deltas: LeasePool<ChainMessage>,
    snapshots: LeasePool<ChainMessage>,
    begun: Option<Begun>,
    generation: u32,
    sequence: u64,
    /// Somebody waits for a snapshot.
    wanted: bool,
    snapshot_ns: u64,
    delta: Option<Pending>,
    snapshot: Option<Pending>,
    mark: Option<Pending>,
}

/// What the present chain began with.
#[derive(Debug)]
struct Begun {
    info: Arc<ChainMessage>,
    columns: Shared<[Arc<ChainMessage>]>,
    order: u32,
    /// Version of the values beside the motion; 0 for none.
    side_version: u32,
    side: f32,
    at_ns: u64,
}

impl ChainWriter {
    /// A chain of `node_count` nodes that begins at its first [`Self::encode`].
    ///
    /// # Errors
    /// [`CompactError`], when the codec cannot hold such a graph.
    pub fn new(class: ClassRef, spec: ClassSpec, node_count: usize) -> Result<Self, CompactError> {
        let (deltas, snapshots) =
            (CompactFrame::delta_bytes_max(node_count), CompactFrame::snapshot_bytes_max(node_count));
        let kept = chain_ticks_max(spec.rate_hz);
        Ok(Self {
            class,
            spec,
            encoder: Encoder::new(Self::info(spec, node_count, [[0.0; 3]; 2], 0), Coding::Cheapest)?,
            deltas: LeasePool::new(kept + DELTAS_IN_FLIGHT, || {
                ChainMessage::new(CompactFrame::for_deltas(node_count), deltas)
            }),
            snapshots: LeasePool::new(SNAPSHOTS, || {
                ChainMessage::new(CompactFrame::for_snapshots(node_count), snapshots)
            }),
            begun: None,
            generation: 0,
            sequence: 0,
            wanted: true,
            snapshot_ns: 0,
            delta: None,
            snapshot: None,
            mark: None,
        })
    }

    /// Bytes that a chain of `node_count` nodes may come to hold. Most of it is room that is touched only when all nodes jump.
    #[must_use]
    pub fn footprint(node_count: usize, rate_hz: u16) -> usize {
        let deltas = (chain_ticks_max(rate_hz) + DELTAS_IN_FLIGHT) * CompactFrame::delta_bytes_max(node_count);
        Encoder::footprint(node_count) + deltas + SNAPSHOTS * CompactFrame::snapshot_bytes_max(node_count)
    }

    /// Whether positions are taken without z.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.spec.detail.flat
    }

    /// Sequence of the last message that counts.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Takes the place of `before` in the same class: sequence and generation go on from its.
    pub fn succeed(&mut self, before: &Self) {
        self.sequence = before.sequence;
        self.generation = before.generation;
        self.snapshot_ns = before.snapshot_ns;
    }

    /// Nodes that it follows.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.encoder.info().node_count as usize
    }

    /// Somebody waits for a snapshot.
    pub fn want_snapshot(&mut self) {
        self.wanted = true;
    }

    /// Whether a snapshot is to be made now, off the beat of the class if need be.
    #[must_use]
    pub fn is_due(&self, now_ns: u64) -> bool {
        self.wanted && now_ns.saturating_sub(self.snapshot_ns) >= SNAPSHOT_GAP_NS
    }

    /// Follows the nodes to where they are. The messages wait for [`Self::publish`]. False when every message of the pool is
    /// leased: the chain then goes on at the next tick.
    ///
    /// Allocates when the chain begins anew, and never otherwise.
    pub fn encode(&mut self, input: &ChainInput<'_>, stamp: &Stamp) -> bool {
        if self.must_begin(input, stamp.tick_ns) {
            return self.begin(input, stamp);
        }
        let normalise = self.is_due(stamp.tick_ns);
        let points = if self.is_flat() { input.flat } else { input.points };
        let Some(place) = self.deltas.take() else { return false };
        let Some(message) = self.deltas.at(place) else { return false };
        if let Err(error) = self.encoder.tick(points, normalise, &mut message.frame) {
            debug_assert!(false, "the backend's positions are finite and of the epoch's count: {error}");
            return false;
        }
        let base = self.sequence;
        self.sequence += 1;
        let flags = if normalise { FLAG_NORMALISE } else { 0 };
        let header = self.header(KIND_DELTA, stamp, flags);
        self.delta = Some(Pending { place, header: FrameHeader { base: base.into(), ..header } });
        if normalise {
            self.take_snapshot(stamp);
        }
        if self.sequence.is_multiple_of(MARK_EVERY) {
            self.take_mark(stamp);
        }
        true
    }

    /// Stamps what [`Self::encode`] made; `None` when it made nothing.
    pub fn publish(&mut self, published_ns: u64) -> Option<ChainPart> {
        let begun = self.begun.as_ref()?;
        let (delta, snapshot, mark) = (self.delta.take(), self.snapshot.take(), self.mark.take());
        if delta.is_none() && snapshot.is_none() {
            return None;
        }
        Some(ChainPart {
            generation: self.generation,
            order: begun.order,
            keep: chain_ticks_max(self.spec.rate_hz),
            info: Arc::clone(&begun.info),
            columns: Shared::clone(&begun.columns),
            delta: publish(&mut self.deltas, delta, published_ns),
            snapshot: publish(&mut self.snapshots, snapshot, published_ns),
            mark: publish(&mut self.deltas, mark, published_ns),
        })
    }

    /// A chain begins when there is none, when the order or a column is another, and when its quantum no longer fits the layout: the
    /// error would be more than what was asked for, or bytes would be spent on nothing.
    fn must_begin(&self, input: &ChainInput<'_>, now_ns: u64) -> bool {
        let Some(begun) = &self.begun else { return true };
        let side = side(input.bounds);
        let Info { origin, quantum, .. } = *self.encoder.info();
        // A hundredth of the box is left for what moves until the next tick.
        let reach = quantum * BOX_QUANTA as f32 * 0.99;
        let inside = input.bounds.iter().all(|corner| corner.iter().zip(origin).all(|(x, o)| (x - o).abs() <= reach));
        let rested = now_ns.saturating_sub(begun.at_ns) >= BEGIN_GAP_NS;
        let fits = (begun.side * 0.5..=begun.side * 1.5).contains(&side);
        let columns_hold = begun.side_version == input.side.map_or(0, |side| side.version);
        begun.order != input.order.version() || !columns_hold || !inside || (rested && !fits)
    }

    fn begin(&mut self, input: &ChainInput<'_>, stamp: &Stamp) -> bool {
        let points = if self.is_flat() { input.flat } else { input.points };
        let info = Self::info(self.spec, points.len(), input.bounds, input.order.version());
        let Some(place) = self.snapshots.take() else { return false };
        let begun = self.encoder.retarget(info).is_ok() && self.encoder.reset(points).is_ok();
        debug_assert!(begun, "the backend's positions are finite and of the epoch's count");
        let Some(message) = self.snapshots.at(place).filter(|_| begun) else { return false };
        if self.encoder.snapshot(&mut message.frame).is_err() {
            return false;
        }
        self.generation = self.generation.wrapping_add(1);
        self.sequence += 1;
        let published_ns = stamp.tick_ns.into();
        let alone = |kind, body: &[u8]| {
            let mut message = ChainMessage::new(CompactFrame::default(), body.len());
            message.frame.fill(body);
            let header = FrameHeader { sequence: 0.into(), published_ns, ..self.header(kind, stamp, 0) };
            message.seal(header);
            Arc::new(message)
        };
        let ids = input.order.nodes().iter().map(|node| input.words.get(*node as usize).copied().unwrap_or(0));
        let values = input.side.map(SidePlanes::values).unwrap_or_default();
        let ids = std::iter::once(alone(KIND_COLUMNS, &encode_ids(ids)));
        let others = values.columns(input.order.nodes());
        self.begun = Some(Begun {
            info: alone(KIND_INFO, &info.to_bytes()),
            columns: ids.chain(others.map(|body| alone(KIND_COLUMNS, &body))).collect(),
            order: input.order.version(),
            side_version: input.side.map_or(0, |side| side.version),
            side: side(input.bounds),
            at_ns: stamp.tick_ns,
        });
        self.snapshot = Some(Pending { place, header: self.header(KIND_SNAPSHOT, stamp, 0) });
        self.snapshot_made(stamp.tick_ns);
        true
    }

    fn take_snapshot(&mut self, stamp: &Stamp) {
        let Some(place) = self.snapshots.take() else { return };
        let header = self.header(KIND_SNAPSHOT, stamp, 0);
        let taken = self.snapshots.at(place).is_some_and(|message| self.encoder.snapshot(&mut message.frame).is_ok());
        if taken {
            self.snapshot = Some(Pending { place, header });
            self.snapshot_made(stamp.tick_ns);
        }
    }

    fn take_mark(&mut self, stamp: &Stamp) {
        let Some(place) = self.deltas.take() else { return };
        let header = self.header(KIND_MARK, stamp, 0);
        if self.deltas.at(place).is_some_and(|message| self.encoder.mark(&mut message.frame).is_ok()) {
            self.mark = Some(Pending { place, header });
        }
    }

    fn snapshot_made(&mut self, now_ns: u64) {
        self.wanted = false;
        self.snapshot_ns = now_ns;
    }

    fn header(&self, kind: u8, stamp: &Stamp, flags: u16) -> FrameHeader {
        let flat = if self.is_flat() { FLAG_TWO_DIMENSIONAL } else { 0 };
        FrameHeader {
            magic: MAGIC,
            version: VERSION,
            kind,
            flags: (stamp.flags | flags | flat).into(),
            class: self.class.serial.into(),
            reserved: 0.into(),
            epoch: stamp.epoch.into(),
            sequence: self.sequence.into(),
            base: 0.into(),
            tick: stamp.tick.into(),
            tick_ns: stamp.tick_ns.into(),
            published_ns: 0.into(),
            node_count: self.encoder.info().node_count.into(),
            body_bytes: 0.into(),
        }
    }

    fn info(spec: ClassSpec, node_count: usize, bounds: [[f32; 3]; 2], order: u32) -> Info {
        let [low, high] = bounds;
        let mut origin = [0.0; 3];
        for ((origin, low), high) in origin.iter_mut().zip(low).zip(high) {
            *origin = low / 2.0 + high / 2.0;
        }
        // A flat layout lies at 0 to the bit.
        if let Some(z) = origin.last_mut().filter(|_| spec.detail.flat) {
            *z = 0.0;
        }
        let quanta = f32::from(1_u16 << spec.detail.bits.min(15)) * if spec.detail.bits > 15 { 2.0 } else { 1.0 };
        Info {
            node_count: node_count as u32,
            origin,
            quantum: (side(bounds) / quanta).max(QUANTUM_MIN),
            tick_rate: spec.rate_hz,
            order,
        }
    }
}

/// A layout without extent still has a quantum.
const QUANTUM_MIN: f32 = 1e-4;

/// The longest side of a box.
fn side(bounds: [[f32; 3]; 2]) -> f32 {
    let [low, high] = bounds;
    low.iter().zip(high).map(|(low, high)| high - low).fold(0.0, f32::max)
}
