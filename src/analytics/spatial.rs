//! A k-d tree over positions: nearest neighbours, and how many lie within a radius.
#![allow(clippy::indexing_slicing, reason = "ranges and points come from the tree's own nodes")]

use std::cmp::Ordering;

use super::error::all_finite;
use super::watch::Pace;
use super::{AnalyticsError, Watch};
use crate::base::effort;

/// Points of a leaf.
const LEAF_POINTS: usize = 16;

/// Nodes of the tree with at least so many points report that they are divided.
const REPORT_POINTS: usize = 4_096;

/// Ranges of at most so many points are divided at their median. A median takes several passes, and no look in between: larger ones are
/// divided at that of some points, which is within some percent of it.
const EXACT_POINTS: usize = 1 << 14;

/// Points that stand for a larger range.
const SAMPLE_POINTS: usize = 255;

/// A box of points, divided at its longest side's median until a leaf.
#[derive(Clone, Debug)]
struct Cell {
    low: [f64; 3],
    high: [f64; 3],
    /// Where its points stand in `order`.
    start: u32,
    end: u32,
    /// The first of its two halves, which stand side by side; 0 = a leaf.
    halves: u32,
}

/// The tree. Points are f32, distances f64.
#[derive(Clone, Debug)]
pub(super) struct Spatial<'a> {
    points: &'a [[f32; 3]],
    order: Vec<u32>,
    cells: Vec<Cell>,
}

/// The nearest others of one point, filled by [`Spatial::nearest`]: squared distance and index, nearest first.
pub(super) type Nearest = Vec<(f64, u32)>;

impl<'a> Spatial<'a> {
    /// A tree over finite points. O(n log n), the same tree for the same points.
    pub(super) fn new(points: &'a [[f32; 3]], watch: &dyn Watch) -> Result<Self, AnalyticsError> {
        all_finite(points)?;
        let order = (0..points.len() as u32).collect();
        let mut tree = Self { points, order, cells: Vec::new() };
        let whole = tree.cell(0, points.len());
        tree.cells.push(whole);
        let mut done = 0;
        let (mut open, mut scratch) = (vec![0], Vec::new());
        while let Some(at) = open.pop() {
            let (start, end) = (tree.cells[at].start as usize, tree.cells[at].end as usize);
            if end - start >= REPORT_POINTS {
                watch.progress(done as f64 / points.len() as f64)?;
            }
            let Some(axis) = tree.cells[at].split_axis() else {
                done += end - start;
                continue;
            };
            // The index decides between equal coordinates, so the halves do not depend on the order before.
            let order = |a: &u32, b: &u32| {
                effort::spend(1);
                let key = |point: u32| points[point as usize][axis];
                key(*a).total_cmp(&key(*b)).then(a.cmp(b))
            };
            let range = &mut tree.order[start..end];
            let middle = start
                + match range.len() <= EXACT_POINTS {
                    true => range.len() / 2,
                    false => halve(range, &mut scratch, order, watch, done as f64 / points.len() as f64)?,
                };
            if end - start <= EXACT_POINTS {
                tree.order[start..end].select_nth_unstable_by(middle - start, order);
            }
            let first = tree.cells.len();
            tree.cells[at].halves = first as u32;
            let (left, right) = (tree.cell(start, middle), tree.cell(middle, end));
            tree.cells.extend([left, right]);
            open.extend([first + 1, first]);
        }
        Ok(tree)
    }

    fn cell(&self, start: usize, end: usize) -> Cell {
        let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for point in &self.order[start..end] {
            for axis in 0..3 {
                let value = f64::from(self.points[*point as usize][axis]);
                low[axis] = low[axis].min(value);
                high[axis] = high[axis].max(value);
            }
        }
        Cell { low, high, start: start as u32, end: end as u32, halves: 0 }
    }

    /// The `count` nearest others of `point`, nearest first; fewer when there are not so many. Which of several at the
    /// same distance is the tree's choice, the same every time. O(log n) for scattered points, and for coincident ones.
    ///
    /// # Errors
    /// What the watcher of `pace` says.
    pub(super) fn nearest(
        &self,
        point: usize,
        count: usize,
        stack: &mut Vec<(f64, u32)>,
        found: &mut Nearest,
        pace: &mut Pace<'_>,
    ) -> Result<(), AnalyticsError> {
        found.clear();
        stack.clear();
        let at = self.points[point].map(f64::from);
        if count == 0 {
            return Ok(());
        }
        stack.push((0.0, 0));
        while let Some((gap, cell)) = stack.pop() {
            let worst =
                if found.len() < count { f64::INFINITY } else { found.last().map_or(f64::INFINITY, |last| last.0) };
            // A leaf is compared with what was found, and a box with the point.
            pace.spend(LEAF_POINTS, point, self.points.len())?;
            if gap >= worst {
                continue;
            }
            let cell = &self.cells[cell as usize];
            if cell.halves == 0 {
                for other in &self.order[cell.start as usize..cell.end as usize] {
                    if *other as usize == point {
                        continue;
                    }
                    let distance = squared(at, self.points[*other as usize].map(f64::from));
                    if found.len() == count && found.last().is_some_and(|last| distance >= last.0) {
                        continue;
                    }
                    found.truncate(count - 1);
                    let place = found.partition_point(|near| near.0 <= distance);
                    found.insert(place, (distance, *other));
                }
                continue;
            }
            let (left, right) = (cell.halves, cell.halves + 1);
            let (left_gap, right_gap) = (self.cells[left as usize].gap(at), self.cells[right as usize].gap(at));
            // The nearer half is looked into first.
            match left_gap <= right_gap {
                true => stack.extend([(right_gap, right), (left_gap, left)]),
                false => stack.extend([(left_gap, left), (right_gap, right)]),
            }
        }
        Ok(())
    }

