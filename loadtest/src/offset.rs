//! The server's monotonic clock against ours: known when both are on one host, else estimated from round trips of
//! Swarmcast's `ping` over a small connection of its own.
//!
//! As in NTP (RFC 5905): the server read its clock at some time between our question and its answer, so the middle is
//! off by at most half the round trip. The sample with the least doubt wins; doubt grows with age, for clocks drift.

mod estimate;
mod line;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};

pub use estimate::{Estimate, Estimator, Sample};
pub use line::PingError;

use crate::clock::monotonic_ns;
use crate::collect::ClockNote;
use crate::generate::Offsets;
use crate::plan::{ClockMode, Group, Plan, Protocol, Target};
use line::Line;

/// Round trips of one burst.
const BURST: usize = 8;

/// From one burst to the next.
const BURST_EVERY: Duration = Duration::from_secs(1);

/// How a group's offset is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The target is a loopback address.
    Loopback,
    /// The kernel would send to the target from the target's own address.
    OwnAddress,
    /// The user said so.
    Told,
    /// It is estimated from round trips.
    Pings,
    /// Not at all: another host, and nothing to ask it with.
    Unknown,
}

impl Known {
    /// For people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Loopback => "same host: a loopback address",
            Self::OwnAddress => "same host: an address of this one",
            Self::Told => "same clock, as told",
            Self::Pings => "estimated from round trips",
            Self::Unknown => "unknown: no way to ask this server",
        }
    }

    /// How the clock of `group`'s target can be known.
    #[must_use]
    pub fn of(group: &Group, mode: ClockMode) -> Self {
        let here = match (mode, same_host(group.target.address.ip())) {
            (ClockMode::Same, _) => return Self::Told,
            (ClockMode::Auto, here) => here,
            (ClockMode::Ping, _) => None,
        };
        here.unwrap_or(match group.protocol {
            Protocol::Swarmcast { .. } | Protocol::Compact(_) => Self::Pings,
            Protocol::Generic { .. } | Protocol::JsonRpc(_) => Self::Unknown,
        })
    }
}

/// Whether `address` is this host, and how one knows. No packet is sent.
#[must_use]
pub fn same_host(address: IpAddr) -> Option<Known> {
    if address.is_loopback() {
        return Some(Known::Loopback);
    }
    // The kernel sends to an address of its own from that address. Binding to it would tell less: a setting
    // (`ip_nonlocal_bind`) allows that for any address.
    let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((address, 9)).ok()?;
    let from = socket.local_addr().ok()?.ip();
    (from == address || from.is_loopback()).then_some(Known::OwnAddress)
}

/// Why clocks cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The server did not answer the first burst.
    #[error("cannot compare clocks with {target}: {source}")]
    Ping {
        /// As the user wrote it.
        target: String,
        /// Why.
        source: PingError,
    },
    /// No thread.
    #[error("no thread to watch a clock: {0}")]
    Thread(#[from] io::Error),
}

/// What a watching thread and its owner share.
#[derive(Debug, Default)]
struct Shared {
    /// To end a read that waits.
    stream: Option<TcpStream>,
    estimate: Option<Estimate>,
    /// The greatest error of any offset that was in use.
    worst_ns: u64,
    samples: u64,
}

/// One target whose clock is watched.
#[derive(Debug)]
struct Watched {
    groups: Vec<usize>,
    shared: Arc<Mutex<Shared>>,
    /// What a thread that runs still needs.
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

/// The clocks of all groups' targets, kept up to date in [`Offsets`] until [`Clocks::finish`].
#[derive(Debug)]
pub struct Clocks {
    known: Vec<Known>,
    watched: Vec<Watched>,
}

impl Clocks {
    /// Compares clocks with every target that has to be asked, and then goes on doing so, a thread per target.
    ///
    /// Takes eight round trips per target; the offsets hold when it returns.
    ///
    /// # Errors
    /// When a target does not answer.
    pub fn start(plan: &Plan, offsets: &Arc<Offsets>) -> Result<Self, ClockError> {
        let known: Vec<Known> = plan.groups.iter().map(|group| Known::of(group, plan.clock)).collect();
        let mut targets: Vec<(Target, Vec<usize>)> = Vec::new();
        for (index, group) in plan.groups.iter().enumerate() {
            if known.get(index) != Some(&Known::Pings) {
                continue;
            }
            let same =
                |target: &Target| target.address == group.target.address && target.transport == group.target.transport;
            match targets.iter_mut().find(|(target, _)| same(target)) {
                Some((_, groups)) => groups.push(index),
                None => targets.push((group.target.clone(), vec![index])),
            }
        }
        // What was started is ended when a later target does not answer.
        let mut clocks = Self { known, watched: Vec::new() };
        for (target, groups) in targets {
            let within = Duration::from_nanos(plan.connect_timeout_ns);
            clocks.watch(target, groups, within, offsets)?;
        }
        Ok(clocks)
    }

