//! Goal: MCP by HTTP is what the revisions say, for clients that keep to them and for those that do not.
//! Method: the real server; requests written byte for byte over real sockets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{self, Folder, Server};

const PATIENCE: Duration = Duration::from_secs(60);

struct Engine {
    server: Server,
    token: String,
    _folder: Folder,
}

impl Engine {
    fn start(name: &str, more: &[&str]) -> Self {
        let folder = Folder::new(name);
        let path = folder.join("mcp.token");
        let token_file = format!("mcp.token_file={}", path.display());
        let mut flags = vec!["--mcp", "127.0.0.1:0", "--set", &token_file];
        flags.extend(more);
        let server = Server::start(&flags);
        let token = std::fs::read_to_string(path).unwrap().trim().to_owned();
        Self { server, token, _folder: folder }
    }

    fn connect(&self) -> Http {
        let stream = TcpStream::connect(self.server.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let headers = vec![
            ("Host".to_owned(), self.server.http.to_string()),
            ("Authorization".to_owned(), format!("Bearer {}", self.token)),
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
        ];
        Http { from: BufReader::new(stream.try_clone().unwrap()), to: stream, headers }
    }

    /// A session of an older revision.
    fn session(&self) -> Http {
        let mut http = self.connect();
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let answer = http.post(&request(1, "initialize", params), &[]);
        assert_eq!((answer.status, &answer.body["result"]["protocolVersion"]), (200, &json!("2025-11-25")));
        let id = answer.header("mcp-session-id").unwrap().to_owned();
        assert_eq!(id.len(), 32, "{id}");
        http.headers.push(("Mcp-Session-Id".to_owned(), id));
        http.headers.push(("MCP-Protocol-Version".to_owned(), "2025-11-25".to_owned()));
        let told = http.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string(), &[]);
        assert_eq!((told.status, &told.body), (202, &Value::Null));
        http
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// JSON; null when there is no body.
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn code(&self) -> i64 {
        self.body["error"]["code"].as_i64().unwrap_or(0)
    }
}

/// One connection, and what is sent with every request on it.
struct Http {
    from: BufReader<TcpStream>,
    to: TcpStream,
    headers: Vec<(String, String)>,
}

impl Http {
    /// A request as it is sent; `more` replaces headers, and takes away those whose value is empty.
    fn written(&self, method: &str, path: &str, body: &str, more: &[(&str, &str)]) -> String {
        let mut headers = self.headers.clone();
        for (name, value) in more {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            if !value.is_empty() {
                headers.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        if !body.is_empty() {
            headers.push(("Content-Length".to_owned(), body.len().to_string()));
        }
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{method} {path} HTTP/1.1\r\n{lines}\r\n{body}")
    }

    fn send(&mut self, method: &str, path: &str, body: &str, more: &[(&str, &str)]) {
        let request = self.written(method, path, body, more);
        self.to.write_all(request.as_bytes()).unwrap();
    }

    fn head(&mut self) -> Option<Answer> {
        let mut line = String::new();
        if self.from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.from.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Some(Answer { status, headers, body: Value::Null })
    }

    /// The head of an answer, and its body as it came.
    fn unparsed(&mut self) -> (Answer, Vec<u8>) {
        let answer = self.head().unwrap();
        let length: usize = answer.header("content-length").unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap();
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).unwrap();
        (answer, body)
    }

    fn answer(&mut self) -> Answer {
        let (mut answer, body) = self.unparsed();
        if !body.is_empty() {
            answer.body = serde_json::from_slice(&body).unwrap();
        }
        answer
    }

    fn post(&mut self, body: &str, more: &[(&str, &str)]) -> Answer {
        self.send("POST", "/mcp", body, more);
        self.answer()
    }

    /// A request of 2026-07-28 with the headers that belong to it.
    fn modern(&mut self, id: u64, method: &str, params: Value, more: &[(&str, &str)]) -> Answer {
        self.send_modern(id, method, params, more);
        self.answer()
    }

    fn send_modern(&mut self, id: u64, method: &str, params: Value, more: &[(&str, &str)]) {
        let name = params["name"].as_str().or(params["uri"].as_str()).unwrap_or("").to_owned();
        let mut headers = vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method), ("Mcp-Name", &name)];
        headers.extend(more);
        self.send("POST", "/mcp", &modern(id, method, params), &headers);
    }

