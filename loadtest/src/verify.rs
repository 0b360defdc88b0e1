//! Checks every byte of every frame of one connection against what `PROTOCOL.md` promises.
//!
//! The state is a copy of the last header and two hashes, so that ten thousand clients can be verified. The compact
//! profile has a verifier of its own, which decodes: [`ChainVerifier`].

mod chain;
mod meeting;

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use swarmcast::wire::{
    BodyError, FLAG_COMPRESSED, FLAG_HEARTBEAT, FLAG_SETTLED, FLAG_TWO_DIMENSIONAL, FrameHeader, HeaderError,
    NodeRecord, PackedError, Profile, Record26, Record28, RecordTail, RecordV1, RecordV2, RecordV3, decode_26,
    decode_28, decode_v1, decode_v1_lead, decode_v2, decode_v3, decode_v5, decode_v42, decode_vf0, parse_own,
};
use zerocopy::little_endian::F32;

pub use chain::{ChainError, ChainVerifier};
pub use meeting::{Meeting, meetings};

/// Flags that version 1 has.
const FLAGS: u16 = FLAG_SETTLED | FLAG_TWO_DIMENSIONAL | FLAG_HEARTBEAT;

/// Nodes of a frame that is unpacked: more than a server of ours takes.
const NODES_MAX: u32 = 1 << 26;

/// What a frame that holds says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFacts {
    /// Records.
    pub nodes: u32,
    /// Its header; legacy formats have none.
    pub header: Option<FrameStamps>,
}

/// What only our own format says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStamps {
    /// Version of the graph's structure.
    pub epoch: u32,
    /// The class's own count.
    pub sequence: u64,
    /// Simulation step.
    pub tick: u64,
    /// The same state as the frame before.
    pub heartbeat: bool,
}

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// x, y or z as 0, 1 or 2.
    Position(u8),
    /// Likewise.
    Velocity(u8),
    /// Shortest-path distance.
    Distance,
    /// Shortest-path parent.
    Parent,
    /// Anomaly score.
    Anomaly,
}

impl fmt::Display for Field {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axis = |axis: u8| ['x', 'y', 'z'].get(usize::from(axis)).copied().unwrap_or('?');
        match *self {
            Self::Position(of) => write!(out, "position.{}", axis(of)),
            Self::Velocity(of) => write!(out, "velocity.{}", axis(of)),
            Self::Distance => out.write_str("distance"),
            Self::Parent => out.write_str("parent"),
            Self::Anomaly => out.write_str("anomaly"),
        }
    }
}

