//! The engine's own layout: its CPU backend, driven as the `sim` thread drives it, and timed.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use swarmcast::sim::cpu::CpuBackend;
use swarmcast::sim::{Backend, Dimensions, ForceModel, SimParams, Topology};

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
    /// Threads that sum forces. The layout is the same with any number of them.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// The laws of force: t_force, force_atlas_2 or lin_log.
    #[arg(long, default_value = ForceModel::TForce.name(), value_parser = model)]
    pub model: ForceModel,
}

fn model(name: &str) -> Result<ForceModel, String> {
    ForceModel::from_name(name).ok_or_else(|| format!("one of {}", ForceModel::NAMES.join(", ")))
}

impl Default for Settings {
    fn default() -> Self {
        Self { dimensions: 3, ticks: 300, seed: 42, theta: None, threads: 1, model: ForceModel::TForce }
    }
}

impl Settings {
    /// The engine's parameters.
    #[must_use]
    pub fn params(&self) -> SimParams {
        let defaults = SimParams::default();
        let dimensions = if self.dimensions == 2 { Dimensions::Two } else { Dimensions::Three };
        let theta = self.theta.unwrap_or(defaults.theta);
        SimParams { dimensions, seed: self.seed, theta, force_model: self.model, ..defaults }
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

/// Starts a layout of `network` from nothing and steps it, asking no clock: Valgrind counts the instructions, and cannot bear
/// the way in which rustix finds the clock.
///
/// # Errors
/// When the backend refuses the graph.
pub fn walk(network: &Network, settings: &Settings) -> Result<CpuBackend> {
    let mut backend = backend(settings);
    backend.upload(topology(network, vec![None; network.node_count]))?;
    for _ in 0..settings.ticks {
        backend.step();
    }
    Ok(backend)
}

fn backend(settings: &Settings) -> CpuBackend {
    CpuBackend::with_workers(settings.params(), &vec![None; settings.threads.max(1) - 1])
}

fn topology(network: &Network, start: Vec<Option<[f32; 3]>>) -> Topology {
    Topology { csr: network.rows(), start, pinned: vec![false; network.node_count] }
}

/// Starts a layout of `network` from nothing and steps it.
///
/// # Errors
/// When the backend refuses the graph.
pub fn lay_out(network: &Network, settings: &Settings) -> Result<Run> {
    let mut backend = backend(settings);
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
    let topology = topology(network, start);
    let began = cpu_time();
    backend.upload(topology)?;
    Ok(ms(cpu_time() - began))
}

/// Mean processor time and mean time on the clock of a step, ms; 0 without steps.
pub fn step(backend: &mut CpuBackend, ticks: usize) -> (f64, f64) {
    let (began, cpu) = (Instant::now(), cpu_time());
    for _ in 0..ticks {
        backend.step();
    }
    let each = |time: Duration| ms(time) / ticks.max(1) as f64;
    (each(cpu_time() - cpu), each(began.elapsed()))
}

/// Where the nodes are now, in node order.
#[must_use]
pub fn points(backend: &CpuBackend, node_count: usize, dimensions: u8) -> Points {
    let mut at = vec![[0.0; 3]; node_count];
    backend.read_positions(&mut at);
    Points { dimensions: dimensions.into(), at: at.into_iter().map(|at| at.map(f64::from)).collect() }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Processor time of this process: workers count, and nothing else of it runs meanwhile.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
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
        let settings = Settings { dimensions: 2, ticks: 60, ..Settings::default() };
        let run = lay_out(&network, &settings).unwrap();
        let score = score(&network, &run.points);
        assert!(score.stress < 0.05 && score.np1 > 0.5, "{score:?}");
        assert!(run.points.at.iter().all(|at| at[2] == 0.0));
        let taken = run.taken;
        assert!(taken.start_ms > 0.0 && taken.tick_ms.unwrap() > 0.0 && taken.repulsion_error.unwrap() < 0.1);
        let on_two = Settings { threads: 2, ..settings };
        assert_eq!(lay_out(&network, &on_two).unwrap().points, run.points, "the same seed gives the same layout");
    }
}
