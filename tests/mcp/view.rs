//! Goal: an agent moves and colours what everybody sees, whoever watches now or later, and knows where that is.
//! Method: calls over an in-memory engine for what is refused; the real server with viewers on its streams for what arrives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::{Value, json};
use swarmcast::graph::{Batch, NodeRef, Op};
use swarmcast::mcp::Session;

use crate::engine::{Engine, me, modern};
use crate::support::{Client, Folder, Server};

#[test]
fn what_cannot_be_shown_is_refused_by_name_and_limit() {
    let mut engine = Engine::complete(9);
    let mut session = Session::new(Some(me()));
    let many: Vec<u32> = (0..201).collect();
    let long = "n".repeat(281);
    for (tool, arguments, words) in [
        ("set_view", json!({}), "at least one of focus, selected, camera, filter, group_by"),
        ("set_view", json!({ "filter": {} }), "filter: it says nothing"),
        ("set_view", json!({ "filter": { "kind": "agnet" } }), "filter.kind is \"agnet\""),
        ("set_view", json!({ "filter": { "group": "nobody's" } }), "filter: no node passes it"),
        ("set_view", json!({ "filter": { "wher": [] } }), "filter"),
        (
            "set_view",
            json!({ "filter": { "where": [{ "key": "a", "op": "like", "value": 1 }] } }),
            "filter.where[0].op",
        ),
        ("set_view", json!({ "filter": { "where": [{ "key": "a", "op": "eq" }] } }), "every other op takes one"),
        ("set_view", json!({ "filter": { "group": "x".repeat(1_100) } }), "at most 1024 bytes"),
        (
            "set_view",
            json!({ "group_by": "rnak" }),
            "group_by: no node has the property \"rnak\". Did you mean \"rank\"?",
        ),
        ("set_view", json!({ "focus": ["n1", "n99x"] }), "focus: there is no node \"n99x\""),
        ("set_view", json!({ "selected": "nobody at all" }), "selected: there is no node"),
        ("set_view", json!({ "focus": many }), "a list of 0 to 200"),
        ("set_view", json!({ "focus": [], "note": long }), "at most 280 characters"),
        ("set_view", json!({ "focus": [], "name": "" }), "name is"),
        ("set_view", json!({ "focus": [], "name": "a\u{202e}b" }), "name is"),
        ("set_view", json!({ "focus": [], "name": "n".repeat(65) }), "at most 64 bytes"),
        ("set_view", json!({ "camera": { "position": [0, 0, 1], "target": [0, 0, 1] } }), "same point"),
        ("set_view", json!({ "camera": { "position": [0, 0, 1e9], "target": [0, 0, 1] } }), "camera.position"),
        ("set_view", json!({ "camera": { "position": [0, 0], "target": [0, 0, 1] } }), "camera.position"),
        ("set_view", json!({ "camera": { "position": [0, 0, 1] } }), "target"),
        ("set_view", json!({ "focuss": [] }), "did you mean focus?"),
        ("set_encoding", json!({}), "channel is missing"),
        ("set_encoding", json!({ "channel": "halo", "by": "class" }), "color, size, icon, badge, label, opacity"),
        ("set_encoding", json!({ "channel": "color" }), "by is missing"),
        ("set_encoding", json!({ "channel": "color", "by": "size" }), "by is"),
        ("set_encoding", json!({ "channel": "size", "by": "type" }), "auto, equal, constant, property, class"),
        ("set_encoding", json!({ "channel": "edge_color", "by": "class" }), "auto, constant, property, type, weight"),
        ("set_encoding", json!({ "channel": "size", "by": "group" }), "size by group needs mapping"),
        ("set_encoding", json!({ "channel": "opacity", "by": "property", "property": "note" }), "needs mapping"),
        ("set_encoding", json!({ "channel": "size", "by": "rank", "mapping": { "a": 1 } }), "mapping is for"),
        ("set_encoding", json!({ "channel": "icon", "by": "property" }), "property is missing"),
        ("set_encoding", json!({ "channel": "icon", "by": "class", "property": "rank" }), "property goes with by"),
        ("set_encoding", json!({ "channel": "icon", "by": "property", "property": "rnak" }), "Did you mean \"rank\"?"),
        ("set_encoding", json!({ "channel": "edge_width", "by": "property", "property": "rank" }), "no edge has"),
        ("set_encoding", json!({ "channel": "icon", "by": "constant" }), "value is missing"),
        ("set_encoding", json!({ "channel": "icon", "by": "class", "value": "star" }), "value goes with by"),
        (
            "set_encoding",
            json!({ "channel": "icon", "by": "constant", "value": "heart" }),
            "hexagon, star, cross, ring",
        ),
        ("set_encoding", json!({ "channel": "icon", "by": "class", "mapping": { "agent": 3 } }), "mapping.agent is 3"),
        ("set_encoding", json!({ "channel": "opacity", "by": "constant", "value": 1.5 }), "a number from 0.05 to 1"),
        ("set_encoding", json!({ "channel": "edge_width", "by": "constant", "value": 13 }), "a number from 0.5 to 12"),
        ("set_encoding", json!({ "channel": "badge", "by": "constant", "value": "red" }), "#rrggbb"),
        ("set_encoding", json!({ "channel": "label", "by": "constant", "value": "x".repeat(65) }), "at most 64 bytes"),
        (
            "set_encoding",
            json!({ "channel": "icon", "by": "class", "palette": ["#000000", "#ffffff"] }),
            "palette is for",
        ),
        ("set_encoding", json!({ "channel": "color", "by": "class", "palette": ["#000000"] }), "a list of 2 to 12"),
        ("set_encoding", json!({ "channel": "color", "by": "class", "palette": ["#000000", "x"] }), "palette[1]"),
        ("set_encoding", json!({ "channel": "color", "by": "group", "mapping": { "evn": "#000000" } }), "\"even\""),
        ("set_encoding", json!({ "channel": "color", "by": "group", "mapping": { "even": "red" } }), "#rrggbb"),
        ("set_encoding", json!({ "channel": "color", "by": "group", "mapping": {} }), "a list of 1 to 32"),
        ("open_view", json!({ "view": "nowhere" }), "there are none; set_view makes one"),
    ] {
        let said = engine.refused(&mut session, tool, arguments.clone());
        assert!(said.contains(words), "{tool} {arguments}: {said}");
    }
    assert!(engine.stage.view().is_none() && engine.stage.encoding().is_none());
}