/// What a frame breaks.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// No frame of our own format.
    #[error("header: {0}")]
    Header(#[from] HeaderError),
    /// No frame of a legacy format.
    #[error("body: {0}")]
    Body(#[from] BodyError),
    /// No frame of our own format, packed or not.
    #[error("frame: {0}")]
    Packed(#[from] PackedError),
    /// Bits that version 1 does not have.
    #[error("flags {found:#06x} have bits that are not defined")]
    Flags {
        /// All flags.
        found: u16,
    },
    /// A field that must be 0.
    #[error("{field} is {found}, not 0")]
    NotZero {
        /// `reserved` or `base`.
        field: &'static str,
        /// What it is.
        found: u64,
    },
    /// Another class, without a new subscription.
    #[error("class {found} after class {before}")]
    Class {
        /// Of the frame before.
        before: u16,
        /// Of this one.
        found: u16,
    },
    /// A count that does not grow.
    #[error("sequence {found} after {before}")]
    Sequence {
        /// Of the frame before; 0 before the first.
        before: u64,
        /// Of this one.
        found: u64,
    },
    /// An older structure.
    #[error("epoch {found} after {before}")]
    Epoch {
        /// Of the frame before.
        before: u32,
        /// Of this one.
        found: u32,
    },
    /// A step or a time that goes back.
    #[error("{field} {found} after {before}")]
    Back {
        /// `tick`, `tick_ns` or `published_ns`.
        field: &'static str,
        /// Of the frame before.
        before: u64,
        /// Of this one.
        found: u64,
    },
    /// Published before its turn was due.
    #[error("published at {published_ns} ns, due only at {tick_ns} ns")]
    Early {
        /// As the header says.
        published_ns: u64,
        /// As the header says.
        tick_ns: u64,
    },
    /// Another number of nodes in the same structure.
    #[error("{found} nodes after {before} in epoch {epoch}")]
    NodeCount {
        /// Of both frames; 0 in a legacy format.
        epoch: u32,
        /// Of the frame before.
        before: u32,
        /// Of this one.
        found: u32,
    },
    /// Other ids, flags or order in the same structure.
    #[error("another list of {nodes} ids in epoch {epoch}")]
    Ids {
        /// Of both frames; 0 in a legacy format.
        epoch: u32,
        /// In each.
        nodes: u32,
    },
    /// A number that its field cannot have.
    #[error("record {record}: {field} is {found}")]
    Value {
        /// From 0.
        record: u32,
        /// Which.
        field: Field,
        /// What it is.
        found: f32,
    },
    /// A two-dimensional frame with depth.
    #[error("record {record}: {field} is {found} in a two-dimensional frame")]
    Depth {
        /// From 0.
        record: u32,
        /// Which.
        field: Field,
        /// What it is.
        found: f32,
    },
    /// A heartbeat with another state than the frame before.
    #[error("heartbeat {sequence} has another {what} than the frame before")]
    Heartbeat {
        /// Of the heartbeat.
        sequence: u64,
        /// `tick`, `epoch` or `body`.
        what: &'static str,
    },
}

impl VerifyError {
    /// For the table of errors.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Packed(PackedError::Header(error)) => Self::Header(*error).kind(),
            Self::Packed(PackedError::Planes(_)) => "verify_block",
            Self::Header(HeaderError::Magic { .. }) | Self::Body(BodyError::Magic { .. }) => "verify_magic",
            Self::Header(HeaderError::Version { .. }) | Self::Body(BodyError::Version { .. }) => "verify_version",
            Self::Header(HeaderError::Kind { .. }) => "verify_kind",
            Self::Header(HeaderError::Short { .. } | HeaderError::Length { .. })
            | Self::Body(BodyError::Short { .. } | BodyError::Length { .. } | BodyError::Count { .. })
            | Self::Packed(PackedError::Nodes { .. } | PackedError::Length { .. }) => "verify_length",
            Self::Flags { .. } => "verify_flags",
            Self::NotZero { .. } => "verify_reserved",
            Self::Class { .. } => "verify_class",
            Self::Sequence { .. } => "verify_sequence",
            Self::Epoch { .. } => "verify_epoch",
            Self::Back { .. } => "verify_back_in_time",
            Self::Early { .. } => "verify_early",
            Self::NodeCount { .. } => "verify_node_count",
            Self::Ids { .. } => "verify_ids",
            Self::Value { .. } => "verify_value",
            Self::Depth { .. } => "verify_depth",
            Self::Heartbeat { .. } => "verify_heartbeat",
        }
    }
}

/// What is kept of the frame before.
#[derive(Clone, Copy, Debug)]
struct Before {
    /// All zero in a legacy format.
    header: FrameHeader,
    nodes: u32,
    ids: u64,
    body: u64,
}

/// Verifies the frames of one connection and one subscription, in the order in which they came.
///
/// A frame that fails leaves no trace: the next one is held against the last that was right. `check` reads every byte
/// twice and allocates nothing.
#[derive(Clone, Debug)]
pub struct Verifier {
    profile: Profile,
    repeats: bool,
    before: Option<Before>,
}

const _: () = assert!(size_of::<Verifier>() <= 256, "ten thousand of them are kept");

impl Verifier {
    /// For a connection that asked for `profile`.
    #[must_use]
    pub const fn new(profile: Profile) -> Self {
        Self { profile, repeats: false, before: None }
    }

