//! A little chance, the same in every run.

/// A linear congruential generator (Knuth's MMIX); its high bits are used.
pub struct Random(pub u64);

impl Random {
    /// From 0 up to, and without, `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
