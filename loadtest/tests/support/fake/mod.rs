//! A server whose faults are planned and whose every act is on record, so that a test knows what a client must have
//! seen. Threads and blocking sockets, one or two a connection: slow, and easy to be sure of.
//!
//! A script says, connection by connection, how the door is opened ([`Door`]) and what is spoken then ([`Speak`]).

mod calls;
mod generic;
mod stream;
mod ws;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use swarmcast_load::clock::monotonic_ns;

pub use calls::{Answer, Calls};
pub use generic::{Cut, Generic, Stamping};
pub use stream::{Act, ChainAct, ChainPlan, Stream};

/// How messages are cut out of the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    Tcp,
}

/// How a connection begins. On TCP only `Open`, `Slow`, `Never`, `Reset`, `Shut` and `Raw` mean something.
#[derive(Clone, Debug, Default)]
pub enum Door {
    /// As the protocol says.
    #[default]
    Open,
    /// Likewise, so much later.
    Slow(Duration),
    /// One byte a packet, so long between two.
    SingleBytes(Duration),
    /// Another status than 101.
    Status(u16, &'static str),
    /// 101 with the accept key of another request.
    WrongAccept,
    /// Reads, and never answers.
    Never,
    /// Ends the connection with a reset at once.
    Reset,
    /// Ends it in good order in place of an answer.
    Shut,
    /// Waits for the request so long at most, and then ends the connection.
    Limit(Duration),
    /// These bytes, and then the last part again and again without end.
    Endless(Vec<u8>, Vec<u8>),
}

/// What is spoken once the door is open.
#[derive(Clone)]
pub enum Speak {
    /// Swarmcast's stream.
    Stream(Stream),
    /// Messages of another kind, at a rate.
    Generic(Generic),
    /// JSON-RPC answers, a line each.
    Calls(Calls),
    /// One frame that says that all is at rest; then no thread is spent on the connection any more.
    Park,
    /// These bytes, and then the last part again and again without end.
    Endless(Vec<u8>, Vec<u8>),
    /// Nothing.
    Nothing,
}

/// What one connection is to live through.
#[derive(Clone)]
pub struct Script {
    pub door: Door,
    pub speak: Speak,
    /// Answer pings of both kinds, so much later. `None` never answers.
    pub pong_after: Option<Duration>,
    /// What the server's clock has more than ours, ns, in every stamp.
    pub clock_ahead_ns: i64,
    /// The most bytes that the kernel holds for a client that does not read.
    pub send_buffer_bytes: Option<usize>,
}

impl Script {
    pub fn new(speak: Speak) -> Self {
        Self { door: Door::Open, speak, pong_after: Some(Duration::ZERO), clock_ahead_ns: 0, send_buffer_bytes: None }
    }

    pub fn stream(stream: Stream) -> Self {
        Self::new(Speak::Stream(stream))
    }

    pub fn door(door: Door) -> Self {
        Self { door, ..Self::stream(Stream::default()) }
    }
}

/// A frame or message that was written whole.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Turn of this connection, from 0; a generic message's count.
    pub turn: u64,
    /// 0 where frames have none.
    pub sequence: u64,
    /// When it was due, by our clock.
    pub due_ns: u64,
    /// When the write began.
    pub sent_ns: u64,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed its half without a word.
    Fin,
    /// The client reset it.
    Reset,
    /// The client sent a close frame with this code, 1005 when it gave none.
    Close(u16),
    /// The script ended it.
    Ours,
}

