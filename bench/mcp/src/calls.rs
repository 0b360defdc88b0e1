//! A closed loop of calls: every connection keeps so many in flight and waits for answers, all on one thread.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use swarmcast_bench::process::Reading;

/// How calls are made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub name: &'static str,
    pub connections: usize,
    /// On each.
    pub in_flight: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    pub p50_us: f64,
    pub p99_us: f64,
    pub calls_per_s: f64,
    /// Processor time of the server for each call.
    pub server_us: f64,
}

struct Conn {
    stream: TcpStream,
    read: Vec<u8>,
    out: Vec<u8>,
    /// When each call that is under way was sent; its id is the place.
    sent: Vec<Instant>,
}

/// A connection that has said who it is.
pub fn connect(address: SocketAddr) -> Result<std::net::TcpStream> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let hello = concat!(
        r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#,
        r#""clientInfo":{"name":"bench","version":"1"}}}"#,
        "\n"
    );
    stream.write_all(hello.as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.last() != Some(&b'\n') {
        ensure!(stream.read(&mut byte)? == 1, "the server closed the connection");
        answer.extend_from_slice(&byte);
    }
    ensure!(!answer.windows(8).any(|part| part == b"\"error\":"), "{}", String::from_utf8_lossy(&answer));
    stream.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")?;
    Ok(stream)
}

/// Calls for `seconds`, the first quarter of it uncounted. `params` is what `tools/call` is told.
pub fn run(address: SocketAddr, process: u32, shape: Shape, params: &str, seconds: f64) -> Result<Found> {
    let mut poll = Poll::new()?;
    let mut conns = Vec::new();
    for index in 0..shape.connections {
        let stream = connect(address)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        let sent = vec![Instant::now(); shape.in_flight];
        conns.push(Conn { stream, read: Vec::new(), out: Vec::new(), sent });
    }
    let warm = Duration::from_secs_f64(seconds / 4.0);
    let whole = Duration::from_secs_f64(seconds);
    let (mut times, mut counted_from, mut before) = (Histogram::<u64>::new(3)?, None, None);
    let mut events = Events::with_capacity(1_024);
    let mut scratch = vec![0; 256 << 10];
    let began = Instant::now();
    for conn in &mut conns {
        for id in 0..shape.in_flight {
            conn.call(id, params)?;
        }
        conn.flush()?;
    }
    while began.elapsed() < whole {
        poll.poll(&mut events, Some(Duration::from_secs(10)))?;
        ensure!(!events.is_empty(), "no answer for 10 s");
        if counted_from.is_none() && began.elapsed() >= warm {
            counted_from = Some(Instant::now());
            before = Some(Reading::now(process)?);
            times.reset();
        }
        for event in &events {
            let Some(conn) = conns.get_mut(event.token().0) else { continue };
            conn.take(&mut scratch, params, &mut times)?;
        }
    }
    let counted = counted_from.context("the warm-up took all of the time")?.elapsed();
    let spent = Reading::now(process)?.since(&before.context("the warm-up took all of the time")?, "");
    ensure!(!times.is_empty(), "nothing was answered");
    let us = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Found {
        p50_us: us(0.5),
        p99_us: us(0.99),
        calls_per_s: times.len() as f64 / counted.as_secs_f64(),
        server_us: spent.ns as f64 / 1e3 / times.len() as f64,
    })
}

impl Conn {
    fn call(&mut self, id: usize, params: &str) -> Result<()> {
        writeln!(self.out, r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#)?;
        *self.sent.get_mut(id).context("an id of ours")? = Instant::now();
        Ok(())
    }

    /// Takes answers, and calls again for each.
    fn take(&mut self, scratch: &mut [u8], params: &str, times: &mut Histogram<u64>) -> Result<()> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(taken) => self.read.extend_from_slice(scratch.get(..taken).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut taken = 0;
        let mut answered = Vec::new();
        while let Some(rest) = self.read.get(taken..) {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
            answered.push(id(rest.get(..end).unwrap_or_default())?);
            taken += end + 1;
        }
        self.read.drain(..taken);
        for id in answered {
            let sent = self.sent.get(id).context("an id of ours")?;
            times.record(sent.elapsed().as_nanos() as u64)?;
            self.call(id, params)?;
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let mut sent = 0;
        while let Some(rest) = self.out.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(more) => sent += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.out.drain(..sent);
        Ok(())
    }
}

/// The id of an answer that is a result, and no error of a tool either: calls that fail are no calls.
fn id(line: &[u8]) -> Result<usize> {
    let has =
        |part: &[u8]| line.get(..200.min(line.len())).unwrap_or(line).windows(part.len()).any(|found| found == part);
    ensure!(!has(b"\"error\":") && !has(b"\"isError\":true"), "{}", String::from_utf8_lossy(line));
    let at = line.windows(5).position(|part| part == b"\"id\":").context("an answer without an id")?;
    let digits = line.iter().skip(at + 5).take_while(|byte| byte.is_ascii_digit());
    let found = digits.fold(None, |id: Option<usize>, digit| Some(id.unwrap_or(0) * 10 + usize::from(digit - b'0')));
    found.with_context(|| format!("an answer with another id: {}", String::from_utf8_lossy(line)))
}
