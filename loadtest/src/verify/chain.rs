//! Decodes the compact profile of one connection, and holds every frame against a full frame of the same tick.
//!
//! A decoder of n nodes holds about 44 n bytes, so only some connections of a large group are checked.

use std::collections::{HashSet, VecDeque};

use swarmcast::wire::compact::{BOX_QUANTA, CompactError, Decoder, Info, UNITS};
use swarmcast::wire::{
    COLUMN_IDS, ColumnsError, FLAG_HEARTBEAT, FLAG_NORMALISE, FLAG_PARTIAL, FLAG_SETTLED, FLAG_TWO_DIMENSIONAL,
    FrameHeader, HeaderError, KIND_COLUMNS, KIND_DELTA, KIND_INFO, KIND_SNAPSHOT, decode_ids,
};

use super::Field;
use super::meeting::{Full, Meeting};

/// Flags that the profile has.
const FLAGS: u16 = FLAG_SETTLED | FLAG_TWO_DIMENSIONAL | FLAG_HEARTBEAT | FLAG_NORMALISE | FLAG_PARTIAL;

/// More nodes than that are not decoded.
const NODES_MAX: u32 = 4_000_000;

/// Frames that wait for the full frame of their tick.
const WAITING_MAX: usize = 8;

/// What a message of the compact profile breaks.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// No message of this profile.
    #[error("header: {0}")]
    Header(#[from] HeaderError),
    /// It does not decode, does not build on the frame before, or a mark does not agree.
    #[error("body: {0}")]
    Body(#[from] CompactError),
    /// Bits that are not defined.
    #[error("flags {found:#06x} have bits that are not defined")]
    Flags {
        /// All flags.
        found: u16,
    },
    /// A message before the info that it needs.
    #[error("kind {kind} before any info")]
    NoInfo {
        /// Of the message.
        kind: u8,
    },
    /// Another number of nodes than the info has.
    #[error("{found} nodes in a chain of {expected}")]
    NodeCount {
        /// As the info says.
        expected: u32,
        /// As the header says, or followed by the decoder.
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
    /// A column that cannot be read.
    #[error("column: {0}")]
    Column(#[from] ColumnsError),
    /// The ids of the chain are not those of the full frames.
    #[error("id word {word:#010x} of node {node} is not in the full frames, or twice in the chain")]
    Ids {
        /// In the order of the chain.
        node: u32,
        /// With its class bits.
        word: u32,
    },
    /// NaN or infinite.
    #[error("node {node}: {field} is {found}")]
    Value {
        /// In the order of the chain.
        node: u32,
        /// Which.
        field: Field,
        /// What it is.
        found: f32,
    },
    /// Further from the full frame than the profile allows.
    #[error("tick {tick}, node {node}: {field} is {found}, the full frame has {full}, and {bound} apart is allowed")]
    Position {
        /// Of both.
        tick: u64,
        /// In the order of the chain.
        node: u32,
        /// Which.
        field: Field,
        /// As decoded.
        found: f32,
        /// In the full frame.
        full: f32,
        /// By section 6 of the protocol.
        bound: f64,
    },
}

impl ChainError {
    /// For the table of errors.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Header(_) => "verify_header",
            Self::Body(CompactError::Drifted { .. }) => "verify_mark",
            Self::Body(CompactError::Gap { .. }) => "verify_gap",
            Self::Body(_) => "verify_body",
            Self::Flags { .. } => "verify_flags",
            Self::NoInfo { .. } => "verify_no_info",
            Self::NodeCount { .. } => "verify_node_count",
            Self::Back { .. } => "verify_back_in_time",
            Self::Early { .. } => "verify_early",
            Self::Column(_) => "verify_column",
            Self::Ids { .. } => "verify_ids",
            Self::Value { .. } => "verify_value",
            Self::Position { .. } => "verify_position",
        }
    }
}

/// A decoded frame that waits for its full one.
#[derive(Debug, Default)]
struct Waiting {
    tick: u64,
    epoch: u32,
    flat: bool,
    nodes: Vec<(u32, [f32; 3])>,
}

/// Verifies the messages of one connection, in the order in which they came.
#[derive(Debug, Default)]
pub struct ChainVerifier {
    decoder: Option<Decoder>,
    /// Id words in the order of the chain.
    words: Vec<u32>,
    /// Place in full frames of an epoch, in the order of the chain.
    places: Option<(u32, Vec<u32>)>,
    /// Nothing is followed until the next snapshot: one error is enough to say so.
    lost: bool,
    /// `tick`, `tick_ns` and `published_ns` of the last frame.
    before: Option<[u64; 3]>,
    waiting: VecDeque<Waiting>,
    spare: Vec<Waiting>,
}

impl ChainVerifier {
    /// Holds a message against the profile, the state so far, and full frames where there are any. Gives the number of
    /// frames that were compared by it, for the full frame of a tick may come later; `None` when the message could not be
    /// looked at, because what it builds on is lost.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn check(&mut self, message: &[u8], meeting: Option<&Meeting>) -> Result<Option<u64>, ChainError> {
        let taken = self.take(message, meeting);
        match &taken {
            Err(ChainError::Body(CompactError::Gap { base, at })) => self.lost = base > at,
            Err(ChainError::Body(CompactError::Drifted { .. })) => {}
            Err(ChainError::Body(_)) => self.lost = true,
            _ => {}
        }
        taken
    }

    /// Follows only blocks of these rows, each of a first and a last one: the others are no longer sent.
    pub fn keep(&mut self, rows: &[[u32; 2]]) {
        let Some(decoder) = &mut self.decoder else { return };
        for block in 0..decoder.block_count() {
            if !rows.iter().any(|[first, last]| (*first..=*last).contains(&(block as u32))) {
                decoder.leave(block);
            }
        }
    }

    fn take(&mut self, message: &[u8], meeting: Option<&Meeting>) -> Result<Option<u64>, ChainError> {
        let (header, body) = FrameHeader::parse_compact(message)?;
        let flags = header.flags.get();
        if flags & !FLAGS != 0 || header.reserved.get() != 0 {
            return Err(ChainError::Flags { found: flags });
        }
        let (base, sequence) = (header.base.get(), header.sequence.get());
        if self.lost && !matches!(header.kind, KIND_INFO | KIND_COLUMNS | KIND_SNAPSHOT) {
            return Ok(None);
        }
        let no_info = ChainError::NoInfo { kind: header.kind };
        match header.kind {
            KIND_INFO => {
                self.decoder = Some(Decoder::new(Info::parse(body, NODES_MAX)?)?);
                (self.places, self.before) = (None, None);
                self.words.clear();
                self.waiting.clear();
                return Ok(Some(0));
            }
            KIND_COLUMNS => {
                let nodes = self.decoder.as_ref().ok_or(no_info)?.info().node_count;
                // Columns of other kinds may come with a newer server.
                if body.first() == Some(&COLUMN_IDS) {
                    self.columns(body, nodes)?;
                }
                return Ok(Some(0));
            }
            KIND_SNAPSHOT => {
                self.decoder.as_mut().ok_or(no_info)?.snapshot(sequence, body)?;
                self.lost = false;
            }
            KIND_DELTA => {
                let normalise = flags & FLAG_NORMALISE != 0;
                self.decoder.as_mut().ok_or(no_info)?.delta(base, sequence, normalise, body)?;
            }
            _ => {
                self.decoder.as_ref().ok_or(no_info)?.mark(body)?;
                return Ok(Some(0));
            }
        }
        self.check_frame(header)?;
        meeting.map_or(Ok(0), |meeting| self.compare(header, meeting)).map(Some)
    }

    fn columns(&mut self, body: &[u8], nodes: u32) -> Result<(), ChainError> {
        self.words = decode_ids(body, nodes)?;
        self.places = None;
        let mut seen = HashSet::new();
        let twice = self.words.iter().zip(0..).find(|(word, _)| !seen.insert(**word));
        let wrong = twice.map(|(word, node)| ChainError::Ids { node, word: *word });
        if wrong.is_some() {
            // Nobody knows which node is which: nothing is compared until the next columns.
            self.words.clear();
        }
        wrong.map_or(Ok(()), Err)
    }

    /// What a frame promises apart from its bytes.
    fn check_frame(&mut self, header: &FrameHeader) -> Result<(), ChainError> {
        let Some(decoder) = &self.decoder else { return Ok(()) };
        let expected = decoder.info().node_count;
        let mut followed = 0;
        for (node, position, velocity) in decoder.nodes() {
            followed += 1;
            let all = (0..).map(Field::Position).zip(position).chain((0..).map(Field::Velocity).zip(velocity));
            if let Some((field, found)) = all.into_iter().find(|(_, value)| !value.is_finite()) {
                return Err(ChainError::Value { node, field, found });
            }
        }
        if header.flags.get() & FLAG_PARTIAL == 0 {
            for found in [header.node_count.get(), followed] {
                if found != expected {
                    return Err(ChainError::NodeCount { expected, found });
                }
            }
        }
        let (tick_ns, published_ns) = (header.tick_ns.get(), header.published_ns.get());
        if published_ns < tick_ns {
            return Err(ChainError::Early { published_ns, tick_ns });
        }
        let now = [header.tick.get(), tick_ns, published_ns];
        let before = self.before.replace(now).unwrap_or(now);
        let mut each = ["tick", "tick_ns", "published_ns"].into_iter().zip(before.into_iter().zip(now));
        match each.find(|(_, (before, found))| found < before) {
            Some((field, (before, found))) => Err(ChainError::Back { field, before, found }),
            None => Ok(()),
        }
    }

    /// Lets the frame wait, and compares those whose full frame has come.
    fn compare(&mut self, header: &FrameHeader, meeting: &Meeting) -> Result<u64, ChainError> {
        let Some(decoder) = self.decoder.as_ref().filter(|_| !self.words.is_empty()) else { return Ok(0) };
        if self.waiting.len() == WAITING_MAX {
            self.spare.extend(self.waiting.pop_front());
        }
        let mut waiting = self.spare.pop().unwrap_or_default();
        (waiting.tick, waiting.epoch) = (header.tick.get(), header.epoch.get());
        waiting.flat = header.flags.get() & FLAG_TWO_DIMENSIONAL != 0;
        waiting.nodes.clear();
        waiting.nodes.extend(decoder.nodes().map(|(node, position, _)| (node, position)));
        self.waiting.push_back(waiting);
        let (info, full) = (*decoder.info(), meeting.full());
        let mut compared = 0;
        while let Some(first) = self.waiting.pop_front() {
            let over = match full.epoch {
                None => false,
                Some(epoch) => epoch > first.epoch || (epoch == first.epoch && full.newest() > Some(first.tick)),
            };
            let positions = full.at(first.tick).filter(|_| full.epoch == Some(first.epoch));
            if positions.is_none() && !over {
                self.waiting.push_front(first);
                break;
            }
            // Without one it was left out for that connection, and will not come any more.
            if let Some(positions) = positions {
                let known = places(&mut self.places, &self.words, &full);
                match known {
                    Ok(places) => check_positions(&info, &first, places, positions)?,
                    Err(error) => {
                        self.words.clear();
                        return Err(error);
                    }
                }
                compared += 1;
            }
            self.spare.push(first);
        }
        Ok(compared)
    }
}

