//! The store that the configuration names: opened for the engine, and the commands that look after it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::load::follow;
use super::{Loaded, StartError, convert, load};
use crate::base::clock::unix_ms;
use crate::base::say;
use crate::config::{AuditFilter, Config, GraphOptions, Resolved, StoreAction, StoreOptions};
use crate::graph::formats::{Format, difference};
use crate::graph::{Batch, Deed, EdgeRow, Graph, GraphLimits, Node, NodeId, Pending};
use crate::store::{
    About, CheckReport, Entry, Retry, SqliteStore, Store, backup, check, compact, default_path, read, restore,
};

/// What the engine begins with.
pub struct Beginning {
    /// The graph, from a file or from the store.
    pub loaded: Loaded,
    /// Where changes are kept; `None` when nothing is.
    pub place: Option<PathBuf>,
    /// What keeps them.
    pub store: Option<Box<dyn Store>>,
    /// Batches committed before.
    pub version: u64,
    /// Above every epoch that a client may have seen.
    pub epoch: u32,
    /// What retried requests are answered.
    pub retries: Vec<Retry>,
    /// Where the nodes were when the engine ended.
    pub layout: Vec<(NodeId, [f32; 3])>,
    /// Saved settings, by path.
    pub settings: Vec<(Box<str>, serde_json::Value)>,
}

/// The graph to begin with. A store that holds one goes before everything; an empty one takes the graph of `graph.path`, or the one
/// built in. Without `store.path`, a graph from a file is the file's: changes to it are not kept.
///
/// # Errors
/// [`StartError`] of the store or of the import; [`StartError::OtherGraph`] when the store holds a graph from another file.
pub fn begin(config: &Config) -> Result<Beginning, StartError> {
    begin_with(config, true)
}

/// The same for a look that is to leave nothing behind: a store that is not there is not made.
///
/// # Errors
/// As [`begin`].
pub fn look(config: &Config) -> Result<Beginning, StartError> {
    begin_with(config, path_of(&config.store).is_ok_and(|path| path.exists()))
}

/// The store that an engine of this configuration would begin with, where there is one.
pub(super) fn kept_at(config: &Config) -> Option<PathBuf> {
    let StoreOptions { path, ephemeral, .. } = &config.store;
    let of_a_file = path.is_none() && config.graph.path.is_some();
    let place = path_of(&config.store).ok().filter(|_| !ephemeral && !of_a_file);
    place.filter(|place| place.exists())
}

fn begin_with(config: &Config, may_keep: bool) -> Result<Beginning, StartError> {
    let StoreOptions { path, ephemeral, .. } = &config.store;
    let of_a_file = path.is_none() && config.graph.path.is_some();
    if *ephemeral || of_a_file || !may_keep {
        let loaded = load(&config.graph)?;
        if of_a_file && !ephemeral {
            tracing::info!("changes to this graph are not kept; --store FILE keeps them");
        }
        return Ok(Beginning {
            loaded,
            place: None,
            store: None,
            version: 0,
            epoch: 1,
            retries: Vec::new(),
            layout: Vec::new(),
            settings: Vec::new(),
        });
    }
    let mut store = open_store(&config.store)?;
    let place = Some(store.place());
    let kept = store.load()?;
    let source = config.graph.path.as_deref().map(absolute).unwrap_or_default();
    let epoch = kept.epoch.wrapping_add(1).max(1);
    match kept.about {
        None => {
            let loaded = load(&config.graph)?;
            let about =
                About { name: loaded.name.as_str().into(), source: source.into(), version: kept.version, epoch };
            store.put_graph(&loaded.graph, &about)?;
            Ok(Beginning {
                loaded,
                place,
                store: Some(store),
                version: kept.version,
                epoch,
                retries: Vec::new(),
                layout: Vec::new(),
                settings: kept.settings,
            })
        }
        Some((name, from)) => {
            if !source.is_empty() && *source != *from {
                let from = if from.is_empty() { "the graph built in".to_owned() } else { from.into() };
                return Err(StartError::OtherGraph { store: store.place(), from, asked: source });
            }
            let next = (kept.next_node_id, kept.next_edge_id);
            let graph = graph_of(kept.nodes, kept.edges, next, &store.place())?;
            let loaded = Loaded { graph, name: name.into(), format: Format::Auto, source: follow(&config.graph)? };
            let layout = kept.layout.map(|layout| layout.positions).unwrap_or_default();
            Ok(Beginning {
                loaded,
                place,
                store: Some(store),
                version: kept.version,
                epoch,
                retries: kept.retries,
                layout,
                settings: kept.settings,
            })
        }
    }
}

