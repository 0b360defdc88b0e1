//! Goal: whatever is refused or lost on its way, in the end the graph shows the agents that there are, as they are, and no others.
//! Method: agents over a graph whose batches wait for the test before they are true.

use super::*;
use crate::graph::{Change, EdgeRef, GraphBuilder, GraphLimits, NodeDraft, NodePatch, Pending, Value};

/// Time between two looks.
const LOOK_NS: u64 = 200_000_000;

struct World {
    agents: Agents,
    graph: Graph,
    limits: GraphLimits,
    pending: Pending,
    /// Changes of batches on their way, oldest first.
    under_way: VecDeque<Vec<Change>>,
    /// Of the graph.
    version: u64,
    now_ns: u64,
}

impl World {
    /// A graph of the node "t", and of nothing else.
    fn new(nodes_max: usize, edges_max: usize) -> Self {
        let mut builder = GraphBuilder::new(nodes_max, edges_max);
        builder.node("t").unwrap();
        Self {
            agents: Agents::default(),
            graph: builder.finish(),
            limits: GraphLimits { nodes: nodes_max, edges: edges_max },
            pending: Pending::default(),
            under_way: VecDeque::new(),
            version: 0,
            now_ns: 1,
        }
    }

    fn register(&mut self, name: &str) {
        let asked = Register { name: Some(name.into()), ttl_s: Some(600), ..Register::default() };
        self.agents.register(&asked, "me", [1; 16], (self.now_ns, 1), 0).unwrap();
    }

    fn agent(&mut self, name: &str) -> &mut Agent {
        self.agents.agents.get_mut(&*format!("agent:{name}")).unwrap()
    }

    fn says(&mut self, name: &str, status: &'static str) {
        let now = (self.now_ns, 1);
        self.agent(name).take(Checked { kind: "status", status: Some(status), ..Checked::default() }, now);
    }

    fn touches(&mut self, name: &str) {
        let now = (self.now_ns, 1);
        self.agent(name).take(Checked { kind: "action", target: Some("t".into()), ..Checked::default() }, now);
    }

    /// Sends a batch on its way; the version that it makes, if any of it can be done.
    fn send(&mut self, batch: &Batch) -> Option<u64> {
        let before = self.pending.len();
        let staged = self.pending.stage(&self.graph, batch, self.limits);
        let Some(staged) = staged.ok().filter(|staged| !staged.outcomes.is_empty()) else {
            self.pending.keep(before);
            return None;
        };
        self.under_way.push_back(staged.changes);
        Some(self.version + self.under_way.len() as u64)
    }

    /// A look at the agents: how many operations the batch has that it leads to, refused ones with the others.
    fn look(&mut self) -> usize {
        self.now_ns += LOOK_NS;
        self.agents.expire(self.now_ns);
        self.agents.reached(self.version);
        let Some(batch) = self.agents.take_batch(&self.graph, self.now_ns) else { return 0 };
        match self.send(&batch) {
            Some(version) => self.agents.sent(version),
            None => self.agents.refused(),
        }
        batch.ops.len()
    }

    /// What is on its way becomes true.
    fn land(&mut self) {
        for changes in std::mem::take(&mut self.under_way) {
            self.graph.commit(&changes);
            self.pending.settle();
            self.version += 1;
        }
    }

    /// What is on its way is lost.
    fn lose(&mut self) {
        self.under_way.clear();
        self.pending.keep(0);
    }

    /// Looks until nothing is asked for any more.
    fn rest(&mut self) {
        for _ in 0..10 {
            self.land();
            if self.look() == 0 {
                return;
            }
        }
        panic!("it asks for something again and again");
    }

    fn has(&self, name: &str) -> bool {
        self.graph.by_key(&format!("agent:{name}")).is_some()
    }

    fn status(&self, name: &str) -> Option<&str> {
        let node = self.graph.by_key(&format!("agent:{name}")).and_then(|index| self.graph.node(index))?;
        match node.attributes.iter().find(|(known, _)| &**known == "status") {
            Some((_, Value::Text(status))) => Some(status),
            _ => None,
        }
    }
}

/// Agents of these names, shown.
fn world(names: &[&str]) -> World {
    let mut world = World::new(100, 100);
    names.iter().for_each(|name| world.register(name));
    world.rest();
    assert!(names.iter().all(|name| world.has(name)));
    world
}

#[test]
fn an_agent_goes_though_another_touches_what_is_gone() {
    let mut world = world(&["a", "b"]);
    let gone = Op::RemoveNode { node: NodeRef::Key("t".into()) };
    assert!(world.send(&Batch { ops: vec![gone], ..Batch::default() }).is_some(), "it is there until the disk has it");
    world.touches("a");
    world.agent("b").end();
    assert_eq!(world.look(), 2);
    world.land();
    assert!(world.has("a") && !world.has("b"));
    world.rest();
    assert_eq!(world.graph.edges().len(), 0);
}

