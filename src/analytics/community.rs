//! Communities by label propagation, and how good a division is.
#![allow(clippy::indexing_slicing, reason = "labels and neighbours are below the number of nodes")]

use super::error::in_range;
use super::random::{Random, scramble};
use super::watch::{Pace, Phase};
use super::{AnalyticsError, Unwatched, Watch};
use crate::graph::Csr;

/// A division of the nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partition {
    /// `[node_count]`, from 0: the largest first, of two alike the one with the lower node index.
    pub community: Vec<u32>,
    /// Nodes of every community.
    pub size: Vec<u32>,
    /// Newman's modularity at resolution 1, -0.5 to 1; `None` in a graph without weight.
    pub modularity: Option<f64>,
    /// Passes over the graph.
    pub iterations: usize,
    /// Whether it ended before the iterations did.
    pub converged: bool,
}

/// What an edge counts in a division.
#[inline]
pub(super) fn worth(weight: f32) -> f64 {
    if weight > 0.0 && weight.is_finite() { f64::from(weight) } else { 0.0 }
}

impl Partition {
    /// Numbers communities by size and measures the division.
    pub(super) fn of(
        csr: &Csr,
        label: &[u32],
        iterations: usize,
        converged: bool,
        watch: &dyn Watch,
    ) -> Result<Self, AnalyticsError> {
        let nodes = label.len();
        let mut size = vec![0u32; nodes];
        label.iter().for_each(|label| size[*label as usize] += 1);
        // Labels in the order of their first bearers, then dealt to places by size: two passes, where a sort of as many labels as nodes
        // would be a long time without a look.
        watch.progress(0.0)?;
        let (mut met, mut firsts) = (vec![false; nodes], Vec::new());
        firsts.extend(label.iter().copied().filter(|label| !std::mem::replace(&mut met[*label as usize], true)));
        watch.progress(0.0)?;
        let largest = size.iter().max().map_or(0, |size| *size as usize);
        let mut place = vec![0usize; largest + 2];
        firsts.iter().for_each(|label| place[largest - size[*label as usize] as usize + 1] += 1);
        for at in 1..place.len() {
            place[at] += place[at - 1];
        }
        let (mut order, mut number) = (vec![0u32; firsts.len()], vec![0u32; nodes]);
        for label in firsts {
            let next = &mut place[largest - size[label as usize] as usize];
            (order[*next], number[label as usize]) = (label, *next as u32);
            *next += 1;
        }
        watch.progress(0.0)?;
        let community: Vec<u32> = label.iter().map(|label| number[*label as usize]).collect();
        let modularity = quality(csr, &community, 1.0, watch)?;
        let size = order.iter().map(|label| size[*label as usize]).collect();
        Ok(Self { community, size, modularity, iterations, converged })
    }
}

/// Newman's modularity at resolution 1 of a division with labels below the number of nodes; `None` without weight.
/// O(nodes + edges).
///
/// # Panics
/// When there is not a label for every node.
#[must_use]
pub fn modularity(csr: &Csr, community: &[u32]) -> Option<f64> {
    quality(csr, community, 1.0, &Unwatched).ok().flatten()
}

/// Modularity at any resolution.
pub(super) fn quality(
    csr: &Csr,
    community: &[u32],
    resolution: f64,
    watch: &dyn Watch,
) -> Result<Option<f64>, AnalyticsError> {
    assert_eq!(csr.node_count(), community.len(), "every node has a community");
    let (mut inside, mut total) = (0.0, 0.0);
    let mut strength = vec![0f64; community.len()];
    let mut pace = Pace::new(watch);
    for (node, label) in community.iter().enumerate() {
        pace.spend(1 + csr.degree(node), 0, 1)?;
        for (other, weight) in csr.row(node) {
            let weight = worth(weight);
            total += weight;
            strength[*label as usize] += weight;
            inside += if community[other as usize] == *label { weight } else { 0.0 };
        }
    }
    let expected = || strength.iter().map(|sum| (sum / total).powi(2)).sum::<f64>();
    Ok((total > 0.0).then(|| inside / total - resolution * expected()))
}

/// How labels spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelOptions {
    /// Of the order of the nodes and of the choice between equals.
    pub seed: u64,
    /// Passes at most, 1 to 10,000.
    pub iterations_max: usize,
    /// Runs, each with a seed of its own, of which the division with the highest modularity stays, 1 to 64. A single run
    /// can end with one label for all, a small graph most of all.
    pub runs: usize,
}

