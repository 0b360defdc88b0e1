//! The encoder: follows positions with the same state as every decoder, and says what that state did not expect.

use super::bits::{BitWriter, put_varint, varint_bytes};
use super::error::EncodeError;
use super::frame::CompactFrame;
use super::info::Info;
use super::lanes::{self, Bytes, Tokens};
use super::model::{BLOCK_NODES, BOX_QUANTA, Block, LANE_PLACES, Lane, UNITS, at, half_quanta};
use super::nodes::{Kinds, Nodes};
use super::rans::{self, Words};
use super::tables::Tables;
use super::tokens::{PASSES, Pass, SYMBOLS_QUIET, Token, along, plain_of};
use super::{gaps, snapshot};
use crate::wire::NodeRecord;

/// Mode byte: sparse gaps.
pub(super) const MODE_GAPS: u8 = 1;
/// Mode byte: entropy-coded flags and corrections, by one state.
pub(super) const MODE_ENTROPY: u8 = 2;
/// Mode byte: the same by four states, which are faster and 12 bytes longer.
pub(super) const MODE_ENTROPY_FOUR: u8 = 3;
/// Bits of the mode byte that say how the block is coded.
pub(super) const MODE_CODING: u8 = 3;
/// Bit of the mode byte: the block's decay follows and holds from the next tick on.
pub(super) const MODE_DECAY: u8 = 4;
/// Bit of the mode byte: plain bits follow.
pub(super) const MODE_PLAIN: u8 = 8;

/// From so many symbols of corrections on four states are worth their bytes.
const FOUR_STATES_FROM: usize = 1_024;

/// A block without hot nodes and with at most one correction in so many nodes is coded as gaps: from there on flags cost
/// fewer bytes.
const GAPS_FROM: usize = 24;

/// From so many corrections of quiet nodes on these are applied to all nodes at once instead of one by one.
pub(super) const ALL_FROM: usize = 64;

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
    /// World units from the origin, by axis; 0 past the last node.
    world: [[f32; LANE_PLACES]; 3],
    /// True position less predicted one, units, by axis.
    off: [Lane; 3],
    /// 1 where a quiet node would be off by more than half a quantum.
    over: Bytes,
    /// 1 where a node is hot.
    is_hot: Bytes,
    kinds: Kinds,
    /// Quiet nodes that are over.
    corrected: Nodes,
    corrections: Corrections,
    words: Words,
    plain: Vec<u8>,
    payload: Vec<u8>,
}

