//! DBSCAN on positions: clusters of any shape, and noise.
#![allow(clippy::indexing_slicing, reason = "cells, points and labels index tables made for them")]

use std::collections::HashMap;

use super::error::{all_finite, in_range};
use super::spatial::squared;
use super::watch::{Pace, Phase, every};
use super::{AnalyticsError, Watch};

/// The cluster of a position that belongs to none.
pub const NOISE: u32 = u32::MAX;

/// Points between two reports.
const POINTS_PER_REPORT: usize = 256;

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

/// Numbers by row, in one piece: a million small vectors take longer to free than a cancelled job may.
#[derive(Default)]
struct Rows {
    /// Where each row ends.
    end: Vec<usize>,
    of: Vec<u32>,
}

impl Rows {
    fn row(&self, row: usize) -> &[u32] {
        let start = if row == 0 { 0 } else { self.end[row - 1] };
        &self.of[start..self.end[row]]
    }

    fn count(&self) -> usize {
        self.end.len()
    }

    fn end_row(&mut self) {
        self.end.push(self.of.len());
    }
}

/// A grid whose cells are so small that all positions of one are neighbours.
struct Grid<'a> {
    points: &'a [[f32; 3]],
    limit: f64,
    /// Members of every cell, in the order of their indices.
    members: Rows,
    /// Cells that can hold neighbours of a cell's positions, itself among them.
    near: Rows,
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
        // Room for all: to move a million entries into a larger table would be a long time without a look.
        let mut ids: HashMap<[i64; 3], u32> = HashMap::with_capacity(points.len());
        let mut cell_of = Vec::with_capacity(points.len());
        let (mut places, mut size) = (Vec::new(), Vec::new());
        for (at, point) in points.iter().enumerate() {
            every(POINTS_PER_REPORT, at, 2 * points.len(), watch)?;
            let place = point.map(|axis| (f64::from(axis) / side).floor() as i64);
            let cell = *ids.entry(place).or_insert_with(|| {
                places.push(place);
                size.push(0);
                (places.len() - 1) as u32
            });
            size[cell as usize] += 1;
            cell_of.push(cell);
        }
        watch.progress(0.5)?;
        let mut members = Rows { end: Vec::with_capacity(size.len()), of: vec![0; points.len()] };
        let mut next = 0;
        for size in &size {
            // Where the row begins, until its members have pushed that to where it ends.
            members.end.push(next);
            next += size;
        }
        for (at, cell) in (0..).zip(&cell_of) {
            let end = &mut members.end[*cell as usize];
            members.of[*end] = at;
            *end += 1;
        }
        let mut near = Rows::default();
        for (at, place) in places.iter().enumerate() {
            every(POINTS_PER_REPORT, places.len() + at, 2 * places.len(), watch)?;
            let steps = (0..125).map(|step: i64| [step / 25 - 2, step / 5 % 5 - 2, step % 5 - 2]);
            let around = steps.map(|step| [0, 1, 2].map(|axis| place[axis].saturating_add(step[axis])));
            near.of.extend(around.filter_map(|place| ids.get(&place).copied()));
            near.end_row();
        }
        Ok(Self { points, limit: radius * radius, members, near, cell_of })
    }

    /// How many of `others` are neighbours of `at`, counted no further than `most`. Others that are not `wanted` do not count.
    fn count(
        &self,
        at: u32,
        others: &[u32],
        most: usize,
        wanted: impl Fn(u32) -> bool,
        pace: &mut Pace<'_>,
        part: (usize, usize),
    ) -> Result<usize, AnalyticsError> {
        let mut count = 0;
        for piece in others.chunks(POINTS_PER_REPORT) {
            let found = piece.iter().filter(|other| wanted(**other) && self.neighbours(at, **other));
            count += found.take(most - count).count();
            pace.spend(piece.len(), part.0, part.1)?;
            if count >= most {
                break;
            }
        }
        Ok(count)
    }

    fn point(&self, at: u32) -> [f64; 3] {
        self.points[at as usize].map(f64::from)
    }

    fn neighbours(&self, a: u32, b: u32) -> bool {
        squared(self.point(a), self.point(b)) <= self.limit
    }

    /// Which positions are cores.
    fn cores(&self, neighbours_min: usize, watch: &dyn Watch) -> Result<Vec<bool>, AnalyticsError> {
        let nodes = self.points.len();
        let (mut core, mut pace) = (vec![false; nodes], Pace::new(watch));
        for (at, core) in core.iter_mut().enumerate() {
            pace.spend(1, at, nodes)?;
            let cell = self.cell_of[at] as usize;
            let mut count = self.members.row(cell).len();
            for other in self.near.row(cell) {
                if count >= neighbours_min {
                    break;
                }
                if *other as usize != cell {
                    let members = self.members.row(*other as usize);
                    count +=
                        self.count(at as u32, members, neighbours_min - count, |_| true, &mut pace, (at, nodes))?;
                }
            }
            *core = count >= neighbours_min;
        }
        Ok(core)
    }

    /// The cluster of every cell that has a core, numbered by the lowest core; [`NOISE`] for the others.
    fn join(&self, core: &[bool], watch: &dyn Watch) -> Result<Vec<u32>, AnalyticsError> {
        let cells = self.members.count();
        let (mut cores, mut pace) = (Rows::default(), Pace::new(watch));
        for cell in 0..cells {
            let members = self.members.row(cell);
            pace.spend(1 + members.len(), 0, 1)?;
            cores.of.extend(members.iter().copied().filter(|member| core[*member as usize]));
            cores.end_row();
        }
        let mut cluster = vec![NOISE; cells];
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
                pace.spend(1 + self.near.row(cell).len(), done, cells)?;
                done += 1;
                for other in self.near.row(cell).iter().map(|other| *other as usize) {
                    if cluster[other] == NOISE
                        && self.touch(cores.row(cell), cores.row(other), &mut pace, (done, cells))?
                    {
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
    fn touch(&self, a: &[u32], b: &[u32], pace: &mut Pace<'_>, part: (usize, usize)) -> Result<bool, AnalyticsError> {
        let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        for one in few {
            if self.count(*one, many, 1, |_| true, pace, part)? > 0 {
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
        let mut pace = Pace::new(watch);
        for (at, is_core) in core.iter().enumerate() {
            pace.spend(1, at, core.len())?;
            let cell = self.cell_of[at] as usize;
            let label = match is_core {
                true => cluster_of_cell[cell],
                false => self.rim(at, cell, core, cluster_of_cell, &mut pace)?,
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
    fn rim(
        &self,
        at: usize,
        cell: usize,
        core: &[bool],
        cluster_of_cell: &[u32],
        pace: &mut Pace<'_>,
    ) -> Result<u32, AnalyticsError> {
        let (mut lowest, part) = (NOISE, (at, core.len()));
        for other in self.near.row(cell) {
            let label = cluster_of_cell[*other as usize];
            let members = self.members.row(*other as usize);
            let is_core = |member: u32| core[member as usize];
            if label < lowest && self.count(at as u32, members, 1, is_core, pace, part)? > 0 {
                lowest = label;
            }
        }
        Ok(lowest)
    }
}
