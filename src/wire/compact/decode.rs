//! The decoder: the same state as the encoder's, for the blocks it follows.

use super::bits::{BitReader, take_varint};
use super::encode::{MODE_CODING, MODE_DECAY, MODE_ENTROPY, MODE_ENTROPY_FOUR, MODE_GAPS, MODE_PLAIN, blocks};
use super::error::CompactError;
use super::info::Info;
use super::model::{BLOCK_NODES, Block, HOT, LANE_PLACES, Lane, at, set};
use super::nodes::{Kinds, Nodes};
use super::rans::{Found, RansReader};
use super::tables::{SCALE_LOG2, Tables};
use super::tokens::{
    SHIFT_FROM, SYMBOLS_HOT, SYMBOLS_QUIET, along, flag_context, hot_context, hot_shift, quiet_context, take_value,
    unrank,
};
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
    kinds: Kinds,
    /// Quiet nodes that are corrected.
    corrected: Nodes,
    /// By axis and place in `corrected`: symbols, and the corrections that they mean.
    quiet_symbols: [[u8; BLOCK_NODES]; 3],
    quiet_steps: [Lane; 3],
    /// By node: which table codes a hot one.
    contexts: Lane,
    /// By axis and node: symbols of hot ones, and the corrections that they mean.
    hot_symbols: [Lane; 3],
    hot_steps: [Lane; 3],
    /// Hot nodes whose corrections have plain bits.
    odd: Nodes,
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
                kinds: Kinds::NONE,
                corrected: Nodes::NONE,
                quiet_symbols: [[0; BLOCK_NODES]; 3],
                quiet_steps: [[0; LANE_PLACES]; 3],
                contexts: [0; LANE_PLACES],
                hot_symbols: [[0; LANE_PLACES]; 3],
                hot_steps: [[0; LANE_PLACES]; 3],
                odd: Nodes::NONE,
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
        let hot = block.hot_count();
        self.kinds.sort(block, hot);
        self.flags(tables, block, &mut reader);
        let escaped = self.quiet(tables, block, &mut reader);
        let shifted = self.hot(tables, block, &mut reader);
        if !reader.is_over() {
            return None;
        }
        let mut bits = BitReader::new(plain);
        if escaped || shifted {
            self.plain(block, escaped, &mut bits)?;
        }
        if !bits.is_over() {
            return None;
        }
        if hot > 0 {
            block.correct_hot(&self.hot_steps);
        }
        for (index, node) in self.corrected.iter().enumerate() {
            block.correct_quiet(node, self.quiet_steps.each_ref().map(|steps| at(steps, index)));
        }
        Some(())
    }

    /// Finds out which quiet nodes are corrected.
    fn flags<const STATES: usize>(&mut self, tables: &Tables, block: &Block, reader: &mut RansReader<'_, STATES>) {
        let (quiet, corrected) = (&self.kinds.quiet, &mut self.corrected);
        corrected.clear();
        reader.pass(quiet.len(), |index, slot| {
            let node = quiet.get(index);
            let one = tables.flag(flag_context(at(&block.energy, node), at(&block.ticks, node)));
            let zero = (1 << SCALE_LOG2) - one;
            let set = slot >= zero;
            corrected.push_if(node, set);
            if set { Found { frequency: one, inside: slot - zero } } else { Found { frequency: zero, inside: slot } }
        });
    }

    /// Reads the corrections of quiet nodes, as far as symbols tell them; whether plain bits tell the rest.
    fn quiet<const STATES: usize>(
        &mut self,
        tables: &Tables,
        block: &Block,
        reader: &mut RansReader<'_, STATES>,
    ) -> bool {
        let corrected = &self.corrected;
        let [x, y, z] = &mut self.quiet_symbols;
        let ticks = |index| at(&block.ticks, corrected.get(index));
        reader.pass(corrected.len(), |index, slot| {
            let entry = tables.quiet(quiet_context(ticks(index), 0, false), slot);
            set(x, index, entry.symbol() as u8);
            entry.found(slot)
        });
        reader.pass(corrected.len(), |index, slot| {
            let entry = tables.quiet(quiet_context(ticks(index), 1, at(x, index) != 0), slot);
            set(y, index, entry.symbol() as u8);
            entry.found(slot)
        });
        reader.pass(corrected.len(), |index, slot| {
            let any = at(x, index) | at(y, index) != 0;
            let entry = tables.quiet(quiet_context(ticks(index), 2, any), slot);
            set(z, index, entry.symbol() as u8);
            entry.found(slot)
        });
        let mut escaped = false;
        let axes = self.quiet_symbols.iter().zip(&mut self.quiet_steps).zip(&block.velocity);
        for ((symbols, steps), velocity) in axes {
            for (node, (symbol, step)) in corrected.iter().zip(symbols.iter().zip(steps)) {
                *step = along(unrank(u32::from(*symbol)), at(velocity, node));
                escaped |= usize::from(*symbol) == SYMBOLS_QUIET - 1;
            }
        }
        escaped
    }

    /// As [`Self::quiet`], for hot nodes.
    fn hot<const STATES: usize>(
        &mut self,
        tables: &Tables,
        block: &Block,
        reader: &mut RansReader<'_, STATES>,
    ) -> bool {
        let (hot, contexts) = (&self.kinds.hot, &mut self.contexts);
        self.odd.clear();
        if hot.len() == 0 {
            return false;
        }
        for (context, energy) in contexts.iter_mut().zip(&block.energy) {
            *context = hot_context(*energy) as i32;
        }
        let mut odd = block.energy.map(|energy| i32::from(energy >= SHIFT_FROM));
        let axes = self.hot_symbols.iter_mut().zip(&mut self.hot_steps).zip(&block.velocity);
        for ((symbols, steps), velocity) in axes {
            reader.pass(hot.len(), |index, slot| {
                let node = hot.get(index);
                let entry = tables.hot(at(contexts, node) as usize, slot);
                set(symbols, node, entry.symbol() as i32);
                entry.found(slot)
            });
            // For every node as if it were hot: the same code for all.
            for (((symbol, step), velocity), odd) in symbols.iter().zip(steps).zip(velocity).zip(&mut odd) {
                *step = along(unrank(*symbol as u32), *velocity);
                *odd |= i32::from(*symbol == SYMBOLS_HOT as i32 - 1);
            }
        }
        let any =
            odd.iter().zip(&block.energy).fold(0, |any, (odd, energy)| any | if *energy >= HOT { *odd } else { 0 });
        if any != 0 {
            hot.iter().for_each(|node| self.odd.push_if(node, at(&odd, node) != 0));
        }
        any != 0
    }

    /// Adds what plain bits say.
    fn plain(&mut self, block: &Block, escaped: bool, bits: &mut BitReader<'_>) -> Option<()> {
        let quiet = self.quiet_symbols.iter().zip(&mut self.quiet_steps).zip(&block.velocity);
        for ((symbols, steps), velocity) in quiet.filter(|_| escaped) {
            for ((node, symbol), step) in self.corrected.iter().zip(symbols).zip(steps) {
                *step = along(take_value(usize::from(*symbol), SYMBOLS_QUIET, 0, bits)?, at(velocity, node));
            }
        }
        for ((symbols, steps), velocity) in self.hot_symbols.iter().zip(&mut self.hot_steps).zip(&block.velocity) {
            for node in self.odd.iter() {
                let shift = hot_shift(at(&block.energy, node));
                let value = take_value(at(symbols, node) as usize, SYMBOLS_HOT, shift, bits)?;
                set(steps, node, along(value, at(velocity, node)));
            }
        }
        Some(())
    }
}
