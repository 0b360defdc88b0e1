//! Agents for tests: an engine with its doors open, and connections of lines over TCP and the Unix socket.
#![allow(dead_code, reason = "each file of tests uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Folder, Server};

/// Longer than anything that the door waits for.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// An engine with every door, and its files.
pub struct Doors {
    pub server: Server,
    pub folder: Folder,
    /// The token that does everything.
    pub token: String,
    pub tcp: SocketAddr,
    pub socket: PathBuf,
}

/// Makes a file that only its user has rights to.
pub fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl Doors {
    /// Starts it with these lines in its file of named tokens, and these settings.
    pub fn open(name: &str, tokens: &str, settings: &[&str]) -> Self {
        Self::open_with(name, tokens, settings, &[])
    }

    /// The same, with flags.
    pub fn open_with(name: &str, tokens: &str, settings: &[&str], more: &[&str]) -> Self {
        let folder = Folder::new(name);
        let file = folder.join("tokens");
        private(&file, tokens);
        let (token, socket) = (folder.join("mcp.token"), folder.join("mcp.sock"));
        let mut sets = vec![
            format!("mcp.token_file={}", token.display()),
            format!("mcp.socket={}", socket.display()),
            format!("mcp.tokens_file={}", file.display()),
        ];
        sets.extend(settings.iter().map(|setting| (*setting).to_owned()));
        let mut flags = vec!["--mcp".to_owned(), "127.0.0.1:0".to_owned()];
        flags.extend(sets.into_iter().flat_map(|set| ["--set".to_owned(), set]));
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        let server = Server::start(&flags);
        let line = server.banner.lines().find(|line| line.contains("mcp at")).unwrap();
        let tcp = line.split("mcp at ").nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap();
        let token = std::fs::read_to_string(token).unwrap().trim().to_owned();
        Self { server, folder, token, tcp, socket }
    }

    /// Somebody who has said nothing yet.
    pub fn stranger(&self) -> Agent {
        Agent::tcp(self.tcp)
    }

    /// Somebody whom the engine knows by this token.
    pub fn known(&self, token: &str) -> Agent {
        let mut agent = self.stranger();
        let answer = agent.ask("swarmcast/authenticate", json!({ "token": token })).unwrap();
        assert!(answer["error"].is_null(), "{answer}");
        agent
    }

    /// One request of 2026-07-28 over HTTP, on a connection of its own.
    pub fn post(&self, token: Option<&str>, method: &str, params: Value) -> Answer {
        let name = params["name"].as_str().or(params["uri"].as_str()).unwrap_or("-").to_owned();
        let body = modern(1, method, params, None).to_string();
        let bearer = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{bearer}Content-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n\
             Mcp-Name: {name}\r\nContent-Length: {}\r\n\r\n{body}",
            self.server.http,
            body.len()
        );
        self.server.send(head.as_bytes())
    }
}

/// A request of 2026-07-28, with a token of its own or without.
pub fn modern(id: u64, method: &str, mut params: Value, token: Option<&str>) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    if let Some(token) = token {
        params["_meta"]["swarmcast/authorization"] = json!(token);
    }
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// A connection of lines.
pub struct Agent {
    pub from: BufReader<Box<dyn Read + Send>>,
    pub to: Box<dyn Write + Send>,
    last: u64,
    /// What came beside the answers.
    pub notices: Vec<Value>,
}

impl Agent {
    pub fn tcp(address: SocketAddr) -> Self {
        let to = TcpStream::connect(address).unwrap();
        to.set_read_timeout(Some(PATIENCE)).unwrap();
        to.set_nodelay(true).unwrap();
        Self::over(Box::new(to.try_clone().unwrap()), Box::new(to))
    }

    pub fn unix(path: &Path) -> Self {
        let to = UnixStream::connect(path).unwrap();
        to.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::over(Box::new(to.try_clone().unwrap()), Box::new(to))
    }

    pub fn over(from: Box<dyn Read + Send>, to: Box<dyn Write + Send>) -> Self {
        Self { from: BufReader::new(from), to, last: 0, notices: Vec::new() }
    }

    pub fn say(&mut self, message: &Value) {
        // Whoever is gone is noticed when nothing is read.
        let _ = self.to.write_all(format!("{message}\n").as_bytes());
    }

    /// The next line; `None` at the end.
    pub fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("neither a line nor the end comes")
            }
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))),
        }
    }

    /// The answer to what was sent with this id.
    pub fn answer(&mut self, id: u64) -> Option<Value> {
        loop {
            let line = self.line()?;
            if line["id"] == id {
                return Some(line);
            }
            self.notices.push(line);
        }
    }

    /// A request of the revisions with `initialize`.
    pub fn ask(&mut self, method: &str, params: Value) -> Option<Value> {
        self.last += 1;
        self.say(&json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params }));
        self.answer(self.last)
    }

    /// A request of 2026-07-28.
    pub fn modern(&mut self, method: &str, params: Value, token: Option<&str>) -> Option<Value> {
        self.last += 1;
        self.say(&modern(self.last, method, params, token));
        self.answer(self.last)
    }

    /// What a tool answers, as a result.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.modern("tools/call", json!({ "name": tool, "arguments": arguments }), None).unwrap();
        let result = &answer["result"];
        assert!(result["isError"] != true && !result.is_null(), "{tool}: {answer}");
        result["structuredContent"].clone()
    }

    pub fn is_there(&mut self) -> bool {
        self.ask("ping", json!({})).is_some()
    }

    /// The last line before the end; the end has to come.
    pub fn last_words(&mut self) -> Option<Value> {
        let mut last = None;
        while let Some(line) = self.line() {
            last = Some(line);
        }
        last
    }
}

/// The names of the tools that are listed.
pub fn tools(answer: &Value) -> Vec<String> {
    let rows = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    rows.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}
