//! One generating thread: polls, reads, writes, and does what is due.
//!
//! Syscalls of a turn: `epoll_wait`; one `read` per socket that has bytes; `write`, `connect` and `close` where a task
//! asks for them; `timerfd_settime` when the first task changes. A frame that comes allocates nothing.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};
use fastrand::Rng;
use mio::{Events, Interest, Poll, Token};

use super::client::{Client, Close, Ended, Phase, Sight};
use super::dial::{dial, kind};
use super::schedule::turns;
use super::stamp::Clocks;
use super::timers::{Due, Task, Timers};
use super::watch::Watcher;
use super::{Job, timings_of};
use crate::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use crate::collect::Interval;
use crate::plan::{Behaviour, Protocol, Slice, Transport};
use crate::record::{Record, Timing};
use crate::verify::Meeting;

/// Read from one socket at once.
const SCRATCH_BYTES: usize = 256 << 10;

/// Reads of one client before others have their turn.
const READS_MAX: usize = 4;

/// Events taken from one poll.
const EVENTS_MAX: usize = 1_024;

/// A buffer of so many bytes outlives what was in it: an acknowledgement fits, and whoever sends them sends more. What a
/// handshake takes is given back, so that an idle viewer keeps no buffer.
const OUTBOX_BYTES_KEPT: usize = 128;

/// Tasks done before sockets are looked at again.
const TASKS_MAX: usize = 64;

/// A slow reader's bytes come in portions of this length.
const ALLOWANCE_NS: u64 = 50 * MILLISECOND_NS;

/// How often calls are looked through for those that are late beyond their limit.
const SWEEP_NS: u64 = 50 * MILLISECOND_NS;

/// After the end of the run frames that were due within it are awaited for at most so long.
const DRAIN_NS: u64 = SECOND_NS;

/// Of the timer; clients count from 0.
const TIMER: Token = Token(usize::MAX);

/// Not a client: a task of the thread itself.
const THREAD: usize = usize::MAX;

/// A thread's state.
pub struct Worker {
    job: Job,
    poll: Poll,
    timers: Timers,
    thread: usize,
    clients: Vec<Client>,
    scratch: Box<[u8]>,
    /// Clients with more to read than their turn allowed.
    ready: VecDeque<usize>,
    records: Vec<Record>,
    clocks: Vec<Clocks>,
    meetings: Vec<Option<Arc<Meeting>>>,
    slices: Vec<Slice>,
    slice: usize,
    rng: Rng,
    watcher: Watcher,
    now_ns: u64,
    end_ns: u64,
    draining: bool,
    stop: Arc<AtomicBool>,
    out: Sender<Interval>,
    spare: Receiver<Interval>,
}

impl Worker {
    /// The thread `thread` of `job`, with its clients.
    ///
    /// # Errors
    /// When the kernel gives no poll.
    pub fn new(
        job: Job,
        thread: usize,
        meetings: &[Option<Arc<Meeting>>],
        stop: Arc<AtomicBool>,
        out: Sender<Interval>,
        spare: Receiver<Interval>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut timers = Timers::new(poll.registry(), TIMER)?;
        let plan = Arc::clone(&job.plan);
        let mut clients = Vec::new();
        for (place, group) in plan.groups.iter().enumerate() {
            for number in (job.share.index..group.clients).step_by(job.share.of.max(1) as usize) {
                if (number / job.share.of.max(1)) as usize % plan.threads.max(1) != thread {
                    continue;
                }
                let client = clients.len();
                for turn in turns(&plan, group, number) {
                    let at_ns = job.start_ns + turn.at_ns;
                    timers.push(Due { at_ns, task: Task::Want(turn.wanted), client, attempt: None });
                }
                if let Behaviour::Storm { every_ns, .. } = group.behaviour {
                    let at_ns = job.start_ns + group.start_ns + every_ns;
                    timers.push(Due { at_ns, task: Task::Storm, client, attempt: None });
                }
                clients.push(Client::new(place, number));
            }
        }
        let slices = plan.slices();
        let end_ns = job.start_ns + plan.duration_ns();
        let own = |at_ns, task| Due { at_ns, task, client: THREAD, attempt: None };
        if let Some(first) = slices.first() {
            timers.push(own(job.start_ns + first.end_ns, Task::Slice));
        }
        timers.push(own(job.start_ns, Task::Metronome));
        Ok(Self {
            poll,
            timers,
            thread,
            clients,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            ready: VecDeque::new(),
            records: plan.groups.iter().map(|group| Record::with(&timings_of(group))).collect(),
            clocks: (0..plan.groups.len()).map(|group| Clocks::now(job.offsets.get(group))).collect(),
            meetings: meetings.to_vec(),
            slices,
            slice: 0,
            rng: Rng::with_seed(plan.seed ^ (thread as u64) << 32 ^ u64::from(job.share.index) << 48),
            watcher: Watcher::new(),
            now_ns: monotonic_ns(),
            end_ns,
            draining: false,
            stop,
            out,
            spare,
            job,
        })
    }

