//! Where the compact profile and full frames of the same graph meet: positions of the newest ticks, by id.
//!
//! Written by the connections of `swarmcast.v1` that are verified, read by those of the compact profile. They may be of
//! different threads and come in any order, so a lock stands between them: verifying is never a measurement.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swarmcast::wire::{FrameHeader, NodeRecord, Profile};

use crate::plan::{Plan, Protocol};

/// Ticks that are kept: more than a second of them.
const TICKS_KEPT: usize = 96;

/// The full frames of one server.
#[derive(Debug, Default)]
pub struct Meeting(Mutex<Full>);

/// What is known of them.
#[derive(Debug, Default)]
pub struct Full {
    /// Version of the graph's structure; `None` before the first frame.
    pub epoch: Option<u32>,
    /// Place in a frame, by id word.
    pub places: HashMap<u32, u32>,
    frames: VecDeque<(u64, Vec<[f32; 3]>)>,
}

impl Full {
    /// Positions at `tick`, in the order of [`Full::places`].
    #[must_use]
    pub fn at(&self, tick: u64) -> Option<&[[f32; 3]]> {
        let found = self.frames.iter().find(|(of, _)| *of == tick);
        found.map(|(_, positions)| positions.as_slice())
    }

    /// The newest tick.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.frames.back().map(|(tick, _)| *tick)
    }
}

impl Meeting {
    /// Takes a full frame that was verified.
    pub fn bring(&self, header: &FrameHeader, records: &[NodeRecord]) {
        let (epoch, tick) = (header.epoch.get(), header.tick.get());
        let mut full = self.full();
        if full.epoch.is_some_and(|known| known > epoch) || full.newest().is_some_and(|newest| newest >= tick) {
            // Another connection has brought it.
            return;
        }
        if full.epoch != Some(epoch) {
            let words = records.iter().map(|record| record.id_flags.get());
            full.places = words.zip(0..).collect();
            full.epoch = Some(epoch);
            full.frames.clear();
        }
        let spare = if full.frames.len() < TICKS_KEPT { None } else { full.frames.pop_front() };
        let mut positions = spare.map_or_else(Vec::new, |(_, positions)| positions);
        positions.clear();
        positions.extend(records.iter().map(NodeRecord::position));
        full.frames.push_back((tick, positions));
    }

    /// What has been brought.
    pub fn full(&self) -> MutexGuard<'_, Full> {
        // A thread that panicked has ended the run; what it left is whole all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For each group of a plan where its frames meet others: groups with `verify` of one address, where one of them is of
/// the compact profile and one of `swarmcast.v1`.
#[must_use]
pub fn meetings(plan: &Plan) -> Vec<Option<Arc<Meeting>>> {
    let compact = |protocol: &Protocol| matches!(protocol, Protocol::Compact(_));
    let own = |protocol: &Protocol| matches!(protocol, Protocol::Swarmcast { profile: Profile::Own, .. });
    let mut found: HashMap<_, Arc<Meeting>> = HashMap::new();
    let mut out = Vec::new();
    for group in &plan.groups {
        let server = group.target.address;
        let beside = |of: &dyn Fn(&Protocol) -> bool| {
            plan.groups.iter().any(|other| other.verify && other.target.address == server && of(&other.protocol))
        };
        let meets = group.verify && (compact(&group.protocol) || own(&group.protocol));
        let meets = meets && beside(&compact) && beside(&own);
        out.push(meets.then(|| Arc::clone(found.entry(server).or_default())));
    }
    out
}
