//! A backend whose nodes go where the script says, and the truth of every tick that it led to.

use std::sync::{Arc, Mutex, PoisonError};

use swarmcast::graph::NodeIndex;
use swarmcast::sim::{Backend, BackendError, ParamError, SimParams, StepReport, Topology};
use swarmcast::wire::NodeRecord;

use super::chance::Chance;

/// Position and velocity of one node.
pub type Motion = ([f32; 3], [f32; 3]);

/// What the nodes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They swing about their places.
    Swing,
    /// They tremble.
    Noise,
    /// They drift to places dealt anew.
    Drift,
    /// Nothing.
    Rest,
}

#[derive(Debug)]
pub struct Script {
    chance: Chance,
    pub mode: Mode,
    /// Times the first extent of the layout.
    pub scale: f32,
    homes: Vec<[f32; 3]>,
    now: Vec<Motion>,
    held: Vec<Option<[f32; 3]>>,
    pinned: Vec<bool>,
    /// With the next step the nodes are where they belong.
    jump: bool,
    /// By tick, from 0.
    pub history: Vec<Arc<Vec<Motion>>>,
}

impl Script {
    pub fn new(mut chance: Chance, nodes: usize) -> Self {
        let homes = deal(&mut chance, nodes);
        let now: Vec<Motion> = homes.iter().map(|home| (home.map(|x| x * 100.0), [0.0; 3])).collect();
        let history = vec![Arc::new(now.clone())];
        let (held, pinned) = (vec![None; nodes], vec![false; nodes]);
        Self { chance, mode: Mode::Swing, scale: 1.0, homes, now, held, pinned, jump: false, history }
    }

    pub fn tick(&self) -> u64 {
        self.history.len() as u64 - 1
    }

    /// Every node has another place; they jump to it, or are drawn there.
    pub fn deal(&mut self, jump: bool) {
        self.homes = deal(&mut self.chance, self.homes.len());
        self.jump = jump;
    }

    fn step(&mut self) -> StepReport {
        let tick = self.history.len() as f32;
        let Self { chance, mode, scale, homes, now, held, pinned, jump, history } = self;
        let jumps = std::mem::take(jump);
        let scale = *scale * 100.0;
        for (node, ((position, velocity), home)) in now.iter_mut().zip(homes.iter()).enumerate() {
            let before = *position;
            for axis in 0..3 {
                let swing = (tick * 0.05 + node as f32 * 0.7 + axis as f32).sin() * 0.1;
                let target = (home[axis] + if *mode == Mode::Swing { swing } else { 0.0 }) * scale;
                position[axis] = match mode {
                    _ if jumps => target,
                    Mode::Swing => position[axis] + (target - position[axis]) * 0.2,
                    Mode::Drift => position[axis] + (target - position[axis]) * 0.05,
                    Mode::Noise => position[axis] + chance.unit() * scale * 0.02,
                    Mode::Rest => position[axis],
                };
            }
            if let Some(at) = held[node] {
                *position = at;
            } else if pinned[node] {
                *position = before;
            }
            for axis in 0..3 {
                velocity[axis] = (position[axis] - before[axis]) * 60.0;
            }
        }
        history.push(Arc::new(now.clone()));
        let settled = *mode == Mode::Rest && held.iter().all(Option::is_none);
        StepReport { settled, ..StepReport::default() }
    }
}

fn deal(chance: &mut Chance, nodes: usize) -> Vec<[f32; 3]> {
    (0..nodes).map(|_| [chance.unit(), chance.unit(), chance.unit()]).collect()
}

/// The backend: the script, shared with the world that directs it.
pub struct Scripted(pub Arc<Mutex<Script>>);

impl Scripted {
    fn with<R>(&self, act: impl FnOnce(&mut Script) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Backend for Scripted {
    fn name(&self) -> &'static str {
        "script"
    }

    fn upload(&mut self, _: Topology) -> Result<(), BackendError> {
        Ok(())
    }

    fn apply(&mut self, _: &SimParams) -> Result<(), ParamError> {
        Ok(())
    }

    fn params(&self) -> SimParams {
        SimParams::default()
    }

    fn step(&mut self) -> StepReport {
        self.with(Script::step)
    }

    fn hold(&mut self, node: NodeIndex, position: [f32; 3]) {
        self.with(|script| script.held[node.get()] = Some(position));
    }

    fn release(&mut self, node: NodeIndex) {
        self.with(|script| script.held[node.get()] = None);
    }

    fn pin(&mut self, node: NodeIndex, pinned: bool) {
        self.with(|script| script.pinned[node.get()] = pinned);
    }

    fn is_pinned(&self, node: NodeIndex) -> bool {
        self.with(|script| script.pinned[node.get()])
    }

    fn warm(&mut self, _: &[NodeIndex]) {}

    fn reheat(&mut self) {}

    fn write_into(&self, records: &mut [NodeRecord]) {
        self.with(|script| {
            for (record, (position, velocity)) in records.iter_mut().zip(&script.now) {
                record.set_motion(*position, *velocity);
            }
        });
    }

    fn position(&self, node: NodeIndex) -> Option<[f32; 3]> {
        self.with(|script| script.now.get(node.get()).map(|(position, _)| *position))
    }

    fn read_positions(&self, out: &mut [[f32; 3]]) {
        self.with(|script| {
            for (out, (position, _)) in out.iter_mut().zip(&script.now) {
                *out = *position;
            }
        });
    }

    fn set_extra_forces(&mut self, _: &[[f32; 4]]) {}

    fn set_springs(&mut self, _: &[f32], _: &[f32]) {}

    fn repulsion_error(&mut self, _: usize) -> Option<f32> {
        None
    }

    fn footprint(_: usize, _: usize) -> usize {
        0
    }
}
