//! The frame that `sim` writes once and every client shares, and the fixed pool it comes from.
//!
//! A frame holds one **body** per kind of records (encoded once per tick, shared by all classes that have them) and one
//! small **head** per class: WebSocket header or TCP length word, then our own header or what a legacy profile has
//! there. The bytes a client gets are head then body, so a send is one `writev` of shared bytes.

use zerocopy::IntoBytes;

use super::sync::Arc;
use super::{ChainPart, ClassRef, Transport, WireOrder};
use crate::limits::CLASSES_MAX;
use crate::wire::{
    FLAG_COMPRESSED, FrameHeader, HEADER_BYTES, NodeRecord, Profile, RECORDS, Records, SideValues, TCP_PREFIX_BYTES,
    WHOLE_BYTES_MAX, WS_HEADER_BYTES_MAX, encode_records, encode_side_values, legacy_head, pack, planes, tcp_prefix,
    ws_header,
};

/// When and where a frame was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Version of the graph's structure.
    pub epoch: u32,
    /// Simulation step.
    pub tick: u64,
    /// When the tick was due, monotonic ns.
    pub tick_ns: u64,
    /// When the frame was handed over, monotonic ns.
    pub published_ns: u64,
    /// `FLAG_` bits of the wire header.
    pub flags: u16,
}

/// The bytes in front of a body for one class, and where the class stands.
#[derive(Clone, Copy, Debug)]
pub struct ClassHead {
    class: ClassRef,
    profile: Profile,
    sequence: u64,
    present: bool,
    ws: [u8; WS_HEADER_BYTES_MAX + HEADER_BYTES],
    ws_bytes: u8,
    tcp: [u8; TCP_PREFIX_BYTES + HEADER_BYTES],
    tcp_bytes: u8,
}

impl ClassHead {
    const EMPTY: Self = Self {
        class: ClassRef::NONE,
        profile: Profile::Own,
        sequence: 0,
        present: false,
        ws: [0; WS_HEADER_BYTES_MAX + HEADER_BYTES],
        ws_bytes: 0,
        tcp: [0; TCP_PREFIX_BYTES + HEADER_BYTES],
        tcp_bytes: 0,
    };

    /// The class these bytes are for.
    #[must_use]
    pub fn class(&self) -> ClassRef {
        self.class
    }

    /// Frames of this class up to and including this one.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What precedes the body.
    #[must_use]
    pub fn bytes(&self, transport: Transport) -> &[u8] {
        let (bytes, length) = match transport {
            Transport::WebSocket => (&self.ws[..], self.ws_bytes),
            Transport::Tcp => (&self.tcp[..], self.tcp_bytes),
        };
        bytes.get(..usize::from(length)).unwrap_or(&[])
    }
}

/// Head and body of a small frame in one piece, as each transport sends it; empty when the frame is large.
#[derive(Clone, Debug, Default)]
struct Whole {
    ws: Vec<u8>,
    tcp: Vec<u8>,
}

/// Every node's state after one tick, with the bytes that clients get. Read-only once published.
#[derive(Debug)]
pub struct Frame {
    stamp: Stamp,
    nodes: Vec<NodeRecord>,
    /// By kind of records; those of [`Records::Own`] are `nodes` itself.
    bodies: [Vec<u8>; RECORDS.len()],
    encoded: [bool; RECORDS.len()],
    /// Made when the first compressed class is.
    scratch: Option<Box<planes::PlaneScratch>>,
    heads: [ClassHead; CLASSES_MAX],
    wholes: [Whole; CLASSES_MAX],
    chains: [Option<ChainPart>; CLASSES_MAX],
    order: Option<Arc<WireOrder>>,
}

impl Frame {
    fn new() -> Self {
        Self {
            stamp: Stamp::default(),
            nodes: Vec::new(),
            bodies: [const { Vec::new() }; RECORDS.len()],
            encoded: [false; RECORDS.len()],
            scratch: None,
            heads: [ClassHead::EMPTY; CLASSES_MAX],
            wholes: std::array::from_fn(|_| Whole::default()),
            chains: [const { None }; CLASSES_MAX],
            order: None,
        }
    }

    /// Bytes that one frame takes when all profiles are subscribed; only what is subscribed is ever taken.
    #[must_use]
    pub fn footprint(node_count: usize) -> usize {
        let bodies: usize = RECORDS.iter().map(|kind| kind.bytes() * node_count).sum();
        // Packing has the planes beside the body, and LZ4's table.
        size_of::<Self>() + bodies + Records::Packed.bytes() * node_count + planes::TABLE_BYTES
    }

    /// When and where it was made.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Nodes in index order.
    #[must_use]
    pub fn nodes(&self) -> &[NodeRecord] {
        &self.nodes
    }

