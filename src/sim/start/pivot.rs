//! Pivot MDS: a drawing in which distances are hop counts, as far as that can be had in two or three axes.
//!
//! Source: Brandes and Pich, "Eigensolver methods for progressive multidimensional scaling of large data", 2006.

#![allow(clippy::indexing_slicing, reason = "places are 0..nodes, pivots 0..pivot_count, both fixed at the start")]

use crate::graph::Csr;
use crate::sim::Dimensions;

/// Pivots of a component. More make the drawing a little truer and the start slower in proportion.
const PIVOTS_MAX: usize = 50;

/// Pivots of a component of more than [`LARGE_NODES`].
const PIVOTS_LARGE: usize = 20;
const LARGE_NODES: usize = 20_000;

/// Positions for the nodes of one component around the origin, in `nodes` order, and the most hops that were met.
///
/// `place_of` is scratch, `[node_count]` of the whole graph; afterwards it gives each of these nodes' place in
/// `nodes`. O(pivots * (nodes + edges) + pivots^2 * nodes).
pub(super) fn draw(csr: &Csr, dimensions: Dimensions, nodes: &[u32], place_of: &mut [u32]) -> (Vec<[f32; 3]>, u32) {
    for (node, place) in nodes.iter().zip(0u32..) {
        place_of[*node as usize] = place;
    }
    if nodes.len() < 2 {
        return (vec![[0.0; 3]; nodes.len()], 0);
    }
    let mut columns = hop_columns(csr, nodes, place_of);
    let hops_max = columns.iter().flatten().fold(0f32, |most, hops2| most.max(*hops2)).sqrt() as u32;
    centre_twice(&mut columns);
    let axes = if dimensions == Dimensions::Two { 2 } else { 3 };
    let mut at = vec![[0f32; 3]; nodes.len()];
    for (axis, (value, vector)) in principal(products(&columns)).into_iter().take(axes).enumerate() {
        // The column space times a unit vector is as long as the singular value; MDS wants its root.
        let singular = value.max(0.0).sqrt();
        if singular < 1e-6 {
            continue;
        }
        let scale = 1.0 / singular.sqrt();
        for (share, column) in vector.iter().zip(&columns) {
            for (at, entry) in at.iter_mut().zip(column) {
                at[axis] += (share * scale) as f32 * entry;
            }
        }
    }
    (at, hops_max)
}

/// Squared hop counts from each pivot to every node. The first pivot is the node farthest from the first node; each
/// next one is the node farthest from all pivots so far.
fn hop_columns(csr: &Csr, nodes: &[u32], place_of: &[u32]) -> Vec<Vec<f32>> {
    let most = if nodes.len() > LARGE_NODES { PIVOTS_LARGE } else { PIVOTS_MAX };
    // A small component needs few, and thousands of small ones would otherwise spend a second on their eigenvectors.
    let count = (4 + nodes.len() / 8).min(most).min(nodes.len());
    let mut hops = vec![0u32; nodes.len()];
    let mut queue = Vec::with_capacity(nodes.len());
    hop_counts(csr, nodes, place_of, 0, &mut hops, &mut queue);
    let mut nearest = hops.clone();
    let mut columns = Vec::with_capacity(count);
    for turn in 0..count {
        let pivot = farthest(&nearest);
        if turn == 0 {
            nearest.fill(u32::MAX);
        }
        hop_counts(csr, nodes, place_of, pivot, &mut hops, &mut queue);
        for (nearest, hops) in nearest.iter_mut().zip(&hops) {
            *nearest = (*nearest).min(*hops);
        }
        columns.push(hops.iter().map(|hops| (*hops as f32) * (*hops as f32)).collect());
    }
    columns
}

/// The first of the largest.
fn farthest(hops: &[u32]) -> usize {
    let mut best = 0;
    for (place, count) in hops.iter().enumerate() {
        if *count > hops[best] {
            best = place;
        }
    }
    best
}

/// Hops from `source` to every node of the component, breadth first.
fn hop_counts(csr: &Csr, nodes: &[u32], place_of: &[u32], source: usize, hops: &mut [u32], queue: &mut Vec<u32>) {
    hops.fill(u32::MAX);
    hops[source] = 0;
    queue.clear();
    queue.push(source as u32);
    let mut next = 0;
    while let Some(place) = queue.get(next).map(|place| *place as usize) {
        next += 1;
        let node = nodes[place] as usize;
        let row = csr.offset()[node] as usize..csr.offset()[node + 1] as usize;
        for other in &csr.neighbour()[row] {
            let other = place_of[*other as usize];
            if hops[other as usize] == u32::MAX {
                hops[other as usize] = hops[place] + 1;
                queue.push(other);
            }
        }
    }
}

/// Makes rows and columns sum to 0, and turns squared distances into products: -1/2 times what is left.
fn centre_twice(columns: &mut [Vec<f32>]) {
    let nodes = columns.first().map_or(0, Vec::len);
    let mut row_mean = vec![0f32; nodes];
    for column in columns.iter() {
        for (mean, entry) in row_mean.iter_mut().zip(column) {
            *mean += entry;
        }
    }
    let pivots = columns.len() as f32;
    row_mean.iter_mut().for_each(|mean| *mean /= pivots);
    for column in columns.iter_mut() {
        for (entry, mean) in column.iter_mut().zip(&row_mean) {
            *entry = -0.5 * (*entry - mean);
        }
        // The mean of what is left is the column's mean less the mean of all.
        let mean = (column.iter().map(|entry| f64::from(*entry)).sum::<f64>() / nodes as f64) as f32;
        column.iter_mut().for_each(|entry| *entry -= mean);
    }
}

