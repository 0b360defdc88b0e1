//! `GET /api/graph/state` and `/health/detail`: where things stand. What is unknown is null.

use serde::Serialize;
use serde_json::{Value, json};

use crate::base::clock::MILLISECOND_NS;
use crate::graph::{Graph, NodeKind};
use crate::metrics::Metrics;

/// A live subscription class.
#[derive(Clone, Debug, Serialize)]
pub struct ClassRow {
    /// Class id on the wire.
    pub class: u16,
    /// Format.
    pub profile: &'static str,
    /// Hz.
    pub rate: u16,
    /// Sessions in it.
    pub subscribers: usize,
    /// Frames it has had; null before the first.
    pub sequence: Option<u64>,
}

/// A lane between two threads.
#[derive(Clone, Debug, Serialize)]
pub struct LaneRow {
    /// `from->to.item`.
    pub name: String,
    /// Items waiting.
    pub depth: u64,
    /// Items that fit.
    pub slots: usize,
    /// Items that did not fit since start.
    pub refused: u64,
    /// Items replaced by newer ones since start.
    pub displaced: u64,
}

/// A stage of a frame's life on one thread, since start.
#[derive(Clone, Debug, Serialize)]
pub struct TimedStage {
    /// Of the thread.
    pub thread: String,
    /// Of the stage, as in its budget's key.
    pub stage: &'static str,
    /// Times it was gone through.
    pub count: u64,
    /// Null before the first.
    pub p50_ms: Option<f64>,
    /// As `p50_ms`.
    pub p99_ms: Option<f64>,
    /// As `p50_ms`.
    pub max_ms: Option<f64>,
    /// Null where there is none.
    pub budget_ms: Option<f64>,
    /// Times over the budget.
    pub breaches: u64,
    /// Its p99 is over the budget second after second.
    pub breached: bool,
}

/// Every stage of every thread.
#[must_use]
pub fn stage_rows(metrics: &Metrics, now_ns: u64) -> Vec<TimedStage> {
    let rows = metrics.stages().map(|row| {
        let values = row.stage.distribution();
        let ms = |ns: u64| ns as f64 / MILLISECOND_NS as f64;
        let at = |quantile| (!values.is_empty()).then(|| ms(values.value_at_quantile(quantile)));
        TimedStage {
            thread: row.thread,
            stage: row.name,
            count: values.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            budget_ms: row.stage.budget_ns().map(ms),
            breaches: row.stage.breaches(),
            breached: row.stage.breached(now_ns),
        }
    });
    rows.collect()
}

/// How the device that computes, or did, is doing.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct DeviceRow {
    /// Errors so far.
    pub errors: u64,
    /// Whether the processor took over.
    pub fell_back: bool,
    /// Memory that the layout holds; `None` without a device.
    pub used_bytes: Option<u64>,
    /// Memory that nobody holds; `None` without a device.
    pub free_bytes: Option<u64>,
}

/// Figures that `control` gathers for both answers.
#[derive(Clone, Debug)]
pub struct StateFacts<'run> {
    /// Name of the graph.
    pub name: &'run str,
    /// Version of the structure.
    pub epoch: u32,
    /// Changes that the graph has had.
    pub version: u64,
    /// Of the newest frame; `None` before the first.
    pub tick: Option<u64>,
    /// Hz.
    pub tick_rate: u16,
    /// 2 or 3.
    pub dimensions: u8,
    /// Name of the backend.
    pub backend: &'static str,
    /// How the device is doing.
    pub device: DeviceRow,
    /// Streaming sessions.
    pub sessions: usize,
    /// By measured energy.
    pub settled: bool,
    /// World units / s.
    pub rms_velocity: f64,
    /// Live classes.
    pub classes: Vec<ClassRow>,
    /// Version and hash of the settings.
    pub settings: (u64, Box<str>),
}

