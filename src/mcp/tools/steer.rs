//! `set_simulation` and `step_simulation`: what they ask of the simulation, as values.

use std::borrow::Cow;

use serde_json::json;

use super::{Done, done};
use crate::analytics::layout::Mode;
use crate::mcp::args::{ToolError, arguments, choice, whole};
use crate::mcp::view::View;

arguments!(SetSimulation {
    running: Option<bool>,
    #[serde(borrow)]
    layout: Option<Cow<'line, str>>,
    reheat: bool,
    steps: Option<i64>,
});

arguments!(StepSimulation {
    ticks: Option<i64>,
    #[serde(borrow)]
    until: Option<Cow<'line, str>>,
    timeout_ms: Option<i64>,
});

/// Steps that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stepping {
    /// At most; `None` is as many as it takes.
    pub ticks: Option<u64>,
    /// No longer than so many ms.
    pub timeout_ms: u64,
}

/// What became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// Steps that were taken.
    pub ticks: u64,
    /// The time was over before they were all taken.
    pub timed_out: bool,
    /// How long it took, us.
    pub us: u64,
}

/// What is to be otherwise; in this order: layout, reheat, running, steps. The same orders as REST's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SimulationChange {
    /// Another layout mode.
    pub layout: Option<Mode>,
    /// Back to full temperature.
    pub reheat: bool,
    /// Resume or pause.
    pub running: Option<bool>,
    /// Single steps of a paused simulation.
    pub steps: Option<u32>,
}

/// Names of the layout modes, as REST has them.
const MODES: [(&str, Mode); 6] = [
    ("force_directed", Mode::ForceDirected),
    ("hierarchical", Mode::Hierarchical),
    ("radial", Mode::Radial),
    ("spectral", Mode::Spectral),
    ("clustered", Mode::Clustered),
    ("stress", Mode::Stress),
];

pub(super) fn set_simulation(asked: &SetSimulation<'_>, view: &View<'_>) -> Result<SimulationChange, ToolError> {
    let layout =
        asked.layout.as_deref().map(|name| choice("layout", Some(name), &MODES, Mode::ForceDirected)).transpose()?;
    let steps = asked.steps.map(|steps| whole("steps", Some(steps), (1, 10_000), 1)).transpose()?;
    if steps.is_some() && (asked.running == Some(true) || (asked.running.is_none() && view.sim.running)) {
        return Err(ToolError::new("steps are for a paused simulation: pass running false with them"));
    }
    let change =
        SimulationChange { layout, reheat: asked.reheat, running: asked.running, steps: steps.map(|it| it as u32) };
    if change == SimulationChange::default() {
        return Err(ToolError::new("nothing to do: pass at least one of running, layout, reheat, steps"));
    }
    Ok(change)
}

pub(super) fn step_simulation(asked: &StepSimulation<'_>) -> Result<Stepping, ToolError> {
    let ticks = asked.ticks.map(|ticks| whole("ticks", Some(ticks), (1, 10_000), 1)).transpose()?;
    choice("until", asked.until.as_deref(), &[("converged", ())], ())?;
    if ticks.is_none() && asked.until.is_none() {
        return Err(ToolError::new("nothing to do: pass ticks, or until \"converged\", or both"));
    }
    let timeout_ms = whole("timeout_ms", asked.timeout_ms, (10, 30_000), 10_000)? as u64;
    Ok(Stepping { ticks: ticks.map(|ticks| ticks as u64), timeout_ms })
}

impl Stepping {
    /// The answer, of the simulation after the steps.
    ///
    /// # Errors
    /// Never in practice: the result is JSON of our own.
    pub fn answer(stepped: Stepped, view: &View<'_>) -> Done {
        let sim = view.sim;
        done(&json!({
            "ticks": stepped.ticks, "converged": sim.settled, "timed_out": stepped.timed_out, "running": sim.running,
            "tick": view.tick, "rms_velocity": sim.rms_velocity, "us": stepped.us, "revision": view.revision,
        }))
    }
}

/// The answer to [`SimulationChange`], of the simulation after it.
///
/// # Errors
/// Never in practice: the result is JSON of our own.
pub fn steered(view: &View<'_>) -> Done {
    let sim = view.sim;
    done(&json!({
        "running": sim.running, "layout": sim.layout, "settled": sim.settled, "tick": view.tick, "revision": view.revision,
    }))
}
