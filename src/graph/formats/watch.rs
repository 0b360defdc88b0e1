//! A file, or a folder of pages, that is read again while its graph lives.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::import::unreadable;
use super::vault::{SourceChanges, VaultWatch};
use super::{Format, ImportError, ImportOptions, Imported, Progress, difference, import_path};
use crate::graph::Graph;

/// What the graph came from, followed.
///
/// A source may be looked at while somebody writes it, when it is cut short or not there. So what a file says is taken when two looks in
/// a row find the same file, and what a folder lost is removed when two in a row miss it; what a folder has more of is told at once.
#[derive(Debug)]
pub struct SourceWatch(Kind);

#[derive(Debug)]
enum Kind {
    /// Pages are known by the hash of their bytes.
    Folder(Box<VaultWatch>),
    File(Box<FileWatch>),
}

/// One file: read anew when it is another one, or was written.
#[derive(Debug)]
struct FileWatch {
    path: PathBuf,
    options: ImportOptions,
    /// What the last look found.
    last: Stamp,
    /// What was read last.
    seen: Stamp,
    before: Graph,
    wanted: Option<Graph>,
}

/// When two looks find the same, nobody wrote to the file meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let about = fs::metadata(path)?;
        Ok(Self {
            bytes: about.len(),
            modified: about.modified().ok(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(&about),
        })
    }
}

impl SourceWatch {
    /// Reads `path` for the first time. What it gives back is, or becomes, the present graph.
    ///
    /// # Errors
    /// As [`import_path`].
    pub fn open(
        path: &Path,
        options: &ImportOptions,
        progress: &mut dyn Progress,
    ) -> Result<(Self, Imported), ImportError> {
        if path.is_dir() && matches!(options.format, Format::Auto | Format::Vault) {
            let (watch, imported) = VaultWatch::open(path, options, progress)?;
            return Ok((Self(Kind::Folder(Box::new(watch))), imported));
        }
        // Before it is read: what is written meanwhile is found by the next look.
        let seen = Stamp::of(path);
        let imported = import_path(path, options, progress)?;
        let seen = seen.map_err(|reason| unreadable(path, reason))?;
        let before = imported.graph.clone();
        let watch = FileWatch { path: path.into(), options: *options, last: seen, seen, before, wanted: None };
        Ok((Self(Kind::File(Box::new(watch))), imported))
    }

    /// From here on the whole of what is read is told as changes: for a present graph that is not the first reading, as one that
    /// a store kept. What the source does not have stays.
    pub fn forget(&mut self) {
        match &mut self.0 {
            Kind::Folder(watch) => watch.forget(),
            Kind::File(watch) => watch.wanted = Some(std::mem::take(&mut watch.before)),
        }
    }

    /// Looks again; `None` when nothing changed, or when it is not [at rest](Self::is_at_rest). The operations take `present` to where the
    /// source is; until [`Self::applied`], the next look gives them again.
    ///
    /// # Errors
    /// The import's, in words, at each look; then nothing is changed, and the next look tries again.
    pub fn changes(&mut self, present: &Graph) -> Result<Option<SourceChanges>, String> {
        let read = match &mut self.0 {
            Kind::Folder(watch) => watch.changes(present, &mut ()),
            Kind::File(watch) => watch.changes(present),
        };
        read.map_err(|error| error.to_string())
    }

    /// Whether a look that told no changes found none. Otherwise somebody may be writing still, and the next look decides.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        match &self.0 {
            Kind::Folder(watch) => watch.is_at_rest(),
            Kind::File(watch) => watch.last == watch.seen,
        }
    }

    /// Says that the last changes are in the graph.
    pub fn applied(&mut self) {
        match &mut self.0 {
            Kind::Folder(watch) => watch.applied(),
            Kind::File(watch) => {
                if let Some(wanted) = watch.wanted.take() {
                    watch.before = wanted;
                }
            }
        }
    }
}