    /// The next message of a stream of events; `None` at its end.
    fn event(&mut self) -> Option<Value> {
        loop {
            let mut size = String::new();
            self.from.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.from.read_exact(&mut chunk).unwrap();
            if size == 0 {
                return None;
            }
            let text = String::from_utf8(chunk).unwrap();
            let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
            return Some(serde_json::from_str(data).unwrap());
        }
    }

    fn stream(&mut self) -> Answer {
        let head = self.head().unwrap();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{head:?}");
        assert_eq!(head.header("x-accel-buffering"), Some("no"));
        head
    }
}

fn request(id: u64, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

fn modern(id: u64, method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    request(id, method, params)
}

fn node(key: &str) -> Value {
    json!({ "name": "upsert_nodes", "arguments": { "nodes": [{ "id": key, "label": key }] } })
}

#[test]
fn an_answer_that_takes_longer_than_most_is_whole_and_one_that_does_not_come_is_no_empty_one() {
    let folder = Folder::new("http-long");
    let file = format!("mcp.token_file={}", folder.join("mcp.token").display());
    let sets = [
        "--toolsets",
        "core,sim",
        "--set",
        "mcp.anonymous=write",
        "--set",
        "sim.cooling=0",
        "--set",
        "sim.settle_velocity=0",
    ];
    let server = Server::start(&[&["--mcp", "127.0.0.1:0", "--set", &file][..], &sets].concat());
    let begun = Instant::now();
    let stepped = server.tool("step_simulation", json!({ "ticks": 10_000, "timeout_ms": 25_000 }));
    assert_eq!(stepped["timed_out"], json!(true), "{stepped}");
    assert!(begun.elapsed() >= Duration::from_secs(24), "{:?}", begun.elapsed());
    // The helper of the tests itself: a server that accepts and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let read = catch_unwind(AssertUnwindSafe(|| support::Answer::read(&mut stream)));
    assert!(read.is_err(), "what did not come is told from what is empty");
}

#[test]
fn a_session_asks_hears_and_ends() {
    let engine = Engine::start("session", &[]);
    let mut http = engine.session();
    let tools = http.post(&request(2, "tools/list", json!({})), &[]);
    assert_eq!(tools.body["result"]["tools"].as_array().unwrap().len(), 21);

    // A second connection of the same session holds the stream of its notices.
    let mut notices = engine.connect();
    notices.headers = http.headers.clone();
    notices.send("GET", "/mcp", "", &[("Accept", "text/event-stream")]);
    notices.stream();
    let subscribed = http.post(&request(3, "resources/subscribe", json!({ "uri": "graph://overview" })), &[]);
    assert_eq!((subscribed.status, &subscribed.body["result"]), (200, &json!({})));
    let written = http.post(&request(4, "tools/call", node("by http")), &[]);
    assert_eq!(written.body["result"]["structuredContent"]["created"], json!(["by http"]), "{written:?}");
    let notice = notices.event().unwrap();
    assert_eq!(notice["method"], "notifications/resources/updated", "{notice}");
    assert_eq!(notice["params"]["uri"], "graph://overview");

    // The same connection may ask the other door for something.
    http.send("GET", "/healthz", "", &[]);
    assert_eq!(http.head().unwrap().status, 200);
    let mut http = Http { headers: http.headers.clone(), ..engine.connect() };

    // Nobody else may go on with it, and nobody at all once it has ended.
    let strange = http.post(&request(5, "ping", json!({})), &[("Mcp-Session-Id", "0123456789abcdef0123456789abcdef")]);
    assert_eq!(strange.status, 404);
    http.send("DELETE", "/mcp", "", &[]);
    assert_eq!(http.answer().status, 200);
    assert_eq!(notices.event(), None, "the stream ends with the session");
    assert_eq!(http.post(&request(6, "ping", json!({})), &[]).status, 404);
}

#[test]
fn stateless_requests_stand_for_themselves() {
    let engine = Engine::start("stateless", &[]);
    let mut http = engine.connect();
    let said = http.modern(1, "server/discover", json!({}), &[]);
    assert_eq!(said.body["result"]["supportedVersions"], json!(["2026-07-28"]), "{said:?}");
    assert!(said.header("mcp-session-id").is_none());
    let called = http.modern(2, "tools/call", json!({ "name": "graph_overview" }), &[]);
    assert_eq!(called.body["result"]["resultType"], "complete", "{called:?}");

    let mut listener = engine.connect();
    let wants = json!({ "notifications": { "resourceSubscriptions": ["graph://overview", "file:///etc/passwd"] } });
    listener.send_modern(7, "subscriptions/listen", wants, &[]);
    listener.stream();
    let acknowledged = listener.event().unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"]["resourceSubscriptions"], json!(["graph://overview"]));
    let written = http.modern(3, "tools/call", node("seen"), &[]);
    assert_eq!(written.body["result"]["structuredContent"]["created"], json!(["seen"]), "{written:?}");
    let notice = listener.event().unwrap();
    assert_eq!(notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], json!(7), "{notice}");

    // The base64 form of a header says the same, and what it says must be what the body says.
    let encoded = [("Mcp-Name", "=?base64?Z3JhcGhfb3ZlcnZpZXc=?=")];
    assert_eq!(http.modern(4, "tools/call", json!({ "name": "graph_overview" }), &encoded).status, 200);
    let told = http.post(
        &json!({ "jsonrpc": "2.0", "method": "notifications/x" }).to_string(),
        &[("MCP-Protocol-Version", "2026-07-28")],
    );
    assert_eq!(told.status, 202);
}

