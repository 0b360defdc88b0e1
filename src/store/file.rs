//! The file of a store: looked at before SQLite does, made, connected to.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::lock::beside;
use super::{StoreError, schema};
use crate::base::open_file;

/// How long another program may hold the file before a write fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// First bytes of every SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or an empty file.
    Nothing,
    /// A database that is as long as it says.
    Database,
}

/// Looks at the file itself, so that what is wrong gets its own name and nothing is written to a file that is not ours.
///
/// Never on a file that this process has open through SQLite: closing a descriptor ends SQLite's locks on it.
pub(super) fn examine(path: &Path) -> Result<Found, StoreError> {
    let io = |error: std::io::Error| StoreError::io("reading", path, &error);
    let unsaved = wal_bytes(path) > 0 || beside(path, "-journal").exists();
    let (mut file, facts) = match open_file(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return match wal_bytes(path) {
                0 => Ok(Found::Nothing),
                _ => Err(StoreError::Orphan { path: path.to_owned() }),
            };
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            return Err(StoreError::NoFile { path: path.to_owned(), reason: error.to_string() });
        }
        Err(error) => return Err(io(error)),
    };
    if facts.nlink() > 1 {
        return Err(StoreError::Linked { path: path.to_owned(), names: facts.nlink() });
    }
    if facts.len() == 0 && !unsaved {
        return Ok(Found::Nothing);
    }
    let mut head = Vec::new();
    file.by_ref().take(100).read_to_end(&mut head).map_err(io)?;
    if head.get(..16) != Some(MAGIC.as_slice()) || head.len() < 100 {
        let cut = !head.is_empty() && MAGIC.starts_with(head.get(..16).unwrap_or(&head));
        return Err(match cut || head.is_empty() {
            true => StoreError::Truncated { path: path.to_owned(), expected: 4_096, found: facts.len() },
            false => StoreError::NotADatabase { path: path.to_owned() },
        });
    }
    // With a log beside it the file may be in the middle of being written, and SQLite knows how to go on.
    let expected = page_bytes(&head) * u64::from(word(&head, 28));
    if !unsaved && word(&head, 24) == word(&head, 92) && facts.len() < expected {
        return Err(StoreError::Truncated { path: path.to_owned(), expected, found: facts.len() });
    }
    Ok(Found::Database)
}

/// A big-endian word of the header; 0 past its end.
fn word(head: &[u8], at: usize) -> u32 {
    head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Bytes of a page, from the header: 1 stands for 65,536.
fn page_bytes(head: &[u8]) -> u64 {
    match word(head, 16) >> 16 {
        1 => 65_536,
        bytes => u64::from(bytes),
    }
}

/// Bytes of the write-ahead log; 0 after a clean end.
pub(super) fn wal_bytes(path: &Path) -> u64 {
    fs::metadata(beside(path, "-wal")).map_or(0, |facts| facts.len())
}

/// Makes an empty store. It gets its name when it is whole, so a crash in between leaves none.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let draft = beside(path, ".new");
    remove(&draft)?;
    let sqlite = |error| StoreError::sqlite("making", path, &error);
    let mut connection = Connection::open(&draft).map_err(sqlite)?;
    schema::create(&mut connection).map_err(sqlite)?;
    connection.close().map_err(|(_, error)| sqlite(error))?;
    install(&draft, path)
}

/// Gives a finished file its name, durably.
pub(super) fn install(draft: &Path, path: &Path) -> Result<(), StoreError> {
    let io = |error: std::io::Error| StoreError::io("writing", path, &error);
    File::open(draft).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(draft, path).map_err(io)?;
    match path.parent() {
        Some(folder) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(io),
        None => Ok(()),
    }
}

/// Removes a draft that a crash left, and what SQLite put beside it.
pub(super) fn remove(draft: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let file = beside(draft, suffix);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("removing", &file, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Connects for writing. After an unclean end the pages are checked.
///
/// Normal locks, not exclusive ones, so that `sqlite3 graph.db` and a backup work beside a running engine.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let unclean = wal_bytes(path) > 0;
    let sqlite = |error| StoreError::sqlite("opening", path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection
        .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = OFF")
        .map_err(sqlite)?;
    schema::verify(&connection, path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sqlite)?;
    if mode != "wal" {
        let reason = format!(
            "its file system has no shared memory for a write-ahead log (journal mode {mode}); choose a local disk"
        );
        return Err(StoreError::Io { doing: "opening", path: path.to_owned(), reason });
    }
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON; PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY",
        )
        .map_err(sqlite)?;
    if unclean {
        let wrong = schema::quick_check(&connection).map_err(sqlite)?;
        if !wrong.is_empty() {
            return Err(StoreError::Damaged { path: path.to_owned(), text: wrong.join("; ") });
        }
    }
    schema::upgrade(&mut connection).map_err(sqlite)?;
    Ok(connection)
}

/// Connects for reading, beside whoever writes.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let sqlite = |error| StoreError::sqlite("opening", path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON").map_err(sqlite)?;
    schema::verify(&connection, path)?;
    Ok(connection)
}
