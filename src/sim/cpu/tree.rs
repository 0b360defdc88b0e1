//! The far field: a linear octree (quadtree in the plane) over Morton-sorted points, walked once per group.
//!
//! A cell holds a run of the sorted points. It has the mass, centre of mass and tight box of those points, and acts
//! as one source on a group of targets that is far enough away. Every inner cell has at least two children, so there
//! are fewer than two cells a point; runs of equal keys are halved, so coincident points end in leaves too.

#![allow(clippy::indexing_slicing, reason = "runs are ranges of the sorted points, links point into `cells`")]

use super::morton::{KEY_BITS, MortonSorter};
use super::pairs::{Law, Sources, TARGETS_MAX};
use crate::sim::Dimensions;

/// Points up to which a cell is not divided.
const LEAF_POINTS_MAX: usize = 16;

/// Children of a cell.
const CHILDREN_MAX: usize = 8;

/// How line-like the points of a cell must be for [`LINE_SIZE`] to apply, see [`Run::is_line`].
const LINE_SHARE: f32 = 0.9;

/// What the size of a line of points is multiplied with: the correction for the spread of a cell, even in all directions, is wrong
/// for it.
const LINE_SIZE: f32 = 2.75;

/// How thin the points of a cell must be for [`SHEET_SIZE`] to apply, see [`Run::thinness`].
const SHEET_THINNESS: f32 = 0.2;

/// The same for a sheet of points in space, as a mesh is: 6.3 to 2.0 % error on one of 100 by 100 nodes, for a tenth more time.
const SHEET_SIZE: f32 = 1.5;

/// The same for every other cell in the plane, where it is nearer to most that it acts on.
const PLANE_SIZE: f32 = 1.1;

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

impl Cell {
    const EMPTY: Self = Self {
        centre: [0.0; 3],
        mass: 0.0,
        open2: 0.0,
        radius: 0.0,
        spread: 0.0,
        start: 0,
        end: 0,
        skip: 0,
        is_leaf: false,
    };
}

/// What acts on one group.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Cells far enough to act as one.
    pub(super) cells: Sources,
    /// Points that are not, as far as [`Self::take_nodes`] has been asked for them.
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

    /// Takes the points of the given runs of ranks.
    pub(super) fn take_nodes(&mut self, points: &Sources, runs: &[(u32, u32)]) {
        self.nodes.clear();
        for (start, end) in runs {
            self.nodes.push_range(points, *start as usize, *end as usize);
        }
        self.nodes.pad();
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

/// What a run of points is as one source.
#[derive(Clone, Copy, Debug)]
struct Run {
    bounds: Bounds,
    centre: [f32; 3],
    mass: f32,
    /// Masses times products of the offsets from the centre: xx, yy, zz, xy, xz, yz.
    spread: [f32; 6],
}

impl Run {
    const EMPTY: Self = Self { bounds: Bounds::EMPTY, centre: [0.0; 3], mass: 0.0, spread: [0.0; 6] };

    /// Joins parts, given twice in the same order: the offsets are taken from a centre that is known, as a small cell far
    /// from the origin would lose its spread otherwise. Source: the parallel axis theorem.
    fn of<'part>(parts: impl Iterator<Item = &'part Self> + Clone) -> Self {
        let mut run = Self::EMPTY;
        for part in parts.clone() {
            run.bounds.join(&part.bounds);
            run.mass += part.mass;
            (0..3).for_each(|axis| run.centre[axis] += part.mass * part.centre[axis]);
        }
        run.centre = run.centre.map(|axis| axis / run.mass);
        for part in parts {
            let own = part.spread;
            run.add_spread(part.centre, part.mass);
            (0..6).for_each(|product| run.spread[product] += own[product]);
        }
        run
    }

    fn of_points(points: &Sources, start: usize, end: usize) -> Self {
        let mut run = Self::EMPTY;
        for rank in start..end {
            let (point, mass) = (points.at(rank), points.mass[rank]);
            run.bounds.add(point);
            run.mass += mass;
            (0..3).for_each(|axis| run.centre[axis] += mass * point[axis]);
        }
        run.centre = run.centre.map(|axis| axis / run.mass);
        (start..end).for_each(|rank| run.add_spread(points.at(rank), points.mass[rank]));
        run
    }

    fn add_spread(&mut self, at: [f32; 3], mass: f32) {
        let [x, y, z] = [0, 1, 2].map(|axis| at[axis] - self.centre[axis]);
        for (total, product) in self.spread.iter_mut().zip([x * x, y * y, z * z, x * y, x * z, y * z]) {
            *total += mass * product;
        }
    }

    /// Mass times mean squared distance from the centre.
    fn trace(&self) -> f32 {
        self.spread[0] + self.spread[1] + self.spread[2]
    }

    /// Whether the points lie along a line rather than fill a plane or space: the squares of the spread's principal
    /// parts add up to 1 of the squared whole on a line, 1/2 in an even plane, 1/3 in even space.
    fn is_line(&self) -> bool {
        let trace = self.trace();
        let scale = if trace > 0.0 { 1.0 / trace } else { 0.0 };
        let [xx, yy, zz, xy, xz, yz] = self.spread.map(|product| product * scale);
        xx * xx + yy * yy + zz * zz + 2.0 * (xy * xy + xz * xz + yz * yz) > LINE_SHARE
    }

    /// 1 for points spread evenly in space, 0 for those in a plane: 27 times the product of the spread's principal parts, over the
    /// cube of the whole.
    fn thinness(&self) -> f32 {
        let trace = self.trace();
        let scale = if trace > 0.0 { 3.0 / trace } else { 0.0 };
        let [xx, yy, zz, xy, xz, yz] = self.spread.map(|product| product * scale);
        xx * (yy * zz - yz * yz) - xy * (xy * zz - xz * yz) + xz * (xy * yz - yy * xz)
    }
}

