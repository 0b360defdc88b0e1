//! The graph of the running engine: how it comes in, changes, is analysed and steered, and what of it is kept.

#[path = "../support/random.rs"]
mod random;
#[path = "../support/mod.rs"]
mod support;

mod analytics;
mod crowds;
mod files;
mod import;
mod living;
mod mutate;
mod rules;
mod settings;
