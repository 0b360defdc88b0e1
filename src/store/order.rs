//! What `control` asks of the store, and what it hears back.

use std::path::PathBuf;

use super::{BackupSize, Entry, FailureKind, Layout, LogPage, StoreError};

/// control → store.
#[derive(Debug)]
pub enum StoreOrder {
    /// Commit these, in order.
    Append {
        /// As the last [`StoreReport::Failed`] or [`StoreReport::Recovered`] said; 0 before the first. Entries of an older term are
        /// among those that a failure took with it, and are left out.
        term: u64,
        /// Versions follow those of the order before it.
        entries: Vec<Entry>,
    },
    /// Keep this layout. The newest wins.
    Layout(Box<Layout>),
    /// Read the log.
    Log {
        /// Comes back in the report.
        id: u64,
        /// First version wanted.
        from: u64,
        /// Entries, at most.
        limit: usize,
    },
    /// Copy the store.
    Backup {
        /// Comes back in the report.
        id: u64,
        /// A file that is not there yet.
        to: PathBuf,
    },
}

/// store → control.
#[derive(Debug)]
pub enum StoreReport {
    /// Everything up to this version is durable.
    Committed {
        /// The last one.
        version: u64,
        /// What the commit took, ns.
        took_ns: u64,
    },
    /// Nothing can be committed, until [`StoreReport::Recovered`].
    Failed {
        /// This version and every later one that was sent with an older term is not done.
        version: u64,
        /// The term from now on.
        term: u64,
        /// What kind of failure.
        kind: FailureKind,
        /// For people.
        text: String,
    },
    /// Commits are possible again; the next one is `version` + 1. What was sent before this was heard is not done.
    Recovered {
        /// What the store holds.
        version: u64,
        /// The term from now on.
        term: u64,
        /// Entries that were reported as failed and are in the store after all, in order: apply them.
        late: Vec<Entry>,
    },
    /// A layout is kept.
    LayoutKept {
        /// Its tick.
        tick: u64,
    },
    /// The log that was asked for.
    Log {
        /// Of the order.
        id: u64,
        /// A page of it.
        outcome: Result<LogPage, StoreError>,
    },
    /// The end of a backup.
    BackedUp {
        /// Of the order.
        id: u64,
        /// How large it is.
        outcome: Result<BackupSize, StoreError>,
    },
}
