//! One format into another, without an engine.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{StartError, load, logging};
use crate::base::say;
use crate::config::Resolved;
use crate::graph::Graph;
use crate::graph::formats::export::{ExportFormat, Losses, export};

/// Imports the graph of the configuration and writes it to `output`, or to standard output for `-`, in the format called
/// `to`, or in the one that the file's extension asks for. What the format cannot hold is said on standard error.
///
/// # Errors
/// [`StartError::Import`], [`StartError::Format`], [`StartError::Output`]. A file that was there stays as it was.
pub fn convert(resolved: &Resolved, output: &Path, to: Option<&str>) -> Result<(), StartError> {
    let format = format_of(output, to)?;
    logging::start(&resolved.config.log);
    let loaded = load(&resolved.config.graph)?;
    let losses = write(output, format, &loaded.graph, None)?;
    let (nodes, edges) = (loaded.graph.nodes().len(), loaded.graph.edges().len());
    say(format_args!(
        "{} ({}): {nodes} nodes, {edges} edges to {} ({format})",
        loaded.name,
        loaded.format,
        output.display()
    ));
    tell(&losses);
    Ok(())
}

/// The format called `to`, or the one that the file's extension asks for.
pub(super) fn format_of(output: &Path, to: Option<&str>) -> Result<ExportFormat, StartError> {
    match to {
        Some(name) => name.parse().map_err(|error| StartError::Format(format!("--to: {error}"))),
        None => ExportFormat::of_extension(output).ok_or_else(|| {
            let shown = output.display();
            StartError::Format(format!(
                "{shown}: its extension names no format; give one of {} with --to",
                ExportFormat::NAMES
            ))
        }),
    }
}

/// Writes the graph, with positions by index where there are some.
pub(super) fn write(
    output: &Path,
    format: ExportFormat,
    graph: &Graph,
    positions: Option<&[[f32; 3]]>,
) -> Result<Losses, StartError> {
    let written = if output.as_os_str() == "-" {
        export(format, graph, positions, &mut io::stdout().lock())
    } else {
        to_file(output, |file| export(format, graph, positions, file))
    };
    written.map_err(|reason| StartError::Output { path: output.into(), reason })
}

/// Writes beside the file and puts it in its place when it is whole and on the disk.
fn to_file(output: &Path, write: impl FnOnce(&mut File) -> io::Result<Losses>) -> io::Result<Losses> {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part: PathBuf = output.with_file_name(name);
    let done = File::create_new(&part).and_then(|mut file| {
        let losses = write(&mut file)?;
        file.flush()?;
        file.sync_all()?;
        fs::rename(&part, output)?;
        Ok(losses)
    });
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

/// Says what the file could not hold.
pub(super) fn tell(losses: &Losses) {
    for loss in losses.list() {
        say(format_args!("  {loss}"));
    }
}
