//! The `files` thread: files of graphs, read and written while the engine runs. Imports become operations, the graph becomes a file, and
//! the file or folder that the graph came from is read again when it changes. One order at a time, over a graph that `control` shares.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use crossbeam::sync::Parker;

use super::{Ticket, serve};
use crate::base::Handle;
use crate::graph::formats::export::{ExportFormat, export};
use crate::graph::formats::{
    Format, ImportOptions, Progress, SourceChanges, SourceWatch, difference_until, import_bytes_until,
};
use crate::graph::{Batch, Graph, GraphLimits, Op};
use crate::handoff::{Consumer, Doorbell, Frame, Producer};
use crate::limits::EXPORT_BYTES_MAX;
use crate::mcp::{CallKey, Done, Reply, RpcError, ToolError, Write};

/// Bad records and warnings that are told; the rest is counted.
const TOLD_MAX: usize = 5;

/// Time between two looks at a source that is not at rest, while somebody waits for it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long after the first look another one begins.
const LOOKING_MAX: Duration = Duration::from_secs(1);

/// How an import meets the graph that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// What the file has is added or changed; nothing is removed.
    Merge,
    /// The graph becomes what the file has, up to ids.
    Replace,
}

/// The graph as a file.
#[derive(Debug)]
pub struct Written {
    /// As what.
    pub format: ExportFormat,
    /// All of it.
    pub body: Bytes,
    /// What it could not hold, in words.
    pub losses: Vec<String>,
}

/// What came of an agent's work.
#[derive(Debug)]
pub enum AgentProduct {
    /// An answer.
    Answer(Done),
    /// A change of the graph.
    Write(Result<Box<Write>, ToolError>),
    /// A file for the agent to read.
    File(Result<Written, ToolError>),
    /// What is no tool's answer.
    Reply(Result<Reply, RpcError>),
}

/// What an agent's work on files does.
type Work = Box<dyn FnOnce(&Ticket) -> AgentProduct + Send>;

/// Work on files for an agent, and what it shares with who waits.
pub struct AgentWork {
    ticket: Arc<Ticket>,
    work: Work,
}

impl AgentWork {
    /// This, to be done on the thread of files.
    #[must_use]
    pub fn new(work: impl FnOnce(&Ticket) -> AgentProduct + Send + 'static) -> Self {
        Self { ticket: Arc::default(), work: Box::new(work) }
    }

    /// How far it is, and whether it shall stop.
    #[must_use]
    pub fn ticket(&self) -> Arc<Ticket> {
        Arc::clone(&self.ticket)
    }

    /// Does it, unless nobody waits for it any more.
    fn run(self) -> AgentProduct {
        match self.ticket.is_cancelled() {
            true => AgentProduct::Answer(Err(ToolError::new("it was cancelled: nothing was done"))),
            false => (self.work)(&self.ticket),
        }
    }
}

impl fmt::Debug for AgentWork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AgentWork")
    }
}

/// control → files.
#[derive(Debug)]
pub enum FileOrder {
    /// Work for an agent's call.
    ForAgent {
        /// Whose call.
        conn: Handle,
        /// Which.
        key: CallKey,
        /// What to do.
        work: AgentWork,
    },
    /// Write the graph.
    Export {
        /// Who waits.
        token: Handle,
        /// The graph of the moment.
        graph: Arc<Graph>,
        /// Where its nodes are. Positions are copied, and the frame let go of at once.
        frame: Option<Arc<Frame>>,
        /// As what.
        format: ExportFormat,
    },
    /// Make operations of a file.
    Import {
        /// Who waits.
        token: Handle,
        /// The graph of the moment.
        graph: Arc<Graph>,
        /// Its version.
        version: u64,
        /// The file.
        body: Bytes,
        /// What it is.
        format: Format,
        /// Bad records are left out.
        skip_bad: bool,
        /// What of the graph stays.
        meeting: Meeting,
        /// What the graph may grow to.
        limits: GraphLimits,
        /// Author, key and version of the batch; its operations are to be made.
        terms: Batch,
    },
    /// See whether the source has changed.
    Follow {
        /// The graph of the moment.
        graph: Arc<Graph>,
        /// Somebody waits: what is not at rest is looked at again soon, for up to a second.
        asked: bool,
    },
    /// The last changes of the source are in the graph.
    Followed,
    /// Say which files with this ending are in a folder.
    List {
        /// Who waits.
        token: Handle,
        /// The folder; one that is not there has none.
        folder: PathBuf,
        /// Of their names.
        ending: &'static str,
    },
    /// Remove a file.
    Remove {
        /// Who waits.
        token: Handle,
        /// The file.
        path: PathBuf,
    },
}

