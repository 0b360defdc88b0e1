//! Goal: whoever comes back while the graph changes hears of every change, also of those between its greeting and its first frame (C44).
//! Method: a writer who never pauses, and a client that comes back again and again; what it hears must go on where it stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::support::{Client, Server, graph};

/// A change falls between greeting and first frame in one of about thirty.
const TIMES: usize = 400;

/// Has the writer stop, whatever becomes of the client.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn whoever_comes_back_while_the_graph_changes_misses_nothing() {
    let server = Server::start(&graph("karate.gexf"));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0.. {
                let patch = json!({ "label": format!("the {turn}th") }).to_string();
                assert_eq!(server.tell("PATCH", "/api/graph/nodes/1", &patch).status, 200);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let _stop = Stop(&stop);
        let first = server.ws("?rate=5");
        let (mut session, mut version) =
            (first.hello()["session"].clone(), server.state()["version"].as_u64().unwrap());
        drop(first);
        for time in 0..TIMES {
            let mut client = server.ws(&format!("?session={session}&version={version}"));
            session = client.hello()["session"].clone();
            for _ in 0..2 {
                let text = client.text("graph_changed");
                assert!(text["from"].as_u64().unwrap() <= version, "{time}: at {version}, then {text}");
                version = text["version"].as_u64().unwrap();
            }
        }
    });
}