/// Points that share a list, and the cell that holds them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) start: u32,
    pub(super) end: u32,
    cell: u32,
}

/// The tree of some steps: [`Self::build`] finds which points a cell holds, [`Self::refit`] where they are by now. Its
/// vectors keep their capacity.
#[derive(Debug, Default)]
pub(super) struct Tree {
    cells: Vec<Cell>,
    /// Of each cell.
    runs: Vec<Run>,
    /// In order, without gaps.
    groups: Vec<Group>,
    /// All points lie in the plane.
    flat: bool,
}

/// What building needs at every depth.
struct Builder<'a> {
    tree: &'a mut Tree,
    sorter: &'a MortonSorter,
    /// Key bits a level takes.
    fan_bits: u32,
}

impl Tree {
    /// Room for `capacity` points.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            cells: Vec::with_capacity(2 * capacity),
            runs: Vec::with_capacity(2 * capacity),
            groups: Vec::with_capacity(capacity),
            flat: false,
        }
    }

    /// Bytes held for `capacity` points.
    pub(super) const fn footprint(capacity: usize) -> usize {
        capacity * (2 * size_of::<Cell>() + 2 * size_of::<Run>() + size_of::<Group>())
    }

    /// RMS distance of the points from their centre, as [`Self::refit`] found it.
    pub(super) fn rms_radius(&self) -> f32 {
        self.runs.first().map_or(0.0, |root| (root.trace() / root.mass).sqrt())
    }

    /// Runs of points that share a list.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Finds the cells of `count` points, which stand in the order of `sorter`; [`Self::refit`] must follow. O(n), no
    /// allocation within capacity.
    pub(super) fn build(&mut self, sorter: &MortonSorter, count: usize, dimensions: Dimensions) {
        self.cells.clear();
        self.groups.clear();
        self.flat = dimensions == Dimensions::Two;
        let fan_bits = if self.flat { 2 } else { 3 };
        if count > 0 {
            Builder { tree: self, sorter, fan_bits }.cell(0, count, false);
        }
        debug_assert!(self.cells.len() <= 2 * count && self.groups.len() <= count);
        self.runs.clear();
        self.runs.resize(self.cells.len(), Run::EMPTY);
    }

    /// Works out what every cell is as a source, for the same points wherever they have moved to. O(n).
    pub(super) fn refit(&mut self, points: &Sources, theta: f32) {
        for index in (0..self.cells.len()).rev() {
            let cell = self.cells[index];
            let run = if cell.is_leaf {
                Run::of_points(points, cell.start as usize, cell.end as usize)
            } else {
                let (cells, runs) = (&self.cells, &self.runs);
                let mut next = index + 1;
                let mut children = [index; CHILDREN_MAX];
                let mut count = 0;
                while next < cell.skip as usize {
                    children[count] = next;
                    count += 1;
                    next = cells[next].skip as usize;
                }
                Run::of(children[..count].iter().map(|child| &runs[*child]))
            };
            let radius2 = run.bounds.farthest2(run.centre);
            self.cells[index] = Cell {
                centre: run.centre,
                mass: run.mass,
                radius: radius2.sqrt(),
                spread: run.trace(),
                open2: open2(radius2, &run, theta, self.flat),
                ..cell
            };
            self.runs[index] = run;
        }
    }

    /// Finds all that acts on the points of `group`: cells as one source each where they are far enough, runs of ranks, appended
    /// to `near`, where not. The points themselves are in them. Each point is in one cell or one run at most.
    pub(super) fn list(&self, group: Group, law: &Law, cells: &mut Sources, near: &mut Vec<(u32, u32)>) {
        if law.cutoff.is_finite() {
            self.walk::<true>(group, law, cells, near);
        } else {
            self.walk::<false>(group, law, cells, near);
        }
    }

    fn walk<const CUTOFF: bool>(&self, group: Group, law: &Law, far_cells: &mut Sources, near: &mut Vec<(u32, u32)>) {
        far_cells.clear();
        let first = near.len();
        let (start, end) = (group.start, group.end);
        let group = self.runs[group.cell as usize].bounds;
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
                far_cells.push(cell.centre, cell.mass, cell.spread);
                next = cell.skip as usize;
            } else if cell.is_leaf {
                match near.get_mut(first..).and_then(<[_]>::last_mut) {
                    // Leaves side by side are one run.
                    Some(run) if run.1 == cell.start => run.1 = cell.end,
                    _ => near.push((cell.start, cell.end)),
                }
                next = cell.skip as usize;
            } else {
                next += 1;
            }
        }
        far_cells.pad();
    }
}