#[test]
fn views_are_kept_by_name_and_encodings_by_channel() {
    let mut engine = Engine::complete(9);
    let mut session = Session::new(Some(me()));
    let it = &mut session;
    let opened = engine.done(it, "open_view", json!({}));
    assert_eq!((&opened["url"], &opened["view"]), (&json!("http://127.0.0.1:7400/"), &Value::Null));

    let number =
        |engine: &Engine, key: &str| engine.graph.nodes().iter().find(|node| *node.key == *key).unwrap().id.get();
    let (one, two) = (number(&engine, "n1"), number(&engine, "n2"));
    let view = json!({ "name": "a", "focus": ["n1", "Node 2", "n1"], "selected": "n2", "note": "see\u{200b} here" });
    let set = engine.done(it, "set_view", view);
    let shown = json!({ "name": "a", "focus": ["n1", "n2"], "selected": "n2", "camera": null, "filter": null, "group_by": null, "note": "see here" });
    assert_eq!((&set["view"], &set["by"], &set["viewers"]), (&shown, &json!("tester"), &json!(2)));
    let time = set["time"].as_u64().unwrap();
    assert_eq!(set["url"], json!(format!("http://127.0.0.1:7400/?focus={one},{two}&selected={two}&seen={time}")));

    let camera = json!({ "position": [1, 2, 3], "target": [0, -0.5, 0] });
    let set = engine.done(it, "set_view", json!({ "name": "b", "camera": camera }));
    let later = set["time"].as_u64().unwrap();
    assert!(later > time, "no two are of one time");
    let opened = engine.done(it, "open_view", json!({}));
    assert_eq!(opened["url"], json!(format!("http://127.0.0.1:7400/?camera=1,2,3,0,-0.5,0&seen={later}")));
    assert_eq!(opened["views"], json!(["b", "a"]));
    let opened = engine.call(it, "open_view", json!({ "view": "a" }));
    let url = format!("http://127.0.0.1:7400/?focus={one},{two}&selected={two}&seen={later}");
    assert_eq!(opened["structuredContent"]["url"], json!(url));
    let link = json!({ "type": "resource_link", "uri": url, "name": "The live graph", "mimeType": "text/html" });
    assert_eq!(opened["content"][1], link);
    for view in 0..40 {
        engine.done(it, "set_view", json!({ "name": format!("v{view}"), "focus": [] }));
    }
    let views = engine.done(it, "open_view", json!({}))["views"].clone();
    assert_eq!((views.as_array().unwrap().len(), &views[0], &views[31]), (32, &json!("v39"), &json!("v8")));
    assert!(engine.refused(it, "open_view", json!({ "view": "v7" })).contains("there are v39"));

    let mapping = json!({ "even": "#FF8800" });
    let set = engine.done(it, "set_encoding", json!({ "channel": "color", "by": "group", "mapping": mapping }));
    let legend = json!({ "values": [
        { "value": "even", "nodes": 5, "shows": "#ff8800" }, { "value": "odd", "nodes": 4, "shows": "#f6b73c" },
    ], "total": 2, "range": null, "scale": null, "sampled": 9 });
    assert_eq!(set["legend"], legend);
    let set = engine.done(it, "set_encoding", json!({ "channel": "size", "by": "degree" }));
    let colour = json!({ "by": "group", "mapping": { "even": "#ff8800" } });
    let wanted = json!({
        "color": "group", "colors": { "even": "#ff8800" }, "size": "degree",
        "channels": { "color": colour, "size": { "by": "degree" } },
    });
    assert_eq!((&set["encoding"], &set["legend"]["range"]), (&wanted, &json!([2.0, 4.0])));
    let set = engine.done(it, "set_encoding", json!({ "channel": "color", "by": "rank" }));
    let (rules, colors) = (json!({ "color": { "by": "rank" }, "size": { "by": "degree" } }), json!({}));
    assert_eq!((&set["encoding"]["channels"], &set["encoding"]["colors"]), (&rules, &colors));
    let set = engine.done(it, "set_encoding", json!({ "channel": "color", "by": "auto" }));
    assert_eq!((&set["encoding"]["color"], set["encoding"]["channels"].get("color")), (&json!("auto"), None));

    // A node that goes leaves the view as it was set: clients pass over it.
    let op = Op::RemoveNode { node: NodeRef::Key("n1".into()) };
    engine.commit(&Batch { ops: vec![op], author: "x".into(), ..Batch::default() }).unwrap();
    engine.done(it, "open_view", json!({}));
    let said = engine.say(it, &modern(1, "tools/list", json!({}))).unwrap();
    assert!(said[0].to_string().contains("set_view"));
}

