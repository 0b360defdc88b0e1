//! The far field: a linear octree (quadtree in the plane) over Morton-sorted points, walked once per group.
//!
//! A cell holds a run of the sorted points. It has the mass, centre of mass and tight box of those points, and acts
//! as one source on a group of targets that is far enough away. Every inner cell has at least two children, so there
//! are fewer than two cells a point; runs of equal keys are halved, so coincident points end in leaves too.

#![allow(clippy::indexing_slicing, reason = "runs are ranges of the sorted points, links point into `cells`")]

use super::morton::{KEY_BITS, MortonSorter};
use super::pairs::{Law, Sources};
use crate::sim::Dimensions;

/// Points up to which a cell is not divided.
const LEAF_POINTS_MAX: usize = 16;

/// Points that share a list of sources.
const GROUP_POINTS_MAX: usize = 96;

/// How line-like the points of a cell must be for [`LINE_SIZE`] to apply, see [`Run::is_line`].
const LINE_SHARE: f64 = 0.9;

/// What the length of a line of points is multiplied with.
const LINE_SIZE: f32 = 2.5;

/// A run of sorted points as one source.
#[derive(Clone, Copy, Debug)]
struct Cell {
    centre: [f32; 3],
    mass: f32,
    /// Squared distance from which it acts as one.
    open2: f32,
    /// No point of it is farther from the centre.
    radius: f32,
    /// Sum of the masses times the squared distances from the centre.
    spread: f32,
    start: u32,
    end: u32,
    /// The cell after its last descendant; its own first child, if it has any, is the next cell.
    skip: u32,
    is_leaf: bool,
}

/// What acts on one group.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Cells far enough to act as one.
    pub(super) cells: Sources,
    /// Nodes that are not.
    pub(super) nodes: Sources,
}

impl List {
    /// Room for whatever a tree of `capacity` points may give.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { cells: Sources::with_capacity(capacity), nodes: Sources::with_capacity(capacity) }
    }

    /// Bytes held for `capacity` points.
    pub(super) const fn footprint(capacity: usize) -> usize {
        2 * Sources::footprint(capacity)
    }
}

/// A box with sides along the axes.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    low: [f32; 3],
    high: [f32; 3],
}

impl Bounds {
    const EMPTY: Self = Self { low: [f32::INFINITY; 3], high: [f32::NEG_INFINITY; 3] };

    fn add(&mut self, point: [f32; 3]) {
        for (axis, value) in point.into_iter().enumerate() {
            self.low[axis] = self.low[axis].min(value);
            self.high[axis] = self.high[axis].max(value);
        }
    }

    fn join(&mut self, other: &Self) {
        for axis in 0..3 {
            self.low[axis] = self.low[axis].min(other.low[axis]);
            self.high[axis] = self.high[axis].max(other.high[axis]);
        }
    }

    fn of(points: &Sources, start: usize, end: usize) -> Self {
        let mut bounds = Self::EMPTY;
        (start..end).for_each(|rank| bounds.add(points.at(rank)));
        bounds
    }

    fn longest_side(&self) -> f32 {
        (0..3).map(|axis| self.high[axis] - self.low[axis]).fold(0.0, f32::max)
    }

    /// Squared distance from the nearest place of the box to `point`; 0 inside.
    fn nearest2(&self, point: [f32; 3]) -> f32 {
        let gap = |axis: usize| (self.low[axis] - point[axis]).max(point[axis] - self.high[axis]).max(0.0);
        gap(0) * gap(0) + gap(1) * gap(1) + gap(2) * gap(2)
    }

    /// Squared distance from the farthest corner of the box to `point`.
    fn farthest2(&self, point: [f32; 3]) -> f32 {
        let gap = |axis: usize| (point[axis] - self.low[axis]).max(self.high[axis] - point[axis]);
        gap(0) * gap(0) + gap(1) * gap(1) + gap(2) * gap(2)
    }
}

/// Sums over a run, in double precision: a small cell far from the origin would lose its spread in single.
struct Run {
    bounds: Bounds,
    centre: [f64; 3],
    mass: f64,
    spread: Spread,
}

/// Masses times products of the offsets from the centre: xx, yy, zz, xy, xz, yz.
type Spread = [f64; 6];

