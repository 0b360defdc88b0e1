//! Random numbers that are the same on every machine and in every version, because graphs are made of them.

/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014 (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A whole number below `limit`, which must be above 0. The bias of a limit of 2^32 is one in 2^32.
    pub const fn below(&mut self, limit: u32) -> u32 {
        (((self.bits() >> 32) * limit as u64) >> 32) as u32
    }

    /// `count` different numbers below `limit`, ascending; all of them when there are no more.
    pub fn sample(&mut self, limit: u32, count: u32) -> Vec<u32> {
        if count >= limit {
            return (0..limit).collect();
        }
        // Each number in turn is taken with the chance that as many of the rest are still wanted.
        let mut left = count;
        (0..limit)
            .filter(|number| {
                let take = self.below(limit - number) < left;
                left -= u32::from(take);
                take
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // The first outputs for seed 1234567 in the authors' reference code.
        let mut random = Random::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.bits(), random.bits(), random.bits()], expected);
    }

    #[test]
    fn a_sample_has_the_size_that_was_asked_for() {
        let sample = Random::new(1).sample(1_000, 10);
        assert_eq!(sample.len(), 10);
        assert!(sample.windows(2).all(|pair| pair[0] < pair[1]) && sample[9] < 1_000);
        assert_eq!(Random::new(1).sample(3, 10), [0, 1, 2]);
    }
}
