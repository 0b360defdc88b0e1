//! Goal: a structure that the simulation cannot take costs whoever asked an answer that says so, and nothing that was said is lost.
//! Method: `control` alone; the test is the door and the simulation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::api::steer::SteerFacts;
use crate::base::Handle;
use crate::control::{Control, ControlFacts, ControlLanes, FilesDesk, Jobs, Past, Room, SettingsFacts, net_limits};
use crate::graph::{GraphBuilder, GraphLimits, NodeIndex};
use crate::handoff::{
    Bounds, Consumer, DoorReply, DoorRequest, Doorbell, HttpQuery, NEW_NODE, Overflow, Producer, Query, Replaced,
    RestCall, RuleScale, SimCommand, SimEvent, Structure, lane,
};
use crate::metrics::{Health, Metrics};
use crate::settings::NetOptions;

struct Bench {
    control: Control,
    requests: Producer<DoorRequest>,
    replies: Consumer<DoorReply>,
    orders: Consumer<SimCommand>,
    events: Producer<SimEvent>,
}

fn bench(nodes: usize) -> Bench {
    bench_in(nodes, Room { needed: Arc::new(|_, _| 0), available: || None })
}

fn bench_in(nodes: usize, room: Room) -> Bench {
    let quiet = Arc::new(Doorbell::silent());
    let mut builder = GraphBuilder::new(nodes, 0);
    for node in 0..nodes {
        builder.node(&node.to_string()).unwrap();
    }
    let (requests, requests_in) = lane("requests", 64, Overflow::Refuse, Arc::clone(&quiet));
    let (replies_out, replies) = lane("replies", 64, Overflow::Refuse, Arc::clone(&quiet));
    let (sim, orders) = lane("orders", 64, Overflow::Refuse, Arc::clone(&quiet));
    let (events, sim_events) = lane("events", 64, Overflow::Refuse, Arc::clone(&quiet));
    let (_, latest) = lane("latest", 1, Overflow::Conflate, Arc::clone(&quiet));
    let scale = RuleScale { stiffness: 1_200.0, length: 80.0, force_cap: 1e5, flat: false };
    let facts = ControlFacts {
        name: "model".to_owned(),
        tick_rate: 60,
        dimensions: 3,
        backend: "script",
        connections_max: 64,
        connections_per_address_max: None,
        connections_per_address_automatic: 64,
        steer: SteerFacts { scale, bounds: Bounds { fixed: 10_000.0, unit: 0.0, most: 10_000.0 } },
        limits: GraphLimits { nodes: 9_000, edges: 1_000 },
        room,
        settings: SettingsFacts::default(),
        net_limits: Arc::new(net_limits(&NetOptions::default())),
    };
    let lanes = ControlLanes {
        requests: requests_in,
        replies: replies_out,
        shard_events: vec![],
        shard_messages: vec![],
        sim,
        sim_events,
        latest,
        jobs: Jobs::new(
            lane("jobs", 1, Overflow::Refuse, Arc::clone(&quiet)).0,
            lane("reports", 2, Overflow::Refuse, Arc::clone(&quiet)).1,
        ),
        store: None,
        files: FilesDesk {
            orders: lane("files", 1, Overflow::Refuse, Arc::clone(&quiet)).0,
            reports: lane("read", 1, Overflow::Refuse, Arc::clone(&quiet)).1,
            follow_ns: None,
        },
        mcp: None,
        sources: None,
    };
    let (past, metrics) = (Past { epoch: 1, ..Past::default() }, Arc::new(Metrics::new(0)));
    let health = Arc::new(Health::default());
    let control = Control::new(builder.finish(), past, facts, lanes, quiet, metrics, health, Vec::new());
    Bench { control, requests, replies, orders, events }
}

