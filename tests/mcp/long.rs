//! Goal: a long call says how far it is, ends when nobody waits for it, and holds nobody else up.
//! Method: every tool that computes, over a graph of some size, with a watcher that counts and stops; then the real server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use swarmcast::analytics::{AnalyticsError, Watch};
use swarmcast::base::clock::{monotonic_ns, thread_cpu_ns};
use swarmcast::graph::formats::difference_until;
use swarmcast::graph::{Graph, GraphBuilder};
use swarmcast::mcp::{Ask, Bounds, Looked, Reply, look};

use crate::engine::Engine;
use crate::support::least_of_three;
use crate::talk::{Home, timed};

/// What a call may go on for after it was told to stop.
const STOP_MAX: Duration = Duration::from_millis(50);

/// What somebody may wait for who comes behind a call that was told to stop, over sockets and threads.
const BEHIND_MAX: Duration = Duration::from_millis(500);

/// Counts looks, measures the work between them in time of the processor, whatever else it does, and stops at one of them.
struct Counter {
    looks: Cell<u64>,
    stop_at: u64,
    last_ns: Cell<u64>,
    longest: Cell<Duration>,
}

impl Counter {
    fn new(stop_at: u64) -> Self {
        Self { looks: Cell::new(0), stop_at, last_ns: Cell::new(thread_cpu_ns()), longest: Cell::new(Duration::ZERO) }
    }

    fn mark(&self) {
        let now_ns = thread_cpu_ns();
        let since = Duration::from_nanos(now_ns - self.last_ns.replace(now_ns));
        self.longest.set(self.longest.get().max(since));
    }
}

impl Watch for Counter {
    fn progress(&self, _: f64) -> Result<(), AnalyticsError> {
        self.mark();
        self.looks.set(self.looks.get() + 1);
        if self.looks.get() >= self.stop_at { Err(AnalyticsError::Stopped) } else { Ok(()) }
    }
}

fn run(engine: &Engine, tool: &str, arguments: &Value, counter: &Counter) -> Result<Reply, String> {
    let (tool, _) = engine.server.catalogue.tool(tool).unwrap();
    let ask = Ask::Tool { tool, arguments: arguments.to_string().into() };
    let bounds = Bounds::new(&engine.server, "tester", counter, monotonic_ns);
    let looked = look(&engine.server, &ask, &engine.view(), &bounds);
    counter.mark();
    match looked.unwrap() {
        Looked::Reply(Reply::Tool(result)) if result.is_error => Err(format!("{:?}", result.content)),
        Looked::Reply(reply) => Ok(reply),
        Looked::Write(write) => {
            assert!(!write.batch.ops.is_empty());
            Ok(Reply::Completion { values: Vec::new(), total: 0 })
        }
    }
}