/// What a reading left out and would have somebody know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// The first records that were left out, in words.
    pub skipped: Vec<String>,
    /// All of them.
    pub skipped_count: u64,
    /// What the user may not expect.
    pub warnings: Vec<String>,
}

/// files → control.
#[derive(Debug)]
pub enum FileReport {
    /// Work for an agent's call is done.
    ForAgent {
        /// Whose call.
        conn: Handle,
        /// Which.
        key: CallKey,
        /// What came of it.
        product: AgentProduct,
    },
    /// A file.
    Exported {
        /// Who waits.
        token: Handle,
        /// As what.
        format: ExportFormat,
        /// Its bytes and what they could not hold, in words; or why there are none.
        outcome: Result<(Bytes, Vec<String>), String>,
    },
    /// Operations.
    Read {
        /// Who waits.
        token: Handle,
        /// The batch, what it was read as, and remarks; or what is wrong with the file.
        outcome: Result<(Batch, Format, Remarks), String>,
    },
    /// The source has changed; `None` when it has not.
    Changed {
        /// What to do, and remarks; or why it cannot be read.
        outcome: Result<Option<(Vec<Op>, Remarks)>, String>,
    },
    /// Files.
    Listed {
        /// Who waits.
        token: Handle,
        /// Names without their ending, bytes, and when they were written, ms since 1970; by name.
        outcome: Result<Vec<(String, u64, u64)>, String>,
    },
    /// A file is gone.
    Removed {
        /// Who waits.
        token: Handle,
        /// Whether it was there.
        outcome: Result<bool, String>,
    },
}

/// Everything the thread owns.
pub struct Files {
    orders: Consumer<FileOrder>,
    reports: Producer<FileReport>,
    bell: Arc<Doorbell>,
    /// What the graph came from, when it is followed.
    source: Option<SourceWatch>,
}

impl Files {
    /// A thread whose parker `bell` unparks.
    #[must_use]
    pub fn new(
        orders: Consumer<FileOrder>,
        reports: Producer<FileReport>,
        bell: Arc<Doorbell>,
        source: Option<SourceWatch>,
    ) -> Self {
        Self { orders, reports, bell, source }
    }

    /// Works until `stop` is set.
    pub fn run(self, parker: &Parker, stop: &AtomicBool) {
        let Self { orders, reports, bell, mut source } = self;
        serve(orders, reports, &bell, parker, stop, |order| obey(source.as_mut(), order));
    }
}

