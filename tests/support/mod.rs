//! The real program as a child process, and clients for it: HTTP, WebSocket (tungstenite) and raw TCP.

#![allow(dead_code, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod folder;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};
use swarmcast::wire::{FrameHeader, NodeRecord, TCP_TEXT_BIT};
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Message, WebSocket};

#[allow(unused_imports, reason = "each test program uses its own part of this")]
pub use folder::Folder;

/// How long anything may take that has no limit of its own. A loaded machine is no reason to fail.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_swarmcast");

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Flags for a graph of this repository.
pub fn graph(name: &str) -> [String; 2] {
    ["--graph".to_owned(), repository("examples/graphs").join(name).display().to_string()]
}

/// Runs the program to its end.
pub fn run(flags: &[&str]) -> Output {
    Command::new(PROGRAM).args(flags).output().unwrap()
}

/// Whether `done` came true within `most`, looking often.
pub fn within(most: Duration, mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < most {
        if done() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    done()
}

/// The least of up to three times that something took, as many as one under `most` needs: what is slow is slow each time, a loaded
/// machine is not.
pub fn least_of_three(most: Duration, mut took: impl FnMut() -> Duration) -> Duration {
    let mut least = took();
    for _ in 1..3 {
        if least >= most {
            least = least.min(took());
        }
    }
    least
}

/// An address that refuses every connection, and that nobody else can take, for as long as the socket is there: bound, and not
/// listened at.
pub fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A running server on ports of its own. It is killed when this is dropped.
pub struct Server {
    child: Child,
    pub http: SocketAddr,
    pub tcp: SocketAddr,
    /// What it said before it was ready.
    pub banner: String,
    errors: Arc<Mutex<String>>,
}

impl Server {
    /// Starts it on the embedded graph unless `flags` name another, and waits until it is ready.
    pub fn start<S: AsRef<str>>(flags: &[S]) -> Self {
        // Tests leave nothing in anybody's data folder.
        let keeps = flags.iter().any(|flag| flag.as_ref() == "--store");
        let no_agents = if flags.iter().any(|flag| flag.as_ref() == "--mcp") { None } else { Some("--mcp=") };
        let mut child = Command::new(PROGRAM)
            .args(["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"])
            .args((!keeps).then_some("--ephemeral"))
            .args(no_agents)
            .args(flags.iter().map(AsRef::as_ref))
            // As a careful operator runs it: a panic must not cost others more for that.
            .env("RUST_BACKTRACE", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = Arc::new(Mutex::new(String::new()));
        let (mut from, into) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&errors));
        thread::spawn(move || {
            let mut line = String::new();
            while from.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                into.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.contains("stop with Ctrl-C") {
            let read = stdout.read_line(&mut banner).unwrap();
            if read == 0 {
                let status = child.wait();
                panic!("it ended with {status:?}\n{banner}\n{}", errors.lock().unwrap());
            }
        }
        thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let after = |word: &str| {
            let line = banner.lines().rev().find(|line| line.trim_start().starts_with(word)).unwrap();
            line.rsplit(' ').next().unwrap().to_owned()
        };
        let http = after("viewer").trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        let tcp = after("tcp").parse().unwrap();
        Self { child, http, tcp, banner, errors }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: i32) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Its exit status, if it ends within `most`.
    pub fn wait(&mut self, most: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || started.elapsed() > most {
                return ended;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "")
    }

    /// One request on a connection of its own; `headers` with their line ends.
    pub fn request(&self, method: &str, path: &str, headers: &str) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", self.http);
        self.send(head.as_bytes())
    }

    /// One request with a body on a connection of its own.
    pub fn tell(&self, method: &str, path: &str, body: &str) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.http);
        self.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
    }

    /// What a tool of MCP answers to somebody without a token.
    pub fn tool(&self, tool: &str, arguments: Value) -> Value {
        let result = self.mcp("tools/call", tool, json!({ "name": tool, "arguments": arguments }));
        assert!(result["isError"].is_null(), "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// The result of a request of MCP by somebody without a token; `name` is the tool or the URI that it is about.
    pub fn mcp(&self, method: &str, name: &str, mut params: Value) -> Value {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let named = if name.is_empty() { String::new() } else { format!("Mcp-Name: {name}\r\n") };
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n\
             {named}Content-Length: {}\r\n\r\n{body}",
            self.http,
            body.len()
        );
        let answer = self.send(head.as_bytes()).json();
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Bytes to the HTTP port, and the answer to them.
    pub fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.http).unwrap();
        // Longer than any call may take.
        stream.set_read_timeout(Some(PATIENCE * 2)).unwrap();
        stream.write_all(bytes).unwrap();
        Answer::read(&mut stream)
    }

    /// The sum of a metric over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        let lines: Vec<&str> = text.lines().filter(of_name).collect();
        assert!(!lines.is_empty(), "{name} is not in\n{text}");
        lines.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// A WebSocket at `/stream` with this query (`""` or `"?rate=5"`).
    pub fn ws(&self, query: &str) -> Ws {
        Ws::connect(self.http, query, None)
    }

    /// A raw TCP stream that begins with this line.
    pub fn tcp(&self, hello: &str) -> Tcp {
        Tcp::connect(self.tcp, hello, None)
    }

    /// `GET /api/graph/state`.
    pub fn state(&self) -> Value {
        self.get("/api/graph/state").json()
    }

    pub fn is_settled(&self) -> bool {
        self.state()["settled"] == true
    }

    /// Waits until the layout has come to rest.
    pub fn settle(&self) {
        assert!(within(Duration::from_secs(60), || self.is_settled()), "it does not settle: {}", self.state());
    }

    /// A column of `/proc/PID/status`, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server logged:\n{}", self.errors());
        }
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A server that closes with our bytes unread resets; what came before counts. An answer that is late is none, and no empty one.
        if let Err(error) = stream.read_to_end(&mut bytes)
            && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        {
            panic!("neither the whole answer nor the end came in time, but {} bytes", bytes.len());
        }
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes.get(end + 4..).unwrap_or(&[]).to_vec() }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

