//! `run --agents`: starts agents together, merges what they tell, and names the one that fails.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::line::{LineError, Lines, close, send};
use super::message::{Answer, Order, PROTOCOL, RELEASE, Refusal};
use super::{ALIVE_EVERY, LOST_AFTER};
use crate::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns, realtime_ns};
use crate::collect::{ClockNote, Collected, Collector, GeneratorNote, Interval, Merged};
use crate::offset::{Estimate, Estimator, Sample};
use crate::plan::Plan;
use crate::record::PackError;
use crate::run::Watching;

/// For a connection, and then for the answer to the hello.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Beyond what its own connections to the targets may take, for an agent to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Round trips that an agent's clock is estimated from.
const CLOCK_ROUNDS: u64 = 16;

/// From the order to start to the start, and for each agent more.
const LEAD_NS: u64 = 500 * MILLISECOND_NS;
const LEAD_PER_AGENT_NS: u64 = 10 * MILLISECOND_NS;

/// Between the end of a run and the last word of an agent.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// The same, after a stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Why there is no run from several hosts. All but the last two come before the start: nothing was connected.
#[derive(Debug, thiserror::Error)]
pub enum AgentsError {
    /// An empty list, or one address twice.
    #[error("agent {0:?} is named twice, or not at all")]
    Names(String),
    /// No connection.
    #[error("cannot connect to agent {agent}: {source}")]
    Connect {
        /// As the user wrote it.
        agent: String,
        /// Why.
        source: io::Error,
    },
    /// The agent will not.
    #[error("agent {agent} refused: {reason}")]
    Refused {
        /// As the user wrote it.
        agent: String,
        /// Why.
        reason: Refusal,
    },
    /// Another release.
    #[error("agent {agent} is release {version} with protocol {protocol}, this is {RELEASE} with {PROTOCOL}")]
    Version {
        /// As the user wrote it.
        agent: String,
        /// The agent's.
        protocol: u32,
        /// The agent's.
        version: String,
    },
    /// The agent cannot play the plan.
    #[error("agent {agent} is not ready: {message}")]
    NotReady {
        /// As the user wrote it.
        agent: String,
        /// In its own words.
        message: String,
    },
    /// The connection failed before the start.
    #[error("agent {agent}: {source}")]
    Line {
        /// As the user wrote it.
        agent: String,
        /// How.
        source: LineError,
    },
    /// Something else than was asked for.
    #[error("agent {agent} said something unexpected")]
    Unexpected {
        /// As the user wrote it.
        agent: String,
    },
    /// No thread, or nowhere to write.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A histogram cannot be serialised.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// An agent before the start.
struct Link {
    agent: String,
    machine: String,
    lines: Lines<Answer>,
    out: TcpStream,
}

/// An agent during the run.
struct Member {
    agent: String,
    machine: String,
    out: TcpStream,
    /// `Ok` has its clocks.
    end: Option<Result<Vec<ClockNote>, String>>,
}

/// Something that an agent said.
enum Event {
    Interval(Interval),
    Alive,
    End(Result<Vec<ClockNote>, String>),
}

/// Plays a plan on all `agents` (`host:port`), until its end or until `stop` is set. This process generates nothing.
///
/// An agent that fails on the way ends the run: it is cut short, and the agent's note says why.
///
/// # Errors
/// [`AgentsError`], when the run could not be started.
pub fn run(
    plan: Plan,
    command: String,
    agents: &[String],
    token: Option<&str>,
    stop: &AtomicBool,
    watching: &mut dyn Watching,
) -> Result<Collected, AgentsError> {
    check_names(agents)?;
    let plan = Arc::new(plan);
    let of = u32::try_from(agents.len()).unwrap_or(u32::MAX);
    let links = each(agents, |agent| Link::open(agent, token))?;
    let links: Vec<(u32, Link)> = (0..).zip(links).collect();
    let links = each(links, |(index, link)| link.prepare(&plan, index, of))?;
    // Clocks come last, so that they are fresh at the start.
    let links = each(links, Link::compare_clocks)?;
    let lead_ns = LEAD_NS + LEAD_PER_AGENT_NS * u64::from(of);
    let start_ns = monotonic_ns() + lead_ns;
    let started_unix_ms = (realtime_ns() + lead_ns) / MILLISECOND_NS;
    let collector = Collector::new(Arc::clone(&plan), command, started_unix_ms, agents.len());
    let (events_in, events) = unbounded();
    let mut members = Vec::new();
    for (source, (mut link, clock)) in links.into_iter().enumerate() {
        let order = Order::Start { start_ns: start_ns.saturating_add_signed(clock.offset_ns) };
        send(&mut link.out, &order).map_err(|source| AgentsError::Line { agent: link.agent.clone(), source })?;
        let Link { agent, machine, lines, out } = link;
        let listener = Listener { source, lines, slices: plan.slices().len(), groups: plan.groups.len() };
        let events = events_in.clone();
        Builder::new().name(format!("agent-{source}")).spawn(move || listener.run(&events))?;
        members.push(Member { agent, machine, out, end: None });
    }
    let mut conduct = Conduct { collector, members, ends: start_ns + plan.duration_ns(), cut_short: None, limit: None };
    let played = conduct.play(&events, stop, watching);
    // Those that are still there when it failed stop by it.
    conduct.members.iter().for_each(|member| close(&member.out));
    played?;
    conduct.finish(&plan)
}

fn check_names(agents: &[String]) -> Result<(), AgentsError> {
    let mut seen: Vec<&String> = Vec::new();
    for agent in agents {
        if seen.contains(&agent) {
            return Err(AgentsError::Names(agent.clone()));
        }
        seen.push(agent);
    }
    if seen.is_empty() { Err(AgentsError::Names(String::new())) } else { Ok(()) }
}

/// Does something with all agents at once; the first error ends it for all, for what is dropped closes.
fn each<I: Send, T: Send>(
    items: impl IntoIterator<Item = I>,
    act: impl Fn(I) -> Result<T, AgentsError> + Sync,
) -> Result<Vec<T>, AgentsError> {
    let act = &act;
    thread::scope(|scope| {
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || act(item))).collect();
        let results = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that asks an agent panicked").into()))
        });
        // All of them are waited for; the first error in order is told.
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

