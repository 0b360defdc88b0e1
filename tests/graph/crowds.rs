//! Goal: fifty writers and fifty first joins at once, again and again: nobody waits for ever, no update is lost, every join gets its first
//! frame (O17, O22, K21).
//! Method: the real server with a store; threads that start together. 20 rounds; `CROWD_ROUNDS` asks for another number.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::thread;

use serde_json::json;

use crate::support::{Client, Folder, PATIENCE, Server, within};

const CROWD: usize = 50;

#[test]
fn writers_and_first_joins_at_once_lose_nothing_and_nobody_waits_for_ever() {
    let rounds: usize = std::env::var("CROWD_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let folder = Folder::new("crowds");
    let store = folder.join("graph.db");
    let server = Arc::new(Server::start(&["--store", store.to_str().unwrap()]));
    let before = server.state()["node_count"].as_u64().unwrap();
    let mut versions = BTreeSet::new();
    for round in 0..rounds {
        let together = Arc::new(Barrier::new(2 * CROWD));
        let writers: Vec<_> = (0..CROWD)
            .map(|writer| {
                let (server, together) = (Arc::clone(&server), Arc::clone(&together));
                thread::spawn(move || {
                    let node = json!({ "nodes": [{ "key": format!("r{round} w{writer}") }] }).to_string();
                    together.wait();
                    let answer = server.tell("POST", "/api/graph/nodes", &node);
                    assert_eq!(answer.status, 201, "{}", answer.text());
                    answer.json()["version"].as_u64().unwrap()
                })
            })
            .collect();
        let joins: Vec<_> = (0..CROWD)
            .map(|_| {
                let (server, together) = (Arc::clone(&server), Arc::clone(&together));
                thread::spawn(move || {
                    together.wait();
                    let mut client = server.ws("");
                    assert!(!client.frame().is_empty());
                })
            })
            .collect();
        versions.extend(writers.into_iter().map(|writer| writer.join().unwrap()));
        joins.into_iter().for_each(|join| join.join().unwrap());
    }
    let written = (rounds * CROWD) as u64;
    assert!(versions.into_iter().eq(1..=written), "every change has a version of its own");
    assert_eq!(server.state()["node_count"], before + written);
    let page = server.get("/api/graph/nodes?q=r0%20w&limit=1000").json();
    assert_eq!(page["rows"].as_array().unwrap().len(), CROWD);
    assert!(within(PATIENCE, || server.state()["sessions"] == 0), "{}", server.state());
}