    /// Lets the same frame come again, whole and unchanged: the answer to `request_full_snapshot` may be one that the
    /// client has had.
    #[must_use]
    pub const fn with_repeats(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Holds a whole frame against the format and against the frames before it.
    ///
    /// # Errors
    /// The first promise that it breaks.
    pub fn check(&mut self, frame: &[u8]) -> Result<FrameFacts, VerifyError> {
        let (now, header) = match self.profile {
            // What is no full frame is refused by its kind.
            Profile::Own | Profile::Compact => {
                let (header, records) = FrameHeader::parse(frame)?;
                self.check_own(frame, header, records)?
            }
            Profile::OwnLz4 => {
                let mut unpacked = Vec::new();
                let (header, records) = parse_own(frame, NODES_MAX, &mut unpacked)?;
                self.check_own(frame, header, records)?
            }
            Profile::Legacy26 => (self.check_legacy(frame, 0, decode_26(frame)?)?, None),
            Profile::Legacy28 => (self.check_legacy(frame, 0, decode_28(frame)?)?, None),
            Profile::V1 => (self.check_legacy(frame, 0, decode_v1(frame)?)?, None),
            Profile::V1Lead => (self.check_legacy(frame, 0, decode_v1_lead(frame)?)?, None),
            Profile::V2 => (self.check_legacy(frame, 0, decode_v2(frame)?)?, None),
            Profile::V3 => (self.check_legacy(frame, 0, decode_v3(frame)?)?, None),
            Profile::V5 => {
                let (sequence, records) = decode_v5(frame)?;
                (self.check_legacy(frame, sequence, records)?, None)
            }
            Profile::V42 => {
                let (sequence, records) = decode_v42(frame)?;
                (self.check_legacy(frame, sequence, records)?, None)
            }
            Profile::Vf0 => {
                let (id, records) = decode_vf0(frame)?;
                (self.check_legacy(frame, id.into(), records)?, None)
            }
        };
        self.before = Some(now);
        Ok(FrameFacts { nodes: now.nodes, header })
    }

    fn check_own(
        &self,
        frame: &[u8],
        header: &FrameHeader,
        records: &[NodeRecord],
    ) -> Result<(Before, Option<FrameStamps>), VerifyError> {
        check_fields(header, self.profile == Profile::OwnLz4)?;
        let body = hash(frame.get(size_of::<FrameHeader>()..).unwrap_or(&[]));
        let now = Before { header: *header, nodes: header.node_count.get(), ids: hash_ids(records), body };
        if let Some(before) = &self.before {
            check_order(before, &now, self.repeats)?;
        }
        check_records(records)?;
        let flags = header.flags.get();
        if flags & FLAG_TWO_DIMENSIONAL != 0 {
            check_flat(records)?;
        }
        let (epoch, sequence, tick) = (header.epoch.get(), header.sequence.get(), header.tick.get());
        let heartbeat = flags & FLAG_HEARTBEAT != 0;
        Ok((now, Some(FrameStamps { epoch, sequence, tick, heartbeat })))
    }

    /// A legacy frame names no epoch, so its ids are taken to stay what they were in the first one. `sequence` is 0 in
    /// a profile that does not count.
    fn check_legacy<R: Node>(&self, frame: &[u8], sequence: u64, records: &[R]) -> Result<Before, VerifyError> {
        let nodes = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let header = FrameHeader { sequence: sequence.into(), ..FrameHeader::default() };
        let now = Before { header, nodes, ids: hash_ids(records), body: hash(frame) };
        if let Some(before) = &self.before {
            let (found, before_it) = (sequence, before.header.sequence.get());
            if found < before_it || (found == before_it && found != 0 && !self.repeats) {
                return Err(VerifyError::Sequence { before: before_it, found });
            }
            check_structure(before, &now)?;
        }
        check_records(records)?;
        Ok(now)
    }
}

/// What a header promises on its own.
fn check_fields(header: &FrameHeader, packed: bool) -> Result<(), VerifyError> {
    let flags = header.flags.get();
    let known = if packed { FLAGS | FLAG_COMPRESSED } else { FLAGS };
    if flags & !known != 0 {
        return Err(VerifyError::Flags { found: flags });
    }
    for (field, found) in [("reserved", u64::from(header.reserved.get())), ("base", header.base.get())] {
        if found != 0 {
            return Err(VerifyError::NotZero { field, found });
        }
    }
    if header.sequence.get() == 0 {
        return Err(VerifyError::Sequence { before: 0, found: 0 });
    }
    let (tick_ns, published_ns) = (header.tick_ns.get(), header.published_ns.get());
    if published_ns < tick_ns {
        // The turn sleeps until it is due, and publishes after that, by one clock.
        return Err(VerifyError::Early { published_ns, tick_ns });
    }
    Ok(())
}

/// What a frame promises after another one.
fn check_order(before: &Before, now: &Before, repeats: bool) -> Result<(), VerifyError> {
    let (old, new) = (&before.header, &now.header);
    if old.class != new.class {
        return Err(VerifyError::Class { before: old.class.get(), found: new.class.get() });
    }
    if repeats && old == new && before.body == now.body {
        return Ok(());
    }
    let sequences = (old.sequence.get(), new.sequence.get());
    if sequences.1 <= sequences.0 {
        return Err(VerifyError::Sequence { before: sequences.0, found: sequences.1 });
    }
    if new.epoch.get() < old.epoch.get() {
        return Err(VerifyError::Epoch { before: old.epoch.get(), found: new.epoch.get() });
    }
    for (field, before, found) in [
        ("tick", old.tick.get(), new.tick.get()),
        ("tick_ns", old.tick_ns.get(), new.tick_ns.get()),
        ("published_ns", old.published_ns.get(), new.published_ns.get()),
    ] {
        if found < before {
            return Err(VerifyError::Back { field, before, found });
        }
    }
    if old.epoch == new.epoch {
        check_structure(before, now)?;
    }
    // Only right after another frame: of those that were left out nobody knows the state.
    if new.flags.get() & FLAG_HEARTBEAT != 0 && sequences.1 == sequences.0 + 1 {
        let same =
            [("epoch", old.epoch == new.epoch), ("tick", old.tick == new.tick), ("body", before.body == now.body)];
        if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(VerifyError::Heartbeat { sequence: sequences.1, what });
        }
    }
    Ok(())
}

