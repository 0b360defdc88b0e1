//! The `worker` thread: long computations over a snapshot of the graph, one at a time, apart from everything that is due. And the threads that
//! look: they answer agents whose question takes longer than a moment.

#![forbid(unsafe_code)]

mod files;
mod look;
mod order;
mod turn;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::sync::Parker;

use crate::handoff::{Consumer, Doorbell, Producer};

pub use files::{
    AgentProduct, AgentWork, FileOrder, FileReport, Files, Meeting, Remarks, Written, places, read_file, write_file,
    write_part,
};
pub use look::{LookOrder, LookReport, Looker};
pub use order::{Failure, Product, Snapshot, Ticket, WorkOrder, WorkReport};
pub use turn::{Worker, WorkerLanes};

/// Longest sleep.
const NAP: Duration = Duration::from_millis(500);

/// Does orders one by one until `stop` is set, and sleeps while there is none. A report that finds its lane full is waited with.
fn serve<Order, Report>(
    mut orders: Consumer<Order>,
    mut reports: Producer<Report>,
    bell: &Doorbell,
    parker: &Parker,
    stop: &AtomicBool,
    mut work: impl FnMut(Order) -> Option<Report>,
) {
    let mut unsent = None;
    while !stop.load(Ordering::Relaxed) {
        if let Some(report) = unsent.take() {
            if let Err(report) = reports.push(report) {
                unsent = Some(report);
                parker.park_timeout(Duration::from_millis(1));
            }
            continue;
        }
        if let Some(order) = orders.pop() {
            unsent = work(order);
            continue;
        }
        bell.arm();
        if orders.is_empty() && !stop.load(Ordering::Relaxed) {
            parker.park_timeout(NAP);
        }
        bell.disarm();
    }
}