#[test]
fn wrong_requests_have_their_status_and_nothing_is_run() {
    let engine = Engine::start("wrong", &[]);
    let mut http = engine.session();
    let overview = || json!({ "name": "graph_overview" });
    let discover = |more: &[(&str, &str)]| {
        let mut http = engine.connect();
        let answer = http.modern(1, "server/discover", json!({}), more);
        (answer.status, answer.code())
    };
    assert_eq!(discover(&[]), (200, 0));
    assert_eq!(discover(&[("MCP-Protocol-Version", "")]), (400, -32020));
    assert_eq!(discover(&[("MCP-Protocol-Version", "2025-11-25")]), (400, -32020));
    assert_eq!(discover(&[("Mcp-Method", "")]), (400, -32020));
    assert_eq!(discover(&[("Mcp-Method", "Server/Discover")]), (400, -32020));
    assert_eq!(discover(&[("Authorization", "")]), (401, 4001));
    assert_eq!(discover(&[("Authorization", "Bearer wrong")]), (401, 4001));
    assert_eq!(discover(&[("Authorization", "Basic abc")]), (401, 4001));
    assert_eq!(discover(&[("Content-Type", "text/plain")]), (415, -32600));
    assert_eq!(discover(&[("Accept", "text/html")]), (406, -32600));
    assert_eq!(discover(&[("Origin", "http://evil.example")]), (403, 0));
    assert_eq!(discover(&[("Host", "evil.example")]), (421, 0));
    let named = |name: &str| {
        let answer = engine.connect().modern(1, "tools/call", overview(), &[("Mcp-Name", name)]);
        (answer.status, answer.code())
    };
    assert_eq!(named(""), (400, -32020));
    assert_eq!(named("clear_graph"), (400, -32020));
    assert_eq!(named("=?base64?Z3JhcGhfb3ZlcnZpZXc?="), (400, -32020), "padding is missing");
    let mut bare = engine.connect();
    let unknown = bare.modern(1, "nothing/here", json!({}), &[]);
    assert_eq!((unknown.status, unknown.code(), &unknown.body["id"]), (404, -32601, &json!(1)));
    let removed = bare.modern(2, "ping", json!({}), &[]);
    assert_eq!((removed.status, removed.code()), (404, -32601));
    let no_meta = bare.post(
        &request(3, "server/discover", json!({})),
        &[("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "server/discover")],
    );
    assert_eq!((no_meta.status, no_meta.code()), (400, -32602));
    let version = bare.post(&request(4, "tools/list", json!({})), &[("MCP-Protocol-Version", "1999-01-01")]);
    assert_eq!((version.status, version.code()), (400, -32022));
    assert_eq!(bare.post(&request(5, "tools/list", json!({})), &[]).status, 400, "a session is needed");
    assert_eq!(bare.post("{", &[]).code(), -32700);
    assert_eq!(bare.post(&format!("[{}]", request(1, "ping", json!({}))), &[]).status, 400, "a batch");
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    assert_eq!((bare.post(&deep, &[]).code(), bare.post("Host: x", &[]).status), (-32700, 400));
    for method in ["PUT", "PATCH", "OPTIONS"] {
        bare.send(method, "/mcp", "", &[]);
        let answer = bare.answer();
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST, DELETE")));
    }
    bare.send("GET", "/mcp", "", &[("MCP-Protocol-Version", "2026-07-28")]);
    let answer = bare.answer();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    bare.send("GET", "/mcp", "", &[]);
    assert_eq!(bare.answer().status, 400);
    http.send("GET", "/mcp", "", &[("Accept", "application/json")]);
    assert_eq!(http.answer().status, 406);
    let answer = engine.connect().post(&request(1, "ping", json!({})), &[("Authorization", "")]);
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"), "{answer:?}");
    // A header that is there twice may mean one thing to a proxy and another here.
    http.headers.push(("Mcp-Session-Id".to_owned(), "other".to_owned()));
    assert_eq!(http.post(&request(9, "ping", json!({})), &[]).status, 400);
}

#[test]
fn long_and_slow_bodies_cost_their_connection_and_nothing_else() {
    let engine = Engine::start("bodies", &[]);
    let mut long = engine.connect();
    long.send("POST", "/mcp", "", &[("Content-Length", "1048577")]);
    let answer = long.answer();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    let mut chunked = engine.connect();
    let body = modern(1, "server/discover", json!({}));
    let headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "server/discover")];
    let mut with = headers.to_vec();
    with.push(("Transfer-Encoding", "chunked"));
    chunked.send("POST", "/mcp", "", &with);
    for part in body.as_bytes().chunks(7) {
        chunked.to.write_all(format!("{:x}\r\n", part.len()).as_bytes()).unwrap();
        chunked.to.write_all(part).unwrap();
        chunked.to.write_all(b"\r\n").unwrap();
    }
    chunked.to.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(chunked.answer().status, 200);
    // The same connection goes on; two requests at once are answered in order.
    chunked.send_modern(2, "server/discover", json!({}), &[]);
    chunked.send_modern(3, "server/discover", json!({}), &[]);
    assert_eq!((chunked.answer().body["id"].clone(), chunked.answer().body["id"].clone()), (json!(2), json!(3)));
    with.push(("Content-Length", "3"));
    chunked.send("POST", "/mcp", "", &with);
    assert_eq!(chunked.answer().status, 400, "two lengths are one too many");
    let mut polite = engine.connect();
    let length = body.len().to_string();
    let mut with = headers.to_vec();
    with.extend([("Expect", "100-continue"), ("Content-Length", &length)]);
    polite.send("POST", "/mcp", "", &with);
    assert_eq!(polite.head().unwrap().status, 100);
    polite.to.write_all(body.as_bytes()).unwrap();
    assert_eq!(polite.answer().status, 200);
}