impl Link {
    fn open(agent: &str, token: Option<&str>) -> Result<Self, AgentsError> {
        let failed = |source| AgentsError::Connect { agent: agent.to_owned(), source };
        let stream = connect(agent).map_err(failed)?;
        let lines = Lines::new(stream).map_err(failed)?;
        let out = lines.writer().map_err(failed)?;
        let mut link = Self { agent: agent.to_owned(), machine: String::new(), lines, out };
        let (version, token) = (RELEASE.to_owned(), token.map(str::to_owned));
        link.order(&Order::Hello { protocol: PROTOCOL, version, token })?;
        match link.answer(CONNECT_WITHIN)? {
            Answer::Hello { protocol: PROTOCOL, version, machine } if version == RELEASE => {
                link.machine = machine;
                link.lines.trust();
                Ok(link)
            }
            Answer::Hello { protocol, version, .. } => {
                Err(AgentsError::Version { agent: agent.to_owned(), protocol, version })
            }
            _ => Err(AgentsError::Unexpected { agent: agent.to_owned() }),
        }
    }

    fn prepare(mut self, plan: &Plan, index: u32, of: u32) -> Result<Self, AgentsError> {
        self.order(&Order::Prepare { plan: Box::new(plan.clone()), index, of })?;
        let targets = u32::try_from(plan.groups.len()).unwrap_or(u32::MAX);
        // A target is tried once, and its clock is asked for once.
        let within = READY_WITHIN + Duration::from_nanos(plan.connect_timeout_ns).saturating_mul(2 * targets);
        match self.answer(within)? {
            Answer::Ready => Ok(self),
            _ => Err(AgentsError::Unexpected { agent: self.agent }),
        }
    }

    /// The agent's clock against ours.
    fn compare_clocks(mut self) -> Result<(Self, Estimate), AgentsError> {
        let mut estimator = Estimator::default();
        for asked in 0..CLOCK_ROUNDS {
            let asked_ns = monotonic_ns();
            self.order(&Order::Clock { number: asked })?;
            match self.answer(CONNECT_WITHIN)? {
                Answer::Clock { number, agent_ns } if number == asked => {
                    estimator.add(Sample { asked_ns, server_ns: agent_ns, heard_ns: monotonic_ns() });
                }
                _ => return Err(AgentsError::Unexpected { agent: self.agent }),
            }
        }
        match estimator.best(monotonic_ns()) {
            Some(estimate) => Ok((self, estimate)),
            None => Err(AgentsError::Unexpected { agent: self.agent }),
        }
    }

    fn order(&mut self, order: &Order) -> Result<(), AgentsError> {
        send(&mut self.out, order).map_err(|source| AgentsError::Line { agent: self.agent.clone(), source })
    }

    /// The next answer; one that says no is an error.
    fn answer(&mut self, within: Duration) -> Result<Answer, AgentsError> {
        let agent = || self.agent.clone();
        match self.lines.next(within) {
            Ok(Answer::Refused { reason }) => Err(AgentsError::Refused { agent: agent(), reason }),
            Ok(Answer::Failed { message }) => Err(AgentsError::NotReady { agent: agent(), message }),
            Ok(answer) => Ok(answer),
            Err(source) => Err(AgentsError::Line { agent: agent(), source }),
        }
    }
}

