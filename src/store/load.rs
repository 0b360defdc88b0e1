//! A store as it is read at start, and a part of its log.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row, Statement};

use super::backup::existing;
use super::{Entry, Loaded, LogPage, Retry, StoreError, file, layout, rows, schema};
use crate::graph::Author;
use crate::limits::{STORE_PAGE_BYTES_MAX, STORE_RETRIES_MAX};

/// What [`super::sqlite`] keeps in memory of `meta`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) version: u64,
    pub(super) epoch: u32,
    pub(super) next_node_id: u32,
    pub(super) next_edge_id: u32,
    /// Bytes of the log's texts.
    pub(super) log_bytes: u64,
    /// Its oldest version; 0 when it is empty.
    pub(super) log_first: u64,
}

impl Counters {
    pub(super) fn read(connection: &Connection, path: &Path) -> Result<Self, StoreError> {
        let sqlite = |error| StoreError::sqlite("reading", path, &error);
        let number = |key: &str| {
            let wrong =
                |reason: String| StoreError::Row { path: path.to_owned(), table: "meta", id: key.to_owned(), reason };
            let text: String = connection
                .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
                .map_err(|error| wrong(error.to_string()))?;
            text.parse::<u64>().map_err(|error| wrong(format!("{error}, found {text:?}")))
        };
        let small = |key| number(key).map(|found| u32::try_from(found).unwrap_or(u32::MAX));
        let (first, last): (Option<i64>, Option<i64>) = connection
            .query_row("SELECT (SELECT min(version) FROM log), (SELECT max(version) FROM log)", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(sqlite)?;
        // Whoever adds a row by hand need not know of the counters.
        let past = |table: &str| {
            connection
                .query_row(&format!("SELECT coalesce(max(id) + 1, 0) FROM {table}"), [], |row| row.get::<_, i64>(0))
        };
        let past_node = u32::try_from(past("node").map_err(sqlite)?).unwrap_or(u32::MAX);
        let past_edge = u32::try_from(past("edge").map_err(sqlite)?).unwrap_or(u32::MAX);
        Ok(Self {
            version: number("version")?.max(last.map_or(0, |last| last as u64)),
            epoch: small("epoch")?,
            next_node_id: small("next_node_id")?.max(past_node),
            next_edge_id: small("next_edge_id")?.max(past_edge),
            log_bytes: number("log_bytes")?,
            log_first: first.map_or(0, |first| first as u64),
        })
    }
}

/// Everything that the store at `path` has, also beside a running engine.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub fn read(path: &Path) -> Result<Loaded, StoreError> {
    let path = existing(path)?;
    file::examine(&path)?;
    load(&file::connect_to_read(&path)?, &path)
}

/// The settings that the store at `path` has, by path; also beside a running engine, which does not notice.
///
/// # Errors
/// As [`read`].
pub fn read_settings(path: &Path) -> Result<Vec<(Box<str>, serde_json::Value)>, StoreError> {
    let path = existing(path)?;
    if file::examine(&path)? == file::Found::Nothing {
        return Ok(Vec::new());
    }
    all(&file::connect_to_read(&path)?, &path, "setting", SETTINGS, setting)
}

const SETTINGS: &str = "SELECT path, value FROM setting ORDER BY path";

/// Everything, as of one moment.
pub(super) fn load(connection: &Connection, path: &Path) -> Result<Loaded, StoreError> {
    let sqlite = |error| StoreError::sqlite("reading", path, &error);
    let moment = connection.unchecked_transaction().map_err(sqlite)?;
    let counters = Counters::read(&moment, path)?;
    let node_columns = format!("SELECT {} FROM node ORDER BY id", rows::NODE_COLUMNS);
    let edge_columns = format!("SELECT {} FROM edge ORDER BY id", rows::EDGE_COLUMNS);
    let (layout, damaged) = layout::load(&moment).map_err(sqlite)?;
    for reason in damaged {
        tracing::warn!("{}: {reason}; the one before it is taken", path.display());
    }
    let loaded = Loaded {
        about: about(&moment).map_err(sqlite)?,
        version: counters.version,
        epoch: counters.epoch,
        next_node_id: counters.next_node_id,
        next_edge_id: counters.next_edge_id,
        nodes: all(&moment, path, "node", &node_columns, rows::node)?,
        edges: all(&moment, path, "edge", &edge_columns, rows::edge)?,
        settings: all(&moment, path, "setting", SETTINGS, setting)?,
        layout,
        retries: retries(&moment).map_err(sqlite)?,
        log_first: (counters.log_first > 0).then_some(counters.log_first),
    };
    moment.finish().map_err(sqlite)?;
    Ok(loaded)
}

