//! From forces to motion: inertia, clamps, semi-implicit Euler, bounds, and the energy that says when to rest.

#![allow(clippy::indexing_slicing, reason = "axes are 0..3 of arrays of 3")]

use crate::sim::SimParams;

/// What moves one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drive {
    /// Sum of the forces.
    pub(super) force: [f32; 3],
    /// How much the force changes with the position, force per world unit.
    pub(super) stiffness: f32,
    /// Acceleration that all nodes of the component share.
    pub(super) centring: [f32; 3],
    /// How strongly all this acts, 0 to 1.
    pub(super) temperature: f32,
}

/// Constants of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Motion {
    /// Seconds.
    time_step: f32,
    damping: f32,
    inertia_per_stiffness: f32,
    max_force: f32,
    max_velocity: f32,
    /// Half-side of the bounds.
    bound: f32,
    boundary_damping: f32,
}

impl Motion {
    /// For one step.
    pub(super) fn new(params: &SimParams, bound: f32) -> Self {
        Self {
            time_step: params.time_step,
            damping: params.damping,
            inertia_per_stiffness: params.inertia_per_stiffness(),
            max_force: params.max_force,
            max_velocity: params.max_velocity,
            bound,
            boundary_damping: params.boundary_damping,
        }
    }

    /// Moves one node and returns the acceleration that it felt, clamped, before the temperature.
    pub(super) fn advance(&self, drive: &Drive, position: &mut [f32; 3], velocity: &mut [f32; 3]) -> [f32; 3] {
        let inertia = (drive.stiffness * self.inertia_per_stiffness).max(1.0);
        let mut felt = [0, 1, 2].map(|axis| drive.force[axis] / inertia + drive.centring[axis]);
        clamp_length(&mut felt, self.max_force);
        for axis in 0..3 {
            velocity[axis] = (velocity[axis] + felt[axis] * (drive.temperature * self.time_step)) * self.damping;
        }
        clamp_length(velocity, self.max_velocity);
        for axis in 0..3 {
            let moved = position[axis] + velocity[axis] * self.time_step;
            position[axis] = moved.clamp(-self.bound, self.bound);
            if moved.abs() > self.bound {
                velocity[axis] *= -self.boundary_damping;
            }
        }
        felt
    }
}

/// Shortens `vector` to `length_max`, never above it by rounding.
fn clamp_length(vector: &mut [f32; 3], length_max: f32) {
    let length2 = squared(vector);
    if length2 > length_max * length_max {
        // A hair short, as the product below may round up.
        let scale = length_max / length2.sqrt() * (1.0 - 4.0 * f32::EPSILON);
        for axis in vector {
            *axis *= scale;
        }
    }
}

/// Squared length.
pub(super) fn squared(vector: &[f32; 3]) -> f32 {
    vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]
}

/// Whether all six numbers are finite.
pub(super) fn is_finite(position: &[f32; 3], velocity: &[f32; 3]) -> bool {
    // Any infinity or NaN makes the sum of the products with zero a NaN; finite ones make it zero.
    let sum: f32 = position.iter().chain(velocity).map(|number| number * 0.0).sum();
    sum == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn motion(params: &SimParams) -> Motion {
        Motion::new(params, 100.0)
    }

    #[test]
    fn force_and_speed_are_clamped_and_a_wall_throws_back() {
        let params = SimParams { max_force: 50.0, max_velocity: 3.0, boundary_damping: 0.5, ..SimParams::default() };
        let (mut position, mut velocity) = ([99.99, 0.0, 0.0], [900.0, 0.0, 0.0]);
        let drive = Drive { force: [1e9, 1e9, -1e9], stiffness: 0.0, centring: [0.0; 3], temperature: 1.0 };
        let felt = motion(&params).advance(&drive, &mut position, &mut velocity);
        assert!(squared(&felt).sqrt() <= 50.0 && squared(&felt).sqrt() > 49.9);
        assert_eq!(position[0], 100.0);
        assert!(velocity[0] < -1.4 && squared(&velocity).sqrt() <= 3.0, "{velocity:?}");
    }

    #[test]
    fn a_stiff_node_is_heavy_enough_not_to_overshoot() {
        let params = SimParams { damping: 1.0, max_force: 1e7, max_velocity: 1e6, ..SimParams::default() };
        let (mut position, mut velocity) = ([10.0, 0.0, 0.0], [0.0; 3]);
        let drive = Drive { force: [-10.0 * 1e9, 0.0, 0.0], stiffness: 1e9, centring: [0.0; 3], temperature: 1.0 };
        motion(&params).advance(&drive, &mut position, &mut velocity);
        assert!((position[0] - 5.0).abs() < 1e-3, "half the way: {position:?}");
    }

    #[test]
    fn one_number_that_is_not_finite_is_seen() {
        for slot in 0..6 {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut six = [f32::MAX, f32::MIN, 0.0, -0.0, 1.0, f32::MIN_POSITIVE];
                assert!(is_finite(&[six[0], six[1], six[2]], &[six[3], six[4], six[5]]));
                six[slot] = bad;
                assert!(!is_finite(&[six[0], six[1], six[2]], &[six[3], six[4], six[5]]));
            }
        }
    }
}
