//! Agents by HTTP at `/mcp`: requests out of bytes, answers and streams of events into bytes. One request of a connection is with
//! `control` at a time; what the client sends meanwhile stays in its socket, and so it does while too much of what it is answered waits
//! to be read.

use bytes::Bytes;

use super::output::Output;
use super::strangers::LEAVING_NS_MAX;
use super::{Conn, McpDoor, READ_BYTES, Speaks, Stream, UNREAD_NS_MAX, VISIT_BYTES_MAX, has_more, say};
use crate::base::Handle;
use crate::base::clock::SECOND_NS;
use crate::handoff::{McpEvent, McpRequest, McpSocket};
use crate::limits::{MCP_LINE_BYTES_MAX, MCP_OUTPUT_BYTES_PAUSE};
use crate::net::http::{self, BadRequest, HEAD_BYTES_MAX, Request, Response};
use crate::net::routes::{AGENTS_PATH, refuse_foreign};

/// How long a connection may idle between two requests.
const IDLE_NS_MAX: u64 = 60 * SECOND_NS;

/// From the first byte of a request to its last.
const REQUEST_NS_MAX: u64 = 30 * SECOND_NS;

/// Time without a word on a stream of events until a comment keeps it open.
const COMMENT_NS: u64 = 15 * SECOND_NS;

/// Bytes of a request, head and chunks included.
const REQUEST_BYTES_MAX: usize = 2 * MCP_LINE_BYTES_MAX + HEAD_BYTES_MAX;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its request is not whole yet.
    Reading,
    /// `control` has its request.
    Asked,
    /// Its answer is a stream of events that goes on.
    Streaming,
    /// What it sends is thrown away until it closes.
    Draining,
}

/// What is known of a connection of HTTP.
#[derive(Debug)]
pub(super) struct HttpSide {
    peer: std::net::SocketAddr,
    received: Vec<u8>,
    state: State,
    /// Of the present request.
    keep_alive: bool,
    http_1_1: bool,
    head_only: bool,
    /// The client was told to go on with its body.
    continued: bool,
    /// When something was last sent on its stream.
    said_ns: u64,
}

impl HttpSide {
    /// Whether an answer is still to come.
    pub(super) fn waits(&self) -> bool {
        matches!(self.state, State::Asked | State::Streaming)
    }

    /// The next answer is the last.
    pub(super) fn end(&mut self) {
        self.keep_alive = false;
        self.head_only = false;
    }
}

/// What the front of a connection's bytes is.
enum Front {
    Unfinished { expects_continue: bool },
    Whole { request: Box<Request>, body: Bytes, taken: usize },
    Elsewhere,
}

fn front(received: &[u8]) -> Result<Front, BadRequest> {
    let Some((request, head)) = http::parse(received)? else {
        return Ok(Front::Unfinished { expects_continue: false });
    };
    if request.path != AGENTS_PATH {
        return Ok(Front::Elsewhere);
    }
    let too_long = BadRequest { status: 413, message: "the body is longer than 1048576 bytes" };
    if request.content_length > MCP_LINE_BYTES_MAX as u64 || received.len() > REQUEST_BYTES_MAX {
        return Err(too_long);
    }
    let rest = received.get(head..).unwrap_or(&[]);
    let body = if request.chunked {
        http::parse_chunks(rest, MCP_LINE_BYTES_MAX)?
    } else {
        let length = request.content_length as usize;
        rest.get(..length).map(|body| (body.to_vec(), length))
    };
    Ok(match body {
        Some((body, bytes)) => Front::Whole { request: Box::new(request), body: body.into(), taken: head + bytes },
        None => Front::Unfinished { expects_continue: request.header_has("expect", "100-continue") },
    })
}

impl McpDoor {
    /// Goes on with a connection that the other door has read a request for agents from.
    pub(super) fn adopt(&mut self, socket: McpSocket, now_ns: u64) {
        let McpSocket { stream, peer, received } = socket;
        let side = HttpSide {
            peer,
            received,
            state: State::Reading,
            keep_alive: false,
            http_1_1: true,
            head_only: false,
            continued: false,
            said_ns: now_ns,
        };
        let (stream, speaks) = (Stream::Tcp(mio::net::TcpStream::from_std(stream)), Speaks::Http(Box::new(side)));
        if self.make_room(now_ns) {
            self.insert(stream, speaks, REQUEST_NS_MAX, now_ns);
        } else {
            self.turn_away(stream, speaks, now_ns);
        }
    }

