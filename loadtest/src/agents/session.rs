//! One coordinator at an agent: hello, plan, clock, run.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, select};

use super::agent::Office;
use super::line::{LineError, Lines, close, send};
use super::merge::Merging;
use super::message::{Answer, Order, PROTOCOL, RELEASE, Refusal};
use super::{ALIVE_EVERY, Generating, LOST_AFTER};
use crate::clock::{SECOND_NS, monotonic_ns};
use crate::collect::{Interval, Merged};
use crate::generate::{Job, Offsets, Share};
use crate::machine;
use crate::offset::Clocks;
use crate::plan::{Plan, Slice};

/// For the first line.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// For the plan, and then for the start: the others have to be ready too.
const ORDER_WITHIN: Duration = Duration::from_secs(120);

/// Whoever guesses tokens waits for each.
const WRONG_TOKEN_TAKES: Duration = Duration::from_millis(300);

/// A start is at most so far ahead.
const START_AHEAD_MAX_NS: u64 = 60 * SECOND_NS;

/// How long a run may take; longer ones are a mistake, and their slices would not fit into memory.
const DURATION_MAX_NS: u64 = 31 * 24 * 3_600 * SECOND_NS;

/// Threads of one run.
const THREADS_MAX: usize = 1_024;

/// How a session ends that does not go well.
enum Trouble {
    /// Nobody is there to be told.
    Lost,
    /// The coordinator is told, and is to blame or has to know.
    Failed(String),
}

impl From<LineError> for Trouble {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Garbage(_) | LineError::TooLong { .. } => Self::Failed(format!("the agent got {error}")),
            LineError::Io(_) | LineError::Closed | LineError::Silent(_) => Self::Lost,
        }
    }
}

/// A connection of a coordinator.
pub(super) struct Session<'agent> {
    office: &'agent Office<'agent>,
    lines: Lines<Order>,
    out: TcpStream,
}

/// The run belongs to one session until this is dropped.
struct Claim<'agent>(&'agent Office<'agent>);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // Pairs with the exchange in `claim`.
        self.0.taken.store(false, Ordering::Release);
    }
}

impl<'agent> Session<'agent> {
    pub(super) fn new(stream: TcpStream, office: &'agent Office<'agent>) -> io::Result<Self> {
        let lines = Lines::new(stream)?;
        Ok(Self { office, out: lines.writer()?, lines })
    }

    /// From the first line to the last.
    pub(super) fn run(mut self) {
        let refused = |reason| Answer::Refused { reason };
        let _claim = match self.greet() {
            Ok(claim) => claim,
            Err(Some(reason)) => return drop(send(&mut self.out, &refused(reason))),
            Err(None) => return,
        };
        if let Err(Trouble::Failed(message)) = self.work() {
            // A coordinator that is gone has nothing to hear.
            let _ = send(&mut self.out, &Answer::Failed { message });
        }
    }

