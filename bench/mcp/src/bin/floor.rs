//! The least that a server of MCP can do: one thread and one poll that frames lines, parses them, and says the argument again. With a file it
//! answers every call with that JSON, written anew each time: the cost of saying as much.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::io::{ErrorKind, Read, Write};

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

const LISTENER: Token = Token(usize::MAX);

#[derive(Deserialize)]
struct Request<'line> {
    #[serde(borrow)]
    id: Option<&'line RawValue>,
    #[serde(borrow)]
    method: Cow<'line, str>,
    #[serde(borrow)]
    params: Option<Params<'line>>,
}

#[derive(Deserialize)]
struct Params<'line> {
    #[serde(borrow)]
    arguments: Option<Arguments<'line>>,
}

#[derive(Deserialize)]
struct Arguments<'line> {
    #[serde(borrow)]
    message: Option<Cow<'line, str>>,
}

struct Conn {
    stream: TcpStream,
    read: Vec<u8>,
    out: Vec<u8>,
}

fn main() -> Result<()> {
    let fixed: Option<Value> =
        std::env::args().nth(1).map(|path| anyhow::Ok(serde_json::from_slice(&std::fs::read(path)?)?)).transpose()?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("stream ws://{}/", listener.local_addr()?);
    let (mut events, mut conns) = (Events::with_capacity(1_024), Vec::<Option<Conn>>::new());
    let mut scratch = vec![0; 64 << 10];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(conns.len()), interest)?;
                    conns.push(Some(Conn { stream, read: Vec::new(), out: Vec::new() }));
                }
                continue;
            }
            let Some(slot) = conns.get_mut(event.token().0) else { continue };
            if slot.as_mut().is_some_and(|conn| serve(conn, &mut scratch, fixed.as_ref()).is_err()) {
                *slot = None;
            }
        }
    }
}

/// Reads what there is, answers it, and writes once.
fn serve(conn: &mut Conn, scratch: &mut [u8], fixed: Option<&Value>) -> Result<()> {
    loop {
        match conn.stream.read(scratch) {
            Ok(0) => anyhow::bail!("the end"),
            Ok(taken) => conn.read.extend_from_slice(scratch.get(..taken).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    let mut taken = 0;
    while let Some(rest) = conn.read.get(taken..) {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
        let request: Request<'_> = serde_json::from_slice(rest.get(..end).unwrap_or_default())?;
        taken += end + 1;
        let Some(id) = request.id else { continue };
        write!(conn.out, r#"{{"jsonrpc":"2.0","id":{},"result":"#, id.get())?;
        if request.method == "initialize" {
            conn.out.extend_from_slice(
                br#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"floor","version":"1"}}"#,
            );
        } else if let Some(fixed) = fixed {
            serde_json::to_writer(&mut conn.out, fixed)?;
        } else {
            let message = request.params.and_then(|params| params.arguments).and_then(|arguments| arguments.message);
            conn.out.extend_from_slice(br#"{"content":[{"type":"text","text":"#);
            serde_json::to_writer(&mut conn.out, message.as_deref().unwrap_or(""))?;
            conn.out.extend_from_slice(b"}]}");
        }
        conn.out.extend_from_slice(b"}\n");
    }
    conn.read.drain(..taken);
    let mut sent = 0;
    while let Some(rest) = conn.out.get(sent..).filter(|rest| !rest.is_empty()) {
        match conn.stream.write(rest) {
            Ok(more) => sent += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    conn.out.drain(..sent);
    Ok(())
}