    /// The class in `slot`, if it has had a frame; its bytes are here only when [`Self::head`] says so.
    #[must_use]
    pub fn class_state(&self, slot: u8) -> Option<&ClassHead> {
        self.heads.get(usize::from(slot)).filter(|head| head.sequence > 0)
    }

    /// The head for `class`, when this frame was encoded for it.
    #[must_use]
    pub fn head(&self, class: ClassRef) -> Option<&ClassHead> {
        self.heads.get(usize::from(class.slot)).filter(|head| head.present && head.class == class)
    }

    /// The classes that this frame was encoded for.
    pub fn present(&self) -> impl Iterator<Item = ClassRef> + '_ {
        self.heads.iter().filter(|head| head.present).map(ClassHead::class)
    }

    /// What this tick added to the chains of compact classes.
    pub fn chains(&self) -> impl Iterator<Item = (ClassRef, &ChainPart)> {
        let parts = self.heads.iter().zip(&self.chains);
        parts.filter_map(|(head, part)| part.as_ref().map(|part| (head.class, part)))
    }

    /// The order in which compact classes name nodes, once there is one.
    #[must_use]
    pub fn order(&self) -> Option<&Arc<WireOrder>> {
        self.order.as_ref()
    }

    /// The body that all classes of `profile` share.
    #[must_use]
    pub fn body(&self, profile: Profile) -> &[u8] {
        body_of(profile, &self.nodes, &self.bodies)
    }

    /// Bytes of the records and of the body that they were packed into, when this frame was encoded for a packed class.
    #[must_use]
    pub fn packed(&self) -> Option<(usize, usize)> {
        let encoded = self.encoded.get(Records::Packed.index()).copied().unwrap_or(false);
        encoded.then(|| (self.nodes.as_bytes().len(), self.body(Profile::OwnLz4).len()))
    }

    /// What a client of `class` is sent, in two pieces of which the second may be empty; none when this frame was not
    /// encoded for the class.
    #[must_use]
    pub fn pieces(&self, class: ClassRef, transport: Transport) -> (&[u8], &[u8]) {
        let Some(head) = self.head(class) else { return (&[], &[]) };
        let whole = self.wholes.get(usize::from(class.slot)).map_or(&[][..], |whole| match transport {
            Transport::WebSocket => &whole.ws,
            Transport::Tcp => &whole.tcp,
        });
        if whole.is_empty() { (head.bytes(transport), self.body(head.profile)) } else { (whole, &[]) }
    }

    /// Starts over as the back frame of a tick: `ids` are the id words of the epoch in index order.
    ///
    /// Allocates when the epoch has more nodes than this frame has held before, and never otherwise.
    pub fn begin(&mut self, stamp: Stamp, ids: &[u32]) {
        if self.stamp.epoch != stamp.epoch || self.nodes.len() != ids.len() {
            self.nodes.clear();
            self.nodes.extend(ids.iter().map(|id| NodeRecord { id_flags: (*id).into(), ..NodeRecord::default() }));
        }
        self.stamp = stamp;
        self.encoded = [false; RECORDS.len()];
        self.heads = [ClassHead::EMPTY; CLASSES_MAX];
        self.let_go();
    }

    /// Ends the leases that this frame itself has on messages of chains.
    fn let_go(&mut self) {
        self.chains = [const { None }; CLASSES_MAX];
        self.order = None;
    }

    /// The records, for the backend to write motion into.
    pub fn nodes_mut(&mut self) -> &mut [NodeRecord] {
        &mut self.nodes
    }

    /// Remembers where a class stands that gets no bytes from this frame.
    pub fn note(&mut self, class: ClassRef, sequence: u64) {
        if let Some(head) = self.heads.get_mut(usize::from(class.slot)) {
            *head = ClassHead { class, sequence, ..ClassHead::EMPTY };
        }
    }

    /// Adds what a chain made in this tick.
    pub fn add_chain(&mut self, class: ClassRef, sequence: u64, part: Option<ChainPart>) {
        self.note(class, sequence);
        if let Some(place) = self.chains.get_mut(usize::from(class.slot)) {
            *place = part;
        }
    }

    /// Names the order of the chains.
    pub fn set_order(&mut self, order: Option<&Arc<WireOrder>>) {
        self.order = order.map(Arc::clone);
    }

    /// [`Self::encode_with`] nothing beside the motion.
    pub fn encode(&mut self, class: ClassRef, profile: Profile, sequence: u64) {
        self.encode_with(class, profile, sequence, &SideValues::default());
    }

    /// Encodes this frame for `class`: its profile's body, unless another class needed it already. The head is made
    /// by [`Self::publish_at`].
    ///
    /// `side` is what is known beside the motion; a value of every node or none.
    ///
    /// Allocates when the profile is used on this frame for the first time in an epoch.
    pub fn encode_with(&mut self, class: ClassRef, profile: Profile, sequence: u64, side: &SideValues<'_>) {
        let Self { nodes, bodies, encoded, scratch, heads, .. } = self;
        let kind = profile.records();
        let (Some(done), Some(body), Some(head)) =
            (encoded.get_mut(kind.index()), bodies.get_mut(kind.index()), heads.get_mut(usize::from(class.slot)))
        else {
            return;
        };
        match kind {
            _ if *done => {}
            Records::Own | Records::None => {}
            Records::Packed => {
                let raw_bytes = profile.body_bytes(nodes.len());
                pack(nodes, scratch.get_or_insert_with(|| Box::new(planes::PlaneScratch::new(raw_bytes))), body);
            }
            _ => encode_body(kind, nodes, side, body),
        }
        *done = true;
        *head = ClassHead { class, profile, sequence, present: true, ..ClassHead::EMPTY };
    }

    /// Stamps the hand-over time, and makes the head of every class that this frame is encoded for.
    ///
    /// Allocates when a small frame is made in this class slot for the first time.
    pub fn publish_at(&mut self, published_ns: u64) {
        self.stamp.published_ns = published_ns;
        let Self { stamp, nodes, bodies, heads, wholes, .. } = self;
        for (head, whole) in heads.iter_mut().zip(wholes).filter(|(head, _)| head.present) {
            let profile = head.profile;
            let body = body_of(profile, nodes, bodies);
            let payload_bytes = profile.head_bytes() + body.len();
            let (ws, ws_bytes) = ws_header(payload_bytes);
            let (legacy, legacy_bytes) = legacy_head(profile, head.sequence);
            let own =
                (!profile.is_legacy()).then(|| own_header(stamp, head.class, head.sequence, nodes.len(), body.len()));
            let header = own.as_ref().map_or(legacy.get(..legacy_bytes).unwrap_or(&[]), FrameHeader::as_bytes);
            head.ws_bytes = fill(&mut head.ws, ws.get(..ws_bytes).unwrap_or(&[]), header);
            head.tcp_bytes = fill(&mut head.tcp, &tcp_prefix(payload_bytes), header);
            whole.ws.clear();
            whole.tcp.clear();
            if payload_bytes + WS_HEADER_BYTES_MAX <= WHOLE_BYTES_MAX {
                for (bytes, transport) in [(&mut whole.ws, Transport::WebSocket), (&mut whole.tcp, Transport::Tcp)] {
                    bytes.extend_from_slice(head.bytes(transport));
                    bytes.extend_from_slice(body);
                }
            }
        }
    }
}

