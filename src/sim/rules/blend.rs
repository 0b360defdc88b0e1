//! From one layout mode to the next: the places that nodes are drawn to glide from where the nodes are to where they belong.
//!
//! The glide takes [`GLIDE_STEPS`] along a curve that begins and ends at rest, the last steps of [`BLEND_STEPS`] close what a node
//! lags behind. A node whose way is longer than `max_velocity` lets it go in that time is drawn on afterwards, at that speed: the
//! clamp of the backend is never lifted. Back to the basic forces, the pull at the places of before fades out along the same curve.

#![allow(clippy::indexing_slicing, reason = "every array is as long as the positions, checked when the set was taken")]

use super::STIFFNESS_MARGIN;
use super::constraint::{minus, squared};
use crate::handoff::RuleSet;

/// Steps of a change of the mode: 2 s at 60 Hz.
pub const BLEND_STEPS: u32 = 120;

/// Of those, the ones in which the places move.
const GLIDE_STEPS: u32 = 96;

/// Pull to a place, of an edge's spring and per unit of grip: a node that its springs pull away by ten edges' stretch stands five eighths of an
/// edge beside its place. At 4 a layout whose edges have to be long was missed by two edges.
const PULL: f32 = 16.0;

/// Most that a place pulls with, in rest lengths of way.
const REACH: f32 = 4.0;

/// Where a change of the mode stands.
#[derive(Debug, Default)]
pub struct Blend {
    /// Steps since the mode in force was set.
    age: u32,
    /// The mode before had places: they pull until they have faded out.
    fading: bool,
}

impl Blend {
    /// Takes over from `before` to `after`, whose positions are those of this moment.
    pub fn change(&mut self, before: Option<&mut RuleSet>, after: &mut RuleSet) {
        match before {
            // The same mode: it goes on from where it is.
            Some(before)
                if before.targets.version == after.targets.version
                    && before.targets.from.len() == after.targets.from.len() =>
            {
                std::mem::swap(&mut before.targets.from, &mut after.targets.from);
            }
            before => {
                let had_places = before.is_some_and(|before| self.is_active(before));
                after.targets.from.copy_from_slice(&after.position);
                *self = Self { age: 0, fading: had_places && after.targets.to.is_none() };
            }
        }
    }

    /// Begins again from the set's positions.
    pub fn restart(&mut self, set: &mut RuleSet) {
        if set.targets.to.is_some() {
            set.targets.from.copy_from_slice(&set.position);
            *self = Self::default();
        }
    }

    /// Whether places pull.
    pub fn is_active(&self, set: &RuleSet) -> bool {
        set.targets.to.is_some() || (self.fading && self.age < BLEND_STEPS)
    }

    /// Whether a mode has been set and is not reached yet.
    pub fn is_changing(&self, set: &RuleSet) -> bool {
        self.is_active(set) && self.age < BLEND_STEPS
    }

    /// Adds one step's pulls and grows older.
    pub fn apply(&mut self, set: &RuleSet, position: &[[f32; 3]], force: &mut [[f32; 4]]) {
        if !self.is_active(set) {
            return;
        }
        self.age = self.age.saturating_add(1);
        let gone = smooth(self.age as f32 / GLIDE_STEPS as f32);
        let firm = PULL * set.scale.stiffness;
        let reach = REACH * set.scale.length;
        for node in 0..position.len() {
            let from = set.targets.from[node];
            let (place, share) = match &set.targets.to {
                Some(to) => {
                    let to = to[node];
                    ([0, 1, 2].map(|axis| from[axis] + gone * (to[axis] - from[axis])), 1.0)
                }
                None => (from, 1.0 - smooth(self.age as f32 / BLEND_STEPS as f32)),
            };
            let mut way = minus(place, position[node]);
            if set.scale.flat {
                way[2] = 0.0;
            }
            let distance2 = squared(way);
            let bound = if distance2 > reach * reach { reach / distance2.sqrt() } else { 1.0 };
            let pull = firm * share * set.grip[node] * bound;
            for axis in 0..3 {
                force[node][axis] += pull * way[axis];
            }
            force[node][3] += pull * STIFFNESS_MARGIN;
        }
    }
}

/// From 0 at 0 to 1 at 1, at rest at both ends.
fn smooth(along: f32) -> f32 {
    let along = along.clamp(0.0, 1.0);
    along * along * (3.0 - 2.0 * along)
}
