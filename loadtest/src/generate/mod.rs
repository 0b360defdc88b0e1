//! Plays a plan: threads with a mio loop each, which connect clients, read what comes, send what is due, and record.

mod calls;
mod chain;
mod checker;
mod client;
mod cutter;
mod dial;
mod handshake;
mod owed;
mod schedule;
mod stamp;
mod timers;
mod watch;
mod worker;
mod write;

use std::io;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use swarmcast::wire::Profile;

pub use calls::int_range;
pub use dial::raise_open_files;

use crate::collect::Interval;
use crate::plan::{Behaviour, Framing, Group, Message, Plan, Protocol, Transport};
use crate::record::Timing;
use crate::verify::meetings;

/// Empty records that wait to be filled again.
const SPARES: usize = 64;

/// Which part of every group's clients one generator makes: client `i` is its own when `i % of == index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: u32,
    /// Generators in all, at least 1.
    pub of: u32,
}

/// What a generator is to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// The whole plan; also of rates only a share is this generator's.
    pub plan: Arc<Plan>,
    /// Its part.
    pub share: Share,
    /// When the run starts, monotonic ns of this host.
    pub start_ns: u64,
    /// Of each group's server.
    pub offsets: Arc<Offsets>,
}

/// Per group: the server's monotonic clock minus ours, ns. Written by whoever measures it, read for every frame.
#[derive(Debug)]
pub struct Offsets(Vec<(AtomicI64, AtomicU64)>);

impl Offsets {
    /// All clocks are one.
    #[must_use]
    pub fn none(groups: usize) -> Self {
        Self((0..groups).map(|_| (AtomicI64::new(0), AtomicU64::new(0))).collect())
    }

    /// Sets a group's, and by how much it may be off. Relaxed: a frame may be read with the ones before.
    pub fn set(&self, group: usize, offset_ns: i64, error_ns: u64) {
        if let Some((offset, error)) = self.0.get(group) {
            offset.store(offset_ns, Ordering::Relaxed);
            error.store(error_ns, Ordering::Relaxed);
        }
    }

    /// A group's, and by how much it may be off.
    #[must_use]
    pub fn get(&self, group: usize) -> (i64, u64) {
        let place = self.0.get(group);
        place.map_or((0, 0), |(offset, error)| (offset.load(Ordering::Relaxed), error.load(Ordering::Relaxed)))
    }
}

/// A job that is being done.
#[derive(Debug)]
pub struct Running {
    threads: Vec<JoinHandle<io::Result<()>>>,
    intervals: Receiver<Interval>,
    spare: Sender<Interval>,
    stop: Arc<AtomicBool>,
}

/// Starts the threads of a job; they wait for its start.
///
/// # Errors
/// When the kernel gives no thread or poll.
pub fn start(job: &Job) -> io::Result<Running> {
    let (out, intervals) = unbounded();
    let (spare, spares) = bounded(SPARES);
    let stop = Arc::new(AtomicBool::new(false));
    let meetings = meetings(&job.plan);
    let mut threads = Vec::new();
    for thread in 0..job.plan.threads {
        let worker =
            worker::Worker::new(job.clone(), thread, &meetings, Arc::clone(&stop), out.clone(), spares.clone())?;
        threads.push(Builder::new().name(format!("load-{thread}")).spawn(|| worker.run())?);
    }
    Ok(Running { threads, intervals, spare, stop })
}

impl Running {
    /// One per thread and slice, in order per thread; ends when all threads are done.
    #[must_use]
    pub fn intervals(&self) -> &Receiver<Interval> {
        &self.intervals
    }

    /// Gives an interval back whose figures have been taken.
    pub fn recycle(&self, interval: Interval) {
        // When there are enough, this one is freed.
        let _ = self.spare.try_send(interval);
    }

    /// Ends the run within 10 ms and what was due by then.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the threads.
    ///
    /// # Errors
    /// The first that a thread failed with.
    pub fn join(self) -> io::Result<()> {
        let results = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a generating thread panicked"))));
        results.collect()
    }
}

/// What the records of a group take.
#[must_use]
pub fn timings_of(group: &Group) -> Vec<Timing> {
    let mut timings = vec![Timing::Connect];
    let (frames, stamped, owing) = match &group.protocol {
        Protocol::Swarmcast { profile, .. } => (true, *profile == Profile::Own, true),
        Protocol::Compact(_) => (true, true, true),
        Protocol::Generic { framing, stamp, .. } => {
            let cut = group.target.transport == Transport::WebSocket || *framing != Framing::None;
            (cut, cut && stamp.is_some(), group.owed_hz.is_some())
        }
        Protocol::JsonRpc(_) => {
            timings.extend([Timing::Call, Timing::CallService]);
            (false, false, false)
        }
    };
    let parts = [
        (frames, [Timing::FirstFrame, Timing::Gap, Timing::ClientRate].as_slice()),
        (stamped, &[Timing::LatencyRaw]),
        (stamped && owing, &[Timing::Latency]),
        (matches!(group.behaviour, Behaviour::HalfOpen | Behaviour::Silent), &[Timing::Eviction]),
        (matches!(group.behaviour, Behaviour::Slow { .. }), &[Timing::OwnQueue]),
    ];
    timings.extend(parts.into_iter().filter(|(wanted, _)| *wanted).flat_map(|(_, timings)| timings));
    if group.sending.as_ref().is_some_and(|sending| matches!(sending.what, Message::Ping | Message::WsPing)) {
        timings.push(Timing::RoundTrip);
    }
    timings
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::Target;

    /// A reader of our own format at `url`.
    pub(crate) fn group(url: &str) -> Group {
        let (scheme, rest) = url.split_once("://").unwrap();
        Group {
            name: "viewers".to_owned(),
            clients: 1,
            target: Target {
                url: url.to_owned(),
                transport: if scheme == "tcp" { Transport::Tcp } else { Transport::WebSocket },
                authority: rest.to_owned(),
                path: "/stream".to_owned(),
                address: rest.parse().unwrap(),
                headers: vec![],
                subprotocols: vec![],
            },
            protocol: Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 },
            behaviour: Behaviour::Reader,
            sending: None,
            start_ns: 0,
            owed_hz: None,
            reconnect_after_ns: None,
            verify: false,
            receive_buffer_bytes: None,
            stages: None,
        }
    }
}
