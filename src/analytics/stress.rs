//! Stress majorisation: positions whose distances are like those in the graph.
#![allow(clippy::indexing_slicing, reason = "pivots and nodes index tables made for them")]

use super::error::{all_finite, in_range, table_fits};
use super::random::scramble;
use super::watch::{Pace, Phase, every, sort_by};
use super::{AnalyticsError, Lengths, Watch, landmarks};
use crate::base::effort;
use crate::graph::Csr;
use crate::limits::ANALYTICS_DENSE_NODES_MAX;

/// Nodes of one table's row between two reports.
const NODES_PER_REPORT: usize = 8_192;

/// How stress is lowered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StressOptions {
    /// What an edge measures.
    pub lengths: Lengths,
    /// Nodes whose distances to all others count, 1 to [`ANALYTICS_DENSE_NODES_MAX`]. As many as there are nodes: all
    /// pairs.
    pub pivots: usize,
    /// World units of a graph distance of 1; 0 = what fits the given positions best, so that the layout keeps its size.
    pub unit: f64,
    /// It ends when an iteration lowers stress by less than this part, 0 to 1.
    pub tolerance: f64,
    /// Iterations at most, 1 to 10,000.
    pub iterations_max: usize,
}

impl Default for StressOptions {
    fn default() -> Self {
        Self { lengths: Lengths::Hops, pivots: 50, unit: 0.0, tolerance: 1e-4, iterations_max: 200 }
    }
}

/// A layout and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Stress {
    /// `[node_count]`, world units. A layout in the plane z = 0 stays in it.
    pub position: Vec<[f32; 3]>,
    /// Stress of the start and after every iteration, `[iterations + 1]`, never rising: the sum over edges and over pairs
    /// of a pivot and a node of `(distance / target - 1)^2`, each pivot's pair counted for as many nodes as it stands
    /// for, divided by the weight of all pairs. 0 is perfect.
    pub stress: Vec<f64>,
    /// World units of a graph distance of 1.
    pub unit: f64,
    /// Pivots used.
    pub pivots: usize,
    /// Iterations done.
    pub iterations: usize,
    /// Whether it ended before the iterations did.
    pub converged: bool,
}

/// What is to be fitted: targets and weights of edges, and of every pivot with every node. Pairs that no path joins have
/// no term.
struct Model<'a> {
    csr: &'a Csr,
    lengths: Lengths,
    unit: f64,
    /// The row of a pivot's distances; `u32::MAX` for other nodes.
    row_of: Vec<u32>,
    pivot: Vec<u32>,
    /// `[pivots * node_count]`, graph distances.
    distance: Vec<f32>,
    /// `[pivots * node_count]`, how many nodes the pair stands for divided by the squared distance; 0 = no term.
    weight: Vec<f32>,
}

/// Lowers the sparse stress of `positions` by majorisation, one node at a time in index order: each goes to where a
/// quadratic bound of the stress, exact at its present position, is least, so stress never rises.
///
/// O(iterations * (edges + pivots * nodes)). Sources: Gansner, Koren, North 2004; Ortmann, Klimenta, Brandes 2016 (the
/// sparse model).
///
/// # Errors
/// [`AnalyticsError::Range`]; [`AnalyticsError::Table`] for `pivots * nodes` terms; [`AnalyticsError::Positions`];
/// [`AnalyticsError::NotFinite`]; [`AnalyticsError::Stopped`].
pub fn majorise(
    csr: &Csr,
    positions: &[[f32; 3]],
    options: &StressOptions,
    watch: &dyn Watch,
) -> Result<Stress, AnalyticsError> {
    in_range("pivots", options.pivots as f64, 1.0, ANALYTICS_DENSE_NODES_MAX as f64)?;
    in_range("unit", options.unit, 0.0, 1e6)?;
    in_range("tolerance", options.tolerance, 0.0, 1.0)?;
    in_range("iterations_max", options.iterations_max as f64, 1.0, 10_000.0)?;
    let nodes = csr.node_count();
    if positions.len() != nodes {
        return Err(AnalyticsError::Positions { positions: positions.len(), nodes });
    }
    all_finite(positions)?;
    let mut at: Vec<[f64; 3]> = positions.iter().map(|point| point.map(f64::from)).collect();
    let flat = positions.iter().all(|point| point[2] == 0.0);
    let mut model = Model::new(csr, options, &Phase::new(watch, 0.0, 0.1))?;
    let begun = Phase::new(watch, 0.1, 0.1);
    model.unit = if options.unit > 0.0 { options.unit } else { model.best_unit(&at, &begun)? };
    let (total, first) = model.measure(&at, &begun)?;
    let part = |stress: f64| if total > 0.0 { stress / total } else { 0.0 };
    let mut result = Stress {
        position: Vec::new(),
        stress: vec![part(first)],
        unit: model.unit,
        pivots: model.pivot.len(),
        iterations: 0,
        converged: total <= 0.0,
    };
    let mut before = first;
    while !result.converged && result.iterations < options.iterations_max {
        let done = |iterations: usize| 0.1 + 0.9 * iterations as f64 / options.iterations_max as f64;
        let mut next = at.clone();
        model.pass(&mut next, flat, &Phase::new(watch, done(result.iterations), done(result.iterations + 1)))?;
        let reached = done(result.iterations + 1);
        let now = model.measure(&next, &Phase::new(watch, reached, reached))?.1;
        if now > before {
            // Only rounding raises it, where nothing is left to gain.
            result.converged = true;
            break;
        }
        at = next;
        result.iterations += 1;
        result.stress.push(part(now));
        result.converged = before - now <= options.tolerance * before;
        before = now;
    }
    watch.progress(1.0)?;
    result.position = at.iter().map(|point| point.map(|axis| axis as f32)).collect();
    Ok(result)
}