impl Run {
    const EMPTY: Self = Self { bounds: Bounds::EMPTY, centre: [0.0; 3], mass: 0.0, spread: [0.0; 6] };

    /// Adds a mass with its own spread. Source: the parallel axis theorem, pairwise (Chan et al. 1979).
    fn add(&mut self, centre: [f64; 3], mass: f64, spread: Spread) {
        let share = mass / (self.mass + mass);
        let [x, y, z] = [0, 1, 2].map(|axis| centre[axis] - self.centre[axis]);
        for (total, apart) in self.centre.iter_mut().zip([x, y, z]) {
            *total += apart * share;
        }
        let between = self.mass * share;
        for ((total, own), product) in
            self.spread.iter_mut().zip(spread).zip([x * x, y * y, z * z, x * y, x * z, y * z])
        {
            *total += own + between * product;
        }
        self.mass += mass;
    }

    /// Mass times mean squared distance from the centre.
    fn trace(&self) -> f64 {
        self.spread[0] + self.spread[1] + self.spread[2]
    }

    /// Whether the points lie along a line rather than fill a plane or space: the squares of the spread's principal
    /// parts add up to 1 of the squared whole on a line, 1/2 in an even plane, 1/3 in even space.
    fn is_line(&self) -> bool {
        let [xx, yy, zz, xy, xz, yz] = self.spread;
        let squares = xx * xx + yy * yy + zz * zz + 2.0 * (xy * xy + xz * xz + yz * yz);
        squares > LINE_SHARE * self.trace() * self.trace()
    }
}

/// The tree of one step. Rebuilt whole; its vectors keep their capacity.
#[derive(Debug, Default)]
pub(super) struct Tree {
    cells: Vec<Cell>,
    /// Runs of points that share a list, in order, without gaps.
    groups: Vec<(u32, u32)>,
}

/// What building needs at every depth.
struct Builder<'a> {
    tree: &'a mut Tree,
    sorter: &'a MortonSorter,
    points: &'a Sources,
    /// Key bits a level takes.
    fan_bits: u32,
    theta: f32,
}

impl Tree {
    /// Room for `capacity` points.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { cells: Vec::with_capacity(2 * capacity), groups: Vec::with_capacity(capacity) }
    }

    /// Bytes held for `capacity` points.
    pub(super) const fn footprint(capacity: usize) -> usize {
        capacity * (2 * size_of::<Cell>() + size_of::<(u32, u32)>())
    }

    /// Runs of points that share a list.
    pub(super) fn groups(&self) -> &[(u32, u32)] {
        &self.groups
    }

    /// Builds the tree of `points`, which stand in the order of `sorter`. O(n), no allocation within capacity.
    pub(super) fn build(&mut self, sorter: &MortonSorter, points: &Sources, dimensions: Dimensions, theta: f32) {
        self.cells.clear();
        self.groups.clear();
        let fan_bits = if dimensions == Dimensions::Two { 2 } else { 3 };
        if points.len() > 0 {
            let mut builder = Builder { tree: self, sorter, points, fan_bits, theta };
            builder.cell(0, points.len(), false);
        }
        debug_assert!(self.cells.len() <= 2 * points.len() && self.groups.len() <= points.len());
    }

    /// Fills `list` with all that acts on the points `start..end`: cells as one source each where they are far
    /// enough, points where not. The points themselves are in it. At most one entry a point of the tree in each half.
    pub(super) fn list<const CUTOFF: bool>(
        &self,
        points: &Sources,
        (start, end): (u32, u32),
        law: &Law,
        list: &mut List,
    ) {
        list.cells.clear();
        list.nodes.clear();
        let group = Bounds::of(points, start as usize, end as usize);
        let mut next = 0;
        while let Some(cell) = self.cells.get(next) {
            let holds_group = cell.start < end && start < cell.end;
            let mut far = !holds_group && group.nearest2(cell.centre) >= cell.open2;
            if CUTOFF && !holds_group {
                let nearest = group.nearest2(cell.centre).sqrt() - cell.radius;
                if nearest > law.cutoff {
                    next = cell.skip as usize;
                    continue;
                }
                // Where the cutoff runs through a cell, its points are taken one by one.
                far &= group.farthest2(cell.centre).sqrt() + cell.radius <= law.cutoff;
            }
            if far {
                list.cells.push(cell.centre, cell.mass, cell.spread);
                next = cell.skip as usize;
            } else if cell.is_leaf {
                list.nodes.push_range(points, cell.start as usize, cell.end as usize);
                next = cell.skip as usize;
            } else {
                next += 1;
            }
        }
        list.cells.pad();
        list.nodes.pad();
    }
}