/// What the entropy coder is given.
#[derive(Debug)]
struct Corrections {
    passes: [Pass; PASSES],
    /// Corrections of quiet nodes, by axis and node.
    quiet_steps: [Lane; 3],
    /// Corrections of hot nodes, by axis and node.
    hot_steps: [Lane; 3],
    /// By node, for one pass after the other: tokens, plain bits and how many these are.
    tokens: Tokens,
    plain_bits: Lane,
    plain_widths: Bytes,
    /// Hot nodes whose correction has plain bits.
    odd: Nodes,
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
                world: [[0.0; LANE_PLACES]; 3],
                off: [[0; LANE_PLACES]; 3],
                over: [0; BLOCK_NODES],
                is_hot: [0; BLOCK_NODES],
                kinds: Kinds::NONE,
                corrected: Nodes::NONE,
                corrections: Corrections {
                    passes: [Pass::NEW; PASSES],
                    quiet_steps: [[0; LANE_PLACES]; 3],
                    hot_steps: [[0; LANE_PLACES]; 3],
                    tokens: [Token::default(); BLOCK_NODES],
                    plain_bits: [0; LANE_PLACES],
                    plain_widths: [0; BLOCK_NODES],
                    odd: Nodes::NONE,
                },
                words: Words::new(),
                plain: Vec::with_capacity(CompactFrame::delta_bytes_max(BLOCK_NODES)),
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
        let buffers = CompactFrame::snapshot_bytes_max(BLOCK_NODES) + CompactFrame::delta_bytes_max(BLOCK_NODES);
        let scratch = size_of::<Scratch>() + Words::BYTES + buffers;
        node_count.div_ceil(BLOCK_NODES) * block + scratch + Tables::BYTES
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
                let [px, py, pz] = point.point();
                let [ox, oy, oz] = origin;
                [*x, *y, *z] = [px - ox, py - oy, pz - oz].map(|offset| units(offset, scale));
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
        self.tick_watched(points, normalise, out, &mut |_, _| {})
    }

    /// As [`Self::tick`]; `watch` sees the tokens of every pass that goes through the entropy coder, and how many bytes of
    /// plain bits its block has beside, told with the first pass.
    ///
    /// # Errors
    /// As [`Self::tick`].
    pub fn tick_watched<P: Point>(
        &mut self,
        points: &[P],
        normalise: bool,
        out: &mut CompactFrame,
        watch: &mut impl FnMut(&[Token], usize),
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
        // The exponent of a number that is not finite is all ones, and one more makes it negative. A sum of finite numbers
        // that overflows is looked at again below.
        let odd = points.iter().fold(0, |odd, point| {
            let [x, y, z] = point.point();
            odd | (((x + y + z).to_bits() & 0x7F80_0000) + 0x0080_0000)
        });
        if odd >> 31 == 0 {
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

/// A coordinate in units, moved into the box.
///
/// The cast of one float saturates, for which there is no vector instruction. This takes the number apart into two halves
/// of 16 bits, each of which stands in the low bits of the float that is the half and a large number, rounded by the sum.
#[inline(always)]
pub(super) fn units(offset: f32, scale: f32) -> i32 {
    const EDGE: f32 = BOX_QUANTA as f32 * UNITS as f32;
    const LARGE: f32 = 1.5 * (1 << 23) as f32;
    const HALF_RANGE: f32 = 65_536.0;
    let units = (offset * scale).clamp(-EDGE, EDGE);
    let high = units * (1.0 / HALF_RANGE) + LARGE;
    let low = units - (high - LARGE) * HALF_RANGE + LARGE;
    let [high, low] = [high, low].map(|float| float.to_bits().wrapping_sub(LARGE.to_bits()));
    (high << 16).wrapping_add(low) as i32
}

impl Scratch {
    /// Fills `off` and `over`.
    fn measure<P: Point>(&mut self, block: &Block, points: &[P], origin: [f32; 3], scale: f32) {
        // Two loops: the first takes records apart, the second does the same to whole lanes.
        let [x, y, z] = &mut self.world;
        let [ox, oy, oz] = origin;
        for (((x, y), z), point) in x.iter_mut().zip(y).zip(z).zip(points) {
            let [px, py, pz] = point.point();
            (*x, *y, *z) = (px - ox, py - oy, pz - oz);
        }
        for world in &mut self.world {
            if let Some(rest) = world.get_mut(block.count..) {
                rest.fill(0.0);
            }
        }
        lanes::measure(&self.world, scale, &block.position, &block.energy, &mut self.off, &mut self.over);
    }

    /// Fills `payload` and corrects the block; the mode, or `None` when there is nothing to say.
    fn encode(
        &mut self,
        block: &mut Block,
        tables: &Tables,
        coding: Coding,
        watch: &mut impl FnMut(&[Token], usize),
    ) -> Option<u8> {
        self.payload.clear();
        lanes::find_hot(&block.energy, &mut self.is_hot);
        let (hot, over) = (lanes::count(&self.is_hot), lanes::count(&self.over));
        if coding == Coding::Cheapest && hot == 0 && over == 0 {
            return None;
        }
        self.corrected.fill_where(&self.over);
        if coding == Coding::Cheapest && hot == 0 && over * GAPS_FROM <= block.count {
            let off = &self.off;
            let corrections = self.corrected.iter().map(|node| (node, quiet_steps(off, node)));
            gaps::encode(block, over, corrections, &mut self.payload);
            return Some(MODE_GAPS);
        }
        self.kinds.sort(block.count, &self.is_hot, hot);
        self.flags(block);
        self.plain.clear();
        let mut plain = BitWriter::new(&mut self.plain);
        self.corrections.quiet(block, &self.off, &self.over, &self.corrected, &mut plain);
        self.corrections.hot(block, &self.off, &self.kinds.hot, &mut plain);
        plain.end();
        let has_plain = !self.plain.is_empty();
        if has_plain {
            put_varint(self.plain.len() as u32, &mut self.payload);
            self.payload.extend_from_slice(&self.plain);
        }
        if hot > 0 {
            block.correct_hot(&self.corrections.hot_steps);
        }
        if over < ALL_FROM || !block.correct_quiet_all(&self.over, &self.corrections.quiet_steps) {
            for node in self.corrected.iter() {
                block.correct_quiet(node, quiet_steps(&self.off, node));
            }
        }
        let mut plain_bytes = self.plain.len();
        for pass in &self.corrections.passes {
            watch(pass.tokens(), std::mem::take(&mut plain_bytes));
        }
        let plain = if has_plain { MODE_PLAIN } else { 0 };
        if 3 * (over + hot) < FOUR_STATES_FROM {
            rans::encode::<1>(tables, &self.corrections.passes, &mut self.words, &mut self.payload);
            Some(MODE_ENTROPY | plain)
        } else {
            rans::encode::<4>(tables, &self.corrections.passes, &mut self.words, &mut self.payload);
            Some(MODE_ENTROPY_FOUR | plain)
        }
    }

    /// Fills the pass of flags.
    fn flags(&mut self, block: &Block) {
        let Corrections { tokens, passes: [flags, ..], .. } = &mut self.corrections;
        lanes::flag_tokens(&block.energy, &block.ticks, &self.over, tokens);
        flags.gather(tokens, &self.kinds.quiet);
    }
}

impl Corrections {
    /// Fills `quiet_steps` and the passes of quiet nodes.
    fn quiet(&mut self, block: &Block, off: &[Lane; 3], over: &Bytes, corrected: &Nodes, plain: &mut BitWriter<'_>) {
        let Self { tokens, quiet_steps, passes: [_, passes @ .., _, _, _], .. } = self;
        let (mut any, mut escaped) = ([0; BLOCK_NODES], false);
        let axes = off.iter().zip(&block.velocity).zip(quiet_steps.iter_mut()).zip(passes);
        for (axis, (((off, velocity), steps), pass)) in (0..).zip(axes) {
            if corrected.len() == 0 {
                pass.clear();
                continue;
            }
            escaped |= lanes::quiet_tokens(axis, off, velocity, &block.ticks, over, &mut any, (steps, tokens));
            pass.gather(tokens, corrected);
        }
        for (steps, velocity) in quiet_steps.iter().zip(&block.velocity).filter(|_| escaped) {
            for node in corrected.iter() {
                let (bits, width) = plain_of(along(at(steps, node), at(velocity, node)), SYMBOLS_QUIET, 0);
                plain.put(bits, width);
            }
        }
    }

    /// Fills `hot_steps` and the passes of hot nodes.
    fn hot(&mut self, block: &Block, off: &[Lane; 3], hot: &Nodes, plain: &mut BitWriter<'_>) {
        let Self { hot_steps: steps, tokens, plain_bits, plain_widths, odd, passes: [.., x, y, z], .. } = self;
        let axes = off.iter().zip(&block.velocity).zip(steps).zip([x, y, z]);
        for (((off, velocity), steps), pass) in axes {
            if hot.len() == 0 {
                pass.clear();
                continue;
            }
            lanes::hot_tokens(off, velocity, &block.energy, steps, tokens, plain_bits, plain_widths);
            pass.gather(tokens, hot);
            odd.fill_where_not_zero(plain_widths);
            for node in odd.iter() {
                plain.put(at(plain_bits, node) as u32, u32::from(at(plain_widths, node)));
            }
        }
    }
}

/// How many half quanta a node is off by axis, to the nearest.
#[inline(always)]
fn quiet_steps(off: &[Lane; 3], node: usize) -> [i32; 3] {
    off.each_ref().map(|axis| half_quanta(at(axis, node)))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn units_are_the_nearest_whole_number(offset in -3e9_f32..3e9, log2 in 0..30) {
            let offset = offset / (1_u32 << log2) as f32;
            let edge = f64::from(BOX_QUANTA) * f64::from(UNITS);
            let exact = f64::from(offset).clamp(-edge, edge);
            let off = (f64::from(units(offset, 1.0)) - exact).abs();
            assert!(off <= 0.5, "{offset} becomes {}", units(offset, 1.0));
        }
    }
}
