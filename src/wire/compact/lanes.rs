//! What is done to every node of a block alike: straight-line code over whole lanes, which compilers turn into vectors.
//!
//! Each function is compiled for plain x86-64 and for AVX2, and the first call finds out which the machine has; measured on
//! AVX2, hot blocks take a quarter less time than without. Only integers and roundings that are the same everywhere.

use multiversion::multiversion;

use super::model::{BLOCK_NODES, HALF, HOT, LANE_PLACES, Lane, POSITION_GRID_LOG2, UNITS, round, sum};
use super::tables::first_slot;
use super::tokens::{
    SYMBOLS_HOT, Token, along, first_of_flag, first_of_hot, flag_context, hot_context, hot_shift, plain_of,
    plain_width, symbol_of, unrank, value_of,
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
        *token = Token::new(first_of_flag(flag_context(*energy, *ticks)), usize::from(*over));
    }
}

/// Which table has every node's flag.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn flag_tables(energy: &Lane, ticks: &Bytes, tables: &mut Lane) {
    for ((table, energy), ticks) in tables.iter_mut().zip(energy).zip(ticks) {
        *table = flag_context(*energy, *ticks) as i32;
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

/// How many plain bits each node's correction has, if it is hot.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn hot_widths(symbols: &Bytes, energy: &Lane, widths: &mut Bytes) {
    for ((width, symbol), energy) in widths.iter_mut().zip(symbols).zip(energy) {
        let plain = plain_width(u32::from(*symbol), SYMBOLS_HOT, hot_shift(*energy));
        *width = if *energy >= HOT { plain as u8 } else { 0 };
    }
}

/// Corrections of one axis from their symbols, where no hot node has plain bits.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn hot_steps(symbols: &Bytes, velocity: &Lane, steps: &mut Lane) {
    for ((step, symbol), velocity) in steps.iter_mut().zip(symbols).zip(velocity) {
        *step = along(unrank(u32::from(*symbol)), *velocity);
    }
}

/// As [`hot_steps`], with plain bits.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn hot_steps_plain(symbols: &Bytes, plain_bits: &Lane, velocity: &Lane, energy: &Lane, steps: &mut Lane) {
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
