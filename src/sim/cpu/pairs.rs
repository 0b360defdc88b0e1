//! The inner loop: the repulsion on one point of a list of sources, `LANES` at a time.
//!
//! Plain multiplications, additions and a true division in a fixed order: the same bits on every processor and at
//! every vector width. No fused multiply-add (without the instruction it would be a library call), no `powf`.

#![allow(clippy::indexing_slicing, reason = "lanes run over arrays of LANES; fill_from's ranges come from the tree")]

use crate::sim::{Dimensions, SimParams};

/// Sources taken at a time. 8 are two SSE or one AVX register.
pub(super) const LANES: usize = 8;

/// The law of repulsion with its constants worked out: `m_i * m_j * strength / (d^2 + soft2)^2` times the offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Law {
    /// `repel_k * softening^3`.
    pub(super) strength: f32,
    /// `softening^2`.
    pub(super) soft2: f32,
    /// Correction for the spread of a cell, [`pull`]: factors on `d^2` and on `softening^2`.
    spread: [f32; 2],
    /// `repulsion_cutoff`; infinite when there is none.
    pub(super) cutoff: f32,
}

impl Law {
    /// The law as `params` has it.
    pub(super) fn new(params: &SimParams) -> Self {
        let soft = params.softening;
        let cutoff = if params.repulsion_cutoff > 0.0 { params.repulsion_cutoff } else { f32::INFINITY };
        // A cell of mass m whose points lie sigma (rms) around their centre, evenly in all D directions, acts as
        // m * (field + sigma^2 / 2D * Laplacian of the field), to second order. For d / (d^2 + s^2)^2 the
        // Laplacian is (8 d^2 - 16 s^2) or (4 d^2 - 20 s^2), D = 2 or 3, over (d^2 + s^2)^4, times the offset.
        let spread = match params.dimensions {
            Dimensions::Two => [2.0, 4.0],
            Dimensions::Three => [2.0 / 3.0, 10.0 / 3.0],
        };
        Self { strength: params.repel_k * soft * soft * soft, soft2: soft * soft, spread, cutoff }
    }

    /// Factor on the offset between two nodes of mass 1, squared distance `d2` apart.
    pub(super) fn weight(&self, d2: f32) -> f32 {
        let q = d2 + self.soft2;
        if d2 <= self.cutoff * self.cutoff { self.strength / (q * q) } else { 0.0 }
    }
}

/// What a list of sources does to one point of mass 1, before [`Law::strength`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pull {
    /// Away from the sources.
    pub(super) force: [f32; 3],
    /// Sum of the factors on the offsets: how stiff the repulsion is here.
    pub(super) stiffness: f32,
}

/// Points with masses as separate arrays, padded with mass 0 to whole lanes.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Coordinates.
    pub(super) x: Vec<f32>,
    /// Coordinates.
    pub(super) y: Vec<f32>,
    /// Coordinates.
    pub(super) z: Vec<f32>,
    /// Repulsion masses.
    pub(super) mass: Vec<f32>,
    /// Masses times mean squared distance of what the point stands for from it; 0 for a node.
    spread: Vec<f32>,
    len: usize,
}

impl Sources {
    /// Room for `capacity` points and their padding.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let padded = capacity + LANES;
        let axis = || vec![0.0; padded];
        Self { x: axis(), y: axis(), z: axis(), mass: axis(), spread: axis(), len: 0 }
    }

    /// Bytes held for `capacity` points.
    pub(super) const fn footprint(capacity: usize) -> usize {
        5 * size_of::<f32>() * (capacity + LANES)
    }

    /// Forgets all points.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds one point that stands for points `spread` (mass times mean squared distance) around it.
    pub(super) fn push(&mut self, at: [f32; 3], mass: f32, spread: f32) {
        let slot = self.len;
        [self.x[slot], self.y[slot], self.z[slot]] = at;
        self.mass[slot] = mass;
        self.spread[slot] = spread;
        self.len += 1;
    }

    /// Adds the points `start..end` of `other`, which must be nodes: their spread is not copied.
    pub(super) fn push_range(&mut self, other: &Self, start: usize, end: usize) {
        let to = self.len..self.len + (end - start);
        self.x[to.clone()].copy_from_slice(&other.x[start..end]);
        self.y[to.clone()].copy_from_slice(&other.y[start..end]);
        self.z[to.clone()].copy_from_slice(&other.z[start..end]);
        self.mass[to.clone()].copy_from_slice(&other.mass[start..end]);
        self.len = to.end;
    }

    /// The point at `slot`.
    pub(super) fn at(&self, slot: usize) -> [f32; 3] {
        [self.x[slot], self.y[slot], self.z[slot]]
    }

    /// Points, counted.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Gives the padding mass 0, so that whole lanes may be read.
    pub(super) fn pad(&mut self) {
        let end = self.len.next_multiple_of(LANES);
        for axis in [&mut self.x, &mut self.y, &mut self.z, &mut self.mass, &mut self.spread] {
            axis[self.len..end].fill(0.0);
        }
    }
}

/// Adds to `pull` the repulsion of all `sources` on a point of mass 1 at `target`. A source at the point itself adds
/// stiffness but no force. `CELLS` says that sources may have a spread, `CUTOFF` that there is one. O(sources).
pub(super) fn pull<const CELLS: bool, const CUTOFF: bool>(
    target: [f32; 3],
    sources: &Sources,
    law: &Law,
    pull: &mut Pull,
) {
    let end = sources.len.next_multiple_of(LANES);
    let (soft2, cutoff2) = (law.soft2, law.cutoff * law.cutoff);
    let (spread_d2, spread_soft2) = (law.spread[0], law.spread[1] * law.soft2);
    let [tx, ty, tz] = target;
    let (mut fx, mut fy, mut fz, mut fs) = ([0f32; LANES], [0f32; LANES], [0f32; LANES], [0f32; LANES]);
    let xs = sources.x[..end].chunks_exact(LANES);
    let ys = sources.y[..end].chunks_exact(LANES);
    let zs = sources.z[..end].chunks_exact(LANES);
    let masses = sources.mass[..end].chunks_exact(LANES);
    let spreads = sources.spread[..end].chunks_exact(LANES);
    for ((((x, y), z), mass), spread) in xs.zip(ys).zip(zs).zip(masses).zip(spreads) {
        for lane in 0..LANES {
            let (dx, dy, dz) = (tx - x[lane], ty - y[lane], tz - z[lane]);
            let d2 = dx * dx + dy * dy + dz * dz;
            let q = d2 + soft2;
            let iq2 = 1.0 / (q * q);
            let mut acting = mass[lane];
            if CELLS {
                acting += spread[lane] * (spread_d2 * d2 - spread_soft2) * iq2;
            }
            let mut w = acting * iq2;
            if CUTOFF {
                w = if d2 <= cutoff2 { w } else { 0.0 };
            }
            fx[lane] += w * dx;
            fy[lane] += w * dy;
            fz[lane] += w * dz;
            fs[lane] += w;
        }
    }
    for (total, lanes) in pull.force.iter_mut().zip([&fx, &fy, &fz]) {
        *total += sum(lanes);
    }
    pull.stiffness += sum(&fs);
}

/// Adds the lanes as a tree of fixed shape.
fn sum(lanes: &[f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h] = *lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
