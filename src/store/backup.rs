//! Copies of a store: made while it is in use, brought back, and a store made small.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::lock::{StoreLock, beside, real_path};
use super::{SqliteStore, Store, StoreError, check, file, schema};

/// Pause before another try when the source is just being written.
const RETRY: Duration = Duration::from_millis(20);

/// A finished copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupSize {
    /// Version of the graph in it.
    pub version: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What `compact` saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactSize {
    /// Bytes of the file before.
    pub before: u64,
    /// And after.
    pub after: u64,
}

/// Copies the store at `from` to `to`, a file that is not there yet. Works beside a running engine: the copy is the store at one
/// moment, and nobody waits for it.
///
/// # Errors
/// When there is no store, something is at `to` already, or the copy cannot be written or does not check out.
pub fn backup(from: &Path, to: &Path) -> Result<BackupSize, StoreError> {
    let from = existing(from)?;
    file::examine(&from)?;
    copy(&from, to)
}

/// As [`backup`], from a file that this process may have open. Two at once have two names for `to`: their drafts would be one file.
pub(super) fn copy(from: &Path, to: &Path) -> Result<BackupSize, StoreError> {
    let to = real_path(to)?;
    if to.exists() {
        return Err(StoreError::Exists { path: to, way_out: ": name a file that is not there yet" });
    }
    let source = file::connect_to_read(from)?;
    let draft = beside(&to, ".part");
    let size = copy_to(&source, &draft).and_then(|size| file::install(&draft, &to).map(|()| size));
    if size.is_err() {
        let _ = file::remove(&draft);
    }
    size
}

/// Writes the whole of `source` to the new file `draft`, and reads it once more.
fn copy_to(source: &Connection, draft: &Path) -> Result<BackupSize, StoreError> {
    file::remove(draft)?;
    let sqlite = |error| StoreError::sqlite("writing", draft, &error);
    let mut copy = Connection::open(draft).map_err(sqlite)?;
    {
        let work = Backup::new(source, &mut copy).map_err(sqlite)?;
        // In one step: the source is read as of one moment, and whoever writes it meanwhile is not waited for.
        while work.step(-1).map_err(sqlite)? != StepResult::Done {
            std::thread::sleep(RETRY);
        }
    }
    // One file that stands for itself, also in a folder that cannot be written.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(sqlite)?;
    schema::verify(&copy, draft)?;
    let wrong = schema::quick_check(&copy).map_err(sqlite)?;
    if !wrong.is_empty() {
        return Err(StoreError::Damaged { path: draft.to_owned(), text: wrong.join("; ") });
    }
    let version = super::load::Counters::read(&copy, draft)?.version;
    copy.close().map_err(|(_, error)| sqlite(error))?;
    let facts = fs::metadata(draft).map_err(|error| StoreError::io("reading", draft, &error))?;
    Ok(BackupSize { version, bytes: facts.len() })
}

/// Puts the backup `from` in place of the store `to`. A store that is there is kept beside it under another name, which is in the
/// answer, and only with `force`.
///
/// # Errors
/// When the backup does not check out, the store is in use or there, or a file cannot be written. Nothing is changed then.
pub fn restore(from: &Path, to: &Path, force: bool) -> Result<(BackupSize, Option<PathBuf>), StoreError> {
    let (from, to) = (existing(from)?, real_path(to)?);
    let found = check(&from)?;
    if let Some(first) = found.problems.first() {
        return Err(StoreError::Damaged { path: from, text: first.clone() });
    }
    let lock = StoreLock::take(&to)?;
    let taken = ["", "-wal"].iter().any(|suffix| beside(&to, suffix).exists());
    if taken && !force {
        let way_out = ": --force puts the backup in its place and keeps it under another name";
        return Err(StoreError::Exists { path: to, way_out });
    }
    let draft = beside(&to, ".new");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source =
        Connection::open_with_flags(&from, flags).map_err(|error| StoreError::sqlite("reading", &from, &error))?;
    let size = copy_to(&source, &draft)?;
    let kept = if taken { Some(set_aside(&to)?) } else { None };
    file::install(&draft, &to)?;
    drop(lock);
    Ok((size, kept))
}

/// Gives the store another name, with what belongs to it.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let names = (0..).map(|count: u32| match count {
        0 => beside(path, &format!(".{now}")),
        more => beside(path, &format!(".{now}-{more}")),
    });
    let mut free = names.filter(|name| !name.exists());
    let aside = free.next().unwrap_or_else(|| beside(path, ".old"));
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (beside(path, suffix), beside(&aside, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("renaming", &from, &error));
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// Gives the free space of the store at `path` back to the system. The store must not be in use, and the disk needs room for a
/// copy of it.
///
/// # Errors
/// As opening it; and when it cannot be written.
pub fn compact(path: &Path) -> Result<CompactSize, StoreError> {
    let path = existing(path)?;
    let bytes =
        || fs::metadata(&path).map(|facts| facts.len()).map_err(|error| StoreError::io("reading", &path, &error));
    let mut store = SqliteStore::open(&path)?;
    store.checkpoint(true)?;
    let before = bytes()?;
    store.vacuum()?;
    drop(store);
    Ok(CompactSize { before, after: bytes()? })
}

/// The path without links of a file that is there.
pub(super) fn existing(path: &Path) -> Result<PathBuf, StoreError> {
    let real = real_path(path).map_err(|_| StoreError::Absent { path: path.to_owned() })?;
    // A file that is gone while its log is there gets a better answer later.
    match real.exists() || file::wal_bytes(&real) > 0 {
        true => Ok(real),
        false => Err(StoreError::Absent { path: real }),
    }
}
