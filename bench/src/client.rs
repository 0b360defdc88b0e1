//! Many WebSocket clients on one thread: they read everything, look at frame headers only, and count.
//!
//! Payloads go from the socket into one scratch buffer and no further. Every frame is checked before it counts: magic,
//! version, kind, lengths, and a sequence that only grows.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use swarmcast::base::clock::{SECOND_NS, monotonic_ns};
use swarmcast::wire::{FrameHeader, HEADER_BYTES, KIND_FULL, MAGIC, Profile, VERSION, ws_header};
use zerocopy::FromBytes;

/// Bytes taken from one client before the next one has its turn.
const READ_BYTES: usize = 256 << 10;

/// How often the thread looks at its stage when nothing comes.
const LOOK: Duration = Duration::from_millis(5);

/// Longest answer to the handshake and longest text that is kept.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// Latencies up to a minute, three digits.
const LATENCY_NS_MAX: u64 = 60 * SECOND_NS;

/// Handshakes that may wait for their answers at once.
const UNANSWERED_MAX: usize = 64;

/// How long all clients may take to get their first frame.
const START_MAX: Duration = Duration::from_secs(60);

const WARM: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

/// What to connect to and what to expect.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Where.
    pub address: SocketAddr,
    /// The format; only [`Profile::Own`] carries sequence and time.
    pub profile: Profile,
    /// Frames per second asked for.
    pub rate_hz: u32,
    /// How many.
    pub clients: usize,
}

/// What the clients got between [`Clients::measure`] and [`Clients::stop`].
#[derive(Debug)]
pub struct Tally {
    /// How long that was.
    pub seconds: f64,
    /// Whole frames, of each client.
    pub frames: Vec<u64>,
    /// Frames that sequence gaps show to be left out, of all clients.
    pub conflated: u64,
    /// Bytes read from all sockets.
    pub bytes: u64,
    /// Payload of one frame.
    pub frame_bytes: usize,
    /// Header's `published_ns` to last byte read, ns. Empty for profiles without a header.
    pub latency_ns: Histogram<u64>,
}

impl Tally {
    fn new(clients: usize) -> Result<Self> {
        let latency_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?;
        Ok(Self { seconds: 0.0, frames: vec![0; clients], conflated: 0, bytes: 0, frame_bytes: 0, latency_ns })
    }

    /// Whole frames of all clients.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.frames.iter().sum()
    }

    /// Bytes read, in frames.
    #[must_use]
    pub fn frames_by_bytes(&self) -> f64 {
        let (_, head_bytes) = ws_header(self.frame_bytes);
        self.bytes as f64 / (head_bytes + self.frame_bytes) as f64
    }
}

/// The clients' thread.
#[derive(Debug)]
pub struct Clients {
    stage: Arc<AtomicU8>,
    thread: JoinHandle<Result<Tally>>,
}

/// The name of that thread, for readings of its processor time.
pub const THREAD: &str = "clients";

impl Clients {
    /// Connects everyone and returns when each has had a frame.
    ///
    /// # Errors
    /// When a client is refused, gets something that is not a frame, or gets nothing for a minute.
    pub fn connect(ask: Ask) -> Result<Self> {
        let (stage, streaming) = (Arc::new(AtomicU8::new(WARM)), Arc::new(AtomicUsize::new(0)));
        let reader = Reader::connect(ask, Arc::clone(&stage), Arc::clone(&streaming))?;
        let thread = Builder::new().name(THREAD.to_owned()).spawn(move || reader.run())?;
        let clients = Self { stage, thread };
        let deadline_ns = monotonic_ns() + START_MAX.as_nanos() as u64;
        while streaming.load(Ordering::Relaxed) < ask.clients {
            if clients.thread.is_finished() || monotonic_ns() > deadline_ns {
                let had = streaming.load(Ordering::Relaxed);
                clients.stop().with_context(|| format!("{had} of {} clients had a frame", ask.clients))?;
                bail!("{had} of {} clients had a frame within {START_MAX:?}", ask.clients);
            }
            sleep(LOOK);
        }
        Ok(clients)
    }

    /// From here on it counts.
    pub fn measure(&self) {
        self.stage.store(MEASURE, Ordering::Release);
    }

