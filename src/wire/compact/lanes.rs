//! What is done to every node of a block alike: straight-line code over whole lanes, which compilers turn into vectors.
//!
//! Each function is compiled for plain x86-64 and for AVX2, and the first call finds out which the machine has. With AVX2 an
//! encoder takes a third less time in every phase (30 to 19 ns a hot node). What decoders share is integers, and roundings of
//! floats that are the same everywhere.

use multiversion::multiversion;

use super::model::{BLOCK_NODES, HALF, HOT, LANE_PLACES, Lane, POSITION_GRID_LOG2, UNITS, half_quanta, round, sum};
use super::tables::first_slot;
use super::tokens::{
    SYMBOLS_HOT, SYMBOLS_QUIET, Token, along, first_of_flag, first_of_hot, first_of_quiet, flag_context, hot_context,
    hot_shift, plain_of, plain_width, quiet_context, quiet_row, symbol_of, unrank, value_of,
};

/// One small value of every node of a block.
pub(super) type Bytes = [u8; BLOCK_NODES];

/// One token of every node of a block.
pub(super) type Tokens = [Token; BLOCK_NODES];

/// A tick without corrections.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn predict(
    position: &mut [Lane; 3],
    velocity: &mut [Lane; 3],
    energy: &mut Lane,
    ticks: &mut Bytes,
    decay: i32,
    normalise: bool,
) {
    for (position, velocity) in position.iter_mut().zip(velocity) {
        if decay > 0 {
            for velocity in velocity.iter_mut() {
                *velocity = velocity.wrapping_sub(velocity.wrapping_mul(decay).wrapping_add(512) >> 10);
            }
        }
        for (position, velocity) in position.iter_mut().zip(velocity.iter()) {
            *position = position.wrapping_add(*velocity);
        }
        if normalise {
            for position in position.iter_mut() {
                *position = round(*position, POSITION_GRID_LOG2);
            }
        }
    }
    for energy in energy {
        *energy -= *energy >> 4;
    }
    for ticks in ticks {
        *ticks = ticks.saturating_add(1);
    }
}

/// How far each node is off, from where it is in world units; and which quiet ones by more than half a quantum.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn measure(
    world: &[[f32; LANE_PLACES]; 3],
    scale: f32,
    position: &[Lane; 3],
    energy: &Lane,
    off: &mut [Lane; 3],
    over: &mut Bytes,
) {
    let mut most = [0_u32; LANE_PLACES];
    for ((world, off), position) in world.iter().zip(off).zip(position) {
        let lanes = world.iter().zip(off).zip(position).zip(&mut most);
        for (((world, off), position), most) in lanes {
            *off = super::encode::units(*world, scale).wrapping_sub(*position);
            // Half a quantum either way is 0 to a whole one, unsigned.
            *most = (*most).max(off.wrapping_add(HALF) as u32);
        }
    }
    for ((over, energy), most) in over.iter_mut().zip(energy).zip(&most) {
        *over = u8::from((*most > UNITS as u32) & (*energy < HOT));
    }
}

/// 1 for every hot node; places past the last node have no energy.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn find_hot(energy: &Lane, hot: &mut Bytes) {
    for (hot, energy) in hot.iter_mut().zip(energy) {
        *hot = u8::from(*energy >= HOT);
    }
}

/// How many bytes of 0 and 1 are 1.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn count(bytes: &Bytes) -> usize {
    bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>() as usize
}

/// The flag of every node, as if all were quiet.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn flag_tokens(energy: &Lane, ticks: &Bytes, over: &Bytes, tokens: &mut Tokens) {
    for (((token, energy), ticks), over) in tokens.iter_mut().zip(energy).zip(ticks).zip(over) {
        *token = Token::new(first_of_flag(flag_context(*energy, *ticks)), u32::from(*over));
    }
}

/// Which table has every node's flag.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn flag_tables(energy: &Lane, ticks: &Bytes, tables: &mut Lane) {
    for ((table, energy), ticks) in tables.iter_mut().zip(energy).zip(ticks) {
        *table = flag_context(*energy, *ticks) as i32;
    }
}