/// Products of every two columns, symmetric.
fn products(columns: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let mut matrix = vec![vec![0f64; columns.len()]; columns.len()];
    for row in 0..columns.len() {
        for column in row..columns.len() {
            matrix[row][column] = dot(&columns[row], &columns[column]);
            matrix[column][row] = matrix[row][column];
        }
    }
    matrix
}

/// In lanes that are added in a fixed order, so that it can be vectorised and repeats.
fn dot(left: &[f32], right: &[f32]) -> f64 {
    let mut lanes = [0f64; 4];
    let (left_whole, right_whole) = (left.chunks_exact(4), right.chunks_exact(4));
    let rest = left_whole.remainder().iter().zip(right_whole.remainder());
    let rest: f64 = rest.map(|(left, right)| f64::from(*left) * f64::from(*right)).sum();
    for (left, right) in left_whole.zip(right_whole) {
        for lane in 0..4 {
            lanes[lane] += f64::from(left[lane]) * f64::from(right[lane]);
        }
    }
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + rest
}

/// Eigenvalues and eigenvectors of a symmetric matrix, largest value first. Source: cyclic Jacobi rotations.
fn principal(mut matrix: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    const SWEEPS_MAX: usize = 30;
    let size = matrix.len();
    // Row i becomes the i-th eigenvector.
    let mut vectors = vec![vec![0f64; size]; size];
    (0..size).for_each(|row| vectors[row][row] = 1.0);
    let scale: f64 = (0..size).map(|row| matrix[row][row].abs()).sum();
    for _ in 0..SWEEPS_MAX {
        let mut largest = 0f64;
        for first in 0..size {
            for second in first + 1..size {
                largest = largest.max(matrix[first][second].abs());
                rotate(&mut matrix, &mut vectors, first, second);
            }
        }
        if largest <= 1e-12 * scale {
            break;
        }
    }
    let mut pairs: Vec<_> = vectors.into_iter().enumerate().map(|(row, vector)| (matrix[row][row], vector)).collect();
    pairs.sort_by(|left, right| right.0.total_cmp(&left.0));
    pairs
}

/// Makes the entry at `first`, `second` zero; `first` is below `second`.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], first: usize, second: usize) {
    let off = matrix[first][second];
    if off == 0.0 {
        return;
    }
    let theta = (matrix[second][second] - matrix[first][first]) / (2.0 * off);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for row in matrix.iter_mut() {
        (row[first], row[second]) =
            (cosine * row[first] - sine * row[second], sine * row[first] + cosine * row[second]);
    }
    for rows in [matrix, vectors] {
        let (head, tail) = rows.split_at_mut(second);
        for (upper, lower) in head[first].iter_mut().zip(&mut tail[0]) {
            (*upper, *lower) = (cosine * *upper - sine * *lower, sine * *upper + cosine * *lower);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeIndex;

    fn drawing(node_count: u32, edges: &[(u32, u32)], dimensions: Dimensions) -> Vec<[f32; 3]> {
        let edges = edges.iter().map(|(source, target)| (NodeIndex(*source), NodeIndex(*target), 1.0));
        let csr = Csr::new(node_count as usize, edges);
        let nodes: Vec<u32> = (0..node_count).collect();
        draw(&csr, dimensions, &nodes, &mut vec![0; node_count as usize]).0
    }

    #[test]
    fn a_path_is_drawn_straight_with_even_steps() {
        let edges: Vec<_> = (1..40).map(|node| (node - 1, node)).collect();
        let at = drawing(40, &edges, Dimensions::Three);
        let steps: Vec<f32> = at.windows(2).map(|pair| pair[1][0] - pair[0][0]).collect();
        assert!(steps.iter().all(|step| (step / steps[0] - 1.0).abs() < 0.01), "{steps:?}");
        assert!(at.iter().all(|at| at[1].abs() < 0.01 && at[2].abs() < 0.01));
    }

    #[test]
    fn a_mesh_unfolds_and_stays_in_the_plane() {
        let id = |row: u32, column: u32| row * 20 + column;
        let mut edges = Vec::new();
        for row in 0..20 {
            for column in 0..20 {
                edges.extend((column > 0).then(|| (id(row, column - 1), id(row, column))));
                edges.extend((row > 0).then(|| (id(row - 1, column), id(row, column))));
            }
        }
        let at = drawing(400, &edges, Dimensions::Two);
        let apart = |left: u32, right: u32| {
            let (left, right) = (at[left as usize], at[right as usize]);
            (left[0] - right[0]).hypot(left[1] - right[1])
        };
        let edge = edges.iter().map(|(left, right)| apart(*left, *right)).sum::<f32>() / edges.len() as f32;
        assert!(apart(id(0, 0), id(19, 19)) > 15.0 * edge && apart(id(0, 19), id(19, 0)) > 15.0 * edge);
        assert!(at.iter().all(|at| at[2] == 0.0));
    }

    #[test]
    fn eigenvectors_are_found_in_order() {
        let pairs = principal(vec![vec![2.0, 1.0, 0.0], vec![1.0, 2.0, 0.0], vec![0.0, 0.0, 5.0]]);
        let values: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
        for (value, expected) in values.iter().zip([5.0, 3.0, 1.0]) {
            assert!((value - expected).abs() < 1e-9, "{values:?}");
        }
        assert!((pairs[1].1[0] - pairs[1].1[1]).abs() < 1e-9 && pairs[1].1[2].abs() < 1e-9);
    }

    #[test]
    fn the_smallest_components_are_drawn() {
        assert_eq!(drawing(1, &[], Dimensions::Three), [[0.0; 3]]);
        let pair = drawing(2, &[(0, 1)], Dimensions::Three);
        assert!((pair[0][0] + pair[1][0]).abs() < 1e-6 && pair[0][0] != 0.0);
    }
}
