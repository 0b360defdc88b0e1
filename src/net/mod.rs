//! The mio loops: `door` accepts, speaks HTTP and upgrades; each `shard` streams; `mcp` has the agents' lines; `sources` calls others. Nothing here sees the graph.

#![forbid(unsafe_code)]

mod caller;
mod conn;
mod credit;
mod door;
mod drags;
mod echo;
mod hold;
mod http;
mod inbound;
mod ladder;
mod lateness;
mod link;
mod liveness;
mod mcp_door;
mod outbound;
#[doc(hidden)]
pub mod outside;
mod pages;
mod pending;
mod platform;
mod rate_limit;
mod routes;
mod shard;
mod shard_loop;
mod socket;
mod spares;
mod upkeep;
mod watch_agents;
mod ws_in;

use std::sync::Arc;

use mio::{Poll, Waker};

use crate::handoff::Doorbell;

pub use caller::Caller;
pub use door::{Door, DoorLanes, DoorOptions};
#[cfg(feature = "echo")]
pub use echo::begin as begin_echo;
pub use liveness::Patience;
pub use mcp_door::{McpDoor, McpLanes, McpListeners};
pub use pages::FixedPages;
pub use platform::{Platform, Ready};
pub use routes::REST_PATHS;
pub use shard::{Shard, ShardLanes, ShardOptions};
pub use shard_loop::ShardLoop;
pub use socket::SocketOptions;

/// A poll and the bell that wakes it, for one loop.
///
/// # Errors
/// When the kernel gives no epoll or eventfd.
pub fn poll_with_bell() -> std::io::Result<(Poll, Arc<Doorbell>)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), shard_loop::WAKE)?;
    // Writing to an eventfd fails only when its count would overflow, and then the loop is awake anyway.
    let bell = Doorbell::new(Box::new(move || drop(waker.wake())));
    Ok((poll, Arc::new(bell)))
}
