//! The parameters of the simulation, their ranges and their defaults.
//!
//! Where a default differs from what users of such systems know (`spring_k` 12, `repel_k` 800, `softening` 1e-3,
//! `max_force` 50, `max_velocity` 200, `damping` .85, `cooling` .002), the reason stands at the field. The common reason: those
//! numbers let a node cross one rest length in about 600 steps, so nothing could settle in that time, and they
//! hold for one size of graph only.

/// Axes of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimensions {
    /// The plane: z is exactly 0.
    Two,
    /// Space.
    Three,
}

/// Which law draws neighbours together and drives all others apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForceModel {
    /// Bounded repulsion that falls as 1/d^3, springs with a rest length. Source: Zhong et al., "t-FDP", TVCG 2023.
    #[default]
    TForce,
    /// Repulsion `repel_k / sqrt(node_count) * m_i * m_j * u / (1 + u^2)`, which falls as 1/d, against an attraction of `spring_k * w * d` along
    /// edges, which have no rest length; neighbours repel each other too. Source: Jacomy et al., "ForceAtlas2", 2014.
    ForceAtlas2,
    /// The same repulsion against an attraction of `spring_k * w * rest_length * ln(1 + d / rest_length)`: clusters stand
    /// farther apart. Source: Noack, "Energy models for graph clustering", 2007.
    LinLog,
}

impl ForceModel {
    /// Every name, in the order of the variants.
    pub const NAMES: &'static [&'static str] = &["t_force", "force_atlas_2", "lin_log"];

    /// The name in files, environment and flags.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TForce => "t_force",
            Self::ForceAtlas2 => "force_atlas_2",
            Self::LinLog => "lin_log",
        }
    }

    /// The model called `name`, or `None`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::TForce, Self::ForceAtlas2, Self::LinLog].into_iter().find(|model| model.name() == name)
    }
}