/// A path as it is the same from every folder.
fn absolute(path: &Path) -> String {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// The store of this engine, open.
fn open_store(options: &StoreOptions) -> Result<Box<dyn Store>, StartError> {
    Ok(Box::new(SqliteStore::open(&made(options)?)?))
}

/// The path of a store that may have to be made. A folder that somebody named is his to make.
fn made(options: &StoreOptions) -> Result<PathBuf, StartError> {
    let path = path_of(options)?;
    if let (None, Some(folder)) = (&options.path, path.parent()) {
        let failed = |reason| StartError::System { step: "making the folder of the store (store.path)", reason };
        fs::create_dir_all(folder).map_err(failed)?;
    }
    Ok(path)
}

/// Does what a command asks for, and says what came of it.
///
/// # Errors
/// [`StartError`]; a check that finds problems is one.
pub fn store_command(resolved: &Resolved, action: &StoreAction) -> Result<(), StartError> {
    let options = &resolved.config.store;
    if options.ephemeral {
        return Err(StartError::NothingKept);
    }
    let path = path_of(options)?;
    let shown = path.display();
    let said = match action {
        StoreAction::Check => return told(&check(&path)?),
        StoreAction::Backup { to } => {
            let size = backup(&path, to)?;
            format!("{}: version {} of {shown}, {} bytes", to.display(), size.version, size.bytes)
        }
        StoreAction::Restore { from, force } => {
            let (size, kept) = restore(from, &made(options)?, *force)?;
            let kept = kept.map(|kept| format!("\nthe store that was there is {} now", kept.display()));
            let kept = kept.unwrap_or_default();
            format!("{shown}: version {} of {}, {} bytes{kept}", size.version, from.display(), size.bytes)
        }
        StoreAction::Compact => {
            let size = compact(&path)?;
            format!("{shown}: {} bytes, it had {}", size.after, size.before)
        }
        StoreAction::Audit(filter) => return audited(&path, filter),
        StoreAction::Export { output, to } => return export(&path, output, to.as_deref()),
        StoreAction::Import { replace } => import(&resolved.config, *replace)?,
    };
    print(&said);
    Ok(())
}

/// Prints the audit log beside a store. Somebody who has read enough is no error.
fn audited(path: &Path, filter: &AuditFilter) -> Result<(), StartError> {
    match super::audit::print(path, filter, std::io::stdout().lock()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|reason| StartError::System { step: "reading the audit log", reason }),
    }
}

/// Writes the graph of a store, where its layout left it.
fn export(path: &Path, output: &Path, to: Option<&str>) -> Result<(), StartError> {
    let format = convert::format_of(output, to)?;
    let kept = read(path)?;
    let graph = graph_of(kept.nodes, kept.edges, (kept.next_node_id, kept.next_edge_id), path)?;
    let positions = kept.layout.map(|layout| {
        let place = |node: &Node| {
            let found = layout.positions.binary_search_by_key(&node.id, |(id, _)| *id).ok();
            found.and_then(|at| layout.positions.get(at)).map_or([f32::NAN; 3], |(_, place)| *place)
        };
        graph.nodes().iter().map(place).collect::<Vec<_>>()
    });
    let losses = convert::write(output, format, &graph, positions.as_deref())?;
    let (nodes, edges) = (graph.nodes().len(), graph.edges().len());
    say(format_args!("version {}: {nodes} nodes, {edges} edges to {} ({format})", kept.version, output.display()));
    convert::tell(&losses);
    Ok(())
}