/// All that happened on one connection. Times are monotonic ns.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// From 0, in order of arrival.
    pub index: u64,
    pub accepted_ns: u64,
    /// The client's address, without its port.
    pub peer: String,
    /// Request head on WebSocket, first line on TCP.
    pub opening: String,
    /// When the answer to the handshake was written; on TCP when the first line had come.
    pub stood_ns: Option<u64>,
    pub sent: Vec<Sent>,
    /// Turns on which a frame was due and not sent, in order.
    pub left_out: Vec<u64>,
    /// Text messages; lines on TCP, the first one left out.
    pub texts: Vec<(u64, String)>,
    /// Binary messages.
    pub binaries: Vec<(u64, Vec<u8>)>,
    /// Control frames: opcode and payload.
    pub controls: Vec<(u64, u8, Vec<u8>)>,
    /// Bytes written after the handshake.
    pub bytes_written: u64,
    /// Bytes read after the handshake.
    pub bytes_read: u64,
    /// What the client did against the rules.
    pub violations: Vec<String>,
    pub ended: Option<(u64, End)>,
}

impl Seen {
    /// The first end is the one that counts.
    fn end_with(&mut self, how: End) {
        self.ended = self.ended.or_else(|| Some((monotonic_ns(), how)));
    }
}

/// What connections share.
struct Shared {
    transport: Transport,
    seen: Mutex<Vec<Seen>>,
    /// To wake threads that block in a read or write when it all ends; by index.
    sockets: Mutex<Vec<Option<TcpStream>>>,
    script: Box<dyn Fn(u64) -> Script + Send + Sync>,
    /// Calls that came, over all connections.
    calls: AtomicU64,
    origin_ns: u64,
    /// Connections that are to be taken and not looked at: the tool tries every target before a run.
    probes: AtomicU64,
    /// Nobody listens any more once they have come.
    gone_after_probes: bool,
    over: AtomicBool,
}

/// The server. Dropping it ends every connection.
pub struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Fake {
    /// Starts it; `script` is asked for each connection, with its index from 0.
    pub fn start(transport: Transport, script: impl Fn(u64) -> Script + Send + Sync + 'static) -> Self {
        Self::start_all(transport, false, script)
    }

    /// There when it is tried, and gone when the clients come.
    pub fn gone() -> Self {
        Self::start_all(Transport::WebSocket, true, |_| Script::new(Speak::Nothing))
    }

    fn start_all(
        transport: Transport,
        gone_after_probes: bool,
        script: impl Fn(u64) -> Script + Send + Sync + 'static,
    ) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(4_096).unwrap();
        let listener = TcpListener::from(socket);
        let shared = Arc::new(Shared {
            transport,
            seen: Mutex::default(),
            sockets: Mutex::default(),
            script: Box::new(script),
            calls: AtomicU64::new(0),
            origin_ns: monotonic_ns(),
            probes: AtomicU64::new(0),
            gone_after_probes,
            over: AtomicBool::new(false),
        });
        let fake = Self { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared) };
        thread::Builder::new().name("fake-door".into()).spawn(move || accept(&listener, &shared)).unwrap();
        fake
    }

    /// Every WebSocket connection lives through the same.
    pub fn ws(script: Script) -> Self {
        Self::start(Transport::WebSocket, move |_| script.clone())
    }

    /// Every TCP connection lives through the same.
    pub fn tcp(script: Script) -> Self {
        Self::start(Transport::Tcp, move |_| script.clone())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a client connects.
    pub fn url(&self) -> String {
        match self.shared.transport {
            Transport::WebSocket => format!("ws://{}/stream", self.address),
            Transport::Tcp => format!("tcp://{}", self.address),
        }
    }

    /// The path that a client asks for when it wants nothing special.
    pub fn plain_path(&self) -> String {
        if self.shared.transport == Transport::WebSocket { "/stream".to_owned() } else { String::new() }
    }

    /// The next connection is one that only tries whether the server is there: it is no part of the script.
    pub fn expect_probe(&self) {
        self.shared.probes.fetch_add(1, Ordering::SeqCst);
    }

    /// All connections so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes `accept`.
        let _ = TcpStream::connect(self.address);
        for socket in lock(&self.shared.sockets).iter().flatten() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// An address where nobody listens.
pub fn refused_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked has failed its test already; the others still want their records.
    what.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn sleep_until(at_ns: u64) {
    let now = monotonic_ns();
    if at_ns > now {
        thread::sleep(Duration::from_nanos(at_ns - now));
    }
}

fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut index = 0;
    loop {
        let Ok((mut socket, peer)) = listener.accept() else { return };
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let probes = shared.probes.load(Ordering::SeqCst);
        if probes > 0 {
            shared.probes.store(probes - 1, Ordering::SeqCst);
            thread::spawn(move || assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0, "a probe says nothing"));
            if shared.gone_after_probes {
                return;
            }
            continue;
        }
        let accepted_ns = monotonic_ns();
        lock(&shared.seen).push(Seen { index, accepted_ns, peer: peer.ip().to_string(), ..Seen::default() });
        lock(&shared.sockets).push(Some(socket.try_clone().unwrap()));
        let connection = Connection { index, script: (shared.script)(index), socket, shared: Arc::clone(shared) };
        let thread = thread::Builder::new().name(format!("fake-{index}")).stack_size(256 << 10);
        thread.spawn(move || connection.live()).unwrap();
        index += 1;
    }
}

