//! Goal: `GET /api/graph/data?class=C` and the stream of class C fit together: a client that follows PROTOCOL.md
//! section 5 misses no state and is never set back to an older one.
//! Method: many clients join while frames flow. Each compares the REST positions with the frame of the same sequence,
//! bit for bit, and then plays the page's model: REST first, then the frames that the page says to apply.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::thread;
use std::time::Duration;

use serde_json::Value;
use swarmcast::wire::NodeRecord;

use crate::support::{Client, Event, Motion, Server, decode, graph};

type Positions = Vec<[u32; 3]>;

fn bits(records: &[NodeRecord]) -> Positions {
    records.iter().map(|record| record.position().map(f32::to_bits)).collect()
}

/// What the page tells a client to keep.
#[derive(Debug, PartialEq)]
struct Model {
    epoch: u64,
    tick: u64,
    sequence: u64,
    ids: Vec<u32>,
    positions: Positions,
    applied: usize,
    refused: usize,
}

impl Model {
    fn from_rest(data: &Value) -> Self {
        let rows = data["nodes"].as_array().unwrap();
        let axis = |row: &Value, axis: &str| (row[axis].as_f64().unwrap() as f32).to_bits();
        Self {
            epoch: data["epoch"].as_u64().unwrap(),
            tick: data["tick"].as_u64().unwrap(),
            sequence: data["sequence"].as_u64().unwrap(),
            ids: rows.iter().map(|row| row["id"].as_u64().unwrap() as u32).collect(),
            positions: rows.iter().map(|row| [axis(row, "x"), axis(row, "y"), axis(row, "z")]).collect(),
            applied: 0,
            refused: 0,
        }
    }

    fn take(&mut self, frame: &[u8]) {
        let (header, records) = decode(frame);
        assert_eq!(u64::from(header.epoch.get()), self.epoch);
        let (newer, later) = (header.sequence.get() > self.sequence, header.tick.get() > self.tick);
        assert_eq!(newer, later, "sequence {} and tick {} against {self:?}", header.sequence, header.tick);
        if !newer {
            self.refused += 1;
            return;
        }
        let ids: Vec<u32> = records.iter().map(NodeRecord::id).collect();
        assert_eq!(ids, self.ids, "one epoch has one order");
        (self.sequence, self.tick, self.positions) = (header.sequence.get(), header.tick.get(), bits(records));
        self.applied += 1;
    }
}

/// One client joins; returns whether it had the frame that REST was taken from.
fn join(server: &Server, mut client: impl Client, wait: Duration) -> bool {
    let class = client.hello()["class"].as_u64().unwrap();
    thread::sleep(wait);
    let data = server.get(&format!("/api/graph/data?class={class}"));
    assert_eq!(data.status, 200, "{}", data.head);
    let data = data.json();
    let mut model = Model::from_rest(&data);
    assert_eq!(data["edges"].as_array().unwrap().len() as u64, client.hello()["edge_count"].as_u64().unwrap());

    let mut frames: Vec<Vec<u8>> = Vec::new();
    let ahead = |frames: &[Vec<u8>]| {
        frames.iter().filter(|frame| decode(frame).0.sequence.get() > Model::from_rest(&data).sequence).count()
    };
    while ahead(&frames) < 5 {
        frames.push(client.frame());
    }
    for event in client.collect(Duration::from_millis(50)) {
        frames.extend(Event::frame(event));
    }
    let mut matched = false;
    for frame in &frames {
        let (header, records) = decode(frame);
        if header.sequence.get() == model.sequence && model.applied == 0 {
            // A class slower than the simulation may find REST between two of its frames; the model below sees
            // whether it was between the right ones.
            assert!(header.tick.get() <= model.tick, "tick {} is older in REST: {}", header.tick, model.tick);
            let exact = header.tick.get() == model.tick;
            assert!(exact || client.hello()["rate"] != client.hello()["tick_rate"], "one frame has one tick");
            if exact {
                assert_eq!(bits(records), model.positions, "sequence {}: REST and stream differ", header.sequence);
                matched = true;
            }
        }
        model.take(frame);
    }
    let newest = decode(frames.last().unwrap());
    assert_eq!((model.sequence, &model.positions), (newest.0.sequence.get(), &bits(newest.1)));
    assert_eq!(model.applied + model.refused, frames.len());
    matched
}

fn many_rounds(server: &Server, rounds: u64) {
    // The class lives all along, so that its sequence is beyond its first frames.
    let _first = server.ws("?rate=30");
    let mut matched = 0;
    for round in 0..rounds {
        // From before the client's first frame to some frames into the stream.
        let wait = Duration::from_millis(round * 13 % 90);
        let client: bool = match round % 4 {
            0 => join(server, server.ws("?rate=30"), wait),
            1 => join(server, server.tcp("{\"rate\":30}"), wait),
            // Classes of their own, young ones.
            2 => join(server, server.ws("?rate=29"), wait),
            _ => join(server, server.ws(""), wait),
        };
        matched += u64::from(client);
    }
    assert!(matched * 3 >= rounds, "only {matched} of {rounds} rounds had the frame to compare with");
}

#[test]
fn a_small_graph_in_motion() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    let _motion = Motion::start(&server);
    many_rounds(&server, 60);
}

#[test]
fn the_embedded_graph_in_motion() {
    let server = Server::start(&["--rate", "30", "--set", "sim.cooling=0"]);
    many_rounds(&server, 24);
}

#[test]
fn a_graph_at_rest_has_its_last_frame_in_rest() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    server.settle();
    for _ in 0..5 {
        let mut client = server.ws("?rate=11");
        let frame = client.frame();
        let class = client.hello()["class"].as_u64().unwrap();
        let model = Model::from_rest(&server.get(&format!("/api/graph/data?class={class}")).json());
        let (header, records) = decode(&frame);
        assert_eq!((model.tick, &model.positions), (header.tick.get(), &bits(records)));
        assert!(model.sequence <= header.sequence.get());
    }
}
