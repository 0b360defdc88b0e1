//! k-means on positions.
#![allow(clippy::indexing_slicing, reason = "labels are below the number of centres, indices below that of points")]

use super::error::{all_finite, in_range};
use super::random::Random;
use super::spatial::squared;
use super::watch::{Phase, WORK_PER_LOOK, every};
use super::{AnalyticsError, Watch};
use crate::base::effort;

/// Clusters at most.
const CLUSTERS_MAX: usize = 4_096;

/// Distances computed between two reports.
const DISTANCES_PER_REPORT: usize = 65_536;

/// How clusters are sought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KMeansOptions {
    /// Clusters, 1 to 4,096. No more are made than there are distinct positions.
    pub clusters: usize,
    /// It ends when the squared moves of all centres add up to no more than this part of the mean variance of the axes,
    /// 0 to 1: the same whatever the layout's size.
    pub tolerance: f64,
    /// Of the first centres.
    pub seed: u64,
    /// Iterations at most, 1 to 10,000.
    pub iterations_max: usize,
}

impl Default for KMeansOptions {
    fn default() -> Self {
        Self { clusters: 8, tolerance: 1e-3, seed: 42, iterations_max: 100 }
    }
}

/// Clusters of positions.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// `[node_count]`: the nearest centre; of two at the same distance the lower.
    pub cluster: Vec<u32>,
    /// `[clusters]`, world units.
    pub centre: Vec<[f64; 3]>,
    /// Nodes of every cluster.
    pub size: Vec<u32>,
    /// Sum of squared distances to the centres, world units squared.
    pub inertia: f64,
    /// Iterations done.
    pub iterations: usize,
    /// Whether it ended before the iterations did.
    pub converged: bool,
}

/// Lloyd's iteration from a k-means++ start. O(iterations * nodes * clusters).
/// Source: Arthur and Vassilvitskii 2007.
///
/// # Errors
/// [`AnalyticsError::Range`], [`AnalyticsError::NotFinite`], [`AnalyticsError::Stopped`].
pub fn kmeans(positions: &[[f32; 3]], options: &KMeansOptions, watch: &dyn Watch) -> Result<KMeans, AnalyticsError> {
    check(positions, options)?;
    let centres = first_centres(positions, options, &Phase::new(watch, 0.0, 0.1))?;
    kmeans_from(positions, centres, options, &Phase::new(watch, 0.1, 1.0))
}

fn check(positions: &[[f32; 3]], options: &KMeansOptions) -> Result<(), AnalyticsError> {
    in_range("clusters", options.clusters as f64, 1.0, CLUSTERS_MAX as f64)?;
    in_range("tolerance", options.tolerance, 0.0, 1.0)?;
    in_range("iterations_max", options.iterations_max as f64, 1.0, 10_000.0)?;
    all_finite(positions)
}

/// Each next centre is a position, drawn with a chance in proportion to its squared distance from those before.
fn first_centres(
    positions: &[[f32; 3]],
    options: &KMeansOptions,
    watch: &dyn Watch,
) -> Result<Vec<[f64; 3]>, AnalyticsError> {
    let mut random = Random::new(options.seed);
    let mut centres: Vec<[f64; 3]> = Vec::new();
    let mut gap = vec![f64::INFINITY; positions.len()];
    while !positions.is_empty() && centres.len() < options.clusters {
        let phase = Phase::new(watch, centres.len() as f64 / options.clusters as f64, 1.0);
        let drawn = match centres.last() {
            None => random.below(positions.len()),
            Some(last) => {
                for (at, (gap, point)) in gap.iter_mut().zip(positions).enumerate() {
                    if at % DISTANCES_PER_REPORT == 0 {
                        phase.progress(0.0)?;
                    }
                    *gap = gap.min(squared(point.map(f64::from), *last));
                }
                let total: f64 = gap.iter().sum();
                if total <= 0.0 {
                    // Every position is a centre already.
                    break;
                }
                let mut left = random.unit() * total;
                let drawn = gap.iter().position(|gap| {
                    left -= gap;
                    left < 0.0
                });
                // Rounding can leave a rest behind the last: then the last that is no centre yet.
                drawn.or_else(|| gap.iter().rposition(|gap| *gap > 0.0)).unwrap_or(0)
            }
        };
        centres.push(positions[drawn].map(f64::from));
    }
    Ok(centres)
}

