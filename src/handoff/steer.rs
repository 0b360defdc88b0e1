//! What `control` asks of the simulation and hears from it, and what clients say about settings.

use super::{RuleSet, SpringTable, Violations};
use crate::settings::{ParamError, SimParams};

/// How the layout is steered. What is large was made by `control` and goes back there.
#[derive(Debug)]
pub enum Steer {
    /// Other rules, in place of all before.
    Rules(Box<RuleSet>),
    /// Other springs.
    Springs(Box<SpringTable>),
    /// Measure the constraints.
    Measure(Box<Violations>),
    /// Other parameters, in place of all before.
    Tune(Box<Tuning>),
    /// Stop stepping.
    Pause,
    /// Step on.
    Resume,
    /// So many steps while paused.
    Step {
        /// From 1.
        count: u32,
    },
    /// Every node back to where it started, at rest.
    Reset,
    /// Back to full temperature.
    Reheat,
}

/// What the simulation computes with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// Of the forces.
    pub params: SimParams,
    /// Ticks per second, from 1.
    pub rate_hz: u16,
}

/// What an order came to.
#[derive(Debug)]
pub enum Steered {
    /// It is in force.
    Done,
    /// It is in force, and this can be freed.
    Spent(Spent),
    /// It is of another structure of the graph than the one being simulated; nothing has changed.
    Stale(Spent),
    /// Single steps are for a paused simulation.
    NotPaused,
    /// More steps are owed than may be.
    TooManySteps,
    /// The constraints, measured.
    Measured(Box<Violations>),
    /// The parameters in force now, read back from what computes.
    Tuned(Box<Tuning>),
    /// They cannot be; those before are still in force.
    Untuned {
        /// Which, and its range.
        error: ParamError,
        /// As it was sent.
        tuning: Box<Tuning>,
    },
}

/// Memory on its way back to who made it.
#[derive(Debug)]
pub enum Spent {
    /// Rules that are no longer in force, if there were any.
    Rules(Option<Box<RuleSet>>),
    /// A table that was read.
    Springs(Box<SpringTable>),
}

impl Spent {
    /// The structure that it was made for; `None` when it is nothing.
    #[must_use]
    pub fn epoch(&self) -> Option<u32> {
        match self {
            Self::Rules(set) => set.as_ref().map(|set| set.epoch),
            Self::Springs(table) => Some(table.epoch),
        }
    }
}

/// What a client says about the settings.
#[derive(Debug)]
pub enum SettingsSaid {
    /// It wants to hear of every change, in text.
    Watch {
        /// The version that it has.
        version: u64,
        /// Blake3 of the whole at that version.
        hash: Option<[u8; 32]>,
    },
    /// It wants to hear no more.
    Leave,
    /// A binary message, as it came.
    Binary(Box<[u8]>),
}

/// In which form a client hears of changed settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watching {
    /// In none.
    #[default]
    Nothing,
    /// As JSON.
    Text,
    /// As binary messages.
    Binary,
}