/// The body that all classes of `profile` share, as far as it is encoded.
fn body_of<'frame>(profile: Profile, nodes: &'frame [NodeRecord], bodies: &'frame [Vec<u8>]) -> &'frame [u8] {
    let kind = profile.records();
    let body = bodies.get(kind.index()).map_or(&[][..], Vec::as_slice);
    match kind {
        Records::Own => nodes.as_bytes(),
        Records::Packed => body,
        _ => body.get(..profile.body_bytes(nodes.len())).unwrap_or(&[]),
    }
}

/// Records, and the count that `vf0` has behind them: profiles without it leave it away.
fn encode_body(kind: Records, nodes: &[NodeRecord], side: &SideValues<'_>, body: &mut Vec<u8>) {
    body.resize(nodes.len() * kind.bytes(), 0);
    encode_records(kind, nodes, body);
    encode_side_values(kind, side, nodes.len(), body);
    if kind == Profile::Vf0.records() {
        body.extend_from_slice(&(nodes.len() as u32).to_le_bytes());
    }
}

/// The header of a full frame; one whose body is shorter than its records is a compressed one.
fn own_header(stamp: &Stamp, class: ClassRef, sequence: u64, node_count: usize, body_bytes: usize) -> FrameHeader {
    let compressed = if body_bytes < Profile::Own.body_bytes(node_count) { FLAG_COMPRESSED } else { 0 };
    FrameHeader {
        magic: crate::wire::MAGIC,
        version: crate::wire::VERSION,
        kind: crate::wire::KIND_FULL,
        flags: (stamp.flags | compressed).into(),
        class: class.serial.into(),
        reserved: 0.into(),
        epoch: stamp.epoch.into(),
        sequence: sequence.into(),
        base: 0.into(),
        tick: stamp.tick.into(),
        tick_ns: stamp.tick_ns.into(),
        published_ns: stamp.published_ns.into(),
        node_count: (node_count as u32).into(),
        body_bytes: (body_bytes as u32).into(),
    }
}

