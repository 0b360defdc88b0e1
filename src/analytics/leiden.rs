//! Communities of high modularity, each of them connected.
#![allow(clippy::indexing_slicing, reason = "nodes and communities of a level are below its node count")]

use std::collections::VecDeque;

use super::community::{Tally, quality, worth};
use super::error::in_range;
use super::random::Random;
use super::watch::{Pace, Phase, WORK_PER_LOOK};
use super::{AnalyticsError, Partition, Watch};
use crate::base::effort;
use crate::graph::Csr;

/// A gain below this part of the graph's weight is rounding.
const GAIN_MIN: f64 = 1e-12;

/// How communities are sought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeidenOptions {
    /// 1 is Newman's modularity; more gives smaller communities, 0.001 to 1,000.
    pub resolution: f64,
    /// Of the order in which nodes are looked at.
    pub seed: u64,
    /// Iterations at most, each from the division of the one before, 1 to 1,000.
    pub iterations_max: usize,
}

impl Default for LeidenOptions {
    fn default() -> Self {
        Self { resolution: 1.0, seed: 42, iterations_max: 100 }
    }
}

/// How much worse than the best a merge of the refinement may be to be drawn now and then, as a part of the mean weight of
/// an edge.
const REFINEMENT_SPREAD: f64 = 0.01;

/// An iteration that raises modularity by less has changed nothing that matters. On 200,000 nodes it saves two thirds of the
/// iterations and costs a thousandth of a percent.
const MODULARITY_GAIN_MIN: f64 = 1e-5;

/// Iterations in a row that change nothing, after which another draw is not expected to.
const UNCHANGED_ENOUGH: usize = 2;

/// What gains are measured with.
#[derive(Clone, Copy)]
struct Scale {
    /// Weight that chance puts between two nodes of strength 1, times the resolution.
    density: f64,
    /// Least gain of a move.
    gain_min: f64,
    /// Of the draw between merges.
    spread: f64,
}

/// A graph whose nodes stand for sets of nodes.
struct Level {
    offset: Vec<usize>,
    neighbour: Vec<u32>,
    weight: Vec<f64>,
    /// Weight of all half-edges of the set, those within it too.
    strength: Vec<f64>,
}

/// The Leiden algorithm with modularity: local moves, refinement, aggregation, until two iterations in a row change
/// nothing. What is drawn is drawn from the seed, so the same input gives the same communities.
/// O((nodes + edges) * a few dozen). Source: Traag, Waltman, van Eck 2019.
///
/// # Errors
/// [`AnalyticsError::Range`], [`AnalyticsError::Stopped`].
pub fn leiden(csr: &Csr, options: &LeidenOptions, watch: &dyn Watch) -> Result<Partition, AnalyticsError> {
    in_range("resolution", options.resolution, 1e-3, 1e3)?;
    in_range("iterations_max", options.iterations_max as f64, 1.0, 1e3)?;
    let nodes = csr.node_count();
    let base = Level::of(csr, &Phase::new(watch, 0.0, 0.0))?;
    let total: f64 = base.strength.iter().sum();
    let edges = csr.half_edge_count().max(1) as f64;
    let scale = Scale {
        density: options.resolution / total,
        gain_min: GAIN_MIN * total,
        spread: REFINEMENT_SPREAD * total / edges,
    };
    let mut label: Vec<u32> = (0..nodes as u32).collect();
    let mut random = Random::new(options.seed);
    let (mut iterations, mut unchanged, mut converged, mut before) = (0, 0, total <= 0.0, f64::NEG_INFINITY);
    while !converged && iterations < options.iterations_max {
        let part = |done: usize| 1.0 - 0.5f64.powi(done as i32);
        let phase = Phase::new(watch, part(iterations), part(iterations + 1));
        let changed = iterate(&base, &mut label, &scale, &mut random, &phase)?;
        iterations += 1;
        let standing = Phase::new(watch, part(iterations), part(iterations));
        let now = quality(csr, &label, options.resolution, &standing)?.unwrap_or(0.0);
        let better = changed && now - before > MODULARITY_GAIN_MIN;
        before = now;
        unchanged = if better { 0 } else { unchanged + 1 };
        converged = unchanged == UNCHANGED_ENOUGH;
    }
    let end = Phase::new(watch, 1.0, 1.0);
    let connected = split(csr, &label, &end)?;
    Partition::of(csr, &connected, iterations, converged, &end)
}

