//! What follows from the parameters of the simulation: bounds, masses, stiffness.

use crate::handoff::Bounds;
use crate::settings::{COORDINATE_MAX, Dimensions, ForceModel, SimParams};

/// Largest value of u / (1 + u^2)^2, at u = 1 / sqrt(3).
pub(super) const LAW_PEAK: f32 = 0.324_76;

/// Heaviest an edge pulls; above it the sums could leave the range of a f32.
pub(super) const EDGE_WEIGHT_MAX: f32 = 1e6;

/// Most of the distance to its own equilibrium that a node at full temperature covers in a step from rest.
///
/// A step from rest moves a node by `time_step^2 * force / inertia`, so inertia is kept at least
/// `time_step^2 * stiffness / RESPONSE_MAX`. The neighbours move too, which at most doubles the response, twice
/// again for the curvature of the repulsion; at 0.5 all of that stays under the 2 * (1 + damping) / damping >= 4
/// at which semi-implicit Euler would begin to swing.
const RESPONSE_MAX: f32 = 0.5;

/// Mass of a node in the repulsion: 1 + log2(1 + degree).
pub(super) fn repulsion_mass(degree: u32) -> f32 {
    (1.0 + f64::from(degree + 1).log2()) as f32
}

impl SimParams {
    /// Half-side of the cube that holds `node_count` nodes: `bounds`, or what follows from the count.
    pub fn bounds_for(&self, node_count: usize) -> f32 {
        self.bounds_rule().of(node_count)
    }

    /// How the bounds follow from the number of nodes.
    #[must_use]
    pub fn bounds_rule(&self) -> Bounds {
        let wide = if self.force_model == ForceModel::TForce { 1.0 } else { 4.0 };
        Bounds { fixed: self.bounds, unit: self.rest_length * wide, most: COORDINATE_MAX }
    }

    /// These, with what so many notches take from their accuracy. A `theta` of 0 asks for exact sums and keeps them.
    pub(super) fn coarsened(&self, notches: u8) -> Self {
        Self { theta: self.theta_with(notches), ..*self }
    }

    /// Inertia that a stiffness of 1 calls for, see [`RESPONSE_MAX`].
    pub(super) fn inertia_per_stiffness(&self) -> f32 {
        self.time_step * self.time_step / RESPONSE_MAX
    }

    /// Acceleration of a component per world unit of its centroid's offset, 1 / s^2.
    pub(super) fn centre_pull(&self, node_count: usize) -> f64 {
        let count = node_count as f64;
        let crowd = match self.dimensions {
            Dimensions::Two => count,
            Dimensions::Three => count.cbrt() * count.cbrt(),
        };
        f64::from(self.centre_gravity) * f64::from(self.spring_k) / crowd.max(1.0)
    }

    /// What a spring's strength is multiplied with at distance 0, over its tail: the grip is `spring_tail + head / (1 + u^2)`.
    pub(super) fn spring_head(&self) -> f32 {
        let u = self.rest_length / self.softening;
        (1.0 - self.spring_tail) * (1.0 + u * u)
    }

    /// Most that a spring of strength 1 pulls more for each world unit that it is longer, as a share of `spring_k`.
    pub(super) fn spring_stiffness(&self) -> f32 {
        if self.force_model == ForceModel::TForce { self.spring_tail + self.spring_head() } else { 1.0 }
    }

    /// Share of a repulsion that falls as 1/d which acts in a graph of this size, `1 / sqrt(node_count)`. Everything far away
    /// adds up in it: undiminished, it draws the edges of a mesh out in proportion to `sqrt(node_count)`.
    pub(super) fn far_share(&self, node_count: usize) -> f32 {
        1.0 / (node_count.max(1) as f32).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_bounds_follow_the_node_count() {
        let params = SimParams::default();
        assert_eq!(params.bounds_for(0), 1_200.0);
        assert_eq!(params.bounds_for(10_000), 32_000.0);
        assert_eq!(SimParams { bounds: 7.0, ..params }.bounds_for(10_000), 7.0);
    }
}