/// Lloyd's iteration from given centres. A cluster that loses all its nodes begins again at the position that is
/// farthest from its own centre.
///
/// # Errors
/// As [`kmeans`]. `options.clusters` and `options.seed` are not looked at.
pub fn kmeans_from(
    positions: &[[f32; 3]],
    mut centre: Vec<[f64; 3]>,
    options: &KMeansOptions,
    watch: &dyn Watch,
) -> Result<KMeans, AnalyticsError> {
    check(positions, &KMeansOptions { clusters: centre.len().max(1), ..*options })?;
    let limit = options.tolerance * mean_variance(positions);
    let mut cluster = vec![0u32; positions.len()];
    let mut gap = vec![0f64; positions.len()];
    let (mut iterations, mut converged) = (0, positions.is_empty());
    while !converged && iterations < options.iterations_max {
        let (from, total) = (iterations as f64, options.iterations_max as f64);
        let end = (from + 1.0) / total;
        let changed = assign(positions, &centre, &mut cluster, &mut gap, &Phase::new(watch, from / total, end))?;
        let moved = move_centres(positions, &mut cluster, &mut gap, &mut centre, &Phase::new(watch, end, end))?;
        iterations += 1;
        converged = (iterations > 1 && !changed) || moved <= limit;
    }
    // Labels belong to the centres that are handed out.
    assign(positions, &centre, &mut cluster, &mut gap, &Phase::new(watch, 1.0, 1.0))?;
    let mut size = vec![0u32; centre.len()];
    cluster.iter().for_each(|label| size[*label as usize] += 1);
    Ok(KMeans { cluster, centre, size, inertia: gap.iter().sum(), iterations, converged })
}

/// Mean over the axes of the variance of the positions, world units squared. An axis on which nothing differs does not
/// count: a flat layout is not a third less spread out.
fn mean_variance(positions: &[[f32; 3]]) -> f64 {
    let count = positions.len().max(1) as f64;
    let variances = [0, 1, 2].map(|axis| {
        let mean = positions.iter().map(|point| f64::from(point[axis])).sum::<f64>() / count;
        positions.iter().map(|point| (f64::from(point[axis]) - mean).powi(2)).sum::<f64>() / count
    });
    let spread = variances.iter().filter(|variance| **variance > 0.0).count().max(1);
    variances.iter().sum::<f64>() / spread as f64
}

/// Gives every position its nearest centre; whether any got another one.
fn assign(
    positions: &[[f32; 3]],
    centre: &[[f64; 3]],
    cluster: &mut [u32],
    gap: &mut [f64],
    watch: &dyn Watch,
) -> Result<bool, AnalyticsError> {
    let each = (DISTANCES_PER_REPORT / centre.len().max(1)).max(1);
    let mut changed = false;
    for (at, point) in positions.iter().enumerate() {
        every(each, at, positions.len(), watch)?;
        let point = point.map(f64::from);
        let (mut best, mut least) = (0, f64::INFINITY);
        for (label, centre) in centre.iter().enumerate() {
            let distance = squared(point, *centre);
            if distance < least {
                (best, least) = (label as u32, distance);
            }
        }
        changed |= cluster[at] != best;
        (cluster[at], gap[at]) = (best, least);
    }
    Ok(changed)
}

/// Puts every centre in the middle of its positions; the sum of the squared moves.
fn move_centres(
    positions: &[[f32; 3]],
    cluster: &mut [u32],
    gap: &mut [f64],
    centre: &mut [[f64; 3]],
    watch: &dyn Watch,
) -> Result<f64, AnalyticsError> {
    watch.progress(0.0)?;
    let mut sum = vec![[0f64; 3]; centre.len()];
    let mut count = vec![0u32; centre.len()];
    for (point, label) in positions.iter().zip(cluster.iter()) {
        count[*label as usize] += 1;
        sum[*label as usize].iter_mut().zip(point).for_each(|(sum, axis)| *sum += f64::from(*axis));
    }
    for empty in 0..centre.len() {
        if count[empty] > 0 {
            continue;
        }
        // Of four thousand clusters nearly all may be empty.
        let mut farthest = 0;
        for (piece, from) in gap.chunks(WORK_PER_LOOK).zip((0..).step_by(WORK_PER_LOOK)) {
            watch.progress(0.0)?;
            effort::spend(piece.len());
            farthest =
                (from..from + piece.len()).fold(farthest, |best, at| if gap[at] > gap[best] { at } else { best });
        }
        let from = cluster[farthest] as usize;
        if gap[farthest] <= 0.0 || count[from] < 2 {
            continue;
        }
        let point = positions[farthest].map(f64::from);
        sum[from].iter_mut().zip(point).for_each(|(sum, axis)| *sum -= axis);
        (sum[empty], count[empty], count[from]) = (point, 1, count[from] - 1);
        (cluster[farthest], gap[farthest]) = (empty as u32, 0.0);
    }
    let mut moved = 0.0;
    for (label, centre) in centre.iter_mut().enumerate() {
        if count[label] > 0 {
            let middle = sum[label].map(|axis| axis / f64::from(count[label]));
            moved += squared(middle, *centre);
            *centre = middle;
        }
    }
    Ok(moved)
}
