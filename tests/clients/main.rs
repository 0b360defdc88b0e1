//! Programs that are not ours, or not of the engine, against the real server.

#[path = "../support/mod.rs"]
mod support;

mod examples;
mod openapi;
mod stream;
mod viewer_page;
