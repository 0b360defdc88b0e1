//! `set_simulation`: what it asks of the simulation, as a value.

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
