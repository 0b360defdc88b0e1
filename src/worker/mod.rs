//! The `worker` thread: long computations over a snapshot of the graph, one at a time, apart from everything that is due.

#![forbid(unsafe_code)]

mod order;
mod turn;

pub use order::{Failure, Product, Snapshot, Ticket, WorkOrder, WorkReport};
pub use turn::{Worker, WorkerLanes};
