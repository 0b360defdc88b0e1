//! Question: what do other WebSocket servers take to broadcast the same bytes to the same clients, and where does
//! Swarmcast stand among them?
//!
//! Budget: none here; the goal is that nobody's processor time per delivered frame is below ours.
//!
//! Method: for each size and number of clients, rounds in which the floor, Swarmcast and every peer have one turn, in a
//! fresh process with the same rate, and the thread that sends on the same core; each round begins with the next
//! server. Every frame is checked by every client before it counts. Ratios are medians of the rounds' ratios to the
//! floor of the same round, percentiles are those of all rounds' samples together.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use swarmcast_bench::limits::raise_open_files;
use swarmcast_bench::machine::{self, Machine};
use swarmcast_bench::report::hardware;
use swarmcast_bench::sender::whole_frame_bytes;
use swarmcast_peers::contest::{Budget, Row, compete, rate_within};
use swarmcast_peers::field::{Asked, FLOOR, Paths, Player, SWARMCAST, field};
use swarmcast_peers::report::{servers, standings, tables, write};

/// Frames that a window should see of each client, at least.
const FRAMES_MIN: f64 = 8.0;

/// Payloads of the table of budgets.
const TABLE_SIZES: [usize; 3] = [64, 2_048, 32_768];

/// Whom the table of budgets has beside the floor.
const TABLE_PEERS: [&str; 6] = [SWARMCAST, "tokio-tungstenite", "axum", "fastwebsockets", "node-ws", "uwebsockets"];

/// Open files besides the clients' sockets.
const FILES_BESIDE: u64 = 64;

/// Swarmcast, the bare floor, and the WebSocket servers of others with the same bytes and clients.
#[derive(Parser)]
struct Options {
    /// Payloads, each made a header and whole records.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 2_048, 32_768, 348_160])]
    sizes: Vec<usize>,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 5_000])]
    clients: Vec<usize>,
    /// Turns of each server.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a window; longer where the rate is so low that it would see fewer than 8 frames.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Left out before it, once every client has had a frame.
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    /// Messages a second, at most.
    #[arg(long, default_value_t = 60)]
    rate: u32,
    /// Payload a second to all clients together; the rate is lowered to it.
    #[arg(long, default_value_t = 400.0)]
    budget_mb: f64,
    /// Messages a second to all clients together, likewise.
    #[arg(long, default_value_t = 60_000.0)]
    budget_frames: f64,
    /// These servers; the floor is always there.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Core of the threads that send; by default the one that the engine gives its first shard.
    #[arg(long)]
    core: Option<usize>,
    /// The engine.
    #[arg(long, default_value = "target/release/swarmcast")]
    server: PathBuf,
    /// The bare sender; by default the one beside this program.
    #[arg(long)]
    floor: Option<PathBuf>,
    /// The folder with the peers that are not Rust.
    #[arg(long, default_value = "bench/peers")]
    scripts: PathBuf,
    /// Where the report goes, without extension.
    #[arg(long, default_value = "bench/results/peers")]
    out: PathBuf,
    /// The table of budgets in about ten minutes: 64 B, 2 KB and 32 KB to 100, 1,000 and 5,000 clients, two rounds of 2 s, and
    /// the peers that budgets name. `--sizes`, `--clients` and `--only` then choose among its rows.
    #[arg(long)]
    table: bool,
    /// One short round with a few clients: a test, not a measurement.
    #[arg(long)]
    small: bool,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.table {
        (options.rounds, options.seconds, options.warm) = (2, 2.0, 0.5);
        options.sizes.retain(|bytes| TABLE_SIZES.contains(bytes));
        if options.only.is_empty() {
            options.only = TABLE_PEERS.map(str::to_owned).to_vec();
        }
    }
    if options.small {
        (options.sizes, options.clients) = (vec![2_048], vec![5]);
        (options.rounds, options.seconds, options.warm) = (1, 0.4, 0.1);
    }
    ensure!(options.rounds > 0 && options.seconds > 0.0 && options.warm >= 0.0, "rounds and seconds above 0");
    ensure!((1..=120).contains(&options.rate), "a rate of 1 to 120, which is what the engine takes");
    ensure!(options.clients.iter().all(|clients| *clients > 0), "clients above 0");
    let most = options.clients.iter().max().map_or(0, |most| *most as u64) + FILES_BESIDE;
    let files = raise_open_files();
    ensure!(files >= most, "{most} open files are needed and {files} allowed: `ulimit -Hn {most}` as root");

    let folder = scratch_folder();
    let result = run(&options, folder.clone());
    // It is small and lies in a place for such things.
    let _ = std::fs::remove_dir_all(folder);
    result
}