#[test]
fn closing_a_stateless_request_cancels_it_and_a_session_goes_on() {
    let engine = Engine::start("cancel", &[]);
    let wait = || json!({ "name": "get_changes", "arguments": { "since": 1_000_000, "wait_ms": 9_000 } });
    let begun = Instant::now();
    let mut gone = engine.connect();
    gone.send_modern(1, "tools/call", wait(), &[]);
    std::thread::sleep(Duration::from_millis(100));
    drop(gone);
    // A session's call outlives its connection; a cancelled one ends with nothing more than an end.
    let mut http = engine.session();
    http.send("POST", "/mcp", &request(5, "tools/call", wait()), &[]);
    let mut other = engine.connect();
    other.headers = http.headers.clone();
    std::thread::sleep(Duration::from_millis(100));
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 5 } });
    assert_eq!(other.post(&cancel.to_string(), &[]).status, 202);
    http.stream();
    assert_eq!(http.event(), None);
    assert_eq!(other.post(&request(5, "ping", json!({})), &[]).status, 200, "its id is free again");
    assert!(begun.elapsed() < Duration::from_secs(8), "nothing waited for the calls");
}

#[test]
fn without_a_token_only_what_the_setting_allows() {
    let engine = Engine::start("anonymous", &["--set", "mcp.anonymous=read"]);
    let mut http = engine.connect();
    let nobody = [("Authorization", "")];
    assert_eq!(http.modern(1, "tools/call", json!({ "name": "graph_overview" }), &nobody).status, 200);
    let refused = http.modern(2, "tools/call", node("x"), &nobody);
    assert_eq!((refused.status, refused.code()), (200, 4001), "{refused:?}");
    assert_eq!(
        http.modern(3, "ping", json!({}), &[("Authorization", "Bearer x")]).status,
        401,
        "a wrong token is wrong"
    );
    let off = Engine::start("off", &["--set", "mcp.http=off"]);
    let mut off = off.connect();
    off.send("GET", "/mcp", "", &[]);
    assert_eq!(off.answer().status, 404);
}

