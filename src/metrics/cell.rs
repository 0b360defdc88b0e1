//! The cells of a block: counter, gauge, histogram.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts up. Written by one thread, so a load and a store suffice.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }

    /// The count since start.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down, as `f64`. Written by one thread.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The last value set; 0 before the first.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Upper bounds of a histogram's buckets, ns: 20 us to 1 s, three a decade, the last bucket open.
pub const BOUNDS_NS: [u64; 15] = [
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
];

/// Durations in fixed buckets. Written by one thread; a reader may see a record half counted, never torn.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS_NS.len() + 1],
    sum_ns: Counter,
}

impl Histogram {
    /// Counts one duration. No allocation, a scan of 15 bounds.
    pub fn record(&self, ns: u64) {
        let place = BOUNDS_NS.iter().take_while(|bound| ns > **bound).count();
        if let Some(bucket) = self.buckets.get(place) {
            bucket.add(1);
        }
        self.sum_ns.add(ns);
    }

    /// Counts per bucket, not accumulated; the last is open.
    #[must_use]
    pub fn counts(&self) -> [u64; BOUNDS_NS.len() + 1] {
        std::array::from_fn(|place| self.buckets.get(place).map_or(0, Counter::get))
    }

    /// Sum of all durations, ns.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let histogram = Histogram::default();
        for ns in [0, 20_000, 20_001, 1_000_000_000, 1_000_000_001] {
            histogram.record(ns);
        }
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[1], counts[14], counts[15]), (2, 1, 1, 1));
        assert_eq!(histogram.sum_ns(), 2_000_040_002);
    }

    #[test]
    fn cells_hold_what_they_are_given() {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        counter.add(2);
        counter.add(3);
        gauge.set(-1.5);
        assert_eq!((counter.get(), gauge.get()), (5, -1.5));
    }
}