    /// Goes on with one connection as far as it can.
    pub(super) fn serve_http(&mut self, handle: Handle, now_ns: u64) {
        let mut read_bytes = 0;
        loop {
            let Self { conns, lanes, scratch, held, metrics, trust, unrung, .. } = self;
            let Some(conn) = conns.get_mut(handle) else { return };
            let Conn {
                stream, speaks: Speaks::Http(side), out, unsent, readable, hung_up, closing, deadline_ns, ..
            } = conn
            else {
                return;
            };
            // Nothing more is taken from a client that does not read; the write that makes room leads back here.
            let is_behind = side.state == State::Reading && out.left() > MCP_OUTPUT_BYTES_PAUSE;
            if unsent.is_some() || is_behind {
                return;
            }
            if side.state == State::Reading && !*closing && !side.received.is_empty() {
                match front(&side.received) {
                    Ok(Front::Unfinished { expects_continue }) => {
                        if expects_continue && !std::mem::replace(&mut side.continued, true) {
                            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                            if !self.write(handle, now_ns) {
                                return self.drop_conn(handle);
                            }
                            continue;
                        }
                    }
                    // What is still to be sent belongs to the answers before.
                    Ok(Front::Elsewhere) if !out.is_empty() => return,
                    Ok(Front::Elsewhere) => return self.hand_back(handle),
                    Ok(Front::Whole { request, body, taken }) => {
                        side.received.drain(..taken);
                        if side.received.is_empty() {
                            side.received = Vec::new();
                        }
                        side.continued = false;
                        side.keep_alive = request.keep_alive;
                        side.http_1_1 = request.http_1_1;
                        side.head_only = request.method == "HEAD";
                        metrics.mcp.lines.add(1);
                        *deadline_ns = None;
                        if let Some(refused) = refuse_foreign(&request, *trust) {
                            // Answered here, and so as often as it is asked: once is enough.
                            side.keep_alive = false;
                            self.respond(handle, &refused, now_ns);
                            continue;
                        }
                        side.state = State::Asked;
                        let Request { method, headers, .. } = *request;
                        let request = Box::new(McpRequest { method, headers, body });
                        if let Err(event) = say(lanes, unrung, McpEvent::Http { conn: handle, request }) {
                            *unsent = Some(event);
                            held.push(handle);
                        }
                        continue;
                    }
                    Err(bad) => {
                        side.keep_alive = false;
                        side.head_only = false;
                        let response = Response::error(bad.status, "bad_request", bad.message, &[]);
                        self.respond(handle, &response, now_ns);
                        continue;
                    }
                }
            }
            let full = side.state != State::Draining && side.waits() && side.received.len() >= READ_BYTES;
            let reads = *readable && !full && (!*closing || side.state == State::Draining);
            if !reads || read_bytes >= VISIT_BYTES_MAX {
                if side.state == State::Reading && out.is_empty() {
                    let allowed_ns = if side.received.is_empty() { IDLE_NS_MAX } else { REQUEST_NS_MAX };
                    deadline_ns.get_or_insert(now_ns + allowed_ns);
                }
                if reads {
                    self.visit_again(handle);
                }
                return;
            }
            match stream.read(scratch) {
                // Nobody can tell a client that is gone from one that only says no more; the first is the usual one, and to stop then
                // is what the protocol asks for.
                Ok(0) => return self.drop_conn(handle),
                Ok(taken) => {
                    read_bytes += taken;
                    *readable = has_more(taken, scratch.len(), *hung_up);
                    if side.state == State::Draining {
                        continue;
                    }
                    if side.state == State::Reading && side.received.is_empty() {
                        *deadline_ns = Some(now_ns + REQUEST_NS_MAX);
                    }
                    side.received.extend_from_slice(scratch.get(..taken).unwrap_or(&[]));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => *readable = false,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return self.drop_conn(handle),
            }
        }
    }

    /// Gives a connection that asks for something else to the door it came from.
    fn hand_back(&mut self, handle: Handle) {
        let Some(mut conn) = self.conns.remove(handle) else { return };
        let _ = self.poll.registry().deregister(conn.stream.source());
        self.metrics.mcp.connections.set(self.conns.len() as f64);
        let Speaks::Http(side) = conn.speaks else { return };
        let Stream::Tcp(stream) = conn.stream else { return };
        let HttpSide { peer, received, .. } = *side;
        let socket = McpSocket { stream: std::net::TcpStream::from(stream), peer, received };
        // A lane that is full belongs to a door that has too much to do: the client may connect anew.
        let _ = self.lanes.back.push(socket);
    }

    /// The whole answer to a request. Whoever has shown no token that counts is to connect anew with one.
    pub(super) fn answer_http(&mut self, handle: Handle, status: u16, extra: String, body: Bytes, now_ns: u64) {
        if let Some(Conn { speaks: Speaks::Http(side), .. }) = self.conns.get_mut(handle).filter(|_| status == 401) {
            side.keep_alive = false;
        }
        let response = Response { extra, ..Response::new(status, "application/json", body) };
        self.respond(handle, &response, now_ns);
        self.serve(handle, now_ns);
    }

    pub(super) fn respond(&mut self, handle: Handle, response: &Response, now_ns: u64) {
        let Some(Conn { speaks: Speaks::Http(side), out, closing, deadline_ns, .. }) = self.conns.get_mut(handle)
        else {
            return;
        };
        out.extend_from_slice(&response.head(side.keep_alive));
        if !side.head_only {
            out.push(response.lead.clone());
            out.push(response.body.clone());
        }
        side.state = State::Reading;
        *closing |= !side.keep_alive;
        *deadline_ns = Some(now_ns + UNREAD_NS_MAX);
        if !self.write(handle, now_ns) {
            self.drop_conn(handle);
        }
    }

    /// Messages of a stream of events, which begins with the first.
    pub(super) fn stream_http(&mut self, handle: Handle, lines: &[u8], end: bool, now_ns: u64) {
        let Some(Conn { speaks: Speaks::Http(side), out, closing, .. }) = self.conns.get_mut(handle) else { return };
        if side.state != State::Streaming {
            side.state = State::Streaming;
            side.keep_alive &= side.http_1_1;
            out.extend_from_slice(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n\
                  X-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\n",
            );
            out.extend_from_slice(match side.http_1_1 {
                true => b"Transfer-Encoding: chunked\r\n",
                false => b"".as_slice(),
            });
            out.extend_from_slice(match side.keep_alive {
                true => b"Connection: keep-alive\r\n\r\n".as_slice(),
                false => b"Connection: close\r\n\r\n",
            });
        }
        let mut events = Vec::with_capacity(lines.len() + 32);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            events.extend_from_slice(b"event: message\ndata: ");
            events.extend_from_slice(line);
            events.extend_from_slice(b"\n\n");
        }
        push_chunk(side.http_1_1, events.into(), out);
        side.said_ns = now_ns;
        if end {
            out.extend_from_slice(if side.http_1_1 { b"0\r\n\r\n" } else { b"" });
            side.state = State::Reading;
            *closing |= !side.keep_alive;
        }
        self.serve(handle, now_ns);
    }

