//! `swarmcast-load agent`: waits for coordinators and gives each a session of its own thread; one has the run.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::Duration;

use super::Generator;
use super::line::close;
use super::session::Session;

/// Connections at once: one run, and some that are told of it.
const SESSIONS_MAX: usize = 16;

/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Anybody who can reach it could make it send load anywhere.
    #[error("{0} can be reached from other hosts, which needs a token: a file with --token-file, or {variable}", variable = super::TOKEN_VARIABLE)]
    Open(SocketAddr),
    /// Of the socket.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// Listens for coordinators.
#[derive(Debug)]
pub struct Agent {
    listener: TcpListener,
    token: Option<String>,
}

/// What sessions share.
pub(super) struct Office<'agent> {
    pub(super) generator: &'agent dyn Generator,
    pub(super) token: Option<&'agent str>,
    /// Some session has the run.
    pub(super) taken: AtomicBool,
    sessions: AtomicUsize,
    /// Of sessions, to end them; places of those that are over are empty.
    streams: Mutex<Vec<Option<TcpStream>>>,
}

impl Agent {
    /// Listens on `address`. Without a token only a loopback address will do.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn bind(address: SocketAddr, token: Option<String>) -> Result<Self, AgentError> {
        let token = token.filter(|token| !token.is_empty());
        if token.is_none() && !address.ip().is_loopback() {
            return Err(AgentError::Open(address));
        }
        let failed = |source| AgentError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, token })
    }

    /// Where it listens: the port that the kernel chose, when 0 was asked for.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is set; a run that is on then is ended.
    ///
    /// # Errors
    /// When connections can no longer be taken.
    pub fn serve(&self, generator: &dyn Generator, stop: &AtomicBool) -> io::Result<()> {
        let office = Office {
            generator,
            token: self.token.as_deref(),
            taken: AtomicBool::new(false),
            sessions: AtomicUsize::new(0),
            streams: Mutex::new(Vec::new()),
        };
        thread::scope(|scope| {
            let mut result = Ok(());
            while !stop.load(Ordering::Relaxed) {
                match self.listener.accept() {
                    Ok((stream, _)) => {
                        let Some(place) = office.enter(&stream) else { continue };
                        let office = &office;
                        let session = move || {
                            // What goes wrong is told to the coordinator, where it can be.
                            if let Ok(session) = Session::new(stream, office) {
                                session.run();
                            }
                            office.leave(place);
                        };
                        if Builder::new().name("session".to_owned()).spawn_scoped(scope, session).is_err() {
                            office.leave(place);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(LOOK),
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
            office.close();
            result
        })
    }
}

impl Office<'_> {
    /// A place for a connection, unless there are too many.
    fn enter(&self, stream: &TcpStream) -> Option<usize> {
        let clone = stream.try_clone().ok()?;
        stream.set_nonblocking(false).ok()?;
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if self.sessions.load(Ordering::Relaxed) >= SESSIONS_MAX {
            return None;
        }
        self.sessions.fetch_add(1, Ordering::Relaxed);
        let place = streams.iter().position(Option::is_none).unwrap_or(streams.len());
        match streams.get_mut(place) {
            Some(empty) => *empty = Some(clone),
            None => streams.push(Some(clone)),
        }
        Some(place)
    }

    fn leave(&self, place: usize) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get_mut(place).and_then(Option::take) {
            close(&stream);
        }
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    fn close(&self) {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.iter().flatten().for_each(close);
    }
}

/// Errors of `accept` that say nothing about the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}