/// Counts and where the simulation stands.
#[must_use]
pub fn graph_state(graph: &Graph, facts: &StateFacts<'_>) -> Value {
    let of = |kind: NodeKind| graph.nodes().iter().filter(|node| node.class.kind == kind).count();
    json!({
        "name": facts.name,
        "epoch": facts.epoch,
        "version": facts.version,
        "tick": facts.tick,
        "node_count": graph.nodes().len(),
        "edge_count": graph.edges().len(),
        "knowledge_count": of(NodeKind::Knowledge),
        "agent_count": of(NodeKind::Agent),
        "pinned_count": graph.nodes().iter().filter(|node| node.pinned).count(),
        "tick_rate": facts.tick_rate,
        "dimensions": facts.dimensions,
        "backend": facts.backend,
        "settled": facts.settled,
        "rms_velocity": facts.rms_velocity,
        "sessions": facts.sessions,
        "classes": facts.classes,
        "settings": { "version": facts.settings.0, "hash": facts.settings.1 },
    })
}

/// What each part is doing.
#[must_use]
#[allow(clippy::too_many_arguments, reason = "one for each part of the answer")]
pub fn health_detail(
    facts: &StateFacts<'_>,
    phase: &str,
    sim_age_ms: u64,
    shards: &[Value],
    stages: &[TimedStage],
    lanes: &[LaneRow],
    resident_bytes: Option<u64>,
    open_files: Option<u64>,
) -> Value {
    json!({
        "phase": phase,
        "sim": {
            "backend": facts.backend,
            "device": facts.device,
            "last_turn_ms": sim_age_ms,
            "tick": facts.tick,
            "settled": facts.settled,
            "rms_velocity": facts.rms_velocity,
        },
        "shards": shards,
        "stages": stages,
        "sessions": facts.sessions,
        "classes": facts.classes,
        "lanes": lanes,
        "memory": { "resident_bytes": resident_bytes },
        "open_files": open_files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Budgets;

    #[test]
    fn what_is_unknown_is_null() {
        let facts = StateFacts {
            name: "g",
            epoch: 1,
            version: 4,
            tick: None,
            tick_rate: 60,
            dimensions: 3,
            backend: "cpu",
            device: DeviceRow::default(),
            sessions: 0,
            settled: false,
            rms_velocity: 0.0,
            classes: Vec::new(),
            settings: (3, "ab".into()),
        };
        let state = graph_state(&Graph::default(), &facts);
        assert!(state["tick"].is_null());
        assert_eq!((&state["node_count"], &state["settings"]), (&json!(0), &json!({ "version": 3, "hash": "ab" })));
        let metrics = Metrics::new(1);
        metrics.set_budgets(&Budgets { step_ns: 2_000_000, ..Budgets::default() });
        metrics.sim.step.span(1, 5_000_001);
        let detail = health_detail(&facts, "ready", 3, &[], &stage_rows(&metrics, 9), &[], None, Some(9));
        assert!(detail["memory"]["resident_bytes"].is_null());
        let device = DeviceRow { errors: 5, fell_back: true, used_bytes: None, free_bytes: None };
        let fallen = health_detail(&StateFacts { device, ..facts.clone() }, "ready", 3, &[], &[], &[], None, None);
        let said = json!({ "errors": 5, "fell_back": true, "used_bytes": null, "free_bytes": null });
        assert_eq!(fallen["sim"]["device"], said);
        assert_eq!(detail["open_files"], 9);
        let of = |stage: &str| detail["stages"].as_array().unwrap().iter().find(|row| row["stage"] == stage).unwrap();
        assert!(of("encode")["p99_ms"].is_null() && of("encode")["budget_ms"].is_null());
        let step = of("step");
        assert_eq!((&step["thread"], &step["count"], &step["breaches"]), (&json!("sim"), &json!(1), &json!(1)));
        assert_eq!((&step["budget_ms"], &step["breached"]), (&json!(2.0), &json!(false)));
        assert!((4.96..5.04).contains(&step["p50_ms"].as_f64().unwrap()), "{step}");
    }
}
