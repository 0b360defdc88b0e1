//! The tables of a store, and how a file shows that it has them.

use std::borrow::Cow;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// `Swrm`: in the header of every store, so that `file` and we know whose it is.
pub(super) const APPLICATION_ID: i32 = 0x5377_726d;

/// Counts up when [`SQL`] changes. 1 had no [`NEW_IN_2`].
pub(super) const FORMAT: i32 = 2;

/// What each row of the log says of its author since format 2, as the table names it.
const NEW_IN_2: &str = ", name TEXT, why TEXT";

/// One statement a line. No index but that on retries, and no foreign key is enforced: each costs a seek per row that is written,
/// the graph was checked before, and is again when it is read.
pub(super) const SQL: &str = include_str!("schema.sql");

/// Numbers that [`super::sqlite`] keeps in `meta`.
pub(super) const COUNTERS: [&str; 5] = ["version", "epoch", "next_node_id", "next_edge_id", "log_bytes"];

/// Makes the tables of an empty store, in one transaction.
pub(super) fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.execute_batch(SQL)?;
    for counter in COUNTERS {
        transaction.execute("INSERT INTO meta VALUES (?1, '0')", [counter])?;
    }
    transaction.commit()
}

/// A line of [`SQL`] as a format had it.
fn of_format(line: &str, format: i32) -> Cow<'_, str> {
    if format < 2 && line.contains(" log ") { line.replace(NEW_IN_2, "").into() } else { line.into() }
}

/// Brings a store of an older format, which was verified, to this one, in one transaction. O(1): no row is touched.
pub(super) fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))? < 2 {
        for column in NEW_IN_2.split(", ").filter(|column| !column.is_empty()) {
            transaction.execute_batch(&format!("ALTER TABLE log ADD COLUMN {column}"))?;
        }
        let view = SQL.lines().find(|line| line.starts_with("CREATE VIEW history")).unwrap_or_default();
        transaction.execute_batch(&format!("DROP VIEW IF EXISTS history; {view}"))?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    transaction.commit()
}

/// The columns that [`super::load::entry`] reads, of a store of any format.
pub(super) fn entry_columns(connection: &Connection) -> rusqlite::Result<String> {
    let format = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))?;
    let author = if format < 2 { "NULL, NULL" } else { "name, why" };
    Ok(format!("version, epoch, at_unix_ms, author, idempotency_key, changes, settings, answer, {author}"))
}

/// Whether the file is a store that this version reads, with its tables and no triggers: a trigger of a file that came from
/// elsewhere would run with every change.
pub(super) fn verify(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let sqlite = |error| StoreError::sqlite("opening", path, &error);
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(sqlite);
    let (application_id, format) = (number("application_id")?, number("user_version")?);
    if application_id != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned(), application_id });
    }
    if format > FORMAT {
        return Err(StoreError::Newer { path: path.to_owned(), found: format, known: FORMAT });
    }
    let damaged = |text: String| StoreError::Damaged { path: path.to_owned(), text };
    if format < 1 {
        return Err(damaged(format!("it says that its format is {format}, which no version wrote")));
    }
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema").map_err(sqlite)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(sqlite)?;
    let found = rows.collect::<Result<Vec<(String, String, Option<String>)>, _>>().map_err(sqlite)?;
    if let Some((_, name, _)) = found.iter().find(|(kind, ..)| kind == "trigger") {
        return Err(damaged(format!("it has a trigger, {name}, and a store has none")));
    }
    for line in SQL.lines().filter(|line| line.starts_with("CREATE TABLE")) {
        let wanted = of_format(line, format);
        let wanted = wanted.trim_end_matches(';');
        if !found.iter().any(|(_, _, sql)| sql.as_deref() == Some(wanted)) {
            let name = wanted.split_whitespace().nth(2).unwrap_or_default();
            return Err(damaged(format!("its table {name} is not as it was made")));
        }
    }
    Ok(())
}

/// What SQLite finds wrong with its own structures; empty is well. Reads the whole file.
pub(super) fn quick_check(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA quick_check(20)")?;
    let found = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}
