//! The inner loop: the repulsion on one point of a list of sources, `LANES` at a time.
//!
//! Plain multiplications, additions and a true division in a fixed order: the same bits on every processor and at
//! every vector width. No fused multiply-add (without the instruction it would be a library call), no `powf`.

#![allow(clippy::indexing_slicing, reason = "lanes run over arrays of LANES; fill_from's ranges come from the tree")]

use crate::sim::SimParams;

/// Sources taken at a time. 8 are two SSE or one AVX register.
pub(super) const LANES: usize = 8;

/// The law of repulsion with its constants worked out: `m_i * m_j * strength / (d^2 + soft2)^2` times the offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Law {
    /// `repel_k * softening^3`.
    pub(super) strength: f32,
    /// `softening^2`.
    pub(super) soft2: f32,
    /// `repulsion_cutoff`; infinite when there is none.
    pub(super) cutoff: f32,
}

impl Law {
    /// The law as `params` has it.
    pub(super) fn new(params: &SimParams) -> Self {
        let soft = params.softening;
        let cutoff = if params.repulsion_cutoff > 0.0 { params.repulsion_cutoff } else { f32::INFINITY };
        Self { strength: params.repel_k * soft * soft * soft, soft2: soft * soft, cutoff }
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
    len: usize,
}

impl Sources {
    /// Room for `capacity` points and their padding.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let padded = capacity + LANES;
        Self { x: vec![0.0; padded], y: vec![0.0; padded], z: vec![0.0; padded], mass: vec![0.0; padded], len: 0 }
    }

    /// Bytes held for `capacity` points.
    pub(super) const fn footprint(capacity: usize) -> usize {
        4 * size_of::<f32>() * (capacity + LANES)
    }

    /// Forgets all points.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds one point.
    pub(super) fn push(&mut self, at: [f32; 3], mass: f32) {
        let slot = self.len;
        [self.x[slot], self.y[slot], self.z[slot]] = at;
        self.mass[slot] = mass;
        self.len += 1;
    }

    /// Adds the points `start..end` of `other`.
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
        for axis in [&mut self.x, &mut self.y, &mut self.z, &mut self.mass] {
            axis[self.len..end].fill(0.0);
        }
    }
}

/// The repulsion of all `sources` on a point of mass 1 at `target`. A source at the point itself adds stiffness
/// but no force. O(sources).
pub(super) fn pull<const CUTOFF: bool>(target: [f32; 3], sources: &Sources, law: &Law) -> Pull {
    let end = sources.len.next_multiple_of(LANES);
    let (soft2, cutoff2) = (law.soft2, law.cutoff * law.cutoff);
    let [tx, ty, tz] = target;
    let (mut fx, mut fy, mut fz, mut fs) = ([0f32; LANES], [0f32; LANES], [0f32; LANES], [0f32; LANES]);
    let xs = sources.x[..end].chunks_exact(LANES);
    let ys = sources.y[..end].chunks_exact(LANES);
    let zs = sources.z[..end].chunks_exact(LANES);
    let masses = sources.mass[..end].chunks_exact(LANES);
    for (((x, y), z), mass) in xs.zip(ys).zip(zs).zip(masses) {
        for lane in 0..LANES {
            let (dx, dy, dz) = (tx - x[lane], ty - y[lane], tz - z[lane]);
            let d2 = dx * dx + dy * dy + dz * dz;
            let q = d2 + soft2;
            let mut w = mass[lane] / (q * q);
            if CUTOFF {
                w = if d2 <= cutoff2 { w } else { 0.0 };
            }
            fx[lane] += w * dx;
            fy[lane] += w * dy;
            fz[lane] += w * dz;
            fs[lane] += w;
        }
    }
    Pull { force: [sum(&fx), sum(&fy), sum(&fz)], stiffness: sum(&fs) }
}

/// Adds the lanes as a tree of fixed shape.
fn sum(lanes: &[f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h] = *lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