    /// How many others lie within `radius` of `point`, its rim included. A cell that is wholly within is not looked into.
    ///
    /// # Errors
    /// What the watcher of `pace` says.
    pub(super) fn count_within(
        &self,
        point: usize,
        radius: f64,
        stack: &mut Vec<(f64, u32)>,
        pace: &mut Pace<'_>,
    ) -> Result<usize, AnalyticsError> {
        let (at, limit) = (self.points[point].map(f64::from), radius * radius);
        let mut count = 0;
        stack.clear();
        stack.push((0.0, 0));
        while let Some((_, cell)) = stack.pop() {
            pace.spend(LEAF_POINTS, point, self.points.len())?;
            let cell = &self.cells[cell as usize];
            if cell.gap(at) > limit {
                continue;
            }
            let points = &self.order[cell.start as usize..cell.end as usize];
            if cell.reach(at) <= limit {
                count += points.len();
            } else if cell.halves != 0 {
                stack.extend([(0.0, cell.halves), (0.0, cell.halves + 1)]);
            } else {
                let near = |other: &&u32| squared(at, self.points[**other as usize].map(f64::from)) <= limit;
                count += points.iter().filter(near).count();
            }
        }
        // The point itself is always within.
        Ok(count - 1)
    }
}

/// Puts what comes before some middle element in front; how many that are, at least one and not all.
fn halve(
    range: &mut [u32],
    scratch: &mut Vec<u32>,
    order: impl Fn(&u32, &u32) -> Ordering + Copy,
    watch: &dyn Watch,
    part: f64,
) -> Result<usize, AnalyticsError> {
    let mut sample: Vec<u32> = (0..SAMPLE_POINTS).map(|at| range[at * range.len() / SAMPLE_POINTS]).collect();
    sample.sort_unstable_by(order);
    let middle = sample[SAMPLE_POINTS / 2];
    scratch.clear();
    let mut before = 0;
    for from in (0..range.len()).step_by(EXACT_POINTS) {
        watch.progress(part)?;
        for at in from..range.len().min(from + EXACT_POINTS) {
            let point = range[at];
            if order(&point, &middle) == Ordering::Less {
                range[before] = point;
                before += 1;
            } else {
                scratch.push(point);
            }
        }
    }
    range[before..].copy_from_slice(scratch);
    Ok(before)
}

impl Cell {
    /// The longest side, unless this is a leaf: few points, or all in one place.
    fn split_axis(&self) -> Option<usize> {
        if (self.end - self.start) as usize <= LEAF_POINTS {
            return None;
        }
        let side = |axis: usize| self.high[axis] - self.low[axis];
        let axis = (1..3).fold(0, |longest, axis| if side(axis) > side(longest) { axis } else { longest });
        Some(axis)
    }

    /// Squared distance from `at` to the nearest point of the box.
    fn gap(&self, at: [f64; 3]) -> f64 {
        (0..3).map(|axis| (self.low[axis] - at[axis]).max(at[axis] - self.high[axis]).max(0.0).powi(2)).sum()
    }

    /// Squared distance from `at` to the farthest corner.
    fn reach(&self, at: [f64; 3]) -> f64 {
        (0..3).map(|axis| (at[axis] - self.low[axis]).abs().max((self.high[axis] - at[axis]).abs()).powi(2)).sum()
    }
}

/// Squared distance.
#[inline]
pub(super) fn squared(a: [f64; 3], b: [f64; 3]) -> f64 {
    effort::spend(1);
    let (x, y, z) = (a[0] - b[0], a[1] - b[1], a[2] - b[2]);
    x * x + y * y + z * z
}

#[cfg(test)]
mod tests {
    use super::super::Unwatched;
    use super::super::random::Random;
    use super::*;

    #[test]
    fn neighbours_and_counts_equal_a_search_of_all() {
        let mut random = Random::new(3);
        for (nodes, scale) in [(1, 1.0), (2, 0.0), (50, 1.0), (700, 100.0), (700, 0.0), (40_000, 900.0), (40_000, 0.0)]
        {
            let points: Vec<[f32; 3]> =
                (0..nodes).map(|_| [(); 3].map(|()| ((random.unit() - 0.5) * scale) as f32)).collect();
            let tree = Spatial::new(&points, &Unwatched).unwrap();
            let (mut stack, mut found) = (Vec::new(), Vec::new());
            for point in (0..nodes).step_by(if nodes > 1_000 { 4_999 } else { 7 }) {
                let at = points[point].map(f64::from);
                let mut all: Vec<f64> = (0..nodes)
                    .filter(|other| *other != point)
                    .map(|other| squared(at, points[other].map(f64::from)))
                    .collect();
                all.sort_by(f64::total_cmp);
                let mut pace = Pace::new(&Unwatched);
                tree.nearest(point, 9, &mut stack, &mut found, &mut pace).unwrap();
                let near: Vec<f64> = found.iter().map(|near| near.0).collect();
                assert_eq!(near, all[..all.len().min(9)]);
                let within = all.iter().filter(|distance| **distance <= 25.0 * 25.0).count();
                assert_eq!(tree.count_within(point, 25.0, &mut stack, &mut pace), Ok(within));
            }
        }
    }
}