impl FileWatch {
    fn changes(&mut self, present: &Graph) -> Result<Option<SourceChanges>, ImportError> {
        let stamp = Stamp::of(&self.path).map_err(|reason| unreadable(&self.path, reason))?;
        let rests = std::mem::replace(&mut self.last, stamp) == stamp;
        let (mut skipped, mut skipped_count, mut warnings) = (Vec::new(), 0, Vec::new());
        if stamp != self.seen {
            // Who writes it may pause for longer than a reading takes.
            if !rests {
                return Ok(None);
            }
            let read = import_path(&self.path, &self.options, &mut ());
            // Somebody writes to it still: what was read may be half of it.
            if Stamp::of(&self.path).ok() != Some(stamp) {
                return Ok(None);
            }
            let imported = read?;
            self.seen = stamp;
            self.wanted = Some(imported.graph);
            (skipped, skipped_count, warnings) = (imported.skipped, imported.skipped_count, imported.warnings);
        }
        let Some(wanted) = &self.wanted else { return Ok(None) };
        let ops = difference(&self.before, wanted, present);
        if ops.is_empty() {
            self.before = self.wanted.take().unwrap_or_default();
            return Ok(None);
        }
        Ok(Some(SourceChanges { ops, skipped, skipped_count, warnings }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::formats::tests::facts;
    use crate::graph::{Batch, GraphLimits, Op, Pending};

    const OPTIONS: ImportOptions =
        ImportOptions { format: Format::Auto, skip_bad: false, vault_all_pages: true, nodes_max: 100, edges_max: 100 };

    fn apply(graph: &mut Graph, changes: SourceChanges) {
        let batch = Batch { ops: changes.ops, ..Batch::default() };
        let staged = Pending::default().stage(graph, &batch, GraphLimits { nodes: 100, edges: 100 }).unwrap();
        graph.commit(&staged.changes);
    }

    #[test]
    fn a_file_that_is_written_again_is_followed_and_a_broken_one_is_told_each_time() {
        let path = std::env::temp_dir().join(format!("swarmcast-followed-{}.csv", std::process::id()));
        fs::write(&path, "source,target\na,b\nb,c\n").unwrap();
        let (mut watch, first) = SourceWatch::open(&path, &OPTIONS, &mut ()).unwrap();
        let mut present = first.graph;
        assert!(watch.changes(&present).unwrap().is_none());
        fs::write(&path, "source,target\na,b\nb,d\nd,e\n").unwrap();
        assert!(watch.changes(&present).unwrap().is_none() && !watch.is_at_rest(), "it may be half of it");
        let found = watch.changes(&present).unwrap().unwrap();
        let again = watch.changes(&present).unwrap().unwrap();
        assert_eq!(found.ops, again.ops, "until it is applied");
        apply(&mut present, again);
        watch.applied();
        let anew = import_path(&path, &OPTIONS, &mut ()).unwrap().graph;
        assert_eq!(facts(&present), facts(&anew));
        assert!(watch.changes(&present).unwrap().is_none() && watch.is_at_rest());
        fs::write(&path, "source,target\na\n").unwrap();
        assert!(watch.changes(&present).unwrap().is_none() && !watch.is_at_rest());
        let broken = watch.changes(&present).unwrap_err();
        assert_eq!(watch.changes(&present).unwrap_err(), broken, "whoever asks is told");
        fs::write(&path, "source,target\na,b\nb,d\nd,e\ne,f\n").unwrap();
        assert!(watch.changes(&present).unwrap().is_none());
        let changes = watch.changes(&present).unwrap().unwrap();
        apply(&mut present, changes);
        assert_eq!(present.nodes().len(), 5);
        fs::remove_file(&path).unwrap();
        let gone = watch.changes(&present).unwrap_err();
        assert_eq!(watch.changes(&present).unwrap_err(), gone);
    }

    #[test]
    fn half_of_a_file_removes_nothing_when_the_next_look_finds_all_of_it() {
        let path = std::env::temp_dir().join(format!("swarmcast-half-{}.csv", std::process::id()));
        fs::write(&path, "source,target\na,b\nb,c\nc,d\n").unwrap();
        let (mut watch, first) = SourceWatch::open(&path, &OPTIONS, &mut ()).unwrap();
        let mut present = first.graph;
        fs::write(&path, "source,target\na,b\n").unwrap();
        assert!(watch.changes(&present).unwrap().is_none() && !watch.is_at_rest());
        fs::write(&path, "source,target\na,b\nb,c\nc,d\nd,e\n").unwrap();
        assert!(watch.changes(&present).unwrap().is_none() && !watch.is_at_rest());
        let changes = watch.changes(&present).unwrap().unwrap();
        let removes = |op: &Op| matches!(op, Op::RemoveNode { .. } | Op::RemoveEdge { .. });
        assert!(!changes.ops.iter().any(removes), "{:?}", changes.ops);
        apply(&mut present, changes);
        watch.applied();
        assert_eq!(present.nodes().len(), 5);
        // What stays short was meant.
        fs::write(&path, "source,target\na,b\n").unwrap();
        assert!(watch.changes(&present).unwrap().is_none());
        let changes = watch.changes(&present).unwrap().unwrap();
        apply(&mut present, changes);
        assert_eq!(present.nodes().len(), 2);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_source_that_forgot_brings_all_it_has_and_removes_nothing() {
        let path = std::env::temp_dir().join(format!("swarmcast-forgot-{}.csv", std::process::id()));
        fs::write(&path, "source,target\na,b\n").unwrap();
        let (mut watch, _) = SourceWatch::open(&path, &OPTIONS, &mut ()).unwrap();
        watch.forget();
        let other = path.with_extension("other.csv");
        fs::write(&other, "source,target\na,x\n").unwrap();
        let mut present = import_path(&other, &OPTIONS, &mut ()).unwrap().graph;
        let changes = watch.changes(&present).unwrap().unwrap();
        apply(&mut present, changes);
        let mut keys: Vec<&str> = present.nodes().iter().map(|node| &*node.key).collect();
        keys.sort_unstable();
        assert_eq!((keys, present.edges().len()), (vec!["a", "b", "x"], 2));
        watch.applied();
        assert!(watch.changes(&present).unwrap().is_none());
        for path in [path, other] {
            fs::remove_file(path).unwrap();
        }
    }
}
