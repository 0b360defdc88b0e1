//! The slowest vibrations of the graph as coordinates: vectors x that make the sum over edges of (x_u - x_v)^2 smallest against the sum over
//! nodes of degree * x^2, each orthogonal to the ones before and to the constant one.
//!
//! They are sought in the span of distances from a few far-apart nodes, which holds the large shape of any graph, then smoothed and sought
//! again. Power iteration from a random start needs as many rounds as the square of a graph's diameter; this needs a fixed number.

#![allow(clippy::indexing_slicing, reason = "vectors are as long as the component, rows were renumbered to it")]

use super::{Ground, Search, sum};

/// Nodes from which distances span the first subspace.
const PIVOTS: usize = 16;

/// Vectors that are kept from round to round: more than three, so that the third is not the last of its kind.
const KEPT: usize = 6;

/// Rounds of smoothing and seeking again.
const ROUNDS: usize = 4;

/// Smoothing steps of a round, each a mean over the neighbours.
const SMOOTHINGS: usize = 12;

/// How far leaves of one node are set aside, in edges: by their vibrations they have one place.
const ASIDE: f32 = 0.2;

/// Rotations of the eigenvalue search of a small matrix: sweeps over all its pairs.
const SWEEPS: usize = 12;

type Vector = Vec<f64>;

/// Source: Koren 2005 (drawing by degree-normalised eigenvectors), Harel and Koren 2002 (distances as a subspace). O((nodes + edges) *
/// 300), deterministic.
pub(super) fn draw(ground: &Ground, components: &[Vec<u32>]) -> Vec<[f32; 3]> {
    let node_count = ground.csr.node_count();
    let mut places = vec![[0f32; 3]; node_count];
    let mut local = vec![0u32; node_count];
    let mut search = Search::new(node_count);
    let axes = if ground.flat { 2 } else { 3 };
    for component in components {
        for (place, node) in (0u32..).zip(component) {
            local[*node as usize] = place;
        }
        let rows = Rows::of(ground, component, &local);
        let vectors = slowest(&rows, distances(ground, component, &mut search), axes);
        let size = component.len() as f64;
        // As wide as the basic forces make a graph of this size.
        let radius = f64::from(ground.length) * 0.5 * if ground.flat { size.sqrt() } else { size.cbrt() * 1.5 };
        for (axis, vector) in vectors.iter().enumerate() {
            let mean = vector.iter().sum::<f64>() / size;
            let spread = (vector.iter().map(|at| (at - mean).powi(2)).sum::<f64>() / size).sqrt();
            // The first clear number is positive: a vector and its opposite are one answer.
            let sign =
                vector.iter().find(|at| (*at - mean).abs() > 0.1 * spread).map_or(1.0, |at| (at - mean).signum());
            let scale = if spread > 1e-12 { sign * radius / spread } else { 0.0 };
            for (node, at) in component.iter().zip(vector) {
                places[*node as usize][axis] = ((at - mean) * scale) as f32;
            }
        }
        for node in component.iter().filter(|node| rows.is_twin(local[**node as usize])) {
            let aside = aside(ground.flat, *node).map(|axis| axis * ASIDE * ground.length);
            places[*node as usize] = sum(places[*node as usize], aside);
        }
    }
    places
}

/// A point of the cube of half-side 1, one for each node.
fn aside(flat: bool, node: u32) -> [f32; 3] {
    // Multiples of the plastic number's powers cover a cube evenly (Roberts 2018).
    let axis = |step: f64| (2.0 * (f64::from(node) * step).fract() - 1.0) as f32;
    [axis(0.819_172_513_396_164), axis(0.671_043_606_703_789), if flat { 0.0 } else { axis(0.549_700_477_901_971) }]
}

/// The rows of one component, renumbered.
struct Rows {
    start: Vec<usize>,
    neighbour: Vec<u32>,
    degree: Vector,
}

impl Rows {
    fn of(ground: &Ground, component: &[u32], local: &[u32]) -> Self {
        let mut rows = Self { start: vec![0], neighbour: Vec::new(), degree: Vec::with_capacity(component.len()) };
        for node in component {
            let before = rows.neighbour.len();
            rows.neighbour.extend(ground.csr.row(*node as usize).map(|(other, _)| local[other as usize]));
            rows.start.push(rows.neighbour.len());
            rows.degree.push(((rows.neighbour.len() - before) as f64).max(1.0));
        }
        rows
    }

    fn row(&self, node: usize) -> &[u32] {
        &self.neighbour[self.start[node]..self.start[node + 1]]
    }

    /// Whether the node is a leaf beside another leaf of the same node.
    fn is_twin(&self, node: u32) -> bool {
        let is_leaf = |node: u32| self.row(node as usize).len() == 1;
        match self.row(node as usize) {
            [stem] => self.row(*stem as usize).iter().filter(|other| is_leaf(**other)).nth(1).is_some(),
            _ => false,
        }
    }

    /// Half the vector and half the mean over the neighbours.
    fn smooth(&self, vector: &Vector) -> Vector {
        let mean =
            |node: usize| self.row(node).iter().map(|other| vector[*other as usize]).sum::<f64>() / self.degree[node];
        (0..vector.len()).map(|node| 0.5 * (vector[node] + mean(node))).collect()
    }

    /// The Laplacian times the vector.
    fn laplacian(&self, vector: &Vector) -> Vector {
        let differ = |node: usize| self.row(node).iter().map(|other| vector[node] - vector[*other as usize]).sum();
        (0..vector.len()).map(differ).collect()
    }

