//! The decoder: the same state as the encoder's, for the blocks it follows.

use super::bits::take_varint;
use super::encode::{MODE_DECAY, MODE_ENTROPY, MODE_GAPS, blocks};
use super::error::CompactError;
use super::info::Info;
use super::model::{BLOCK_NODES, Block, HOT, at};
use super::rans::RansReader;
use super::tables::Tables;
use super::tokens::{
    SYMBOLS_HOT, SYMBOLS_QUIET, along, first_of_flag, first_of_hot, first_of_quiet, flag_context, hot_context,
    quiet_context, value_of,
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
    sequence: u64,
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
        self.each_block(body, |_, followed, index, payload| {
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
        self.each_block(body, |tables, followed, index, payload| {
            if followed.followed { delta(tables, &mut followed.block, index, payload) } else { Ok(()) }
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
        mut take: impl FnMut(&Tables, &mut Followed, u32, &[u8]) -> Result<(), CompactError>,
    ) -> Result<(), CompactError> {
        let count = self.blocks.len();
        for entry in Entries::new(body, count) {
            let taken = entry.and_then(|(index, payload)| match self.blocks.get_mut(index as usize) {
                Some(followed) => take(&self.tables, followed, index, payload),
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

fn delta(tables: &Tables, block: &mut Block, index: u32, payload: &[u8]) -> Result<(), CompactError> {
    let short = CompactError::Short { block: index };
    let (mode, mut payload) = payload.split_first().ok_or(short)?;
    let mut decay = None;
    if mode & MODE_DECAY != 0 {
        let (share, rest) = payload.split_first().ok_or(short)?;
        (decay, payload) = (Some(*share), rest);
    }
    let done = match mode & !MODE_DECAY {
        MODE_GAPS => gaps::decode(block, payload),
        MODE_ENTROPY => entropy(tables, block, payload),
        _ => return Err(CompactError::Mode { block: index, mode: *mode }),
    };
    done.ok_or(CompactError::Corrupt { block: index })?;
    if let Some(decay) = decay {
        block.decay = decay;
    }
    Ok(())
}

fn entropy(tables: &Tables, block: &mut Block, payload: &[u8]) -> Option<()> {
    let mut reader = RansReader::new(payload);
    for node in 0..block.count {
        let energy = at(&block.energy, node);
        let ticks = at(&block.ticks, node);
        let [vx, vy, vz] = &block.velocity;
        let [vx, vy, vz] = [at(vx, node), at(vy, node), at(vz, node)];
        if energy >= HOT {
            let (context, shift) = hot_context(energy);
            let first = first_of_hot(context);
            let x = along(value(&mut reader, tables, first, SYMBOLS_HOT, shift), vx);
            let y = along(value(&mut reader, tables, first, SYMBOLS_HOT, shift), vy);
            let z = along(value(&mut reader, tables, first, SYMBOLS_HOT, shift), vz);
            block.correct_hot(node, [x, y, z]);
        } else if reader.flag(tables, first_of_flag(flag_context(energy, ticks))) {
            let first = |axis, any| first_of_quiet(quiet_context(ticks, axis, any));
            let x = value(&mut reader, tables, first(0, false), SYMBOLS_QUIET, 0);
            let y = value(&mut reader, tables, first(1, x != 0), SYMBOLS_QUIET, 0);
            let z = value(&mut reader, tables, first(2, x != 0 || y != 0), SYMBOLS_QUIET, 0);
            block.correct_quiet(node, [along(x, vx), along(y, vy), along(z, vz)]);
        }
    }
    reader.is_over().then_some(())
}

#[inline(always)]
fn value(reader: &mut RansReader<'_>, tables: &Tables, first: usize, symbols: usize, shift: u32) -> i32 {
    let symbol = reader.symbol(tables, first);
    value_of(symbol, symbols, shift, |width| reader.raw(width))
}
