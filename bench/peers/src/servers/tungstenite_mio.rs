//! tungstenite on mio: one thread, one `WebSocket` a connection over a socket that does not block.
//!
//! Settings: `TCP_NODELAY`, small read buffer, no write buffer beyond the message that is being sent. A connection whose
//! last message has not left yet is passed over, so it sees the newest frame and keeps no more than one.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use swarmcast::base::clock::monotonic_ns;
use tungstenite::handshake::MidHandshake;
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket, accept_with_config};

use super::{Load, READ_BUFFER_BYTES, ready};
use crate::frame::{Frames, Ticks};

const LISTENER: Token = Token(usize::MAX);

type Greeting = MidHandshake<ServerHandshake<TcpStream, NoCallback>>;

enum Link {
    /// The request is not whole yet.
    Greeting(Greeting),
    /// `blocked`: its last message has not left yet.
    Open {
        socket: WebSocket<TcpStream>,
        blocked: bool,
    },
    Gone,
}

/// Serves until the process ends.
///
/// # Errors
/// When it cannot listen, or the loop itself fails.
pub fn serve(load: Load) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], load.port).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    ready(listener.local_addr()?)?;
    let mut links: Vec<Link> = Vec::new();
    let mut events = Events::with_capacity(1_024);
    let (mut frames, mut ticks) = (Frames::new(load.bytes), Ticks::new(load.rate_hz));
    loop {
        let wait = Duration::from_nanos(ticks.due_ns.saturating_sub(monotonic_ns()));
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut links)?;
            } else if let Some(link) = links.get_mut(event.token().0) {
                link.wake(event.is_readable(), event.is_writable());
            }
        }
        let now_ns = monotonic_ns();
        if now_ns < ticks.due_ns {
            continue;
        }
        if links.iter().any(|link| matches!(link, Link::Open { .. })) {
            let frame: Bytes = frames.next(ticks.due_ns).into();
            for link in &mut links {
                link.send(&frame);
            }
        }
        ticks.advance(monotonic_ns());
    }
}

/// Takes all connections that wait: the listener tells of new ones only.
fn accept(listener: &TcpListener, poll: &Poll, links: &mut Vec<Link>) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        let token = Token(links.len());
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
        links.push(Link::greeted(accept_with_config(stream, Some(config))));
    }
}

type Greeted = Result<WebSocket<TcpStream>, HandshakeError<ServerHandshake<TcpStream, NoCallback>>>;

impl Link {
    fn greeted(outcome: Greeted) -> Self {
        match outcome {
            Ok(socket) => Self::Open { socket, blocked: false },
            Err(HandshakeError::Interrupted(greeting)) => Self::Greeting(greeting),
            Err(HandshakeError::Failure(_)) => Self::Gone,
        }
    }

    fn wake(&mut self, readable: bool, writable: bool) {
        if matches!(self, Self::Greeting(_)) {
            if let Self::Greeting(greeting) = std::mem::replace(self, Self::Gone) {
                *self = Self::greeted(greeting.handshake());
            }
            return;
        }
        let Self::Open { socket, blocked } = self else { return };
        let mut outcome = Ok(());
        if readable {
            // Until nothing is left: reading answers pings and closes.
            outcome = loop {
                match socket.read() {
                    Ok(_) => {}
                    Err(error) if would_block(&error) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
        }
        if writable && *blocked && outcome.is_ok() {
            outcome = socket.flush();
            *blocked = outcome.as_ref().is_err_and(would_block);
        }
        self.close_unless_well(outcome);
    }

    fn send(&mut self, frame: &Bytes) {
        let Self::Open { socket, blocked } = self else { return };
        if *blocked {
            return;
        }
        // `WouldBlock` means that tungstenite keeps what did not leave; `flush` goes on with it.
        let outcome = socket.send(Message::Binary(frame.clone()));
        *blocked = outcome.as_ref().is_err_and(would_block);
        self.close_unless_well(outcome);
    }

    /// The socket goes with the link.
    fn close_unless_well(&mut self, outcome: tungstenite::Result<()>) {
        if outcome.is_err_and(|error| !would_block(&error)) {
            *self = Self::Gone;
        }
    }
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}