/// Does what is asked; a panic is an answer.
fn obey(source: Option<&mut SourceWatch>, order: FileOrder) -> Option<FileReport> {
    let panicked = || {
        tracing::error!("a file of a graph made the engine panic; the thread goes on");
        "the engine failed at this file; nothing was done".to_owned()
    };
    match order {
        FileOrder::ForAgent { conn, key, work } => {
            let product = catch_unwind(AssertUnwindSafe(|| work.run()));
            let product = product.unwrap_or_else(|_| AgentProduct::Answer(Err(ToolError::new(panicked()))));
            Some(FileReport::ForAgent { conn, key, product })
        }
        FileOrder::Export { token, graph, frame, format } => {
            let work = || write_file(&graph, frame, format);
            let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()));
            Some(FileReport::Exported { token, format, outcome })
        }
        FileOrder::Import { token, graph, version, body, format, skip_bad, meeting, limits, terms } => {
            let options = ImportOptions {
                format,
                skip_bad,
                vault_all_pages: false,
                nodes_max: limits.nodes,
                edges_max: limits.edges,
            };
            let work = || read_file(&graph, version, &body, &options, meeting, terms, &Ticket::default());
            let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()));
            Some(FileReport::Read { token, outcome })
        }
        FileOrder::Follow { graph, asked } => {
            let source = source?;
            let began = Instant::now();
            let pause = || {
                thread::sleep(LOOK_AGAIN);
                began.elapsed() < LOOKING_MAX
            };
            let work = || if asked { look_until_rest(source, &graph, pause) } else { source.changes(&graph) };
            let found = catch_unwind(AssertUnwindSafe(work));
            let outcome = found.unwrap_or_else(|_| Err(panicked())).map(|changes| {
                changes.map(|changes| {
                    let skipped = changes.skipped.iter().map(ToString::to_string);
                    let warnings = changes.warnings.iter().map(ToString::to_string);
                    (changes.ops, Remarks::of(skipped, changes.skipped_count, warnings))
                })
            });
            Some(FileReport::Changed { outcome })
        }
        FileOrder::List { token, folder, ending } => {
            let outcome = list(&folder, ending).map_err(|reason| format!("{}: {reason}", folder.display()));
            Some(FileReport::Listed { token, outcome })
        }
        FileOrder::Remove { token, path } => {
            let outcome = match fs::remove_file(&path) {
                Ok(()) => Ok(true),
                Err(reason) if reason.kind() == ErrorKind::NotFound => Ok(false),
                Err(reason) => Err(format!("{}: {reason}", path.display())),
            };
            Some(FileReport::Removed { token, outcome })
        }
        FileOrder::Followed => {
            if let Some(source) = source {
                source.applied();
            }
            None
        }
    }
}

/// Looks at a source again and again until it is at rest. `pause` waits between two looks, and says whether there is time for another.
///
/// # Errors
/// As [`SourceWatch::changes`], and that somebody writes it still.
fn look_until_rest(
    source: &mut SourceWatch,
    graph: &Graph,
    mut pause: impl FnMut() -> bool,
) -> Result<Option<SourceChanges>, String> {
    loop {
        let found = source.changes(graph)?;
        if found.is_some() || source.is_at_rest() {
            return Ok(found);
        }
        if !pause() {
            return Err("somebody writes the source still; the graph follows when it is at rest".to_owned());
        }
    }
}

impl Remarks {
    fn of(skipped: impl Iterator<Item = String>, skipped_count: u64, warnings: impl Iterator<Item = String>) -> Self {
        Self { skipped: skipped.take(TOLD_MAX).collect(), skipped_count, warnings: warnings.take(TOLD_MAX).collect() }
    }
}

/// A file of at most [`EXPORT_BYTES_MAX`].
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > EXPORT_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "the file has more than {EXPORT_BYTES_MAX} bytes; `swarmcast export` writes it to a disk"
            )));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn list(folder: &Path, ending: &str) -> std::io::Result<Vec<(String, u64, u64)>> {
    let entries = match fs::read_dir(folder) {
        Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut rows = Vec::new();
    for entry in entries {
        let entry = entry?;
        let about = entry.metadata()?;
        let name = entry.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(ending)).filter(|_| about.is_file()) {
            let since = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            rows.push((name.to_owned(), about.len(), since.as_millis() as u64));
        }
    }
    rows.sort();
    Ok(rows)
}

/// The graph as a file, and what that could not hold.
///
/// # Errors
/// It is larger than [`EXPORT_BYTES_MAX`].
pub fn write_file(
    graph: &Graph,
    frame: Option<Arc<Frame>>,
    format: ExportFormat,
) -> Result<(Bytes, Vec<String>), String> {
    write_part(graph, places(frame).as_deref(), format)
}

/// Where the nodes of a frame are; the frame is let go of.
#[must_use]
pub fn places(frame: Option<Arc<Frame>>) -> Option<Vec<[f32; 3]>> {
    frame.map(|frame| frame.nodes().iter().map(|record| record.position()).collect())
}

