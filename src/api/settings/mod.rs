//! Settings by REST: from a path and JSON to a key and a value, and back; the schema. Pure. See `SETTINGS.md`.

mod bodies;
mod schema;
mod value;

pub use bodies::{
    Asked, Update, Updates, Write, place_of, put, read_batch, read_one, read_paths, read_update, read_updates,
};
pub use schema::{registry_version, schema};
pub use value::{from_json, show, show_all, show_delta, show_place, to_json, whole_of};

/// Paths that one request may name.
pub const PATHS_MAX: usize = 50;