    /// Whether this coordinator may have the run.
    fn greet(&mut self) -> Result<Claim<'agent>, Option<Refusal>> {
        let (protocol, version, token) = match self.lines.next(HELLO_WITHIN) {
            Ok(Order::Hello { protocol, version, token }) => (protocol, version, token),
            Ok(_) | Err(LineError::Garbage(_) | LineError::TooLong { .. }) => return Err(Some(Refusal::Garbage)),
            Err(_) => return Err(None),
        };
        if !self.office.token.is_none_or(|right| same(right, token.as_deref().unwrap_or(""))) {
            thread::sleep(WRONG_TOKEN_TAKES);
            return Err(Some(Refusal::Token));
        }
        if protocol != PROTOCOL || version != RELEASE {
            return Err(Some(Refusal::Version { protocol: PROTOCOL, version: RELEASE.to_owned() }));
        }
        // Acquire pairs with the Release of the session that had the run before.
        let taken = &self.office.taken;
        if taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Err(Some(Refusal::Busy));
        }
        let claim = Claim(self.office);
        self.lines.trust();
        let hello = Answer::Hello { protocol: PROTOCOL, version: RELEASE.to_owned(), machine: machine::describe() };
        send(&mut self.out, &hello).map_err(|_| None)?;
        Ok(claim)
    }

    fn work(&mut self) -> Result<(), Trouble> {
        let (plan, share) = match self.lines.next(ORDER_WITHIN)? {
            Order::Prepare { plan, index, of } => (Arc::new(*plan), Share { index, of }),
            _ => return Err(Trouble::Failed("a plan was expected".to_owned())),
        };
        sane(&plan, share).map_err(|wrong| Trouble::Failed(wrong.to_owned()))?;
        self.office.generator.prepare(&plan, share).map_err(Trouble::Failed)?;
        let offsets = Arc::new(Offsets::none(plan.groups.len()));
        let clocks = Clocks::start(&plan, &offsets).map_err(|error| Trouble::Failed(error.to_string()))?;
        send(&mut self.out, &Answer::Ready)?;
        let start_ns = self.await_start()?;
        let job = Job { plan: Arc::clone(&plan), share, start_ns, offsets };
        let running = self.office.generator.start(&job).map_err(|error| Trouble::Failed(error.to_string()))?;
        self.play(&plan, running, clocks)
    }

    /// Tells the time until the start is named.
    fn await_start(&mut self) -> Result<u64, Trouble> {
        loop {
            match self.lines.next(ORDER_WITHIN)? {
                Order::Clock { number } => send(&mut self.out, &Answer::Clock { number, agent_ns: monotonic_ns() })?,
                Order::Alive => {}
                Order::Start { start_ns } => {
                    let now_ns = monotonic_ns();
                    return match start_ns.checked_sub(now_ns) {
                        Some(ahead) if ahead <= START_AHEAD_MAX_NS => Ok(start_ns),
                        Some(ahead) => Err(Trouble::Failed(format!("the start is {} s ahead", ahead / SECOND_NS))),
                        None => Err(Trouble::Failed(format!(
                            "the start had been {:.3} s ago",
                            (now_ns - start_ns) as f64 / 1e9
                        ))),
                    };
                }
                Order::Stop => return Err(Trouble::Failed("stopped before the start".to_owned())),
                _ => return Err(Trouble::Failed("the start was expected".to_owned())),
            }
        }
    }

    /// Passes on what the threads record, until they are done and all is told.
    fn play(&mut self, plan: &Plan, running: Box<dyn Generating>, clocks: Clocks) -> Result<(), Trouble> {
        let slices = plan.slices();
        let (orders_in, orders) = bounded(4);
        let out = self.lines.writer().map_err(LineError::from)?;
        let mut player = Player { out, merging: Merging::new(plan.threads), slices, told: Instant::now() };
        thread::scope(|scope| {
            let lines = &mut self.lines;
            let listen = Builder::new().name("orders".to_owned());
            let listening = listen.spawn_scoped(scope, move || listen_for_orders(lines, &orders_in));
            let played = match listening {
                Ok(_) => player.play(&*running, &orders),
                Err(error) => Err(Trouble::Failed(error.to_string())),
            };
            let ended = end(running);
            let told = match played.and(ended).and_then(|()| player.tell(true)) {
                Ok(()) => player.say(&Answer::Done { clocks: clocks.finish() }),
                Err(Trouble::Failed(message)) => player.say(&Answer::Failed { message }),
                Err(lost) => Err(lost),
            };
            if told.is_ok() {
                player.await_close(&orders);
            }
            // The thread that listens ends by it.
            close(&player.out);
            Ok(())
        })
    }
}

/// Stops a job and waits for its threads; what they still record is not wanted.
fn end(running: Box<dyn Generating>) -> Result<(), Trouble> {
    running.stop();
    while running.intervals().recv().is_ok() {}
    running.join().map_err(|error| Trouble::Failed(error.to_string()))
}

/// Hands on orders until the connection ends.
fn listen_for_orders(lines: &mut Lines<Order>, orders: &Sender<Result<Order, LineError>>) {
    loop {
        let order = lines.next(LOST_AFTER);
        let over = order.is_err();
        if orders.send(order).is_err() || over {
            return;
        }
    }
}

/// The thread of a session while its run is on.
struct Player {
    out: TcpStream,
    merging: Merging,
    slices: Vec<Slice>,
    /// When the coordinator was last told anything.
    told: Instant,
}

