//! The encoder: follows positions with the same state as every decoder, and says what that state did not expect.

use super::bits::{put_varint, varint_bytes};
use super::error::EncodeError;
use super::frame::CompactFrame;
use super::info::Info;
use super::model::{BLOCK_NODES, BOX_QUANTA, Block, HALF, HOT, LANE_PLACES, Lane, UNITS, at};
use super::tables::Tables;
use super::tokens::{
    SYMBOLS_HOT, SYMBOLS_QUIET, Token, along, first_of_hot, first_of_quiet, hot_context, plain_values, push_value,
    quiet_context,
};
use super::{gaps, rans, snapshot};
use crate::wire::NodeRecord;

/// Mode byte: sparse gaps.
pub(super) const MODE_GAPS: u8 = 1;
/// Mode byte: entropy-coded flags and corrections.
pub(super) const MODE_ENTROPY: u8 = 2;
/// Bit of the mode byte: the block's decay follows and holds from the next tick on.
pub(super) const MODE_DECAY: u8 = 4;

/// Tokens of a node at most: a flag, and three symbols with two runs of plain bits each.
const NODE_TOKENS_MAX: usize = 10;

/// A block without hot nodes and with at most one correction in so many nodes is coded as gaps: from there on flags cost
/// fewer bytes.
const GAPS_FROM: usize = 24;

/// Of how many nodes one is measured for the decay.
const SAMPLE_EVERY: usize = 8;

/// Anything that has a position.
pub trait Point {
    /// World units.
    fn point(&self) -> [f32; 3];
}

impl Point for [f32; 3] {
    #[inline(always)]
    fn point(&self) -> [f32; 3] {
        *self
    }
}

impl Point for NodeRecord {
    #[inline(always)]
    fn point(&self) -> [f32; 3] {
        self.position()
    }
}

/// How blocks are coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// Whatever is cheaper for each block.
    #[default]
    Cheapest,
    /// Always the entropy coder: for measuring and for training its tables.
    Entropy,
}

/// Follows the positions of one chain.
#[derive(Debug)]
pub struct Encoder {
    info: Info,
    coding: Coding,
    blocks: Vec<Block>,
    decays: Vec<Decay>,
    tables: Tables,
    scratch: Box<Scratch>,
    normalised: bool,
}

/// What one block needs while it is encoded.
#[derive(Debug)]
struct Scratch {
    /// True position less predicted one, units, by axis.
    off: [Lane; 3],
    /// 1 where a quiet node would be off by more than half a quantum.
    over: [u8; BLOCK_NODES],
    /// Nodes that are hot or over, in order.
    active: [u16; BLOCK_NODES],
    tokens: Vec<Token>,
    words: Vec<u16>,
    payload: Vec<u8>,
}

/// Measures which share of its velocity a block loses in a tick.
#[derive(Clone, Debug)]
struct Decay {
    last: [[i32; 3]; BLOCK_NODES / SAMPLE_EVERY],
    moved: [[i32; 3]; BLOCK_NODES / SAMPLE_EVERY],
    along: i64,
    square: i64,
}

impl Decay {
    const NEW: Self = Self {
        last: [[0; 3]; BLOCK_NODES / SAMPLE_EVERY],
        moved: [[0; 3]; BLOCK_NODES / SAMPLE_EVERY],
        along: 0,
        square: 0,
    };

    /// As after a tick in which nothing moved.
    fn start(block: &Block) -> Self {
        let mut decay = Self::NEW;
        for (sample, last) in decay.last.iter_mut().enumerate() {
            *last = block.position.each_ref().map(|axis| at(axis, sample * SAMPLE_EVERY));
        }
        decay
    }

    /// Takes one tick's positions, as what was predicted and how far that was off.
    fn sample(&mut self, block: &Block, off: &[Lane; 3]) {
        let (mut along, mut square) = (0_i64, 0_i64);
        for (sample, (last, moved)) in self.last.iter_mut().zip(&mut self.moved).enumerate() {
            let node = sample * SAMPLE_EVERY;
            let axes = block.position.iter().zip(off).zip(last.iter_mut().zip(moved));
            for ((position, off), (last, moved)) in axes {
                let position = at(position, node).wrapping_add(at(off, node));
                // A jump says nothing about decay, and its square would drown the rest.
                let now = position.wrapping_sub(*last).clamp(-(1 << 22), 1 << 22);
                along += i64::from(now) * i64::from(*moved);
                square += i64::from(*moved) * i64::from(*moved);
                (*last, *moved) = (position, now);
            }
        }
        self.along += along - (self.along >> 3);
        self.square += square - (self.square >> 3);
    }

