//! The store in a SQLite file: rows of the graph, and the numbered log, changed in the same transaction.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::backup::BackupSize;
use super::load::{self, Counters};
use super::lock::{StoreLock, real_path};
use super::rows::{EdgeParts, Writer};
use super::{About, BackupJob, Entry, Layout, Loaded, LogPage, Store, StoreError, backup, file, layout};
use crate::graph::{Author, Change, Graph};
use crate::limits::{STORE_LOG_BYTES_MAX, STORE_LOG_ENTRIES_MAX, STORE_TRIM_MAX, STORE_WAL_BYTES};

/// Bytes of a log row beyond its texts, about.
const LOG_ROW_BYTES: u64 = 64;

/// The store of one file, which no other process writes while this lives.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// `None` between a failure and [`Store::reopen`].
    connection: Option<Connection>,
    counters: Counters,
    /// `PRAGMA data_version`: another number than before when somebody else wrote or made a checkpoint; SQLite does not say which.
    data_version: i64,
    /// Bytes of the write-ahead log at which the next checkpoint is due.
    checkpoint_bytes: u64,
    _lock: StoreLock,
}

impl SqliteStore {
    /// Opens the store at `path`, or makes an empty one. Its folder must be there. O(1) after a clean end, one read of the whole
    /// file after another one.
    ///
    /// # Errors
    /// Whatever keeps it from being this process's store: see [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let path = real_path(path)?;
        let lock = StoreLock::take(&path)?;
        if file::examine(&path)? == file::Found::Nothing {
            file::create(&path)?;
        }
        let connection = file::connect(&path)?;
        let mut store = Self {
            path,
            connection: None,
            counters: Counters::default(),
            data_version: 0,
            checkpoint_bytes: STORE_WAL_BYTES,
            _lock: lock,
        };
        store.take(connection)?;
        Ok(store)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn take(&mut self, connection: Connection) -> Result<(), StoreError> {
        self.counters = Counters::read(&connection, &self.path)?;
        self.data_version = data_version(&connection).map_err(|error| self.failed("opening", &error))?;
        self.connection = Some(connection);
        Ok(())
    }

    fn failed(&self, doing: &'static str, error: &rusqlite::Error) -> StoreError {
        StoreError::sqlite(doing, &self.path, error)
    }

    /// The connection, and the path for errors.
    fn parts(&mut self) -> Result<(&mut Connection, &Path, &mut Counters), StoreError> {
        let path = self.path.as_path();
        match self.connection.as_mut() {
            Some(connection) => Ok((connection, path, &mut self.counters)),
            None => Err(StoreError::Io {
                doing: "writing",
                path: path.to_owned(),
                reason: "it failed before and is not open again yet".to_owned(),
            }),
        }
    }

    /// Says once that somebody else wrote to the file: what he wrote counts from the next start on.
    fn note_outsiders(&mut self) {
        let Some(found) = self.connection.as_ref().and_then(|connection| data_version(connection).ok()) else { return };
        if found != self.data_version {
            self.data_version = found;
            tracing::warn!(
                "another program wrote to {}, or emptied its log; what it wrote is seen after the next start, unless it is overwritten before",
                self.path.display()
            );
        }
    }

    /// Drops the whole free space, after everything was moved to its place; for `compact`.
    pub(super) fn vacuum(&mut self) -> Result<(), StoreError> {
        let (connection, path, _) = self.parts()?;
        connection.execute_batch("VACUUM").map_err(|error| StoreError::sqlite("compacting", path, &error))?;
        self.checkpoint(true)
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let (connection, path, _) = self.parts()?;
        load::load(connection, path)
    }