/// One iteration from the division `label`; whether it changed.
fn iterate(
    base: &Level,
    label: &mut [u32],
    scale: &Scale,
    random: &mut Random,
    watch: &dyn Watch,
) -> Result<bool, AnalyticsError> {
    // The node of the level that each node of the graph is part of.
    let mut set: Vec<u32> = (0..label.len() as u32).collect();
    let mut community = label.to_vec();
    let mut changed = false;
    let mut made: Option<Level> = None;
    loop {
        let level = made.as_ref().unwrap_or(base);
        changed |= level.move_nodes(&mut community, scale, random, watch)?;
        let refined = level.refine(&community, scale, random, watch)?;
        let (place, sets) = numbered(&refined);
        if sets == level.nodes() {
            break;
        }
        let next = level.merge(&place, sets, watch)?;
        watch.progress(0.0)?;
        // A community of the new level is named by its first set.
        let mut first = vec![u32::MAX; level.nodes()];
        let mut community_of_set = vec![0; sets];
        for (node, at) in place.iter().enumerate() {
            let named = &mut first[community[node] as usize];
            *named = if *named == u32::MAX { *at } else { *named };
            community_of_set[*at as usize] = *named;
        }
        set.iter_mut().for_each(|at| *at = place[*at as usize]);
        community = community_of_set;
        made = Some(next);
    }
    let level = made.as_ref().unwrap_or(base);
    debug_assert_eq!(community.len(), level.nodes(), "every set has a community");
    for (label, at) in label.iter_mut().zip(&set) {
        *label = community[*at as usize];
    }
    Ok(changed)
}

/// One of the merges, with a chance of `exp(gain / spread)`.
fn draw(open: &[(u32, f64)], spread: f64, random: &mut Random) -> Option<u32> {
    let most = open.iter().fold(0.0, |most: f64, (_, gain)| most.max(*gain));
    let chance = |gain: f64| ((gain - most) / spread).exp();
    let mut left = random.unit() * open.iter().map(|(_, gain)| chance(*gain)).sum::<f64>();
    let drawn = open.iter().find(|(_, gain)| {
        left -= chance(*gain);
        left < 0.0
    });
    drawn.or(open.last()).map(|(label, _)| *label)
}

/// Labels numbered from 0 in the order of their first bearers, and how many there are.
fn numbered(label: &[u32]) -> (Vec<u32>, usize) {
    let mut number = vec![u32::MAX; label.len()];
    let mut count = 0;
    let place = label.iter().map(|label| {
        let number = &mut number[*label as usize];
        if *number == u32::MAX {
            *number = count;
            count += 1;
        }
        *number
    });
    let place = place.collect();
    (place, count as usize)
}

/// The same division with communities that do not hang together taken apart, which only raises modularity. The algorithm
/// leaves none but by rounding, or where the iterations ran out.
fn split(csr: &Csr, label: &[u32], watch: &dyn Watch) -> Result<Vec<u32>, AnalyticsError> {
    let mut part = vec![u32::MAX; label.len()];
    let (mut stack, mut pace) = (Vec::new(), Pace::new(watch));
    for start in 0..label.len() {
        if part[start] != u32::MAX {
            continue;
        }
        part[start] = start as u32;
        stack.push(start);
        while let Some(node) = stack.pop() {
            pace.spend(1 + csr.degree(node), 0, 1)?;
            for (other, weight) in csr.row(node) {
                let other = other as usize;
                if part[other] == u32::MAX && label[other] == label[node] && worth(weight) > 0.0 {
                    part[other] = start as u32;
                    stack.push(other);
                }
            }
        }
    }
    Ok(part)
}