/// What a stream brought.
#[derive(Clone, Debug)]
pub enum Event {
    Frame(Vec<u8>),
    Text(Value),
    /// A close frame, or the goodbye of TCP.
    Close(u16),
    /// The end of the connection.
    End,
}

impl Event {
    pub fn frame(self) -> Option<Vec<u8>> {
        match self {
            Self::Frame(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Header and records of a `swarmcast.v1` frame.
pub fn decode(frame: &[u8]) -> (&FrameHeader, &[NodeRecord]) {
    FrameHeader::parse(frame).unwrap_or_else(|error| panic!("{error}"))
}

pub fn sequence(frame: &[u8]) -> u64 {
    decode(frame).0.sequence.get()
}

/// Either transport.
pub trait Client {
    /// The next event, `None` when none comes in time.
    fn next(&mut self, most: Duration) -> Option<Event>;
    fn say(&mut self, text: &str);
    /// What the server greeted with.
    fn hello(&self) -> &Value;

    fn send(&mut self, message: &Value) {
        self.say(&message.to_string());
    }

    /// The next frame; texts before it are passed over.
    fn frame(&mut self) -> Vec<u8> {
        let started = Instant::now();
        loop {
            match self.next(PATIENCE.saturating_sub(started.elapsed())) {
                Some(Event::Frame(frame)) => return frame,
                Some(Event::Text(_)) => {}
                other => panic!("no frame but {other:?}"),
            }
        }
    }

    /// The next text of this type; frames and other texts before it are passed over.
    fn text(&mut self, kind: &str) -> Value {
        self.text_within(kind, PATIENCE).unwrap_or_else(|| panic!("`{kind}` did not come"))
    }

    fn text_within(&mut self, kind: &str, most: Duration) -> Option<Value> {
        let started = Instant::now();
        loop {
            match self.next(most.saturating_sub(started.elapsed())) {
                Some(Event::Text(text)) if text["type"] == kind => return Some(text),
                Some(Event::Frame(_) | Event::Text(_)) => {}
                None => return None,
                other => panic!("no `{kind}` but {other:?}"),
            }
        }
    }

    /// Takes frames until one is as it should be, and returns it.
    fn frame_where(&mut self, what: &str, mut good: impl FnMut(&FrameHeader, &[NodeRecord]) -> bool) -> Vec<u8>
    where
        Self: Sized,
    {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let frame = self.frame();
            let (header, records) = decode(&frame);
            if good(header, records) {
                return frame;
            }
        }
        panic!("no frame came in which {what}");
    }

    /// All that comes within `span`.
    fn collect(&mut self, span: Duration) -> Vec<Event> {
        let started = Instant::now();
        let mut events = Vec::new();
        while let Some(left) = span.checked_sub(started.elapsed()) {
            match self.next(left) {
                Some(Event::End) => {
                    events.push(Event::End);
                    break;
                }
                Some(event) => events.push(event),
                None => {}
            }
        }
        events
    }

    /// The code with which the server says goodbye, and then ends the connection, within `most`.
    fn goodbye(&mut self, most: Duration) -> Option<u16> {
        let started = Instant::now();
        let mut code = None;
        while let Some(left) = most.checked_sub(started.elapsed()) {
            match self.next(left) {
                Some(Event::Close(found)) => code = Some(found),
                Some(Event::End) => return code,
                Some(_) => {}
                None => return None,
            }
        }
        None
    }

    fn drag(&mut self, kind: &str, node: u32, [x, y, z]: [f32; 3]) {
        self.send(&json!({ "type": kind, "nodeId": node, "position": { "x": x, "y": y, "z": z } }));
    }
}

/// A connection with a small receive buffer, if one is asked for: it has to be set before connecting.
fn connect(to: SocketAddr, receive_bytes: Option<usize>) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    socket.connect(&to.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.into()
}

pub struct Ws {
    socket: WebSocket<TcpStream>,
    hello: Value,
}

impl Ws {
    pub fn connect(to: SocketAddr, query: &str, receive_bytes: Option<usize>) -> Self {
        let stream = connect(to, receive_bytes);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let url = format!("ws://{to}/stream{query}");
        let (socket, _) = tungstenite::client::client_with_config(url, stream, Some(config)).unwrap();
        let mut client = Self { socket, hello: Value::Null };
        client.hello = client.text("connection_established");
        client
    }

    pub fn close(&mut self) {
        self.socket.close(None).unwrap();
    }

    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    /// Sends a binary message.
    pub fn binary(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).unwrap();
    }
}

fn set_timeout(stream: &TcpStream, most: Duration) {
    stream.set_read_timeout(Some(most.max(Duration::from_millis(1)))).unwrap();
}

impl Client for Ws {
    fn next(&mut self, most: Duration) -> Option<Event> {
        let started = Instant::now();
        loop {
            set_timeout(self.socket.get_ref(), most.saturating_sub(started.elapsed()));
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => return Some(Event::Frame(bytes.to_vec())),
                Ok(Message::Text(text)) => return Some(Event::Text(serde_json::from_str(&text).unwrap())),
                Ok(Message::Close(frame)) => {
                    let code = frame.map_or(1005, |CloseFrame { code, .. }| code.into());
                    return Some(Event::Close(code));
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if started.elapsed() >= most {
                        return None;
                    }
                }
                Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Some(Event::End);
                }
                Err(tungstenite::Error::Protocol(error)) => panic!("the server broke the protocol: {error}"),
                Err(_) => return Some(Event::End),
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    fn hello(&self) -> &Value {
        &self.hello
    }
}

pub struct Tcp {
    stream: TcpStream,
    pending: Vec<u8>,
    hello: Value,
}

impl Tcp {
    pub fn connect(to: SocketAddr, hello: &str, receive_bytes: Option<usize>) -> Self {
        let mut client = Self::open(to, hello, receive_bytes);
        client.hello = client.text("connection_established");
        client
    }

    /// Without waiting for the greeting.
    pub fn open(to: SocketAddr, hello: &str, receive_bytes: Option<usize>) -> Self {
        let mut client = Self { stream: connect(to, receive_bytes), pending: Vec::new(), hello: Value::Null };
        client.say(hello);
        client
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn take(&mut self) -> Option<Event> {
        let word = u32::from_le_bytes(self.pending.get(..4)?.try_into().unwrap());
        let end = 4 + (word & !TCP_TEXT_BIT) as usize;
        assert!(end < 1 << 28, "a record of {end} bytes: the framing is lost");
        let body = self.pending.get(4..end)?.to_vec();
        self.pending.drain(..end);
        if word & TCP_TEXT_BIT == 0 {
            return Some(Event::Frame(body));
        }
        let text: Value = serde_json::from_slice(&body).unwrap();
        if text["type"] == "goodbye" {
            return Some(Event::Close(text["code"].as_u64().unwrap() as u16));
        }
        Some(Event::Text(text))
    }
}

impl Client for Tcp {
    fn next(&mut self, most: Duration) -> Option<Event> {
        let started = Instant::now();
        loop {
            if let Some(event) = self.take() {
                return Some(event);
            }
            set_timeout(&self.stream, most.saturating_sub(started.elapsed()));
            let mut bytes = [0; 1 << 16];
            match self.stream.read(&mut bytes) {
                Ok(0) => {
                    assert!(self.pending.is_empty(), "the stream ended inside a record");
                    return Some(Event::End);
                }
                Ok(taken) => self.pending.extend_from_slice(&bytes[..taken]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if started.elapsed() >= most {
                        return None;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Some(Event::End),
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.stream.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    fn hello(&self) -> &Value {
        &self.hello
    }
}

/// Ends a connection with a reset, as a crashed client does.
pub fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Keeps a layout in motion until dropped: one client swings its last node to and fro.
pub struct Motion {
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Motion {
    pub fn start(server: &Server) -> Self {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut client = server.ws("?rate=1");
        let frame = client.frame();
        let node = decode(&frame).1.last().unwrap().id();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for step in 0.. {
                if stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    return client.close();
                }
                let angle = step as f32 * 0.2;
                client.drag("nodeDragUpdate", node, [300.0 * angle.cos(), 300.0 * angle.sin(), 0.0]);
                while client.next(Duration::from_millis(30)).is_some() {}
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Motion {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