    fn put_graph(&mut self, graph: &Graph, about: &About) -> Result<(), StoreError> {
        let (connection, path, counters) = self.parts()?;
        let sqlite = |error| StoreError::sqlite("writing", path, &error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let taken: bool = transaction
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM node) OR EXISTS (SELECT 1 FROM edge) OR EXISTS (SELECT 1 FROM log)",
                [],
                |row| row.get(0),
            )
            .map_err(sqlite)?;
        if taken {
            return Err(StoreError::NotEmpty { path: path.to_owned() });
        }
        put_rows(&transaction, graph).map_err(sqlite)?;
        let (next_node_id, next_edge_id) = graph.next_ids();
        let after =
            Counters { version: about.version, epoch: about.epoch, next_node_id, next_edge_id, ..Counters::default() };
        note(&transaction, counters, &after).map_err(sqlite)?;
        for (key, value) in [("name", &about.name), ("source", &about.source)] {
            transaction.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![key, value]).map_err(sqlite)?;
        }
        transaction.commit().map_err(sqlite)?;
        *counters = after;
        // The whole graph is in the write-ahead log now, and every later read would look there first.
        self.checkpoint(true)
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        self.note_outsiders();
        let (connection, path, counters) = self.parts()?;
        let sqlite = |error| StoreError::sqlite("writing", path, &error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let mut after = *counters;
        for entry in entries {
            let expected = after.version + 1;
            if entry.version != expected {
                return Err(StoreError::Order { expected, found: entry.version });
            }
            after.version = expected;
        }
        write(&transaction, entries, &mut after).map_err(sqlite)?;
        trim(&transaction, &mut after).map_err(sqlite)?;
        note(&transaction, counters, &after).map_err(sqlite)?;
        transaction.commit().map_err(sqlite)?;
        *counters = after;
        Ok(())
    }

    fn read_log(&mut self, from: u64, limit: usize) -> Result<LogPage, StoreError> {
        let (connection, path, counters) = self.parts()?;
        load::read_log(connection, path, counters, from, limit)
    }

    fn put_layout(&mut self, layout: &Layout, part: usize) -> Result<bool, StoreError> {
        let (connection, path, counters) = self.parts()?;
        let sqlite = |error| StoreError::sqlite("writing", path, &error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let more = layout::put(&transaction, layout, part).map_err(sqlite)?;
        // An epoch in which nothing was committed was used all the same.
        let after = Counters { epoch: counters.epoch.max(layout.epoch), ..*counters };
        note(&transaction, counters, &after).map_err(sqlite)?;
        transaction.commit().map_err(sqlite)?;
        *counters = after;
        Ok(more)
    }

    fn checkpoint(&mut self, idle: bool) -> Result<(), StoreError> {
        let bytes = file::wal_bytes(&self.path);
        if bytes == 0 || !idle && bytes < self.checkpoint_bytes {
            return Ok(());
        }
        let (connection, path, _) = self.parts()?;
        let sqlite = |error| StoreError::sqlite("writing", path, &error);
        // A reader may keep the log from being emptied; it is not waited for.
        let wait = |ms: u32| connection.pragma_update(None, "busy_timeout", ms);
        wait(0).map_err(sqlite)?;
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        wait(5_000).map_err(sqlite)?;
        let left = if busy.map_err(sqlite)? { file::wal_bytes(path) } else { 0 };
        self.checkpoint_bytes = left + STORE_WAL_BYTES;
        Ok(())
    }

    fn backup(&self, to: PathBuf) -> Result<BackupJob, StoreError> {
        let from = self.path.clone();
        Ok(Box::new(move || -> Result<BackupSize, StoreError> { backup::copy(&from, &to) }))
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        // Closed as always: what was committed goes to its place, and what a failed write left behind it in the log goes with
        // the log. When that fails the log stays, and is read again below.
        drop(self.connection.take());
        let connection = file::connect(&self.path)?;
        self.take(connection)?;
        // A write whose fsync failed may look committed from here, while the disk has none of it. Writing everything to its place,
        // with an fsync of that, makes true what this store says it has.
        self.checkpoint(true)?;
        match file::wal_bytes(&self.path) {
            0 => Ok(()),
            _ => {
                self.connection = None;
                Err(StoreError::Busy { doing: "recovering", path: self.path.clone() })
            }
        }
    }

    fn version(&self) -> u64 {
        self.counters.version
    }

    fn place(&self) -> PathBuf {
        self.path.clone()
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

fn put_rows(transaction: &Transaction<'_>, graph: &Graph) -> rusqlite::Result<()> {
    let mut writer = Writer::new(transaction)?;
    for node in graph.nodes() {
        writer.put_node(node)?;
    }
    for edge in graph.edges() {
        let (Some(source), Some(target)) = (graph.node(edge.source), graph.node(edge.target)) else { continue };
        writer.put_edge(&EdgeParts {
            id: edge.id,
            source: source.id,
            target: target.id,
            weight: edge.weight,
            directed: edge.directed,
            relation: edge.relation.as_deref(),
            label: edge.label(),
            attributes: edge.attributes(),
        })?;
    }
    Ok(())
}

/// Rows and log of `entries`; the counters follow.
fn write(transaction: &Transaction<'_>, entries: &[Entry], after: &mut Counters) -> rusqlite::Result<()> {
    let mut writer = Writer::new(transaction)?;
    let mut log = transaction.prepare_cached("INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    let mut set = transaction.prepare_cached("INSERT OR REPLACE INTO setting VALUES (?1, ?2)")?;
    let mut unset = transaction.prepare_cached("DELETE FROM setting WHERE path = ?1")?;
    let text = |given: serde_json::Result<String>| {
        given.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    };
    for entry in entries {
        for change in entry.changes.iter() {
            match change {
                Change::PutNode(node) => writer.put_node(node)?,
                Change::RemoveNode(id) => writer.remove_node(*id)?,
                Change::PutEdge(edge) => writer.put_edge(&EdgeParts::from(edge))?,
                Change::RemoveEdge(id) => writer.remove_edge(*id)?,
            }
            match change {
                Change::PutNode(node) => after.next_node_id = after.next_node_id.max(node.id.get() + 1),
                Change::RemoveNode(id) => after.next_node_id = after.next_node_id.max(id.get() + 1),
                Change::PutEdge(edge) => after.next_edge_id = after.next_edge_id.max(edge.id.0.saturating_add(1)),
                Change::RemoveEdge(id) => after.next_edge_id = after.next_edge_id.max(id.0.saturating_add(1)),
            }
        }
        for (path, value) in &entry.settings {
            match value.as_ref().filter(|value| !value.is_null()) {
                Some(value) => set.execute(params![path, value.to_string()])?,
                None => unset.execute([path])?,
            };
        }
        let changes = text(serde_json::to_string(&*entry.changes))?;
        let settings = match entry.settings.is_empty() {
            true => None,
            false => Some(text(serde_json::to_string(&SettingsText(&entry.settings)))?),
        };
        let answer = entry.idempotency_key.as_ref().map(|_| &*entry.answer);
        let (version, at) = (entry.version as i64, entry.at_unix_ms as i64);
        let Author { principal, name, why } = &entry.author;
        let key = &entry.idempotency_key;
        log.execute(params![version, entry.epoch, at, principal, key, changes, settings, answer, name, why])?;
        after.epoch = after.epoch.max(entry.epoch);
        let texts =
            entry.author.bytes() + changes.len() + settings.map_or(0, |text| text.len()) + answer.map_or(0, str::len);
        after.log_bytes += texts as u64 + LOG_ROW_BYTES;
        if after.log_first == 0 {
            after.log_first = entry.version;
        }
    }
    Ok(())
}

/// Settings of an entry as a JSON object.
struct SettingsText<'run>(&'run [(Box<str>, Option<serde_json::Value>)]);

impl serde::Serialize for SettingsText<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(path, value)| (path, value)))
    }
}

