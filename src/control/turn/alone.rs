//! `control` alone, for unit tests: what is at the other ends of its lanes is the test, or nobody.

use std::sync::Arc;

use crate::api::steer::SteerFacts;
use crate::control::{Control, ControlFacts, ControlLanes, FilesDesk, Jobs, Past, Room, SettingsFacts, net_limits};
use crate::graph::{Graph, GraphLimits};
use crate::handoff::{Bounds, Consumer, Doorbell, Overflow, Producer, RuleScale, lane};
use crate::metrics::{Health, Metrics};
use crate::settings::NetOptions;

/// Both ends of a lane whose bell nobody hears.
pub(super) fn ends<T>() -> (Producer<T>, Consumer<T>) {
    lane("of the test", 64, Overflow::Refuse, Arc::new(Doorbell::silent()))
}

/// The usual units, with springs of this length.
pub(super) fn units(length: f32) -> SteerFacts {
    let scale = RuleScale { stiffness: 1_200.0, length, force_cap: 1e5, flat: false };
    SteerFacts { scale, bounds: Bounds { fixed: 10_000.0, unit: 0.0, most: 10_000.0 } }
}

/// Memory without an end.
pub(super) fn roomy() -> Room {
    Room { needed: Arc::new(|_, _| 0), available: || None }
}

/// Of an engine whose memory has this room.
pub(super) fn facts(room: Room) -> ControlFacts {
    ControlFacts {
        name: "model".to_owned(),
        tick_rate: 60,
        dimensions: 3,
        backend: "script",
        connections_max: 64,
        connections_per_address_max: None,
        connections_per_address_automatic: 64,
        steer: units(80.0),
        limits: GraphLimits { nodes: 9_000, edges: 1_000 },
        room,
        settings: SettingsFacts::default(),
        net_limits: Arc::new(net_limits(&NetOptions::default())),
    }
}

/// Lanes with nobody at their other ends, and no store.
pub(super) fn lanes() -> ControlLanes {
    ControlLanes {
        requests: ends().1,
        replies: ends().0,
        shard_events: vec![],
        shard_messages: vec![],
        sim: ends().0,
        sim_events: ends().1,
        latest: ends().1,
        jobs: Jobs::new(ends().0, ends().1),
        store: None,
        files: FilesDesk { orders: ends().0, reports: ends().1, follow_ns: None },
        mcp: None,
        sources: None,
    }
}

/// `control` over a graph that is at its first epoch.
pub(super) fn control(graph: Graph, facts: ControlFacts, lanes: ControlLanes) -> Control {
    let (past, metrics) = (Past { epoch: 1, ..Past::default() }, Arc::new(Metrics::new(0)));
    let (bell, health) = (Arc::new(Doorbell::silent()), Arc::new(Health::default()));
    Control::new(graph, past, facts, lanes, bell, metrics, health, Vec::new())
}
