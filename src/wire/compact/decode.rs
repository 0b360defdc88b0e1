//! The decoder: the same state as the encoder's, for the blocks it follows.

use std::hint::select_unpredictable;

use super::bits::{BitReader, take_varint};
use super::encode::{
    ALL_FROM, MODE_CODING, MODE_DECAY, MODE_ENTROPY, MODE_ENTROPY_FOUR, MODE_GAPS, MODE_PLAIN, blocks,
};
use super::error::CompactError;
use super::info::Info;
use super::lanes::{self, Bytes, cut, places};
use super::model::{BLOCK_NODES, Block, LANE_PLACES, Lane, at, set};
use super::nodes::{Kinds, Nodes};
use super::rans::{Found, RansReader};
use super::tables::{SCALE_LOG2, Tables};
use super::tokens::{SYMBOLS_QUIET, along, plain_width, value_of};
use super::{gaps, snapshot};

/// Follows a chain, whole or in part.
///
/// It begins with a snapshot; then come the deltas, each built on the one before. After an error other than
/// [`CompactError::Gap`] and [`CompactError::Drifted`] nothing is followed any more until the next snapshot.
#[derive(Debug)]
pub struct Decoder {
    info: Info,
    blocks: Vec<Followed>,
    tables: Tables,
    scratch: Box<Scratch>,
    sequence: u64,
}

/// What one block needs while it is decoded.
#[derive(Debug)]
struct Scratch {
    /// 1 where a node is hot.
    is_hot: Bytes,
    kinds: Kinds,
    /// 1 where a quiet node is corrected; and these in a row.
    over: Bytes,
    corrected: Nodes,
    /// By node, for one pass after the other: which table codes it, its symbol, plain bits and how many these are.
    contexts: Lane,
    symbols: Bytes,
    plain_bits: Lane,
    plain_widths: Bytes,
    /// Hot nodes whose correction has plain bits.
    odd: Nodes,
    /// By axis and node: corrections of quiet ones.
    quiet_steps: [Lane; 3],
    /// By axis and node: corrections of hot ones.
    hot_steps: [Lane; 3],
}

#[derive(Debug)]
struct Followed {
    block: Block,
    followed: bool,
}

impl Decoder {
    /// Follows nothing yet. Everything that it will ever hold is allocated here, by the node count that
    /// [`Info::parse`] has bounded.
    ///
    /// # Errors
    /// [`CompactError::Info`] when a value of `info` is not usable.
    pub fn new(info: Info) -> Result<Self, CompactError> {
        info.check()?;
        let blocks = blocks(info.node_count as usize);
        Ok(Self {
            info,
            blocks: blocks.into_iter().map(|block| Followed { block, followed: false }).collect(),
            tables: Tables::new(),
            scratch: Box::new(Scratch {
                is_hot: [0; BLOCK_NODES],
                kinds: Kinds::NONE,
                over: [0; BLOCK_NODES],
                corrected: Nodes::NONE,
                contexts: [0; LANE_PLACES],
                symbols: [0; BLOCK_NODES],
                plain_bits: [0; LANE_PLACES],
                plain_widths: [0; BLOCK_NODES],
                odd: Nodes::NONE,
                quiet_steps: [[0; LANE_PLACES]; 3],
                hot_steps: [[0; LANE_PLACES]; 3],
            }),
            sequence: 0,
        })
    }

    /// What the chain's info message said.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Sequence of the last frame taken; 0 before any.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Blocks of the chain.
    #[must_use]
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Whether the state of block `index` is known.
    #[must_use]
    pub fn follows(&self, index: usize) -> bool {
        self.blocks.get(index).is_some_and(|block| block.followed)
    }

    /// Stops following block `index`: later frames may leave it out.
    pub fn leave(&mut self, index: usize) {
        if let Some(block) = self.blocks.get_mut(index) {
            block.followed = false;
        }
    }

    /// Takes a snapshot of some blocks or all, and follows them from here on. One of another sequence than the last
    /// frame's begins anew: every block that it does not hold is left.
    ///
    /// # Errors
    /// [`CompactError`]; nothing is followed then.
    pub fn snapshot(&mut self, sequence: u64, body: &[u8]) -> Result<(), CompactError> {
        if sequence != self.sequence {
            self.leave_all();
        }
        self.sequence = sequence;
        self.each_block(body, |_, _, followed, index, payload| {
            followed.followed = true;
            snapshot::decode(&mut followed.block, payload).ok_or(CompactError::Corrupt { block: index })
        })
    }

    /// Takes the next delta. Blocks that are not followed are passed over; followed ones that are not in it go on by
    /// themselves.
    ///
    /// # Errors
    /// [`CompactError::Gap`] when frames are missing, and the state is as before. For others nothing is followed then.
    pub fn delta(&mut self, base: u64, sequence: u64, normalise: bool, body: &[u8]) -> Result<(), CompactError> {
        if base != self.sequence {
            return Err(CompactError::Gap { base, at: self.sequence });
        }
        self.sequence = sequence;
        for followed in self.blocks.iter_mut().filter(|block| block.followed) {
            followed.block.predict(normalise);
        }
        self.each_block(body, |tables, scratch, followed, index, payload| {
            if followed.followed { delta(tables, scratch, &mut followed.block, index, payload) } else { Ok(()) }
        })?;
        if normalise {
            self.blocks.iter_mut().filter(|block| block.followed).for_each(|followed| followed.block.normalise());
        }
        Ok(())
    }