impl Builder<'_> {
    /// Appends the cell of `start..end` and all below it. Depth is at most the levels of a key plus the halvings of
    /// a run of equal keys: under 45. `grouped` says that a cell above is a group already.
    fn cell(&mut self, start: usize, end: usize, grouped: bool) -> Run {
        let index = self.tree.cells.len();
        let is_leaf = end - start <= LEAF_POINTS_MAX;
        let is_group = !grouped && end - start <= GROUP_POINTS_MAX;
        if is_group {
            self.tree.groups.push((start as u32, end as u32));
        }
        self.tree.cells.push(Cell {
            centre: [0.0; 3],
            mass: 0.0,
            open2: 0.0,
            radius: 0.0,
            spread: 0.0,
            start: start as u32,
            end: end as u32,
            skip: 0,
            is_leaf,
        });
        let run = if is_leaf { self.leaf(start, end) } else { self.children(start, end, grouped || is_group) };
        let centre = run.centre.map(|axis| axis as f32);
        let radius2 = run.bounds.farthest2(centre);
        let skip = self.tree.cells.len() as u32;
        let cell = &mut self.tree.cells[index];
        cell.centre = centre;
        cell.mass = run.mass as f32;
        cell.radius = radius2.sqrt();
        cell.spread = run.trace() as f32;
        cell.open2 = open2(radius2, &run, self.theta);
        cell.skip = skip;
        run
    }

    fn leaf(&self, start: usize, end: usize) -> Run {
        let mut run = Run::EMPTY;
        for rank in start..end {
            let point = self.points.at(rank);
            run.bounds.add(point);
            run.add(point.map(f64::from), f64::from(self.points.mass[rank]), [0.0; 6]);
        }
        run
    }

    fn children(&mut self, start: usize, end: usize, grouped: bool) -> Run {
        let differing = self.sorter.key(start) ^ self.sorter.key(end - 1);
        let mut run = Run::EMPTY;
        let mut from = start;
        while from < end {
            let to = if differing == 0 {
                if from == start { start + (end - start) / 2 } else { end }
            } else {
                // Levels at which all keys agree are skipped: the digit below is the first in which they differ.
                let shift = (u32::BITS - 1 - differing.leading_zeros()) / self.fan_bits * self.fan_bits;
                self.digit_end(from, end, shift)
            };
            let child = self.cell(from, to, grouped);
            run.bounds.join(&child.bounds);
            run.add(child.centre, child.mass, child.spread);
            from = to;
        }
        run
    }

    /// Rank after the last point from `from` on whose key begins like that of `from`.
    fn digit_end(&self, from: usize, end: usize, shift: u32) -> usize {
        let digit = self.sorter.key(from) >> shift;
        let (mut same, mut other) = (from, end);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if self.sorter.key(middle) >> shift == digit {
                same = middle;
            } else {
                other = middle;
            }
        }
        other
    }
}

/// Squared distance from which a cell acts as one at `theta`: its size over `theta`. The size is the longest side of
/// its box, or the side of the cube that its radius fills, whichever is larger: a line of points is as large as it is
/// long, and a cell with a few stray points as large as they are far. Points along a line count as [`LINE_SIZE`]
/// times their length, as the correction for their spread, even in all directions, is wrong for them.
fn open2(radius2: f32, run: &Run, theta: f32) -> f32 {
    const UNIT_CUBE_RADIUS2: f32 = 0.75;
    let side = run.bounds.longest_side() * if run.is_line() { LINE_SIZE } else { 1.0 };
    let size2 = (radius2 / UNIT_CUBE_RADIUS2).max(side * side);
    if size2 == 0.0 {
        // One place: exact at any distance and any setting.
        0.0
    } else {
        size2 / (theta * theta)
    }
}

const _: () = assert!(KEY_BITS <= u32::BITS - 2, "a shift by all key bits stays within the word");
