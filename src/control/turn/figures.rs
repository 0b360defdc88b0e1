//! Figures that `control` gathers for metrics and health.

use super::Control;
use crate::api::LaneRow;
use crate::base::host;
use crate::handoff::LaneStats;
use crate::metrics::Extra;

impl Control {
    /// Figures that stand in no block: lanes, sessions, process.
    pub(super) fn extras(&self) -> Vec<Extra> {
        let plain = |name, help, value| Extra { name, help, label: None, counter: false, value };
        let mut extras = vec![
            plain("nodes", "Nodes of the graph.", self.graph.nodes().len() as f64),
            plain("edges", "Edges of the graph.", self.graph.edges().len() as f64),
            plain("sessions", "Streaming sessions.", self.sessions.len() as f64),
        ];
        if let Some(bytes) = host::resident_bytes() {
            extras.push(plain("resident_memory_bytes", "Resident memory of the process.", bytes as f64));
        }
        if let Some(files) = host::open_files() {
            extras.push(plain("open_files", "Open file descriptors.", files as f64));
        }
        type Figure = fn(&LaneStats) -> f64;
        let figures: [(&'static str, &'static str, bool, Figure); 3] = [
            ("lane_depth", "Items waiting in a lane.", false, |stats| stats.depth() as f64),
            ("lane_refused", "Items that found a lane full.", true, |stats| stats.refused() as f64),
            ("lane_displaced", "Items replaced by newer ones.", true, |stats| stats.displaced() as f64),
        ];
        for (name, help, counter, figure) in figures {
            extras.extend(self.lane_stats.iter().map(|stats| Extra {
                name,
                help,
                label: Some(("lane", stats.name().to_owned())),
                counter,
                value: figure(stats),
            }));
        }
        let (held, refused) = self.mcp.rated;
        let rated = |name, help, value: u64| Extra { name, help, label: None, counter: true, value: value as f64 };
        extras.push(rated("mcp_calls_held", "Calls of agents that waited because of their principal's rate.", held));
        extras.push(rated("mcp_calls_refused", "Calls of agents refused because of their principal's rate.", refused));
        self.source_extras(&mut extras);
        extras
    }
}

pub(super) fn lane_row(stats: &LaneStats) -> LaneRow {
    LaneRow {
        name: stats.name().to_owned(),
        depth: stats.depth(),
        slots: stats.slots(),
        refused: stats.refused(),
        displaced: stats.displaced(),
    }
}
