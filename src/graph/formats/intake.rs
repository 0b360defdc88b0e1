//! What every importer fills: the builder, the bad records, the notes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::note::{Note, Notes};
use super::properties::{EdgeParts, NodeParts};
use super::{BAD_LINES_KEPT, BadLine, Format, Found, ImportError, ImportOptions, Imported, Problem};
use crate::graph::{BuildError, GraphBuilder, More, NodeIndex};

/// Bytes of attributes that records may have from defaults and from statements about many of them. Without it a file
/// of a megabyte could ask for terabytes. A million nodes with the defaults that Graphviz writes have a tenth of it. Unit
/// tests reach a smaller one without filling the machine.
const SHARED_BYTES_MAX: usize = if cfg!(test) { 16 << 20 } else { 1 << 30 };

/// A graph in the making, with the policy on bad records.
///
/// A record is checked whole before any of it is added, so that a record left out leaves nothing behind.
pub(super) struct Intake {
    path: PathBuf,
    /// What records are counted in.
    pub(super) unit: &'static str,
    skip_bad: bool,
    nodes_max: usize,
    edges_max: usize,
    shared_bytes: usize,
    pub(super) builder: GraphBuilder,
    pub(super) notes: Notes,
    bad: Vec<BadLine>,
    bad_count: u64,
    waiting: Vec<Waiting>,
    /// Set when nobody wants the graph any more. Relaxed: nothing hangs on what was written before.
    stop: Option<Arc<AtomicBool>>,
}

/// One end of an edge.
#[derive(Debug)]
pub(super) enum End {
    /// A node that the file has had.
    Known(NodeIndex),
    /// One that it may have later.
    Named(Box<str>),
}

/// An edge that names a node before the file does.
struct Waiting {
    line: u64,
    source: End,
    target: End,
    directed: bool,
    parts: EdgeParts,
}

impl Intake {
    pub(super) fn new(path: &Path, options: &ImportOptions) -> Self {
        Self {
            path: path.into(),
            unit: "line",
            skip_bad: options.skip_bad,
            nodes_max: options.nodes_max,
            edges_max: options.edges_max,
            shared_bytes: 0,
            builder: GraphBuilder::new(options.nodes_max, options.edges_max),
            notes: Notes::default(),
            bad: Vec::new(),
            bad_count: 0,
            waiting: Vec::new(),
            stop: None,
        }
    }

    /// From now on the next record ends the import once `stop` is set.
    pub(super) fn stop_at(&mut self, stop: &Arc<AtomicBool>) {
        self.stop = Some(Arc::clone(stop));
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn nodes_max(&self) -> usize {
        self.nodes_max
    }

    pub(super) fn edges_max(&self) -> usize {
        self.edges_max
    }

    /// Counts `bytes` of attributes that a record has because the file gives them to many at once.
    pub(super) fn share(&mut self, line: u64, bytes: usize) -> Result<(), ImportError> {
        self.shared_bytes = self.shared_bytes.saturating_add(bytes);
        if self.shared_bytes > SHARED_BYTES_MAX {
            return Err(ImportError::Shared { path: self.path.clone(), line, limit: SHARED_BYTES_MAX });
        }
        Ok(())
    }

    /// Passes a good record on and notes a bad one; a limit of the graph ends the import.
    pub(super) fn keep<T>(
        &mut self,
        line: u64,
        column: Option<u64>,
        record: Result<T, Problem>,
    ) -> Result<Option<T>, ImportError> {
        if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(ImportError::Stopped { path: self.path.clone() });
        }
        match record {
            Ok(good) => Ok(Some(good)),
            Err(Problem::Refused(limit)) if limit.is_limit() => {
                Err(ImportError::Limit { path: self.path.clone(), line, limit })
            }
            Err(problem) => {
                self.bad(BadLine { unit: self.unit, file: None, line, column, problem });
                Ok(None)
            }
        }
    }

    pub(super) fn bad(&mut self, line: BadLine) {
        self.bad_count += 1;
        if self.bad.len() < BAD_LINES_KEPT {
            self.bad.push(line);
        }
    }

    /// Adds a node that the file must not have had before.
    pub(super) fn new_node(&mut self, key: &str, parts: NodeParts) -> Result<NodeIndex, Problem> {
        let count = self.builder.node_count();
        let index = self.builder.node(key)?;
        if index.get() < count {
            return Err(Problem::NodeTwice { node: Found::new(key) });
        }
        if let Some(node) = self.builder.node_mut(index) {
            parts.apply(node);
        }
        Ok(index)
    }

    /// Adds an edge; `directed` holds where the record itself does not say.
    pub(super) fn edge(
        &mut self,
        source: NodeIndex,
        target: NodeIndex,
        directed: bool,
        parts: EdgeParts,
    ) -> Result<(), Problem> {
        let edge = self.builder.edge(source, target, parts.weight, parts.directed.unwrap_or(directed))?;
        edge.relation = parts.relation;
        edge.more = More::new(parts.label, parts.attributes);
        Ok(())
    }

    /// The node called `key`, as the end of an edge.
    pub(super) fn end(&self, key: &str) -> End {
        self.builder.find(key).map_or_else(|| End::Named(key.into()), End::Known)
    }

    /// Adds an edge. One that names a node the file has not had yet waits for the end of the file, and so comes after the others.
    pub(super) fn edge_between(
        &mut self,
        line: u64,
        source: End,
        target: End,
        directed: bool,
        parts: EdgeParts,
    ) -> Result<(), Problem> {
        if let (End::Known(source), End::Known(target)) = (&source, &target) {
            return self.edge(*source, *target, directed, parts);
        }
        if self.builder.edge_count() + self.waiting.len() >= self.edges_max {
            return Err(BuildError::TooManyEdges { limit: self.edges_max }.into());
        }
        self.waiting.push(Waiting { line, source, target, directed, parts });
        Ok(())
    }

    /// The graph, or the error that names every bad record.
    pub(super) fn finish(mut self, format: Format) -> Result<Imported, ImportError> {
        for Waiting { line, source, target, directed, parts } in std::mem::take(&mut self.waiting) {
            let ends = [source, target].map(|end| match end {
                End::Known(index) => Ok(index),
                End::Named(key) => {
                    self.builder.find(&key).ok_or_else(|| Problem::NoSuchNode { node: Found::new(&key) })
                }
            });
            let record = match ends {
                [Ok(source), Ok(target)] => self.edge(source, target, directed, parts),
                [Err(problem), _] | [_, Err(problem)] => Err(problem),
            };
            self.keep(line, None, record)?;
        }
        self.bad.sort_by(|left, right| (&left.file, left.line).cmp(&(&right.file, right.line)));
        if self.bad_count > 0 && (!self.skip_bad || self.builder.node_count() == 0) {
            return Err(ImportError::BadLines { path: self.path, lines: self.bad, count: self.bad_count });
        }
        if self.builder.node_count() == 0 {
            self.notes.add(Note::NoNodes);
        }
        Ok(Imported {
            graph: self.builder.finish(),
            format,
            skipped: self.bad,
            skipped_count: self.bad_count,
            warnings: self.notes.into_list(),
        })
    }
}