/// Copies `first` and `second` to the start of `out`; returns how many bytes that is.
fn fill(out: &mut [u8], first: &[u8], second: &[u8]) -> u8 {
    debug_assert!(first.len() + second.len() <= out.len(), "heads are sized for the longest framing and header");
    for (place, byte) in out.iter_mut().zip(first.iter().chain(second)) {
        *place = *byte;
    }
    (first.len() + second.len()) as u8
}

/// The fixed set of frames. A frame is free again when the last lease on it is gone.
#[derive(Debug)]
pub struct FramePool {
    frames: Vec<Arc<Frame>>,
}

impl FramePool {
    /// A pool of `frames` empty frames.
    ///
    /// # Panics
    /// When `frames` is 0.
    #[must_use]
    pub fn new(frames: usize) -> Self {
        assert!(frames > 0, "a pool has a back frame");
        Self { frames: (0..frames).map(|_| Arc::new(Frame::new())).collect() }
    }

    /// Frames in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Never: a pool has at least one frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Frames that nobody leases. O(frames). What they lease themselves is let go.
    pub fn free(&mut self) -> usize {
        self.frames.iter_mut().filter_map(Arc::get_mut).map(Frame::let_go).count()
    }

    /// Lets `write` fill the first free frame and returns a lease on it; `None` when every frame is leased.
    ///
    /// Whether a frame is free is `Arc::get_mut`'s answer, so no reader can ever see a frame being written. The
    /// first one, not the next in turn: while clients keep up, the same two or three frames stay warm in the cache
    /// and the rest of the pool never becomes resident.
    pub fn publish(&mut self, write: impl FnOnce(&mut Frame)) -> Option<Arc<Frame>> {
        for slot in &mut self.frames {
            if let Some(frame) = Arc::get_mut(slot) {
                write(frame);
                return Some(Arc::clone(slot));
            }
        }
        None
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const CLASS: ClassRef = ClassRef { slot: 2, serial: 77 };

    fn published(pool: &mut FramePool, sequence: u64) -> Arc<Frame> {
        pool.publish(|frame| {
            let stamp = Stamp { epoch: 1, tick: 9, tick_ns: 100, published_ns: 0, flags: 1 };
            frame.begin(stamp, &[5, 6]);
            frame.nodes_mut()[1].set_motion([1.0, 2.0, 3.0], [0.0; 3]);
            frame.encode(CLASS, Profile::Own, sequence);
            frame.encode(ClassRef { slot: 3, serial: 78 }, Profile::V2, 4);
            frame.publish_at(123);
        })
        .unwrap()
    }

    #[test]
    fn a_small_frame_is_one_piece_and_a_large_one_head_and_body() {
        let frame = published(&mut FramePool::new(1), 41);
        let (bytes, rest) = frame.pieces(CLASS, Transport::WebSocket);
        assert_eq!((&bytes[..2], rest), (&[0x82, 64 + 56][..], &[][..]));
        let (header, nodes) = FrameHeader::parse(&bytes[2..]).unwrap();
        assert_eq!((header.sequence.get(), header.published_ns.get(), header.class.get()), (41, 123, 77));
        assert_eq!((nodes[1].id(), nodes[1].position()), (6, [1.0, 2.0, 3.0]));
        let (tcp, _) = frame.pieces(CLASS, Transport::Tcp);
        assert_eq!((&tcp[..4], &tcp[4..]), (&[64 + 56, 0, 0, 0][..], &bytes[2..]));
        let v2 = frame.pieces(ClassRef { slot: 3, serial: 78 }, Transport::Tcp).0;
        assert_eq!((&v2[..4], v2.len()), (&[73, 0, 0, 0][..], 4 + 73));
        assert!(frame.head(ClassRef { slot: 2, serial: 78 }).is_none(), "a slot's earlier class is another class");

        let mut pool = FramePool::new(1);
        let nodes = WHOLE_BYTES_MAX / 28 + 1;
        let frame = pool.publish(|frame| {
            frame.begin(Stamp::default(), &vec![7; nodes]);
            frame.encode(CLASS, Profile::Own, 1);
            frame.publish_at(5);
        });
        let frame = frame.unwrap();
        let (head, body) = frame.pieces(CLASS, Transport::WebSocket);
        assert_eq!((head.len(), body.len()), (4 + 64, nodes * 28));
        assert!(FrameHeader::parse(&[&head[4..], body].concat()).is_ok());
    }

    #[test]
    fn a_leased_frame_is_never_written_again() {
        let mut pool = FramePool::new(2);
        let first = published(&mut pool, 1);
        let second = published(&mut pool, 2);
        assert_eq!(pool.free(), 0);
        assert!(pool.publish(|_| unreachable!("both are leased")).is_none());
        drop(first);
        let third = published(&mut pool, 3);
        assert_eq!(second.head(CLASS).unwrap().sequence(), 2);
        assert_eq!(third.head(CLASS).unwrap().sequence(), 3);
    }
}