impl Player {
    /// Until the threads are done. Returns at once when the coordinator is lost.
    fn play(&mut self, running: &dyn Generating, orders: &Receiver<Result<Order, LineError>>) -> Result<(), Trouble> {
        loop {
            select! {
                recv(running.intervals()) -> interval => {
                    let Ok(interval) = interval else { return Ok(()) };
                    self.take(running, interval)?;
                }
                recv(orders) -> order => match order {
                    Ok(Ok(Order::Alive)) => {}
                    Ok(Ok(Order::Stop)) => running.stop(),
                    Ok(Ok(_)) => return Err(Trouble::Failed("an order that a run does not take".to_owned())),
                    Ok(Err(error)) => return Err(error.into()),
                    Err(_) => return Err(Trouble::Lost),
                },
                default(ALIVE_EVERY / 4) => {}
            }
            if self.told.elapsed() >= ALIVE_EVERY {
                self.say(&Answer::Alive)?;
            }
        }
    }

    fn take(&mut self, running: &dyn Generating, interval: Interval) -> Result<(), Trouble> {
        if let Some(spare) = self.merging.add(interval) {
            running.recycle(spare);
        }
        self.tell(false)
    }

    /// Tells of slices that are whole; of all there are when the run is over.
    fn tell(&mut self, over: bool) -> Result<(), Trouble> {
        while let Some(interval) = self.merging.next(over) {
            let index = interval.slice;
            let Some(mut slice) = self.slices.get(index).copied() else { continue };
            slice.end_ns = slice.end_ns.min(interval.end_ns);
            let merged = Merged { slice, groups: interval.groups, watch: interval.watch };
            let packed = merged.pack().map_err(|error| Trouble::Failed(error.to_string()))?;
            self.say(&Answer::Slice { index, packed })?;
        }
        Ok(())
    }

    /// The coordinator closes when it has the last line. To close before it could cost it that line: a connection
    /// that is closed with orders unread is reset.
    fn await_close(&self, orders: &Receiver<Result<Order, LineError>>) {
        let begun = Instant::now();
        while let Some(left) = LOST_AFTER.checked_sub(begun.elapsed())
            && let Ok(Ok(_)) = orders.recv_timeout(left)
        {}
    }

    fn say(&mut self, answer: &Answer) -> Result<(), Trouble> {
        self.told = Instant::now();
        Ok(send(&mut self.out, answer)?)
    }
}

/// A plan comes from another process: what would break this one is not taken.
fn sane(plan: &Plan, share: Share) -> Result<(), &'static str> {
    let duration = plan.stages.iter().try_fold(0_u64, |sum, stage| sum.checked_add(stage.duration_ns));
    if share.of == 0 || share.index >= share.of {
        return Err("the share is none");
    }
    if plan.groups.is_empty() || !duration.is_some_and(|duration| (1..=DURATION_MAX_NS).contains(&duration)) {
        return Err("the plan has no groups, or no time, or over a month");
    }
    if !(1..=THREADS_MAX).contains(&plan.threads) {
        return Err("the plan has no threads, or too many");
    }
    Ok(())
}

/// Whether two tokens are the same, in a time that says nothing about where they differ.
fn same(right: &str, given: &str) -> bool {
    let differences = right.bytes().zip(given.bytes()).fold(0, |sum, (right, given)| sum | (right ^ given));
    std::hint::black_box(differences) == 0 && right.len() == given.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::plan;

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same("secret", "secret"));
        for wrong in ["", "s", "secre", "secret ", "Secret", "secreT"] {
            assert!(!same("secret", wrong), "{wrong}");
        }
    }

    #[test]
    fn plans_that_would_break_an_agent_are_not_taken() {
        let share = Share { index: 0, of: 1 };
        assert_eq!(sane(&plan(1, 1, 1), share), Ok(()));
        assert!(sane(&plan(1, 1, 1), Share { index: 2, of: 2 }).is_err());
        assert!(sane(&plan(0, 1, 1), share).is_err());
        assert!(sane(&Plan { threads: 0, ..plan(1, 1, 1) }, share).is_err());
        let mut endless = plan(1, 1, 1);
        endless.stages[0].duration_ns = u64::MAX;
        assert!(sane(&endless, share).is_err());
    }
}