impl Builder<'_> {
    /// Appends the cell of `start..end` and all below it. Depth is at most the levels of a key plus the halvings of
    /// a run of equal keys: under 45. `grouped` says that a cell above is a group already.
    fn cell(&mut self, start: usize, end: usize, grouped: bool) {
        let index = self.tree.cells.len();
        let is_leaf = end - start <= LEAF_POINTS_MAX;
        let is_group = !grouped && end - start <= TARGETS_MAX;
        if is_group {
            self.tree.groups.push(Group { start: start as u32, end: end as u32, cell: index as u32 });
        }
        self.tree.cells.push(Cell { start: start as u32, end: end as u32, is_leaf, ..Cell::EMPTY });
        if !is_leaf {
            self.children(start, end, grouped || is_group);
        }
        self.tree.cells[index].skip = self.tree.cells.len() as u32;
    }

    fn children(&mut self, start: usize, end: usize, grouped: bool) {
        let differing = self.sorter.key(start) ^ self.sorter.key(end - 1);
        let mut from = start;
        while from < end {
            let to = if differing == 0 {
                if from == start { start + (end - start) / 2 } else { end }
            } else {
                // Levels at which all keys agree are skipped: the digit below is the first in which they differ.
                let shift = (u32::BITS - 1 - differing.leading_zeros()) / self.fan_bits * self.fan_bits;
                self.digit_end(from, end, shift)
            };
            self.cell(from, to, grouped);
            from = to;
        }
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

/// Squared distance from which a cell acts as one at `theta`: its size over `theta`. The size is the longest side of its box, or the
/// side of the cube that its radius fills, whichever is larger: a line of points is as large as it is long, and a cell with a few
/// stray points as large as they are far. What is not spread evenly in space counts as larger.
fn open2(radius2: f32, run: &Run, theta: f32, flat: bool) -> f32 {
    const UNIT_CUBE_RADIUS2: f32 = 0.75;
    let side = run.bounds.longest_side();
    let stretch = match flat {
        _ if run.is_line() => LINE_SIZE,
        true => PLANE_SIZE,
        false if run.thinness() < SHEET_THINNESS => SHEET_SIZE,
        false => 1.0,
    };
    let size2 = (radius2 / UNIT_CUBE_RADIUS2).max(side * side) * (stretch * stretch);
    if size2 == 0.0 {
        // One place: exact at any distance and any setting.
        0.0
    } else {
        size2 / (theta * theta)
    }
}

const _: () = assert!(KEY_BITS <= u32::BITS - 2, "a shift by all key bits stays within the word");