    /// Product by degree.
    fn product(&self, left: &Vector, right: &Vector) -> f64 {
        left.iter().zip(right).zip(&self.degree).map(|((left, right), degree)| left * right * degree).sum()
    }

    /// Makes vectors of length 1, orthogonal to the constant one and to each other; those that the others make up are left out.
    fn orthonormal(&self, vectors: Vec<Vector>) -> Vec<Vector> {
        let whole: f64 = self.degree.iter().sum();
        let mut kept: Vec<Vector> = Vec::with_capacity(vectors.len());
        for mut vector in vectors {
            let before = self.product(&vector, &vector);
            let mean = vector.iter().zip(&self.degree).map(|(at, degree)| at * degree).sum::<f64>() / whole;
            vector.iter_mut().for_each(|at| *at -= mean);
            // Twice: once leaves rounding errors as large as what is left of a vector that nearly belongs to the others.
            for _ in 0..2 {
                for other in &kept {
                    let along = self.product(&vector, other);
                    vector.iter_mut().zip(other).for_each(|(at, other)| *at -= along * other);
                }
            }
            let length2 = self.product(&vector, &vector);
            if length2 > 1e-9 * before && length2 > 0.0 {
                let scale = 1.0 / length2.sqrt();
                vector.iter_mut().for_each(|at| *at *= scale);
                kept.push(vector);
            }
        }
        kept
    }
}

/// Distances of every node of the component from up to [`PIVOTS`] of its nodes, each pivot as far as can be from all before.
fn distances(ground: &Ground, component: &[u32], search: &mut Search) -> Vec<Vector> {
    let mut pivot = component.first().copied().unwrap_or(0);
    search.run(&ground.csr, pivot);
    pivot = search.last();
    let mut nearest = vec![u32::MAX; component.len()];
    let mut vectors = Vec::new();
    for _ in 0..PIVOTS.min(component.len()) {
        search.run(&ground.csr, pivot);
        vectors.push(component.iter().map(|node| f64::from(search.depth(*node))).collect());
        for (nearest, node) in nearest.iter_mut().zip(component) {
            *nearest = (*nearest).min(search.depth(*node));
        }
        let furthest = nearest.iter().zip(component).max_by_key(|(nearest, node)| (**nearest, u32::MAX - **node));
        match furthest {
            Some((nearest, node)) if *nearest > 0 => pivot = *node,
            _ => break,
        }
    }
    vectors
}

/// The slowest vectors that rounds of smoothing and seeking in the span lead to from `start`.
fn slowest(rows: &Rows, start: Vec<Vector>, axes: usize) -> Vec<Vector> {
    let mut vectors = seek(rows, rows.orthonormal(start));
    for _ in 0..ROUNDS {
        vectors.truncate(KEPT);
        for vector in &mut vectors {
            for _ in 0..SMOOTHINGS {
                *vector = rows.smooth(vector);
            }
        }
        vectors = seek(rows, rows.orthonormal(vectors));
    }
    vectors.truncate(axes);
    vectors
}

/// The vibrations within the span of orthonormal vectors, slowest first (Rayleigh and Ritz).
fn seek(rows: &Rows, vectors: Vec<Vector>) -> Vec<Vector> {
    let count = vectors.len();
    let images: Vec<Vector> = vectors.iter().map(|vector| rows.laplacian(vector)).collect();
    let dot = |left: &Vector, right: &Vector| left.iter().zip(right).map(|(left, right)| left * right).sum::<f64>();
    let matrix: Vec<Vec<f64>> =
        vectors.iter().map(|left| images.iter().map(|right| dot(left, right)).collect()).collect();
    let (values, turns) = eigen(matrix);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|left, right| values[*left].total_cmp(&values[*right]));
    let mix = |column: usize| {
        let mut mixed = vec![0.0; rows.degree.len()];
        for (vector, turn) in vectors.iter().zip(&turns) {
            mixed.iter_mut().zip(vector).for_each(|(mixed, at)| *mixed += turn[column] * at);
        }
        mixed
    };
    order.into_iter().map(mix).collect()
}

/// Eigenvalues of a small symmetric matrix, and its eigenvectors as columns. Source: Jacobi's rotations.
fn eigen(mut matrix: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let count = matrix.len();
    let mut turns: Vec<Vec<f64>> =
        (0..count).map(|row| (0..count).map(|at| f64::from(u8::from(at == row))).collect()).collect();
    for _ in 0..SWEEPS {
        for low in 0..count {
            for high in low + 1..count {
                let off = matrix[low][high];
                if off.abs() < 1e-300 {
                    continue;
                }
                let half = (matrix[high][high] - matrix[low][low]) / (2.0 * off);
                let tangent = half.signum() / (half.abs() + (half * half + 1.0).sqrt());
                let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
                let sine = tangent * cosine;
                for row in matrix.iter_mut() {
                    let (left, right) = (row[low], row[high]);
                    row[low] = cosine * left - sine * right;
                    row[high] = sine * left + cosine * right;
                }
                let (above, below) = matrix.split_at_mut(high);
                for (left, right) in above[low].iter_mut().zip(&mut below[0]) {
                    (*left, *right) = (cosine * *left - sine * *right, sine * *left + cosine * *right);
                }
                for row in turns.iter_mut() {
                    let (left, right) = (row[low], row[high]);
                    row[low] = cosine * left - sine * right;
                    row[high] = sine * left + cosine * right;
                }
            }
        }
    }
    ((0..count).map(|at| matrix[at][at]).collect(), turns)
}
