//! Boxes side by side: on shelves, largest first, so that none overlaps another and the whole is about as wide as high.

#![allow(clippy::indexing_slicing, reason = "axes are below 3 and the order holds indices of the sizes")]

/// Which way boxes are set beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// In x and y.
    Plane,
    /// In x and z: all stand at one height.
    Floor,
    /// In all three.
    Space,
}

/// Room that shelves waste, as a factor of the area.
const WASTE: f64 = 1.2;

/// The centre of each box; the whole is centred at the origin. O(n log n).
pub(super) fn pack(sizes: &[[f32; 3]], packing: Packing) -> Vec<[f32; 3]> {
    // Axes: along a shelf, from shelf to shelf, from floor to floor.
    let axes = match packing {
        Packing::Plane | Packing::Space => [0, 1, 2],
        Packing::Floor => [0, 2, 1],
    };
    let floors = packing == Packing::Space;
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|left, right| sizes[*right][axes[1]].total_cmp(&sizes[*left][axes[1]]).then(left.cmp(right)));
    let part = |size: &[f32; 3], axis: usize| f64::from(size[axes[axis]]);
    let volume: f64 =
        sizes.iter().map(|size| part(size, 0) * part(size, 1) * if floors { part(size, 2) } else { 1.0 }).sum();
    let side = if floors { (WASTE * volume).cbrt() } else { (WASTE * volume).sqrt() };
    let mut centres = vec![[0f32; 3]; sizes.len()];
    let (mut at, mut shelf, mut floor) = ([0f64; 3], 0f64, 0f64);
    let mut end = [0f64; 3];
    for index in order {
        let size = &sizes[index];
        if at[0] > 0.0 && at[0] + part(size, 0) > side {
            at = [0.0, at[1] + shelf, at[2]];
            shelf = 0.0;
        }
        if floors && at[1] > 0.0 && at[1] + part(size, 1) > side {
            at = [0.0, 0.0, at[2] + floor];
            (shelf, floor) = (0.0, 0.0);
        }
        for axis in 0..3 {
            let start = if axis == 2 && !floors { -0.5 * part(size, 2) } else { at[axis] };
            centres[index][axes[axis]] = (start + 0.5 * part(size, axis)) as f32;
            end[axis] = end[axis].max(start + part(size, axis));
        }
        at[0] += part(size, 0);
        shelf = shelf.max(part(size, 1));
        floor = floor.max(part(size, 2));
    }
    for centre in &mut centres {
        for axis in 0..if floors { 3 } else { 2 } {
            centre[axes[axis]] -= (0.5 * end[axis]) as f32;
        }
    }
    centres
}
