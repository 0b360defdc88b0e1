//! Agents of other servers: what their sources tell goes to the register of agents, and how the sources do is shown and logged.

use serde_json::{Value, json};

use super::Control;
use crate::base::clock::{MILLISECOND_NS, monotonic_ns, unix_ms};
use crate::handoff::Consumer;
use crate::mcp::{BreakerState, SourceReport, SourceState};
use crate::metrics::Extra;

/// The lane of the sources' side, and who they are.
#[derive(Debug)]
pub struct SourcesDesk {
    /// sources → control.
    pub reports: Consumer<SourceReport>,
    /// Host and port of each.
    pub addresses: Vec<Box<str>>,
}

/// How the sources are doing, as they told last.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<SourceState>);

impl Sources {
    pub(super) fn new(desk: Option<&SourcesDesk>) -> Self {
        Self(vec![SourceState::default(); desk.map_or(0, |desk| desk.addresses.len())])
    }
}

impl Control {
    pub(super) fn sources_are_quiet(&self) -> bool {
        self.lanes.sources.as_ref().is_none_or(|desk| desk.reports.is_empty())
    }

    /// Takes what sources tell; returns how much that was.
    pub(super) fn take_sources(&mut self, now_ns: u64) -> usize {
        let Some(mut desk) = self.lanes.sources.take() else { return 0 };
        let mut taken = 0;
        while let Some(SourceReport { source, state, agents }) = desk.reports.pop() {
            taken += 1;
            let (Some(address), Some(known)) = (desk.addresses.get(source), self.sources.0.get_mut(source)) else {
                continue;
            };
            log(address, known, &state);
            *known = state;
            if let Some(agents) = agents {
                let left_out = self.take_listed(address, agents, now_ns);
                if left_out > 0 {
                    tracing::warn!(source = &**address, left_out, "there is no room for all agents of a source");
                }
            }
        }
        self.lanes.sources = Some(desk);
        taken
    }

    fn source_rows(&self) -> impl Iterator<Item = (&str, &SourceState)> {
        let addresses = self.lanes.sources.iter().flat_map(|desk| &desk.addresses);
        addresses.map(|address| &**address).zip(&self.sources.0)
    }

    /// Adds the sources to the answer of `/health/detail`.
    pub(super) fn add_sources(&self, detail: &mut Value) {
        let (now_ns, now_ms) = (monotonic_ns(), unix_ms());
        let wall = |at_ns: Option<u64>| at_ns.map(|at_ns| now_ms - now_ns.saturating_sub(at_ns) / MILLISECOND_NS);
        let row = |(address, state): (&str, &SourceState)| {
            json!({
                "address": address,
                "state": state.breaker.name(),
                "connected": state.connected,
                "tool": state.tool,
                "agents": state.last_success_ns.map(|_| state.agents),
                "connections": state.connections,
                "lists": state.lists,
                "failures": state.failures,
                "failures_in_row": state.failures_in_row,
                "left_out": state.left_out,
                "last_error": state.last_error,
                "last_error_ms": wall(state.last_error_ns),
                "last_success_ms": wall(state.last_success_ns),
            })
        };
        let rows: Vec<Value> = self.source_rows().map(row).collect();
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("agent_sources".to_owned(), Value::Array(rows));
        }
    }

    /// Figures of the sources, one name after the other.
    pub(super) fn source_extras(&self, extras: &mut Vec<Extra>) {
        type Figure = fn(&SourceState) -> f64;
        let figures: [(&'static str, &'static str, bool, Figure); 5] = [
            ("source_open", "1 while a source of agents is not asked because it failed.", false, |state| {
                f64::from(u8::from(state.breaker == BreakerState::Open))
            }),
            ("source_connections", "Connections made to a source of agents.", true, |state| state.connections as f64),
            ("source_lists", "Whole lists that a source of agents gave.", true, |state| state.lists as f64),
            ("source_failures", "Attempts to get a list that failed.", true, |state| state.failures as f64),
            ("source_agents", "Agents of the last list of a source.", false, |state| state.agents as f64),
        ];
        for (name, help, counter, figure) in figures {
            extras.extend(self.source_rows().map(|(address, state)| Extra {
                name,
                help,
                label: Some(("source", address.to_owned())),
                counter,
                value: figure(state),
            }));
        }
    }
}

/// Says what has become of a source: once for each turn of events, not for each attempt.
fn log(source: &str, was: &SourceState, is: &SourceState) {
    let error = is.last_error.as_deref().unwrap_or("no reason known");
    if is.failures > was.failures && was.failures_in_row == 0 {
        tracing::warn!(source, "a source of agents failed: {error}");
    }
    if is.breaker != was.breaker {
        match is.breaker {
            BreakerState::Open if was.breaker == BreakerState::Closed => {
                tracing::warn!(source, "a source of agents is asked every 30 s from now on: {error}");
            }
            BreakerState::Closed => tracing::info!(source, "a source of agents is well again"),
            BreakerState::Open | BreakerState::HalfOpen => {}
        }
    }
    if is.lists > 0 && was.lists == 0 {
        tracing::info!(
            source,
            tool = is.tool.as_deref().unwrap_or(""),
            agents = is.agents,
            "a source gives its agents"
        );
    }
}
