//! `set_simulation` and `step_simulation`: what they ask of the simulation, as values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Done, done};
use crate::analytics::layout::Mode;
use crate::mcp::args::{ToolError, arguments, bounded, choice, counted, short, whole};
use crate::mcp::view::View;

arguments!(SetSimulation {
    running: Option<bool>,
    #[serde(borrow)]
    layout: Option<Cow<'line, str>>,
    reheat: bool,
    steps: Option<i64>,
    tick_hz: Option<i64>,
    params: BTreeMap<Cow<'line, str>, Value>,
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

/// What is to be otherwise; in this order: settings, layout, reheat, running, steps. The same orders as REST's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimulationChange {
    /// Keys of the settings, of the section `sim`, and what they are to be.
    pub settings: Vec<(Box<str>, Value)>,
    /// Another layout mode.
    pub layout: Option<Mode>,
    /// Back to full temperature.
    pub reheat: bool,
    /// Resume or pause.
    pub running: Option<bool>,
    /// Single steps of a paused simulation.
    pub steps: Option<u32>,
}

/// Names of the layout modes, as REST has them, and a short one.
const MODES: [(&str, Mode); 7] = [
    ("force", Mode::ForceDirected),
    ("force_directed", Mode::ForceDirected),
    ("hierarchical", Mode::Hierarchical),
    ("radial", Mode::Radial),
    ("spectral", Mode::Spectral),
    ("clustered", Mode::Clustered),
    ("stress", Mode::Stress),
];

/// Settings that one call changes.
const SETTINGS_MAX: usize = 32;

/// Settings by the names that they have elsewhere. `repulsion` is how strong it is, or, as a truth value, whether it is.
fn setting(name: &str, value: &Value) -> String {
    let leaf = match name {
        "spring" => "spring_k",
        "repulsion" if value.is_number() => "repel_k",
        "gravity" => "centre_gravity",
        "tick_hz" => "rate_hz",
        other => other,
    };
    format!("sim.{leaf}")
}

fn settings(asked: &SetSimulation<'_>) -> Result<Vec<(Box<str>, Value)>, ToolError> {
    counted("params", asked.params.len(), 0, SETTINGS_MAX)?;
    let mut settings = Vec::with_capacity(asked.params.len() + 1);
    for (name, value) in &asked.params {
        let name = bounded("params", name, 64)?;
        if !(value.is_number() || value.is_boolean() || value.is_string()) {
            let field = format!("params.{}", short(name));
            return Err(ToolError::field(&field, value, "a number, a truth value or a text"));
        }
        settings.push((setting(name, value).into(), value.clone()));
    }
    if let Some(tick_hz) = asked.tick_hz {
        let tick_hz = whole("tick_hz", Some(tick_hz), (1, 120), 60)?;
        settings.push((setting("tick_hz", &Value::Null).into(), json!(tick_hz)));
    }
    Ok(settings)
}

pub(super) fn set_simulation(asked: &SetSimulation<'_>, view: &View<'_>) -> Result<SimulationChange, ToolError> {
    let layout =
        asked.layout.as_deref().map(|name| choice("layout", Some(name), &MODES, Mode::ForceDirected)).transpose()?;
    let steps = asked.steps.map(|steps| whole("steps", Some(steps), (1, 10_000), 1)).transpose()?;
    if steps.is_some() && (asked.running == Some(true) || (asked.running.is_none() && view.sim.running)) {
        return Err(ToolError::new("steps are for a paused simulation: pass running false with them"));
    }
    let steps = steps.map(|it| it as u32);
    let (reheat, running) = (asked.reheat, asked.running);
    let change = SimulationChange { settings: settings(asked)?, layout, reheat, running, steps };
    if change == SimulationChange::default() {
        let words = "nothing to do: pass at least one of running, layout, params, tick_hz, reheat, steps";
        return Err(ToolError::new(words));
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
            "tick": view.tick, "rms_velocity": sim.rms_velocity, "energy": sim.energy, "us": stepped.us,
            "revision": view.revision,
        }))
    }
}

/// The answer to [`SimulationChange`], of the simulation after it. `params` are its settings, as it has them; `finding_places` says that
/// the layout mode which was asked for is not in force yet.
///
/// # Errors
/// Never in practice: the result is JSON of our own.
pub fn steered(view: &View<'_>, params: &Value, finding_places: bool) -> Done {
    let sim = view.sim;
    done(&json!({
        "running": sim.running, "layout": sim.layout, "finding_places": finding_places, "settled": sim.settled,
        "tick": view.tick, "tick_hz": sim.tick_hz, "params": params, "rms_velocity": sim.rms_velocity,
        "energy": sim.energy, "revision": view.revision,
    }))
}
