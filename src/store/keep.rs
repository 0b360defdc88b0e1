//! The trait that stands between the engine and what keeps its graph.

use std::path::PathBuf;

use super::{About, BackupSize, Entry, Layout, Loaded, LogPage, StoreError};
use crate::graph::Graph;

/// A backup that is ready to be made, on any thread.
pub type BackupJob = Box<dyn FnOnce() -> Result<BackupSize, StoreError> + Send>;

/// Keeps one graph. Called by one thread at a time; what answers `Ok` is durable.
pub trait Store: Send {
    /// Everything there is.
    ///
    /// # Errors
    /// What cannot be read, and rows that no graph can have.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Puts a whole graph into an empty store, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`]; what cannot be written.
    fn put_graph(&mut self, graph: &Graph, about: &About) -> Result<(), StoreError>;

    /// Commits `entries`, all or nothing, whose versions follow [`Store::version`] without gaps.
    ///
    /// # Errors
    /// [`StoreError::Order`]; what cannot be written. After any error call [`Store::reopen`] before anything else is written.
    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError>;

    /// The log from version `from` on: at most `limit` entries, and about
    /// [`crate::limits::STORE_PAGE_BYTES_MAX`] bytes, but one when there is one.
    ///
    /// # Errors
    /// [`StoreError::Trimmed`] when it begins later; what cannot be read.
    fn read_log(&mut self, from: u64, limit: usize) -> Result<LogPage, StoreError>;

    /// Writes part `part` of a layout, from 0 on. True while there is another part; the layout counts when there is none. Until
    /// then the one before it does.
    ///
    /// # Errors
    /// What cannot be written.
    fn put_layout(&mut self, layout: &Layout, part: usize) -> Result<bool, StoreError>;

    /// Moves what was committed to its place, when enough has gathered; with `idle`, whatever there is.
    ///
    /// # Errors
    /// What cannot be written. Nothing is lost by it.
    fn checkpoint(&mut self, idle: bool) -> Result<(), StoreError>;

    /// What makes a copy of the whole at `to`, while commits go on.
    ///
    /// # Errors
    /// When this store is kept nowhere.
    fn backup(&self, to: PathBuf) -> Result<BackupJob, StoreError>;

    /// Lets go of the file and opens it again, after an error. What is there when this answers `Ok` is durable; see
    /// [`Store::version`].
    ///
    /// # Errors
    /// Whatever keeps it from being opened. Try again later.
    fn reopen(&mut self) -> Result<(), StoreError>;

    /// Version of the last entry that is in the store.
    fn version(&self) -> u64;

    /// What it is called in messages: the file.
    fn place(&self) -> PathBuf;
}
