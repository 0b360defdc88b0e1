//! What steers a layout beside its basic forces, as `control` compiles it for `sim`: indices instead of ids, every buffer that
//! applying it needs, nothing to be allocated or freed by the thread that applies it.

use std::sync::Arc;

use crate::graph::NodeIndex;

/// How strongly and how far, in the units of the simulation at hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleScale {
    /// Force per world unit that a rule of weight 1 exerts on a node of grip 1: `spring_k`.
    pub stiffness: f32,
    /// World units: `rest_length`.
    pub length: f32,
    /// Most that constraints and semantic forces together exert on a node, per unit of its grip, world units / s^2.
    pub force_cap: f32,
    /// The layout is a plane: no rule acts along z.
    pub flat: bool,
}

/// Half-side of the cube that holds every node, by the number of nodes. World units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Whatever the number of nodes; 0 when it follows from that.
    pub fixed: f32,
    /// What is as long as a quarter of the root of the number of nodes, and at least 15 times.
    pub unit: f32,
    /// At most.
    pub most: f32,
}

impl Bounds {
    /// For so many nodes.
    #[must_use]
    pub fn of(&self, node_count: usize) -> f32 {
        if self.fixed > 0.0 {
            return self.fixed;
        }
        (self.unit * (4.0 * (node_count as f32).sqrt()).max(15.0)).min(self.most)
    }
}

/// What one constraint asks of its nodes. Lengths in world units.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// Each at this place.
    FixedPosition {
        /// Where.
        at: [f32; 3],
    },
    /// Each pair at least so far apart.
    Separation {
        /// Least distance.
        distance: f32,
    },
    /// All at one coordinate: horizontally aligned ones share y, vertically aligned x, aligned in depth z.
    Align {
        /// 0 to 2.
        axis: u8,
        /// Which coordinate; their own mean when `None`.
        at: Option<f32>,
    },
    /// Each within so much of their common centre.
    Cluster {
        /// Most from the centre.
        radius: f32,
    },
    /// Each inside the box.
    Boundary {
        /// Its low corner.
        min: [f32; 3],
        /// Its high corner.
        max: [f32; 3],
    },
    /// Each, in the order of the list, at least `gap` further along `direction` than the one before.
    DirectionalFlow {
        /// Of length 1.
        direction: [f32; 3],
        /// Least advance.
        gap: f32,
    },
    /// Each at this distance from a centre.
    RadialDistance {
        /// Where, when `centre_node` is none.
        centre: [f32; 3],
        /// A node in whose place the centre is; it is not moved.
        centre_node: Option<u32>,
        /// How far.
        radius: f32,
    },
    /// Each at this coordinate.
    LayerDepth {
        /// 0 to 2.
        axis: u8,
        /// Which coordinate.
        depth: f32,
    },
    /// Those of one meaning within `distance` of their common centre. `group_ends` are the ends, in the list of nodes, of the runs of
    /// one meaning.
    Semantic {
        /// Ascending; the last is the count of nodes.
        group_ends: Box<[u32]>,
        /// Most from the centre.
        distance: f32,
    },
}

/// One constraint on nodes by index.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Its name outside.
    pub key: u32,
    /// Changes whenever what is asked does: the ramp begins again then.
    pub revision: u32,
    /// 0 for one that is switched off.
    pub weight: f32,
    /// On whom.
    pub nodes: Box<[u32]>,
    /// What.
    pub demand: Demand,
    /// Steps that it has acted for.
    pub age: u32,
    /// Steps since the violation last fell.
    pub quiet: u32,
    /// Root mean square of the distances by which it was missed in the last step, world units; not a number before the first.
    pub violation: f32,
}

/// Nodes drawn to their level.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelPull {
    /// `[node_count]`, world units; not a number for a node without a level.
    pub target: Arc<[f32]>,
    /// 0 to 2.
    pub axis: u8,
    /// Of an edge's spring.
    pub strength: f32,
}

/// The type of a node without one.
pub const UNTYPED: u32 = u32::MAX;

/// Nodes drawn to others of their type.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeCluster {
    /// `[node_count]`, below the length of `centre`, or [`UNTYPED`].
    pub of: Arc<[u32]>,
    /// Of an edge's spring.
    pub strength: f32,
    /// World units from the centre within which nothing pulls.
    pub distance: f32,
    /// Per type: sum of the positions and how many; memory of a step.
    pub centre: Box<[[f64; 4]]>,
}