    /// Compares the state with the hashes of a mark message, which belongs to the last frame taken.
    ///
    /// # Errors
    /// [`CompactError::Drifted`], or an error of the message.
    pub fn mark(&self, body: &[u8]) -> Result<(), CompactError> {
        for entry in Entries::new(body, self.blocks.len()) {
            let (index, payload) = entry?;
            let Some(followed) = self.blocks.get(index as usize) else { continue };
            let hash = <[u8; 4]>::try_from(payload).map_err(|_| CompactError::Corrupt { block: index })?;
            if followed.followed && followed.block.hash() != u32::from_le_bytes(hash) {
                return Err(CompactError::Drifted { block: index });
            }
        }
        Ok(())
    }

    /// Node indices, positions in world units and velocities in world units per second of every node that is followed.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, [f32; 3], [f32; 3])> + '_ {
        let scale = self.info.world_per_unit();
        let speed = scale * f32::from(self.info.tick_rate);
        let followed = self.blocks.iter().enumerate().filter(|(_, block)| block.followed);
        followed.flat_map(move |(index, Followed { block, .. })| {
            (0..block.count).map(move |node| {
                let [x, y, z] = block.position.each_ref().map(|axis| at(axis, node) as f32 * scale);
                let [ox, oy, oz] = self.info.origin;
                let velocity = block.velocity.each_ref().map(|axis| at(axis, node) as f32 * speed);
                ((index * BLOCK_NODES + node) as u32, [x + ox, y + oy, z + oz], velocity)
            })
        })
    }

    fn leave_all(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.followed = false);
    }

    fn each_block(
        &mut self,
        body: &[u8],
        mut take: impl FnMut(&Tables, &mut Scratch, &mut Followed, u32, &[u8]) -> Result<(), CompactError>,
    ) -> Result<(), CompactError> {
        let count = self.blocks.len();
        for entry in Entries::new(body, count) {
            let taken = entry.and_then(|(index, payload)| match self.blocks.get_mut(index as usize) {
                Some(followed) => take(&self.tables, &mut self.scratch, followed, index, payload),
                None => Ok(()),
            });
            if taken.is_err() {
                self.leave_all();
                return taken;
            }
        }
        Ok(())
    }
}

/// The blocks of a body, in ascending order.
struct Entries<'body> {
    rest: &'body [u8],
    after: Option<u32>,
    blocks: u32,
}

impl<'body> Entries<'body> {
    fn new(rest: &'body [u8], blocks: usize) -> Self {
        Self { rest, after: None, blocks: blocks as u32 }
    }

    fn next_entry(&mut self) -> Result<(u32, &'body [u8]), CompactError> {
        let (after, blocks) = (self.after, self.blocks);
        let short = CompactError::Short { block: after.map_or(0, |after| after + 1) };
        let found = take_varint(&mut self.rest).ok_or(short)?;
        if found >= blocks || after.is_some_and(|after| found <= after) {
            return Err(CompactError::BlockIndex { found, after, blocks });
        }
        let short = CompactError::Short { block: found };
        let bytes = take_varint(&mut self.rest).ok_or(short)? as usize;
        let (payload, rest) = self.rest.split_at_checked(bytes).ok_or(short)?;
        self.rest = rest;
        self.after = Some(found);
        Ok((found, payload))
    }
}

impl<'body> Iterator for Entries<'body> {
    type Item = Result<(u32, &'body [u8]), CompactError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.next_entry())
    }
}

fn delta(
    tables: &Tables,
    scratch: &mut Scratch,
    block: &mut Block,
    index: u32,
    payload: &[u8],
) -> Result<(), CompactError> {
    let short = CompactError::Short { block: index };
    let (mode, mut payload) = payload.split_first().ok_or(short)?;
    let mut decay = None;
    if mode & MODE_DECAY != 0 {
        let (share, rest) = payload.split_first().ok_or(short)?;
        (decay, payload) = (Some(*share), rest);
    }
    let mut plain = [].as_slice();
    if mode & MODE_PLAIN != 0 {
        let bytes = take_varint(&mut payload).ok_or(short)? as usize;
        (plain, payload) = payload.split_at_checked(bytes).ok_or(short)?;
    }
    let done = match (mode & MODE_CODING, mode & !(MODE_CODING | MODE_DECAY)) {
        (MODE_GAPS, 0) => gaps::decode(block, payload),
        (MODE_ENTROPY, 0 | MODE_PLAIN) => scratch.entropy::<1>(tables, block, plain, payload),
        (MODE_ENTROPY_FOUR, 0 | MODE_PLAIN) => scratch.entropy::<4>(tables, block, plain, payload),
        _ => return Err(CompactError::Mode { block: index, mode: *mode }),
    };
    done.ok_or(CompactError::Corrupt { block: index })?;
    if let Some(decay) = decay {
        block.decay = decay;
    }
    Ok(())
}

