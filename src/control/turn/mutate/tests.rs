//! Goal: a structure that the simulation cannot take costs whoever asked an answer that says so, and nothing that was said is lost. What
//! is sent again while the first is not done is done once.
//! Method: `control` alone; the test is the door, the simulation, and the thread that reads files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::Handle;
use crate::control::turn::alone::{control, ends, facts, lanes, roomy};
use crate::control::{Control, ControlLanes, FilesDesk, Room, StoreDesk};
use crate::graph::formats::Format;
use crate::graph::{Batch, EdgeDraft, EdgePatch, GraphBuilder, NodeIndex, NodeRef, Op};
use crate::handoff::{
    Consumer, DoorReply, DoorRequest, HttpQuery, NEW_NODE, Origin, Producer, Query, Replaced, RestCall, SessionId,
    ShardMessage, SimCommand, SimEvent, Steer, Structure,
};
use crate::store::{FailureKind, StoreOrder, StoreReport};
use crate::worker::{FileOrder, FileReport, Remarks};

/// How long anything may take. A loaded machine is no reason to fail.
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    control: Control,
    requests: Producer<DoorRequest>,
    replies: Consumer<DoorReply>,
    orders: Consumer<SimCommand>,
    events: Producer<SimEvent>,
    files: Consumer<FileOrder>,
    read: Producer<FileReport>,
}

fn bench(nodes: usize) -> Bench {
    bench_in(nodes, roomy())
}

fn bench_in(nodes: usize, room: Room) -> Bench {
    let mut builder = GraphBuilder::new(nodes, 0);
    for node in 0..nodes {
        builder.node(&node.to_string()).unwrap();
    }
    let ((requests, requests_in), (replies_out, replies)) = (ends(), ends());
    let ((sim, orders), (events, sim_events)) = (ends(), ends());
    let ((file_orders, files), (read, file_reports)) = (ends(), ends());
    let lanes = ControlLanes {
        requests: requests_in,
        replies: replies_out,
        sim,
        sim_events,
        files: FilesDesk { orders: file_orders, reports: file_reports, follow_ns: None },
        ..lanes()
    };
    Bench { control: control(builder.finish(), facts(room), lanes), requests, replies, orders, events, files, read }
}

impl Bench {
    fn ask(&mut self, slot: u32, method: &str, path: &str, body: &str) {
        self.ask_with(slot, method, (path, Query::default()), body);
    }

    fn ask_with(&mut self, slot: u32, method: &str, (path, query): (&str, Query), body: &str) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let call = RestCall { method: method.to_owned(), path: path.to_owned(), query, body };
        let token = Handle { slot, generation: 0 };
        let query = HttpQuery::Rest(Box::new(call));
        assert!(self.requests.push(DoorRequest::Http { token, query }).is_ok());
        self.control.turn();
    }

    /// Asks for an import under this key.
    fn import(&mut self, slot: u32, key: &str, body: &str) {
        let query = Query(vec![("idempotency_key".to_owned(), key.to_owned())]);
        self.ask_with(slot, "POST", ("/api/graph/import", query), body);
    }

    /// The next file is read: it has one edge, between the first two nodes.
    fn read_next(&mut self) {
        let Some(FileOrder::Import { token, terms, .. }) = self.files.pop() else { panic!("no import was ordered") };
        let [source, target] = ["0", "1"].map(|key| NodeRef::Key(key.into()));
        let edge = EdgeDraft { source, target, create_ends: false, patch: EdgePatch::default() };
        let outcome = Ok((Batch { ops: vec![Op::AddEdge(edge)], ..terms }, Format::Csv, Remarks::default()));
        assert!(self.read.push(FileReport::Read { token, outcome }).is_ok());
        self.control.turn();
    }

    /// Answers until there are so many, by who asked; the simulation takes every structure.
    fn answers_to(&mut self, count: usize) -> Vec<(u32, u16, String)> {
        let began = Instant::now();
        let mut answers = self.answers();
        while answers.len() < count && began.elapsed() < PATIENCE {
            if let Some((structure, _)) = self.structure() {
                let replaced = Box::new(Replaced::default());
                self.say(SimEvent::Restructured { epoch: structure.epoch, tick: 1, replaced });
            }
            answers.extend(self.answers());
            std::thread::sleep(Duration::from_millis(1));
        }
        answers.sort_unstable();
        answers
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

    /// Pins that the simulation is told of.
    fn pins(&mut self) -> Vec<(NodeIndex, bool)> {
        let pin = |order| if let SimCommand::Pin { node, pinned } = order { Some((node, pinned)) } else { None };
        std::iter::from_fn(|| self.orders.pop()).filter_map(pin).collect()
    }

    /// From now on there is a store, which does nothing by itself, and a shard.
    fn keep(&mut self) -> (Consumer<StoreOrder>, Producer<StoreReport>, Consumer<ShardMessage>) {
        let ((orders, kept), (store, reports), (shard, told)) = (ends(), ends(), ends());
        let desk = StoreDesk { orders, reports, layout_ns: u64::MAX, snapshots: PathBuf::new() };
        self.control.lanes.store = Some(desk);
        self.control.lanes.shard_messages.push(shard);
        (kept, store, told)
    }

    fn say(&mut self, event: SimEvent) {
        assert!(self.events.push(event).is_ok());
        self.control.turn();
    }
}