/// One connection, as its threads know it.
struct Connection {
    index: u64,
    script: Script,
    socket: TcpStream,
    shared: Arc<Shared>,
}

/// The half that writes: whole messages, one at a time.
#[derive(Clone)]
struct Pen {
    socket: Arc<Mutex<TcpStream>>,
    index: u64,
    shared: Arc<Shared>,
    /// A write has been told of the client's reset. The kernel tells it once: who reads next finds an end like any other.
    was_reset: Arc<AtomicBool>,
}

impl Connection {
    fn live(mut self) {
        let _ = self.socket.set_nodelay(true);
        if let Some(bytes) = self.script.send_buffer_bytes {
            SockRef::from(&self.socket).set_send_buffer_size(bytes).unwrap();
        }
        let Some((opening, rest)) = self.enter() else {
            self.forget();
            return;
        };
        self.note(|seen| {
            seen.opening.clone_from(&opening);
            seen.stood_ns = Some(monotonic_ns());
            seen.bytes_read = rest.len() as u64;
        });
        let pen = Pen {
            socket: Arc::new(Mutex::new(self.socket.try_clone().unwrap())),
            index: self.index,
            shared: Arc::clone(&self.shared),
            was_reset: Arc::default(),
        };
        match self.script.speak.clone() {
            Speak::Stream(stream) => {
                let rate = Arc::new(AtomicU64::new(0));
                let (reading, asked) = (self.listen(&pen, rest, Arc::clone(&rate)), stream::asked(&opening));
                stream.play(&pen, &self, &asked, &rate);
                let _ = reading.join();
            }
            Speak::Generic(generic) => {
                let reading = self.listen(&pen, rest, Arc::default());
                generic.play(&pen, &self);
                let _ = reading.join();
            }
            Speak::Calls(calls) => calls.serve(&pen, &mut self, &opening, rest),
            Speak::Park => {
                Stream { nodes: 1, ..Stream::default() }.park(&pen, &self, &stream::asked(&opening));
                return;
            }
            Speak::Endless(head, again) => pen.endless(&head, &again),
            Speak::Nothing => {
                let _ = self.listen(&pen, rest, Arc::default()).join();
            }
        }
        self.forget();
    }

