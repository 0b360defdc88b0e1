//! One run from several hosts: agents that wait for work, and a coordinator that starts them together and merges what
//! they record.
//!
//! Lines of JSON over TCP, in both directions. The token crosses the network as it is: agents belong in a network that
//! one trusts, or behind a tunnel.

mod agent;
mod coordinator;
mod line;
mod merge;
mod message;
mod session;

use std::io;
use std::time::Duration;

use crossbeam::channel::Receiver;

pub use agent::{Agent, AgentError};
pub use coordinator::{AgentsError, run};
pub use line::LineError;
pub use message::{PROTOCOL, Refusal};

use crate::collect::Interval;
use crate::generate::{Job, Running, Share, raise_open_files, start};
use crate::plan::Plan;
use crate::run::try_targets;

/// Names the environment variable that holds the token of agents and of those who use them.
pub const TOKEN_VARIABLE: &str = "SWARMCAST_LOAD_TOKEN";

/// Either side says something at least this often during a run.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// A side that has said nothing for so long is lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// `given`, or else what [`TOKEN_VARIABLE`] says; `None` when that is unset or empty.
#[must_use]
pub fn token_or_environment(given: Option<String>) -> Option<String> {
    let found = given.or_else(|| std::env::var(TOKEN_VARIABLE).ok());
    found.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty())
}

/// Makes load for an agent. Tests put their own in place of [`Load`].
pub trait Generator: Sync {
    /// Finds out whether the plan can be played from here.
    ///
    /// # Errors
    /// Why not, for a person.
    fn prepare(&self, plan: &Plan, share: Share) -> Result<(), String>;

    /// Starts a job.
    ///
    /// # Errors
    /// When the kernel gives no threads.
    fn start(&self, job: &Job) -> io::Result<Box<dyn Generating>>;
}

/// A job that is being done.
pub trait Generating {
    /// One per thread and slice, in order per thread; ends when all threads are done.
    fn intervals(&self) -> &Receiver<Interval>;

    /// Gives an interval back whose figures have been taken.
    fn recycle(&self, interval: Interval);

    /// Ends the run early.
    fn stop(&self);

    /// Waits for the threads.
    ///
    /// # Errors
    /// The first that a thread failed with.
    fn join(self: Box<Self>) -> io::Result<()>;
}

/// The generator of this package.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load;

impl Generator for Load {
    fn prepare(&self, plan: &Plan, share: Share) -> Result<(), String> {
        let sockets = plan.groups.iter().map(|group| u64::from(group.clients.div_ceil(share.of.max(1)))).sum();
        raise_open_files(sockets)?;
        try_targets(plan).map_err(|error| error.to_string())
    }

    fn start(&self, job: &Job) -> io::Result<Box<dyn Generating>> {
        Ok(Box::new(start(job)?))
    }
}

impl Generating for Running {
    fn intervals(&self) -> &Receiver<Interval> {
        self.intervals()
    }

    fn recycle(&self, interval: Interval) {
        self.recycle(interval);
    }

    fn stop(&self) {
        self.stop();
    }

    fn join(self: Box<Self>) -> io::Result<()> {
        (*self).join()
    }
}

#[cfg(test)]
mod tests;