/// Brings the graph of the configuration's source into a store, as one batch; an empty store begins with it.
fn import(config: &Config, replace: bool) -> Result<String, StartError> {
    let mut store = open_store(&config.store)?;
    let wanted = load(&GraphOptions { watch: false, ..config.graph.clone() })?;
    let kept = store.load()?;
    let (version, epoch) = (kept.version, kept.epoch.wrapping_add(1).max(1));
    let shown = store.place().display().to_string();
    if kept.about.is_none() {
        let source = config.graph.path.as_deref().map(absolute).unwrap_or_default();
        let about = About { name: wanted.name.as_str().into(), source: source.into(), version, epoch };
        store.put_graph(&wanted.graph, &about)?;
        let (nodes, edges) = (wanted.graph.nodes().len(), wanted.graph.edges().len());
        return Ok(format!("{shown}: begins with {nodes} nodes, {edges} edges"));
    }
    let present = graph_of(kept.nodes, kept.edges, (kept.next_node_id, kept.next_edge_id), &store.place())?;
    let nothing = Graph::default();
    let ops = difference(if replace { &present } else { &nothing }, &wanted.graph, &present);
    let limits = GraphLimits { nodes: config.graph.nodes_max as usize, edges: config.graph.edges_max as usize };
    let batch = Batch { ops, author: "import".into(), ..Batch::default() };
    let staged = Pending::default().stage(&present, &batch, limits).map_err(StartError::Batch)?;
    let count = |wanted: Deed| staged.outcomes.iter().filter(|outcome| outcome.deed() == wanted).count();
    let (created, updated, removed) = (count(Deed::Created), count(Deed::Updated), count(Deed::Removed));
    if created + updated + removed == 0 {
        return Ok(format!("{shown}: version {version}, it has all of that already"));
    }
    let entry = Entry {
        version: version + 1,
        epoch,
        at_unix_ms: unix_ms(),
        author: batch.author,
        idempotency_key: None,
        changes: staged.changes.into(),
        settings: Vec::new(),
        answer: "".into(),
    };
    store.append(&[entry])?;
    Ok(format!("{shown}: version {}, {created} made, {updated} changed, {removed} removed", version + 1))
}

/// The graph of a store's rows.
fn graph_of(nodes: Vec<Node>, edges: Vec<EdgeRow>, next: (u32, u32), store: &Path) -> Result<Graph, StartError> {
    Graph::from_rows(nodes, edges, next).map_err(|reason| StartError::KeptGraph { store: store.to_owned(), reason })
}

fn path_of(options: &StoreOptions) -> Result<PathBuf, StartError> {
    let chosen = options.path.clone().or_else(|| default_path(|name| std::env::var_os(name)));
    chosen.ok_or(StartError::NoHome)
}

/// A closed pipe is no reason to fail.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn told(report: &CheckReport) -> Result<(), StartError> {
    let log = report.log.map_or_else(|| "no log".to_owned(), |(first, last)| format!("log {first} to {last}"));
    let layout = report.layout_tick.map_or_else(|| "no layout".to_owned(), |tick| format!("layout of tick {tick}"));
    let CheckReport { path, nodes, edges, version, problems, notes, .. } = report;
    print(&format!("{}: {nodes} nodes, {edges} edges, version {version}, {log}, {layout}", path.display()));
    notes.iter().for_each(|note| print(&format!("note: {note}")));
    problems.iter().for_each(|problem| print(&format!("problem: {problem}")));
    match problems.is_empty() {
        true => Ok(()),
        false => Err(StartError::Unsound { path: path.clone() }),
    }
}
