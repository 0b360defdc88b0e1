//! The engine's own layout: its CPU backend, driven as the `sim` thread drives it, and timed.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use swarmcast::graph::NodeIndex;
use swarmcast::sim::cpu::CpuBackend;
use swarmcast::sim::{Backend, Dimensions, SimParams, Topology};

use crate::graph::Network;
use crate::points::Points;

/// How the engine is to lay a graph out. What is not here has its default.
#[derive(Clone, Copy, Debug, Args)]
pub struct Settings {
    /// Axes: 2 or 3.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
    pub dimensions: u8,
    /// Steps.
    #[arg(long, default_value_t = 300)]
    pub ticks: usize,
    /// Of the start.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Accuracy of the repulsion; the engine's default when left out.
    #[arg(long)]
    pub theta: Option<f32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { dimensions: 3, ticks: 300, seed: 42, theta: None }
    }
}

impl Settings {
    /// The engine's parameters.
    #[must_use]
    pub fn params(&self) -> SimParams {
        let defaults = SimParams::default();
        let dimensions = if self.dimensions == 2 { Dimensions::Two } else { Dimensions::Three };
        SimParams { dimensions, seed: self.seed, theta: self.theta.unwrap_or(defaults.theta), ..defaults }
    }
}

/// What a layout took.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Taken {
    /// Processor time until every node had a place, ms: reading excluded.
    pub start_ms: f64,
    /// Steps or iterations done; none where the program does not say.
    pub ticks: Option<usize>,
    /// Mean processor time of one of them, ms.
    pub tick_ms: Option<f64>,
    /// Mean time on the clock of one of them, ms.
    pub tick_wall_ms: Option<f64>,
    /// Processor time of everything, ms.
    pub whole_ms: f64,
    /// RMS error of the repulsion over its RMS, at the end.
    pub repulsion_error: Option<f64>,
}

/// The backend after its steps.
pub struct Run {
    /// For more steps.
    pub backend: CpuBackend,
    /// Where the nodes are.
    pub points: Points,
    /// What it took.
    pub taken: Taken,
}

/// Nodes on which the repulsion is compared with brute force.
const ERROR_SAMPLE: usize = 500;

/// Starts a layout of `network` from nothing and steps it, on this thread.
///
/// # Errors
/// When the backend refuses the graph.
pub fn lay_out(network: &Network, settings: &Settings) -> Result<Run> {
    let mut backend = CpuBackend::new(settings.params());
    let start_ms = upload(&mut backend, network, vec![None; network.node_count])?;
    let (tick_ms, tick_wall_ms) = step(&mut backend, settings.ticks);
    let ticks = settings.ticks;
    let taken = Taken {
        start_ms,
        ticks: Some(ticks),
        tick_ms: (ticks > 0).then_some(tick_ms),
        tick_wall_ms: (ticks > 0).then_some(tick_wall_ms),
        whole_ms: start_ms + tick_ms * ticks as f64,
        repulsion_error: backend.repulsion_error(ERROR_SAMPLE).map(f64::from),
    };
    let points = points(&backend, network.node_count, settings.dimensions);
    Ok(Run { backend, points, taken })
}

/// Hands the graph over and returns the processor time of that, ms: placing the nodes is nearly all of it.
///
/// # Errors
/// When the backend refuses the graph.
pub fn upload(backend: &mut CpuBackend, network: &Network, start: Vec<Option<[f32; 3]>>) -> Result<f64> {
    let topology = Topology { csr: network.rows(), start, pinned: vec![false; network.node_count] };
    let began = thread_time();
    backend.upload(topology)?;
    Ok(ms(thread_time() - began))
}

/// Mean processor time and mean time on the clock of a step, ms; 0 without steps.
pub fn step(backend: &mut CpuBackend, ticks: usize) -> (f64, f64) {
    let (began, cpu) = (Instant::now(), thread_time());
    for _ in 0..ticks {
        backend.step();
    }
    let each = |time: Duration| ms(time) / ticks.max(1) as f64;
    (each(thread_time() - cpu), each(began.elapsed()))
}

/// Where the nodes are now, in node order.
#[must_use]
pub fn points(backend: &CpuBackend, node_count: usize, dimensions: u8) -> Points {
    let nodes = (0..node_count as u32).map(NodeIndex);
    let at = nodes.map(|node| backend.position(node).unwrap_or_default().map(f64::from)).collect();
    Points { dimensions: dimensions.into(), at }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Processor time of the calling thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::by_name;
    use crate::score::score;

    #[test]
    fn a_mesh_unfolds_and_its_figures_are_there() {
        let network = by_name("grid1k").unwrap();
        let settings = Settings { dimensions: 2, ticks: 60, seed: 1, theta: None };
        let run = lay_out(&network, &settings).unwrap();
        let score = score(&network, &run.points);
        assert!(score.stress < 0.05 && score.np1 > 0.5, "{score:?}");
        assert!(run.points.at.iter().all(|at| at[2] == 0.0));
        let taken = run.taken;
        assert!(taken.start_ms > 0.0 && taken.tick_ms.unwrap() > 0.0 && taken.repulsion_error.unwrap() < 0.1);
        assert_eq!(lay_out(&network, &settings).unwrap().points, run.points, "the same seed gives the same layout");
    }
}