#[test]
fn the_log_and_the_layout_are_told_to_who_asks() {
    let engine = Engine::start("log", &[]);
    let mut http = engine.session();
    let mut notices = engine.connect();
    notices.headers = http.headers.clone();
    notices.send("GET", "/mcp", "", &[("Accept", "text/event-stream")]);
    notices.stream();
    // Above the level that is set nothing is left out, below it nothing is said.
    assert_eq!(http.post(&request(2, "tools/call", node("quiet")), &[]).status, 200);
    assert_eq!(http.post(&request(3, "logging/setLevel", json!({ "level": "info" })), &[]).status, 200);
    assert_eq!(http.post(&request(4, "tools/call", node("told")), &[]).status, 200);
    let told = notices.event().unwrap();
    assert_eq!(
        (&told["method"], &told["params"]["level"]),
        (&json!("notifications/message"), &json!("info")),
        "{told}"
    );
    assert_eq!(told["params"]["data"]["event"], "changed");
    assert_eq!(told["params"]["data"]["revision"], json!(2), "the change before it was not said: {told}");
    assert_eq!(http.post(&request(5, "logging/setLevel", json!({ "level": "emergency" })), &[]).status, 200);
    for uri in ["graph://layout", "graph://stats"] {
        assert_eq!(http.post(&request(6, "resources/subscribe", json!({ "uri": uri })), &[]).status, 200);
    }
    let reheat = json!({ "name": "set_simulation", "arguments": { "reheat": true } });
    assert_eq!(http.post(&request(7, "tools/call", reheat), &[]).status, 200);
    let mut seen = std::collections::HashSet::new();
    while seen.len() < 2 {
        seen.insert(notices.event().unwrap()["params"]["uri"].as_str().unwrap().to_owned());
    }
    assert!(seen.contains("graph://layout") && seen.contains("graph://stats"), "{seen:?}");
}

fn tcp(engine: &Engine) -> TcpStream {
    let line = engine.server.banner.lines().find(|line| line.contains("mcp at")).unwrap();
    let address = line.split("mcp at ").nth(1).unwrap().split(',').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let hello = request(0, "swarmcast/authenticate", json!({ "token": engine.token }));
    stream.write_all(format!("{hello}\n").as_bytes()).unwrap();
    stream
}

#[test]
fn a_client_that_does_not_read_is_held_back_and_costs_nobody_else() {
    let engine = Engine::start("slow", &[]);
    let list = modern(1, "tools/list", json!({}));
    let headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/list")];
    let mut slow = tcp(&engine);
    let mut web = engine.connect();
    for stream in [&slow, &web.to] {
        stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    }
    // Each answer is a hundred times as long as its question: the kernel's buffers, four megabytes of answers, and no more.
    let held_back = (0..200_000).any(|_| slow.write_all(format!("{list}\n").as_bytes()).is_err());
    assert!(held_back, "lines");
    let head: String = web.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let ask = format!("POST /mcp HTTP/1.1\r\n{head}{more}Content-Length: {}\r\n\r\n{list}", list.len());
    assert!((0..100_000).any(|_| web.to.write_all(ask.as_bytes()).is_err()), "HTTP");
    let mut other = engine.connect();
    assert_eq!(other.modern(1, "server/discover", json!({}), &[]).status, 200);
}