fn scratch_folder() -> PathBuf {
    std::env::temp_dir().join(format!("swarmcast-peers-{}", std::process::id()))
}

fn run(options: &Options, graphs: PathBuf) -> Result<()> {
    let own = std::env::current_exe()?;
    let paths = Paths {
        engine: options.server.clone(),
        floor: options.floor.clone().unwrap_or_else(|| own.with_file_name("floor")),
        peer: own.with_file_name("peer"),
        scripts: options.scripts.clone(),
        graphs,
    };
    let players = chosen(&options.only, field(&paths))?;
    let machine = Machine::here();
    let core = match options.core {
        Some(core) => Some(core),
        None => shard_core(&paths, &players)?,
    };
    let budget = Budget { bytes_per_s: options.budget_mb * 1e6, frames_per_s: options.budget_frames };
    let mut rows = Vec::new();
    for bytes in options.sizes.iter().copied() {
        for clients in options.clients.iter().copied() {
            let frame_bytes = whole_frame_bytes(bytes);
            let rate = rate_within(frame_bytes, clients, options.rate, budget);
            let rate_hz = rate.as_ref().map_or(0, |rate| *rate);
            let least = FRAMES_MIN / f64::from(rate_hz.max(1));
            let seconds = options.seconds.max(if options.small { 0.0 } else { least });
            let left_out = rate.err();
            let mut row = Row { bytes, frame_bytes, clients, rate_hz, seconds, left_out, cells: Vec::new() };
            if row.left_out.is_none() {
                let warm = Duration::from_secs_f64(options.warm);
                compete(&mut row, &players, &paths, core, options.rounds, warm);
            }
            rows.push(row);
            // After every row: a run that is stopped keeps what it has.
            write(&options.out, &machine, &notes(options, core), &players, &rows)?;
        }
    }
    let notes = notes(options, core);
    println!("{}{notes}{}\n{}{}", hardware(&machine), servers(&players), standings(&rows), tables(&rows));
    let failed: usize = rows.iter().flat_map(|row| &row.cells).map(|cell| cell.failed.len()).sum();
    ensure!(failed == 0, "{failed} turns failed; the tables say which");
    Ok(())
}

/// The floor and those that were asked for; everyone when nobody was.
fn chosen(only: &[String], mut players: Vec<Player>) -> Result<Vec<Player>> {
    if let Some(name) = only.iter().find(|name| !players.iter().any(|player| player.name == name.as_str())) {
        let names: Vec<&str> = players.iter().map(|player| player.name).collect();
        bail!("--only {name}: there are {}", names.join(", "));
    }
    if !only.is_empty() {
        players.retain(|player| player.name == FLOOR || only.iter().any(|name| name == player.name));
    }
    Ok(players)
}

/// Where the engine puts its first shard on this machine.
fn shard_core(paths: &Paths, players: &[Player]) -> Result<Option<usize>> {
    let engine = players.iter().find(|player| player.name == SWARMCAST && player.absent.is_none());
    let Some(engine) = engine else { return Ok(None) };
    let asked = Asked { frame_bytes: whole_frame_bytes(0), clients: 1, rate_hz: 1, core: None };
    Ok(engine.start(paths, asked).context("starting the engine")?.shard_core)
}

fn notes(options: &Options, core: Option<usize>) -> String {
    format!(
        "- {} rounds, {} s of warm-up; sending threads on {}; load average after: {}\n\
         - the clients are one thread on the same cores as the server: where the cores are used up, both slow each \
         other down\n",
        options.rounds,
        options.warm,
        core.map_or_else(|| "any core".to_owned(), |core| format!("core {core}")),
        machine::load(),
    )
}