/// Where each node of the chain is in full frames; made once an epoch.
fn places<'mine>(
    known: &'mine mut Option<(u32, Vec<u32>)>,
    words: &[u32],
    full: &Full,
) -> Result<&'mine [u32], ChainError> {
    let epoch = full.epoch.unwrap_or(0);
    if known.as_ref().is_none_or(|(of, _)| *of != epoch) {
        let (expected, found) = (words.len() as u32, full.places.len() as u32);
        if expected != found {
            return Err(ChainError::NodeCount { expected, found });
        }
        let find =
            |(word, node): (&u32, u32)| full.places.get(word).copied().ok_or(ChainError::Ids { node, word: *word });
        *known = Some((epoch, words.iter().zip(0..).map(find).collect::<Result<_, _>>()?));
    }
    Ok(known.as_ref().map_or(&[], |(_, places)| places.as_slice()))
}

fn check_positions(info: &Info, of: &Waiting, places: &[u32], positions: &[[f32; 3]]) -> Result<(), ChainError> {
    for (node, found) in &of.nodes {
        let place = places.get(*node as usize).and_then(|place| positions.get(*place as usize));
        let [x, y, z] = *place.ok_or(ChainError::NodeCount { expected: places.len() as u32, found: *node })?;
        let full = [x, y, if of.flat { 0.0 } else { z }];
        let axes = (0..).map(Field::Position).zip(found.iter().zip(full).zip(info.origin));
        for (field, ((found, full), origin)) in axes {
            let bound = bound(info.quantum, full, origin);
            let apart = (f64::from(*found) - boxed(info.quantum, full, origin)).abs();
            if apart > bound {
                return Err(ChainError::Position { tick: of.tick, node: *node, field, found: *found, full, bound });
            }
        }
    }
    Ok(())
}

/// The true coordinate, moved into the box.
fn boxed(quantum: f32, x: f32, origin: f32) -> f64 {
    let half = f64::from(quantum) * f64::from(BOX_QUANTA);
    f64::from(x).clamp(f64::from(origin) - half, f64::from(origin) + half)
}

/// How far a decoded coordinate may be from it, by section 6 of the protocol.
fn bound(quantum: f32, x: f32, origin: f32) -> f64 {
    let (x, origin, quantum) = (boxed(quantum, x, origin), f64::from(origin), f64::from(quantum));
    quantum / 2.0 + quantum / f64::from(UNITS) + (4.0 * (x - origin).abs() + x.abs()) / f64::from(1 << 24)
}