#[test]
fn a_graph_that_is_full_shows_what_becomes_of_others_and_has_room_when_one_ends() {
    let mut world = World::new(2, 100);
    world.register("b");
    world.rest();
    world.register("a");
    assert_eq!(world.look(), 1);
    world.says("b", "running");
    world.look();
    world.land();
    assert_eq!((world.has("a"), world.status("b")), (false, Some("running")));
    world.agent("b").end();
    assert_eq!(world.look(), 2, "one goes, one comes");
    world.land();
    assert!(world.has("a") && !world.has("b"), "who goes makes room in the same batch");
    world.rest();
}

#[test]
fn what_ends_before_it_is_true_goes_too() {
    let mut world = World::new(100, 100);
    world.register("a");
    assert_eq!(world.look(), 1);
    world.agent("a").end();
    assert_eq!((world.look(), world.look()), (1, 0));
    world.land();
    assert!(!world.has("a"));
    world.rest();
    world.now_ns += 600 * SECOND_NS + RECORD_NS;
    world.look();
    assert!(!world.agents.has("agent:a"), "nor is it kept");
    // A link that is over before it is there.
    let mut world = self::world(&["a"]);
    world.touches("a");
    assert_eq!(world.look(), 1);
    world.now_ns += LINK_NS;
    assert_eq!(world.look(), 1);
    world.land();
    assert_eq!(world.graph.edges().len(), 0);
    // Gone, and back before the graph is without it.
    world.agent("a").end();
    world.look();
    world.register("a");
    assert_eq!(world.look(), 1);
    world.rest();
    assert!(world.has("a"));
}

#[test]
fn what_is_lost_with_the_disk_is_asked_for_again() {
    for is_heard_of in [true, false] {
        let mut world = world(&["a", "b"]);
        world.touches("a");
        world.rest();
        // The end of a link, another status, the end of an agent: all of one batch, and gone with it.
        world.now_ns += LINK_NS;
        world.says("a", "running");
        world.agent("b").end();
        assert_eq!(world.look(), 3);
        world.lose();
        match is_heard_of {
            true => world.agents.lost(),
            // The next batch makes the version that the lost one would have made.
            false => world.register("c"),
        }
        world.rest();
        assert_eq!((world.has("b"), world.status("a"), world.graph.edges().len()), (false, Some("running"), 0));
        assert_eq!(world.has("c"), !is_heard_of);
    }
}

#[test]
fn a_link_that_there_is_no_room_for_comes_when_there_is() {
    let mut world = World::new(100, 0);
    world.register("a");
    world.rest();
    world.touches("a");
    let asked: usize = (0..24).map(|_| world.look()).sum();
    assert!((3..6).contains(&asked), "asked for again, and less and less often: {asked}");
    assert_eq!(world.version, 1, "what is refused makes no version");
    world.limits.edges = 1;
    world.touches("a");
    world.says("a", "running");
    world.rest();
    assert_eq!(world.graph.edges().len(), 1, "at once when the graph is another one");
}

#[test]
fn what_others_make_and_take_out_stays_as_they_have_it() {
    let mut world = world(&["a", "b"]);
    world.touches("a");
    world.rest();
    // An edge like the agent's own, made while that one is on its way out.
    world.now_ns += LINK_NS;
    assert_eq!(world.look(), 1);
    let [source, target] = ["agent:a", "t"].map(|key| NodeRef::Key(key.into()));
    let like_it = Op::AddEdge(links::link(source, target, TOUCHES));
    assert!(world.send(&Batch { ops: vec![like_it], ..Batch::default() }).is_some());
    world.rest();
    assert_eq!(world.graph.edges().len(), 1, "it is not the agent's to take out");
    // The same of a node.
    world.agent("b").end();
    world.look();
    world.land();
    let again = Op::UpsertNode(NodeDraft { key: Some("agent:b".into()), patch: NodePatch::default() });
    assert!(world.send(&Batch { ops: vec![again], ..Batch::default() }).is_some());
    world.rest();
    assert!(world.has("b"));
    // An edge from parent to child that somebody has taken out does not come back with the child's next word.
    let asked = Register { name: Some("c".into()), parent: Some("agent:a".into()), ..Register::default() };
    world.agents.register(&asked, "me", [1; 16], (world.now_ns, 1), 0).unwrap();
    world.rest();
    let spawned = world.graph.edges().last().unwrap().id;
    let gone = Op::RemoveEdge { edge: EdgeRef::Id(spawned) };
    assert!(world.send(&Batch { ops: vec![gone], ..Batch::default() }).is_some());
    world.land();
    world.says("c", "running");
    world.rest();
    assert_eq!((world.status("c"), world.graph.edges().len()), (Some("running"), 1));
}

#[test]
fn what_is_shown_or_on_its_way_is_not_asked_for_again() {
    let mut world = World::new(100, 100);
    world.register("a");
    assert_eq!((world.look(), world.look(), world.look()), (1, 0, 0), "on its way");
    world.land();
    assert_eq!((world.look(), world.look()), (0, 0), "shown");
    assert_eq!(world.version, 1);
    // Somebody else takes it out.
    let gone = Op::RemoveNode { node: NodeRef::Key("agent:a".into()) };
    assert!(world.send(&Batch { ops: vec![gone], ..Batch::default() }).is_some());
    world.land();
    assert_eq!((world.look(), world.look()), (1, 0));
    world.rest();
    assert!(world.has("a"));
}