/// Tries every address of a name.
fn connect(agent: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in agent.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Turns an agent's lines into events, until its last one.
struct Listener {
    source: usize,
    lines: Lines<Answer>,
    slices: usize,
    groups: usize,
}

impl Listener {
    fn run(mut self, events: &Sender<(usize, Event)>) {
        loop {
            let event = match self.lines.next(LOST_AFTER) {
                Ok(answer) => self.event(answer),
                Err(error) => Event::End(Err(format!("lost during the run: {error}"))),
            };
            let over = matches!(event, Event::End(_));
            if events.send((self.source, event)).is_err() || over {
                return;
            }
        }
    }

    fn event(&self, answer: Answer) -> Event {
        match answer {
            Answer::Slice { index, packed } if index < self.slices && packed.groups.len() == self.groups => {
                match packed.unpack() {
                    Ok(Merged { slice, groups, watch }) => {
                        Event::Interval(Interval { thread: 0, slice: index, end_ns: slice.end_ns, groups, watch })
                    }
                    Err(error) => Event::End(Err(format!("its figures cannot be read: {error}"))),
                }
            }
            Answer::Alive => Event::Alive,
            Answer::Done { clocks } if clocks.len() == self.groups => Event::End(Ok(clocks)),
            Answer::Failed { message } => Event::End(Err(message)),
            _ => Event::End(Err("it said something unexpected".to_owned())),
        }
    }
}

/// The run, as the coordinator sees it.
struct Conduct {
    collector: Collector,
    members: Vec<Member>,
    /// When the run ends, our clock.
    ends: u64,
    cut_short: Option<String>,
    /// When it is no longer waited for the last words.
    limit: Option<Instant>,
}

impl Conduct {
    fn play(
        &mut self,
        events: &Receiver<(usize, Event)>,
        stop: &AtomicBool,
        watching: &mut dyn Watching,
    ) -> io::Result<()> {
        let mut said = Instant::now();
        while self.members.iter().any(|member| member.end.is_none()) {
            match events.recv_timeout(LOOK) {
                Ok((source, Event::Interval(interval))) => {
                    if let Some(merged) = self.collector.take(source, interval) {
                        watching.slice(merged)?;
                    }
                }
                Ok((source, Event::End(end))) => self.end(source, end),
                Ok((_, Event::Alive)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if stop.load(Ordering::Relaxed) {
                self.cut("stopped by a signal");
            }
            if said.elapsed() >= ALIVE_EVERY {
                said = Instant::now();
                self.say(&Order::Alive);
                self.look_at_the_time();
            }
        }
        Ok(())
    }

    /// An agent has had its last word.
    fn end(&mut self, source: usize, end: Result<Vec<ClockNote>, String>) {
        self.collector.gone(source);
        let Some(member) = self.members.get_mut(source) else { return };
        close(&member.out);
        let failed = end.as_ref().err().map(|reason| format!("agent {} failed: {reason}", member.agent));
        member.end = Some(end);
        if let Some(failed) = failed {
            self.cut(&failed);
        }
    }

    /// Ends the run early, for the first reason that there is.
    fn cut(&mut self, reason: &str) {
        if self.cut_short.is_none() {
            self.cut_short = Some(reason.to_owned());
            self.limit = Some(Instant::now() + STOPPED_WITHIN);
            self.say(&Order::Stop);
        }
    }

    fn say(&mut self, order: &Order) {
        for member in self.members.iter_mut().filter(|member| member.end.is_none()) {
            // One that cannot be told anything is lost, and whoever listens to it finds out.
            let _ = send(&mut member.out, order);
        }
    }

    /// Agents that go on for ever are lost too.
    fn look_at_the_time(&mut self) {
        if self.limit.is_none() && monotonic_ns() > self.ends {
            self.limit = Some(Instant::now() + DONE_WITHIN);
        }
        if self.limit.is_none_or(|limit| Instant::now() < limit) {
            return;
        }
        for source in 0..self.members.len() {
            if self.members.get(source).is_some_and(|member| member.end.is_none()) {
                self.end(source, Err("it did not end".to_owned()));
            }
        }
    }

    fn finish(self, plan: &Plan) -> Result<Collected, AgentsError> {
        let mut clocks: Option<Vec<ClockNote>> = None;
        let mut generators = Vec::new();
        for member in self.members {
            let trouble = match member.end {
                Some(Ok(theirs)) => {
                    clocks = Some(match clocks {
                        Some(mine) => mine.into_iter().zip(theirs).map(|(mine, theirs)| worse(mine, theirs)).collect(),
                        None => theirs,
                    });
                    None
                }
                Some(Err(reason)) => Some(reason),
                None => Some("it had no last word".to_owned()),
            };
            let Member { agent: name, machine, .. } = member;
            generators.push(GeneratorNote { name, machine, threads: plan.threads, trouble });
        }
        let unknown = ClockNote { offset_ns: 0, error_ns: None, samples: 0 };
        let clocks = clocks.unwrap_or_else(|| vec![unknown; plan.groups.len()]);
        Ok(self.collector.finish(clocks, generators, self.cut_short)?)
    }
}

/// One note for a target that several agents have each compared with a clock of their own: that with the greater
/// error, and the samples of both.
fn worse(one: ClockNote, two: ClockNote) -> ClockNote {
    let doubt = |note: &ClockNote| note.error_ns.unwrap_or(u64::MAX);
    let worst = if doubt(&two) > doubt(&one) { two } else { one };
    ClockNote { samples: one.samples + two.samples, ..worst }
}

const _: () = assert!(LEAD_NS < SECOND_NS, "a start is soon");
