//! Threads that help the `sim` thread to sum forces, each pinned to a core of its own.
//!
//! A share of the work travels to its worker with a lease of the scene, and back with the results: nothing is shared that
//! anybody writes, so this needs neither locks nor unsafe code. The `sim` thread works on a share as well.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::scene::{Scene, Share};
use crate::base::cores;

/// A share on its way to a worker.
type Job = (Arc<Scene>, Box<Share>);

#[derive(Debug)]
struct Worker {
    jobs: Sender<Job>,
    done: Receiver<Box<Share>>,
    thread: Option<JoinHandle<()>>,
}

/// The workers, none on a machine without cores to spare.
#[derive(Debug, Default)]
pub(super) struct Crew {
    workers: Vec<Worker>,
}

impl Crew {
    /// One worker for each of `cores`, pinned to it if it has a number. Where the system gives no more threads there are fewer.
    pub(super) fn new(cores: &[Option<usize>]) -> Self {
        Self { workers: cores.iter().enumerate().filter_map(|(index, core)| Worker::start(index, *core)).collect() }
    }

    /// Shares that are worked on at once, the caller's included.
    pub(super) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Has every share worked on: the first by the caller, the others by the workers. False when a worker has died with its
    /// share: the crew is then without workers, and all has to be shared out again. No allocation.
    #[must_use]
    #[allow(clippy::vec_box, reason = "the boxes themselves travel to the workers and back")]
    pub(super) fn run(&mut self, scene: &Arc<Scene>, shares: &mut Vec<Box<Share>>) -> bool {
        let (mut sent, count) = (0, shares.len());
        for worker in &self.workers {
            let Some(share) = (shares.len() > 1).then(|| shares.pop()).flatten() else { break };
            // A worker that is gone gives the share back with the error.
            if let Err(refused) = worker.jobs.send((Arc::clone(scene), share)) {
                shares.push(refused.into_inner().1);
                break;
            }
            sent += 1;
        }
        shares.iter_mut().for_each(|share| share.work(scene));
        // The last one sent was taken from the front: this restores the order.
        for worker in self.workers.iter().take(sent).rev() {
            if let Ok(share) = worker.done.recv() {
                shares.push(share);
            }
        }
        let complete = shares.len() == count;
        if !complete {
            self.workers.clear();
        }
        complete
    }
}

impl Worker {
    fn start(index: usize, core: Option<usize>) -> Option<Self> {
        let (jobs, to_do) = bounded::<Job>(1);
        let (finished, done) = bounded::<Box<Share>>(1);
        let work = move || {
            // Where the kernel refuses, it runs where it may.
            let _ = core.map(cores::pin_current);
            while let Ok((scene, mut share)) = to_do.recv() {
                share.work(&scene);
                // Before the share goes back: the owner writes the scene as soon as it has all shares.
                drop(scene);
                if finished.send(share).is_err() {
                    break;
                }
            }
        };
        let thread = Builder::new().name(format!("sim-worker-{index}")).spawn(work).ok()?;
        Some(Self { jobs, done, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The worker ends when nobody can send it anything.
        self.jobs = bounded(1).0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
