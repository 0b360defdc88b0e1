//! Looks for everything that could be wrong with a store.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::backup::existing;
use super::load::{self, Counters};
use super::{StoreError, file, layout, rows, schema};
use crate::graph::{Change, EdgeRow, Node, NodeId};

/// Problems that are listed; there may be more.
const PROBLEMS_MAX: usize = 20;

/// What a store holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The file.
    pub path: PathBuf,
    /// Nodes.
    pub nodes: usize,
    /// Edges.
    pub edges: usize,
    /// Batches committed.
    pub version: u64,
    /// Oldest and newest version in the log.
    pub log: Option<(u64, u64)>,
    /// Tick of the newest layout that is whole.
    pub layout_tick: Option<u64>,
    /// What keeps it from being served as it is, the first twenty.
    pub problems: Vec<String>,
    /// What is odd, and does no harm.
    pub notes: Vec<String>,
}

impl CheckReport {
    fn problem(&mut self, text: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text);
        }
    }

    fn note(&mut self, text: String) {
        if self.notes.len() < PROBLEMS_MAX {
            self.notes.push(text);
        }
    }
}

/// Checks the store at `path`, also beside a running engine: pages, every row, that edges end at nodes, keys and ids, the log
/// without gaps, and that log and rows say the same.
///
/// # Errors
/// When there is nothing to check: no store, or one that cannot be opened.
pub fn check(path: &Path) -> Result<CheckReport, StoreError> {
    let path = existing(path)?;
    file::examine(&path)?;
    let connection = file::connect_to_read(&path)?;
    let sqlite = |error| StoreError::sqlite("reading", &path, &error);
    let moment = connection.unchecked_transaction().map_err(sqlite)?;
    let mut report = CheckReport {
        path: path.clone(),
        problems: schema::quick_check(&moment).map_err(sqlite)?,
        ..CheckReport::default()
    };
    if !report.problems.is_empty() {
        // What is read from damaged pages would only repeat it.
        return Ok(report);
    }
    let counters = match Counters::read(&moment, &path) {
        Ok(counters) => counters,
        Err(error) => {
            report.problem(error.to_string());
            Counters::default()
        }
    };
    report.version = counters.version;
    graph(&moment, &counters, &mut report).map_err(sqlite)?;
    settings(&moment, &mut report).map_err(sqlite)?;
    log(&moment, &counters, &mut report).map_err(sqlite)?;
    let (kept, damaged) = layout::load(&moment).map_err(sqlite)?;
    report.layout_tick = kept.map(|layout| layout.tick);
    damaged.into_iter().for_each(|reason| report.note(format!("{reason}: the one before it is taken")));
    moment.finish().map_err(sqlite)?;
    Ok(report)
}

fn graph(connection: &Connection, counters: &Counters, report: &mut CheckReport) -> rusqlite::Result<()> {
    let mut ids = HashSet::new();
    let mut keys = HashSet::new();
    let mut statement = connection.prepare(&format!("SELECT {} FROM node ORDER BY id", rows::NODE_COLUMNS))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        report.nodes += 1;
        match rows::node(row) {
            Ok(node) => {
                ids.insert(node.id);
                if !keys.insert(node.key.clone()) {
                    report.problem(format!("node {}: another one has its key {:?}", node.id.get(), node.key));
                }
            }
            Err(reason) => {
                // It is there for the edges, which are not what is wrong.
                ids.extend(row.get(0).ok().and_then(NodeId::new));
                report.problem(format!("node {}: {reason}", id_text(row)));
            }
        }
    }
    let mut statement = connection.prepare(&format!("SELECT {} FROM edge ORDER BY id", rows::EDGE_COLUMNS))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        report.edges += 1;
        match rows::edge(row) {
            Ok(edge) => {
                for (name, end) in [("source", edge.source), ("target", edge.target)] {
                    if !ids.contains(&end) {
                        report.problem(format!("edge {}: its {name}, node {}, is not there", edge.id.0, end.get()));
                    }
                }
            }
            Err(reason) => report.problem(format!("edge {}: {reason}", id_text(row))),
        }
    }
    // An id below the counter is never dealt again; above it, it would be dealt twice. A start mends that.
    for (table, counter, next) in
        [("node", "next_node_id", counters.next_node_id), ("edge", "next_edge_id", counters.next_edge_id)]
    {
        let noted: String =
            connection.query_row("SELECT value FROM meta WHERE key = ?1", [counter], |row| row.get(0))?;
        if noted != next.to_string() {
            report.note(format!(
                "{table} ids go up to {} and meta says {counter} = {noted}: rows were added by hand",
                i64::from(next) - 1
            ));
        }
    }
    Ok(())
}