/// The same of a graph with these positions.
///
/// # Errors
/// As [`write_file`].
pub fn write_part(
    graph: &Graph,
    positions: Option<&[[f32; 3]]>,
    format: ExportFormat,
) -> Result<(Bytes, Vec<String>), String> {
    let mut file = Bounded(Vec::new());
    let losses = export(format, graph, positions, &mut file).map_err(|error| error.to_string())?;
    Ok((file.0.into(), losses.list().iter().map(ToString::to_string).collect()))
}

/// How far an import is when its bytes are read, when they are records, and when these were compared with the graph.
const BYTES_PART: f64 = 0.5;
const READ_PART: f64 = 0.7;
const COMPARED_PART: f64 = 0.9;

/// Tells a ticket how far the reading is.
struct Reading<'work>(&'work Ticket);

impl Progress for Reading<'_> {
    fn at(&mut self, done: u64, total: u64, _: &'static str) {
        self.0.advance(done as f64 / total.max(1) as f64 * BYTES_PART);
    }
}

/// What a file comes to: operations in the terms of `terms`. `ticket` hears how far it is, and stops it between two records of the file
/// or a thousand of the graph.
///
/// # Errors
/// What is wrong with the file, and where.
pub fn read_file(
    graph: &Graph,
    version: u64,
    body: &[u8],
    options: &ImportOptions,
    meeting: Meeting,
    terms: Batch,
    ticket: &Ticket,
) -> Result<(Batch, Format, Remarks), String> {
    let stopped = || "it was cancelled".to_owned();
    let mut reading = Reading(ticket);
    let stop = ticket.stop_flag();
    let imported = import_bytes_until("the body", body, options, &mut reading, &stop);
    let imported = imported.map_err(|error| error.to_string())?;
    ticket.advance(READ_PART);
    if ticket.is_cancelled() {
        return Err(stopped());
    }
    let (before, if_version) = match meeting {
        Meeting::Merge => (&Graph::default(), terms.if_version),
        // Of this very graph: what somebody adds meanwhile would be missed.
        Meeting::Replace => (graph, terms.if_version.or(Some(version))),
    };
    let ops = difference_until(before, &imported.graph, graph, &mut |part| {
        ticket.advance(READ_PART + part * (COMPARED_PART - READ_PART));
        !ticket.is_cancelled()
    });
    let ops = ops.ok_or_else(stopped)?;
    let skipped = imported.skipped.iter().map(ToString::to_string);
    let warnings = imported.warnings.iter().map(ToString::to_string);
    let remarks = Remarks::of(skipped, imported.skipped_count, warnings);
    if ticket.is_cancelled() {
        return Err(stopped());
    }
    ticket.advance(COMPARED_PART);
    Ok((Batch { ops, if_version, ..terms }, imported.format, remarks))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: ImportOptions =
        ImportOptions { format: Format::Auto, skip_bad: false, vault_all_pages: true, nodes_max: 100, edges_max: 100 };

    #[test]
    fn who_asks_gets_the_change_when_the_source_rests_or_hears_what_is_wrong_with_it() {
        let path = std::env::temp_dir().join(format!("swarmcast-asked-{}.csv", std::process::id()));
        fs::write(&path, "source,target\na,b\n").unwrap();
        let (mut source, first) = SourceWatch::open(&path, &OPTIONS, &mut ()).unwrap();
        let graph = first.graph;
        let untouched = look_until_rest(&mut source, &graph, || panic!("it is at rest"));
        assert!(untouched.unwrap().is_none());

        let mut text = String::from("source,target\na,b\n");
        let mut pauses = 0;
        fs::write(&path, "source,target\n").unwrap();
        let written = look_until_rest(&mut source, &graph, || {
            text.push_str("b,c\n");
            fs::write(&path, &text).unwrap();
            pauses += 1;
            pauses < 5
        });
        assert!(written.unwrap_err().contains("writes the source still"));
        assert_eq!(pauses, 5);
        let rested = look_until_rest(&mut source, &graph, || true).unwrap().unwrap();
        assert!(!rested.ops.is_empty());

        fs::write(&path, "source,target\na\n").unwrap();
        for _ in 0..2 {
            let broken = look_until_rest(&mut source, &graph, || true).unwrap_err();
            assert!(!broken.contains("writes the source still"), "{broken}");
        }
        fs::remove_file(&path).unwrap();
    }
}
