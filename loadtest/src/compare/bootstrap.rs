//! Confidence intervals by a moving-block bootstrap over slices.
//!
//! A draw of a run of n slices is made of blocks of about sqrt(n) neighbours, each beginning anywhere (Künsch 1989), so
//! that what lasts a few slices lasts as long in the draws. Intervals are percentile intervals of the drawn
//! differences, widened as in Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section 5.3, because
//! few blocks vary less than the truth does; what counts there is the number of blocks.
//!
//! Quantiles need no histogram per draw: cumulative counts of every slice are kept per value, and a draw finds its
//! quantile by bisection over the values. That is exact and costs slices x log(values) instead of slices x values.

use fastrand::Rng;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BEYOND_MIN, SLICES_MIN};

/// Draws. The ends of a 95 % interval of few blocks lie at about the tenth of these.
pub const DRAWS: usize = 4_000;

/// Slices that are told apart; neighbours of longer runs are joined first, which keeps their blocks as they are.
const SLICES_MAX: usize = 256;

/// So that the same reports give the same answer.
const SEED: u64 = 0x5eed_0f5a_a5c0_ffee;

/// From `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What one slice adds to a figure that is a sum over a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Above the line.
    pub part: f64,
    /// Below it.
    pub whole: f64,
}

/// One distribution, slice by slice.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Every value that any slice has, in order.
    values: Vec<f64>,
    /// Per value: of each slice, samples of at most that value.
    cumulative: Vec<u32>,
    /// Samples of each slice.
    totals: Vec<u32>,
    /// Slices before neighbours were joined.
    slices: usize,
}