    /// Lost share in 1/1024, 0 when nothing moves.
    fn share(&self) -> u8 {
        let lost = (self.square - self.along).clamp(0, self.square.max(0));
        // Both are below 2^58, so the product with 1,024 needs the shift first.
        u8::try_from((lost >> 10).saturating_mul(1_024) / (self.square >> 10).max(1)).unwrap_or(u8::MAX)
    }
}

impl Encoder {
    /// Every node at the origin, at rest. The first frame to send is the snapshot after [`Self::reset`].
    ///
    /// # Errors
    /// [`super::CompactError::Info`] when a value of `info` is not usable.
    pub fn new(info: Info, coding: Coding) -> Result<Self, super::CompactError> {
        info.check()?;
        let blocks = blocks(info.node_count as usize);
        Ok(Self {
            info,
            coding,
            decays: vec![Decay::NEW; blocks.len()],
            blocks,
            tables: Tables::new(),
            scratch: Box::new(Scratch {
                off: [[0; LANE_PLACES]; 3],
                over: [0; BLOCK_NODES],
                active: [0; BLOCK_NODES],
                tokens: Vec::with_capacity(BLOCK_NODES * NODE_TOKENS_MAX),
                words: Vec::with_capacity(CompactFrame::delta_bytes_max(BLOCK_NODES) / 2),
                payload: Vec::with_capacity(CompactFrame::snapshot_bytes_max(BLOCK_NODES)),
            }),
            normalised: false,
        })
    }

    /// What decoders of this chain must know.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Begins a new chain of as many nodes with another origin, quantum or tick rate. The state is as after [`Self::new`]:
    /// call [`Self::reset`] next. No allocation.
    ///
    /// # Errors
    /// [`super::CompactError::Info`] when the node count is another one or a value is not usable; the chain then goes on
    /// as before.
    pub fn retarget(&mut self, info: Info) -> Result<(), super::CompactError> {
        info.check()?;
        if info.node_count != self.info.node_count {
            return Err(super::CompactError::Info { field: "node_count", found: info.node_count.into() });
        }
        self.info = info;
        for (block, decay) in self.blocks.iter_mut().zip(&mut self.decays) {
            block.clear();
            *decay = Decay::NEW;
        }
        self.normalised = false;
        Ok(())
    }

    /// Bytes that an encoder of `node_count` nodes holds.
    #[must_use]
    pub const fn footprint(node_count: usize) -> usize {
        let block = size_of::<Block>() + size_of::<Decay>();
        let scratch = BLOCK_NODES * NODE_TOKENS_MAX * 2 + CompactFrame::snapshot_bytes_max(BLOCK_NODES) * 2;
        node_count.div_ceil(BLOCK_NODES) * block + size_of::<Scratch>() + scratch + 32_768
    }

    /// Puts every node where it is, at rest: a jump that no delta tells of. A snapshot can be taken at once.
    ///
    /// # Errors
    /// [`EncodeError::Count`], [`EncodeError::NotFinite`].
    pub fn reset<P: Point>(&mut self, points: &[P]) -> Result<(), EncodeError> {
        self.check(points)?;
        let (origin, scale) = (self.info.origin, self.info.units_per_world());
        for ((block, decay), points) in self.blocks.iter_mut().zip(&mut self.decays).zip(points.chunks(BLOCK_NODES)) {
            block.clear();
            let [x, y, z] = &mut block.position;
            for (((x, y), z), point) in x.iter_mut().zip(y).zip(z).zip(points) {
                [*x, *y, *z] = target(point.point(), origin, scale);
            }
            block.predict(true);
            block.normalise();
            *decay = Decay::start(block);
        }
        self.normalised = true;
        Ok(())
    }

    /// Follows one tick and writes the delta into `out`, from which a snapshot's bytes vanish.
    ///
    /// Afterwards every coordinate of the state is within half a quantum of the given one, moved into the box, but for
    /// the rounding of floats: `quantum / 2 + quantum / 4,096 + 2^-24 * (4 |x - origin| + |x|)` bounds what a decoder
    /// shows. With `normalise` the state is also rounded so that a snapshot can be taken. O(nodes), no allocation.
    ///
    /// # Errors
    /// [`EncodeError`]; the state is then as before.
    pub fn tick<P: Point>(&mut self, points: &[P], normalise: bool, out: &mut CompactFrame) -> Result<(), EncodeError> {
        self.tick_watched(points, normalise, out, &mut |_| {})
    }