fn id_text(row: &rusqlite::Row<'_>) -> String {
    match row.get_ref(0) {
        Ok(ValueRef::Integer(id)) => id.to_string(),
        _ => "?".to_owned(),
    }
}

fn settings(connection: &Connection, report: &mut CheckReport) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT path, value FROM setting")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let (path, value): (String, String) = (row.get(0)?, row.get(1)?);
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&value) {
            report.problem(format!("setting {path:?}: value: {error}"));
        }
    }
    Ok(())
}

/// The log from its newest entry back: what it says last of a node or an edge is what the rows say.
fn log(connection: &Connection, counters: &Counters, report: &mut CheckReport) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare(&format!("SELECT {} FROM log ORDER BY version DESC", schema::entry_columns(connection)?))?;
    let mut found = statement.query([])?;
    let mut look = Look::new(connection)?;
    let (mut nodes, mut edges) = (HashSet::new(), HashSet::new());
    let mut due = counters.version;
    while let Some(row) = found.next()? {
        let version = row.get::<_, i64>(0)? as u64;
        report.log = Some((version, counters.version));
        if version != due {
            report.problem(format!("the log goes from version {version} to {}: what is between is missing", due + 1));
        }
        due = version.saturating_sub(1);
        let entry = match load::entry(row) {
            Ok(entry) => entry,
            Err(reason) => {
                report.problem(format!("log {version}: {reason}"));
                continue;
            }
        };
        for change in entry.changes.iter().rev() {
            let (what, id, same) = match change {
                Change::PutNode(node) if nodes.insert(node.id) => {
                    ("node", node.id.get(), look.node(node.id.get())?.as_ref() == Some(node))
                }
                Change::RemoveNode(id) if nodes.insert(*id) => ("node", id.get(), look.node(id.get())?.is_none()),
                Change::PutEdge(edge) if edges.insert(edge.id) => {
                    ("edge", edge.id.0, look.edge(edge.id.0)?.as_ref() == Some(edge))
                }
                Change::RemoveEdge(id) if edges.insert(*id) => ("edge", id.0, look.edge(id.0)?.is_none()),
                _ => continue,
            };
            if !same {
                report.note(format!(
                    "{what} {id} is otherwise than version {version} of the log left it: it was changed by hand"
                ));
            }
        }
    }
    Ok(())
}

/// Single rows.
struct Look<'run> {
    node: rusqlite::Statement<'run>,
    edge: rusqlite::Statement<'run>,
}

impl<'run> Look<'run> {
    fn new(connection: &'run Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            node: connection.prepare(&format!("SELECT {} FROM node WHERE id = ?1", rows::NODE_COLUMNS))?,
            edge: connection.prepare(&format!("SELECT {} FROM edge WHERE id = ?1", rows::EDGE_COLUMNS))?,
        })
    }

    fn node(&mut self, id: u32) -> rusqlite::Result<Option<Node>> {
        let mut found = self.node.query([id])?;
        Ok(found.next()?.and_then(|row| rows::node(row).ok()))
    }

    fn edge(&mut self, id: u32) -> rusqlite::Result<Option<EdgeRow>> {
        let mut found = self.edge.query([id])?;
        Ok(found.next()?.and_then(|row| rows::edge(row).ok()))
    }
}