impl Default for LabelOptions {
    fn default() -> Self {
        Self { seed: 42, iterations_max: 100, runs: 8 }
    }
}

/// Label propagation: again and again, in an order drawn anew, each node takes the label that weighs most among its
/// neighbours, and keeps its own if that is one of them. O(runs * iterations * (nodes + edges)).
/// Source: Raghavan, Albert, Kumara 2007.
///
/// # Errors
/// [`AnalyticsError::Range`], [`AnalyticsError::Stopped`].
pub fn label_propagation(csr: &Csr, options: &LabelOptions, watch: &dyn Watch) -> Result<Partition, AnalyticsError> {
    in_range("iterations_max", options.iterations_max as f64, 1.0, 10_000.0)?;
    in_range("runs", options.runs as f64, 1.0, 64.0)?;
    let mut best: Option<Partition> = None;
    for run in 0..options.runs {
        let part = |run: usize| run as f64 / options.runs as f64;
        let found = spread(csr, options, run as u64, &Phase::new(watch, part(run), part(run + 1)))?;
        if best.as_ref().is_none_or(|best| found.modularity > best.modularity) {
            best = Some(found);
        }
    }
    watch.progress(1.0)?;
    Ok(best.unwrap_or_default())
}

fn spread(csr: &Csr, options: &LabelOptions, run: u64, watch: &dyn Watch) -> Result<Partition, AnalyticsError> {
    let nodes = csr.node_count();
    let seed = scramble(options.seed.wrapping_add(run.rotate_left(32)));
    let mut random = Random::new(seed);
    let mut order: Vec<u32> = (0..nodes as u32).collect();
    let mut label = order.clone();
    let mut tally = Tally::new(nodes);
    let (mut iterations, mut changed) = (0, nodes > 0);
    while changed && iterations < options.iterations_max {
        let part = |pass: usize| pass as f64 / options.iterations_max as f64;
        let phase = Phase::new(watch, part(iterations), part(iterations + 1));
        phase.progress(0.0)?;
        random.shuffle(&mut order);
        changed = false;
        let mut pace = Pace::new(&phase);
        for (done, node) in order.iter().map(|node| *node as usize).enumerate() {
            pace.spend(1 + csr.degree(node), done, nodes)?;
            for (other, weight) in csr.row(node) {
                tally.add(label[other as usize], worth(weight));
            }
            let own = tally.weight(label[node]);
            let (mut chosen, mut most) = (label[node], own);
            for candidate in tally.labels() {
                let weight = tally.weight(candidate);
                // Drawn anew each time: a fixed preference would let one label flood the graph.
                let draw = |label: u32| scramble(seed ^ ((iterations * nodes + node) as u64) << 32 ^ u64::from(label));
                let wins = weight > most || (weight == most && most > own && draw(candidate) < draw(chosen));
                (chosen, most) = if wins { (candidate, weight) } else { (chosen, most) };
            }
            changed |= chosen != label[node];
            label[node] = chosen;
            tally.clear();
        }
        iterations += 1;
    }
    Partition::of(csr, &label, iterations, !changed, &Phase::new(watch, 1.0, 1.0))
}

/// Sums by label, cleared in the time that filling took.
pub(super) struct Tally {
    sum: Vec<f64>,
    touched: Vec<u32>,
    /// Marks what was touched: a sum of 0 does not say.
    there: Vec<bool>,
}

impl Tally {
    pub(super) fn new(labels: usize) -> Self {
        Self { sum: vec![0.0; labels], touched: Vec::new(), there: vec![false; labels] }
    }

    #[inline]
    pub(super) fn add(&mut self, label: u32, weight: f64) {
        if !std::mem::replace(&mut self.there[label as usize], true) {
            self.touched.push(label);
        }
        self.sum[label as usize] += weight;
    }

    #[inline]
    pub(super) fn weight(&self, label: u32) -> f64 {
        self.sum[label as usize]
    }

    /// Labels in the order in which they were first added.
    pub(super) fn labels(&self) -> impl Iterator<Item = u32> + '_ {
        self.touched.iter().copied()
    }

    pub(super) fn clear(&mut self) {
        for label in self.touched.drain(..) {
            self.sum[label as usize] = 0.0;
            self.there[label as usize] = false;
        }
    }
}
