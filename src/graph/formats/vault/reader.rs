//! The pages of a vault, read once or again and again: one whose bytes are as they were is not parsed again.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::walk::{self, PageFile, unreadable_entry};
use super::{Contents, Flavour, Page, Settings, Weave, page};
use crate::base::open_file;
use crate::graph::formats::intake::Intake;
use crate::graph::formats::{
    BadLine, Found, ImportError, ImportOptions, Imported, Note, Problem, Progress, difference,
};
use crate::graph::{Graph, Op};

/// Bytes of one page.
const PAGE_BYTES_MAX: u64 = 16 << 20;

/// Pages between two calls of [`Progress::at`].
const PROGRESS_PAGES: usize = 32;

/// Reads the pages of one folder.
#[derive(Debug)]
pub(super) struct Reader {
    root: PathBuf,
    options: ImportOptions,
    settings: Option<Settings>,
    pages: Vec<Page>,
    /// Whether `pages` are those of a reading that was not broken off.
    whole: bool,
    /// Pages that the last reading parsed.
    parsed: usize,
}

impl Reader {
    pub(super) fn new(root: &Path, options: &ImportOptions) -> Self {
        Self { root: root.into(), options: *options, settings: None, pages: Vec::new(), whole: false, parsed: 0 }
    }

    /// The vault as it is now, and whether it is as it was at the last reading.
    pub(super) fn read_all(&mut self, progress: &mut dyn Progress) -> Result<(Imported, bool), ImportError> {
        let mut intake = Intake::new(&self.root, &self.options);
        let flavour = Flavour::of(&self.root);
        let files = walk::walk(&self.root, flavour, &mut intake)?;
        if files.is_empty() {
            return Err(ImportError::NoPages { path: self.root.clone() });
        }
        let public_only = flavour == Flavour::Logseq && !self.options.vault_all_pages;
        let settings = Settings::of(&self.root, flavour);
        let as_set = self.settings.as_ref() == Some(&settings);
        let mut same = std::mem::replace(&mut self.whole, false) && as_set;
        // Pages are named by the settings, so other ones name them anew.
        let known = std::mem::take(&mut self.pages).into_iter().filter(|_| as_set);
        let mut known: HashMap<PathBuf, Page> = known.map(|page| (page.path.clone(), page)).collect();
        let mut unreadable = false;
        self.parsed = 0;
        for (done, file) in files.iter().enumerate() {
            if done % PROGRESS_PAGES == 0 {
                progress.at(done as u64, files.len() as u64, "files");
            }
            match read_page(file, &settings, public_only, known.remove(&file.path)) {
                Ok((page, parsed)) => {
                    self.parsed += usize::from(parsed);
                    self.pages.push(page);
                }
                Err(bad) => {
                    intake.bad(bad);
                    unreadable = true;
                    // A page that cannot be read may be private, so its name is kept from links to it.
                    if public_only {
                        self.pages.push(settings.page(file, Contents::default(), None, false));
                    }
                }
            }
        }
        progress.at(files.len() as u64, files.len() as u64, "files");
        same &= known.is_empty() && self.parsed == 0 && !unreadable;
        self.settings = Some(settings);
        if public_only && !unreadable && !self.pages.iter().any(|page| page.shown) {
            return Err(ImportError::NonePublic { path: self.root.clone(), pages: files.len() });
        }
        let imported = Weave::new(&self.root, &self.pages, flavour, intake).run()?;
        self.whole = true;
        Ok((imported, same))
    }
}

