//! Rounds in which every server has one turn with the same bytes, clients, rate and core.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;
use swarmcast::wire::Profile;
use swarmcast_bench::client::Ask;
use swarmcast_bench::process::rss_mib;
use swarmcast_bench::round::{Round, Span, measure};
use swarmcast_bench::server::Server;

use crate::field::{Asked, FLOOR, Paths, Player};

/// What a started server may take until its memory is that of a server without clients.
const SETTLE: Duration = Duration::from_millis(300);

/// One size and one number of clients.
#[derive(Debug, Serialize)]
pub struct Row {
    /// As asked for.
    pub bytes: usize,
    /// A header and whole records.
    pub frame_bytes: usize,
    /// Connections.
    pub clients: usize,
    /// Messages a second to each.
    pub rate_hz: u32,
    /// Length of a window.
    pub seconds: f64,
    /// Why nobody was measured.
    pub left_out: Option<String>,
    /// One for each server.
    pub cells: Vec<Cell>,
}

/// The turns of one server in a row.
#[derive(Debug, Serialize)]
pub struct Cell {
    /// Its name.
    pub server: String,
    /// Why it did not take part.
    pub not_installed: Option<String>,
    /// What went wrong, and in which round.
    pub failed: Vec<(usize, String)>,
    /// One for each round that went well.
    pub turns: Vec<Turn>,
}

/// One server in one round.
#[derive(Debug, Serialize)]
pub struct Turn {
    /// From 0.
    pub round: usize,
    /// What clients got and what it cost.
    pub measured: Round,
    /// Memory that the server took with its clients above that without, by client.
    pub connection_kib: f64,
}

/// Everyone once a round, each round beginning with another one, so that nobody is always first or after the same.
/// What goes wrong with a server is kept in its cell, and the others go on.
pub fn compete(row: &mut Row, players: &[Player], paths: &Paths, core: Option<usize>, rounds: usize, warm: Duration) {
    row.cells = players.iter().map(Cell::new).collect();
    let asked = Asked { frame_bytes: row.frame_bytes, clients: row.clients, rate_hz: row.rate_hz, core };
    let span = Span { warm, measured: Duration::from_secs_f64(row.seconds) };
    for round in 0..rounds {
        for place in 0..players.len() {
            let place = (place + round) % players.len();
            let (Some(player), Some(cell)) = (players.get(place), row.cells.get_mut(place)) else { continue };
            if player.absent.is_some() {
                continue;
            }
            eprintln!("{} B to {} clients, round {}: {}", row.frame_bytes, row.clients, round + 1, player.name);
            match take_turn(player, paths, asked, span, round) {
                Ok(turn) => cell.turns.push(turn),
                Err(error) => {
                    eprintln!("{}: {error:#}", player.name);
                    cell.failed.push((round, format!("{error:#}")));
                }
            }
        }
    }
}

fn take_turn(player: &Player, paths: &Paths, asked: Asked, span: Span, round: usize) -> Result<Turn> {
    let server = player.start(paths, asked)?;
    sleep(SETTLE);
    let empty_mib = rss_mib(server.process())?;
    let measured = measure_clients(&server, asked, span, player.is_engine())?;
    let connection_kib = (measured.rss_mib - empty_mib) * 1_024.0 / asked.clients as f64;
    Ok(Turn { round, measured, connection_kib })
}

/// The only place that knows who the clients are.
fn measure_clients(server: &Server, asked: Asked, span: Span, metrics: bool) -> Result<Round> {
    let ask = Ask { address: server.address, profile: Profile::Own, rate_hz: asked.rate_hz, clients: asked.clients };
    let measured = measure(server, ask, span, metrics.then_some(server.address))?;
    let got = measured.frame_bytes;
    ensure!(got == asked.frame_bytes, "frames of {got} bytes where {} were asked for", asked.frame_bytes);
    Ok(measured)
}

impl Cell {
    fn new(player: &Player) -> Self {
        Self {
            server: player.name.to_owned(),
            not_installed: player.absent.clone(),
            failed: Vec::new(),
            turns: Vec::new(),
        }
    }
}

impl Row {
    /// Processor time of the floor in the same round, us a frame.
    #[must_use]
    pub fn floor_us(&self, round: usize) -> Option<f64> {
        let floor = self.cells.iter().find(|cell| cell.server == FLOOR)?;
        floor.turns.iter().find(|turn| turn.round == round).map(|turn| turn.measured.server_us)
    }
}

/// The highest whole rate that stays within what may be offered; an error says why there is none.
///
/// # Errors
/// When one message a second is too much already.
pub fn rate_within(frame_bytes: usize, clients: usize, rate_max: u32, budget: Budget) -> Result<u32, String> {
    let bytes_each = (frame_bytes * clients) as f64;
    let most = (budget.bytes_per_s / bytes_each).min(budget.frames_per_s / clients as f64);
    if most < 1.0 {
        return Err(format!(
            "one message a second would be {:.0} MB/s and {clients} frames/s, above --budget-mb or --budget-frames",
            bytes_each / 1e6
        ));
    }
    Ok((most as u32).min(rate_max))
}

/// What all clients of a row together may be offered.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Payload.
    pub bytes_per_s: f64,
    /// Messages.
    pub frames_per_s: f64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn rates_stay_within_the_budget() {
        let budget = Budget { bytes_per_s: 400e6, frames_per_s: 60_000.0 };
        assert_eq!(rate_within(92, 100, 60, budget), Ok(60));
        assert_eq!(rate_within(92, 5_000, 60, budget), Ok(12));
        assert_eq!(rate_within(348_160, 100, 60, budget), Ok(11));
        let too_much = rate_within(348_160, 5_000, 60, budget).unwrap_err();
        assert!(too_much.contains("1741 MB/s"), "{too_much}");
    }
}
