//! DBSCAN on positions: clusters of any shape, and noise.
#![allow(clippy::indexing_slicing, reason = "cells, points and labels index tables made for them")]

use std::collections::HashMap;

use super::error::{all_finite, in_range};
use super::spatial::squared;
use super::watch::{Phase, every};
use super::{AnalyticsError, Watch};

/// The cluster of a position that belongs to none.
pub const NOISE: u32 = u32::MAX;

/// Points between two reports.
const POINTS_PER_REPORT: usize = 256;

/// Distances between two reports, where two crowded cells are compared.
const DISTANCES_PER_REPORT: usize = 1 << 20;

/// What a cluster is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DbscanOptions {
    /// Two positions at most this far apart are neighbours, world units, above 0, up to 1e9.
    pub radius: f64,
    /// Neighbours that make a position a core, itself among them, 1 to 1,000,000.
    pub neighbours_min: usize,
}

impl Default for DbscanOptions {
    fn default() -> Self {
        Self { radius: 150.0, neighbours_min: 5 }
    }
}

/// Clusters by density.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Density {
    /// `[node_count]`: from 0 in the order of each cluster's lowest core, or [`NOISE`]. A position at the rim of several
    /// clusters is of the lowest.
    pub cluster: Vec<u32>,
    /// Nodes of every cluster.
    pub size: Vec<u32>,
    /// Nodes of none.
    pub noise: usize,
    /// Nodes that are cores.
    pub cores: usize,
}

/// A grid whose cells are so small that all positions of one are neighbours.
struct Grid<'a> {
    points: &'a [[f32; 3]],
    limit: f64,
    /// Members of every cell, in the order of their indices.
    members: Vec<Vec<u32>>,
    /// Cells that can hold neighbours of a cell's positions, itself among them.
    near: Vec<Vec<u32>>,
    cell_of: Vec<u32>,
}

/// Exact DBSCAN. Expected O(nodes) for a radius that holds few nodes; positions in one place cost no more.
/// Source: Ester et al. 1996; cells as in Gunawan 2013.
///
/// # Errors
/// [`AnalyticsError::Range`], [`AnalyticsError::NotFinite`], [`AnalyticsError::Stopped`].
pub fn dbscan(positions: &[[f32; 3]], options: &DbscanOptions, watch: &dyn Watch) -> Result<Density, AnalyticsError> {
    in_range("radius", options.radius, f64::MIN_POSITIVE, 1e9)?;
    in_range("neighbours_min", options.neighbours_min as f64, 1.0, 1e6)?;
    all_finite(positions)?;
    // Beyond 2^50 cells from the middle of the world a cell's number would be rounded.
    let farthest = positions.iter().flatten().fold(0.0, |most: f32, axis| most.max(axis.abs()));
    in_range("radius", options.radius, f64::from(farthest) / (1u64 << 49) as f64, 1e9)?;
    let grid = Grid::new(positions, options.radius, &Phase::new(watch, 0.0, 0.3))?;
    let core = grid.cores(options.neighbours_min, &Phase::new(watch, 0.3, 0.6))?;
    let cluster_of_cell = grid.join(&core, &Phase::new(watch, 0.6, 0.9))?;
    grid.label(&core, &cluster_of_cell, &Phase::new(watch, 0.9, 1.0))
}

impl<'a> Grid<'a> {
    fn new(points: &'a [[f32; 3]], radius: f64, watch: &dyn Watch) -> Result<Self, AnalyticsError> {
        // A little less than radius / sqrt(3), so that rounding never puts two that are farther apart in one cell.
        let side = radius / 3f64.sqrt() * (1.0 - 1e-9);
        let mut ids: HashMap<[i64; 3], u32> = HashMap::new();
        let mut members: Vec<Vec<u32>> = Vec::new();
        let mut cell_of = Vec::with_capacity(points.len());
        let mut places = Vec::new();
        for (at, point) in points.iter().enumerate() {
            every(POINTS_PER_REPORT, at, 2 * points.len(), watch)?;
            let place = point.map(|axis| (f64::from(axis) / side).floor() as i64);
            let cell = *ids.entry(place).or_insert_with(|| {
                members.push(Vec::new());
                places.push(place);
                (members.len() - 1) as u32
            });
            members[cell as usize].push(at as u32);
            cell_of.push(cell);
        }
        let mut near = Vec::with_capacity(places.len());
        for (at, place) in places.iter().enumerate() {
            every(POINTS_PER_REPORT, places.len() + at, 2 * places.len(), watch)?;
            let steps = (0..125).map(|step: i64| [step / 25 - 2, step / 5 % 5 - 2, step % 5 - 2]);
            let around = steps.map(|step| [0, 1, 2].map(|axis| place[axis].saturating_add(step[axis])));
            near.push(around.filter_map(|place| ids.get(&place).copied()).collect());
        }
        Ok(Self { points, limit: radius * radius, members, near, cell_of })
    }

