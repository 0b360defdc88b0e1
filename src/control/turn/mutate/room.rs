//! Whether memory has room for a graph that grows.

use std::fmt;
use std::sync::Arc;

use super::Mutations;
use crate::graph::{Batch, Graph, OpError, OpProblem, Staged};

/// Nodes and edges.
type Size = (usize, usize);

/// Growth that is not asked for again: a sixteenth, and so many.
const STEP: usize = 4_096;

/// What a graph takes, and what there is.
#[derive(Clone)]
pub struct Room {
    /// Bytes that a graph of so many nodes and edges takes beside the one of before, which stays until the new one is taken; labels and
    /// attributes are not in it.
    pub needed: Arc<dyn Fn(usize, usize) -> u64 + Send + Sync>,
    /// Bytes that the machine has; `None` where it does not say, and everything is let in.
    pub available: fn() -> Option<u64>,
}

impl fmt::Debug for Room {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Room").finish_non_exhaustive()
    }
}

/// Lets batches in, and asks the machine only when the graph has grown by a share.
#[derive(Debug)]
pub(super) struct Admission {
    room: Room,
    /// Known to fit.
    fits: Size,
}

impl Admission {
    pub(super) fn new(room: Room, (nodes, edges): Size) -> Self {
        Self { room, fits: (stepped(nodes), stepped(edges)) }
    }

    /// Whether a graph of this size fits.
    ///
    /// # Errors
    /// Both figures.
    pub(super) fn admit(&mut self, (nodes, edges): Size) -> Result<(), OpProblem> {
        if nodes <= self.fits.0 && edges <= self.fits.1 {
            return Ok(());
        }
        let (needed, available) = ((self.room.needed)(nodes, edges), (self.room.available)());
        if let Some(available) = available.filter(|available| needed > *available) {
            return Err(OpProblem::Memory { needed, available });
        }
        self.fits = (self.fits.0.max(stepped(nodes)), self.fits.1.max(stepped(edges)));
        Ok(())
    }
}

impl Mutations {
    /// Works a batch out after those that wait.
    ///
    /// # Errors
    /// The operation that cannot be done, or the last one when there is no room for them all.
    pub(super) fn stage(&mut self, graph: &Graph, batch: &Batch) -> Result<Staged, OpError> {
        let before = self.pending.len();
        let staged = self.pending.stage(graph, batch, self.limits)?;
        let size = self.pending.size().unwrap_or_default();
        self.admission.admit(size).map_err(|reason| {
            self.pending.keep(before);
            OpError { op: batch.ops.len().saturating_sub(1), reason }
        })?;
        Ok(staged)
    }
}

/// A little more than `count`.
fn stepped(count: usize) -> usize {
    count.saturating_add(count / 16).saturating_add(STEP)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_fits_is_let_in_and_the_machine_asked_once_in_a_while() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        fn available() -> Option<u64> {
            ASKED.fetch_add(1, Ordering::Relaxed);
            Some(10_000_000)
        }
        let needed = |nodes: usize, edges: usize| (100 * nodes + 10 * edges) as u64;
        let mut admission = Admission::new(Room { needed: Arc::new(needed), available }, (1_000, 0));
        for nodes in 0..20_000 {
            assert_eq!(admission.admit((nodes, nodes)), Ok(()));
        }
        let asked = ASKED.load(Ordering::Relaxed);
        assert!((1..8).contains(&asked), "{asked}");
        let full = OpProblem::Memory { needed: 20_000_000, available: 10_000_000 };
        assert_eq!(admission.admit((200_000, 0)), Err(full.clone()));
        assert_eq!(full.code(), "memory_full");
        assert!(full.to_string().contains("19.1 MiB") && full.to_string().contains("9.5 MiB"), "{full}");
        assert_eq!(admission.admit((20_000, 0)), Ok(()), "and the next one that fits is let in");
        let unknown = Room { needed: Arc::new(needed), available: || None };
        assert_eq!(Admission::new(unknown, (0, 0)).admit((usize::MAX / 200, 0)), Ok(()));
    }
}
