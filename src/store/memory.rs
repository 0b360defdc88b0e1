//! The store of an engine that keeps nothing: the end of the log, in memory, for whoever follows it.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::{About, BackupJob, Entry, Layout, Loaded, LogPage, Store, StoreError};
use crate::graph::Graph;

/// Bytes of entries that are remembered, about.
const LOG_BYTES_MAX: usize = 16 << 20;

/// Entries that are remembered.
const LOG_ENTRIES_MAX: usize = 65_536;

/// Never fails, and is gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    log: VecDeque<Entry>,
    log_bytes: usize,
    version: u64,
    epoch: u32,
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        Ok(Loaded { version: self.version, epoch: self.epoch, ..Loaded::default() })
    }

    fn put_graph(&mut self, _: &Graph, about: &About) -> Result<(), StoreError> {
        (self.version, self.epoch) = (about.version, about.epoch);
        Ok(())
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        for (expected, entry) in (self.version + 1..).zip(entries) {
            if entry.version != expected {
                return Err(StoreError::Order { expected, found: entry.version });
            }
        }
        for entry in entries {
            (self.version, self.epoch) = (entry.version, entry.epoch);
            self.log_bytes += entry.bytes();
            self.log.push_back(entry.clone());
        }
        while self.log.len() > LOG_ENTRIES_MAX || self.log_bytes > LOG_BYTES_MAX && self.log.len() > 1 {
            let Some(oldest) = self.log.pop_front() else { break };
            self.log_bytes -= oldest.bytes();
        }
        Ok(())
    }

    fn read_log(&mut self, from: u64, limit: usize) -> Result<LogPage, StoreError> {
        let first = self.log.front().map_or(self.version + 1, |entry| entry.version);
        if from < first && from <= self.version {
            return Err(StoreError::Trimmed { from, first });
        }
        let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        Ok(LogPage { entries: self.log.iter().skip(skipped).take(limit).cloned().collect(), version: self.version })
    }

    fn put_layout(&mut self, _: &Layout, _: usize) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn checkpoint(&mut self, _: bool) -> Result<(), StoreError> {
        Ok(())
    }

    fn backup(&self, to: PathBuf) -> Result<BackupJob, StoreError> {
        let reason = "nothing is kept (--ephemeral), so there is nothing to copy".to_owned();
        Err(StoreError::Io { doing: "writing", path: to, reason })
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn place(&self) -> PathBuf {
        "memory".into()
    }
}