/// Asks the same thing for so long, and is answered each time.
fn is_served(engine: &Engine, most: Duration, mut each: impl FnMut()) {
    let mut http = engine.connect();
    let begun = Instant::now();
    while begun.elapsed() < most {
        let asked = Instant::now();
        assert_eq!(http.modern(1, "server/discover", json!({}), &[]).status, 200);
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        each();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn requests_sent_ahead_wait_while_their_answers_are_not_read_and_none_is_lost() {
    let engine = Engine::start("pipelined", &["--set", "mcp.calls_per_second=1000000"]);
    let mut eager = engine.connect();
    let size = eager.modern(1, "tools/list", json!({}), &[]).body.to_string().len() as u64;
    let ids = 10_000..10_000 + (64 << 20) / size;
    let headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/list")];
    let ask = |id| eager.written("POST", "/mcp", &modern(id, "tools/list", json!({})), &headers);
    let asked: String = ids.clone().map(ask).collect();
    let before_kib = engine.server.resident_kib();
    let mut to = eager.to.try_clone().unwrap();
    let sender = std::thread::spawn(move || to.write_all(asked.as_bytes()).unwrap());
    // Sixty-four megabytes of answers, four of which are there at once, whether somebody reads them or not.
    let mut most_kib = 0;
    is_served(&engine, Duration::from_secs(3), || most_kib = most_kib.max(engine.server.resident_kib()));
    for id in ids {
        let (answer, body) = eager.unparsed();
        let body = String::from_utf8(body).unwrap();
        assert!(answer.status == 200 && body.contains(&format!("\"id\":{id}")), "{id}: {answer:?}");
        if id % 100 == 0 {
            most_kib = most_kib.max(engine.server.resident_kib());
        }
    }
    sender.join().unwrap();
    assert!(most_kib < before_kib + (24 << 10), "{before_kib} and {most_kib} KiB");
    assert_eq!(eager.modern(2, "server/discover", json!({}), &[]).status, 200, "it goes on");
}

#[test]
fn whoever_goes_on_asking_as_another_site_is_answered_once_and_holds_nobody_up() {
    let engine = Engine::start("foreign", &[]);
    for (header, value, status) in [("Origin", "http://evil.example", 403), ("Host", "evil.example", 421)] {
        let mut flood = engine.connect();
        assert_eq!(flood.modern(1, "server/discover", json!({}), &[]).status, 200);
        let body = modern(2, "server/discover", json!({}));
        let asked = flood.written("POST", "/mcp", &body, &[(header, value)]).repeat(500);
        let mut to = flood.to.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE && to.write_all(asked.as_bytes()).is_ok() {}
            begun.elapsed()
        });
        let reader = std::thread::spawn(move || {
            let mut said = Vec::new();
            // It sends when nobody reads any more, so the end may be a reset.
            let _ = flood.from.read_to_end(&mut said);
            String::from_utf8(said).unwrap()
        });
        is_served(&engine, Duration::from_secs(2), || ());
        let took = sender.join().unwrap();
        assert!(took < PATIENCE, "still open after {took:?}");
        let said = reader.join().unwrap();
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        assert!(said.contains("\r\nConnection: close\r\n"), "{said}");
    }
}

#[test]
fn what_was_asked_before_the_end_of_the_stream_is_answered() {
    let engine = Engine::start("half", &[]);
    let mut stream = tcp(&engine);
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let call = |id| modern(id, "tools/call", json!({ "name": "graph_overview" })) + "\r\n";
    let all: String = (1..=300).map(call).collect();
    stream.write_all(all.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    for id in 0..=300 {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&answer["id"], answer["error"].is_null()), (&json!(id), true), "{answer}");
    }
    assert_eq!(from.read(&mut [0]).unwrap(), 0, "everything was answered, then it was closed");
}