    /// How each group's offset is known.
    #[must_use]
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// Ends the watching. One note per group: the last offset, with the greatest error of any that was in use.
    #[must_use]
    pub fn finish(mut self) -> Vec<ClockNote> {
        self.end();
        self.notes()
    }

    fn notes(&self) -> Vec<ClockNote> {
        let now_ns = monotonic_ns();
        let watched = |group: usize| self.watched.iter().find(|watched| watched.groups.contains(&group));
        let note = |(group, known): (usize, &Known)| match known {
            Known::Loopback | Known::OwnAddress | Known::Told => {
                ClockNote { offset_ns: 0, error_ns: Some(0), samples: 0 }
            }
            Known::Unknown => ClockNote { offset_ns: 0, error_ns: None, samples: 0 },
            Known::Pings => match watched(group) {
                Some(watched) => watched.note(now_ns),
                None => ClockNote { offset_ns: 0, error_ns: None, samples: 0 },
            },
        };
        self.known.iter().enumerate().map(note).collect()
    }

    fn watch(
        &mut self,
        target: Target,
        groups: Vec<usize>,
        within: Duration,
        offsets: &Arc<Offsets>,
    ) -> Result<(), ClockError> {
        let failed = |source| ClockError::Ping { target: target.url.clone(), source };
        let mut line = Line::open(&target, within).map_err(failed)?;
        let shared = Arc::new(Mutex::new(Shared { stream: line.stream().ok(), ..Shared::default() }));
        let mut watcher = Watcher {
            target: target.clone(),
            groups: groups.clone(),
            within,
            offsets: Arc::clone(offsets),
            shared: Arc::clone(&shared),
            estimator: Estimator::default(),
        };
        watcher.burst(&mut line).map_err(failed)?;
        let (stop, stopped) = bounded(0);
        let name = format!("clock-{}", self.watched.len());
        let thread = Builder::new().name(name).spawn(move || watcher.run(line, &stopped))?;
        self.watched.push(Watched { groups, shared, running: Some((stop, thread)) });
        Ok(())
    }

    fn end(&mut self) {
        for watched in &mut self.watched {
            let Some((stop, thread)) = watched.running.take() else { continue };
            drop(stop);
            if let Some(stream) = &lock(&watched.shared).stream {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
            // It has nothing to say: what it knew is in `shared`.
            let _ = thread.join();
        }
    }
}

impl Drop for Clocks {
    fn drop(&mut self) {
        self.end();
    }
}

impl Watched {
    fn note(&self, now_ns: u64) -> ClockNote {
        let shared = lock(&self.shared);
        let error_ns = shared.estimate.map(|estimate| {
            // A server that has not answered for a while has drifted since.
            shared.worst_ns.max(estimate.error_at(now_ns))
        });
        let offset_ns = shared.estimate.map_or(0, |estimate| estimate.offset_ns);
        ClockNote { offset_ns, error_ns, samples: shared.samples }
    }
}

/// What a watching thread owns.
struct Watcher {
    target: Target,
    groups: Vec<usize>,
    within: Duration,
    offsets: Arc<Offsets>,
    shared: Arc<Mutex<Shared>>,
    estimator: Estimator,
}

impl Watcher {
    fn run(mut self, line: Line, stopped: &crossbeam::channel::Receiver<()>) {
        let mut line = Some(line);
        while stopped.recv_timeout(BURST_EVERY) == Err(RecvTimeoutError::Timeout) {
            let answered = match &mut line {
                Some(line) => self.burst(line),
                None => Line::open(&self.target, self.within).and_then(|mut new| {
                    lock(&self.shared).stream = new.stream().ok();
                    let answered = self.burst(&mut new);
                    line = Some(new);
                    answered
                }),
            };
            if answered.is_err() {
                // A new connection in a second; until then the last estimate holds, with growing doubt.
                line = None;
            }
        }
    }

    fn burst(&mut self, line: &mut Line) -> Result<(), PingError> {
        let mut answered = Ok(());
        for _ in 0..BURST {
            match line.ping() {
                Ok(sample) => self.estimator.add(sample),
                Err(error) => {
                    answered = Err(error);
                    break;
                }
            }
        }
        let now_ns = monotonic_ns();
        let Some(estimate) = self.estimator.best(now_ns) else { return answered };
        let mut shared = lock(&self.shared);
        // The offset before this one was in use until now.
        let before_ns = shared.estimate.map_or(0, |before| before.error_at(now_ns));
        shared.worst_ns = shared.worst_ns.max(before_ns).max(estimate.error_at(now_ns));
        shared.estimate = Some(estimate);
        shared.samples = self.estimator.samples();
        self.groups.iter().for_each(|group| self.offsets.set(*group, estimate.offset_ns, estimate.error_at(now_ns)));
        answered
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    // Every field is written whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