/// Corrections of one axis of quiet nodes and their tokens, as if all were corrected; `any` tells of each node whether an axis
/// before was not 0, and takes this one in. Whether a correction that is `over` has plain bits.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn quiet_tokens(
    axis: u32,
    off: &Lane,
    velocity: &Lane,
    ticks: &Bytes,
    over: &Bytes,
    any: &mut Bytes,
    results: (&mut Lane, &mut Tokens),
) -> bool {
    let mut escaped = 0;
    let results = results.0.iter_mut().zip(results.1).zip(any);
    let nodes = off.iter().zip(velocity).zip(ticks.iter().zip(over));
    for (((step, token), any), ((off, velocity), (ticks, over))) in results.zip(nodes) {
        *step = half_quanta(*off);
        let symbol = symbol_of(along(*step, *velocity), SYMBOLS_QUIET, 0);
        *token = Token::new(first_of_quiet(quiet_context(quiet_row(*ticks), axis, *any != 0)), symbol);
        escaped |= u8::from(symbol == SYMBOLS_QUIET as u32 - 1) & *over;
        *any |= u8::from(*step != 0);
    }
    escaped != 0
}

/// Whether each correction of the nodes that are `over` is below [`STEPS_MAX`].
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
fn are_small(steps: &Lane, over: &Bytes) -> bool {
    let sizes = steps.iter().zip(over).map(|(step, over)| if *over != 0 { step.unsigned_abs() } else { 0 });
    sizes.fold(0, u32::max) < STEPS_MAX
}

/// Corrections below this many half quanta can be divided as floats, see [`quotient`].
const STEPS_MAX: u32 = 16;

/// `value / by` without its fraction, for values from 0 to 2^15 and `by` from 1 to 64, given the nearest float to `1 / by`.
/// With the half that is added to the value, the exact quotient is at least 1/128 from any whole number, and what is
/// computed less than 1/256 from it; so rounding half a unit less gives the whole number below. The cast of a float would
/// saturate, for which there are no vectors; here the integer stands in the low bits of its sum with a large number.
#[inline(always)]
fn quotient(value: f32, reciprocal: f32) -> i32 {
    const LARGE: f32 = 1.5 * (1 << 23) as f32;
    let above = (value + 0.5) * reciprocal;
    ((above - 0.5 + LARGE).to_bits().wrapping_sub(LARGE.to_bits())) as i32
}

/// [`Block::correct_quiet`](super::model::Block::correct_quiet) of every node that is `over`, all at once; `false`, and
/// nothing is done, when one of the `steps` is too large for that.
pub(super) fn correct_quiet(
    position: &mut [Lane; 3],
    velocity: &mut [Lane; 3],
    moved: &mut [Lane; 3],
    energy: &mut Lane,
    ticks: &mut Bytes,
    over: &Bytes,
    steps: &[Lane; 3],
) -> bool {
    let small = steps.iter().all(|steps| are_small(steps, over));
    if small {
        correct_small(position, velocity, moved, energy, ticks, over, steps);
    }
    small
}