impl Bench {
    fn ask(&mut self, slot: u32, method: &str, path: &str, body: &str) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let call = RestCall { method: method.to_owned(), path: path.to_owned(), query: Query::default(), body };
        let token = Handle { slot, generation: 0 };
        let query = HttpQuery::Rest(Box::new(call));
        assert!(self.requests.push(DoorRequest::Http { token, query }).is_ok());
        self.control.turn();
    }

    /// Who was answered, with which status and words.
    fn answers(&mut self) -> Vec<(u32, u16, String)> {
        self.control.turn();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let answer = |reply| match reply {
            DoorReply::Http { token, status, lead, body, .. } => (token.slot, status, text(&[lead, body].concat())),
            DoorReply::Headed { token, status, body, .. } => (token.slot, status, text(&body)),
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| self.replies.pop()).map(answer).collect()
    }

    /// The next structure that the simulation is sent, and what it is told behind it.
    fn structure(&mut self) -> Option<(Structure, Vec<SimCommand>)> {
        let mut orders = std::iter::from_fn(|| self.orders.pop());
        let structure = orders.find_map(|order| match order {
            SimCommand::Restructure { structure } => Some(*structure),
            _ => None,
        })?;
        Some((structure, orders.collect()))
    }

    fn say(&mut self, event: SimEvent) {
        assert!(self.events.push(event).is_ok());
        self.control.turn();
    }
}

#[test]
fn a_batch_that_memory_has_no_room_for_is_refused_whole() {
    let room = Room { needed: Arc::new(|nodes, _| nodes as u64 * 1_000), available: || Some(5_000_000) };
    let mut bench = bench_in(3, room);
    let nodes = |count| format!(r#"{{"nodes":[{}]}}"#, vec!["{}"; count].join(","));
    bench.ask(1, "POST", "/api/graph/nodes", &nodes(6_000));
    let answers = bench.answers();
    let [(1, 507, words)] = answers.as_slice() else { panic!("{answers:?}") };
    assert!(words.contains("memory_full") && words.contains("ops[5999].memory"), "{words}");
    assert!(words.contains("5.7 MiB more") && words.contains("4.8 MiB available"), "{words}");
    assert!(bench.structure().is_none());
    bench.ask(2, "POST", "/api/graph/nodes", &nodes(4_500));
    let (structure, _) = bench.structure().unwrap();
    assert_eq!(structure.from.len(), 4_503, "none of those before, all of these");
}

#[test]
fn a_structure_that_is_refused_is_answered_and_sent_again_whole() {
    let mut bench = bench(3);
    bench.ask(1, "POST", "/api/graph/nodes", r#"{"nodes":[{"key":"new"}]}"#);
    let (first, _) = bench.structure().unwrap();
    assert_eq!((first.epoch, first.from.as_slice()), (2, &[0, 1, 2, NEW_NODE][..]));
    assert_eq!(bench.answers(), [], "not before the simulation has it");
    // Said while it is on its way: the simulation may not keep that either.
    bench.ask(2, "PATCH", "/api/graph/nodes/1", r#"{"pinned":true,"position":[1,2,3]}"#);
    let _ = bench.answers();
    let spent = Box::new(Replaced::default());
    bench.say(SimEvent::StructureRefused { epoch: 2, reason: "no room for 4 nodes".into(), spent });
    let answers = bench.answers();
    let [(1, 503, words)] = answers.as_slice() else { panic!("{answers:?}") };
    assert!(words.contains("not_simulated") && words.contains("no room for 4 nodes"), "{words}");
    assert!(words.contains("made and kept"), "{words}");
    assert!(bench.structure().is_none(), "not at once");
    std::thread::sleep(Duration::from_millis(2_100));
    bench.control.turn();
    let (again, told) = bench.structure().unwrap();
    assert_eq!((again.epoch, again.from, again.words), (2, first.from, first.words), "from what the simulation has");
    assert_eq!((again.touched, again.adrift), (vec![NodeIndex(1)], first.adrift), "what was put somewhere meanwhile");
    let node = NodeIndex(first.index.get(crate::graph::NodeId::new(1).unwrap()).unwrap().0);
    let pinned = told.iter().any(|order| matches!(order, SimCommand::Pin { node: one, pinned: true } if *one == node));
    let placed = told
        .iter()
        .any(|order| matches!(order, SimCommand::Place { node: one, position: [1.0, 2.0, 3.0] } if *one == node));
    assert!(pinned && placed, "{told:?}");
    bench.say(SimEvent::Restructured { epoch: 2, tick: 9, replaced: Box::new(Replaced::default()) });
    bench.ask(3, "POST", "/api/graph/nodes", r#"{"nodes":[{"key":"newer"}]}"#);
    for _ in 0..100 {
        bench.control.turn();
        std::thread::sleep(Duration::from_millis(1));
    }
    let (next, told) = bench.structure().unwrap();
    assert_eq!((next.epoch, next.from.as_slice()), (3, &[0, 1, 2, 3, NEW_NODE][..]), "it goes on");
    assert!(told.is_empty(), "and nothing is said twice: {told:?}");
}