impl Level {
    fn of(csr: &Csr, watch: &dyn Watch) -> Result<Self, AnalyticsError> {
        let (mut strength, mut pace) = (Vec::with_capacity(csr.node_count()), Pace::new(watch));
        for node in 0..csr.node_count() {
            pace.spend(1 + csr.degree(node), 0, 1)?;
            strength.push(csr.row(node).map(|(_, weight)| worth(weight)).sum());
        }
        watch.progress(0.0)?;
        let offset = csr.offset().iter().map(|start| *start as usize).collect();
        let edges = csr.half_edge_count();
        let (mut neighbour, mut weight) = (Vec::with_capacity(edges), Vec::with_capacity(edges));
        for (others, weights) in csr.neighbour().chunks(WORK_PER_LOOK).zip(csr.weight().chunks(WORK_PER_LOOK)) {
            watch.progress(0.0)?;
            neighbour.extend_from_slice(others);
            weight.extend(weights.iter().map(|weight| worth(*weight)));
        }
        Ok(Self { offset, neighbour, weight, strength })
    }

    fn nodes(&self) -> usize {
        self.strength.len()
    }

    fn degree(&self, node: usize) -> usize {
        self.offset[node + 1] - self.offset[node]
    }

    /// Other ends of a node's edges with their weights. A set has no edge to itself: what lies within it is in its
    /// strength alone, and moves with it.
    fn row(&self, node: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let bounds = self.offset[node]..self.offset[node + 1];
        effort::spend(bounds.len());
        self.neighbour[bounds.clone()].iter().map(|other| *other as usize).zip(self.weight[bounds].iter().copied())
    }

    /// Moves nodes to the community with the largest gain until no move gains anything; whether any moved.
    fn move_nodes(
        &self,
        community: &mut [u32],
        scale: &Scale,
        random: &mut Random,
        watch: &dyn Watch,
    ) -> Result<bool, AnalyticsError> {
        let (nodes, Scale { density, gain_min, .. }) = (self.nodes(), *scale);
        watch.progress(0.0)?;
        let mut strength = vec![0f64; nodes];
        let mut members = vec![0u32; nodes];
        for node in 0..nodes {
            strength[community[node] as usize] += self.strength[node];
            members[community[node] as usize] += 1;
        }
        let mut empty: Vec<u32> = (0..nodes as u32).rev().filter(|label| members[*label as usize] == 0).collect();
        watch.progress(0.0)?;
        let mut order: Vec<u32> = (0..nodes as u32).collect();
        random.shuffle(&mut order);
        let mut pace = Pace::new(watch);
        let mut queue = VecDeque::from(order);
        let mut queued = vec![true; nodes];
        let mut tally = Tally::new(nodes);
        let mut moved = false;
        while let Some(node) = queue.pop_front() {
            let node = node as usize;
            queued[node] = false;
            pace.spend(1 + 2 * self.degree(node), 0, 1)?;
            let own = community[node];
            for (other, weight) in self.row(node) {
                tally.add(community[other], weight);
            }
            // As if the node stood alone.
            strength[own as usize] -= self.strength[node];
            let gain = |label: u32, tally: &Tally| {
                tally.weight(label) - density * self.strength[node] * strength[label as usize]
            };
            let (mut chosen, mut most) = (own, gain(own, &tally));
            for candidate in tally.labels() {
                let gain = gain(candidate, &tally);
                if gain > most + gain_min {
                    (chosen, most) = (candidate, gain);
                }
            }
            // Alone the gain is 0.
            if most < -gain_min && members[own as usize] > 1 {
                chosen = empty.pop().unwrap_or(own);
            }
            tally.clear();
            strength[chosen as usize] += self.strength[node];
            if chosen == own {
                continue;
            }
            moved = true;
            members[chosen as usize] += 1;
            members[own as usize] -= 1;
            if members[own as usize] == 0 {
                strength[own as usize] = 0.0;
                empty.push(own);
            }
            community[node] = chosen;
            for (other, _) in self.row(node) {
                if community[other] != chosen && !std::mem::replace(&mut queued[other], true) {
                    queue.push_back(other as u32);
                }
            }
        }
        Ok(moved)
    }