/// What the force layout can be told between two steps. [`SimParams::validate`] holds the ranges.
///
/// The model: node i has the repulsion mass m = 1 + log2(1 + distinct neighbours) and feels
/// - from every node at distance d that is not its neighbour, `repel_k * m_i * m_j * u / (1 + u^2)^2` away from it,
///   where u = d / `softening` (the t-force of Zhong et al., TVCG 2023: bounded, largest at u = 0.58, falling as
///   1/d^3, so what is far away does not squeeze a large graph);
/// - along every edge of weight w, `spring_k * w * grip * (d - rest_length)`, where grip is 1 at the rest length and falls
///   to `spring_tail` as `1 / (1 + u^2)`. Neighbours do not repel each other: their edge says how far apart they belong,
///   and one edge alone rests at exactly `rest_length`;
/// - towards the origin, `centre_gravity` times the offset of its component's centroid, the same for all nodes of
///   the component, so that components gather without being squeezed.
///
/// The sum over a node's inertia, times the temperature, accelerates it. Inertia is at least 1 and grows with the
/// stiffness around the node so that no step overshoots: a hub of 100,000 edges is as stable as a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimParams {
    /// Axes of the layout.
    pub dimensions: Dimensions,
    /// The laws of force; what follows is said of the first.
    pub force_model: ForceModel,
    /// Of the start positions. The same seed and graph give the same bytes.
    pub seed: u64,
    /// Seconds a step simulates, 0.0001 to 1. At .016 and 60 steps a second, wire velocities are real ones.
    pub time_step: f32,
    /// Share of the velocity that a step keeps, 0 to 0.999.
    pub damping: f32,
    /// Spring acceleration per unit of stretch, 1/s^2, 0 to 1e6. 1,200 at .016 s moves a single edge 30 % of its
    /// stretch towards rest in a step; 12 would move it 0.3 %.
    pub spring_k: f32,
    /// Length at which an edge pulls nowhere, world units, 0.01 to 10,000.
    pub rest_length: f32,
    /// Share of a spring's strength that is left when it is long, 0 to 1. The rest of it fades with the square of the length, in
    /// softenings: long edges, which small worlds are full of, then do not crush what short ones hold together. At 1 every
    /// spring is Hooke's and neighbours come to stand no nearer than others; at 0.1 neighbourhoods are kept twice as well and
    /// distances a tenth worse.
    pub spring_tail: f32,
    /// Repulsion of two nodes of mass 1, world units / s^2, 0 to 1e7.
    pub repel_k: f32,
    /// Distance beyond which nodes do not repel, world units, up to 1e6; 0 = none, the default: the tree makes the
    /// far field cheap, and without it large graphs fold over themselves.
    pub repulsion_cutoff: f32,
    /// Distance over which repulsion is softened, world units, 0.001 to 10,000: the unit of u in the model. About the
    /// rest length, so that what is not joined is pushed out to where neighbours are and beyond: half of it kept half as many
    /// neighbourhoods of trees. 1e-3 would make near nodes meet a force that only the clamp bounds.
    pub softening: f32,
    /// Pull of a component's centroid to the origin, as a share of `spring_k`, divided by `node_count^(2/3)`
    /// (3D) or `node_count` (2D), which keeps the density of a cloud of components the same at any size. 0 to 10.
    pub centre_gravity: f32,
    /// Most that the forces on a node may add up to, per unit of its inertia, world units / s^2, 1 to 1e7.
    /// 100,000 reaches about `max_velocity` in one step; 50 would take 2,500.
    pub max_force: f32,
    /// Fastest a node may move, world units / s, 0.01 to 1e6. 4,000 at .016 s is 0.8 rest lengths a step: nodes of a graph of
    /// 10,000 have 5,000 units to go before they are where they belong.
    pub max_velocity: f32,
    /// Half-side of the cube that holds every node, world units, up to 1e6. 0 = from the node count:
    /// `rest_length * max(15, 4 * sqrt(node_count))`, room for a square mesh stretched out flat.
    pub bounds: f32,
    /// Share of the speed that a node keeps when it bounces off the bounds, 0 to 1.
    pub boundary_damping: f32,
    /// Accuracy of the far field, 0 to 2: a cell of nodes acts as one when its size is at most `theta` times its
    /// distance. 0 is exact. See [`crate::sim::cpu`] for the error by setting.
    pub theta: f32,
    /// Steps at full temperature before cooling, up to 100,000.
    pub warmup_iterations: u32,
    /// Share of the temperature lost in each later step, 0 to 0.5. At .022 a layout is at rest within 600 steps of
    /// its start; at .002 it would take 5,000.
    pub cooling: f32,
    /// RMS velocity under which, for 30 steps, the layout is called settled, world units / s, 0 to 1e6.
    pub settle_velocity: f32,
    /// Whether nodes repel.
    pub repulsion: bool,
    /// Whether edges pull.
    pub springs: bool,
    /// Whether components are drawn to the origin.
    pub centring: bool,
}

/// A parameter outside its range, or not finite.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{field} must be a finite number from {min} to {max}, found {value}")]
pub struct ParamError {
    /// Its name in [`SimParams`].
    pub field: &'static str,
    /// What it was to be set to.
    pub value: f64,
    /// Least allowed.
    pub min: f64,
    /// Most allowed.
    pub max: f64,
}

/// Largest coordinate that any setting allows. Its fourth power times 9 fits a f32, so no force overflows.
pub const COORDINATE_MAX: f32 = 1e6;

/// Most warm-up steps.
const WARMUP_MAX: u32 = 100_000;

impl Default for SimParams {
    fn default() -> Self {
        Self {
            dimensions: Dimensions::Three,
            force_model: ForceModel::TForce,
            seed: 42,
            time_step: 0.016,
            damping: 0.9,
            spring_k: 1_200.0,
            rest_length: 80.0,
            spring_tail: 0.45,
            repel_k: 17_000.0,
            repulsion_cutoff: 0.0,
            softening: 75.0,
            centre_gravity: 0.2,
            max_force: 100_000.0,
            max_velocity: 4_000.0,
            bounds: 0.0,
            boundary_damping: 0.8,
            theta: 1.1,
            warmup_iterations: 100,
            cooling: 0.022,
            settle_velocity: 0.01,
            repulsion: true,
            springs: true,
            centring: true,
        }
    }
}

/// What a notch of relief adds to `theta`, and most that notches make of it.
const NOTCH_THETA: f32 = 0.2;
const NOTCH_THETA_MAX: f32 = 2.0;

