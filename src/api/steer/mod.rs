//! Steering the layout by REST: from a request to a changed book of rules, from the book to what `sim` applies. Pure.

mod book;
mod constraints;
mod fields;
mod meaning;
mod places;
mod settings;
#[cfg(test)]
mod tests;

pub use book::{Layout, RuleBook, SteerFacts, path_stretch};
pub use fields::{Fields, RestError};
pub use places::{Places, PlacesBase};
pub use settings::{MODES, Preset, mode_name, read_mode, read_preset};
