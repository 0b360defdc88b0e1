//! The monotonic clock, and the time a thread has had on a core.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Nanoseconds in a millisecond.
pub const MILLISECOND_NS: u64 = 1_000_000;

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    // Both clocks start at 0 and only grow.
    now.tv_sec.unsigned_abs() * SECOND_NS + now.tv_nsec.unsigned_abs()
}

/// `CLOCK_MONOTONIC`, ns: the clock of the schedule, of the histograms and of a server on the same host.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// What the calling thread has used of a core since it began, ns.
#[must_use]
pub fn thread_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// `CLOCK_REALTIME`, ns since 1970: for servers that stamp their messages with wall-clock time.
#[must_use]
pub fn realtime_ns() -> u64 {
    read(ClockId::Realtime)
}
