//! Goal: agents of other MCP servers live in the graph; a server that hangs, lies or goes away costs its own agents and nothing else, is
//! left alone for a while, and is asked again (K15, O14, O15).
//! Method: the real engine against servers made here that do each of these over real sockets; another engine of ours; a server of the
//! Python SDK. Pauses and the breaker are tested on a virtual clock, in `mcp/sources`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Folder, PATIENCE, Server, refusing, repository, run, within};

/// What a made-up server does when it is asked for its agents.
#[derive(Clone, Debug)]
enum Manner {
    /// Says who there is.
    Answer(Vec<Value>),
    /// Says nothing, ever.
    Hang,
    /// Says half a line and goes.
    HalfLine,
    /// Says something else than JSON.
    Garbage,
    /// Says a line of 2 MiB.
    LongLine,
    /// Answers a question that nobody asked.
    WrongId,
    /// Says what is right, a byte at a time.
    Slowly(Vec<Value>),
}

/// A server of MCP with the customary tool, as simple as they are.
struct Fake {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Fake {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            manner: Arc::new(Mutex::new(manner)),
            connections: Arc::default(),
            calls: Arc::default(),
        };
        let (manner, connections, calls) =
            (Arc::clone(&fake.manner), Arc::clone(&fake.connections), Arc::clone(&fake.calls));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (manner, calls) = (Arc::clone(&manner), Arc::clone(&calls));
                connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || drop(serve(stream.unwrap(), &manner, &calls)));
            }
        });
        fake
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