impl Scratch {
    /// Reads the corrections of a block and applies them; `None` when the bytes are anything else, and nothing is then
    /// applied.
    fn entropy<const STATES: usize>(
        &mut self,
        tables: &Tables,
        block: &mut Block,
        plain: &[u8],
        payload: &[u8],
    ) -> Option<()> {
        let mut reader = RansReader::<STATES>::new(payload)?;
        lanes::find_hot(&block.energy, &mut self.is_hot);
        let hot = lanes::count(&self.is_hot);
        self.kinds.sort(block.count, &self.is_hot, hot);
        self.flags(tables, block, &mut reader);
        let mut plain = BitReader::new(plain);
        self.quiet(tables, block, &mut reader, &mut plain)?;
        self.hot(tables, block, &mut reader, &mut plain)?;
        if !(reader.is_over() && plain.is_over()) {
            return None;
        }
        if hot > 0 {
            block.correct_hot(&self.hot_steps);
        }
        if self.corrected.len() < ALL_FROM || !block.correct_quiet_all(&self.over, &self.quiet_steps) {
            for node in self.corrected.iter() {
                block.correct_quiet(node, self.quiet_steps.each_ref().map(|steps| at(steps, node)));
            }
        }
        Some(())
    }

    /// Finds out which quiet nodes are corrected.
    fn flags<const STATES: usize>(&mut self, tables: &Tables, block: &Block, reader: &mut RansReader<'_, STATES>) {
        let (quiet, over, tables_of) = (&self.kinds.quiet, &mut self.over, &mut self.contexts);
        over.fill(0);
        lanes::flag_tables(block.energies(), &block.ticks, tables_of);
        reader.pass(quiet.len(), |index, slot| {
            let node = quiet.get(index);
            let one = tables.flag(at(tables_of, node) as usize);
            let zero = (1 << SCALE_LOG2) - one;
            let is_set = slot >= zero;
            set(over, node, u8::from(is_set));
            Found {
                frequency: select_unpredictable(is_set, one, zero),
                inside: slot.wrapping_sub(select_unpredictable(is_set, zero, 0)),
            }
        });
        self.corrected.fill_where(over);
    }

    /// Reads the corrections of quiet nodes.
    fn quiet<const STATES: usize>(
        &mut self,
        tables: &Tables,
        block: &Block,
        reader: &mut RansReader<'_, STATES>,
        plain: &mut BitReader<'_>,
    ) -> Option<()> {
        let Self { contexts, over, symbols, .. } = self;
        let corrected = &self.corrected;
        if corrected.len() == 0 {
            return Some(());
        }
        let (mut any, places) = ([0; BLOCK_NODES], places(block.count));
        for (axis, (steps, velocity)) in (0..).zip(self.quiet_steps.iter_mut().zip(&block.velocity)) {
            lanes::quiet_tables(axis, cut(&block.ticks, places), &any, contexts);
            reader.pass(corrected.len(), |index, slot| {
                let node = corrected.get(index);
                let entry = tables.quiet(at(contexts, node) as u32, slot);
                set(symbols, node, entry.symbol() as u8);
                entry.found(slot)
            });
            lanes::steps(cut(symbols, places), velocity, steps);
            if lanes::merge(symbols, over, &mut any) == SYMBOLS_QUIET as u8 - 1 {
                for node in corrected.iter() {
                    let symbol = u32::from(at(symbols, node));
                    let bits = plain.take(plain_width(symbol, SYMBOLS_QUIET, 0))?;
                    set(steps, node, along(value_of(symbol, bits, SYMBOLS_QUIET, 0), at(velocity, node)));
                }
            }
        }
        Some(())
    }

    /// Reads the corrections of hot nodes.
    fn hot<const STATES: usize>(
        &mut self,
        tables: &Tables,
        block: &Block,
        reader: &mut RansReader<'_, STATES>,
        plain: &mut BitReader<'_>,
    ) -> Option<()> {
        let Self { contexts, symbols, plain_bits, plain_widths, odd, .. } = self;
        let hot = &self.kinds.hot;
        if hot.len() == 0 {
            return Some(());
        }
        let places = places(block.count);
        lanes::hot_tables(block.energies(), contexts);
        for (steps, velocity) in self.hot_steps.iter_mut().zip(&block.velocity) {
            reader.pass(hot.len(), |index, slot| {
                let node = hot.get(index);
                let entry = tables.hot(at(contexts, node) as u32, slot);
                set(symbols, node, entry.symbol() as u8);
                entry.found(slot)
            });
            lanes::hot_widths(cut(symbols, places), &block.energy, plain_widths);
            odd.fill_where_not_zero(plain_widths);
            if odd.len() == 0 {
                lanes::steps(cut(symbols, places), velocity, steps);
                continue;
            }
            plain_bits.fill(0);
            for node in odd.iter() {
                set(plain_bits, node, plain.take(u32::from(at(plain_widths, node)))? as i32);
            }
            lanes::steps_plain(cut(symbols, places), plain_bits, velocity, &block.energy, steps);
        }
        Some(())
    }
}
