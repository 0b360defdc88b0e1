//! Goal: a source is asked as the protocol says, over one connection, and whatever the other side does it is asked again when it should be.
//! Method: the state machine alone, on a clock that the test turns; the other side is the test.

use serde_json::{Value, json};

use super::*;

const MS: u64 = 1_000_000;

/// A source, and the time.
struct World {
    source: Source,
    now_ns: u64,
}

fn options() -> SourceOptions {
    SourceOptions { address: "there:9500".into(), token: None, tool: None, interval_ns: 5 * SECOND_NS }
}

impl World {
    fn new(options: SourceOptions) -> Self {
        Self { source: Source::new(3, options, 7), now_ns: 1 }
    }

    /// Lets the time pass until something is due, and does it.
    fn next(&mut self) -> Deed {
        self.now_ns = self.now_ns.max(self.source.due_ns());
        self.source.turn(self.now_ns)
    }

    fn connect(&mut self) -> Value {
        assert_eq!(self.next(), Deed::Connect);
        self.source.connected(self.now_ns);
        self.sent()
    }

    /// The one message that was sent.
    fn sent(&mut self) -> Value {
        let mut all = self.all_sent();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn all_sent(&mut self) -> Vec<Value> {
        let out = std::mem::take(self.source.out());
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn hear(&mut self, message: &Value) -> Deed {
        self.now_ns += MS;
        self.source.line(Some(message.to_string().as_bytes()), self.now_ns)
    }

    fn answer(&mut self, to: &Value, result: Value) -> Deed {
        self.hear(&json!({ "jsonrpc": "2.0", "id": to["id"], "result": result }))
    }

    /// From the connection to the first question for agents.
    fn begin(&mut self, schema: Value) -> Value {
        let hello = self.connect();
        assert_eq!(
            (&hello["method"], &hello["params"]["protocolVersion"]),
            (&json!("initialize"), &json!("2025-11-25"))
        );
        self.answer(&hello, json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": { "name": "x", "version": "1" } }));
        let sent = self.all_sent();
        assert_eq!(sent[0]["method"], "notifications/initialized");
        assert_eq!(sent[1]["method"], "tools/list");
        let tools = json!({ "tools": [{ "name": "agent_list", "inputSchema": schema }, { "name": "swarm_init" }] });
        self.answer(&sent[1], tools);
        let asked = self.sent();
        assert_eq!((&asked["method"], &asked["params"]["name"]), (&json!("tools/call"), &json!("agent_list")));
        asked
    }

    fn report(&mut self) -> SourceReport {
        self.source.report().unwrap()
    }
}

fn agents(ids: &[&str]) -> Value {
    let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
    json!({ "content": [{ "type": "text", "text": json!({ "agents": rows }).to_string() }] })
}

#[test]
fn one_connection_serves_every_list() {
    let mut world = World::new(options());
    let mut asked = world.begin(json!({ "type": "object" }));
    assert_eq!(asked["params"]["arguments"], json!({}), "it takes nothing");
    for round in 1..20 {
        assert_eq!(world.answer(&asked, agents(&["a", "b"])), Deed::Go);
        let SourceReport { source, state, agents } = world.report();
        assert_eq!((source, agents.unwrap().len(), state.lists, state.connections), (3, 2, round, 1));
        assert_eq!(
            (state.breaker, state.failures, state.tool.as_deref()),
            (BreakerState::Closed, 0, Some("agent_list"))
        );
        let answered_ns = world.now_ns;
        assert_eq!(world.next(), Deed::Go);
        assert_eq!(world.now_ns - answered_ns, 5 * SECOND_NS);
        asked = world.sent();
    }
}

#[test]
fn pages_are_put_together_where_the_tool_has_them() {
    let mut world = World::new(options());
    let schema =
        json!({ "properties": { "limit": { "type": "integer", "maximum": 50 }, "cursor": { "type": "string" } } });
    let asked = world.begin(schema);
    assert_eq!(asked["params"]["arguments"], json!({ "limit": 50 }));
    let page = |ids: &[&str], next: Option<&str>| {
        let rows: Vec<Value> = ids.iter().map(|id| json!({ "agent_id": id })).collect();
        json!({ "content": [], "structuredContent": { "agents": rows, "next_cursor": next } })
    };
    world.answer(&asked, page(&["a", "b"], Some("more")));
    assert!(world.source.report().is_none_or(|report| report.agents.is_none()), "half a list is none");
    let asked = world.sent();
    assert_eq!(asked["params"]["arguments"], json!({ "limit": 50, "cursor": "more" }));
    world.answer(&asked, page(&["c"], None));
    let ids: Vec<_> = world.report().agents.unwrap().into_iter().map(|agent| agent.id).collect();
    assert_eq!(ids, ["a".into(), "b".into(), "c".into()]);
    // A list without an end is no list.
    assert_eq!(world.next(), Deed::Go);
    for _ in 0..SOURCE_PAGES_MAX {
        let asked = world.sent();
        world.answer(&asked, page(&["a"], Some("more")));
    }
    let SourceReport { state, agents, .. } = world.report();
    assert!(agents.is_none() && state.last_error.unwrap().contains("64 pages"));
}

#[test]
fn a_server_of_the_stateless_era_is_asked_in_its_words() {
    let mut world = World::new(SourceOptions { token: Some("secret".into()), ..options() });
    let hello = world.connect();
    assert_eq!(hello["params"]["_meta"][AUTHORIZATION], "secret");
    world
        .hear(&json!({ "jsonrpc": "2.0", "id": hello["id"], "error": { "code": -32601, "message": "no initialize" } }));
    let discover = world.sent();
    assert_eq!(discover["method"], "server/discover");
    let meta = &discover["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(
        (&meta["io.modelcontextprotocol/clientCapabilities"], &meta[AUTHORIZATION]),
        (&json!({}), &json!("secret"))
    );
    world.answer(&discover, json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"] }));
    let tools = world.sent();
    assert_eq!(tools["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    world.answer(&tools, json!({ "tools": [{ "name": "agent_list" }, { "name": "list_agents" }] }));
    let asked = world.sent();
    assert_eq!(asked["params"]["name"], "list_agents", "ours goes before the customary one");
    world.answer(&asked, agents(&["a"]));
    assert_eq!(world.report().agents.unwrap().len(), 1);
}

#[test]
fn what_hangs_is_left_after_its_time_and_asked_again_on_a_new_connection() {
    let mut world = World::new(options());
    let begun_ns = world.now_ns;
    assert_eq!(world.next(), Deed::Connect);
    assert_eq!(world.source.turn(world.now_ns + CONNECT_NS_MAX - 1), Deed::Go, "not a moment earlier");
    assert_eq!(world.next(), Deed::Close);
    assert_eq!(world.now_ns - begun_ns, CONNECT_NS_MAX);
    let asked = world.begin(json!({}));
    let asked_ns = world.now_ns;
    assert_eq!(world.source.turn(asked_ns + CALL_NS_MAX - 1), Deed::Go);
    assert_eq!(world.next(), Deed::Close);
    assert_eq!(world.now_ns - asked_ns, CALL_NS_MAX);
    let SourceReport { state, agents, .. } = world.report();
    assert_eq!((state.failures, state.connected, agents), (2, false, None));
    assert_eq!(state.last_error.as_deref(), Some("no answer to tools/call within 10 s"));
    // An answer that comes after the end is nobody's.
    world.answer(&asked, super::tests::agents(&["late"]));
    assert!(world.source.report().is_none());
}

#[test]
fn what_breaks_the_protocol_costs_the_connection() {
    let deep = format!("{}1{}", "[".repeat(600), "]".repeat(600));
    let lines =
        ["Welcome!", "{\"jsonrpc\":\"2.0\",", "[]", "{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":{}}", &deep, "\u{0}"];
    for line in lines {
        let mut world = World::new(options());
        world.begin(json!({}));
        assert_eq!(world.source.line(Some(line.as_bytes()), world.now_ns), Deed::Close, "{line}");
        assert_eq!(world.report().state.failures, 1);
        assert_eq!(world.connect()["method"], "initialize", "it is called again");
    }
    let mut world = World::new(options());
    world.begin(json!({}));
    assert_eq!(world.source.line(None, world.now_ns), Deed::Close, "a line that is too long");
    assert_eq!(world.source.line(Some(b"\xff"), world.now_ns), Deed::Close);
}

#[test]
fn other_ids_notices_and_questions_change_nothing() {
    let mut world = World::new(options());
    let asked = world.begin(json!({}));
    let id = asked["id"].as_u64().unwrap();
    for wrong in [json!(id + 1), json!(id - 1), json!(id.to_string()), json!(-1)] {
        assert_eq!(world.hear(&json!({ "jsonrpc": "2.0", "id": wrong, "result": agents(&["wrong"]) })), Deed::Go);
    }
    world.hear(
        &json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": 1 } }),
    );
    assert!(world.source.out().is_empty());
    world.hear(&json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" }));
    assert_eq!(world.sent(), json!({ "jsonrpc": "2.0", "id": "p", "result": {} }));
    world.hear(&json!({ "jsonrpc": "2.0", "id": 9, "method": "sampling/createMessage", "params": {} }));
    assert_eq!(world.sent()["error"]["code"], -32601);
    world.answer(&asked, agents(&["right"]));
    assert_eq!(&*world.report().agents.unwrap()[0].id, "right");
    // Somebody who asks and never reads, and somebody who never stops.
    let mut deeds =
        (0..10_000).map(|_| world.hear(&json!({ "jsonrpc": "2.0", "id": "x".repeat(200), "method": "ping" })));
    assert!(deeds.any(|deed| deed == Deed::Close));
    drop(deeds);
    let mut world = World::new(options());
    world.begin(json!({}));
    let notice = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} });
    assert_eq!((0..=SOURCE_LINES_MAX).filter(|_| world.hear(&notice) == Deed::Close).count(), 1);
}

#[test]
fn a_server_without_agents_says_so_and_keeps_its_connection() {
    let answers = [
        (
            json!({ "isError": true, "content": [{ "type": "text", "text": "swarm\u{1b}[31m is down" }] }),
            "the tool failed: swarm [31m is down",
        ),
        (json!({ "content": [] }), "neither structuredContent nor text"),
        (json!({ "content": [{ "type": "text", "text": "no agents yet" }] }), "is no JSON"),
        (json!({ "content": [{ "type": "text", "text": "{}" }] }), "no list called agents"),
    ];
    for (answer, expected) in answers {
        let mut world = World::new(options());
        let asked = world.begin(json!({}));
        assert_eq!(world.answer(&asked, answer), Deed::Go);
        let SourceReport { state, .. } = world.report();
        assert!(state.last_error.as_deref().unwrap().contains(expected), "{state:?}");
        assert!(state.connected);
        assert_eq!(world.next(), Deed::Go, "the same connection");
        let asked = world.sent();
        world.answer(&asked, agents(&[]));
        assert_eq!(world.report().agents, Some(Vec::new()), "nobody is an answer");
    }
    let mut world = World::new(SourceOptions { tool: Some("who".into()), ..options() });
    let hello = world.connect();
    world.answer(&hello, json!({ "protocolVersion": "2025-06-18" }));
    let tools = world.all_sent().remove(1);
    world.answer(&tools, json!({ "tools": [{ "name": "list_agents" }] }));
    assert_eq!(world.report().state.last_error.as_deref(), Some("it has no tool who; agents.tool names another"));
}

#[test]
fn the_end_of_an_idle_connection_is_no_failure() {
    let mut world = World::new(options());
    let asked = world.begin(json!({}));
    world.answer(&asked, agents(&["a"]));
    world.source.lost("it closed the connection", world.now_ns);
    let state = world.report().state;
    assert_eq!((state.failures, state.connected), (0, false));
    let asked = world.begin(json!({}));
    assert_eq!(asked["params"]["name"], "agent_list");
    world.source.lost("it closed the connection", world.now_ns);
    assert_eq!(world.report().state.failures, 1, "now somebody waited");
}

#[test]
fn a_breaker_of_a_source_that_is_gone_opens_and_recovers() {
    let mut world = World::new(options());
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let before_ns = world.now_ns;
        assert_eq!(world.next(), Deed::Connect);
        pauses.push((world.now_ns - before_ns) as f64 / SECOND_NS as f64);
        world.source.lost("connection refused", world.now_ns);
    }
    assert!(
        pauses[1..5].iter().zip([1.0, 2.0, 4.0, 8.0]).all(|(pause, least)| (least..=2.0 * least).contains(pause)),
        "{pauses:?}"
    );
    assert!(pauses[5..].iter().all(|pause| (*pause - 30.0).abs() < 1e-6), "{pauses:?}");
    let state = world.report().state;
    assert_eq!((state.breaker, state.failures, state.failures_in_row), (BreakerState::Open, 8, 8));
    let mut asked = world.begin(json!({}));
    for expected in [BreakerState::HalfOpen, BreakerState::HalfOpen, BreakerState::Closed] {
        world.answer(&asked, agents(&["a"]));
        assert_eq!(world.report().state.breaker, expected);
        world.next();
        asked = world.sent();
    }
    assert_eq!(world.report().state.connections, 1, "one connection again");
}

proptest::proptest! {
    /// Whatever a peer sends, cut anywhere, nothing panics, memory stays bounded, and there is always a next time.
    #[test]
    fn no_peer_stops_it(lines in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..80), 0..40)) {
        let mut world = World::new(options());
        world.begin(json!({}));
        for line in &lines {
            if world.source.line(Some(line), world.now_ns) == Deed::Close {
                world.connect();
            }
            proptest::prop_assert!(world.source.due_ns() > world.now_ns && world.source.due_ns() <= world.now_ns + 30 * SECOND_NS);
        }
    }

    #[test]
    fn no_result_stops_it(result in "\\{(\"(tools|content|isError|structuredContent|agents|nextCursor)\":(1|null|\\[\\]|\\{\\}|\"x\"|true),?){0,4}\\}") {
        let mut world = World::new(options());
        let asked = world.begin(json!({}));
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", asked["id"]);
        world.source.line(Some(line.as_bytes()), world.now_ns);
        proptest::prop_assert!(world.source.due_ns() > world.now_ns);
    }
}
