//! The store that the configuration names: opened for the engine, and the commands that look after it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::StartError;
use crate::config::{Resolved, StoreAction, StoreOptions};
use crate::store::{CheckReport, MemoryStore, SqliteStore, Store, backup, check, compact, default_path, restore};

/// The store of this engine, open. In the user's data folder its folder is made.
///
/// # Errors
/// [`StartError::Store`] when the file is not ours to have, [`StartError::NoHome`] when there is no place for one.
pub fn open_store(options: &StoreOptions) -> Result<Box<dyn Store>, StartError> {
    if options.ephemeral {
        return Ok(Box::new(MemoryStore::default()));
    }
    let path = path_of(options)?;
    if options.path.is_none()
        && let Some(folder) = path.parent()
    {
        let failed = |reason| StartError::System { step: "making the folder of the store (store.path)", reason };
        fs::create_dir_all(folder).map_err(failed)?;
    }
    Ok(Box::new(SqliteStore::open(&path)?))
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
            let (size, kept) = restore(from, &path, *force)?;
            let kept = kept.map(|kept| format!("\nthe store that was there is {} now", kept.display()));
            let kept = kept.unwrap_or_default();
            format!("{shown}: version {} of {}, {} bytes{kept}", size.version, from.display(), size.bytes)
        }
        StoreAction::Compact => {
            let size = compact(&path)?;
            format!("{shown}: {} bytes, it had {}", size.after, size.before)
        }
    };
    print(&said);
    Ok(())
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