#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
fn correct_small(
    position: &mut [Lane; 3],
    velocity: &mut [Lane; 3],
    moved: &mut [Lane; 3],
    energy: &mut Lane,
    ticks: &mut Bytes,
    over: &Bytes,
    steps: &[Lane; 3],
) {
    let (mut reciprocals, mut gains) = ([0.0; BLOCK_NODES], [0.0; BLOCK_NODES]);
    for ((reciprocal, gain), ticks) in reciprocals.iter_mut().zip(&mut gains).zip(ticks.iter()) {
        let ticks = f32::from((*ticks).clamp(1, 64));
        *reciprocal = 1.0 / ticks;
        *gain = if ticks <= 8.0 { 8.0 * 256.0 } else { 8.0 * 200.0 };
    }
    let axes = position.iter_mut().zip(velocity).zip(moved).zip(steps);
    for (((position, velocity), moved), steps) in axes {
        let lanes = position.iter_mut().zip(velocity).zip(moved).zip(steps).zip(over);
        let factors = reciprocals.iter().zip(&gains);
        for (((((position, velocity), moved), step), over), (reciprocal, gain)) in lanes.zip(factors) {
            let step = if *over != 0 { *step } else { 0 };
            *position = position.wrapping_add(step.wrapping_mul(HALF));
            let turn = quotient(step.wrapping_abs() as f32 * gain, *reciprocal);
            *velocity = velocity.wrapping_add(if step < 0 { -turn } else { turn });
            // Read only of nodes that become hot by this.
            *moved = if *over != 0 { *velocity } else { *moved };
        }
    }
    let [x, y, z] = steps;
    let nodes = energy.iter_mut().zip(ticks).zip(over).zip(x.iter().zip(y).zip(z)).zip(&reciprocals);
    for ((((energy, ticks), over), ((x, y), z)), reciprocal) in nodes {
        let size = if *over != 0 { sum([*x, *y, *z]) } else { 0 };
        let heated = *energy + ((quotient((size * 85) as f32, *reciprocal) - *energy) >> 2);
        *energy = if *over != 0 { heated } else { *energy };
        *ticks = if *over != 0 { 0 } else { *ticks };
    }
}

/// Corrections of one axis and their tokens, as if all nodes were hot; and the plain bits of those that are.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn hot_tokens(
    off: &Lane,
    velocity: &Lane,
    energy: &Lane,
    steps: &mut Lane,
    tokens: &mut Tokens,
    plain_bits: &mut Lane,
    plain_widths: &mut Bytes,
) {
    let results = steps.iter_mut().zip(tokens).zip(plain_bits.iter_mut().zip(plain_widths));
    for ((((step, token), (bits, width)), energy), (off, velocity)) in results.zip(energy).zip(off.iter().zip(velocity))
    {
        *step = off.wrapping_add(HALF) >> UNITS.ilog2();
        let (shift, value) = (hot_shift(*energy), along(*step, *velocity));
        *token = Token::new(first_of_hot(hot_context(*energy)), symbol_of(value, SYMBOLS_HOT, shift));
        let plain = plain_of(value, SYMBOLS_HOT, shift);
        *bits = plain.0 as i32;
        *width = if *energy >= HOT { plain.1 as u8 } else { 0 };
    }
}

/// Where the look-up table of each hot node begins.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn hot_tables(energy: &Lane, tables: &mut Lane) {
    for (table, energy) in tables.iter_mut().zip(energy) {
        *table = first_slot(hot_context(*energy)) as i32;
    }
}

/// Which table codes an axis of each quiet node; `any` is not 0 where an axis before was not.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn quiet_tables(axis: u32, ticks: &Bytes, any: &Bytes, tables: &mut Lane) {
    for ((table, ticks), any) in tables.iter_mut().zip(ticks).zip(any) {
        *table = first_slot(quiet_context(quiet_row(*ticks), axis, *any != 0)) as i32;
    }
}

/// Adds the symbols of nodes that are `over` to `any`; the largest of them.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn merge(symbols: &Bytes, over: &Bytes, any: &mut Bytes) -> u8 {
    let mut most = 0;
    for ((symbol, over), any) in symbols.iter().zip(over).zip(any) {
        let symbol = if *over != 0 { *symbol } else { 0 };
        *any |= symbol;
        most = symbol.max(most);
    }
    most
}

/// How many plain bits each node's correction has, if it is hot.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn hot_widths(symbols: &Bytes, energy: &Lane, widths: &mut Bytes) {
    for ((width, symbol), energy) in widths.iter_mut().zip(symbols).zip(energy) {
        let plain = plain_width(u32::from(*symbol), SYMBOLS_HOT, hot_shift(*energy));
        *width = if *energy >= HOT { plain as u8 } else { 0 };
    }
}

/// Corrections of one axis from their symbols, where none has plain bits.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn steps(symbols: &Bytes, velocity: &Lane, steps: &mut Lane) {
    for ((step, symbol), velocity) in steps.iter_mut().zip(symbols).zip(velocity) {
        *step = along(unrank(u32::from(*symbol)), *velocity);
    }
}