    /// The handshake: what was asked, and bytes that came after it. `None` when the script ends here.
    fn enter(&mut self) -> Option<(String, Vec<u8>)> {
        match &self.script.door {
            Door::Reset => return self.reset(),
            Door::Limit(limit) => self.socket.set_read_timeout(Some(*limit)).unwrap(),
            _ => {}
        }
        let end: &[u8] = if self.shared.transport == Transport::Tcp { b"\n" } else { b"\r\n\r\n" };
        // A stream that nobody has to ask for, such as a generic one on TCP, begins at once.
        let asks = !matches!((&self.script.speak, self.shared.transport), (Speak::Generic(_), Transport::Tcp));
        let mut bytes = Vec::new();
        let at = loop {
            if !asks {
                break 0;
            }
            if let Some(at) = bytes.windows(end.len()).position(|window| window == end) {
                break at + end.len();
            }
            let mut part = [0; 4_096];
            match self.socket.read(&mut part) {
                Ok(0) => return self.end(End::Fin),
                Ok(count) => bytes.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.note(|seen| seen.opening = String::from_utf8_lossy(&bytes).into_owned());
                    return self.end(End::Ours);
                }
                Err(_) => return self.end(End::Reset),
            }
        };
        let _ = self.socket.set_read_timeout(None);
        let rest = bytes.split_off(at);
        let opening = String::from_utf8_lossy(&bytes).into_owned();
        if let Door::Slow(after) = self.script.door {
            thread::sleep(after);
        }
        if matches!(self.script.door, Door::Shut) {
            return self.end(End::Ours);
        }
        if self.shared.transport == Transport::Tcp && !matches!(self.script.door, Door::Never | Door::Endless(..)) {
            return Some((opening, rest));
        }
        let good = ws::answer(&opening);
        match self.script.door.clone() {
            Door::Never => {
                self.note(|seen| seen.opening.clone_from(&opening));
                return self.wait_for_end();
            }
            Door::Endless(head, again) => {
                let socket = Arc::new(Mutex::new(self.socket.try_clone().unwrap()));
                Pen { socket, index: self.index, shared: Arc::clone(&self.shared), was_reset: Arc::default() }
                    .endless(&head, &again);
                return self.end(End::Ours);
            }
            Door::Status(status, reason) => {
                let answer =
                    format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy");
                let _ = self.socket.write_all(answer.as_bytes());
                return self.end(End::Ours);
            }
            Door::WrongAccept => {
                let _ = self.socket.write_all(ws::answer_to_another(&opening).as_bytes());
            }
            Door::SingleBytes(pause) => {
                for byte in good.as_bytes() {
                    let _ = self.socket.write_all(&[*byte]);
                    thread::sleep(pause);
                }
            }
            Door::Open | Door::Slow(_) | Door::Limit(_) | Door::Reset | Door::Shut => {
                let _ = self.socket.write_all(good.as_bytes());
            }
        }
        Some((opening, rest))
    }

    /// Reads on a thread of its own until the end: answers what has an answer, and keeps all that came.
    ///
    /// `rate` gets the rate of every subscription message.
    fn listen(&self, pen: &Pen, rest: Vec<u8>, rate: Arc<AtomicU64>) -> thread::JoinHandle<()> {
        let mut socket = self.socket.try_clone().unwrap();
        let (pen, transport, script) = (pen.clone(), self.shared.transport, self.script.clone());
        let read = move || {
            let mut bytes = rest;
            loop {
                let end = match transport {
                    Transport::WebSocket => ws::take(&mut bytes, |message| pen.heard(message, &script, &rate)),
                    Transport::Tcp => {
                        while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
                            let line: Vec<u8> = bytes.drain(..=at).collect();
                            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                            pen.heard(ws::Heard::Text(text), &script, &rate);
                        }
                        None
                    }
                };
                if let Some(code) = end {
                    pen.end(End::Close(code));
                    // The client wants its close frame back before it leaves. It reads no more, so nothing is counted.
                    let _ = lock(&pen.socket).write_all(&ws::close(code));
                    let _ = socket.shutdown(Shutdown::Write);
                }
                let mut part = [0; 16_384];
                match socket.read(&mut part) {
                    Ok(0) => {
                        // Whoever writes just now has told before it lets go.
                        drop(lock(&pen.socket));
                        let was_reset = pen.was_reset.load(Ordering::SeqCst);
                        return pen.end(if was_reset { End::Reset } else { End::Fin });
                    }
                    Ok(count) => {
                        pen.note(|seen| seen.bytes_read += count as u64);
                        bytes.extend_from_slice(&part[..count]);
                    }
                    Err(_) => return pen.end(End::Reset),
                }
            }
        };
        thread::Builder::new().name(format!("fake-ear-{}", self.index)).stack_size(256 << 10).spawn(read).unwrap()
    }

    /// Waits until the client has gone, and keeps how.
    fn wait_for_end<T>(&mut self) -> Option<T> {
        let mut part = [0; 4_096];
        loop {
            match self.socket.read(&mut part) {
                Ok(0) => return self.end(End::Fin),
                Ok(_) => {}
                Err(_) => return self.end(End::Reset),
            }
        }
    }

    fn reset<T>(&self) -> Option<T> {
        let none = self.end(End::Ours);
        reset(&self.socket);
        none
    }

    fn end<T>(&self, how: End) -> Option<T> {
        self.note(|seen| seen.end_with(how));
        None
    }

    fn note(&self, what: impl FnOnce(&mut Seen)) {
        note(&self.shared, self.index, what);
    }

    fn over(&self) -> bool {
        self.shared.over.load(Ordering::SeqCst)
    }

    /// Drops the copy that would keep the socket open.
    fn forget(&self) {
        if let Some(place) = lock(&self.shared.sockets).get_mut(self.index as usize) {
            *place = None;
        }
    }
}