impl<'a> Model<'a> {
    fn new(csr: &'a Csr, options: &StressOptions, watch: &dyn Watch) -> Result<Self, AnalyticsError> {
        let nodes = csr.node_count();
        table_fits("stress terms", options.pivots.min(nodes), nodes, size_of::<(f64, f32, f32)>())?;
        let marks = landmarks(csr, options.pivots, options.lengths, &Phase::new(watch, 0.0, 0.8))?;
        let mut row_of = vec![u32::MAX; nodes];
        for (row, pivot) in marks.node.iter().enumerate() {
            row_of[*pivot as usize] = row as u32;
        }
        let share = Phase::new(watch, 0.8, 1.0);
        let mut weight = Vec::with_capacity(marks.node.len() * nodes);
        let regions = regions(&marks.distance, nodes, &Phase::new(watch, 0.8, 0.8))?;
        for (row, region) in marks.distance.iter().zip(&regions) {
            for distance in row {
                every(NODES_PER_REPORT, weight.len(), marks.node.len() * nodes, &share)?;
                // The nodes of the region that lie nearer to the pivot than half way.
                let stands_for = region.partition_point(|near| *near <= distance / 2.0).max(1);
                weight.push(match *distance > 0.0 && distance.is_finite() {
                    true => (stands_for as f64 / (distance * distance)) as f32,
                    false => 0.0,
                });
            }
        }
        let end = Phase::new(watch, 1.0, 1.0);
        let mut distance = Vec::with_capacity(marks.node.len() * nodes);
        for row in &marks.distance {
            end.progress(0.0)?;
            distance.extend(row.iter().map(|distance| *distance as f32));
        }
        let mut model = Self { csr, lengths: options.lengths, unit: 1.0, row_of, pivot: marks.node, distance, weight };
        model.count_pairs_once(&end)?;
        Ok(model)
    }

    /// A pair of two pivots is one term, and a pair that an edge joins is that edge's term.
    fn count_pairs_once(&mut self, watch: &dyn Watch) -> Result<(), AnalyticsError> {
        let nodes = self.csr.node_count();
        let mut pace = Pace::new(watch);
        for row in 0..self.pivot.len() {
            effort::spend(row);
            pace.spend(row, 0, 1)?;
            for other in 0..row {
                let (here, there) =
                    (row * nodes + self.pivot[other] as usize, other * nodes + self.pivot[row] as usize);
                self.weight[there] = (self.weight[there] + self.weight[here]) / 2.0;
                self.weight[here] = 0.0;
            }
        }
        for (row, pivot) in self.pivot.iter().enumerate() {
            pace.spend(self.csr.degree(*pivot as usize), 0, 1)?;
            for (neighbour, weight) in self.csr.row(*pivot as usize) {
                if self.edge(weight).is_some() {
                    self.weight[row * nodes + neighbour as usize] = 0.0;
                    if let Some(other) = self.pivot_row(neighbour as usize) {
                        self.weight[other * nodes + *pivot as usize] = 0.0;
                    }
                }
            }
        }
        Ok(())
    }

    fn pivot_row(&self, node: usize) -> Option<usize> {
        let row = self.row_of[node];
        (row != u32::MAX).then_some(row as usize)
    }

    /// Length and weight of an edge's term; an edge of length 0 has no relative error, so no term.
    fn edge(&self, weight: f32) -> Option<(f64, f64)> {
        let length = self.lengths.of(weight)?;
        let term = 1.0 / (length * length);
        (length > 0.0 && term.is_finite() && term > 0.0).then_some((length, term))
    }

    /// Calls `term(other, graph distance, weight)` for every term of a node.
    #[inline]
    fn terms(&self, node: usize, mut term: impl FnMut(usize, f64, f64)) {
        for (other, weight) in self.csr.row(node) {
            if let Some((length, weight)) = self.edge(weight) {
                term(other as usize, length, weight);
            }
        }
        let nodes = self.csr.node_count();
        effort::spend(self.pivot.len());
        for (row, pivot) in self.pivot.iter().enumerate() {
            let at = row * nodes + node;
            if self.weight[at] > 0.0 {
                term(*pivot as usize, f64::from(self.distance[at]), f64::from(self.weight[at]));
            }
        }
        if let Some(row) = self.pivot_row(node) {
            for other in 0..nodes {
                let at = row * nodes + other;
                if self.weight[at] > 0.0 {
                    term(other, f64::from(self.distance[at]), f64::from(self.weight[at]));
                }
            }
        }
    }

