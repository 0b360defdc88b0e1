//! Warmth of single nodes in a layout that is cold: what a drag, a pin or a change of the graph moves, and what moves along.
//!
//! The warmth of a node is a temperature of its own, used where it is above that of all. It fades, and while the node goes
//! somewhere it is handed on to its neighbours, so a disturbance reaches as far as it moves anything and the rest stays where
//! it is.

#![allow(clippy::indexing_slicing, reason = "slots are those of the arrays")]

use super::springs::Springs;
use crate::sim::SimParams;

/// Share of its warmth that a node keeps in a step: a tenth after 45.
const KEPT: f32 = 0.95;

/// Share of its warmth that a moving node gives each neighbour.
const HANDED_ON: f32 = 0.7;

/// Way in a step, in rest lengths, from which warmth is handed on.
const MOVING: f32 = 0.002;

/// Warmth under which a node is as cold as all.
const COLD: f32 = 1e-3;

/// The warm nodes of a layout.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    /// By slot; 0 for nodes that are as cold as all.
    of: Vec<f32>,
    /// Slots of warm nodes, each once.
    warm: Vec<u32>,
}

impl Warmth {
    /// For `node_count` cold nodes.
    pub(super) fn new(node_count: usize) -> Self {
        Self { of: vec![0.0; node_count], warm: Vec::with_capacity(node_count) }
    }

    /// Bytes held for `node_count` nodes.
    pub(super) const fn footprint(node_count: usize) -> usize {
        node_count * (size_of::<f32>() + size_of::<u32>())
    }

    /// 0 to 1.
    pub(super) fn of(&self, slot: usize) -> f32 {
        self.of[slot]
    }

    /// Makes every node as cold as all.
    pub(super) fn cool(&mut self) {
        self.of.fill(0.0);
        self.warm.clear();
    }

    /// Whether any node is warm.
    pub(super) fn any(&self) -> bool {
        !self.warm.is_empty()
    }

    /// Slots of the warm nodes, and how warm each is.
    pub(super) fn each(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.warm.iter().map(|slot| (*slot as usize, self.of[*slot as usize]))
    }

    /// Makes a node at least this warm.
    pub(super) fn raise(&mut self, slot: usize, to: f32) {
        let of = &mut self.of[slot];
        if to < COLD || *of >= to {
            return;
        }
        if *of == 0.0 {
            self.warm.push(slot as u32);
        }
        *of = to;
    }

    /// Makes the neighbours of a node at least this warm.
    pub(super) fn raise_around(&mut self, springs: &Springs, slot: usize, to: f32) {
        springs.neighbours(slot).iter().for_each(|other| self.raise(*other as usize, to));
    }

    /// Ends a step: warm nodes fade, and those that move hand their warmth on. O(half-edges of warm nodes), no allocation.
    pub(super) fn end_step(&mut self, params: &SimParams, springs: &Springs, velocity: &[[f32; 3]]) {
        let moving = MOVING * params.rest_length / params.time_step;
        // Those that become warm by this wait for the next step: it goes on by one edge in each.
        for turn in 0..self.warm.len() {
            let slot = self.warm[turn] as usize;
            let [x, y, z] = velocity[slot];
            if x * x + y * y + z * z > moving * moving {
                self.raise_around(springs, slot, self.of[slot] * HANDED_ON);
            }
        }
        let of = &mut self.of;
        self.warm.retain(|slot| {
            let of = &mut of[*slot as usize];
            *of *= KEPT;
            if *of < COLD {
                *of = 0.0;
            }
            *of > 0.0
        });
    }
}
