//! Goal: the layout can be steered over HTTP: constraints are met, modes are reached within two seconds without a jump, the simulation stands
//! still, steps and goes back when it is told to, and a request that is wrong is told which field is.
//! Method: requests to the real server; what they lead to is watched on the stream and counted in ticks, so a loaded machine does not matter.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swarmcast::sim::SimParams;
use swarmcast::wire::NodeRecord;

use crate::support::{Answer, Client, Folder, PATIENCE, Server, decode, graph, within};

fn karate(flags: &[&str]) -> Server {
    let [flag, path] = graph("karate.gexf");
    Server::start(&[&[flag.as_str(), &path], flags].concat())
}

fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    server.tell(method, path, &if body.is_null() { String::new() } else { body.to_string() })
}

/// The answer to a request that must be granted.
fn tell(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let answer = ask(server, method, path, body);
    assert!(matches!(answer.status, 200 | 201), "{method} {path}: {} {}", answer.status, answer.text());
    answer.json()
}

fn post(server: &Server, path: &str) -> Value {
    tell(server, "POST", path, &Value::Null)
}

fn ids(server: &Server) -> Vec<u64> {
    let data = server.get("/api/graph/data").json();
    data["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_u64().unwrap()).collect()
}

fn places(records: &[NodeRecord]) -> HashMap<u32, [f32; 3]> {
    records.iter().map(|record| (record.id(), record.position())).collect()
}

fn distance(left: [f32; 3], right: [f32; 3]) -> f32 {
    left.iter().zip(right).map(|(left, right)| (left - right).powi(2)).sum::<f32>().sqrt()
}

#[test]
fn a_constraint_is_seen_to_be_met_on_the_stream() {
    let server = karate(&[]);
    server.settle();
    let mut client = server.ws("");
    let nodes: Vec<u64> = ids(&server).into_iter().take(4).collect();
    let spread = |records: &[NodeRecord]| {
        let places = places(records);
        let heights: Vec<f32> = nodes.iter().map(|node| places[&(*node as u32)][1]).collect();
        heights.iter().fold(f32::MIN, |most, y| most.max(*y)) - heights.iter().fold(f32::MAX, |least, y| least.min(*y))
    };
    let before = spread(decode(&client.frame()).1);
    let made = tell(&server, "POST", "/api/constraints", &json!({ "kind": "align_horizontal", "nodes": nodes }));
    assert_eq!((&made["id"], &made["kind"], &made["nodes"]), (&json!(1), &json!("align_horizontal"), &json!(nodes)));
    client.frame_where("the nodes are level", |_, records| spread(records) < 0.3 * before);
    let one = |field: &str| server.get("/api/constraints/1").json()[field].clone();
    assert!(within(PATIENCE, || one("age_steps").as_u64().is_some_and(|age| age >= 60)), "it grows old");
    assert!(one("violation").as_f64().unwrap() < f64::from(0.3 * before));

    // Changed, it begins anew; switched off, it lets go; gone, it is not found.
    let lower = json!({ "kind": "layer_depth", "nodes": nodes, "axis": "y", "depth": 700, "weight": 20 });
    tell(&server, "PUT", "/api/constraints/1", &lower);
    client.frame_where("the nodes went where the other constraint says", |_, records| {
        let places = places(records);
        nodes.iter().all(|node| (places[&(*node as u32)][1] - 700.0).abs() < 60.0)
    });
    let off = json!({ "kind": "layer_depth", "nodes": nodes, "axis": "y", "depth": 700, "enabled": false });
    tell(&server, "PUT", "/api/constraints/1", &off);
    client.frame_where("they came back", |_, records| {
        nodes.iter().all(|node| places(records)[&(*node as u32)][1] < 600.0)
    });
    assert_eq!(server.get("/api/constraints").json()["constraints"].as_array().unwrap().len(), 1);
    tell(&server, "DELETE", "/api/constraints/1", &Value::Null);
    assert_eq!(server.get("/api/constraints/1").status, 404);
    assert_eq!(server.get("/api/constraints").json()["constraints"], json!([]));
}

#[test]
fn every_mode_is_reached_within_two_seconds_of_ticks_and_no_frame_jumps() {
    let server = karate(&[]);
    server.settle();
    let params = SimParams::default();
    let mut client = server.tcp("{}");
    let mut version = 0;
    for mode in ["hierarchical", "radial", "spectral", "clustered", "stress", "force_directed"] {
        let told = tell(&server, "PUT", "/api/simulation/layout", &json!({ "mode": mode }));
        version += 1;
        assert_eq!((&told["mode"], &told["version"]), (&json!(mode), &json!(version)));
        let text = client.text("layout_changed");
        assert_eq!(
            (&text["mode"], &text["version"], &text["blend_ticks"]),
            (&json!(mode), &json!(version), &json!(120))
        );
        let began = text["tick"].as_u64().unwrap();
        // The whole way is bounded by the clamp in each tick; what the last ticks still move is small.
        let (mut last, mut end, mut moved) = (None::<(u64, HashMap<u32, [f32; 3]>)>, 0, 0f32);
        while end < began + 180 {
            let frame = client.frame();
            let (header, records) = decode(&frame);
            (end, moved) = (header.tick.get(), 0.0);
            let now = places(records);
            if let Some((tick, before)) = &last
                && end > *tick
            {
                let clamp = params.max_velocity * params.time_step * (end - tick) as f32;
                for (node, place) in &now {
                    let way = distance(*place, before[node]);
                    assert!(way <= clamp * 1.001, "{mode}: {way} in {} ticks", end - tick);
                    moved = moved.max(way / (end - tick) as f32);
                }
            }
            last = Some((end, now));
            if server.is_settled() {
                break;
            }
        }
        // Half a second after the two, nothing travels any more: less than a sixth of the clamp, at full temperature.
        assert!(moved < 5.0, "{mode}: {moved} a tick at {end}, begun at {began}");
    }
    let shown = server.get("/api/simulation/layout").json();
    assert_eq!((&shown["mode"], &shown["finding_places"]), (&json!("force_directed"), &json!(false)));
}

#[test]
fn a_mode_is_found_again_when_the_graph_has_grown() {
    let server = karate(&[]);
    let layout = || server.get("/api/simulation/layout").json();
    let hub = ids(&server)[0];
    for mode in ["stress", "radial"] {
        let mut version = tell(&server, "PUT", "/api/simulation/layout", &json!({ "mode": mode }))["version"].clone();
        for turn in 0..2 {
            let node = format!("{mode}-{turn}");
            let ops = json!([
                { "op": "upsert_node", "node": { "key": node } },
                { "op": "upsert_edge", "edge": { "source": node, "target": hub }, "create_missing": true },
            ]);
            tell(&server, "POST", "/api/graph/batch", &json!({ "ops": ops }));
            assert!(
                within(PATIENCE, || layout()["version"].as_u64() > version.as_u64()),
                "{mode} is not found again: {}",
                layout()
            );
            let now = layout();
            assert_eq!((&now["mode"], &now["finding_places"]), (&json!(mode), &json!(false)));
            version = now["version"].clone();
        }
    }
}

#[test]
fn a_hierarchy_stands_in_layers_on_the_stream() {
    let folder = Folder::new("layers");
    let nodes: Vec<Value> = (0..31).map(|node| json!({ "id": node })).collect();
    let links: Vec<Value> = (1..31).map(|node| json!({ "source": (node - 1) / 2, "target": node })).collect();
    let graph = json!({ "directed": true, "nodes": nodes, "links": links });
    let file = folder.write("graph.json", graph.to_string());
    let server = Server::start(&["--graph", file.to_str().unwrap()]);
    let mut client = server.ws("");
    tell(&server, "PUT", "/api/simulation/layout", &json!({ "mode": "hierarchical" }));
    client.frame_where("every parent is above its children by a layer", |_, records| {
        let places = places(records);
        (1..31u32).all(|node| {
            let drop = places[&((node - 1) / 2)][1] - places[&node][1];
            (60.0..140.0).contains(&drop)
        })
    });
}

#[test]
fn paused_it_ticks_only_when_told_and_everybody_hears_of_it() {
    let server = karate(&["--set", "sim.cooling=0"]);
    let (mut ws, mut tcp) = (server.ws(""), server.tcp("{}"));
    let not_yet = ask(&server, "POST", "/api/simulation/step", &Value::Null);
    assert_eq!((not_yet.status, &not_yet.json()["code"]), (409, &json!("not_paused")));
    let paused = post(&server, "/api/simulation/pause");
    assert_eq!(paused["paused"], true);
    let tick = paused["tick"].as_u64().unwrap();
    assert_eq!(ws.text("physics_paused")["tick"], tick);
    assert_eq!(tcp.text("physics_paused")["reason"], "request");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.get("/api/simulation").json()["tick"], tick);

    post(&server, "/api/simulation/step");
    tell(&server, "POST", "/api/simulation/step", &json!({ "count": 4 }));
    ws.frame_where("it has done five steps", |header, _| header.tick.get() == tick + 5);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(server.get("/api/simulation").json()["tick"], tick + 5);
    let too_many = ask(&server, "POST", "/api/simulation/step", &json!({ "count": 10_001 }));
    assert_eq!((too_many.status, &too_many.json()["affectedPaths"]), (400, &json!(["count"])));

    // A drag is seen while nothing else moves.
    let node = ids(&server)[0] as u32;
    ws.drag("nodeDragStart", node, [321.0, 0.0, 0.0]);
    tcp.frame_where("the node is where it was dragged", |_, records| places(records)[&node] == [321.0, 0.0, 0.0]);
    assert_eq!(post(&server, "/api/simulation/resume")["paused"], false);
    tcp.text("physics_resumed");
    ws.frame_where("it goes on", |header, _| header.tick.get() > tick + 10);
}