    /// Everything is out of a connection that is to be closed: true when it waits for its client to close it.
    pub(super) fn drains(&mut self, handle: Handle, now_ns: u64) -> bool {
        let Some(Conn { speaks, stream, leaving, deadline_ns, .. }) = self.conns.get_mut(handle) else { return false };
        let is_first = match speaks {
            Speaks::Lines(side) if !*leaving || side.ended => return false,
            Speaks::Lines(_) => true,
            Speaks::Http(side) => std::mem::replace(&mut side.state, State::Draining) != State::Draining,
        };
        if is_first {
            // With unread input close() would reset the connection, which can take the answer back.
            stream.shutdown_write();
            deadline_ns.get_or_insert(now_ns + LEAVING_NS_MAX);
        }
        true
    }

    /// Keeps streams open on which nothing is said.
    pub(super) fn comment(&mut self, handle: Handle, now_ns: u64) {
        let Some(Conn { speaks: Speaks::Http(side), out, .. }) = self.conns.get_mut(handle) else { return };
        if side.state != State::Streaming || now_ns < side.said_ns + COMMENT_NS || !out.is_empty() {
            return;
        }
        side.said_ns = now_ns;
        push_chunk(side.http_1_1, Bytes::from_static(b":\n\n"), out);
        self.serve(handle, now_ns);
    }
}

fn push_chunk(chunked: bool, bytes: Bytes, out: &mut Output) {
    if bytes.is_empty() {
        return;
    }
    if chunked {
        out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
    }
    out.push(bytes);
    if chunked {
        out.extend_from_slice(b"\r\n");
    }
}
