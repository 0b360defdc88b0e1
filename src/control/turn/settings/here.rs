//! Settings that this thread puts in force itself, and what follows for it from those of `sim`.

use std::time::Duration;

use serde_json::Value as Json;

use super::super::Control;
use crate::api::steer::SteerFacts;
use crate::base::clock::MILLISECOND_NS;
use crate::graph::GraphLimits;
use crate::handoff::{NetLimit, NetLimits, RuleScale};
use crate::mcp::RateLimits;
use crate::metrics::Budgets;
use crate::settings::{BudgetOptions, Config, Dimensions, LogLevel, McpOptions, NetOptions, SimParams};

/// The settings that the engine begins with.
#[derive(Clone, Debug)]
pub struct SettingsFacts {
    /// As file, environment and flags say; a reset goes back to these.
    pub configured: Config,
    /// The same with what was saved.
    pub current: Config,
    /// Keys that were given by a flag: a saved value does not count against it.
    pub flagged: Vec<&'static str>,
    /// What the store has, by path.
    pub saved: Vec<(Box<str>, Json)>,
    /// Sets the level of the log; answers which it is then.
    pub set_log_level: fn(LogLevel) -> LogLevel,
}

impl Default for SettingsFacts {
    fn default() -> Self {
        let config = Config::default();
        Self {
            configured: config.clone(),
            current: config,
            flagged: Vec::new(),
            saved: Vec::new(),
            set_log_level: |level| level,
        }
    }
}

/// What steers the layout takes its units from the parameters of the simulation.
#[must_use]
pub fn steer_facts(params: &SimParams) -> SteerFacts {
    SteerFacts {
        scale: RuleScale {
            stiffness: params.spring_k,
            length: params.rest_length,
            // The cap of 50 that users know, in a unit of which `max_force` has 50 as well.
            force_cap: params.max_force,
            flat: params.dimensions == Dimensions::Two,
        },
        bounds: params.bounds_rule(),
    }
}

/// Budgets in the unit of the stages.
#[must_use]
pub fn budgets(options: &BudgetOptions) -> Budgets {
    let ns = |ms: f32| (f64::from(ms) * MILLISECOND_NS as f64).round() as u64;
    Budgets {
        commands_ns: ns(options.commands_ms),
        step_ns: ns(options.step_ms),
        encode_ns: ns(options.encode_ms),
        pickup_ns: ns(options.pickup_ms),
        fanout_ns: ns(options.fanout_ms),
        tick_to_wire_ns: ns(options.tick_to_wire_ms),
    }
}

/// Limits of connections in the unit of the network threads.
#[must_use]
pub fn net_limits(options: &NetOptions) -> NetLimits {
    NetLimits::new(|which| net_limit(options, which))
}

fn net_limit(options: &NetOptions, which: NetLimit) -> u64 {
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    match which {
        NetLimit::Handshake => ns(options.handshake_timeout),
        NetLimit::Hold => ns(options.hold_time_max),
        NetLimit::Ping => ns(options.ping),
        NetLimit::Pong => ns(options.pong),
        NetLimit::Stall => ns(options.stall),
        NetLimit::Lease => ns(options.frame_lease_max),
        NetLimit::CopyBytes => options.lease_copy_bytes_max,
    }
}

impl Control {
    /// Puts in force what this thread can, and gives back what is: each value is read from where it is used.
    pub(super) fn set_here(&mut self, mut config: Config) -> Config {
        self.follow_sim(&config);
        self.metrics.set_budgets(&budgets(&config.budgets));
        config.budgets = self.budgets_in_force();
        config.log.level = (self.settings.facts.set_log_level)(config.log.level);
        self.facts.limits =
            GraphLimits { nodes: config.graph.nodes_max as usize, edges: config.graph.edges_max as usize };
        self.mutations.set_limits(self.facts.limits);
        self.addresses.set_limit(config.net.connections_per_address_max.map(|limit| limit.get() as usize));
        if let Some(desk) = &mut self.lanes.store {
            desk.layout_ns = config.store.layout_interval.as_nanos() as u64;
        }
        if let Some(follow_ns) = &mut self.lanes.files.follow_ns {
            *follow_ns = config.graph.watch_interval.as_nanos() as u64;
        }
        self.set_net(&mut config.net);
        self.set_mcp(&mut config.mcp);
        config
    }

    fn set_net(&self, options: &mut NetOptions) {
        for which in NetLimit::ALL {
            let found = self.facts.net_limits.set(which, net_limit(options, which));
            let place = match which {
                NetLimit::Handshake => &mut options.handshake_timeout,
                NetLimit::Hold => &mut options.hold_time_max,
                NetLimit::Ping => &mut options.ping,
                NetLimit::Pong => &mut options.pong,
                NetLimit::Stall => &mut options.stall,
                NetLimit::Lease => &mut options.frame_lease_max,
                NetLimit::CopyBytes => {
                    options.lease_copy_bytes_max = found;
                    continue;
                }
            };
            *place = Duration::from_nanos(found);
        }
    }

    fn set_mcp(&mut self, options: &mut McpOptions) {
        let wanted = RateLimits { calls: options.calls_per_second, changes: options.changes_per_second };
        let RateLimits { calls, changes } = self.mcp.set_rates(wanted);
        (options.calls_per_second, options.changes_per_second) = (calls, changes);
        let connections = self.mcp.set_connections_max(options.connections_per_token as usize);
        options.connections_per_token = u32::try_from(connections).unwrap_or(u32::MAX);
    }

    /// What `sim` computes with has a part in what this thread says and compiles.
    fn follow_sim(&mut self, config: &Config) {
        let params = &config.sim.params;
        self.facts.tick_rate = u16::try_from(config.sim.rate_hz).unwrap_or(u16::MAX);
        self.facts.dimensions = if params.dimensions == Dimensions::Two { 2 } else { 3 };
        self.classes.set_full_rate(self.facts.tick_rate);
        self.steer_by(steer_facts(params));
    }

    fn budgets_in_force(&self) -> BudgetOptions {
        let mut options = BudgetOptions::default();
        for row in self.metrics.stages() {
            let ms = row.stage.budget_ns().unwrap_or(0) as f64 / MILLISECOND_NS as f64;
            let place = match row.name {
                "commands" => &mut options.commands_ms,
                "step" => &mut options.step_ms,
                "encode" => &mut options.encode_ms,
                "pickup" => &mut options.pickup_ms,
                "fanout" => &mut options.fanout_ms,
                _ => &mut options.tick_to_wire_ms,
            };
            *place = ms as f32;
        }
        options
    }
}