/// What two frames of one epoch promise.
fn check_structure(before: &Before, now: &Before) -> Result<(), VerifyError> {
    let epoch = now.header.epoch.get();
    if before.nodes != now.nodes {
        return Err(VerifyError::NodeCount { epoch, before: before.nodes, found: now.nodes });
    }
    if before.ids != now.ids {
        return Err(VerifyError::Ids { epoch, nodes: now.nodes });
    }
    Ok(())
}

/// A record of any format.
trait Node {
    /// The id with its flags.
    fn id_word(&self) -> u32;

    /// The first field that has a value it cannot have.
    fn flaw(&self) -> Option<(Field, f32)>;
}

impl Node for NodeRecord {
    fn id_word(&self) -> u32 {
        self.id_flags.get()
    }

    fn flaw(&self) -> Option<(Field, f32)> {
        motion_flaw(&self.position, &self.velocity)
    }
}

impl Node for RecordV1 {
    fn id_word(&self) -> u32 {
        u32::from(self.id_flags.get())
    }

    fn flaw(&self) -> Option<(Field, f32)> {
        tail_flaw(&self.tail)
    }
}

impl Node for RecordV2 {
    fn id_word(&self) -> u32 {
        self.id_flags.get()
    }

    fn flaw(&self) -> Option<(Field, f32)> {
        tail_flaw(&self.tail)
    }
}

impl Node for Record26 {
    fn id_word(&self) -> u32 {
        self.id.get().into()
    }

    fn flaw(&self) -> Option<(Field, f32)> {
        motion_flaw(&self.position, &self.velocity)
    }
}

impl Node for Record28 {
    fn id_word(&self) -> u32 {
        self.id_flags.get()
    }

    fn flaw(&self) -> Option<(Field, f32)> {
        motion_flaw(&self.position, &self.velocity)
    }
}

impl Node for RecordV3 {
    fn id_word(&self) -> u32 {
        self.node.id_word()
    }

    fn flaw(&self) -> Option<(Field, f32)> {
        let anomaly = self.anomaly.get();
        let known = anomaly == -1.0 || (anomaly.is_finite() && anomaly >= 0.0);
        self.node.flaw().or_else(|| (!known).then_some((Field::Anomaly, anomaly)))
    }
}

fn motion_flaw(position: &[F32; 3], velocity: &[F32; 3]) -> Option<(Field, f32)> {
    // The usual case first, without a branch per number.
    if position.iter().chain(velocity).fold(true, |finite, value| finite & value.get().is_finite()) {
        return None;
    }
    let positions = (0..).map(Field::Position).zip(position);
    let velocities = (0..).map(Field::Velocity).zip(velocity);
    let mut all = positions.chain(velocities).map(|(field, value)| (field, value.get()));
    all.find(|(_, value)| !value.is_finite())
}

fn tail_flaw(tail: &RecordTail) -> Option<(Field, f32)> {
    let (distance, parent) = (tail.distance.get(), tail.parent.get());
    let flaw = motion_flaw(&tail.position, &tail.velocity);
    // +inf is a node that is not reached; it has no parent, and no node has one below -1.
    let flaw = flaw.or_else(|| (distance.is_nan() || distance < 0.0).then_some((Field::Distance, distance)));
    let orphan = parent == -1 || (parent >= 0 && distance.is_finite());
    flaw.or_else(|| (!orphan).then_some((Field::Parent, parent as f32)))
}

fn check_records<R: Node>(records: &[R]) -> Result<(), VerifyError> {
    for (record, node) in (0..).zip(records) {
        if let Some((field, found)) = node.flaw() {
            return Err(VerifyError::Value { record, field, found });
        }
    }
    Ok(())
}

fn check_flat(records: &[NodeRecord]) -> Result<(), VerifyError> {
    for (record, node) in (0..).zip(records) {
        let ([.., depth], [.., speed]) = (node.position(), node.velocity());
        for (field, found) in [(Field::Position(2), depth), (Field::Velocity(2), speed)] {
            if found != 0.0 {
                return Err(VerifyError::Depth { record, field, found });
            }
        }
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn hash_ids<R: Node>(records: &[R]) -> u64 {
    let mut hasher = DefaultHasher::new();
    records.iter().for_each(|record| hasher.write_u32(record.id_word()));
    hasher.finish()
}

#[cfg(test)]
mod tests;
