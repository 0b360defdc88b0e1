//! A run on this host: room for sockets, a first try at every target, threads, progress, and the account of it all.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{MILLISECOND_NS, monotonic_ns, realtime_ns};
use crate::collect::{Collected, Collector, GeneratorNote, Merged};
use crate::generate::{Job, Offsets, Share, raise_open_files, start};
use crate::machine;
use crate::offset::{ClockError, Clocks};
use crate::plan::{Behaviour, Plan};
use crate::record::{Count, PackError};

/// From the decision to start to the start: threads are up by then.
const LEAD_NS: u64 = 50 * MILLISECOND_NS;

/// A run in which nothing has connected by then, and connections have failed, is over.
const HOPE_NS: u64 = 2_000 * MILLISECOND_NS;

/// How often it is looked whether to stop while no interval comes.
const LOOK: Duration = Duration::from_millis(50);

/// Why there is no account of a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The first try at a target failed.
    #[error("cannot connect to {target}: {source}")]
    Connect {
        /// As the user wrote it.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// The server's clock cannot be compared with ours.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Too few descriptors.
    #[error("{0}")]
    OpenFiles(String),
    /// A thread, a poll or a file was refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A histogram cannot be serialised.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Tells whoever watches how a run goes.
pub trait Watching {
    /// A slice is complete.
    ///
    /// # Errors
    /// When what it writes cannot be written: the run ends.
    fn slice(&mut self, slice: &Merged) -> io::Result<()>;
}

/// Whether every target takes a connection, so that a mistyped address is told at once.
///
/// # Errors
/// [`RunError::Connect`] for the first that does not.
pub fn try_targets(plan: &Plan) -> Result<(), RunError> {
    let mut tried: Vec<SocketAddr> = Vec::new();
    for group in &plan.groups {
        let address = group.target.address;
        if tried.contains(&address) {
            continue;
        }
        tried.push(address);
        let within = Duration::from_nanos(plan.connect_timeout_ns);
        TcpStream::connect_timeout(&address, within)
            .map_err(|source| RunError::Connect { target: group.target.url.clone(), source })?;
    }
    Ok(())
}

/// Plays a plan on this host alone, until its end or until `stop` is set.
///
/// # Errors
/// [`RunError`]; what goes wrong with connections is counted, not returned.
pub fn run(plan: Plan, command: String, stop: &AtomicBool, watching: &mut dyn Watching) -> Result<Collected, RunError> {
    let plan = Arc::new(plan);
    let sockets = plan.groups.iter().map(|group| u64::from(group.clients)).sum();
    raise_open_files(sockets).map_err(RunError::OpenFiles)?;
    try_targets(&plan)?;
    let offsets = Arc::new(Offsets::none(plan.groups.len()));
    let clocks = Clocks::start(&plan, &offsets)?;
    let start_ns = monotonic_ns() + LEAD_NS;
    let started_unix_ms = (realtime_ns() + LEAD_NS) / MILLISECOND_NS;
    let mut collector = Collector::new(Arc::clone(&plan), command, started_unix_ms, plan.threads);
    let running = start(&Job {
        plan: Arc::clone(&plan),
        share: Share { index: 0, of: 1 },
        start_ns,
        offsets: Arc::clone(&offsets),
    })?;
    let mut hope = Hope::new(&plan);
    let mut cut_short = None;
    loop {
        match running.intervals().recv_timeout(LOOK) {
            Ok(interval) => {
                if let Some(merged) = collector.take(interval.thread, interval) {
                    watching.slice(merged)?;
                    if hope.is_lost(merged) {
                        cut_short.get_or_insert_with(|| "nothing could connect".to_owned());
                        running.stop();
                    }
                }
                if let Some(spare) = collector.recycle() {
                    running.recycle(spare);
                }
            }
            Err(crossbeam::channel::RecvTimeoutError::Timeout) => {}
            Err(crossbeam::channel::RecvTimeoutError::Disconnected) => break,
        }
        if stop.load(Ordering::Relaxed) && cut_short.is_none() {
            cut_short = Some("stopped by a signal".to_owned());
            running.stop();
        }
    }
    running.join()?;
    let here =
        GeneratorNote { name: "local".to_owned(), machine: machine::describe(), threads: plan.threads, trouble: None };
    Ok(collector.finish(clocks.finish(), vec![here], cut_short)?)
}

/// Whether anything connects at all.
struct Hope {
    needed: bool,
    connected: bool,
    failed: bool,
}

impl Hope {
    fn new(plan: &Plan) -> Self {
        // Half-open clients never stand, and are meant not to.
        let needed = plan.groups.iter().any(|group| group.behaviour != Behaviour::HalfOpen);
        Self { needed, connected: false, failed: false }
    }

    fn is_lost(&mut self, slice: &Merged) -> bool {
        self.connected |= slice.groups.iter().any(|group| group.of(Count::Connected) > 0);
        self.failed |= slice.groups.iter().any(|group| group.error_count() > 0);
        self.needed && self.failed && !self.connected && slice.slice.end_ns >= HOPE_NS
    }
}