#[test]
fn a_reset_leads_through_the_same_bytes_again() {
    let server = karate(&[]);
    let mut client = server.ws("");
    let begin = client.frame();
    let start = places(decode(&begin).1);
    let mut runs: Vec<Vec<[u32; 3]>> = Vec::new();
    for _ in 0..3 {
        post(&server, "/api/simulation/pause");
        let tick = post(&server, "/api/simulation/reset")["tick"].as_u64().unwrap();
        tell(&server, "POST", "/api/simulation/step", &json!({ "count": 60 }));
        let frame = client.frame_where("sixty steps are done", |header, _| header.tick.get() == tick + 60);
        let records = decode(&frame).1;
        assert!(places(records) != start, "it has moved");
        runs.push(records.iter().map(|record| record.position().map(f32::to_bits)).collect());
        post(&server, "/api/simulation/resume");
        client.frame_where("it has moved on", |header, _| header.tick.get() >= tick + 60 + runs.len() as u64 * 7);
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
    assert_eq!(post(&server, "/api/simulation/reheat")["paused"], false);
}

#[test]
fn what_is_wrong_is_named_with_what_was_found_and_what_may_be() {
    let server = karate(&[]);
    let node = ids(&server)[0];
    let refused = |method: &str, path: &str, body: Value, status: u16, code: &str, field: &str, words: &str| {
        let answer = ask(&server, method, path, &body);
        let said = answer.json();
        assert_eq!(answer.status, status, "{method} {path} {body}: {said}");
        assert_eq!((&said["code"], &said["affectedPaths"]), (&json!(code), &json!([field])), "{said}");
        assert!(said["message"].as_str().unwrap().contains(words), "{said}");
    };
    let c = "/api/constraints";
    refused("POST", c, json!({}), 400, "missing_field", "kind", "fixed_position");
    refused("POST", c, json!({ "kind": "circle" }), 400, "unknown_value", "kind", "found \"circle\"");
    refused("POST", c, json!({ "kind": "cluster" }), 400, "missing_field", "nodes", "ids");
    refused("POST", c, json!({ "kind": "cluster", "nodes": [node, 999_999] }), 400, "unknown_node", "nodes", "999999");
    refused("POST", c, json!({ "kind": "cluster", "nodes": [node, node] }), 400, "twice", "nodes", "twice");
    let body = json!({ "kind": "fixed_position", "nodes": [node], "position": [0, 0, 20_000] });
    refused("POST", c, body, 400, "out_of_range", "position", "10000");
    let body = json!({ "kind": "fixed_position", "nodes": [node], "position": [0, 0], "weight": 1e9 });
    refused("POST", c, body, 400, "out_of_range", "weight", "from 0 to 100, found 1000000000");
    let body = json!({ "kind": "boundary", "min": [1, 1, 1], "max": [0, 2, 2] });
    refused("POST", c, body, 400, "out_of_range", "min", "above max");
    let s = "/api/simulation";
    refused("PUT", &format!("{s}/layout"), json!({ "mode": "circular" }), 400, "unknown_value", "mode", "radial");
    refused(
        "PUT",
        &format!("{s}/semantic"),
        json!({ "colision": {} }),
        400,
        "unknown_field",
        "colision",
        "known: dag_levels",
    );
    let body = json!({ "collision": { "radius": -1 } });
    refused("PUT", &format!("{s}/semantic"), body, 400, "out_of_range", "collision.radius", "found -1");
    let body = json!({ "relations": { "cites": { "strength": "high" } } });
    refused("PUT", &format!("{s}/relations"), body, 400, "wrong_type", "relations.cites.strength", "a number");
    let many: serde_json::Map<_, _> = (0..257).map(|kind| (kind.to_string(), json!({}))).collect();
    refused("PUT", &format!("{s}/relations"), json!({ "relations": many }), 400, "out_of_range", "relations", "256");
    refused(
        "PUT",
        &format!("{s}/springs"),
        json!({ "sssp": { "alpha": 1 } }),
        400,
        "missing_field",
        "sssp.source",
        "node",
    );
    refused("POST", &format!("{s}/preset"), json!({ "name": "chaos" }), 400, "unknown_value", "name", "agent_swarm");

    let status = |text: String| {
        let answer = server.send(text.replace('\n', "\r\n").replace("HOST", &server.http.to_string()).as_bytes());
        (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
    };
    let head = "PUT /api/simulation/layout HTTP/1.1\nHost: HOST\nConnection: close\n";
    assert_eq!(status(format!("{head}\n")), (411, "length_required".to_owned()));
    assert_eq!(status(format!("{head}Content-Length: 0\n\n")), (411, "length_required".to_owned()));
    assert_eq!(status(format!("{head}Content-Length: 262145\n\n")), (413, "body".to_owned()));
    assert_eq!(status(format!("{head}Content-Length: 3\n\n[1,")), (400, "json".to_owned()));
    assert_eq!(status(format!("{head}Content-Length: 3\n\n[1]")), (400, "not_an_object".to_owned()));
    assert_eq!(
        status(format!("{head}Origin: http://evil.example\nContent-Length: 2\n\n{{}}")),
        (403, "origin".to_owned())
    );
    assert_eq!(ask(&server, "DELETE", "/api/simulation/layout", &Value::Null).status, 405);
    assert_eq!(ask(&server, "POST", "/api/simulation/explode", &Value::Null).status, 404);
    assert_eq!(server.get("/api/constraints").json()["constraints"], json!([]), "nothing of it was taken");
}

#[test]
fn a_body_may_come_in_pieces_and_another_request_behind_it() {
    let server = karate(&[]);
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = r#"{"mode": "radial"}"#;
    let put = format!(
        "PUT /api/simulation/layout HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
        server.http,
        body.len()
    );
    let get = format!("GET /api/simulation/layout HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.http);
    for piece in put.as_bytes().chunks(37) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    stream.write_all(get.as_bytes()).unwrap();
    let answers = Answer::read(&mut stream);
    assert_eq!(answers.status, 200);
    let text = String::from_utf8(answers.body).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 1, "the second answer is behind the first: {text}");
    assert_eq!(text.matches(r#""mode":"radial""#).count(), 2, "{text}");
}

#[test]
fn settings_are_shown_as_they_were_set_and_presets_set_several() {
    let server = karate(&[]);
    let s = |part: &str| format!("/api/simulation/{part}");
    let shown = server.get(&s("semantic")).json();
    assert_eq!(shown["dag_levels"], json!({ "enabled": false, "vertical_spacing": 100.0, "strength": 0.5 }));
    assert_eq!(shown["collision"], json!({ "enabled": false, "radius": 10.0, "strength": 1.0 }));
    assert_eq!(shown["type_cluster"]["distance"], 150.0);
    let body = json!({ "collision": { "enabled": true, "radius": 40 } });
    assert_eq!(tell(&server, "PUT", &s("semantic"), &body)["collision"]["radius"], 40.0);
    assert_eq!(server.get(&s("semantic")).json()["collision"]["enabled"], true);

    let body = json!({ "relations": { "cites": { "strength": 2, "rest_length": 50, "directional": true } } });
    let told = tell(&server, "PUT", &s("relations"), &body);
    let cites = json!({ "strength": 2.0, "rest_length": 50.0, "directional": true, "kind": "spring" });
    assert_eq!((&told["relations"]["cites"], &told["limit"]), (&cites, &json!(256)));
    assert_eq!(server.get(&s("two-graphs")).json()["graph_separation_x"], 600.0);
    tell(&server, "PUT", &s("two-graphs"), &json!({ "graph_separation_x": 300 }));
    let node = ids(&server)[0];
    let body = json!({ "sssp": { "source": node, "alpha": 12.5, "cap": 3 } });
    let sssp = json!({ "source": node, "lengths": "hops", "alpha": 12.5, "cap": 3.0 });
    assert_eq!(tell(&server, "PUT", &s("springs"), &body)["sssp"], sssp);

    let told = tell(&server, "POST", &s("preset"), &json!({ "name": "hierarchical" }));
    assert_eq!(told["preset"], "hierarchical");
    assert_eq!(server.get(&s("semantic")).json()["dag_levels"]["enabled"], true);
    assert_eq!(server.get(&s("semantic")).json()["collision"]["enabled"], false);
    assert_eq!(server.get(&s("layout")).json()["mode"], "hierarchical");
    let state = server.get("/api/simulation").json();
    assert_eq!((&state["preset"], &state["layout"]["mode"]), (&json!("hierarchical"), &json!("hierarchical")));
}

#[test]
fn agents_stand_beside_knowledge_which_stays_as_it_was() {
    let folder = Folder::new("two-graphs");
    let knowledge: Vec<Value> =
        (0..40).map(|node| json!({ "id": node, "label": format!("page {node}"), "size": node })).collect();
    let mut links: Vec<Value> = (0..40).map(|node| json!({ "source": node, "target": (node + 1) % 40 })).collect();
    let serve = |name: &str, nodes: &[Value], links: &[Value]| {
        let file = folder.write(name, json!({ "nodes": nodes, "links": links }).to_string());
        Server::start(&["--graph", file.to_str().unwrap()])
    };
    // Everything but the places: those are the layout's.
    let rows = |server: &Server| {
        let data = server.get("/api/graph/data").json();
        let rows = data["nodes"].as_array().unwrap().iter().map(|row| {
            let mut row = row.clone();
            ["x", "y", "z"].iter().for_each(|axis| row[axis] = Value::Null);
            row
        });
        rows.filter(|row| row["class"] != "agent").collect::<Vec<_>>()
    };
    let alone = rows(&serve("alone.json", &knowledge, &links));
    let mut nodes = knowledge.clone();
    nodes.extend((900..906).map(|agent| json!({ "id": agent, "class": "agent", "label": "an agent" })));
    links.extend((900..905).map(|agent| json!({ "source": agent, "target": agent + 1 })));
    links.push(json!({ "source": 900, "target": 3 }));
    let server = serve("both.json", &nodes, &links);
    assert_eq!(rows(&server), alone);
    let mut client = server.ws("");
    let gap = |records: &[NodeRecord]| {
        let places = places(records);
        let mean = |nodes: std::ops::Range<u32>| {
            let count = nodes.len() as f32;
            nodes.map(|node| places[&node][0]).sum::<f32>() / count
        };
        mean(900..906) - mean(0..40)
    };
    client.frame_where("agents are 600 to the right", |_, records| (500.0..700.0).contains(&gap(records)));
    tell(&server, "PUT", "/api/simulation/two-graphs", &json!({ "enabled": false }));
    client.frame_where("nothing keeps them apart", |_, records| gap(records) < 400.0);
}

#[test]
fn a_relation_type_changes_its_springs_while_it_runs() {
    let folder = Folder::new("relations");
    let links = json!([
        { "source": 0, "target": 1, "relation": "near" },
        { "source": 1, "target": 2, "relation": "far" },
        { "source": 2, "target": 3, "relation": "near" },
    ]);
    let nodes: Vec<Value> = (0..4).map(|node| json!({ "id": node })).collect();
    let file = folder.write("graph.json", json!({ "nodes": nodes, "links": links }).to_string());
    let server = Server::start(&["--graph", file.to_str().unwrap()]);
    server.settle();
    let mut client = server.ws("");
    let length = |records: &[NodeRecord], left: u32, right: u32| {
        let places = places(records);
        distance(places[&left], places[&right])
    };
    let frame = client.frame();
    let before = length(decode(&frame).1, 1, 2);
    let started = Instant::now();
    let body = json!({ "relations": { "far": { "rest_length": 240 }, "near": { "rest_length": 40, "strength": 3 } } });
    tell(&server, "PUT", "/api/simulation/relations", &body);
    client.frame_where("the springs have their new lengths", |_, records| {
        (length(records, 1, 2) - 240.0).abs() < 20.0 && (length(records, 0, 1) - 40.0).abs() < 12.0
    });
    assert!((before - 80.0).abs() < 30.0 && started.elapsed() < PATIENCE, "{before}");
}