    /// As [`Self::tick`]; `watch` sees the tokens of every block that goes through the entropy coder.
    ///
    /// # Errors
    /// As [`Self::tick`].
    pub fn tick_watched<P: Point>(
        &mut self,
        points: &[P],
        normalise: bool,
        out: &mut CompactFrame,
        watch: &mut impl FnMut(&[Token]),
    ) -> Result<(), EncodeError> {
        self.check(points)?;
        self.check_room(out)?;
        out.clear();
        let (origin, scale) = (self.info.origin, self.info.units_per_world());
        let blocks = self.blocks.iter_mut().zip(&mut self.decays).zip(points.chunks(BLOCK_NODES));
        for (index, ((block, decay), points)) in blocks.enumerate() {
            block.predict(normalise);
            self.scratch.measure(block, points, origin, scale);
            decay.sample(block, &self.scratch.off);
            let mode = self.scratch.encode(block, &self.tables, self.coding, watch);
            if let Some(mode) = mode {
                let share = decay.share();
                let change = share.abs_diff(block.decay) > 1 + block.decay / 8;
                let length = 1 + usize::from(change) + self.scratch.payload.len();
                put_varint(index as u32, &mut out.bytes);
                put_varint(length as u32, &mut out.bytes);
                out.bytes.push(mode | if change { MODE_DECAY } else { 0 });
                if change {
                    out.bytes.push(share);
                    block.decay = share;
                }
                out.bytes.extend_from_slice(&self.scratch.payload);
            }
            if normalise {
                block.normalise();
            }
            out.end_block();
        }
        self.normalised = normalise;
        Ok(())
    }

    /// Writes the state after the last tick, which must have been a normalising one, into `out`.
    ///
    /// # Errors
    /// [`EncodeError::NotNormalised`], [`EncodeError::FrameTooSmall`].
    pub fn snapshot(&mut self, out: &mut CompactFrame) -> Result<(), EncodeError> {
        if !self.normalised {
            return Err(EncodeError::NotNormalised);
        }
        self.check_room(out)?;
        out.clear();
        for (index, block) in self.blocks.iter().enumerate() {
            let payload = &mut self.scratch.payload;
            payload.clear();
            snapshot::encode(block, payload);
            put_varint(index as u32, &mut out.bytes);
            put_varint(payload.len() as u32, &mut out.bytes);
            out.bytes.extend_from_slice(payload);
            out.end_block();
        }
        Ok(())
    }

    /// Writes a hash of every block's state into `out`, by which decoders find out that they have drifted.
    ///
    /// # Errors
    /// [`EncodeError::FrameTooSmall`].
    pub fn mark(&self, out: &mut CompactFrame) -> Result<(), EncodeError> {
        self.check_room(out)?;
        out.clear();
        for (index, block) in self.blocks.iter().enumerate() {
            put_varint(index as u32, &mut out.bytes);
            put_varint(4, &mut out.bytes);
            out.bytes.extend_from_slice(&block.hash().to_le_bytes());
            out.end_block();
        }
        Ok(())
    }

    fn check_room(&self, out: &CompactFrame) -> Result<(), EncodeError> {
        let (blocks, room) = (self.blocks.len(), out.blocks_max());
        debug_assert!(varint_bytes(blocks as u32) <= 5);
        if room < blocks { Err(EncodeError::FrameTooSmall { blocks, room }) } else { Ok(()) }
    }

    fn check<P: Point>(&self, points: &[P]) -> Result<(), EncodeError> {
        let expected = self.info.node_count as usize;
        if points.len() != expected {
            return Err(EncodeError::Count { found: points.len(), expected });
        }
        // A sum of zeros unless some coordinate is not finite: straight-line code for the case that always holds.
        let odd =
            points.iter().map(|point| point.point()).fold(0.0, |odd, [x, y, z]| odd + (x * 0.0 + y * 0.0 + z * 0.0));
        if odd == 0.0 {
            return Ok(());
        }
        let bad = points.iter().position(|point| point.point().iter().any(|axis| !axis.is_finite()));
        bad.map_or(Ok(()), |node| Err(EncodeError::NotFinite { node }))
    }
}

/// Empty blocks for `node_count` nodes.
pub(super) fn blocks(node_count: usize) -> Vec<Block> {
    let starts = (0..node_count).step_by(BLOCK_NODES);
    starts.map(|start| Block::new(node_count - start)).collect()
}

/// Where a point is in units, moved into the box.
#[inline(always)]
fn target(point: [f32; 3], origin: [f32; 3], scale: f32) -> [i32; 3] {
    const EDGE: f32 = BOX_QUANTA as f32 * UNITS as f32;
    let [x, y, z] = point;
    let [ox, oy, oz] = origin;
    [x - ox, y - oy, z - oz].map(|offset| (offset * scale).clamp(-EDGE, EDGE) as i32)
}