impl Stream {
    /// Of the histograms of slices in order of time.
    #[must_use]
    pub fn new<'a>(slices: impl Iterator<Item = &'a Histogram<u64>>) -> Self {
        let slices: Vec<_> = slices.collect();
        let join = slices.len().div_ceil(SLICES_MAX).max(1);
        let mut counts: Vec<(u64, usize, u64)> = Vec::new();
        for (index, slice) in slices.iter().enumerate() {
            let recorded = slice.iter_recorded();
            counts.extend(recorded.map(|at| (at.value_iterated_to(), index / join, at.count_since_last_iteration())));
        }
        counts.sort_unstable();
        let joined = slices.len().div_ceil(join);
        let (mut values, mut cumulative, mut totals) = (Vec::<f64>::new(), Vec::new(), vec![0_u32; joined]);
        for (value, slice, count) in counts {
            if values.last() != Some(&(value as f64)) {
                cumulative.extend_from_slice(&totals);
                values.push(value as f64);
            }
            let place = cumulative.len() - joined + slice;
            for total in cumulative.get_mut(place).into_iter().chain(totals.get_mut(slice)) {
                *total = total.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
        Self { values, cumulative, totals, slices: slices.len() }
    }

    /// The value at a quantile when each slice counts as often as `weights` says.
    fn quantile(&self, weights: &[u32], quantile: f64) -> f64 {
        let sum = |counts: &[u32]| counts.iter().zip(weights).map(|(n, times)| u64::from(*n) * u64::from(*times)).sum();
        let total: u64 = sum(&self.totals);
        let rank = ((quantile * total as f64).ceil() as u64).max(1);
        let (mut low, mut high) = (0, self.values.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let width = self.totals.len();
            let row = self.cumulative.get(middle * width..(middle + 1) * width).unwrap_or(&[]);
            if sum(row) >= rank {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        self.values.get(low).or(self.values.last()).copied().unwrap_or(0.0)
    }

    fn samples(&self) -> u64 {
        self.totals.iter().map(|total| u64::from(*total)).sum()
    }
}

/// Intervals of difference and ratio of a quantile, B against A; `None` where too little is known.
#[must_use]
pub fn quantile(a: &Stream, b: &Stream, quantile: f64, confidence: f64) -> Option<(Interval, Option<Interval>)> {
    let enough = |of: &Stream| of.slices >= SLICES_MIN && of.samples() as f64 * (1.0 - quantile) >= BEYOND_MIN;
    if !enough(a) || !enough(b) {
        return None;
    }
    let read = |of: &Stream, weights: &[u32]| of.quantile(weights, quantile);
    let pairs = draws([a.totals.len(), b.totals.len()], |[one, two]| [read(a, one), read(b, two)]);
    intervals(&pairs, [a.totals.len(), b.totals.len()], confidence)
}

/// Intervals of difference and ratio of a sum over a sum, B against A; `None` where too little is known.
#[must_use]
pub fn share(a: &[Sample], b: &[Sample], confidence: f64) -> Option<(Interval, Option<Interval>)> {
    if a.len() < SLICES_MIN || b.len() < SLICES_MIN {
        return None;
    }
    let [a, b] = [a, b].map(joined);
    let read = |of: &[Sample], weights: &[u32]| {
        let times = of.iter().zip(weights).map(|(sample, times)| (sample, f64::from(*times)));
        let (part, whole) = times.fold((0.0, 0.0), |(part, whole), (sample, times)| {
            (part + sample.part * times, whole + sample.whole * times)
        });
        if whole > 0.0 { part / whole } else { 0.0 }
    };
    let pairs = draws([a.len(), b.len()], |[one, two]| [read(&a, one), read(&b, two)]);
    intervals(&pairs, [a.len(), b.len()], confidence)
}

/// Neighbours joined, as [`Stream`] does it.
fn joined(samples: &[Sample]) -> Vec<Sample> {
    let join = samples.len().div_ceil(SLICES_MAX).max(1);
    let add = |sum: Sample, one: &Sample| Sample { part: sum.part + one.part, whole: sum.whole + one.whole };
    samples.chunks(join).map(|chunk| chunk.iter().fold(Sample::default(), add)).collect()
}

/// About sqrt(n).
fn block(slices: usize) -> usize {
    ((slices as f64).sqrt().round() as usize).clamp(1, slices.max(1))
}

/// What `read` says of every draw of the two runs. It gets how often each slice was drawn.
fn draws(slices: [usize; 2], mut read: impl FnMut([&[u32]; 2]) -> [f64; 2]) -> Vec<[f64; 2]> {
    let mut rng = Rng::with_seed(SEED);
    let [mut one, mut two] = slices.map(|slices| vec![0; slices]);
    let mut pairs = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        draw(&mut rng, &mut one);
        draw(&mut rng, &mut two);
        pairs.push(read([&one, &two]));
    }
    pairs
}

/// How often each slice is in a new draw, which has as many as the run. The last block may be cut.
fn draw(rng: &mut Rng, weights: &mut [u32]) {
    let (slices, block) = (weights.len(), block(weights.len()));
    weights.fill(0);
    let mut left = slices;
    while left > 0 {
        let start = rng.usize(0..=slices - block);
        for weight in weights.iter_mut().skip(start).take(block.min(left)) {
            *weight += 1;
        }
        left -= block.min(left);
    }
}

fn intervals(pairs: &[[f64; 2]], slices: [usize; 2], confidence: f64) -> Option<(Interval, Option<Interval>)> {
    let tail = widened_tail(slices.map(|slices| slices as f64 / block(slices) as f64), confidence);
    let difference = interval(pairs.iter().map(|[a, b]| b - a).collect(), tail)?;
    let ratio = pairs.iter().all(|[a, _]| *a > 0.0).then(|| interval(pairs.iter().map(|[a, b]| b / a).collect(), tail));
    Some((difference, ratio.flatten()))
}

fn interval(mut drawn: Vec<f64>, tail: f64) -> Option<Interval> {
    drawn.sort_unstable_by(f64::total_cmp);
    let last = drawn.len().checked_sub(1)?;
    let low = *drawn.get((tail * last as f64).floor() as usize)?;
    let high = *drawn.get(last - (tail * last as f64).floor() as usize)?;
    Some(Interval { low, high })
}

/// The share of draws beyond each end: that of a normal distribution at the place where Student's t, for the blocks
/// there are, has half of `1 - confidence`, scaled by what the draws of so few blocks vary too little.
fn widened_tail(blocks: [f64; 2], confidence: f64) -> f64 {
    // Two runs: their blocks less one each, and the scale of the shorter.
    let freedom = (blocks.iter().sum::<f64>() - 2.0).max(1.0);
    let fewest = blocks.into_iter().fold(f64::INFINITY, f64::min);
    let scale = (fewest / (fewest - 1.0).max(0.5)).sqrt();
    normal_tail(scale * student(0.5 + confidence / 2.0, freedom))
}

/// The place below which Student's t lies with `probability`, from 0.5 to 1, by Hill's expansion (1970) in the normal
/// quantile; off by less than 1 % from 4 degrees of freedom on.
fn student(probability: f64, freedom: f64) -> f64 {
    let z = normal(probability);
    let [z3, z5, z7] = [3, 5, 7].map(|power| z.powi(power));
    z + (z3 + z) / (4.0 * freedom)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * freedom.powi(3))
}

/// The place below which a standard normal value lies with `probability`, from 0.5 to 1: bisection of its tail.
fn normal(probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if normal_tail(middle) > 1.0 - probability { low = middle } else { high = middle }
    }
    low
}