    /// Until here.
    ///
    /// # Errors
    /// When a client got anything wrong at any time.
    pub fn stop(self) -> Result<Tally> {
        self.stage.store(STOP, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the clients' thread panicked"))?
    }
}

struct Reader {
    ask: Ask,
    poll: Poll,
    links: Vec<Link>,
    ready: VecDeque<usize>,
    stage: Arc<AtomicU8>,
    streaming: Arc<AtomicUsize>,
    seen: u8,
    started_ns: u64,
    tally: Tally,
}

impl Reader {
    fn connect(ask: Ask, stage: Arc<AtomicU8>, streaming: Arc<AtomicUsize>) -> Result<Self> {
        let (poll, tally) = (Poll::new()?, Tally::new(ask.clients)?);
        let mut links = Vec::with_capacity(ask.clients);
        for (place, stream) in open(&ask)?.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(place), Interest::READABLE)?;
            links.push(Link::new(stream, ask.profile));
        }
        let ready = VecDeque::with_capacity(ask.clients);
        Ok(Self { ask, poll, links, ready, stage, streaming, seen: WARM, started_ns: 0, tally })
    }

    fn run(mut self) -> Result<Tally> {
        let mut events = Events::with_capacity(1_024);
        let mut scratch = vec![0; READ_BYTES];
        loop {
            let timeout = if self.ready.is_empty() { LOOK } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => other?,
            }
            for event in &events {
                let place = event.token().0;
                if let Some(link) = self.links.get_mut(place)
                    && !std::mem::replace(&mut link.queued, true)
                {
                    self.ready.push_back(place);
                }
            }
            for _ in 0..self.ready.len() {
                if self.look()? {
                    return Ok(self.tally);
                }
                let Some(place) = self.ready.pop_front() else { break };
                let Some(link) = self.links.get_mut(place) else { continue };
                let again = link.read(&mut scratch, place, &mut self.tally, &self.streaming);
                link.queued = again.with_context(|| format!("client {place} of {}", self.ask.clients))?;
                if link.queued {
                    self.ready.push_back(place);
                }
            }
            if self.look()? {
                return Ok(self.tally);
            }
        }
    }

    /// Follows the stage; true at its end.
    fn look(&mut self) -> Result<bool> {
        let stage = self.stage.load(Ordering::Acquire);
        if stage == self.seen {
            return Ok(false);
        }
        self.seen = stage;
        if stage == MEASURE {
            let frame_bytes = self.tally.frame_bytes;
            self.tally = Tally { frame_bytes, ..Tally::new(self.ask.clients)? };
            self.started_ns = monotonic_ns();
            return Ok(false);
        }
        self.tally.seconds = monotonic_ns().saturating_sub(self.started_ns) as f64 / SECOND_NS as f64;
        Ok(true)
    }
}

/// Connects everyone and sends the requests. Only so many wait for their answers at once: this is no test of how a
/// server stands a storm, and one that refuses a part of it would have nothing to show here.
fn open(ask: &Ask) -> Result<Vec<std::net::TcpStream>> {
    let mut streams: Vec<std::net::TcpStream> = Vec::with_capacity(ask.clients);
    for place in 0..ask.clients {
        if let Some(earlier) = place.checked_sub(UNANSWERED_MAX).and_then(|place| streams.get(place)) {
            earlier.set_read_timeout(Some(START_MAX))?;
            earlier.peek(&mut [0]).context("waiting for the answer to a handshake")?;
        }
        let mut stream = std::net::TcpStream::connect(ask.address).context("connecting")?;
        stream.write_all(request(ask).as_bytes())?;
        streams.push(stream);
    }
    Ok(streams)
}