#[test]
fn a_pin_of_a_drag_that_the_graph_refuses_at_once_or_later_is_taken_back_and_told() {
    let mut bench = bench(3);
    let (_kept, mut store, mut told) = bench.keep();
    let (node, index) = (bench.control.graph.nodes()[1].id, NodeIndex(1));
    let origin = Origin { shard: 0, handle: Handle { slot: 1, generation: 0 }, session: SessionId(1) };
    let dragged = || SimEvent::Pinned { node, position: [1.0, 2.0, 3.0], origin };
    bench.say(dragged());
    assert_eq!((bench.pins(), told.pop().is_none()), (vec![], true), "it is on its way to the disk");
    let failed = StoreReport::Failed { version: 1, term: 1, kind: FailureKind::Full, text: "full".to_owned() };
    assert!(store.push(failed).is_ok());
    for when in ["later", "at once"] {
        bench.control.turn();
        assert_eq!(bench.pins(), [(index, false)], "{when}");
        let Some(ShardMessage::Text { handle, text }) = told.pop() else { panic!("{when}: nobody is told") };
        let text = String::from_utf8_lossy(&text);
        assert!(handle == origin.handle && text.contains("read_only") && text.contains("nodeId"), "{text}");
        if when == "later" {
            assert!(bench.events.push(dragged()).is_ok());
        }
    }
    assert!(!bench.control.graph.nodes()[1].pinned);
}

#[test]
fn the_rules_of_a_new_structure_do_not_stir_all_and_those_that_somebody_sets_do() {
    let mut bench = bench(3);
    let stirs_all = |bench: &mut Bench| {
        let orders = std::iter::from_fn(|| bench.orders.pop());
        let rules = |order| match order {
            SimCommand::Steer { order: Steer::Rules(set), .. } => Some(set.stirs_all),
            _ => None,
        };
        orders.filter_map(rules).collect::<Vec<_>>()
    };
    bench.ask(1, "PUT", "/api/simulation/two-graphs", "{}");
    assert_eq!(stirs_all(&mut bench), [true]);
    bench.ask(2, "POST", "/api/graph/nodes", r#"{"nodes":[{"key":"new"}]}"#);
    assert_eq!(stirs_all(&mut bench), [false]);
}

#[test]
fn an_import_that_comes_again_while_it_is_read_is_done_once() {
    let mut bench = bench(3);
    for slot in [1, 2] {
        bench.import(slot, "once", "0,1");
        bench.import(slot + 2, "taken", "0,2");
    }
    // Meanwhile another request has the other key.
    bench.ask(5, "POST", "/api/graph/nodes", r#"{"nodes":[{"key":"new"}],"idempotency_key":"taken"}"#);
    assert_eq!(bench.answers(), []);
    (0..4).for_each(|_| bench.read_next());
    let answers = bench.answers_to(5);
    let [first, again, late, later, other] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!((first.1, &first.2, again.1), (200, &again.2, 200), "the first answer comes again");
    assert!(first.2.contains(r#""created":1"#), "{first:?}");
    for (_, status, words) in [late, later] {
        assert!(*status == 422 && words.contains("key_reused"), "{words}");
    }
    assert_eq!(other.1, 201, "{other:?}");
    assert_eq!((bench.control.graph.edges().len(), bench.control.version()), (1, 2));
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