/// How likely a standard normal value is more than `z`, which is at least 0: Abramowitz and Stegun 7.1.26, off by less
/// than 1e-7.
fn normal_tail(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let polynomial = series.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    polynomial * (-x * x).exp() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_distributions_are_those_of_tables() {
        assert!((normal(0.975) - 1.959_96).abs() < 1e-4);
        assert!((normal_tail(1.0) - 0.158_655).abs() < 1e-6);
        for (freedom, place) in [(4.0, 2.776), (8.0, 2.306), (14.0, 2.145), (60.0, 2.000)] {
            assert!((student(0.975, freedom) / place - 1.0).abs() < 0.01, "{freedom}: {}", student(0.975, freedom));
        }
    }

    #[test]
    fn a_drawn_quantile_is_that_of_the_drawn_histograms() {
        let mut rng = Rng::with_seed(3);
        let slices: Vec<Histogram<u64>> = (0..40)
            .map(|_| {
                let mut slice = crate::record::histogram();
                (0..300).for_each(|_| slice.record(rng.u64(1_000..9_000_000)).unwrap());
                slice
            })
            .collect();
        let stream = Stream::new(slices.iter());
        let mut weights = vec![0; slices.len()];
        for _ in 0..20 {
            draw(&mut rng, &mut weights);
            assert_eq!(weights.iter().sum::<u32>(), 40);
            let mut sum = crate::record::histogram();
            for (slice, times) in slices.iter().zip(&weights) {
                (0..*times).for_each(|_| sum.add(slice).unwrap());
            }
            for quantile in [0.0001, 0.5, 0.9, 0.99, 0.999, 1.0] {
                assert_eq!(stream.quantile(&weights, quantile), sum.value_at_quantile(quantile) as f64);
            }
        }
    }

    #[test]
    fn every_slice_is_drawn_and_too_few_say_nothing() {
        let mut rng = Rng::with_seed(1);
        let (mut weights, mut seen) = (vec![0; 30], vec![0_u32; 30]);
        for _ in 0..500 {
            draw(&mut rng, &mut weights);
            seen.iter_mut().zip(&weights).for_each(|(seen, weight)| *seen += weight);
        }
        assert!(seen.iter().all(|seen| *seen > 0), "{seen:?}");
        let samples = vec![Sample { part: 1.0, whole: 2.0 }; SLICES_MIN];
        assert_eq!(share(&samples, &samples[1..], 0.95), None);
        let (difference, ratio) = share(&samples, &samples, 0.95).unwrap();
        assert_eq!((difference.low, difference.high, ratio.unwrap().low), (0.0, 0.0, 1.0));
    }
}