/// The key is that of RFC 6455, section 1.3; nobody here needs a secret one.
fn request(ask: &Ask) -> String {
    format!(
        "GET /stream?profile={}&rate={} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ask.profile.name(),
        ask.rate_hz,
        ask.address,
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The answer to the handshake.
    Greeting,
    /// WebSocket header, and our own header when a frame has one.
    Head,
    /// A text, kept.
    Text,
    /// The rest of a frame, or of a control message.
    Skip { frame: bool },
}

struct Link {
    stream: TcpStream,
    profile: Profile,
    state: State,
    /// Bytes of greeting, head or text so far.
    kept: Vec<u8>,
    /// Payload bytes to come.
    left: usize,
    sequence: u64,
    published_ns: u64,
    /// As the server said in its first text.
    node_count: Option<usize>,
    begun: bool,
    queued: bool,
}

impl Link {
    fn new(stream: TcpStream, profile: Profile) -> Self {
        Self {
            stream,
            profile,
            state: State::Greeting,
            kept: Vec::with_capacity(TEXT_BYTES_MAX),
            left: 0,
            sequence: 0,
            published_ns: 0,
            node_count: None,
            begun: false,
            queued: false,
        }
    }

    /// One read; true when there may be more.
    fn read(&mut self, scratch: &mut [u8], place: usize, tally: &mut Tally, streaming: &AtomicUsize) -> Result<bool> {
        let taken = match self.stream.read(scratch) {
            Ok(0) => bail!("the server ended the connection"),
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        tally.bytes += taken as u64;
        let mut bytes = scratch.get(..taken).unwrap_or(&[]);
        while !bytes.is_empty() {
            bytes = self.feed(bytes, place, tally, streaming)?;
        }
        // Fewer bytes than asked for: the socket was empty then, and new bytes are a new edge.
        Ok(taken == scratch.len())
    }

    /// Takes the next part of a message; returns what is left.
    fn feed<'bytes>(
        &mut self,
        bytes: &'bytes [u8],
        place: usize,
        tally: &mut Tally,
        streaming: &AtomicUsize,
    ) -> Result<&'bytes [u8]> {
        match self.state {
            State::Greeting => {
                let (byte, rest) = bytes.split_first().context("bytes")?;
                self.kept.push(*byte);
                ensure!(self.kept.len() <= TEXT_BYTES_MAX, "an endless answer to the handshake");
                if self.kept.ends_with(b"\r\n\r\n") {
                    let line = String::from_utf8_lossy(&self.kept);
                    ensure!(line.starts_with("HTTP/1.1 101"), "refused: {}", line.lines().next().unwrap_or(""));
                    self.next(State::Head);
                }
                Ok(rest)
            }
            State::Head => {
                let want = head_bytes(&self.kept, self.profile);
                let rest = keep(&mut self.kept, bytes, want);
                if self.kept.len() == head_bytes(&self.kept, self.profile) {
                    self.begin(tally)?;
                    self.end_if_whole(place, tally, streaming)?;
                }
                Ok(rest)
            }
            State::Text => {
                let want = self.kept.len() + self.left;
                let before = self.kept.len();
                let rest = keep(&mut self.kept, bytes, want);
                self.left -= self.kept.len() - before;
                self.end_if_whole(place, tally, streaming)?;
                Ok(rest)
            }
            State::Skip { .. } => {
                let (skipped, rest) = bytes.split_at_checked(self.left).unwrap_or((bytes, &[]));
                self.left -= skipped.len();
                self.end_if_whole(place, tally, streaming)?;
                Ok(rest)
            }
        }
    }

    fn next(&mut self, state: State) {
        self.state = state;
        self.kept.clear();
    }

    /// The head is whole: what follows it?
    fn begin(&mut self, tally: &mut Tally) -> Result<()> {
        let (opcode, payload, head) = ws_head(&self.kept).context("head is whole")?;
        match opcode {
            1 => {
                ensure!(payload <= TEXT_BYTES_MAX, "a text of {payload} bytes");
                self.left = payload;
                self.next(State::Text);
                return Ok(());
            }
            2 => {}
            8 => bail!("the server closed the stream"),
            _ => {
                self.left = payload;
                self.next(State::Skip { frame: false });
                return Ok(());
            }
        }
        if let Some(nodes) = self.node_count {
            let expected = self.profile.frame_bytes(nodes);
            ensure!(payload == expected, "a frame of {payload} bytes where {nodes} nodes take {expected}");
        }
        tally.frame_bytes = payload;
        let ours = self.kept.get(head..).unwrap_or(&[]);
        self.left = payload.checked_sub(ours.len()).context("a message shorter than our header")?;
        if self.profile == Profile::Own {
            let header = FrameHeader::read_from_bytes(ours).map_err(|_| anyhow!("a short header"))?;
            ensure!(header.magic == MAGIC, "magic {:02x?}", header.magic);
            ensure!(header.version == VERSION && header.kind == KIND_FULL, "an unknown version or kind");
            let body = header.body_bytes.get() as usize;
            ensure!(body == self.left, "{body} body bytes announced in a message with {}", self.left);
            let nodes = header.node_count.get() as usize;
            ensure!(body == self.profile.body_bytes(nodes), "{nodes} nodes in {body} bytes");
            let sequence = header.sequence.get();
            ensure!(sequence > self.sequence, "sequence {sequence} after {}", self.sequence);
            if self.begun {
                tally.conflated += sequence - self.sequence - 1;
            }
            self.sequence = sequence;
            self.published_ns = header.published_ns.get();
        }
        self.next(State::Skip { frame: true });
        Ok(())
    }

    fn end_if_whole(&mut self, place: usize, tally: &mut Tally, streaming: &AtomicUsize) -> Result<()> {
        if self.left > 0 {
            return Ok(());
        }
        match self.state {
            State::Text => self.greeted()?,
            State::Skip { frame: true } => {
                if let Some(frames) = tally.frames.get_mut(place) {
                    *frames += 1;
                }
                if self.profile == Profile::Own {
                    let now_ns = monotonic_ns();
                    ensure!(now_ns >= self.published_ns, "a frame from the future");
                    tally.latency_ns.saturating_record(now_ns - self.published_ns);
                }
                if !std::mem::replace(&mut self.begun, true) {
                    streaming.fetch_add(1, Ordering::Relaxed);
                }
            }
            State::Skip { frame: false } => {}
            State::Greeting | State::Head => return Ok(()),
        }
        self.next(State::Head);
        Ok(())
    }

    fn greeted(&mut self) -> Result<()> {
        let text: serde_json::Value = serde_json::from_slice(&self.kept).context("a text that is not JSON")?;
        let field = |name: &str| text.get(name).and_then(serde_json::Value::as_str).unwrap_or("");
        match field("type") {
            "connection_established" => {
                let nodes = text.get("node_count").and_then(serde_json::Value::as_u64).context("node_count")?;
                ensure!(field("profile") == self.profile.name(), "profile {} was given", field("profile"));
                self.node_count = Some(nodes as usize);
            }
            "error" => bail!("the server says: {}", field("message")),
            _ => {}
        }
        Ok(())
    }
}