    /// Calls `term` for every term once: an edge from its lower end, a pivot's pair from the other node.
    fn all_terms(&self, watch: &dyn Watch, mut term: impl FnMut(usize, usize, f64, f64)) -> Result<(), AnalyticsError> {
        let nodes = self.csr.node_count();
        let mut pace = Pace::new(watch);
        for node in 0..nodes {
            pace.spend(1 + self.csr.degree(node), 0, 1)?;
            for (other, weight) in self.csr.row(node).filter(|(other, _)| (*other as usize) > node) {
                if let Some((length, weight)) = self.edge(weight) {
                    term(node, other as usize, length, weight);
                }
            }
        }
        for (row, pivot) in self.pivot.iter().enumerate() {
            for node in 0..nodes {
                every(NODES_PER_REPORT, node, usize::MAX, watch)?;
                let at = row * nodes + node;
                if self.weight[at] > 0.0 {
                    term(node, *pivot as usize, f64::from(self.distance[at]), f64::from(self.weight[at]));
                }
            }
        }
        Ok(())
    }

    /// The unit that gives the positions the least stress.
    fn best_unit(&self, at: &[[f64; 3]], watch: &dyn Watch) -> Result<f64, AnalyticsError> {
        let (mut drawn, mut wanted) = (0.0, 0.0);
        self.all_terms(watch, |a, b, distance, weight| {
            drawn += weight * distance * length(away(at[a], at[b]));
            wanted += weight * distance * distance;
        })?;
        let unit = drawn / wanted;
        Ok(if unit.is_finite() && unit > 0.0 { unit } else { 1.0 })
    }

    /// Sum of `weight * distance^2`, which is the stress of all nodes in one place, and the stress, both in squared units.
    fn measure(&self, at: &[[f64; 3]], watch: &dyn Watch) -> Result<(f64, f64), AnalyticsError> {
        let (mut total, mut stress) = (0.0, 0.0);
        self.all_terms(watch, |a, b, distance, weight| {
            let error = length(away(at[a], at[b])) / self.unit - distance;
            total += weight * distance * distance;
            stress += weight * error * error;
        })?;
        Ok((total, stress))
    }

    /// Moves every node once.
    fn pass(&self, at: &mut [[f64; 3]], flat: bool, watch: &dyn Watch) -> Result<(), AnalyticsError> {
        let mut pace = Pace::new(watch);
        for node in 0..at.len() {
            let all = if self.row_of[node] == u32::MAX { 0 } else { at.len() };
            pace.spend(1 + self.pivot.len() + self.csr.degree(node) + all, node, at.len())?;
            let (here, mut sum, mut weights) = (at[node], [0f64; 3], 0.0);
            self.terms(node, |other, distance, weight| {
                let gap = away(here, at[other]);
                let drawn = length(gap);
                // From the same place every direction is as good; the two ends of a pair must only not choose alike.
                let way = if drawn > 0.0 { gap.map(|axis| axis / drawn) } else { direction(node, other, flat) };
                for axis in 0..3 {
                    sum[axis] += weight * (at[other][axis] + self.unit * distance * way[axis]);
                }
                weights += weight;
            });
            if weights > 0.0 {
                at[node] = sum.map(|axis| axis / weights);
            }
        }
        Ok(())
    }
}

/// For every pivot, the distances to it of the nodes that have no nearer one, rising.
fn regions(distance: &[Vec<f64>], nodes: usize, watch: &dyn Watch) -> Result<Vec<Vec<f64>>, AnalyticsError> {
    let mut region: Vec<Vec<f64>> = vec![Vec::new(); distance.len()];
    let mut pace = Pace::new(watch);
    for node in 0..nodes {
        pace.spend(1 + distance.len(), 0, 1)?;
        effort::spend(distance.len());
        let nearest = (0..distance.len())
            .fold(None, |best: Option<usize>, row| match best {
                Some(best) if distance[best][node] <= distance[row][node] => Some(best),
                _ => Some(row),
            })
            .filter(|row| distance[*row][node].is_finite());
        if let Some(row) = nearest {
            region[row].push(distance[row][node]);
        }
    }
    for region in &mut region {
        sort_by(region, watch, |a, b| {
            effort::spend(1);
            a.total_cmp(b)
        })?;
    }
    Ok(region)
}

#[inline]
fn away(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline]
fn length(gap: [f64; 3]) -> f64 {
    (gap[0] * gap[0] + gap[1] * gap[1] + gap[2] * gap[2]).sqrt()
}

/// A direction of length 1 for two nodes in one place, opposite for the other of them.
fn direction(node: usize, other: usize, flat: bool) -> [f64; 3] {
    let (low, high) = (node.min(other) as u64, node.max(other) as u64);
    let sign = if node == low as usize { 1.0 } else { -1.0 };
    let axis = |salt: u64| (scramble((low << 32 | high) ^ salt) >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
    let way = [sign * axis(1), sign * axis(2), if flat { 0.0 } else { sign * axis(3) }];
    let long = length(way);
    if long > 1e-3 { way.map(|axis| axis / long) } else { [sign, 0.0, 0.0] }
}