/// As [`steps`], with plain bits.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn steps_plain(symbols: &Bytes, plain_bits: &Lane, velocity: &Lane, energy: &Lane, steps: &mut Lane) {
    let lanes = symbols.iter().zip(plain_bits).zip(velocity).zip(energy).zip(steps);
    for ((((symbol, bits), velocity), energy), step) in lanes {
        *step = along(value_of(u32::from(*symbol), *bits as u32, SYMBOLS_HOT, hot_shift(*energy)), *velocity);
    }
}

/// Moves every hot node by its `steps` of a quantum; its next velocity is the last one and a share of what that one changed.
/// The steps of quiet nodes are passed over.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn correct_hot(
    position: &mut [Lane; 3],
    velocity: &mut [Lane; 3],
    moved: &mut [Lane; 3],
    energy: &mut Lane,
    ticks: &mut Bytes,
    steps: &[Lane; 3],
) {
    let [x, y, z] = steps;
    let mut share = [0; LANE_PLACES];
    for ((share, energy), ((x, y), z)) in share.iter_mut().zip(energy.iter_mut()).zip(x.iter().zip(y).zip(z)) {
        let was = *energy;
        // Thresholds and shares as sums of comparisons: code for many nodes at once.
        let more = |from: i32, by: i32| if was >= from { by } else { 0 };
        let hot = more(HOT, 130) + more(420, 50) + more(1_000, 30) + more(3_400, 20);
        let heated = was.wrapping_add((sum([*x, *y, *z]) * 171 - was) >> 2);
        *energy = if was >= HOT { heated } else { was };
        // Leaving the hot mode: what the last tick did is the better guess for many ticks, so the change has no share then.
        *share = if (was >= HOT) & (*energy < HOT) { -1 } else { hot };
    }
    let axes = position.iter_mut().zip(velocity).zip(moved).zip(steps);
    for (((position, velocity), moved), steps) in axes {
        let lanes = position.iter_mut().zip(velocity).zip(moved).zip(steps).zip(&share);
        for ((((position, velocity), moved), step), share) in lanes {
            // A quiet node has no share and keeps what it has but for `moved`, which means nothing there.
            let step = if *share == 0 { 0 } else { step.wrapping_mul(UNITS) };
            *position = position.wrapping_add(step);
            let now = velocity.wrapping_add(step);
            let change = now.wrapping_sub(*moved).wrapping_mul((*share).max(0)) >> 8;
            *velocity = now.wrapping_add(change);
            *moved = now;
        }
    }
    for (ticks, share) in ticks.iter_mut().zip(&share) {
        *ticks = if *share == 0 { *ticks } else { 0 };
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::super::model::Block;
    use super::*;

    #[test]
    fn quiet_nodes_are_corrected_all_at_once_as_one_by_one() {
        for ticks in 0..=255 {
            let mut all = Block::new(BLOCK_NODES);
            all.ticks = [ticks; BLOCK_NODES];
            all.energy = std::array::from_fn(|node| if node < BLOCK_NODES { node as i32 % HOT } else { 0 });
            let over: Bytes = std::array::from_fn(|node| u8::from(node % 5 != 0));
            let size = STEPS_MAX as i32 - 1;
            let steps = [1, 7, 90].map(|by| std::array::from_fn(|node| (node as i32 * by) % (2 * size + 1) - size));
            let mut each = all.clone();
            for node in (0..BLOCK_NODES).filter(|node| node % 5 != 0) {
                each.correct_quiet(node, [0, 1, 2].map(|axis: usize| steps[axis][node]));
            }
            assert!(all.correct_quiet_all(&over, &steps));
            assert_eq!(all.hash(), each.hash());
        }
    }

    #[test]
    fn quotients_are_exact() {
        for by in 1..=64_u8 {
            for value in 0..=1 << 15 {
                assert_eq!(quotient(value as f32, 1.0 / f32::from(by)), value / i32::from(by), "{value} / {by}");
            }
        }
    }
}