#[test]
fn every_call_that_computes_stops_between_two_looks_that_are_near_each_other() {
    let engine = Engine::complete(9_000);
    let far = json!({ "from": "n1", "to": "n4500", "k": 10, "max_hops": 16, "weight": "weights" });
    let all = json!({ "query": "MATCH (a)-[*1..3]-(b)-[*1..3]-(c) RETURN count(*)" });
    let mut calls = vec![
        ("query_graph", all),
        ("query_graph", json!({ "query": "MATCH (a), (b) WHERE a.rank < b.rank RETURN a.id, b.id ORDER BY b.id" })),
        ("find_paths", far),
        ("render_view", json!({})),
        ("render_view", json!({ "format": "svg" })),
        ("get_schema", json!({ "sample": 100_000 })),
        ("find_nodes", json!({ "text": "zzz" })),
        ("find_edges", json!({ "type": "zzz" })),
        ("get_neighborhood", json!({ "id": "n0", "hops": 4, "limit": 500 })),
        ("analyze_graph", json!({ "metric": "degree", "write_to": "d" })),
    ];
    let metrics = ["pagerank", "betweenness", "communities", "components", "core", "triangles", "cycles", "anomalies"];
    calls.extend(metrics.map(|metric| ("analyze_graph", json!({ "metric": metric }))));
    let mut slow = Vec::new();
    for (tool, arguments) in &calls {
        let longest = (0..3).map(|_| {
            let counter = Counter::new(u64::MAX);
            run(&engine, tool, arguments, &counter).unwrap();
            (counter.longest.get(), counter.looks.get())
        });
        let (longest, looks) = longest.min().unwrap();
        if longest >= STOP_MAX {
            slow.push(format!("{tool} {arguments}: {longest:?} without a look, of {looks}"));
        }
        if looks < 2 {
            continue;
        }
        for stop_at in [1, looks / 2, looks].into_iter().filter(|stop_at| *stop_at > 0) {
            let counter = Counter::new(stop_at);
            let outcome = run(&engine, tool, arguments, &counter);
            assert_eq!(counter.looks.get(), stop_at, "{tool} {arguments} goes on after it was stopped");
            let said = outcome.unwrap_err();
            assert!(said.contains("stopped"), "{tool} {arguments}: {said}");
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

#[test]
fn what_a_file_comes_to_is_worked_out_with_looks_that_are_near_each_other() {
    // As large as a start allows, a tenth of it changed, under other names, and gone.
    let graph = |first: usize, weight: f64| {
        let mut builder = GraphBuilder::new(300_000, 600_000);
        let nodes: Vec<_> = (0..200_000).map(|node| builder.node(&format!("node {}", first + node)).unwrap()).collect();
        for at in 0..400_000 {
            let (from, to) = (nodes[at / 2], nodes[(at * 7_919) % nodes.len()]);
            builder.edge(from, to, if at % 10 == 0 { weight } else { 1.0 }, true).unwrap();
        }
        builder.finish()
    };
    let (present, wanted) = (graph(0, 1.0), graph(20_000, 2.0));
    for before in [&Graph::default(), &present] {
        let compare = |counter: &Counter| {
            let done = difference_until(before, &wanted, &present, &mut |part| counter.progress(part).is_ok());
            counter.mark();
            done
        };
        let looks = || {
            let counter = Counter::new(u64::MAX);
            assert!(compare(&counter).unwrap().len() > 40_000);
            (counter.longest.get(), counter.looks.get())
        };
        let (longest, looks) = (0..3).map(|_| looks()).min().unwrap();
        assert!(longest < STOP_MAX, "{longest:?} without a look, of {looks}");
        for stop_at in [1, looks / 2, looks] {
            let counter = Counter::new(stop_at);
            assert!(compare(&counter).is_none(), "it goes on after look {stop_at} of {looks}");
            assert_eq!(counter.looks.get(), stop_at);
        }
    }
}

#[test]
fn an_import_that_nobody_waits_for_leaves_the_thread_of_files_to_others() {
    let home = Home::start("mcp-import-cancel", &[]);
    let mut agent = home.agent();
    // Read before it is compared: cancelled at moments of both.
    let record =
        |n: usize| json!({ "source": format!("a {}", n % 9_000), "target": format!("b {}", n % 7_919) }).to_string();
    let links = (0..12_000).map(record).collect::<Vec<_>>().join(",");
    let file = format!("{{\"nodes\":[],\"links\":[{links}]}}");
    for wait_ms in [0, 2, 5, 10, 20, 40] {
        let took = least_of_three(BEHIND_MAX, || {
            let asked = json!({ "data": file, "format": "json", "dry_run": true });
            let id = agent.begin_call("import_graph", asked, "never");
            std::thread::sleep(Duration::from_millis(wait_ms));
            agent.cancel(id);
            timed(|| agent.call("export_graph", json!({ "format": "json" }))).1
        });
        assert!(took < BEHIND_MAX, "after {wait_ms} ms: {took:?}");
    }
}

#[test]
fn long_calls_say_how_far_they_are() {
    let home = Home::start("mcp-progress", &[]);
    let mut agent = home.agent();
    agent.fill(10_000, 30_000);
    agent.notices.clear();
    let id = agent.begin_call("analyze_graph", json!({ "metric": "betweenness" }), "analysis");
    let answer = agent.answer(id);
    agent.held("analyze_graph", &answer);
    let told = |notices: &[Value], token: &str| -> Vec<f64> {
        let of = notices.iter().filter(|notice| notice["params"]["progressToken"] == token);
        of.map(|notice| notice["params"]["progress"].as_f64().unwrap()).collect()
    };
    let parts = told(&agent.notices, "analysis");
    assert!(!parts.is_empty() && parts.iter().all(|part| (0.0..=1.0).contains(part)), "{parts:?}");
    assert!(parts.windows(2).all(|pair| pair[0] < pair[1]), "{parts:?}");

    // A file of several parts, and how far its reading is.
    let record = |n: usize| json!({ "id": format!("file {n}"), "label": "x".repeat(60) }).to_string();
    let file = format!("{{\"nodes\":[{}],\"links\":[]}}", (0..120_000).map(record).collect::<Vec<_>>().join(","));
    assert!(file.len() > 10 << 20);
    let mut upload = Value::Null;
    let parts: Vec<&[u8]> = file.as_bytes().chunks(600 << 10).collect();
    let (last, first) = parts.split_last().unwrap();
    let mut bytes = 0;
    for part in first {
        let mut asked = json!({ "data": std::str::from_utf8(part).unwrap(), "more": true });
        if upload.is_string() {
            asked["upload"] = upload.clone();
        }
        let done = agent.call("import_graph", asked);
        bytes += part.len();
        assert_eq!((&done["bytes"], upload.is_null() || upload == done["upload"]), (&json!(bytes), true));
        upload = done["upload"].clone();
    }
    let data = std::str::from_utf8(last).unwrap();
    let id = agent.begin_call("import_graph", json!({ "data": data, "upload": upload, "dry_run": true }), "file");
    let answer = agent.answer(id);
    let result = agent.held("import_graph", &answer);
    assert_eq!(result["structuredContent"]["added"]["nodes"], json!(120_000), "{answer}");
    let parts = told(&agent.notices, "file");
    assert!(!parts.is_empty() && parts.windows(2).all(|pair| pair[0] < pair[1]), "{parts:?}");
    // Tried out, it is there still; then it is not.
    let asked = json!({ "data": data, "upload": upload });
    let done = agent.call("import_graph", asked.clone());
    assert_eq!((&done["added"]["nodes"], &done["format"]), (&json!(120_000), &json!("json")));
    assert!(agent.refused("import_graph", asked).contains("begin it again"));
}

#[test]
fn who_cancels_hears_nothing_more_and_the_thread_is_free_for_others() {
    let home = Home::start("mcp-cancel", &[]);
    let mut agent = home.agent();
    agent.fill(10_000, 30_000);
    let short = json!({ "query": "MATCH (n {id: 'r1'}) RETURN n.id" });
    agent.call("query_graph", short.clone());
    let ada = agent.call("register_agent", json!({ "name": "ada" }))["handle"].clone();
    let slow = json!({ "query": "MATCH (a)-[*1..3]-(b)-[*1..3]-(c) RETURN count(*)", "timeout_ms": 30_000 });
    let revision = agent.call("graph_overview", json!({}))["revision"].clone();
    let kinds = [
        ("query_graph", slow),
        ("analyze_graph", json!({ "metric": "betweenness", "write_to": "never" })),
        ("get_changes", json!({ "since": 1u64 << 40, "wait_ms": 10_000 })),
        ("read_inbox", json!({ "handle": ada, "since": 0, "wait_ms": 10_000 })),
        ("step_simulation", json!({ "ticks": 10_000, "timeout_ms": 30_000 })),
    ];
    for (tool, arguments) in kinds {
        let took = least_of_three(BEHIND_MAX, || {
            let id = agent.begin_call(tool, arguments.clone(), tool);
            std::thread::sleep(Duration::from_millis(30));
            agent.cancel(id);
            // Behind it on the same thread: it waits for as long as the one before goes on.
            let (answer, took) = timed(|| agent.call("query_graph", short.clone()));
            assert_eq!(answer["rows"], json!([["r1"]]));
            assert!(agent.notices.iter().all(|line| line["id"] != id), "{tool} was answered");
            took
        });
        assert!(took < BEHIND_MAX, "{tool}: {took:?}");
    }
    // What was cancelled has changed nothing.
    let never = agent.call("query_graph", json!({ "query": "MATCH (n) WHERE n.never IS NOT NULL RETURN count(*)" }));
    assert_eq!(never["rows"][0][0], json!(0));
    let _ = revision;
}

#[test]
fn a_long_call_does_not_starve_who_comes_behind_it() {
    let home = Home::start("mcp-fair", &["--set", "mcp.anonymous=read"]);
    let mut agent = home.agent();
    agent.fill(10_000, 30_000);
    let long = json!({ "metric": "betweenness" });
    let (_, alone) = timed(|| agent.call("analyze_graph", long.clone()));
    // Somebody has many of them; somebody else has one, and does not wait for all of those.
    let ids: Vec<u64> = (0..6).map(|_| agent.begin_call("analyze_graph", long.clone(), "x")).collect();
    let mut other = home.stranger();
    let short = json!({ "query": "MATCH (n {id: 'r1'}) RETURN n.id" });
    let (_, behind) = timed(|| other.call("query_graph", short));
    assert!(behind < alone * 4, "{behind:?} behind six of {alone:?} each");
    for id in ids {
        agent.answer(id);
    }
}