/// Moves bytes into `kept` until it has `want`; returns what is left.
fn keep<'bytes>(kept: &mut Vec<u8>, bytes: &'bytes [u8], want: usize) -> &'bytes [u8] {
    let missing = want.saturating_sub(kept.len());
    let (taken, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
    kept.extend_from_slice(taken);
    rest
}

/// Bytes of the head that begins with `kept`, as far as it can be known from them.
fn head_bytes(kept: &[u8], profile: Profile) -> usize {
    let (Some(first), Some(second)) = (kept.first(), kept.get(1)) else { return 2 };
    let ws = match second & 0x7F {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let frame = first & 0x0F == 2 && profile == Profile::Own;
    if frame { ws + HEADER_BYTES } else { ws }
}

/// Opcode, payload bytes and header bytes of a WebSocket message of a server.
fn ws_head(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let big = |range: std::ops::Range<usize>| {
        Some(bytes.get(range)?.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let (payload, head) = match second {
        126 => (big(2..4)?, 4),
        127 => (big(2..10)?, 10),
        short => (usize::from(short), 2),
    };
    Some((first & 0x0F, payload, head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_every_length_are_read() {
        assert_eq!(ws_head(&[0x82, 5]), Some((2, 5, 2)));
        assert_eq!(ws_head(&[0x81, 126, 1, 2]), Some((1, 258, 4)));
        assert_eq!(ws_head(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Some((2, 65_536, 10)));
        assert_eq!(ws_head(&[0x82, 127, 0]), None);
        assert_eq!(head_bytes(&[], Profile::Own), 2);
        assert_eq!(head_bytes(&[0x82, 127], Profile::Own), 74);
        assert_eq!(head_bytes(&[0x82, 126], Profile::V2), 4);
        assert_eq!(head_bytes(&[0x81, 126], Profile::Own), 4);
    }
}
