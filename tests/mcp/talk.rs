//! A real server with every set of tools, and an agent of its own at its door.
#![allow(dead_code, reason = "each file uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::schema;
use crate::support::{Folder, Server};

const PATIENCE: Duration = Duration::from_secs(60);

/// All sets.
pub const SETS: &str = "core,memory,sim,admin,io,agents,view";

/// A server, and what its agents show at its door.
pub struct Home {
    pub server: Server,
    pub token: String,
    pub folder: Folder,
}

impl Home {
    /// Keeps nothing.
    pub fn start(name: &str, more: &[&str]) -> Self {
        Self::of(Folder::new(name), more)
    }

    /// The same in a folder that is there.
    pub fn of(folder: Folder, more: &[&str]) -> Self {
        let path = folder.join("mcp.token");
        let token_file = format!("mcp.token_file={}", path.display());
        let mut flags = vec!["--mcp", "127.0.0.1:0", "--set", &token_file, "--toolsets", SETS];
        flags.extend(more);
        let server = Server::start(&flags);
        let token = std::fs::read_to_string(path).unwrap().trim().to_owned();
        Self { server, token, folder }
    }

    /// An agent that shows its token.
    pub fn agent(&self) -> Agent {
        self.connect(true)
    }

    /// One that nobody knows.
    pub fn stranger(&self) -> Agent {
        self.connect(false)
    }

    fn connect(&self, known: bool) -> Agent {
        let after = self.server.banner.split("mcp at ").nth(1).unwrap();
        let to = TcpStream::connect(after.split([',', ' ', '\n']).next().unwrap()).unwrap();
        to.set_read_timeout(Some(PATIENCE)).unwrap();
        to.set_nodelay(true).unwrap();
        let from = BufReader::new(to.try_clone().unwrap());
        let mut agent = Agent { from, to, last: 0, notices: Vec::new(), tools: Vec::new() };
        if known {
            let answer = agent.ask("swarmcast/authenticate", json!({ "token": self.token }));
            assert!(answer["error"].is_null(), "{answer}");
        }
        let info = json!({ "name": "test", "version": "1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
        assert!(agent.ask("initialize", params)["error"].is_null());
        agent.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        agent.tools = agent.ask("tools/list", json!({}))["result"]["tools"].as_array().unwrap().clone();
        agent
    }
}

/// A connection of an agent.
pub struct Agent {
    from: BufReader<TcpStream>,
    to: TcpStream,
    last: u64,
    /// What came beside the answers.
    pub notices: Vec<Value>,
    /// As they are listed.
    pub tools: Vec<Value>,
}

impl Agent {
    pub fn say(&mut self, message: &Value) {
        self.to.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    pub fn line(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.from.read_line(&mut line).unwrap() > 0, "it was closed");
        serde_json::from_str(&line).unwrap()
    }

    /// Sends a request and waits for nothing; its id.
    pub fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        self.say(&json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params }));
        self.last
    }

    /// The answer to a request.
    pub fn answer(&mut self, id: u64) -> Value {
        loop {
            let line = self.line();
            if line["id"] == id {
                return line;
            }
            self.notices.push(line);
        }
    }

    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params);
        self.answer(id)
    }

    /// Begins a call that wants to hear how far it is.
    pub fn begin_call(&mut self, tool: &str, arguments: Value, token: &str) -> u64 {
        self.begin("tools/call", json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": token } }))
    }

    pub fn cancel(&mut self, id: u64) {
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }));
    }

    /// The result of a call, held to what its tool says of it.
    pub fn result(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({ "name": tool, "arguments": arguments }));
        self.held(tool, &answer)
    }

    /// The result in an answer, held to what its tool says of it.
    pub fn held(&self, tool: &str, answer: &Value) -> Value {
        let result = answer["result"].clone();
        assert!(result.is_object(), "{tool}: {answer}");
        if let Some(structured) = result.get("structuredContent") {
            let tool = self.tools.iter().find(|row| row["name"] == tool).unwrap();
            let errors = schema::errors(&tool["outputSchema"], &tool["outputSchema"], structured, "");
            assert!(errors.is_empty(), "{}: {}\n{structured}", tool["name"], errors.join("\n"));
        }
        result
    }

    /// The structure of a call that succeeds.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.result(tool, arguments.clone());
        assert!(result["isError"] != true, "{tool} {arguments}: {result}");
        result["structuredContent"].clone()
    }

    /// The words of a call that does not.
    pub fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.result(tool, arguments.clone());
        assert!(result["isError"] == true, "{tool} {arguments}: {result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// A resource that there is: what it holds.
    pub fn read(&mut self, uri: &str) -> Value {
        let answer = self.ask("resources/read", json!({ "uri": uri }));
        assert!(answer["error"].is_null(), "{uri}: {answer}");
        answer["result"]["contents"][0].clone()
    }

    /// Makes the graph a random one of `nodes` nodes and `edges` edges, the same every time.
    pub fn fill(&mut self, nodes: usize, edges: usize) {
        let mut random = 1_u64;
        let mut below = |most: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % most
        };
        let ids: Vec<String> = (0..nodes).map(|node| format!("r{node}")).collect();
        for part in ids.chunks(1_000) {
            let list: Vec<Value> = part.iter().map(|id| json!({ "id": id })).collect();
            self.call("upsert_nodes", json!({ "nodes": list }));
        }
        let pairs: Vec<(usize, usize)> = (0..edges).map(|_| (below(nodes), below(nodes))).collect();
        for part in pairs.chunks(1_000) {
            let list: Vec<Value> = part.iter().map(|(a, b)| json!({ "from": ids[*a], "to": ids[*b] })).collect();
            self.call("upsert_edges", json!({ "edges": list }));
        }
    }
}

/// How long something takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}