/// A server whose agents need no token and have the set, and what one of them is answered.
struct Open(Server, #[allow(dead_code, reason = "gone with the server")] Folder);

impl Open {
    fn start(folder: &str) -> Self {
        let folder = Folder::new(folder);
        let token = format!("mcp.token_file={}", folder.join("mcp.token").display());
        let server = Server::start(&[
            "--mcp",
            "127.0.0.1:0",
            "--set",
            &token,
            "--set",
            "mcp.anonymous=write",
            "--toolsets",
            "core,view",
        ]);
        Self(server, folder)
    }

    fn call(&self, tool: &str, arguments: Value) -> Value {
        self.0.tool(tool, arguments)
    }
}

#[test]
fn everybody_who_watches_is_moved_and_who_comes_later_is_too() {
    let open = Open::start("view-stream");
    let (mut ws, mut tcp) = (open.0.ws(""), open.0.tcp("{}"));
    ws.frame();
    tcp.frame();
    let found = open.call("find_nodes", json!({ "limit": 2 }));
    let nodes = found["nodes"].as_array().unwrap();
    let [first, second] = [&nodes[0], &nodes[1]];
    let set = open
        .call("set_view", json!({ "focus": [first["id"], second["id"]], "selected": second["id"], "note": "here" }));
    assert_eq!(set["viewers"], json!(2));
    let view = json!({
        "type": "view_set", "by": "anonymous", "time": set["time"], "revision": set["revision"], "name": "main",
        "camera": null, "focus": [first["node_id"], second["node_id"]], "selected": second["node_id"],
        "filter": null, "group_by": null, "note": "here",
    });
    assert_eq!((ws.text("view_set"), tcp.text("view_set")), (view.clone(), view.clone()));
    let encoded = open.call("set_encoding", json!({ "channel": "color", "by": "community" }));
    let encoding = json!({
        "type": "encoding_set", "by": "anonymous", "time": encoded["time"], "revision": encoded["revision"],
        "colour": "community", "colours": {}, "size": "auto", "channels": { "color": { "by": "community" } },
    });
    assert_eq!((ws.text("encoding_set"), tcp.text("encoding_set")), (encoding.clone(), encoding.clone()));
    for later in [&mut open.0.ws("") as &mut dyn Client, &mut open.0.tcp("{\"profile\":\"v1\"}")] {
        assert_eq!((later.text("view_set"), later.text("encoding_set")), (view.clone(), encoding.clone()));
    }

    // What is to be seen of the graph, and what groups it, goes with the view.
    let filter = json!({ "kind": "knowledge", "where": [{ "key": "degree", "op": "ge", "value": 1.0 }] });
    let set = open.call("set_view", json!({ "name": "some", "filter": filter, "group_by": "class" }));
    assert_eq!((&set["view"]["filter"], &set["view"]["group_by"]), (&filter, &json!("class")));
    let (told, kept) = (ws.text("view_set"), open.call("open_view", json!({ "view": "some" })));
    let rule = json!({ "by": "class", "apart": true });
    assert_eq!((&told["filter"], &told["group_by"], &kept["view"]), (&filter, &rule, &set["view"]));
    let url = kept["url"].as_str().unwrap();
    assert!(url.contains("?filter=%7B%22kind%22%3A%22knowledge%22") && url.contains("&group_by=%7B"), "{url}");
    open.call("set_view", json!({ "focus": [first["id"], second["id"]], "selected": second["id"] }));

    // The address that is given out is one that answers, with the page.
    let opened = open.call("open_view", json!({}));
    let url = opened["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", open.0.http)).unwrap();
    assert!(path.starts_with("/?focus="), "{url}");
    let page = open.0.get(path);
    assert!(page.status == 200 && page.text().contains("<html"), "{path}");

    // Of many at once the newest is what counts; nobody is told all of them.
    for turn in 0..50 {
        open.call("set_view", json!({ "focus": [], "note": format!("turn {turn}") }));
    }
    let mut told = 0;
    loop {
        let view = ws.text("view_set");
        told += 1;
        if view["note"] == json!("turn 49") {
            break;
        }
    }
    assert!(told < 50, "{told}");
    assert_eq!(ws.text_within("view_set", Duration::from_millis(600)), None);
}