    fn point(&self, at: u32) -> [f64; 3] {
        self.points[at as usize].map(f64::from)
    }

    fn neighbours(&self, a: u32, b: u32) -> bool {
        squared(self.point(a), self.point(b)) <= self.limit
    }

    /// Which positions are cores.
    fn cores(&self, neighbours_min: usize, watch: &dyn Watch) -> Result<Vec<bool>, AnalyticsError> {
        let mut core = vec![false; self.points.len()];
        for (at, core) in core.iter_mut().enumerate() {
            every(POINTS_PER_REPORT, at, self.points.len(), watch)?;
            let cell = self.cell_of[at] as usize;
            let mut count = self.members[cell].len();
            for other in &self.near[cell] {
                if count >= neighbours_min {
                    break;
                }
                if *other as usize != cell {
                    let missing = neighbours_min - count;
                    let members = self.members[*other as usize].iter();
                    count += members.filter(|other| self.neighbours(at as u32, **other)).take(missing).count();
                }
            }
            *core = count >= neighbours_min;
        }
        Ok(core)
    }

    /// The cluster of every cell that has a core, numbered by the lowest core; [`NOISE`] for the others.
    fn join(&self, core: &[bool], watch: &dyn Watch) -> Result<Vec<u32>, AnalyticsError> {
        let cores: Vec<Vec<u32>> = self
            .members
            .iter()
            .map(|members| members.iter().copied().filter(|member| core[*member as usize]).collect())
            .collect();
        let mut cluster = vec![NOISE; cores.len()];
        let (mut next, mut done, mut stack) = (0, 0, Vec::new());
        // Cells stand in the order of their lowest member, but not of their lowest core.
        for at in (0..core.len()).filter(|at| core[*at]) {
            let start = self.cell_of[at] as usize;
            if cluster[start] != NOISE {
                continue;
            }
            cluster[start] = next;
            stack.push(start);
            while let Some(cell) = stack.pop() {
                watch.progress(f64::from(done) / cores.len() as f64)?;
                done += 1;
                for other in self.near[cell].iter().map(|other| *other as usize) {
                    if cluster[other] == NOISE && self.touch(&cores[cell], &cores[other], watch, done, cores.len())? {
                        cluster[other] = next;
                        stack.push(other);
                    }
                }
            }
            next += 1;
        }
        Ok(cluster)
    }

    /// Whether a core of one cell is a neighbour of a core of the other.
    fn touch(&self, a: &[u32], b: &[u32], watch: &dyn Watch, done: u32, total: usize) -> Result<bool, AnalyticsError> {
        let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        let per_report = (DISTANCES_PER_REPORT / many.len().max(1)).max(1);
        for (at, one) in few.iter().enumerate() {
            if at % per_report == per_report - 1 {
                watch.progress(f64::from(done) / total as f64)?;
            }
            if many.iter().any(|other| self.neighbours(*one, *other)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn label(&self, core: &[bool], cluster_of_cell: &[u32], watch: &dyn Watch) -> Result<Density, AnalyticsError> {
        let clusters = cluster_of_cell.iter().filter(|label| **label != NOISE).max().map_or(0, |label| label + 1);
        let mut found = Density {
            cluster: Vec::with_capacity(core.len()),
            size: vec![0; clusters as usize],
            noise: 0,
            cores: core.iter().filter(|core| **core).count(),
        };
        for (at, is_core) in core.iter().enumerate() {
            every(POINTS_PER_REPORT, at, core.len(), watch)?;
            let cell = self.cell_of[at] as usize;
            let label = match is_core {
                true => cluster_of_cell[cell],
                false => self.rim(at as u32, cell, core, cluster_of_cell),
            };
            found.cluster.push(label);
            match found.size.get_mut(label as usize) {
                Some(size) => *size += 1,
                None => found.noise += 1,
            }
        }
        watch.progress(1.0)?;
        Ok(found)
    }

    /// The lowest cluster with a core next to `at`.
    fn rim(&self, at: u32, cell: usize, core: &[bool], cluster_of_cell: &[u32]) -> u32 {
        let mut lowest = NOISE;
        for other in &self.near[cell] {
            let label = cluster_of_cell[*other as usize];
            let mut members = self.members[*other as usize].iter();
            if label < lowest && members.any(|member| core[*member as usize] && self.neighbours(at, *member)) {
                lowest = label;
            }
        }
        lowest
    }
}