/// Drops the oldest entries beyond the bounds of the log, some at a time, and never the newest.
fn trim(transaction: &Transaction<'_>, after: &mut Counters) -> rusqlite::Result<()> {
    let entries = after.version + 1 - after.log_first;
    let over = entries.saturating_sub(STORE_LOG_ENTRIES_MAX).min(STORE_TRIM_MAX);
    if over == 0 && after.log_bytes <= STORE_LOG_BYTES_MAX {
        return Ok(());
    }
    let mut statement = transaction.prepare_cached(
        "DELETE FROM log WHERE version = ?1
         RETURNING octet_length(changes) + coalesce(octet_length(settings), 0) + coalesce(octet_length(answer), 0)
             + octet_length(author) + coalesce(octet_length(name), 0) + coalesce(octet_length(why), 0)",
    )?;
    for dropped in 0..STORE_TRIM_MAX {
        if dropped >= over && after.log_bytes <= STORE_LOG_BYTES_MAX || after.log_first >= after.version {
            break;
        }
        // A row that somebody took out by hand is no reason to fail.
        let texts: Option<i64> = statement.query_row([after.log_first as i64], |row| row.get(0)).optional()?;
        let texts = texts.unwrap_or_default();
        after.log_bytes = after.log_bytes.saturating_sub(texts as u64 + LOG_ROW_BYTES);
        after.log_first += 1;
    }
    Ok(())
}

/// Writes the counters that are otherwise than before.
fn note(transaction: &Transaction<'_>, before: &Counters, after: &Counters) -> rusqlite::Result<()> {
    let all = [
        ("version", before.version, after.version),
        ("epoch", before.epoch.into(), after.epoch.into()),
        ("next_node_id", before.next_node_id.into(), after.next_node_id.into()),
        ("next_edge_id", before.next_edge_id.into(), after.next_edge_id.into()),
        ("log_bytes", before.log_bytes, after.log_bytes),
    ];
    let mut statement = transaction.prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?;
    for (key, _, value) in all.into_iter().filter(|(_, before, after)| before != after) {
        statement.execute(params![key, value.to_string()])?;
    }
    Ok(())
}
