//! Goal: what is kept by name (views, snapshots) is drawn, read, completed and told apart from what is not; a part of the graph leaves as a
//! file of its own.
//! Method: calls over an in-memory engine; the real server for snapshots.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use swarmcast::mcp::Session;

use crate::engine::{Engine, me, modern};
use crate::support::Folder;
use crate::talk::Home;

fn svg(result: &Value) -> String {
    let data = result["content"][0]["data"].as_str().unwrap();
    String::from_utf8(BASE64.decode(data).unwrap()).unwrap()
}

fn read(engine: &mut Engine, session: &mut Session, uri: &str) -> Value {
    engine.say(session, &modern(1, "resources/read", json!({ "uri": uri }))).unwrap()[0].clone()
}

#[test]
fn a_view_is_drawn_as_it_was_kept() {
    let mut engine = Engine::complete(30);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    engine.done(it, "set_view", json!({ "name": "two of them", "focus": ["n5", "n20"], "selected": "n5" }));
    let asked = json!({ "view": "two of them", "hops": 0, "format": "svg", "labels": 0 });
    let drawn = engine.call(it, "render_view", asked);
    let picture = svg(&drawn);
    assert_eq!(
        (&drawn["structuredContent"]["view"], &drawn["structuredContent"]["nodes"]),
        (&json!("two of them"), &json!(2))
    );
    assert_eq!((picture.matches("<circle").count(), picture.matches("stroke=\"#ffffff\"").count()), (2, 1));
    assert_eq!(drawn["content"][2]["uri"], json!("graph://view/two%20of%20them.svg"));
    // The resource is the same view, of the layout as it is then.
    let kept = read(&mut engine, it, "graph://view/two%20of%20them.png");
    assert_eq!(kept["result"]["contents"][0]["mimeType"], json!("image/png"));
    assert!(BASE64.decode(kept["result"]["contents"][0]["blob"].as_str().unwrap()).unwrap().starts_with(b"\x89PNG"));
    let shown = read(&mut engine, it, "graph://view/two%20of%20them.json");
    let shown: Value = serde_json::from_str(shown["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!((&shown["view"]["focus"], &shown["by"]), (&json!(["n5", "n20"]), &json!("tester")));

    // From a camera: nodes stand at (n, n * n % 17, 1). It looks along -z, right at n3, from 100 away: x grows to the right, y upwards.
    let camera = json!({ "position": [3, 9, 101], "target": [3, 9, 1] });
    engine.done(it, "set_view", json!({ "name": "camera", "camera": camera }));
    let asked = json!({ "view": "camera", "format": "svg", "width": 400, "height": 400, "labels": 0 });
    let picture = svg(&engine.call(it, "render_view", asked));
    let centre = |wanted: usize| -> (f64, f64) {
        let circle = picture.split("<circle ").nth(wanted + 1).unwrap();
        let of = |name: &str| {
            circle.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        (of("cx"), of("cy"))
    };
    assert_eq!(picture.matches("<circle").count(), 30);
    assert_eq!(centre(3), (200.0, 200.0));
    // 42 degrees from top to bottom: 200 pixels are 100 * tan(21 degrees) world units there.
    let pixels = 200.0 / (100.0 * 21.0_f64.to_radians().tan());
    let (x, y) = centre(4);
    assert!((x - 200.0 - pixels).abs() < 0.1 && (y - 200.0 - (9.0 - 16.0) * pixels).abs() < 0.1, "{x} {y}");
    // What is behind it is not drawn.
    let camera = json!({ "position": [0, 0, -100], "target": [0, 0, -200] });
    engine.done(it, "set_view", json!({ "name": "away", "camera": camera }));
    let drawn = engine.done(it, "render_view", json!({ "view": "away" }));
    assert_eq!((&drawn["nodes"], &drawn["edges"]), (&json!(0), &json!(0)));

    // A node that goes is passed over.
    engine.done(it, "delete_items", json!({ "nodes": ["n20"] }));
    assert_eq!(engine.done(it, "render_view", json!({ "view": "two of them", "hops": 0 }))["nodes"], json!(1));
    for (asked, words) in [
        (json!({ "view": "camra" }), "did you mean camera?; there are away, camera, two of them; set_view makes one"),
        (json!({ "view": "zzz" }), "there is no view \"zzz\"; there are away"),
        (json!({ "view": "camera", "focus": ["n1"] }), "focus or view, not both"),
    ] {
        let said = engine.refused(it, "render_view", asked.clone());
        assert!(said.contains(words), "{asked}: {said}");
    }
    let unknown = read(&mut engine, it, "graph://view/zzz.png");
    assert_eq!(
        (&unknown["error"]["code"], &unknown["error"]["data"]["uri"]),
        (&json!(-32602), &json!("graph://view/zzz.png"))
    );
    let main = read(&mut engine, it, "graph://view/main.json");
    assert!(main["result"]["contents"][0]["text"].as_str().unwrap().contains("\"view\":null"));
}

/// The attributes of the first element of this name, as they are written.
fn first<'svg>(picture: &'svg str, element: &str) -> &'svg str {
    picture.split(&format!("<{element} ")).nth(1).and_then(|rest| rest.split("/>").next()).unwrap_or("")
}

#[test]
fn every_channel_is_seen_in_a_picture() {
    let mut engine = Engine::complete(6);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let mut encode = |engine: &mut Engine, rule: Value| {
        let set = engine.done(it, "set_encoding", rule);
        let asked = json!({ "focus": ["n3"], "hops": 0, "format": "svg", "labels": 3 });
        let drawn = engine.call(it, "render_view", asked);
        let all = engine.call(it, "render_view", json!({ "format": "svg", "labels": 0 }));
        (set, drawn["structuredContent"]["legend"].clone(), svg(&drawn), svg(&all))
    };
    // n3 is odd, its rank is 3 of 0 to 5, its edges weigh 3, 4 and, to n0, 2; that is the only spoke.
    let (set, legend, one, _) =
        encode(&mut engine, json!({ "channel": "icon", "by": "group", "mapping": { "odd": "star" } }));
    assert_eq!(set["legend"]["values"][1], json!({ "value": "odd", "nodes": 3, "shows": "star" }));
    assert_eq!(legend["icon"]["values"][0], json!({ "value": "even", "nodes": 3, "shows": null }));
    assert_eq!((one.matches("<polygon").count(), one.matches("<circle").count()), (1, 0));
    assert_eq!(first(&one, "polygon").split('"').nth(1).unwrap().split(' ').count(), 10, "{one}");
    let (_, _, one, _) = encode(
        &mut engine,
        json!({ "channel": "color", "by": "property", "property": "rank", "palette": ["#000000", "#0000ff"] }),
    );
    assert!(first(&one, "polygon").contains("fill=\"#000099\""), "{one}");
    let (_, _, one, all) = encode(
        &mut engine,
        json!({ "channel": "badge", "by": "property", "property": "rank", "mapping": { "3": "#ff0000" } }),
    );
    assert!(first(&one, "circle").contains("class=\"badge\"") && one.contains("#ff0000"), "{one}");
    assert_eq!(all.matches("class=\"badge\"").count(), 1);
    let (_, _, one, _) = encode(&mut engine, json!({ "channel": "label", "by": "property", "property": "rank" }));
    assert!(one.contains(">3</text>") && !one.contains("Node 3"), "{one}");
    let (_, _, one, _) = encode(&mut engine, json!({ "channel": "label", "by": "none" }));
    assert!(!one.contains("</text>"), "{one}");
    let (set, _, one, _) = encode(&mut engine, json!({ "channel": "opacity", "by": "property", "property": "rank" }));
    assert_eq!((&set["legend"]["range"], &set["legend"]["scale"][1]), (&json!([0.0, 5.0]), &json!(1.0)));
    assert!(first(&one, "polygon").contains("opacity=\"0.66\""), "0.15 and three fifths of the rest: {one}");
    encode(&mut engine, json!({ "channel": "opacity", "by": "auto" }));
    let width = |picture: &str| {
        let corner = first(picture, "polygon").split('"').nth(1).unwrap().to_owned();
        let ys: Vec<f32> = corner.split(' ').map(|it| it.split(',').nth(1).unwrap().parse().unwrap()).collect();
        ys.iter().copied().fold(f32::MIN, f32::max) - ys.iter().copied().fold(f32::MAX, f32::min)
    };
    let (_, _, small, _) = encode(&mut engine, json!({ "channel": "size", "by": "constant", "value": 1 }));
    let (_, _, large, _) = encode(&mut engine, json!({ "channel": "size", "by": "group", "mapping": { "odd": 3 } }));
    assert!((width(&large) / width(&small) - 3.0).abs() < 0.1, "{} {}", width(&small), width(&large));
    let (set, _, _, all) =
        encode(&mut engine, json!({ "channel": "edge_color", "by": "type", "mapping": { "spoke": "#00ff00" } }));
    assert_eq!(set["legend"]["values"][1], json!({ "value": "spoke", "edges": 1, "shows": "#00ff00" }));
    assert_eq!((all.matches("<path").count(), all.matches("stroke=\"#00ff00\"").count()), (2, 1), "{all}");
    let (_, _, _, all) = encode(&mut engine, json!({ "channel": "edge_width", "by": "weight" }));
    assert!(all.contains("stroke=\"#00ff00\" stroke-opacity=\"0.8\" stroke-width=\"2\""), "2 of 1 to 6: {all}");
    assert_eq!(all.matches("<path").count(), 7, "each next is of a weight of its own");
    // The same as pixels: where the only node stands its colour is.
    let drawn =
        engine.call(it, "render_view", json!({ "focus": ["n3"], "hops": 0, "labels": 0, "width": 64, "height": 64 }));
    let png = BASE64.decode(drawn["content"][0]["data"].as_str().unwrap()).unwrap();
    let middle = tiny_skia::Pixmap::decode_png(&png).unwrap().pixel(32, 32).unwrap();
    assert_eq!((middle.red(), middle.green(), middle.blue()), (0, 0, 0x99));
}

#[test]
fn a_view_shows_what_its_filter_lets_through_and_tells_groups_apart() {
    let mut engine = Engine::complete(6);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let filter = json!({ "where": [{ "key": "rank", "op": "ge", "value": 3 }] });
    engine.done(it, "set_view", json!({ "name": "upper", "filter": filter, "group_by": "group" }));
    let drawn = engine.call(it, "render_view", json!({ "view": "upper", "format": "svg", "labels": 0 }));
    let (picture, said) = (svg(&drawn), &drawn["structuredContent"]);
    // n3, n4 and n5, and the edges between them; the two rows of the legend are circles, too.
    assert_eq!((&said["nodes"], &said["edges"], picture.matches("<circle").count()), (&json!(3), &json!(2), 5));
    assert!(picture.contains(">even</text>") && picture.contains(">odd</text>"), "{picture}");
    assert_eq!(said["legend"]["color"]["total"], json!(2));
    let colour = |picture: &str, place: usize| -> String {
        picture.split("<circle ").nth(place + 1).unwrap().split("fill=\"").nth(1).unwrap()[..7].to_owned()
    };
    let colours = [0, 1, 2].map(|place| colour(&picture, place));
    assert!(colours[0] == colours[2] && colours[0] != colours[1], "{colours:?}");
    // Both that are in focus and pass are shown; numbers are groups here, no scale.
    engine.done(
        it,
        "set_view",
        json!({ "name": "two", "focus": ["n2", "n3", "n4"], "filter": filter, "group_by": "rank" }),
    );
    let drawn = engine.call(it, "render_view", json!({ "view": "two", "hops": 0, "format": "svg", "labels": 0 }));
    let legend = &drawn["structuredContent"]["legend"]["color"];
    assert_eq!((&drawn["structuredContent"]["nodes"], &legend["total"]), (&json!(2), &json!(6)));
    assert_eq!((&legend["values"][5]["value"], &legend["range"]), (&json!("5"), &Value::Null));
    // What colours mean to everybody goes before.
    engine.done(it, "set_encoding", json!({ "channel": "color", "by": "constant", "value": "#123456" }));
    let drawn = engine.call(it, "render_view", json!({ "view": "upper", "format": "svg", "labels": 0 }));
    assert_eq!(svg(&drawn).matches("#123456").count(), 3);
    // The resource is the same view.
    let kept = read(&mut engine, it, "graph://view/upper.svg");
    let data = BASE64.decode(kept["result"]["contents"][0]["blob"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(data).unwrap().matches("#123456").count(), 3);
    let kept = read(&mut engine, it, "graph://view/upper.json");
    let kept: Value = serde_json::from_str(kept["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&kept["view"]["group_by"], &kept["view"]["filter"]["where"][0]["key"]),
        (&json!("group"), &json!("rank"))
    );
}

/// The same cases as in the viewer's tests.
#[test]
fn a_filter_shows_the_same_nodes_as_the_viewer() {
    let cases: Value = serde_json::from_str(include_str!("../data/filter.json")).unwrap();
    let mut engine = Engine::complete(3);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    engine.done(it, "delete_items", json!({ "nodes": ["n0", "n1", "n2"] }));
    let nodes = cases["nodes"].as_array().unwrap().iter().map(|node| {
        json!({ "id": node["key"], "label": node["label"], "group": node["group"], "weight": node["weight"], "props": node["attributes"] })
    });
    engine.done(it, "upsert_nodes", json!({ "nodes": nodes.collect::<Vec<Value>>() }));
    let edges = json!([{ "from": "a", "to": "b", "type": "t" }, { "from": "b", "to": "c", "type": "t" }]);
    engine.done(it, "upsert_edges", json!({ "edges": edges }));
    engine.positions = vec![[0.0, 0.0, 0.0], [100.0, 50.0, 0.0], [0.0, 100.0, 0.0]];
    for case in cases["cases"].as_array().unwrap() {
        engine.done(it, "set_view", json!({ "name": "case", "filter": case["filter"] }));
        engine.done(it, "set_encoding", json!({ "channel": "label", "by": "id" }));
        let drawn = engine.call(it, "render_view", json!({ "view": "case", "format": "svg", "labels": 100 }));
        let picture = svg(&drawn);
        let shown: Vec<&str> =
            ["a", "b", "c"].into_iter().filter(|key| picture.contains(&format!(">{key}</text>"))).collect();
        assert_eq!(
            (json!(shown), &drawn["structuredContent"]["nodes"]),
            (case["shown"].clone(), &json!(shown.len())),
            "{case}"
        );
    }
}

#[test]
fn names_are_completed() {
    let mut engine = Engine::complete(5);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    for name in ["alpha", "a b"] {
        engine.done(it, "set_view", json!({ "name": name, "focus": [] }));
    }
    let mut complete = |uri: &str, name: &str, value: &str| {
        let of = json!({ "type": "ref/resource", "uri": uri });
        let asked = json!({ "ref": of, "argument": { "name": name, "value": value } });
        let said = engine.say(it, &modern(1, "completion/complete", asked)).unwrap();
        said[0]["result"]["completion"]["values"].clone()
    };
    let view = "graph://view/{name}.{format}";
    assert_eq!(complete(view, "name", "a"), json!(["a%20b", "alpha"]));
    assert_eq!(complete(view, "name", ""), json!(["a%20b", "alpha", "main"]));
    assert_eq!(complete(view, "format", ""), json!(["png", "svg", "json"]));
    assert_eq!(complete(view, "format", "s"), json!(["svg"]));
}

#[test]
fn a_snapshot_is_a_resource() {
    let folder = Folder::new("mcp-scenes");
    let store = folder.join("graph.db").display().to_string();
    let home = Home::of(folder, &["--store", &store]);
    let mut agent = home.agent();
    for name in ["before", "later"] {
        agent.call("snapshot_graph", json!({ "name": name }));
    }
    let overview = agent.call("graph_overview", json!({}));
    let content = agent.read("graph://snapshot/before");
    let shown: Value = serde_json::from_str(content["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&shown["name"], &shown["nodes"], &shown["edges"]),
        (&json!("before"), &overview["nodes"], &overview["edges"])
    );
    assert_eq!((&shown["kinds"], &shown["revision"]), (&overview["kinds"], &overview["revision"]));
    for uri in ["graph://snapshot/nowhere", "graph://snapshot/..%2Fgraph", "graph://snapshot/%2Fetc%2Fpasswd"] {
        let answer = agent.ask("resources/read", json!({ "uri": uri }));
        assert_eq!(answer["error"]["code"], json!(-32002), "{uri}: {answer}");
    }
    let of = json!({ "type": "ref/resource", "uri": "graph://snapshot/{name}" });
    for (typed, names) in [("", json!(["before", "later"])), ("be", json!(["before"])), ("x", json!([]))] {
        let asked = json!({ "ref": of, "argument": { "name": "name", "value": typed } });
        assert_eq!(agent.ask("completion/complete", asked)["result"]["completion"]["values"], names);
    }
    let listed = agent.ask("resources/templates/list", json!({}));
    assert!(listed.to_string().contains("graph://snapshot/{name}"));
}

#[test]
fn a_part_leaves_as_a_file_of_its_own() {
    let mut engine = Engine::complete(12);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let mut file = |engine: &mut Engine, scope: Value| -> Value {
        let made = engine.done(it, "export_graph", json!({ "scope": scope }));
        let said = read(engine, it, made["uri"].as_str().unwrap());
        serde_json::from_str(said["result"]["contents"][0]["text"].as_str().unwrap()).unwrap()
    };
    let part = file(&mut engine, json!({ "ids": ["n1", "n2", "n3", "n9"] }));
    assert_eq!(part["nodes"].as_array().unwrap().len(), 4);
    let links = part.get("links").or_else(|| part.get("edges")).unwrap().as_array().unwrap();
    assert_eq!(links.len(), 2, "n1 to n2 and n2 to n3, and no edge that leads out: {part}");
    // The name of a file comes from the revision here.
    engine.revision += 1;
    assert_eq!(file(&mut engine, json!({ "group": "odd" }))["nodes"].as_array().unwrap().len(), 6);
    let said = engine.refused(it, "export_graph", json!({ "scope": { "ids": ["nowhere"] } }));
    assert!(said.contains("scope.ids"), "{said}");
    assert!(engine.refused(it, "export_graph", json!({ "scope": { "group": "zzz" } })).contains("no node is in it"));
}