    /// Divides every community again, from single nodes, by merges within it that do not lower modularity and join only
    /// what is well connected to the rest of the community. Parts are connected.
    fn refine(
        &self,
        community: &[u32],
        scale: &Scale,
        random: &mut Random,
        watch: &dyn Watch,
    ) -> Result<Vec<u32>, AnalyticsError> {
        let (nodes, density) = (self.nodes(), scale.density);
        watch.progress(0.0)?;
        let mut order: Vec<u32> = (0..nodes as u32).collect();
        random.shuffle(&mut order);
        let mut open = Vec::new();
        let mut whole = vec![0f64; nodes];
        for node in 0..nodes {
            whole[community[node] as usize] += self.strength[node];
        }
        let mut part: Vec<u32> = (0..nodes as u32).collect();
        let mut strength = self.strength.clone();
        // Weight between each part and the rest of its community.
        let mut outward: Vec<f64> = Vec::with_capacity(nodes);
        let mut pace = Pace::new(watch);
        for node in 0..nodes {
            pace.spend(1 + self.degree(node), 0, 1)?;
            let within = self.row(node).filter(|(other, _)| community[*other] == community[node]);
            outward.push(within.map(|(_, weight)| weight).sum());
        }
        let mut single = vec![true; nodes];
        let mut tally = Tally::new(nodes);
        for node in order.into_iter().map(|node| node as usize) {
            pace.spend(1 + self.degree(node), 0, 1)?;
            let rest = |strength: f64| whole[community[node] as usize] - strength;
            let well = |outward: f64, strength: f64| outward >= density * strength * rest(strength) * (1.0 - 1e-9);
            let own = self.strength[node];
            if !single[node] || !well(outward[node], own) {
                continue;
            }
            for (other, weight) in self.row(node) {
                if community[other] == community[node] {
                    tally.add(part[other], weight);
                }
            }
            open.clear();
            for candidate in tally.labels().filter(|label| tally.weight(*label) > 0.0) {
                let at = candidate as usize;
                let gain = tally.weight(candidate) - density * own * strength[at];
                if gain >= 0.0 && well(outward[at], strength[at]) {
                    open.push((candidate, gain));
                }
            }
            if let Some(label) = draw(&open, scale.spread, random) {
                let at = label as usize;
                outward[at] += outward[node] - 2.0 * tally.weight(label);
                strength[at] += own;
                part[node] = label;
                // The node that gave the part its name stays in it, too.
                single[node] = false;
                single[at] = false;
            }
            tally.clear();
        }
        Ok(part)
    }

    /// The level whose nodes are the sets `place` says, `[nodes]`, below `sets`.
    fn merge(&self, place: &[u32], sets: usize, watch: &dyn Watch) -> Result<Self, AnalyticsError> {
        watch.progress(0.0)?;
        let mut start = vec![0usize; sets + 1];
        place.iter().for_each(|at| start[*at as usize + 1] += 1);
        for at in 0..sets {
            start[at + 1] += start[at];
        }
        let mut members = vec![0u32; place.len()];
        let mut next = start.clone();
        for (node, at) in place.iter().enumerate() {
            members[next[*at as usize]] = node as u32;
            next[*at as usize] += 1;
        }
        let mut merged = Self { offset: vec![0], neighbour: Vec::new(), weight: Vec::new(), strength: vec![0.0; sets] };
        let (mut tally, mut pace) = (Tally::new(sets), Pace::new(watch));
        for at in 0..sets {
            for node in members[start[at]..start[at + 1]].iter().map(|node| *node as usize) {
                pace.spend(1 + self.degree(node), 0, 1)?;
                merged.strength[at] += self.strength[node];
                for (other, weight) in self.row(node).filter(|(other, _)| place[*other] as usize != at) {
                    tally.add(place[other], weight);
                }
            }
            for other in tally.labels() {
                merged.neighbour.push(other);
                merged.weight.push(tally.weight(other));
            }
            tally.clear();
            merged.offset.push(merged.neighbour.len());
        }
        Ok(merged)
    }
}
