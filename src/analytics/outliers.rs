//! Outliers: the local outlier factor of positions, and z-scores of what can be measured of every node.
#![allow(clippy::indexing_slicing, reason = "neighbours are indices of points")]

use super::error::{all_finite, in_range, table_fits};
use super::spatial::{Spatial, squared};
use super::watch::{Pace, Phase, every};
use super::{AnalyticsError, Watch};
use crate::graph::Csr;

/// Nodes between two reports.
const NODES_PER_REPORT: usize = 256;

/// Added to a mean reachability before it divides, so that positions in one place have a density.
const REACH_MIN: f64 = 1e-10;

/// How local "local" is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LofOptions {
    /// Nearest neighbours each node is compared with, 1 to 256; never more than there are others.
    pub neighbours: usize,
}

impl Default for LofOptions {
    fn default() -> Self {
        Self { neighbours: 32 }
    }
}

/// The local outlier factor of every position, `[node_count]`: about 1 for one like its neighbours, more the farther out
/// it lies. 1 for all when there are fewer than two. O(nodes log nodes). Source: Breunig et al. 2000.
///
/// # Errors
/// [`AnalyticsError::Range`], [`AnalyticsError::NotFinite`], [`AnalyticsError::Table`], [`AnalyticsError::Stopped`].
pub fn local_outlier_factor(
    positions: &[[f32; 3]],
    options: &LofOptions,
    watch: &dyn Watch,
) -> Result<Vec<f64>, AnalyticsError> {
    in_range("neighbours", options.neighbours as f64, 1.0, 256.0)?;
    let nodes = positions.len();
    let count = options.neighbours.min(nodes.saturating_sub(1));
    table_fits("nearest neighbours", nodes, count, size_of::<(f32, u32)>())?;
    if count == 0 {
        all_finite(positions)?;
        return Ok(vec![1.0; nodes]);
    }
    let tree = Spatial::new(positions, &Phase::new(watch, 0.0, 0.2))?;
    let (mut near, mut reach) = (Vec::with_capacity(nodes * count), vec![0f64; nodes]);
    let (mut stack, mut found) = (Vec::new(), Vec::new());
    let search = Phase::new(watch, 0.2, 0.8);
    let mut pace = Pace::new(&search);
    for (node, reach) in reach.iter_mut().enumerate() {
        // Each of the found is put into a sorted list.
        pace.spend(count * count / 16, node, nodes)?;
        tree.nearest(node, count, &mut stack, &mut found, &mut pace)?;
        near.extend(found.iter().map(|near| near.1));
        *reach = found.last().map_or(0.0, |last| last.0.sqrt());
    }
    let at = |node: usize| positions[node].map(f64::from);
    let mut density = vec![0f64; nodes];
    let phase = Phase::new(watch, 0.8, 0.9);
    for node in 0..nodes {
        every(NODES_PER_REPORT, node, nodes, &phase)?;
        let row = near[node * count..(node + 1) * count].iter().map(|other| *other as usize);
        let sum: f64 = row.map(|other| squared(at(node), at(other)).sqrt().max(reach[other])).sum();
        density[node] = 1.0 / (sum / count as f64 + REACH_MIN);
    }
    let phase = Phase::new(watch, 0.9, 1.0);
    let mut factor = vec![0f64; nodes];
    for node in 0..nodes {
        every(NODES_PER_REPORT, node, nodes, &phase)?;
        let row = near[node * count..(node + 1) * count].iter().map(|other| density[*other as usize]);
        factor[node] = row.sum::<f64>() / count as f64 / density[node];
    }
    watch.progress(1.0)?;
    Ok(factor)
}

/// What is measured of every node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Feature {
    /// Edges at the node.
    Degree,
    /// Sum of their weights.
    Strength,
    /// Distance from the middle of all positions, world units.
    Distance,
    /// Mean length of its edges in the layout, world units; 0 without edges.
    EdgeLength,
    /// Other nodes within this radius, world units.
    Crowd {
        /// Above 0, up to 1e9.
        radius: f64,
    },
}

/// Measures `feature` of every node, `[node_count]`.
///
/// # Errors
/// [`AnalyticsError::Positions`] when there is not one for every node and the feature needs them;
/// [`AnalyticsError::Range`], [`AnalyticsError::NotFinite`], [`AnalyticsError::Stopped`].
pub fn feature(
    csr: &Csr,
    positions: &[[f32; 3]],
    feature: Feature,
    watch: &dyn Watch,
) -> Result<Vec<f64>, AnalyticsError> {
    let nodes = csr.node_count();
    if !matches!(feature, Feature::Degree | Feature::Strength) {
        if positions.len() != nodes {
            return Err(AnalyticsError::Positions { positions: positions.len(), nodes });
        }
        all_finite(positions)?;
    }
    let at = |node: usize| positions[node].map(f64::from);
    let mut values = Vec::with_capacity(nodes);
    let mut measure = |from: f64, value: &mut dyn FnMut(usize, &mut Pace<'_>) -> Result<f64, AnalyticsError>| {
        let phase = Phase::new(watch, from, 1.0);
        let mut pace = Pace::new(&phase);
        for node in 0..nodes {
            pace.spend(1 + 2 * csr.degree(node), node, nodes)?;
            values.push(value(node, &mut pace)?);
        }
        Ok(())
    };
    match feature {
        Feature::Degree => measure(0.0, &mut |node, _| Ok(csr.degree(node) as f64))?,
        Feature::Strength => {
            measure(0.0, &mut |node, _| Ok(csr.row(node).map(|(_, weight)| f64::from(weight)).sum()))?;
        }
        Feature::Distance => {
            let middle = [0, 1, 2]
                .map(|axis| positions.iter().map(|point| f64::from(point[axis])).sum::<f64>() / nodes.max(1) as f64);
            measure(0.0, &mut |node, _| Ok(squared(at(node), middle).sqrt()))?;
        }
        Feature::EdgeLength => measure(0.0, &mut |node, _| {
            let lengths = csr.row(node).map(|(other, _)| squared(at(node), at(other as usize)).sqrt());
            Ok(lengths.sum::<f64>() / csr.degree(node).max(1) as f64)
        })?,
        Feature::Crowd { radius } => {
            in_range("radius", radius, f64::MIN_POSITIVE, 1e9)?;
            let tree = Spatial::new(positions, &Phase::new(watch, 0.0, 0.3))?;
            let mut stack = Vec::new();
            measure(0.3, &mut |node, pace| Ok(tree.count_within(node, radius, &mut stack, pace)? as f64))?;
        }
    }
    watch.progress(1.0)?;
    Ok(values)
}

/// Values in standard deviations from their mean.
#[derive(Clone, Debug, PartialEq)]
pub struct ZScores {
    /// `[values]`; all 0 when the values do not differ.
    pub score: Vec<f64>,
    /// Of the values.
    pub mean: f64,
    /// Of the values, over all of them (divided by n).
    pub deviation: f64,
}

/// z-scores of finite values. O(n).
#[must_use]
pub fn z_scores(values: &[f64]) -> ZScores {
    let count = values.len().max(1) as f64;
    let rough = values.iter().sum::<f64>() / count;
    let mean = rough + values.iter().map(|value| value - rough).sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    // Equal values can differ from their rounded mean by an ulp or so: that is no deviation.
    let differs = deviation > mean.abs() * f64::EPSILON * 8.0;
    let score = values.iter().map(|value| if differs { (value - mean) / deviation } else { 0.0 }).collect();
    ZScores { score, mean, deviation: if differs { deviation } else { 0.0 } }
}
