//! Another structure of the graph between two ticks: everything that knows an index changes at once.

use std::collections::HashMap;

use super::Sim;
use crate::base::clock::{monotonic_ns, thread_cpu_ns};
use crate::graph::NodeIndex;
use crate::handoff::{NEW_NODE, Replaced, SimEvent, Stamp, Structure};
use crate::sim::{BackendError, Topology};

impl Sim {
    /// Goes on with another structure. Nodes that stay go on from where they are, as fast as they were; frames have the new
    /// epoch from this tick on. One that the backend cannot take, also without a device, is refused. Allocates: the backend builds its
    /// arrays, and each frame grows when it is written next.
    pub(super) fn restructure(&mut self, structure: Box<Structure>) {
        let (started_ns, started_cpu_ns) = (monotonic_ns(), thread_cpu_ns());
        let Structure {
            epoch,
            words,
            index,
            csr,
            from,
            mut place,
            mut pinned,
            touched,
            adrift,
            chains,
            mut home,
            mut records,
            mut velocity,
        } = *structure;
        self.backend.catch_up();
        self.backend.write_into(&mut records);
        let warmth = self.warmth(&from);
        for (node, before) in from.iter().enumerate().filter(|(_, before)| **before != NEW_NODE) {
            let Some(record) = records.get(*before as usize) else { continue };
            if let (Some(pinned), Some(place)) = (pinned.get_mut(node), place.get_mut(node)) {
                *pinned = self.backend.is_pinned(NodeIndex(*before));
                if place.is_none() {
                    *place = Some(record.position());
                    if let Some(velocity) = velocity.get_mut(node) {
                        *velocity = record.velocity();
                    }
                }
            }
        }
        for node in adrift {
            let held = pinned.get(node.get()).is_none_or(|pinned| *pinned)
                || self.drags.nodes().any(|dragged| from.get(node.get()).is_some_and(|before| *before == dragged.0));
            if let (false, Some(place), Some(velocity)) =
                (held, place.get_mut(node.get()), velocity.get_mut(node.get()))
            {
                (*place, *velocity) = (None, [0.0; 3]);
            }
        }
        let topology = Topology { csr, start: place, pinned };
        if let Err(error) = self.upload(topology) {
            tracing::error!(epoch, "the simulation goes on with the graph before: {error}");
            let chains = chains.into_iter().map(|(_, chain)| chain).collect();
            let spent = Box::new(Replaced { words, index, chains, home, records, velocity, ..Replaced::default() });
            self.behind = true;
            let reason = error.to_string().into();
            return self.untold.push_back(SimEvent::StructureRefused { epoch, reason, spent });
        }
        self.behind = false;
        self.backend.set_velocities(&velocity);
        self.backend.set_warmth(&warmth);
        self.backend.read_positions(&mut home);
        let home = std::mem::replace(&mut self.home, home);
        let mut replaced = Replaced { home, records, velocity, ..Replaced::default() };
        self.identity.epoch = epoch;
        replaced.words = std::mem::replace(&mut self.identity.words, words);
        replaced.index = std::mem::replace(&mut self.identity.index, index);
        self.hold_again();
        self.backend.warm(&touched);
        replaced.rules = self.rules.clear();
        replaced.side = self.side.take();
        self.forced = false;
        self.dealer.forget();
        replaced.chains.extend(chains.into_iter().map(|(class, chain)| self.classes.rechain(class, chain)));
        self.moving = true;
        // Every class gets a frame of the new epoch with this tick, paused or not.
        self.owed = true;
        self.metrics.sim.structures.add(1);
        self.metrics.sim.structure_ns.set(monotonic_ns().saturating_sub(started_ns) as f64);
        replaced.busy_ns = thread_cpu_ns().saturating_sub(started_cpu_ns);
        self.show_control();
        self.untold.push_back(SimEvent::Restructured { epoch, tick: self.tick, replaced: Box::new(replaced) });
    }

    /// Shows `control` alone where the nodes are in the new structure: who is answered may ask for that before the next tick.
    fn show_control(&mut self) {
        let (now_ns, tick, flags) = (monotonic_ns(), self.tick, self.flags());
        let Self { backend, identity, pool, classes, lanes, .. } = self;
        let stamp = Stamp { epoch: identity.epoch, tick, tick_ns: now_ns, published_ns: now_ns, flags };
        let shown = pool.publish(|frame| {
            frame.begin(stamp, &identity.words);
            backend.write_into(frame.nodes_mut());
            classes.note(frame);
        });
        if let Some(frame) = shown {
            let _ = lanes.latest.push_quietly(frame);
        }
    }

    /// How warm nodes are that stay, by their new indices. What a change has warmed goes on to its place through the next one.
    fn warmth(&mut self, from: &[u32]) -> Vec<(NodeIndex, f32)> {
        let warm: HashMap<u32, f32> =
            self.backend.warmth().into_iter().map(|(node, warmth)| (node.0, warmth)).collect();
        if warm.is_empty() {
            return Vec::new();
        }
        let stays = |(node, before): (u32, &u32)| Some((NodeIndex(node), *warm.get(before)?));
        (0..).zip(from).filter_map(stays).collect()
    }

    fn upload(&mut self, topology: Topology) -> Result<(), BackendError> {
        // Kept for the processor: the device may have no room for it.
        let again = (self.backend.name() != "cpu").then(|| topology.clone());
        match (self.backend.upload(topology), again) {
            (Err(BackendError::Device(error)), Some(again)) if self.backend.give_up_device() => {
                tracing::error!("the device cannot take the graph as it is now, the processor takes over: {error}");
                self.backend.upload(again)
            }
            (done, _) => done,
        }
    }

    /// What is dragged is held in the new structure too, where it is.
    fn hold_again(&mut self) {
        let Self { drags, identity, backend, .. } = self;
        drags.restructure(|node| identity.index.get(node));
        for node in drags.nodes() {
            if let Some(position) = backend.position(node) {
                backend.hold(node, position);
            }
        }
    }
}