    /// Plays the plan to its end, or until it is told to stop.
    ///
    /// # Errors
    /// When polling fails; a lost connection is none.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        self.watcher.begin();
        loop {
            self.timers.arm()?;
            let wait = if self.ready.is_empty() { None } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            self.now_ns = monotonic_ns();
            for event in &events {
                if event.token() == TIMER {
                    // In its place among the sockets: what it waited, a frame that came just then has waited too.
                    self.timers.rung();
                    self.act_on_due();
                } else {
                    let hung_up = event.is_read_closed() || event.is_error();
                    self.happen(event.token().0, event.is_readable(), event.is_writable(), hung_up);
                }
            }
            self.read_ready();
            self.act_on_due();
            if self.is_over() {
                self.finish();
                return Ok(());
            }
        }
    }

    fn act_on_due(&mut self) {
        for _ in 0..TASKS_MAX {
            self.now_ns = monotonic_ns();
            let Some(due) = self.timers.pop(self.now_ns) else { return };
            self.act(due);
        }
    }

    /// A socket has something to say.
    fn happen(&mut self, place: usize, readable: bool, writable: bool, hung_up: bool) {
        let Some(client) = self.clients.get_mut(place) else { return };
        client.hung_up |= hung_up;
        if client.phase == Phase::Connecting && (writable || hung_up) {
            let Some(stream) = &client.stream else { return };
            match (stream.take_error(), stream.peer_addr()) {
                (Ok(None), Ok(_)) => self.connected(place),
                (Ok(Some(error)) | Err(error), _) => return self.end(place, Close::Lost, Some(kind(&error).into())),
                (Ok(None), Err(_)) => return,
            }
        } else if writable {
            self.flush(place);
        }
        if readable || hung_up {
            self.read(place);
        }
    }

    fn connected(&mut self, place: usize) {
        let behaviour = self.with(place, |client, see| {
            client.shake_hands(see);
            see.group.behaviour
        });
        if behaviour.is_some() {
            self.flush(place);
            self.opened(place);
        }
    }

    /// Plans what a client does once its stream is open. Called again for each connection.
    fn opened(&mut self, place: usize) {
        let plan = Arc::clone(&self.job.plan);
        let Some(client) = self.clients.get_mut(place).filter(|client| client.phase == Phase::Open) else { return };
        let Some(group) = plan.groups.get(client.group) else { return };
        let (now, attempt) = (self.now_ns, Some(client.attempt));
        let mut push = |at_ns, task| self.timers.push(Due { at_ns, task, client: place, attempt });
        match group.behaviour {
            Behaviour::Slow { .. } => push(now, Task::Allow),
            Behaviour::Stall { after_ns, .. } => push(now + after_ns, Task::Deaf(true)),
            Behaviour::Silent => client.deaf = true,
            Behaviour::Reader | Behaviour::HalfOpen | Behaviour::Storm { .. } => {}
        }
        if let Some(sending) = &group.sending {
            // Clients that open together do not send together.
            let spread = (f64::from(client.number) * 0.618_033_988_75).fract();
            push(now + (spread * 1e9 / sending.rate_hz) as u64, Task::Send);
        }
        if let Protocol::JsonRpc(calls) = &group.protocol {
            push(now + SWEEP_NS, Task::Sweep);
            // The group's calls are one even row from the start of the run; this client makes every n-th.
            let (period, clients) = (1e9 / calls.rate_hz, f64::from(group.clients));
            let start = self.job.start_ns as f64;
            let first = ((now as f64 - start) / period - f64::from(client.number)) / clients;
            let place_in_row = f64::from(client.number) + first.ceil().max(0.0) * clients;
            let at_ns = self.job.start_ns + (place_in_row * period) as u64;
            push(at_ns, Task::Call);
        }
        if !self.clients.get(place).is_some_and(|client| client.outbox.is_empty()) {
            self.flush(place);
        }
    }

    fn read_ready(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(place) = self.ready.pop_front() else { return };
            if let Some(client) = self.clients.get_mut(place) {
                client.in_ready = false;
                self.read(place);
            }
        }
    }

    /// Reads what a socket has, within its turn.
    fn read(&mut self, place: usize) {
        for _ in 0..READS_MAX {
            let Some(client) = self.clients.get_mut(place) else { return };
            let Some(group) = self.job.plan.groups.get(client.group) else { return };
            if client.deaf && !client.hung_up {
                return;
            }
            let limit = match group.behaviour {
                Behaviour::Slow { .. } if client.phase == Phase::Open && !client.hung_up => {
                    usize::try_from(client.allowance).unwrap_or(usize::MAX).min(SCRATCH_BYTES)
                }
                _ => SCRATCH_BYTES,
            };
            if limit == 0 {
                return;
            }
            let Some(stream) = &mut client.stream else { return };
            let Some(scratch) = self.scratch.get_mut(..limit) else { return };
            let count = match stream.read(scratch) {
                Ok(0) => return self.end(place, Close::Lost, Some("closed_without_goodbye".into())),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return self.end(place, Close::Lost, Some(kind(&error).into())),
            };
            // A frame is as late as its last byte was read, not as the poll that said so.
            self.now_ns = monotonic_ns();
            client.allowance = client.allowance.saturating_sub(count as u64);
            if client.deaf {
                // What a silent client never reads is not looked at: its server has closed, and that is awaited.
                continue;
            }
            if !self.took(place, count) {
                return;
            }
            // Less than there was room for: the socket is empty, and a new edge tells when it is not.
            if count < limit && !self.clients.get(place).is_some_and(|client| client.hung_up) {
                return;
            }
        }
        if let Some(client) = self.clients.get_mut(place).filter(|client| !client.in_ready && client.stream.is_some()) {
            client.in_ready = true;
            self.ready.push_back(place);
        }
    }

    /// Gives a client the first `count` bytes of the scratch; false when its connection is over.
    fn took(&mut self, place: usize, count: usize) -> bool {
        let scratch = std::mem::take(&mut self.scratch);
        let bytes = scratch.get(..count).unwrap_or(&[]);
        let before = self.clients.get(place).map(|client| client.phase);
        let taken = self.with(place, |client, see| client.take(bytes, see));
        self.scratch = scratch;
        if let Some(Err(ended)) = taken {
            self.flush(place);
            self.end(place, Close::Lost, Some(ended));
            return false;
        }
        let Some(client) = self.clients.get(place) else { return false };
        if before == Some(Phase::Handshake) && client.phase == Phase::Open {
            self.opened(place);
        } else if !client.outbox.is_empty() {
            self.flush(place);
        }
        self.clients.get(place).is_some_and(|client| client.stream.is_some())
    }

    /// Runs `act` on a client with what it needs to know.
    fn with<T>(&mut self, place: usize, act: impl FnOnce(&mut Client, &mut Sight<'_>) -> T) -> Option<T> {
        let client = self.clients.get_mut(place)?;
        let mut see = Sight {
            group: self.job.plan.groups.get(client.group)?,
            record: self.records.get_mut(client.group)?,
            now_ns: self.now_ns,
            measured: self.slices.get(self.slice).is_some_and(|slice| slice.measured),
            end_ns: self.end_ns,
            draining: self.draining,
            clocks: *self.clocks.get(client.group)?,
            meeting: self.meetings.get(client.group)?.as_ref(),
            rng: &mut self.rng,
        };
        Some(act(client, &mut see))
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(&mut self, place: usize) {
        let Some(client) = self.clients.get_mut(place) else { return };
        let Some(record) = self.records.get_mut(client.group) else { return };
        let Some(stream) = &mut client.stream else { return };
        let mut written = 0;
        let failed = loop {
            let Some(rest) = client.outbox.get(written..).filter(|rest| !rest.is_empty()) else { break None };
            match stream.write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        if written > 0 {
            client.acted_ns = self.now_ns;
            if client.phase == Phase::Open {
                record.count(crate::record::Count::BytesWritten, written as u64);
            }
            if written == client.outbox.len() && client.outbox.capacity() <= OUTBOX_BYTES_KEPT {
                client.outbox.clear();
            } else if written == client.outbox.len() {
                client.outbox = Vec::new();
            } else {
                client.outbox.drain(..written);
            }
        }
        if let Some(error) = failed {
            self.end(place, Close::Lost, Some(kind(&error).into()));
        }
    }

    fn act(&mut self, due: Due) {
        if due.client == THREAD {
            return match due.task {
                Task::Slice => self.next_slice(),
                _ => self.look(due.at_ns),
            };
        }
        let current = self.clients.get(due.client).map(|client| client.attempt);
        if due.attempt.is_some() && due.attempt != current {
            return;
        }
        // Connections that are late are in `connect` and `first_frame`: a thousand at once cannot all be on time.
        if matches!(due.task, Task::Send | Task::Call) {
            self.watcher.late(self.now_ns.saturating_sub(due.at_ns));
        }
        self.do_task(due);
    }

    fn do_task(&mut self, due: Due) {
        let Due { at_ns, task, client: place, attempt } = due;
        let plan = Arc::clone(&self.job.plan);
        let Some(client) = self.clients.get_mut(place) else { return };
        let Some(group) = plan.groups.get(client.group) else { return };
        let again = |timers: &mut Timers, at_ns| timers.push(Due { at_ns, task, client: place, attempt });
        match task {
            Task::Want(wanted) => {
                client.wanted = wanted;
                if wanted {
                    return self.connect(place, at_ns);
                }
                self.end(place, Close::Left, None);
                // One that was cut off when it was to leave is owed nothing from here on either.
                self.with(place, |client, see| client.close(Close::Left, 0, see));
            }
            Task::Reconnect if client.wanted && at_ns < self.end_ns => self.connect(place, at_ns),
            Task::ConnectTimeout => {
                let held = group.behaviour == Behaviour::HalfOpen && client.phase == Phase::Handshake;
                if held || client.phase == Phase::Open {
                    return;
                }
                let kind = if client.phase == Phase::Connecting { "connect_timeout" } else { "handshake_timeout" };
                self.end(place, Close::Lost, Some(kind.into()));
            }
            Task::Send => {
                let Some(sending) = &group.sending else { return };
                again(&mut self.timers, at_ns + (1e9 / sending.rate_hz) as u64);
                if at_ns < self.end_ns {
                    self.with(place, |client, see| client.send(sending, at_ns, see));
                    self.flush(place);
                }
            }
            Task::Call => {
                let Protocol::JsonRpc(calls) = &group.protocol else { return };
                again(&mut self.timers, at_ns + (f64::from(group.clients) * 1e9 / calls.rate_hz) as u64);
                if at_ns < self.end_ns {
                    self.with(place, |client, see| client.call(calls, at_ns, see));
                    self.flush(place);
                }
            }
            Task::Sweep => {
                let Protocol::JsonRpc(calls) = &group.protocol else { return };
                again(&mut self.timers, at_ns + SWEEP_NS);
                self.with(place, |client, see| {
                    if let Some(caller) = &mut client.caller {
                        caller.sweep(calls, None, see.now_ns, see.record);
                    }
                });
            }
            Task::Allow => {
                let Behaviour::Slow { bytes_per_s } = group.behaviour else { return };
                let portion = (bytes_per_s * ALLOWANCE_NS / SECOND_NS).max(1);
                let waits = client.stream.as_ref().and_then(|stream| rustix::io::ioctl_fionread(stream).ok());
                if let (Some(bytes), Some(record)) = (waits, self.records.get_mut(client.group)) {
                    let ns = u128::from(bytes) * u128::from(SECOND_NS) / u128::from(bytes_per_s.max(1));
                    record.record(Timing::OwnQueue, u64::try_from(ns).unwrap_or(u64::MAX), 1);
                }
                client.allowance = (client.allowance + portion).min(2 * portion);
                again(&mut self.timers, at_ns + ALLOWANCE_NS);
                self.read(place);
            }
            Task::Deaf(deaf) => {
                let Behaviour::Stall { after_ns, for_ns } = group.behaviour else { return };
                client.deaf = deaf;
                let next = if deaf { for_ns } else { Some(after_ns) };
                if let Some(next) = next {
                    let at_ns = at_ns + next;
                    self.timers.push(Due { at_ns, task: Task::Deaf(!deaf), client: place, attempt });
                }
                if !deaf {
                    self.read(place);
                }
            }
            Task::Storm => {
                let Behaviour::Storm { every_ns, reset } = group.behaviour else { return };
                again(&mut self.timers, at_ns + every_ns);
                if client.wanted && at_ns < self.end_ns {
                    if let Some(stream) = client.stream.as_ref().filter(|_| reset) {
                        let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                    }
                    self.end(place, Close::Left, None);
                    self.connect(place, at_ns);
                }
            }
            Task::Slice | Task::Metronome | Task::Reconnect => {}
        }
    }

    fn connect(&mut self, place: usize, scheduled_ns: u64) {
        let plan = Arc::clone(&self.job.plan);
        let Some(client) = self.clients.get_mut(place).filter(|client| client.phase == Phase::Away) else { return };
        let Some(group) = plan.groups.get(client.group) else { return };
        client.attempt += 1;
        client.scheduled_ns = scheduled_ns;
        client.phase = Phase::Connecting;
        let source = plan.sources.get(client.number as usize % plan.sources.len().max(1)).copied();
        let dialled = dial(group, source).and_then(|mut stream| {
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(place), both).map(|()| stream)
        });
        match dialled {
            Ok(stream) => {
                client.stream = Some(stream);
                let (at_ns, attempt) = (self.now_ns + plan.connect_timeout_ns, Some(client.attempt));
                self.timers.push(Due { at_ns, task: Task::ConnectTimeout, client: place, attempt });
            }
            Err(error) => self.end(place, Close::Lost, Some(kind(&error).into())),
        }
    }

    /// Ends a connection, counts why, and plans the next one where there is to be one.
    fn end(&mut self, place: usize, why: Close, ended: Option<Ended>) {
        let Some(client) = self.clients.get(place).filter(|client| client.phase != Phase::Away) else { return };
        let (opened, open) = (client.opened_ns(), client.phase == Phase::Open);
        if open && why != Close::Lost {
            self.say_goodbye(place);
        }
        let measured_ns = if open { self.measured_within(opened, self.now_ns) } else { 0 };
        let reconnect = self.with(place, |client, see| {
            // A server that ends what a half-open or silent client holds does as it should.
            let tolerated = matches!(see.group.behaviour, Behaviour::HalfOpen | Behaviour::Silent);
            if why == Close::Lost {
                let evicted = tolerated && client.phase != Phase::Connecting;
                if evicted {
                    see.record.record(Timing::Eviction, see.now_ns.saturating_sub(client.acted_ns), 1);
                } else {
                    let kind = ended.map_or_else(|| "lost".to_owned(), |Ended(kind)| kind);
                    let early = kind == "closed_without_goodbye" && !open;
                    see.record.error(if early { "closed_in_handshake" } else { &kind });
                    if open {
                        see.record.count(crate::record::Count::Lost, 1);
                    }
                }
            }
            client.close(why, measured_ns, see);
            see.group.reconnect_after_ns.filter(|_| why == Close::Lost && client.wanted)
        });
        if let Some(Some(after_ns)) = reconnect {
            let at_ns = self.now_ns + after_ns;
            let attempt = self.clients.get(place).map(|client| client.attempt);
            self.timers.push(Due { at_ns, task: Task::Reconnect, client: place, attempt });
        }
    }

    /// A close frame, as far as the socket takes it at once: nothing waits for a server that is slow to part.
    fn say_goodbye(&mut self, place: usize) {
        let mask = self.rng.u32(..).to_le_bytes();
        let Some(client) = self.clients.get_mut(place) else { return };
        let group = self.job.plan.groups.get(client.group);
        let polite = group.is_some_and(|group| {
            let abrupt = matches!(group.behaviour, Behaviour::Silent | Behaviour::Storm { reset: true, .. });
            group.target.transport == Transport::WebSocket && !abrupt
        });
        if polite && client.outbox.is_empty() {
            let mut bytes = Vec::new();
            super::write::push_close(1000, mask, &mut bytes);
            if let Some(stream) = &mut client.stream {
                let _ = stream.write(&bytes);
            }
        }
    }

    /// How much of a stretch of time lies in measured slices, ns.
    fn measured_within(&self, from_ns: u64, to_ns: u64) -> u64 {
        let start = self.job.start_ns;
        let measured = self.slices.iter().filter(|slice| slice.measured);
        measured.map(|slice| to_ns.min(start + slice.end_ns).saturating_sub(from_ns.max(start + slice.start_ns))).sum()
    }

    /// The thread looks how late it is, at its clocks, and whether it is to stop.
    fn look(&mut self, due_ns: u64) {
        let next_ns = self.watcher.tick(due_ns, self.now_ns);
        self.timers.push(Due { at_ns: next_ns, task: Task::Metronome, client: THREAD, attempt: None });
        for (group, clocks) in self.clocks.iter_mut().enumerate() {
            *clocks = Clocks::now(self.job.offsets.get(group));
        }
        if self.stop.load(Ordering::Relaxed) && !self.draining {
            self.end_ns = self.now_ns;
            self.draining = true;
        }
    }

    fn next_slice(&mut self) {
        let Some(next) = self.slices.get(self.slice + 1) else {
            // The last slice stays open for what was due in it.
            self.draining = true;
            return;
        };
        let at_ns = self.job.start_ns + next.end_ns;
        self.count_connected();
        self.hand_over();
        self.slice += 1;
        self.timers.push(Due { at_ns, task: Task::Slice, client: THREAD, attempt: None });
    }

    fn count_connected(&mut self) {
        for (group, record) in self.records.iter_mut().enumerate() {
            let open = self.clients.iter().filter(|client| client.group == group && client.phase == Phase::Open);
            record.connected = open.count() as u64;
        }
    }

    /// Gives the slice's records away and takes empty ones.
    fn hand_over(&mut self) {
        let empty = self.spare.try_recv().map_or_else(
            |_| self.job.plan.groups.iter().map(|group| Record::with(&timings_of(group))).collect(),
            |spare| {
                let mut records = spare.groups;
                records.iter_mut().for_each(Record::clear);
                records
            },
        );
        let groups = std::mem::replace(&mut self.records, empty);
        let watch = self.watcher.take();
        let end_ns = self.now_ns.min(self.end_ns).saturating_sub(self.job.start_ns);
        let end_ns = if self.draining { end_ns } else { u64::MAX };
        // A collector that is gone has nothing to hear.
        let _ = self.out.send(Interval { thread: self.thread, slice: self.slice, end_ns, groups, watch });
    }

    fn is_over(&self) -> bool {
        let waited = self.now_ns.saturating_sub(self.end_ns) >= DRAIN_NS;
        self.draining && (waited || !self.clients.iter().any(|client| client.awaits(self.end_ns)))
    }

    fn finish(&mut self) {
        self.count_connected();
        for place in 0..self.clients.len() {
            self.end(place, Close::Over, None);
        }
        // Those that are away are owed their frames all the same.
        for place in 0..self.clients.len() {
            self.with(place, |client, see| client.close(Close::Over, 0, see));
        }
        self.hand_over();
    }
}
