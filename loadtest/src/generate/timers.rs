//! What is due when: a heap of tasks, and one `timerfd` that wakes the thread for the first of them.
//!
//! A poll's own timeout rounds up to whole milliseconds; a call that is due in between would be late by as much.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::clock::SECOND_NS;

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// The current slice ends.
    Slice,
    /// The thread looks how late it is.
    Metronome,
    /// The schedule wants a client, or no longer.
    Want(bool),
    /// A client connects anew.
    Reconnect,
    /// A connection had its time to be made.
    ConnectTimeout,
    /// A message is due.
    Send,
    /// A call is due.
    Call,
    /// Calls without an answer are looked through.
    Sweep,
    /// A slow reader may read on.
    Allow,
    /// A staller stops reading, or reads on.
    Deaf(bool),
    /// All clients of a group leave and come back.
    Storm,
}

/// A task and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When, monotonic ns.
    pub at_ns: u64,
    /// What.
    pub task: Task,
    /// Place of the client, for those that have one.
    pub client: usize,
    /// The connection it is about; `None` outlives connections.
    pub attempt: Option<u32>,
}

/// Tasks in order of time.
#[derive(Debug)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Due>>,
    timer: OwnedFd,
    /// What the timer is set to; `u64::MAX` when it has rung.
    armed_ns: u64,
}

impl Timers {
    /// Empty; rings as `token`.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub fn new(registry: &Registry, token: Token) -> std::io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { heap: BinaryHeap::new(), timer, armed_ns: u64::MAX })
    }

    /// Plans a task.
    pub fn push(&mut self, due: Due) {
        self.heap.push(Reverse(due));
    }

    /// The next task that is due by `now_ns`.
    pub fn pop(&mut self, now_ns: u64) -> Option<Due> {
        self.heap.peek().filter(|Reverse(due)| due.at_ns <= now_ns)?;
        self.heap.pop().map(|Reverse(due)| due)
    }

    /// Sets the timer for the first task, when it is not set to that already.
    ///
    /// # Errors
    /// When the kernel refuses; it does not for a valid time.
    pub fn arm(&mut self) -> std::io::Result<()> {
        let Some(Reverse(first)) = self.heap.peek() else { return Ok(()) };
        if first.at_ns >= self.armed_ns {
            return Ok(());
        }
        self.armed_ns = first.at_ns;
        let at = Timespec {
            tv_sec: (first.at_ns / SECOND_NS).cast_signed(),
            // A time of 0 would turn the timer off.
            tv_nsec: (first.at_ns % SECOND_NS).max(1).cast_signed(),
        };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval: never, it_value: at })?;
        Ok(())
    }

    /// The timer rang: unread it would not ring again.
    pub fn rung(&mut self) {
        self.armed_ns = u64::MAX;
        let _ = rustix::io::read(&self.timer, &mut [0; 8]);
    }
}