/// The page in `file`, and whether it was parsed; `known` is what it was at the last reading.
fn read_page(
    file: &PageFile,
    settings: &Settings,
    public_only: bool,
    known: Option<Page>,
) -> Result<(Page, bool), BadLine> {
    let bad =
        |line, problem| BadLine { unit: "line", file: Some(Found::words(&file.name)), line, column: None, problem };
    let mut bytes = Vec::new();
    let read = open_file(&file.path).and_then(|(open, _)| open.take(PAGE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|reason| unreadable_entry(&file.name, &reason))?;
    let found = bytes.len() as u64;
    if found > PAGE_BYTES_MAX {
        return Err(bad(0, Problem::PageTooLarge { limit: PAGE_BYTES_MAX, found }));
    }
    let hash = blake3::hash(&bytes);
    if let Some(page) = known.filter(|page| page.hash == Some(hash)) {
        return Ok((page, false));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let (good, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count() as u64;
        let start = good.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let end =
            rest.iter().position(|byte| *byte == b'\n').map_or(error.as_bytes().len(), |newline| good.len() + newline);
        let found = Found::bytes(error.as_bytes().get(start..end).unwrap_or_default());
        bad(line, Problem::NotUtf8 { found })
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let contents = page::read(&Found::words(&file.name), text, settings.flavour);
    let shown = !public_only || contents.public;
    Ok((settings.page(file, contents, Some((hash, found)), shown), true))
}

/// A vault that is read again while its graph lives: each reading gives what changed since the last.
///
/// It holds the parsed pages and the graph of the last reading. Names reach across a vault, so references are
/// followed anew each time; only parsing is saved.
#[derive(Debug)]
pub struct VaultWatch {
    reader: Reader,
    /// The reading whose changes are in the present graph.
    before: Graph,
    /// A later one, whose changes are not there yet.
    wanted: Option<Graph>,
    /// What the last reading would have removed.
    gone: Vec<Op>,
}

/// What a reading found to be otherwise.
#[derive(Debug)]
pub struct SourceChanges {
    /// To be done in one batch. Then the watch is told that they are applied.
    pub ops: Vec<Op>,
    /// As in [`Imported::skipped`].
    pub skipped: Vec<BadLine>,
    /// As in [`Imported::skipped_count`].
    pub skipped_count: u64,
    /// As in [`Imported::warnings`].
    pub warnings: Vec<Note>,
}

impl VaultWatch {
    /// Reads the folder `root` for the first time. What it gives back is, or becomes, the present graph.
    ///
    /// # Errors
    /// As [`crate::graph::formats::import_path`] of a folder.
    pub fn open(
        root: &Path,
        options: &ImportOptions,
        progress: &mut dyn Progress,
    ) -> Result<(Self, Imported), ImportError> {
        let mut reader = Reader::new(root, options);
        let (imported, _) = reader.read_all(progress)?;
        Ok((Self { reader, before: imported.graph.clone(), wanted: None, gone: Vec::new() }, imported))
    }

    /// Reads the folder again; `None` when nothing changed, or nothing that the graph shows, or when this reading is the first to miss
    /// something: an editor or a checkout may be about to write it anew.
    ///
    /// The operations take `present`, the first reading with whatever people did to it since, to where the folder is:
    /// see [`difference`]. Until [`Self::applied`] is called, the next reading gives them again.
    ///
    /// # Errors
    /// As [`crate::graph::formats::import_path`] of a folder; then nothing is changed, and the next reading tries again.
    pub fn changes(
        &mut self,
        present: &Graph,
        progress: &mut dyn Progress,
    ) -> Result<Option<SourceChanges>, ImportError> {
        let (imported, same) = self.reader.read_all(progress)?;
        if same && self.wanted.is_none() && self.gone.is_empty() {
            return Ok(None);
        }
        let ops = difference(&self.before, &imported.graph, present);
        let gone: Vec<Op> = ops.iter().filter(|op| removes(op)).cloned().collect();
        let missed_twice = is_within(&gone, &self.gone);
        self.gone = gone;
        if !missed_twice {
            self.wanted = None;
            return Ok(None);
        }
        self.wanted = Some(imported.graph);
        if ops.is_empty() {
            self.applied();
            return Ok(None);
        }
        let Imported { skipped, skipped_count, warnings, .. } = imported;
        Ok(Some(SourceChanges { ops, skipped, skipped_count, warnings }))
    }

    /// Whether a reading that told no changes found none: not even something missing that the next one may miss too.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.gone.is_empty()
    }

    /// From here on the whole of what is read is told as changes.
    pub fn forget(&mut self) {
        self.wanted = Some(std::mem::take(&mut self.before));
    }

    /// Says that the last changes are in the graph.
    pub fn applied(&mut self) {
        if let Some(wanted) = self.wanted.take() {
            self.before = wanted;
            self.gone.clear();
        }
    }

    /// Pages that the last reading parsed because their bytes were new.
    #[cfg(test)]
    fn parsed(&self) -> usize {
        self.reader.parsed
    }
}

/// What people and agents put on a node or an edge goes with it, and does not come back with its page.
const fn removes(op: &Op) -> bool {
    matches!(op, Op::RemoveNode { .. } | Op::RemoveEdge { .. })
}

/// Whether all of `part` is in `whole`, in the same order: removals are in that of the reading before.
fn is_within(part: &[Op], whole: &[Op]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|op| whole.any(|other| other == op))
}

#[cfg(test)]
mod tests {
    //! Goal: following a folder gives the graph that importing it anew gives. Method: random edits of a few pages that
    //! link each other; after each the operations are done on the graph that was there.

    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::graph::formats::import_path;
    use crate::graph::formats::tests::{SMALL, facts};
    use crate::graph::{Batch, GraphLimits, Pending};

    const OPTIONS: ImportOptions = ImportOptions { nodes_max: 1_000, edges_max: 1_000, ..SMALL };

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("swarmcast-watch-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("pages")).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join("pages").join(name), text).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn apply(graph: &mut Graph, ops: Vec<Op>) {
        let batch = Batch { ops, ..Batch::default() };
        let limits = GraphLimits { nodes: 1_000, edges: 1_000 };
        let staged = Pending::default().stage(graph, &batch, limits).unwrap();
        graph.commit(&staged.changes);
    }

    #[test]
    fn a_pipe_where_settings_or_a_page_should_be_holds_nobody_up() {
        let folder = Folder::new("pipe");
        folder.write("a.md", "public:: true\n- [[b]]");
        fs::create_dir_all(folder.0.join("logseq")).unwrap();
        for name in ["logseq/config.edn", "pages/b.md"] {
            assert!(std::process::Command::new("mkfifo").arg(folder.0.join(name)).status().unwrap().success());
        }
        let (_, imported) = VaultWatch::open(&folder.0, &OPTIONS, &mut ()).unwrap();
        assert!(imported.graph.by_key("a").is_some());
    }

    /// Looks once, or twice when the first look is the first to miss something.
    fn look(watch: &mut VaultWatch, present: &Graph) -> Option<SourceChanges> {
        let first = watch.changes(present, &mut ()).unwrap();
        if first.is_some() || watch.is_at_rest() {
            return first;
        }
        let second = watch.changes(present, &mut ()).unwrap();
        assert!(second.is_some(), "two looks in a row found the same");
        second
    }

    const LINES: [&str; 12] = [
        "- to [[a]] and [[B]]",
        "- [[c|see]] [[nobody]]",
        "- #tag #a/b",
        "- [[new name]] [[a/sub]]",
        "size:: 7",
        "title:: new name",
        "alias:: c, other",
        "tags:: x, b",
        "- [[other]] ![[b]]",
        "type:: agent",
        "up:: [[a]]",
        "private text",
    ];

    /// A page by its number: `None` removes it.
    type Edit = (usize, Option<(bool, Vec<usize>)>);

    fn edits() -> impl Strategy<Value = Vec<Edit>> {
        let text = (prop::bool::weighted(0.8), prop::collection::vec(0..LINES.len(), 0..5));
        prop::collection::vec((0_usize..5, prop::option::weighted(0.75, text)), 1..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn following_a_folder_is_importing_it_anew(edits in edits(), logseq in any::<bool>()) {
            let folder = Folder::new("random");
            if logseq {
                fs::create_dir_all(folder.0.join("logseq")).unwrap();
            } else {
                fs::create_dir_all(folder.0.join(".obsidian")).unwrap();
            }
            folder.write("first.md", "public:: true\n- [[a]] [[d]]");
            let (mut watch, first) = VaultWatch::open(&folder.0, &OPTIONS, &mut ()).unwrap();
            let mut present = first.graph;
            for (page, text) in edits {
                let name = ["a.md", "b.md", "c.md", "d.md", "a___sub.md"][page];
                match text {
                    Some((public, lines)) => {
                        let head = if public { "public:: true\n" } else { "" };
                        let lines: Vec<&str> = lines.into_iter().map(|line| LINES[line]).collect();
                        folder.write(name, &format!("{head}{}", lines.join("\n")));
                    }
                    None => drop(fs::remove_file(folder.0.join("pages").join(name))),
                }
                if let Some(changes) = look(&mut watch, &present) {
                    apply(&mut present, changes.ops);
                    watch.applied();
                }
                let anew = import_path(&folder.0, &OPTIONS, &mut ()).unwrap().graph;
                prop_assert_eq!(facts(&present), facts(&anew));
                prop_assert!(watch.changes(&present, &mut ()).unwrap().is_none());
                prop_assert_eq!(watch.parsed(), 0);
            }
        }
    }

    #[test]
    fn only_pages_with_new_bytes_are_parsed() {
        let folder = Folder::new("parsed");
        for page in ["a.md", "b.md", "c.md"] {
            folder.write(page, "public:: true\n- [[a]] [[gone]]");
        }
        let (mut watch, first) = VaultWatch::open(&folder.0, &OPTIONS, &mut ()).unwrap();
        let mut present = first.graph;
        assert_eq!(watch.parsed(), 3);
        folder.write("b.md", "public:: true\n- [[a]] [[gone]]");
        assert!(watch.changes(&present, &mut ()).unwrap().is_none());
        assert_eq!(watch.parsed(), 0);
        folder.write("b.md", "public:: true\n- [[c]]");
        assert!(watch.changes(&present, &mut ()).unwrap().is_none(), "two links are missed for the first time");
        assert_eq!((watch.parsed(), watch.is_at_rest()), (1, false));
        let changes = watch.changes(&present, &mut ()).unwrap().unwrap();
        assert_eq!((watch.parsed(), changes.ops.len()), (0, 4), "two links less, one more, and another weight");
        let again = watch.changes(&present, &mut ()).unwrap().unwrap();
        assert_eq!(again.ops, changes.ops, "what was not applied is given again");
        apply(&mut present, again.ops);
        watch.applied();
        assert!(watch.changes(&present, &mut ()).unwrap().is_none());
    }

    #[test]
    fn a_page_that_others_link_becomes_a_stub_when_it_is_deleted() {
        let folder = Folder::new("stub");
        folder.write("a.md", "public:: true\n- [[b]]");
        folder.write("b.md", "public:: true\nsize:: 3\n- [[only from b]]");
        let (mut watch, first) = VaultWatch::open(&folder.0, &OPTIONS, &mut ()).unwrap();
        let mut present = first.graph;
        let id = |graph: &Graph| graph.by_key("b").and_then(|index| graph.node(index)).unwrap().id;
        let before = id(&present);
        fs::remove_file(folder.0.join("pages/b.md")).unwrap();
        let ops = look(&mut watch, &present).unwrap().ops;
        apply(&mut present, ops);
        watch.applied();
        assert_eq!((id(&present), present.by_key("only from b")), (before, None));
        assert_eq!(facts(&present), facts(&import_path(&folder.0, &OPTIONS, &mut ()).unwrap().graph));
    }

    #[test]
    fn a_page_that_is_empty_or_away_at_one_look_and_back_at_the_next_keeps_its_node() {
        let folder = Folder::new("rest");
        let written = "public:: true\n- [[b]] [[only from a]]";
        folder.write("a.md", written);
        folder.write("b.md", "public:: true\n- text");
        let (mut watch, first) = VaultWatch::open(&folder.0, &OPTIONS, &mut ()).unwrap();
        let mut present = first.graph;
        // Cut short by an editor, then with everything; taken away by a checkout, then with more than before.
        folder.write("a.md", "");
        assert!(watch.changes(&present, &mut ()).unwrap().is_none() && !watch.is_at_rest());
        folder.write("a.md", written);
        assert!(watch.changes(&present, &mut ()).unwrap().is_none() && watch.is_at_rest());
        fs::remove_file(folder.0.join("pages/a.md")).unwrap();
        assert!(watch.changes(&present, &mut ()).unwrap().is_none() && !watch.is_at_rest());
        folder.write("a.md", &format!("{written} [[new]]"));
        let ops = watch.changes(&present, &mut ()).unwrap().unwrap().ops;
        assert!(!ops.iter().any(removes), "{ops:?}");
        apply(&mut present, ops);
        watch.applied();
        assert!(present.by_key("new").is_some());
        // Pages that are written meanwhile do not keep one that is away.
        fs::remove_file(folder.0.join("pages/a.md")).unwrap();
        assert!(watch.changes(&present, &mut ()).unwrap().is_none());
        folder.write("b.md", "public:: true\n- [[new]]");
        let ops = watch.changes(&present, &mut ()).unwrap().unwrap().ops;
        apply(&mut present, ops);
        watch.applied();
        assert_eq!(present.by_key("a"), None);
        assert_eq!(facts(&present), facts(&import_path(&folder.0, &OPTIONS, &mut ()).unwrap().graph));
    }

    #[test]
    fn a_reading_that_fails_changes_nothing_and_is_tried_again() {
        let folder = Folder::new("fails");
        folder.write("a.md", "public:: true\n- [[b]]");
        let (mut watch, first) = VaultWatch::open(&folder.0, &OPTIONS, &mut ()).unwrap();
        let mut present = first.graph;
        fs::write(folder.0.join("pages/b.md"), b"public:: true\n- \xff").unwrap();
        assert!(watch.changes(&present, &mut ()).is_err());
        folder.write("b.md", "public:: true\n- [[a]]");
        let ops = watch.changes(&present, &mut ()).unwrap().unwrap().ops;
        apply(&mut present, ops);
        watch.applied();
        assert_eq!(facts(&present), facts(&import_path(&folder.0, &OPTIONS, &mut ()).unwrap().graph));
    }
}
