//! The bare receiver: the least that a process can do to take in what N WebSocket connections bring.
//!
//! One thread. After the handshakes it waits in a level-triggered `epoll` and gives every readable socket one `recv`
//! into one scratch buffer, and another one only when that was full. Nothing is parsed, checked or kept but a sum.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;

use anyhow::{Context, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use swarmcast::base::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use swarmcast::wire::ws_header;

/// Bytes asked for at once: as many as the load tester and the benches' clients ask for.
const SCRATCH_BYTES: usize = 256 << 10;

/// Sockets taken from one `epoll_wait`.
const EVENTS_MAX: usize = 1_024;

/// Longest wait, so that the end of a window without bytes is seen.
const WAIT_NS_MAX: u64 = 5 * MILLISECOND_NS;

/// What to connect to, and for how long.
#[derive(Clone, Debug)]
pub struct Take {
    /// Where.
    pub address: SocketAddr,
    /// Path and query of the handshake.
    pub path: String,
    /// Connections.
    pub clients: usize,
    /// Left out, from the last handshake on.
    pub warm_ns: u64,
    /// Measured.
    pub measured_ns: u64,
}

/// What came in during the window, and what it cost this thread.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Length of the window.
    pub seconds: f64,
    /// Bytes received.
    pub bytes: u64,
    /// `recv` calls.
    pub calls: u64,
    /// Processor time of this thread.
    pub cpu_ns: u64,
}

impl Taken {
    /// Bytes received, in WebSocket messages with `frame_bytes` of payload.
    #[must_use]
    pub fn frames(&self, frame_bytes: usize) -> f64 {
        let (_, head_bytes) = ws_header(frame_bytes);
        self.bytes as f64 / (head_bytes + frame_bytes) as f64
    }

    /// Processor time of one such message, us.
    #[must_use]
    pub fn frame_us(&self, frame_bytes: usize) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.frames(frame_bytes)
    }
}

/// Connects everyone, warms up, and receives for the window.
///
/// # Errors
/// When a handshake is refused, or a connection ends before the window does.
pub fn receive(take: &Take) -> Result<Taken> {
    let mut streams = Vec::with_capacity(take.clients);
    for _ in 0..take.clients {
        streams.push(connect(take)?);
    }
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (place, stream) in streams.iter().enumerate() {
        epoll::add(&poll, stream, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?;
    }
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let warm_until_ns = monotonic_ns() + take.warm_ns;
    pass(&poll, &streams, &mut events, &mut scratch, warm_until_ns)?;
    let (from_ns, cpu_ns) = (monotonic_ns(), thread_cpu_ns()?);
    let (bytes, calls) = pass(&poll, &streams, &mut events, &mut scratch, from_ns + take.measured_ns)?;
    let seconds = (monotonic_ns() - from_ns) as f64 / SECOND_NS as f64;
    Ok(Taken { seconds, bytes, calls, cpu_ns: thread_cpu_ns()? - cpu_ns })
}

/// Receives until `until_ns`; returns bytes and calls.
fn pass(
    poll: impl AsFd,
    streams: &[TcpStream],
    events: &mut Vec<epoll::Event>,
    scratch: &mut [u8],
    until_ns: u64,
) -> Result<(u64, u64)> {
    let (mut bytes, mut calls) = (0, 0);
    loop {
        let left_ns = until_ns.saturating_sub(monotonic_ns());
        if left_ns == 0 {
            return Ok((bytes, calls));
        }
        let wait = Timespec { tv_sec: 0, tv_nsec: left_ns.min(WAIT_NS_MAX) as i64 };
        events.clear();
        match epoll::wait(&poll, spare_capacity(events), Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.iter() {
            let Some(stream) = streams.get(event.data.u64() as usize) else { continue };
            loop {
                let taken = match recv(stream, &mut *scratch, RecvFlags::DONTWAIT) {
                    Ok((_, taken)) => taken,
                    Err(Errno::AGAIN | Errno::INTR) => break,
                    Err(error) => return Err(error.into()),
                };
                ensure!(taken > 0, "the server ended the connection");
                bytes += taken as u64;
                calls += 1;
                // Level-triggered: what is left or comes later is told again.
                if taken < scratch.len() {
                    break;
                }
            }
        }
    }
}

/// The key is that of RFC 6455, section 1.3.
fn connect(take: &Take) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(take.address).context("connecting")?;
    write!(
        stream,
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        take.path, take.address,
    )?;
    // What it reads beyond the answer is lost, and nobody misses it: the window begins later.
    let mut answer = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 101"), "refused: {}", line.trim_end());
    while line.len() > 2 {
        line.clear();
        answer.read_line(&mut line)?;
    }
    Ok(stream)
}

fn thread_cpu_ns() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    text.split_whitespace().next().and_then(|ns| ns.parse().ok()).context("schedstat")
}
