//! Integer hashing for everything that looks random: start positions, jitter, the parting of coincident nodes.
//!
//! A hash of indices, never a generator with state: the answer does not depend on who asked before.

use super::Dimensions;

/// Scrambles 32 bits, a bijection. Source: Chris Wellons' `lowbias32`.
pub(super) const fn mix(mut bits: u32) -> u32 {
    bits ^= bits >> 16;
    bits = bits.wrapping_mul(0x7feb_352d);
    bits ^= bits >> 15;
    bits = bits.wrapping_mul(0x846c_a68b);
    bits ^ (bits >> 16)
}

/// One hash of two words.
pub(super) const fn mix2(first: u32, second: u32) -> u32 {
    mix(first ^ mix(second.wrapping_add(0x9e37_79b9)))
}

/// A seed as one word.
pub(super) const fn fold_seed(seed: u64) -> u32 {
    mix2(seed as u32, (seed >> 32) as u32)
}

/// A point of the cube of half-side 1, a function of `key` alone; on the plane z = 0 in two dimensions.
pub(super) fn cube_point(key: u32, dimensions: Dimensions) -> [f32; 3] {
    let axis = |salt: u32| {
        // 24 bits fit a f32 exactly, so the same on every processor.
        (mix2(key, salt) >> 8) as f32 * (2.0 / 16_777_216.0) - 1.0
    };
    let z = match dimensions {
        Dimensions::Two => 0.0,
        Dimensions::Three => axis(3),
    };
    [axis(1), axis(2), z]
}

/// A direction of length 1, a function of `key` alone.
pub(super) fn direction(key: u32, dimensions: Dimensions) -> [f32; 3] {
    let [x, y, z] = cube_point(key, dimensions);
    let length = (x * x + y * y + z * z).sqrt();
    if length < 1e-3 { [1.0, 0.0, 0.0] } else { [x / length, y / length, z / length] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_have_length_one_and_cancel_out() {
        for dimensions in [Dimensions::Two, Dimensions::Three] {
            let mut sum = [0.0f32; 3];
            for key in 0..4_096 {
                let way = direction(key, dimensions);
                assert!((way.iter().map(|part| part * part).sum::<f32>() - 1.0).abs() < 1e-5);
                for (total, part) in sum.iter_mut().zip(way) {
                    *total += part;
                }
            }
            assert!(sum.iter().all(|total| total.abs() < 150.0), "{sum:?}");
            assert!(dimensions == Dimensions::Three || sum[2] == 0.0);
        }
    }
}