fn serve(stream: TcpStream, manner: &Mutex<Manner>, calls: &AtomicUsize) -> std::io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let mut to = stream;
    let mut line = String::new();
    while from.read_line(&mut line)? > 0 {
        let asked: Value = serde_json::from_str(&line).unwrap();
        line.clear();
        let id = &asked["id"];
        let say = |to: &mut TcpStream, result: Value| {
            to.write_all(format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "result": result })).as_bytes())
        };
        let list = |agents: &[Value]| json!({ "content": [{ "type": "text", "text": json!({ "agents": agents }).to_string() }] });
        match asked["method"].as_str().unwrap() {
            "initialize" => say(&mut to, json!({ "protocolVersion": "2024-11-05", "capabilities": {} }))?,
            "tools/list" => {
                say(&mut to, json!({ "tools": [{ "name": "agent_list", "inputSchema": { "type": "object" } }] }))?
            }
            "tools/call" => {
                calls.fetch_add(1, Ordering::SeqCst);
                let manner = manner.lock().unwrap().clone();
                match manner {
                    Manner::Answer(agents) => say(&mut to, list(&agents))?,
                    Manner::Hang => {}
                    Manner::HalfLine => {
                        to.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":")?;
                        return Ok(());
                    }
                    Manner::Garbage => to.write_all(b"\x1b[31mHTTP/1.1 400 Bad Request\r\n\r\n")?,
                    Manner::LongLine => {
                        to.write_all(&vec![b'x'; 2 << 20])?;
                        to.write_all(b"\n")?;
                    }
                    Manner::WrongId => {
                        let answer =
                            json!({ "jsonrpc": "2.0", "id": "not yours", "result": list(&[json!({ "id": "wrong" })]) });
                        to.write_all(format!("{answer}\n").as_bytes())?;
                    }
                    Manner::Slowly(agents) => {
                        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": list(&agents) });
                        for byte in format!("{answer}\n").bytes() {
                            to.write_all(&[byte])?;
                            thread::sleep(Duration::from_millis(2));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// An engine that asks these every 100 ms.
fn engine(sources: &[String]) -> Server {
    Server::start(&["--agents-from", &sources.join(","), "--set", "agents.interval_ms=100"])
}

/// What the engine says of a source.
fn row(server: &Server, source: usize) -> Value {
    server.get("/health/detail").json()["agent_sources"][source].clone()
}

/// Nodes of the graph that are agents, by key.
fn shown(server: &Server) -> Vec<Value> {
    let page = server.get("/api/graph/nodes?limit=1000&class=agent").json();
    let nodes = page["rows"].as_array().unwrap_or_else(|| panic!("{page}"));
    nodes.iter().filter(|node| node["key"].as_str().is_some_and(|key| key.starts_with("agent:"))).cloned().collect()
}

fn keys(server: &Server) -> Vec<String> {
    let mut keys: Vec<_> = shown(server).iter().map(|node| node["key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

#[test]
fn agents_of_another_server_come_change_and_go_over_one_connection() {
    let fake = Fake::start(Manner::Answer(vec![
        json!({ "id": "worker", "parentId": "boss", "type": "coder", "status": "busy" }),
        json!({ "id": "boss", "name": "The boss", "type": "coordinator", "status": "on holiday" }),
    ]));
    let at = fake.address;
    let server = engine(&[at.to_string()]);
    let both = [format!("agent:{at}/boss"), format!("agent:{at}/worker")];
    assert!(within(PATIENCE, || keys(&server) == both), "{:?}\n{}", keys(&server), server.errors());
    let nodes = shown(&server);
    let of = |key: &str| nodes.iter().find(|node| node["key"] == key).unwrap();
    let worker = of(&both[1]);
    assert_eq!(
        (&worker["attributes"]["status"], &worker["attributes"]["role"]),
        (&json!("running"), &json!("coder")),
        "{worker}"
    );
    assert_eq!(worker["attributes"]["source"], json!(at.to_string()));
    assert!(
        of(&both[0])["attributes"].get("status").is_none_or(Value::is_null),
        "what is not understood is not invented"
    );
    // A child that is listed before its parent gets its edge all the same.
    let linked = || {
        let page = server.get("/api/graph/edges?relation=spawned").json();
        page["rows"].as_array().unwrap().len() == 1
    };
    assert!(within(PATIENCE, linked));
    fake.behave(Manner::Answer(vec![json!({ "id": "boss", "status": "idle" }), json!({ "id": "new" })]));
    let then = [both[0].clone(), format!("agent:{at}/new")];
    assert!(within(PATIENCE, || keys(&server) == then), "{:?}", keys(&server));
    fake.behave(Manner::Answer(Vec::new()));
    assert!(within(PATIENCE, || keys(&server).is_empty()), "{:?}", keys(&server));
    let calls = fake.calls.load(Ordering::SeqCst);
    assert!(within(PATIENCE, || fake.calls.load(Ordering::SeqCst) > calls + 5));
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1, "one connection for every call");
    let row = row(&server, 0);
    assert_eq!(
        (&row["state"], &row["connections"], &row["agents"], &row["failures"]),
        (&json!("closed"), &json!(1), &json!(0), &json!(0))
    );
    assert!(row["last_error"].is_null() && row["last_success_ms"].is_u64() && row["tool"] == "agent_list", "{row}");
    assert!(server.metric("swarmcast_source_lists_total") >= 5.0);
}

#[test]
fn servers_that_misbehave_cost_their_own_agents_and_are_asked_again() {
    let one = || vec![json!({ "id": "one" })];
    let manners =
        [Manner::HalfLine, Manner::Garbage, Manner::LongLine, Manner::WrongId, Manner::Hang, Manner::Slowly(one())];
    let fakes: Vec<Fake> = manners.iter().map(|_| Fake::start(Manner::Answer(one()))).collect();
    let good = Fake::start(Manner::Answer(vec![json!({ "id": "good" })]));
    let (_held, nobody) = refusing();
    let mut sources: Vec<String> = fakes.iter().map(|fake| fake.address.to_string()).collect();
    sources.extend([good.address.to_string(), nobody.to_string()]);
    let server = engine(&sources);
    assert!(within(PATIENCE, || keys(&server).len() == 7), "{:?}\n{}", keys(&server), server.errors());
    for (fake, manner) in fakes.iter().zip(manners) {
        fake.behave(manner);
    }
    let failed = |source: usize, error: &str| {
        let is_so = || row(&server, source)["last_error"].as_str().is_some_and(|found| found.contains(error));
        assert!(within(PATIENCE, is_so), "{source}: {} is not {error}", row(&server, source));
    };
    failed(0, "it closed the connection while tools/call waited for its answer");
    failed(1, "it does not speak JSON-RPC");
    failed(2, "a line of more than 1048576 bytes");
    failed(3, "no answer to tools/call within 10 s");
    failed(4, "no answer to tools/call within 10 s");
    failed(7, "refused");
    // All the while others were asked, and what was known stands: its time is not over.
    assert!(row(&server, 5)["last_error"].is_null(), "a slow answer is one");
    assert!(row(&server, 5)["lists"].as_u64() > Some(2));
    assert!(good.calls.load(Ordering::SeqCst) > 20);
    assert_eq!(keys(&server).len(), 7);
    assert!(row(&server, 7)["agents"].is_null(), "nothing is known of it");
    assert!(server.errors().contains("a source of agents failed"), "{}", server.errors());
    // The one that closed in the middle of a line is well again.
    fakes[0].behave(Manner::Answer(vec![json!({ "id": "again" })]));
    let again = format!("agent:{}/again", fakes[0].address);
    assert!(within(Duration::from_secs(60), || keys(&server).contains(&again)), "{}", row(&server, 0));
    // A stop does not wait for those who hang.
    let mut server = server;
    let begun = Instant::now();
    server.signal(15);
    assert!(server.wait(Duration::from_secs(10)).unwrap().success(), "{}", server.errors());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn another_engine_is_a_source_with_its_token_and_names() {
    let folder = Folder::new("sources");
    let token = folder.join("mcp.token");
    let set = format!("mcp.token_file={}", token.display());
    let first = Server::start(&["--mcp", "127.0.0.1:0", "--set", &set]);
    let line = first.banner.lines().find(|line| line.contains("mcp at")).unwrap();
    let door: SocketAddr = line.split("mcp at ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    let mut agent = TcpStream::connect(door).unwrap();
    let mut from = BufReader::new(agent.try_clone().unwrap());
    let mut call = |name: &str, arguments: Value| -> Value {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
            "swarmcast/authorization": std::fs::read_to_string(&token).unwrap().trim() });
        let params = json!({ "_meta": meta, "name": name, "arguments": arguments });
        agent
            .write_all(
                format!("{}\n", json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
                    .as_bytes(),
            )
            .unwrap();
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()["result"]["structuredContent"].clone()
    };
    let mut handle = Value::Null;
    for index in 0..300 {
        let name = format!("agent {index}");
        handle = call("register_agent", json!({ "name": name, "role": "tester" }))["handle"].clone();
        assert!(handle.is_string());
    }
    call(
        "report_agent",
        json!({ "handle": handle, "events": [{ "kind": "status", "status": "errored" }, { "kind": "metric", "metrics": { "cpu": 0.5 } }] }),
    );
    let second = engine(&[format!("{door} {}", token.display())]);
    assert!(within(PATIENCE, || row(&second, 0)["agents"] == 300), "{}\n{}", row(&second, 0), second.errors());
    assert!(within(PATIENCE, || keys(&second).len() == 300), "several pages, one list");
    let last = format!("agent:{door}/agent:agent 299");
    let nodes = shown(&second);
    let node = nodes.iter().find(|node| node["key"] == json!(last)).unwrap();
    assert_eq!((&node["label"], &node["attributes"]["status"]), (&json!("agent 299"), &json!("errored")));
    assert_eq!(row(&second, 0)["tool"], "list_agents");
    // Without the token nothing is told.
    let third = engine(&[door.to_string()]);
    let refused = || row(&third, 0)["last_error"].as_str().is_some_and(|error| error.contains("tools/list is refused"));
    assert!(within(PATIENCE, refused), "{}", row(&third, 0));
    assert!(!third.errors().contains(std::fs::read_to_string(&token).unwrap().trim()));
}

/// A TCP door to a program that speaks over its standard input and output: one program for each connection.
fn bridge(program: &std::path::Path, arguments: &[String]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (program, arguments) = (program.to_owned(), arguments.to_owned());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut from, mut to) = (stream.as_ref().unwrap().try_clone().unwrap(), stream.unwrap());
            let mut child =
                Command::new(&program).args(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            thread::spawn(move || {
                let mut buffer = [0; 4_096];
                while let Some(taken) = output.read(&mut buffer).ok().filter(|taken| *taken > 0) {
                    if to.write_all(&buffer[..taken]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
            thread::spawn(move || {
                let mut buffer = [0; 4_096];
                while let Some(taken) = from.read(&mut buffer).ok().filter(|taken| *taken > 0) {
                    if input.write_all(&buffer[..taken]).and_then(|()| input.flush()).is_err() {
                        break;
                    }
                }
                drop(input);
                let _ = child.wait();
            });
        }
    });
    address
}

#[test]
fn a_server_of_the_python_sdk_is_a_source() {
    let done = Command::new("sh").arg(repository("tests/mcp/setup.sh")).arg("python").output().unwrap();
    assert!(done.status.success(), "tests/mcp/setup.sh: {}", String::from_utf8_lossy(&done.stderr));
    let script = repository("tests/mcp/server_python.py").display().to_string();
    let address = bridge(&repository("tests/mcp/.venv/bin/python"), &[script]);
    let server = engine(&[address.to_string()]);
    let two = [format!("agent:{address}/analyst-1"), format!("agent:{address}/coder-1")];
    assert!(within(Duration::from_secs(60), || keys(&server) == two), "{}\n{}", row(&server, 0), server.errors());
    // How long the program takes to start is its own affair; from the first list on one connection serves.
    let first = row(&server, 0);
    let more = first["lists"].as_u64().map(|lists| lists + 3);
    assert!(within(PATIENCE, || row(&server, 0)["lists"].as_u64() > more), "{}", row(&server, 0));
    let then = row(&server, 0);
    assert_eq!((&then["connections"], &then["failures"]), (&first["connections"], &first["failures"]), "{then}");
    assert_eq!((&then["tool"], &then["agents"]), (&json!("agent_list"), &json!(2)));
}

#[test]
fn sources_that_cannot_be_meant_are_refused_at_the_start() {
    for (wrong, expected) in [
        ("localhost", "HOST:PORT"),
        ("localhost:0", "HOST:PORT"),
        (":9500", "HOST:PORT"),
        ("::1:9500", "HOST:PORT"),
        ("a:1,a:1", "each address once"),
        ("a:1 /there/is/no/token", "/there/is/no/token"),
    ] {
        let output =
            run(&["--ephemeral", "--mcp=", "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--agents-from", wrong]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{wrong}: {said}");
    }
}