impl Scratch {
    /// Fills `off` and `over`.
    fn measure<P: Point>(&mut self, block: &Block, points: &[P], origin: [f32; 3], scale: f32) {
        let [x, y, z] = &mut self.off;
        for (((x, y), z), point) in x.iter_mut().zip(y).zip(z).zip(points) {
            [*x, *y, *z] = target(point.point(), origin, scale);
        }
        self.over = [0; BLOCK_NODES];
        for (off, position) in self.off.iter_mut().zip(&block.position) {
            for ((off, position), over) in off.iter_mut().zip(position).zip(&mut self.over).take(block.count) {
                *off = off.wrapping_sub(*position);
                *over |= u8::from(off.wrapping_add(HALF) as u32 > UNITS as u32);
            }
        }
    }

    /// Fills `payload` and corrects the block; the mode, or `None` when there is nothing to say.
    fn encode(
        &mut self,
        block: &mut Block,
        tables: &Tables,
        coding: Coding,
        watch: &mut impl FnMut(&[Token]),
    ) -> Option<u8> {
        self.payload.clear();
        let (mut active, mut hot) = (0, 0);
        for ((node, over), energy) in self.over.iter().enumerate().zip(&block.energy).take(block.count) {
            let is_hot = *energy >= HOT;
            if let Some(place) = self.active.get_mut(active) {
                *place = node as u16;
            }
            active += usize::from(is_hot | (*over != 0));
            hot += usize::from(is_hot);
        }
        if coding == Coding::Cheapest && hot == 0 && active * GAPS_FROM <= block.count {
            if active == 0 {
                return None;
            }
            let off = &self.off;
            let nodes = self.active.iter().take(active).map(|node| usize::from(*node));
            gaps::encode(block, active, nodes.map(|node| (node, quiet_steps(off, node))), &mut self.payload);
            return Some(MODE_GAPS);
        }
        self.tokens.clear();
        for node in 0..block.count {
            let energy = at(&block.energy, node);
            if energy >= HOT {
                self.hot(block, node);
            } else if at(&self.over, node) != 0 {
                self.quiet(block, node);
            } else {
                self.tokens.push(Token::flag(energy, at(&block.ticks, node), false));
            }
        }
        watch(&self.tokens);
        rans::encode(tables, &self.tokens, &mut self.words, &mut self.payload);
        Some(MODE_ENTROPY)
    }

    #[inline]
    fn hot(&mut self, block: &mut Block, node: usize) {
        let (context, shift) = hot_context(at(&block.energy, node));
        let first = first_of_hot(context);
        let [x, y, z] = self.off.each_ref().map(|axis| at(axis, node).wrapping_add(HALF) >> UNITS.ilog2());
        let [vx, vy, vz] = block.velocity.each_ref().map(|axis| at(axis, node));
        let values = [along(x, vx), along(y, vy), along(z, vz)];
        match plain_values([first; 3], SYMBOLS_HOT, values).filter(|_| shift == 0) {
            Some(tokens) => self.tokens.extend_from_slice(&tokens),
            None => {
                for value in values {
                    push_value(first, SYMBOLS_HOT, shift, value, &mut |token| self.tokens.push(token));
                }
            }
        }
        block.correct_hot(node, [x, y, z]);
    }

    fn quiet(&mut self, block: &mut Block, node: usize) {
        let ticks = at(&block.ticks, node);
        let flag = Token::flag(at(&block.energy, node), ticks, true);
        let steps = quiet_steps(&self.off, node);
        let [x, y, z] = steps;
        let any = [false, x != 0, x != 0 || y != 0];
        let [vx, vy, vz] = block.velocity.each_ref().map(|axis| at(axis, node));
        let values = [along(x, vx), along(y, vy), along(z, vz)];
        let mut axis = 0;
        let firsts = any.map(|any| {
            axis += 1;
            first_of_quiet(quiet_context(ticks, axis - 1, any))
        });
        match plain_values(firsts, SYMBOLS_QUIET, values) {
            Some([x, y, z]) => self.tokens.extend_from_slice(&[flag, x, y, z]),
            None => {
                self.tokens.push(flag);
                for (first, value) in firsts.into_iter().zip(values) {
                    push_value(first, SYMBOLS_QUIET, 0, value, &mut |token| self.tokens.push(token));
                }
            }
        }
        block.correct_quiet(node, steps);
    }
}

/// How many half quanta a node is off by axis, to the nearest.
#[inline(always)]
fn quiet_steps(off: &[Lane; 3], node: usize) -> [i32; 3] {
    off.each_ref().map(|axis| {
        let off = at(axis, node);
        let steps = ((off.unsigned_abs() + HALF as u32 / 2) >> HALF.ilog2()) as i32;
        if off < 0 { -steps } else { steps }
    })
}
