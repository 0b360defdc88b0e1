//! Gets the graph that the configuration asks for.

use std::path::Path;

use crate::config::GraphOptions;
use crate::graph::Graph;
use crate::graph::formats::{Format, ImportError, ImportOptions, Imported, SourceWatch, import_bytes, import_path};

use super::StartError;
use super::progress::LoadProgress;

/// The graph that is shown when none is named; see `examples/graphs/README.md`.
const EMBEDDED: &[u8] = include_bytes!("../../examples/graphs/default.json");

/// Bad records that are named at start; the rest is counted.
const SKIPPED_SHOWN: usize = 5;

/// A graph and what a person calls it.
#[derive(Debug)]
pub struct Loaded {
    /// The graph.
    pub graph: Graph,
    /// Name of the file or folder, or `embedded`.
    pub name: String,
    /// What it was read as.
    pub format: Format,
    /// Where it came from, when it is followed.
    pub source: Option<SourceWatch>,
}

/// Reads the graph; shows progress when that takes more than a second, and warnings when there are some.
///
/// # Errors
/// [`StartError::Import`], naming path, place, what was expected and what was found.
pub fn load(options: &GraphOptions) -> Result<Loaded, StartError> {
    let import = import_options(options);
    let (imported, name, source) = match (&options.path, options.watch) {
        (Some(path), watch) => {
            let name = name_of(path);
            let mut progress = LoadProgress::new(&name);
            let (source, imported) = match watch {
                true => {
                    let (source, imported) = SourceWatch::open(path, &import, &mut progress)?;
                    (Some(source), imported)
                }
                false => (None, import_path(path, &import, &mut progress)?),
            };
            (imported, name, source)
        }
        (None, true) => return Err(StartError::NothingToWatch),
        (None, false) => (embedded(&import)?, "embedded".to_owned(), None),
    };
    tell(&imported);
    Ok(Loaded { graph: imported.graph, name, format: imported.format, source })
}

/// The source of a graph that a store has kept: all it has now is a change. `None` when it is not to be followed.
///
/// # Errors
/// As [`load`].
pub fn follow(options: &GraphOptions) -> Result<Option<SourceWatch>, StartError> {
    let path = match (&options.path, options.watch) {
        (_, false) => return Ok(None),
        (None, true) => return Err(StartError::NothingToWatch),
        (Some(path), true) => path,
    };
    let (mut source, imported) =
        SourceWatch::open(path, &import_options(options), &mut LoadProgress::new(&name_of(path)))?;
    tell(&imported);
    source.forget();
    Ok(Some(source))
}

fn import_options(options: &GraphOptions) -> ImportOptions {
    ImportOptions {
        format: options.format.name().parse().unwrap_or(Format::Auto),
        skip_bad: options.skip_bad,
        vault_all_pages: options.vault_all_pages,
        nodes_max: options.nodes_max as usize,
        edges_max: options.edges_max as usize,
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into())
}

fn embedded(import: &ImportOptions) -> Result<Imported, ImportError> {
    import_bytes("embedded graph", EMBEDDED, &ImportOptions { format: Format::Json, ..*import })
}

fn tell(imported: &Imported) {
    for warning in &imported.warnings {
        tracing::warn!("{warning}");
    }
    if imported.skipped_count > 0 {
        for bad in imported.skipped.iter().take(SKIPPED_SHOWN) {
            tracing::warn!("left out: {bad}");
        }
        tracing::warn!(count = imported.skipped_count, "bad records were left out (graph.skip_bad)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_name_of_the_configuration_is_one_of_the_importers() {
        for name in crate::config::GraphFormat::NAMES {
            assert!(name.parse::<Format>().is_ok(), "{name}");
        }
    }

    #[test]
    fn the_embedded_graph_loads_whole_and_has_labels() {
        let loaded = load(&GraphOptions::default()).unwrap();
        assert!(loaded.graph.nodes().len() > 500);
        assert!(loaded.graph.nodes().iter().all(|node| !node.label.is_empty() && node.group.is_some()));
    }
}
