//! What agents ask of the simulation: settings, the layout mode, orders. Answered when all of it is in force, with what then holds.

use super::{Awaited, McpDesk, Pending};
use crate::api::settings as pages;
use crate::base::clock::MILLISECOND_NS;
use crate::control::turn::Control;
use crate::control::turn::settings::Settings;
use crate::control::turn::steer::Steering;
use crate::handoff::Steer;
use crate::mcp::{Call, Done, Line, SimFacts, SimulationChange, ToolError, reply, steered};
use crate::settings::Place;

/// How long orders to the simulation are waited for.
const STEER_NS_MAX: u64 = 1_000 * MILLISECOND_NS;

/// The same where places are to be found: a large graph takes seconds.
const PLACES_NS_MAX: u64 = 10_000 * MILLISECOND_NS;

/// Orders that are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders {
    /// The last one of steering; 0 is none.
    ticket: u64,
    /// A change of the settings; 0 is none.
    tuned: u64,
    /// Places of a layout mode.
    places: bool,
}

impl Orders {
    pub(super) fn are_obeyed(self, steering: &Steering, settings: &Settings) -> bool {
        let finding = self.places && steering.is_finding_places();
        !finding && !steering.waits_for(self.ticket) && !settings.waits_for(self.tuned)
    }
}

impl Control {
    pub(super) fn begin_steer(
        &mut self,
        desk: &McpDesk,
        line: &Line,
        call: &Call<'_>,
        change: SimulationChange,
        now_ns: u64,
    ) {
        match self.order_for_agent(change) {
            Ok(asked) => {
                let key = self.mcp.defer(line, call);
                let until_ns = now_ns + if asked.places { PLACES_NS_MAX } else { STEER_NS_MAX };
                self.mcp.pending.push(Pending { conn: line.talk, key, what: Awaited::Steer { asked, until_ns } });
            }
            Err(error) => self.mcp.answer(&desk.server, line, call, &Ok(reply(Err(error)))),
        }
    }

    /// Has a change of the simulation done. What cannot be done is found before anything is.
    fn order_for_agent(&mut self, change: SimulationChange) -> Result<Orders, ToolError> {
        let SimulationChange { settings, layout, reheat, running, steps } = change;
        let writes = settings.iter().map(|(path, value)| (&**path, value));
        let updates = pages::read_updates(writes, self.settings.wanted()).map_err(|errors| {
            let words: Vec<String> = errors.into_iter().map(|error| error.message).collect();
            ToolError::new(format!("params: {}. Nothing was changed.", words.join("; ")))
        })?;
        let failed = |error: crate::api::steer::RestError| ToolError::new(error.message);
        if let Some(mode) = layout {
            self.begin_layout(mode).map_err(failed)?;
        }
        let mut asked = Orders { ticket: 0, tuned: 0, places: layout.is_some() };
        if !updates.is_empty() {
            asked.tuned = self.change_settings_for_agent(updates).map_err(failed)?;
        }
        let orders = [
            reheat.then_some(Steer::Reheat),
            running.map(|running| if running { Steer::Resume } else { Steer::Pause }),
            steps.map(|count| Steer::Step { count }),
        ];
        for order in orders.into_iter().flatten() {
            asked.ticket = self.steer_for_agent(order);
        }
        Ok(asked)
    }

    /// Where the simulation stands, with its settings as it has them.
    pub(super) fn steered_now(&self, sim: &SimFacts) -> Done {
        let config = self.settings.in_force_now();
        let sim = SimFacts { tick_hz: f64::from(config.sim.rate_hz), ..sim.clone() };
        let params = pages::show_place(Place::Physics, config);
        steered(&self.view(&sim), &params, self.steering.is_finding_places())
    }
}
