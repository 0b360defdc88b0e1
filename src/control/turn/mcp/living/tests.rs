//! Goal: what the store loses of agents is asked for again, what there is no room for keeps nobody else back, and nobody speaks over a talk
//! that is over.
//! Method: `control` alone; the test is the source of agents and the store.

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::base::Handle;
use crate::base::clock::monotonic_ns;
use crate::control::turn::alone::{control, ends, facts, lanes, roomy};
use crate::control::{ControlLanes, Room, StoreDesk};
use crate::graph::{Change, Deed, GraphBuilder, NodeDraft, NodeId};
use crate::handoff::{Consumer, McpEvent, Producer};
use crate::mcp::Server;
use crate::store::{FailureKind, StoreOrder, StoreReport};

/// Time between two looks of the test: `control` looks by the clock meanwhile, which is behind it.
const STEP_NS: u64 = 10_000_000_000;

struct Bench {
    control: Control,
    orders: Consumer<StoreOrder>,
    reports: Producer<StoreReport>,
    now_ns: u64,
}

/// Over a graph of one node.
fn bench(room: Room) -> Bench {
    let mut builder = GraphBuilder::new(9, 9);
    builder.node("t").unwrap();
    let ((orders_out, orders), (reports, reports_in)) = (ends(), ends());
    let store = StoreDesk { orders: orders_out, reports: reports_in, layout_ns: u64::MAX, snapshots: PathBuf::new() };
    let control = control(builder.finish(), facts(room), ControlLanes { store: Some(store), ..lanes() });
    Bench { control, orders, reports, now_ns: monotonic_ns() }
}

impl Bench {
    /// A source tells of its agents: these, each with its status.
    fn list(&mut self, agents: &[(&str, &'static str)]) {
        let agent = |(id, status): &(&str, &'static str)| SourceAgent {
            id: (*id).into(),
            status: Some(*status),
            ..SourceAgent::default()
        };
        self.now_ns += STEP_NS;
        self.control.take_listed("there", agents.iter().map(agent).collect(), self.now_ns);
    }

    fn look(&mut self) {
        self.now_ns += STEP_NS;
        self.control.keep_agents(self.now_ns);
    }

    /// What the store is to keep next.
    fn order(&mut self) -> Option<Vec<Change>> {
        match self.orders.pop()? {
            StoreOrder::Append { entries, .. } => {
                Some(entries.iter().flat_map(|entry| entry.changes.to_vec()).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn report(&mut self, report: StoreReport) {
        assert!(self.reports.push(report).is_ok());
        self.control.turn();
    }
}

#[test]
fn the_end_of_an_agent_that_the_disk_loses_is_asked_for_again() {
    let mut bench = bench(roomy());
    bench.list(&[("a", "idle")]);
    assert!(matches!(bench.order().as_deref(), Some([Change::PutNode(_)])));
    bench.report(StoreReport::Committed { version: 1, took_ns: 1 });
    assert!(bench.control.graph.by_key("agent:there/a").is_some());
    bench.list(&[]);
    assert!(matches!(bench.order().as_deref(), Some([Change::RemoveNode(_)])));
    bench.report(StoreReport::Failed { version: 2, term: 1, kind: FailureKind::Io, text: "no disk".to_owned() });
    bench.look();
    assert!(bench.order().is_none(), "nothing can be changed");
    bench.report(StoreReport::Recovered { version: 1, term: 2, late: Vec::new() });
    bench.look();
    assert!(matches!(bench.order().as_deref(), Some([Change::RemoveNode(_)])));
    bench.look();
    assert!(bench.order().is_none(), "it is on its way");
}

#[test]
fn where_memory_has_no_room_for_more_agents_the_others_are_shown_as_they_are() {
    let mut bench = bench(Room { needed: Arc::new(|_, _| 1), available: || Some(0) });
    bench.list(&[("a", "idle")]);
    assert!(bench.order().is_some());
    bench.report(StoreReport::Committed { version: 1, took_ns: 1 });
    // As many as are let in without asking the machine.
    let ops = (0..4_095).map(|_| Op::AddNode(NodeDraft::default())).collect();
    assert!(bench.control.mutate(&Batch { ops, ..Batch::default() }, Told::Nobody).is_ok());
    assert_eq!(bench.order().map(|changes| changes.len()), Some(4_095));
    bench.list(&[("a", "running"), ("b", "idle")]);
    let changes = bench.order();
    let Some([Change::PutNode(node)]) = changes.as_deref() else { panic!("{changes:?}") };
    assert_eq!(&*node.key, "agent:there/a");
}

#[test]
fn nobody_speaks_over_a_talk_that_is_over() {
    let mut bench = bench(roomy());
    let server = Server::new("1", [0; 32], &["core"]).unwrap();
    let conn = Handle { slot: 5, generation: 0 };
    bench.control.mcp.talks.event(&server, McpEvent::Open { conn, own_user: true }, 1);
    // The first talk there is, and one that will have its place.
    let [talk, over] = [0, 1].map(|generation| Handle { slot: 0, generation });
    for (talk, agent) in [(talk, "agent:a"), (over, "agent:b")] {
        bench.control.mcp.speakers.insert(talk, agent.into());
    }
    bench.look();
    assert_eq!(bench.control.mcp.speakers.keys().collect::<Vec<_>>(), [&talk]);
    bench.control.mcp.talks.event(&server, McpEvent::Closed { conn }, 2);
    bench.look();
    assert!(bench.control.mcp.speakers.is_empty());
}

#[test]
fn what_became_of_an_operation_is_found_among_those_that_are_done() {
    let outcome = |id| Outcome::Node { id: NodeId::new(id).unwrap(), deed: Deed::Created };
    let refusal = |index| Refusal { index, code: "graph_full".into(), message: String::new() };
    let (outcomes, refused) = (vec![outcome(7), outcome(8)], vec![refusal(0), refusal(2)]);
    let agreed = Agreed { version: 1, outcomes, refused, first: None };
    let found: Vec<_> = (0..5).map(|place| outcome_at(&agreed, place).copied()).collect();
    assert_eq!(found, [None, Some(outcome(7)), None, Some(outcome(8)), None]);
}