impl SimParams {
    /// `theta` with what so many notches of relief take from the accuracy. One of 0 asks for exact sums and keeps them.
    #[must_use]
    pub fn theta_with(&self, notches: u8) -> f32 {
        let coarser = (self.theta + NOTCH_THETA * f32::from(notches)).min(NOTCH_THETA_MAX).max(self.theta);
        if self.theta > 0.0 { coarser } else { 0.0 }
    }

    /// What the repulsion is off at most, RMS over the RMS force, with so many notches of relief: `1e-4 + 0.14 theta^2`. The tests of
    /// `sim` hold the tree to it.
    #[must_use]
    pub fn repulsion_error_max(&self, notches: u8) -> f32 {
        1e-4 + 0.14 * self.theta_with(notches).powi(2)
    }

    /// Checks every number against the range that its field states.
    ///
    /// # Errors
    /// The first field, in the order above, that is out of range or not finite.
    pub fn validate(&self) -> Result<(), ParamError> {
        let coordinate_max = f64::from(COORDINATE_MAX);
        let ranges = [
            ("time_step", self.time_step, 1e-4, 1.0),
            ("damping", self.damping, 0.0, 0.999),
            ("spring_k", self.spring_k, 0.0, 1e6),
            ("rest_length", self.rest_length, 0.01, 1e4),
            ("spring_tail", self.spring_tail, 0.0, 1.0),
            ("repel_k", self.repel_k, 0.0, 1e7),
            ("repulsion_cutoff", self.repulsion_cutoff, 0.0, coordinate_max),
            ("softening", self.softening, 1e-3, 1e4),
            ("centre_gravity", self.centre_gravity, 0.0, 10.0),
            ("max_force", self.max_force, 1.0, 1e7),
            ("max_velocity", self.max_velocity, 0.01, 1e6),
            ("bounds", self.bounds, 0.0, coordinate_max),
            ("boundary_damping", self.boundary_damping, 0.0, 1.0),
            ("theta", self.theta, 0.0, 2.0),
            ("cooling", self.cooling, 0.0, 0.5),
            ("settle_velocity", self.settle_velocity, 0.0, 1e6),
        ];
        for (field, value, min, max) in ranges {
            // The bounds are narrowed as the value was, or 0.999 would be refused as 0.9990000128746033.
            let inside = value >= min as f32 && value <= max as f32;
            if !inside {
                return Err(ParamError { field, value: f64::from(value), min, max });
            }
        }
        if self.warmup_iterations > WARMUP_MAX {
            let (value, max) = (f64::from(self.warmup_iterations), f64::from(WARMUP_MAX));
            return Err(ParamError { field: "warmup_iterations", value, min: 0.0, max });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(SimParams::default().validate(), Ok(()));
    }

    #[test]
    fn every_number_is_checked_on_both_sides_and_for_nan() {
        type Field = fn(&mut SimParams) -> &mut f32;
        let setters: [(&str, Field); 16] = [
            ("time_step", |params| &mut params.time_step),
            ("damping", |params| &mut params.damping),
            ("spring_k", |params| &mut params.spring_k),
            ("rest_length", |params| &mut params.rest_length),
            ("spring_tail", |params| &mut params.spring_tail),
            ("repel_k", |params| &mut params.repel_k),
            ("repulsion_cutoff", |params| &mut params.repulsion_cutoff),
            ("softening", |params| &mut params.softening),
            ("centre_gravity", |params| &mut params.centre_gravity),
            ("max_force", |params| &mut params.max_force),
            ("max_velocity", |params| &mut params.max_velocity),
            ("bounds", |params| &mut params.bounds),
            ("boundary_damping", |params| &mut params.boundary_damping),
            ("theta", |params| &mut params.theta),
            ("cooling", |params| &mut params.cooling),
            ("settle_velocity", |params| &mut params.settle_velocity),
        ];
        for (field, of) in setters {
            for bad in [-1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
                let mut params = SimParams::default();
                *of(&mut params) = bad;
                let error = params.validate().unwrap_err();
                assert_eq!(error.field, field);
                let mut edge = SimParams::default();
                for end in [error.min, error.max] {
                    *of(&mut edge) = end as f32;
                    assert_eq!(edge.validate(), Ok(()), "{field} = {end} stands in its range");
                }
            }
        }
        let params = SimParams { warmup_iterations: WARMUP_MAX + 1, ..SimParams::default() };
        assert_eq!(params.validate().unwrap_err().field, "warmup_iterations");
    }
}
