//! Open files: one socket a client needs more than many shells allow.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, for this process and those that it starts; returns the limit
/// that holds.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // A refusal leaves what there was, and a client too many is then an error of its own.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
