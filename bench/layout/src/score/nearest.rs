//! The nodes nearest to a node, by a k-d tree.

#![allow(clippy::indexing_slicing, reason = "order holds the indices of points; ranges are halves of 0..points.len()")]

use std::collections::BinaryHeap;

use crate::points::distance;

/// Points in a leaf, which are looked at one by one.
const LEAF: usize = 16;

/// A k-d tree laid over an order of the points: the middle of a range splits it along `axis` of that place.
pub(super) struct Nearest<'points> {
    at: &'points [[f64; 3]],
    order: Vec<u32>,
    axis: Vec<u8>,
}

/// Ordered by distance, then by node, so that ties are cut the same way in every layout.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    distance: f64,
    node: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.distance.total_cmp(&other.distance).then(self.node.cmp(&other.node))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<'points> Nearest<'points> {
    /// O(n log n).
    pub(super) fn new(at: &'points [[f64; 3]]) -> Self {
        let mut order: Vec<u32> = (0..at.len() as u32).collect();
        let mut axis = vec![0; at.len()];
        split(at, &mut order, &mut axis);
        Self { at, order, axis }
    }

    /// The `count` nodes nearest to `node`, itself left out, nearest first; fewer when there are not so many.
    pub(super) fn others(&self, node: u32, count: usize, found: &mut Vec<u32>) {
        let mut best = BinaryHeap::with_capacity(count + 1);
        self.search(node, count, 0..self.order.len(), &mut best);
        found.clear();
        found.extend(best.into_sorted_vec().iter().map(|candidate| candidate.node));
    }

    fn search(&self, node: u32, count: usize, range: std::ops::Range<usize>, best: &mut BinaryHeap<Candidate>) {
        let here = self.at[node as usize];
        if range.len() <= LEAF {
            self.order[range].iter().for_each(|other| self.offer(node, *other, count, best));
            return;
        }
        let middle = usize::midpoint(range.start, range.end);
        let axis = self.axis[middle] as usize;
        let beyond = here[axis] - self.at[self.order[middle] as usize][axis];
        let (left, right) = (range.start..middle, middle + 1..range.end);
        let (near, far) = if beyond < 0.0 { (left, right) } else { (right, left) };
        self.search(node, count, near, best);
        self.offer(node, self.order[middle], count, best);
        // At most: an equal distance may still win by its number.
        if best.len() < count || best.peek().is_some_and(|worst| beyond.abs() <= worst.distance) {
            self.search(node, count, far, best);
        }
    }

    fn offer(&self, node: u32, other: u32, count: usize, best: &mut BinaryHeap<Candidate>) {
        if other == node {
            return;
        }
        best.push(Candidate { distance: distance(self.at[node as usize], self.at[other as usize]), node: other });
        if best.len() > count {
            best.pop();
        }
    }
}

/// Orders `order` so that its middle splits it along its widest axis, and so on within both halves.
fn split(at: &[[f64; 3]], order: &mut [u32], axes: &mut [u8]) {
    if order.len() <= LEAF {
        return;
    }
    let width = |axis: usize| {
        let ends = order.iter().map(|node| at[*node as usize][axis]);
        ends.clone().fold(f64::NEG_INFINITY, f64::max) - ends.fold(f64::INFINITY, f64::min)
    };
    let axis = (1..3).fold(0, |widest, axis| if width(axis) > width(widest) { axis } else { widest });
    let middle = order.len() / 2;
    order.select_nth_unstable_by(middle, |left, right| at[*left as usize][axis].total_cmp(&at[*right as usize][axis]));
    axes[middle] = axis as u8;
    let (left, right) = order.split_at_mut(middle);
    let (left_axes, right_axes) = axes.split_at_mut(middle);
    split(at, left, left_axes);
    split(at, &mut right[1..], &mut right_axes[1..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn brute(at: &[[f64; 3]], node: u32, count: usize) -> Vec<u32> {
        let mut all: Vec<Candidate> = (0..at.len() as u32)
            .filter(|other| *other != node)
            .map(|other| Candidate { distance: distance(at[node as usize], at[other as usize]), node: other })
            .collect();
        all.sort();
        all.iter().take(count).map(|candidate| candidate.node).collect()
    }

    #[test]
    fn it_finds_what_looking_at_all_points_finds() {
        let mut random = Random::new(1);
        // Few different coordinates, so that many distances tie and many points coincide.
        for steps in [3, 1_000_000] {
            let at: Vec<[f64; 3]> = (0..700).map(|_| [0; 3].map(|_: i32| f64::from(random.below(steps)))).collect();
            let nearest = Nearest::new(&at);
            let mut found = Vec::new();
            for (node, count) in [(0, 1), (1, 5), (350, 40), (699, 699), (5, 5_000), (7, 0)] {
                nearest.others(node, count, &mut found);
                assert_eq!(found, brute(&at, node, count), "{count} nearest to {node} of {steps}");
            }
        }
    }
}
