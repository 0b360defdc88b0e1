//! The servers, each written as its project shows a broadcast, with the settings that a good user of it would choose.
//!
//! Each sends from one thread, as the engine does where it has one shard, and as a runtime with one core does.

pub mod axum;
pub mod fastwebsockets;
pub mod tokio_tungstenite;
pub mod tungstenite_mio;

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use swarmcast::base::clock::monotonic_ns;
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;

use crate::frame::Frames;

/// What to send, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Payload of a message, made a header and whole records.
    pub bytes: usize,
    /// Messages a second.
    pub rate_hz: f64,
    /// Port of 127.0.0.1; 0 is a free one.
    pub port: u16,
}

/// Bytes that tungstenite asks its socket for at once. It sets this buffer to zero before every read, its default is
/// 128 KiB, and viewers send next to nothing.
pub const READ_BUFFER_BYTES: usize = 4 << 10;

/// Frames that a connection may be behind before it loses the oldest: enough for a hiccup, and a slow viewer still
/// sees something new.
const BEHIND_MAX: usize = 4;

/// Says where, as the benches expect it.
///
/// # Errors
/// When standard output is gone.
pub fn ready(address: SocketAddr) -> Result<()> {
    println!("  stream  ws://{address}/stream");
    Ok(std::io::stdout().flush()?)
}

/// Runs a server of the tokio family on this thread: `current_thread` spends less per frame than the runtime with
/// many threads, which wakes another core for every connection.
fn run<Serving: Future<Output = Result<()>>>(serving: Serving) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serving)
}

/// Starts the ticking; returns what connections subscribe to. One `Bytes` is shared by all of them.
fn start_ticking(load: Load) -> broadcast::Sender<Bytes> {
    let (sender, _) = broadcast::channel(BEHIND_MAX);
    let ticking = sender.clone();
    tokio::spawn(async move {
        let mut frames = Frames::new(load.bytes);
        let mut interval = tokio::time::interval(Duration::from_secs_f64(load.rate_hz.recip()));
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // Both clocks are CLOCK_MONOTONIC, but `Instant` does not tell its number.
        let (start, start_ns) = (Instant::now(), monotonic_ns());
        loop {
            let due = interval.tick().await.into_std();
            if ticking.receiver_count() > 0 {
                let due_ns = start_ns + due.saturating_duration_since(start).as_nanos() as u64;
                // An error says that the last subscriber has just left.
                let _ = ticking.send(frames.next(due_ns).into());
            }
        }
    });
    sender
}

/// The next frame for a connection, whatever it has missed; none when the ticking has ended.
async fn next_frame(frames: &mut broadcast::Receiver<Bytes>) -> Option<Bytes> {
    loop {
        match frames.recv().await {
            Ok(frame) => return Some(frame),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}
