//! Goal: the OpenAPI document says what the engine does: its paths, methods and parameters are the router's, and whatever it is asked, every
//! answer has a documented status and shape, nothing that the document forbids is taken, and nothing is a 500 (K1, K11).
//! Method: the router's own table; schemathesis against the real server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Map, Value};
use swarmcast::api::OPENAPI;
use swarmcast::net::REST_PATHS;

use crate::support::{Folder, Server, graph, repository};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn paths() -> Map<String, Value> {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    document["paths"].as_object().unwrap().clone()
}

/// `/api/x/` of `/api/x/{id}`: how the router names all paths with one more part.
fn routed(path: &str) -> &str {
    path.split('{').next().unwrap()
}

#[test]
fn the_document_has_the_paths_and_methods_of_the_router() {
    let paths = paths();
    let rest: Vec<_> =
        paths.iter().filter(|(path, _)| REST_PATHS.iter().any(|(known, _)| *known == routed(path))).collect();
    let documented: BTreeSet<_> = rest.iter().map(|(path, _)| routed(path)).collect();
    assert_eq!(documented, REST_PATHS.iter().map(|(path, _)| *path).collect::<BTreeSet<_>>());
    for (path, item) in rest {
        let (_, methods) = REST_PATHS.iter().find(|(known, _)| *known == routed(path)).unwrap();
        let routed: BTreeSet<_> =
            methods.split(", ").filter(|method| *method != "HEAD").map(str::to_lowercase).collect();
        let documented: BTreeSet<_> =
            item.as_object().unwrap().keys().filter(|key| METHODS.contains(&key.as_str())).cloned().collect();
        assert_eq!(documented, routed, "{path}");
    }
}

#[test]
fn what_is_served_is_the_document_and_its_plain_pages_are_there() {
    let server = Server::start(&graph("karate.gexf"));
    let served = server.get("/openapi.json");
    assert_eq!((served.status, served.text().as_str()), (200, OPENAPI));
    let paths = paths();
    let plain = paths.keys().filter(|path| !REST_PATHS.iter().any(|(known, _)| *known == routed(path)));
    for path in plain.filter(|path| *path != "/api/graph/data") {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let refused = server.get("/api/graph/nodes?limit=0");
    assert_eq!(refused.status, 400);
    assert!(refused.head.contains("content-type: application/problem+json\r\n"), "{}", refused.head);
    assert_eq!(refused.json()["type"], "urn:swarmcast:problem:out_of_range");
}

#[test]
fn schemathesis_finds_no_answer_that_is_not_documented() {
    let program = repository("tests/clients/.venv/bin/schemathesis");
    assert!(program.exists(), "run sh tests/setup.sh first");
    let (server, folder) = (Server::start(&graph("karate.gexf")), Folder::new("schemathesis"));
    let config = repository("tests/clients/schemathesis.toml");
    let output = Command::new(program)
        .arg("--config-file")
        .arg(config)
        .arg("run")
        .arg(format!("http://{}/openapi.json", server.http))
        .args(["--seed", "1", "--max-examples", "12", "--no-color"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Tested: "), "{said}");
    assert_eq!(server.get("/healthz").status, 200);
}
