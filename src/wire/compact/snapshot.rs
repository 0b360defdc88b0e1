//! A block's whole state after a normalising tick: fields of fixed width that the block's own range sets, and Rice-coded
//! velocities.

use super::bits::{BitReader, BitWriter, unzigzag, zigzag};
use super::model::{
    Block, HOT, HOT_GRID_LOG2, POSITION_GRID_LOG2, QUIET_GRID_LOG2, at, energy_class, energy_of, ticks_class, ticks_of,
};

/// Bits of a position on its grid.
const POSITION_BITS: u32 = 32 - POSITION_GRID_LOG2;
const ENERGY_BITS: u32 = 6;
const TICKS_BITS: u32 = 4;
/// Bits that say how many bits a field has.
const WIDTH_BITS: u32 = 5;

/// Least value and width of a field over a block.
#[derive(Clone, Copy)]
struct Range {
    least: i32,
    width: u32,
}

impl Range {
    fn of(values: impl Iterator<Item = i32> + Clone) -> Self {
        let least = values.clone().min().unwrap_or(0);
        let most = values.max().unwrap_or(0);
        Self { least, width: u32::BITS - most.abs_diff(least).leading_zeros() }
    }

    /// The least value is `bits` wide, its sign included.
    fn put(self, bits: u32, out: &mut BitWriter<'_>) {
        out.put(self.least as u32 & ((1 << bits) - 1), bits);
        out.put(self.width, WIDTH_BITS);
    }

    fn take(bits: u32, from: &mut BitReader<'_>) -> Option<Self> {
        let least = from.take(bits)?;
        let width = from.take(WIDTH_BITS).filter(|width| *width <= bits)?;
        Some(Self { least: (least << (32 - bits)) as i32 >> (32 - bits), width })
    }

    fn value(self, from: &mut BitReader<'_>) -> Option<i32> {
        Some(self.least.wrapping_add(from.take(self.width)? as i32))
    }
}

fn grid_log2(energy: i32) -> u32 {
    if energy >= HOT { HOT_GRID_LOG2 } else { QUIET_GRID_LOG2 }
}

/// Rice parameters of the velocities of quiet and of hot nodes, from their means.
fn rice_log2(block: &Block) -> [u32; 2] {
    let (mut sums, mut counts) = ([0_u64; 2], [1_u64; 2]);
    for axis in &block.velocity {
        for node in 0..block.count {
            let energy = at(&block.energy, node);
            let kind = usize::from(energy >= HOT);
            if let (Some(sum), Some(count)) = (sums.get_mut(kind), counts.get_mut(kind)) {
                *sum += u64::from(zigzag(at(axis, node) >> grid_log2(energy)));
                *count += 1;
            }
        }
    }
    let [quiet, hot] = sums;
    let [quiet_count, hot_count] = counts;
    [(quiet, quiet_count), (hot, hot_count)].map(|(sum, count)| (sum * 45 / 64 / count).max(1).ilog2().min(25))
}

/// Appends the state of a normalised block.
pub(super) fn encode(block: &Block, out: &mut Vec<u8>) {
    let mut bits = BitWriter::new(out);
    let nodes = 0..block.count;
    let positions = block.position.each_ref().map(|axis| {
        let range = Range::of(nodes.clone().map(|node| at(axis, node) >> POSITION_GRID_LOG2));
        range.put(POSITION_BITS, &mut bits);
        range
    });
    let energies = Range::of(nodes.clone().map(|node| energy_class(at(&block.energy, node)) as i32));
    let ticks = Range::of(nodes.clone().map(|node| ticks_class(at(&block.ticks, node)) as i32));
    // One bit more: classes have no sign.
    energies.put(ENERGY_BITS + 1, &mut bits);
    ticks.put(TICKS_BITS + 1, &mut bits);
    let [quiet, hot] = rice_log2(block);
    bits.put(quiet, WIDTH_BITS);
    bits.put(hot, WIDTH_BITS);
    bits.put(u32::from(block.decay), 8);
    for node in nodes {
        let energy = at(&block.energy, node);
        bits.put(energy_class(energy).wrapping_sub(energies.least as u32), energies.width);
        bits.put(ticks_class(at(&block.ticks, node)).wrapping_sub(ticks.least as u32), ticks.width);
        for (axis, range) in block.position.iter().zip(positions) {
            let position = at(axis, node) >> POSITION_GRID_LOG2;
            bits.put(position.wrapping_sub(range.least) as u32, range.width);
        }
        let log2 = if energy >= HOT { hot } else { quiet };
        for axis in &block.velocity {
            bits.put_rice(zigzag(at(axis, node) >> grid_log2(energy)), log2);
        }
    }
    bits.end();
}

/// Puts the state into `block`; `None` when the bytes are not one, and the block is then of no use.
pub(super) fn decode(block: &mut Block, bytes: &[u8]) -> Option<()> {
    let mut bits = BitReader::new(bytes);
    let [x, y, z] = [(); 3].map(|()| Range::take(POSITION_BITS, &mut bits));
    let positions = [x?, y?, z?];
    let energies = Range::take(ENERGY_BITS + 1, &mut bits)?;
    let ticks = Range::take(TICKS_BITS + 1, &mut bits)?;
    let quiet = bits.take(WIDTH_BITS)?;
    let hot = bits.take(WIDTH_BITS)?;
    let decay = bits.take(8)? as u8;
    let count = block.count;
    *block = Block { decay, ..Block::new(count) };
    let Block { position, velocity, moved, energy, ticks: ticks_lane, .. } = block;
    let [px, py, pz] = position;
    let [vx, vy, vz] = velocity;
    let nodes = px.iter_mut().zip(py).zip(pz).zip(vx).zip(vy).zip(vz).zip(energy).zip(ticks_lane).take(count);
    for (((((((px, py), pz), vx), vy), vz), energy), tick) in nodes {
        *energy = energy_of(u32::try_from(energies.value(&mut bits)?).ok().filter(|class| *class < 60)?);
        *tick = ticks_of(u32::try_from(ticks.value(&mut bits)?).ok().filter(|class| *class < 9)?);
        for (place, range) in [px, py, pz].into_iter().zip(positions) {
            *place = range.value(&mut bits)? << POSITION_GRID_LOG2;
        }
        let log2 = if *energy >= HOT { hot } else { quiet };
        for place in [vx, vy, vz] {
            *place = unzigzag(bits.take_rice(log2)?) << grid_log2(*energy);
        }
    }
    *moved = *velocity;
    bits.is_over().then_some(())
}
