//! The `worker` thread: long computations over a snapshot of the graph, one at a time, apart from everything that is due. And `look`,
//! which answers agents whose question takes longer than a moment.

#![forbid(unsafe_code)]

mod files;
mod look;
mod order;
mod turn;

pub use files::{FileOrder, FileReport, Files, Meeting, Remarks};
pub use look::{LookOrder, LookReport, Looker};
pub use order::{Failure, Product, Snapshot, Ticket, WorkOrder, WorkReport};
pub use turn::{Worker, WorkerLanes};