/// Every row of a query, or the first that is wrong.
fn all<T>(
    connection: &Connection,
    path: &Path,
    table: &'static str,
    query: &str,
    read: fn(&Row<'_>) -> Result<T, String>,
) -> Result<Vec<T>, StoreError> {
    let sqlite = |error| StoreError::sqlite("reading", path, &error);
    let mut statement = connection.prepare(query).map_err(sqlite)?;
    let mut found = statement.query([]).map_err(sqlite)?;
    let mut all = Vec::new();
    while let Some(row) = found.next().map_err(sqlite)? {
        all.push(read(row).map_err(|reason| {
            let id = row.get_ref(0).map(|id| match id {
                rusqlite::types::ValueRef::Integer(id) => id.to_string(),
                other => format!("{:?}", other.as_str().unwrap_or_default()),
            });
            StoreError::Row { path: path.to_owned(), table, id: id.unwrap_or_default(), reason }
        })?);
    }
    Ok(all)
}

fn setting(row: &Row<'_>) -> Result<(Box<str>, serde_json::Value), String> {
    let path: Box<str> = row.get(0).map_err(|error| error.to_string())?;
    let text: String = row.get(1).map_err(|error| error.to_string())?;
    Ok((path, serde_json::from_str(&text).map_err(|error| format!("value: {error}"))?))
}

fn about(connection: &Connection) -> rusqlite::Result<Option<(Box<str>, Box<str>)>> {
    let mut statement = connection.prepare("SELECT key, value FROM meta WHERE key IN ('name', 'source')")?;
    let mut rows = statement.query([])?;
    let (mut name, mut source) = (None, "".into());
    while let Some(row) = rows.next()? {
        match row.get_ref(0)?.as_str()? {
            "name" => name = Some(row.get(1)?),
            _ => source = row.get(1)?,
        }
    }
    Ok(name.map(|name| (name, source)))
}

fn retries(connection: &Connection) -> rusqlite::Result<Vec<Retry>> {
    let mut statement = connection.prepare(
        "SELECT idempotency_key, version, at_unix_ms, author, coalesce(answer, '') FROM log INDEXED BY log_retry
         WHERE idempotency_key IS NOT NULL ORDER BY version DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([STORE_RETRIES_MAX], |row| {
        Ok(Retry {
            key: row.get(0)?,
            version: row.get::<_, i64>(1)? as u64,
            at_unix_ms: row.get::<_, i64>(2)? as u64,
            author: row.get(3)?,
            answer: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// A row of the log, of [`schema::entry_columns`].
pub(super) fn entry(row: &Row<'_>) -> Result<Entry, String> {
    let number = |column: usize| row.get::<_, i64>(column).map(|found| found as u64).map_err(|error| error.to_string());
    let text = |column: usize| row.get::<_, Option<Box<str>>>(column).map_err(|error| error.to_string());
    let changes = row.get_ref(5).map_err(|error| error.to_string())?;
    let changes = changes.as_str().map_err(|error| format!("changes: {error}"))?;
    let changes: Vec<crate::graph::Change> =
        serde_json::from_str(changes).map_err(|error| format!("changes: {error}"))?;
    let mut settings = Vec::new();
    if let Some(given) = text(6)? {
        let given: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&given).map_err(|error| format!("settings: {error}"))?;
        settings.extend(given.into_iter().map(|(path, value)| (path.into(), (!value.is_null()).then_some(value))));
    }
    Ok(Entry {
        version: number(0)?,
        epoch: number(1)? as u32,
        at_unix_ms: number(2)?,
        author: Author { principal: text(3)?.unwrap_or_default(), name: text(8)?, why: text(9)? },
        idempotency_key: text(4)?,
        changes: Arc::from(changes),
        settings,
        answer: text(7)?.unwrap_or_default(),
    })
}

/// As [`super::Store::read_log`].
pub(super) fn read_log(
    connection: &Connection,
    path: &Path,
    counters: &Counters,
    from: u64,
    limit: usize,
) -> Result<LogPage, StoreError> {
    let version = counters.version;
    if from > version || limit == 0 {
        return Ok(LogPage { entries: Vec::new(), version });
    }
    let first = if counters.log_first == 0 { version + 1 } else { counters.log_first };
    if from < first {
        return Err(StoreError::Trimmed { from, first });
    }
    let sqlite = |error| StoreError::sqlite("reading", path, &error);
    let columns = schema::entry_columns(connection).map_err(sqlite)?;
    let query = format!("SELECT {columns} FROM log WHERE version >= ?1 ORDER BY version LIMIT ?2");
    let mut statement: Statement<'_> = connection.prepare(&query).map_err(sqlite)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query([i64::try_from(from).unwrap_or(i64::MAX), limit]).map_err(sqlite)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(sqlite)? {
        bytes += row.get_ref(5).ok().and_then(|text| text.as_bytes().ok().map(<[u8]>::len)).unwrap_or_default();
        if bytes > STORE_PAGE_BYTES_MAX && !entries.is_empty() {
            break;
        }
        entries.push(entry(row).map_err(|reason| {
            let id = row.get::<_, i64>(0).unwrap_or_default().to_string();
            StoreError::Row { path: path.to_owned(), table: "log", id, reason }
        })?);
    }
    Ok(LogPage { entries, version })
}