/// Nodes that keep their bodies apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Collision {
    /// World units.
    pub radius: f32,
    /// Of an edge's spring.
    pub strength: f32,
    /// `[node_count + 1]`, rounded up to a power of two: where the nodes of each cell begin; memory of a step.
    pub cell_start: Box<[u32]>,
    /// `[node_count]`: nodes by cell; memory of a step.
    pub by_cell: Box<[u32]>,
    /// A bit for an eighth of each bucket: whether a node is there. Most cells around a node are empty, and this says so from the cache;
    /// memory of a step.
    pub occupied: Box<[u64]>,
}

impl Collision {
    /// With its memory.
    #[must_use]
    pub fn new(radius: f32, strength: f32, node_count: usize) -> Self {
        let cells = node_count.next_power_of_two().max(2);
        let (cell_start, by_cell) = (vec![0; cells + 1].into(), vec![0; node_count].into());
        Self { radius, strength, cell_start, by_cell, occupied: vec![0; cells.div_ceil(8)].into() }
    }
}

/// Two populations kept apart along x.
#[derive(Clone, Debug, PartialEq)]
pub struct Populations {
    /// `[node_count]`: agent or not.
    pub agent: Arc<[bool]>,
    /// Least distance of the two centres along x, world units.
    pub distance: f32,
}

/// A layout mode: places that nodes are drawn to.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// Changes with the mode; what is in force goes over to it smoothly.
    pub version: u32,
    /// `[node_count]`, world units; none for no places, which lets go of the ones before.
    pub to: Option<Arc<[[f32; 3]]>>,
    /// `[node_count]`: where the nodes were when the mode changed; memory.
    pub from: Box<[[f32; 3]]>,
}

/// Everything that steers one epoch's layout.
#[derive(Clone, Debug)]
pub struct RuleSet {
    /// Of the structure that the indices are of; a set of another one is not taken.
    pub epoch: u32,
    /// Units.
    pub scale: RuleScale,
    /// `[node_count]`: 1 + sum of the weights of its edges. A rule pulls a hub as firmly as its springs hold it.
    pub grip: Arc<[f32]>,
    /// It differs from the one before in more than its constraints and the structure: the whole layout has to look for its places.
    pub stirs_all: bool,
    /// In the order of their keys.
    pub constraints: Vec<Constraint>,
    /// The nodes of all constraints, ascending, once each.
    pub touched: Box<[NodeIndex]>,
    /// Levels of a directed graph.
    pub levels: Option<LevelPull>,
    /// Centres of the types.
    pub types: Option<TypeCluster>,
    /// Bodies.
    pub collision: Option<Collision>,
    /// Agents beside knowledge.
    pub populations: Option<Populations>,
    /// The layout mode.
    pub targets: Targets,
    /// `[node_count]`: memory for what a step reads.
    pub position: Box<[[f32; 3]]>,
    /// `[node_count]`: memory for what a step exerts: x, y, z, stiffness.
    pub force: Box<[[f32; 4]]>,
}

impl RuleSet {
    /// No rules for a graph of nodes with these grips.
    #[must_use]
    pub fn none(epoch: u32, scale: RuleScale, grip: Arc<[f32]>) -> Self {
        let node_count = grip.len();
        Self {
            epoch,
            scale,
            grip,
            stirs_all: true,
            constraints: Vec::new(),
            touched: Box::default(),
            levels: None,
            types: None,
            collision: None,
            populations: None,
            targets: Targets { version: 0, to: None, from: vec![[0.0; 3]; node_count].into() },
            position: vec![[0.0; 3]; node_count].into(),
            force: vec![[0.0; 4]; node_count].into(),
        }
    }

    /// Puts the constraints in order and lists the nodes that they touch.
    #[must_use]
    pub fn with_constraints(mut self, mut constraints: Vec<Constraint>) -> Self {
        constraints.sort_by_key(|constraint| constraint.key);
        let nodes = constraints.iter().flat_map(|constraint| constraint.nodes.iter());
        let mut touched: Vec<NodeIndex> = nodes.map(|node| NodeIndex(*node)).collect();
        touched.sort_unstable();
        touched.dedup();
        self.touched = touched.into();
        self.constraints = constraints;
        self
    }
}

/// Strengths and rest lengths of all springs, in the order of the rows' half-edges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpringTable {
    /// Of the structure that the rows are of.
    pub epoch: u32,
    /// `[half_edge_count]`.
    pub weight: Box<[f32]>,
    /// `[half_edge_count]`, world units.
    pub rest: Box<[f32]>,
}

/// How far each constraint was missed, by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Violations {
    /// Capacity for every constraint, and after the measurement its key, its violation in world units (not a number while it has none)
    /// and its age in steps.
    pub rows: Vec<(u32, f32, u32)>,
}
