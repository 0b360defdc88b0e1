//! One server of somebody else: prints where it streams, then broadcasts until it is killed.

#![forbid(unsafe_code)]

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use swarmcast::base::cores;
use swarmcast_bench::limits::raise_open_files;
use swarmcast_peers::servers::{Load, axum, fastwebsockets, tokio_tungstenite, tungstenite_mio};

/// Broadcasts one message to all WebSocket clients at a rate.
#[derive(Parser)]
struct Options {
    /// Which library.
    #[arg(value_enum)]
    library: Library,
    /// Payload of a message, rounded down to a header and whole records.
    #[arg(long)]
    bytes: usize,
    /// Messages a second.
    #[arg(long)]
    rate: f64,
    /// Port of 127.0.0.1; 0 is a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Pin the one thread to this core.
    #[arg(long)]
    core: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Library {
    TungsteniteMio,
    TokioTungstenite,
    Axum,
    Fastwebsockets,
}

fn main() -> Result<()> {
    let Options { library, bytes, rate, port, core } = Options::parse();
    ensure!(rate > 0.0 && rate <= 1_000.0, "a rate above 0, up to 1,000");
    raise_open_files();
    if let Some(core) = core {
        ensure!(cores::pin_current(core), "core {core} cannot be used");
    }
    let load = Load { bytes, rate_hz: rate, port };
    match library {
        Library::TungsteniteMio => tungstenite_mio::serve(load),
        Library::TokioTungstenite => tokio_tungstenite::serve(load),
        Library::Axum => axum::serve(load),
        Library::Fastwebsockets => fastwebsockets::serve(load),
    }
}