fn note(shared: &Shared, index: u64, what: impl FnOnce(&mut Seen)) {
    if let Some(seen) = lock(&shared.seen).get_mut(index as usize) {
        what(seen);
    }
}

/// Ends a connection with a reset, whatever copies of the socket are open: closing would wait for the last of them.
fn reset(socket: &TcpStream) {
    let _ = rustix::net::connect_unspec(socket);
}

impl Pen {
    /// Writes all of it; `false` when the connection is gone.
    fn write(&self, bytes: &[u8]) -> bool {
        let mut socket = lock(&self.socket);
        let written = socket.write_all(bytes);
        if matches!(&written, Err(error) if error.kind() == ErrorKind::ConnectionReset) {
            self.was_reset.store(true, Ordering::SeqCst);
        }
        drop(socket);
        if written.is_ok() {
            self.note(|seen| seen.bytes_written += bytes.len() as u64);
        }
        written.is_ok()
    }

    fn endless(&self, head: &[u8], again: &[u8]) {
        let mut alive = self.write(head);
        let until = Instant::now() + Duration::from_secs(20);
        while alive && Instant::now() < until && !self.shared.over.load(Ordering::SeqCst) {
            alive = self.write(again);
        }
        self.end(if alive { End::Ours } else { End::Reset });
    }

    /// Text in the transport's own wrapping.
    fn text(&self, text: &[u8]) -> bool {
        self.write(&ws::text(self.shared.transport, text))
    }

    fn heard(&self, message: ws::Heard, script: &Script, rate: &AtomicU64) {
        let now = monotonic_ns();
        match message {
            ws::Heard::Text(text) => {
                stream::converse(self, script, &text, rate);
                self.note(|seen| seen.texts.push((now, text)));
            }
            ws::Heard::Binary(payload) => self.note(|seen| seen.binaries.push((now, payload))),
            ws::Heard::Control(opcode, payload) => {
                if let (ws::PING, Some(after)) = (opcode, script.pong_after) {
                    thread::sleep(after);
                    self.write(&ws::frame(true, ws::PONG, &payload));
                }
                self.note(|seen| seen.controls.push((now, opcode, payload)));
            }
            ws::Heard::Violation(what) => self.note(|seen| seen.violations.push(what)),
        }
    }

    fn end(&self, how: End) {
        self.note(|seen| seen.end_with(how));
    }

    fn note(&self, what: impl FnOnce(&mut Seen)) {
        note(&self.shared, self.index, what);
    }
}
