//! Markdown vaults: a folder of pages, as Logseq and Obsidian keep them, or a plain one.
//!
//! | | Logseq | Obsidian, and plain folders |
//! |---|---|---|
//! | known by | `logseq/`, or `pages/` or `journals/` without `.obsidian/` | `.obsidian/`, or neither |
//! | taken | pages whose first line is `public:: true`, or all when asked | all pages |
//! | key of a page | its title, else its file name as a namespace, else the day of a journal | its path |
//! | group | its namespace, or `journal` | its folder |
//! | `#tag` | a page | a node `#tag` of group `tag`, below the tag it is nested in |
//!
//! References are edges from the page that has them, directed, once per pair of pages with their count as weight.
//! A page that nobody has written is a node with the attribute `missing`. A private page leaves no trace: no node,
//! no edge, no attribute that names it, only the number of what was left out. A page without a weight of its own
//! weighs log10 of its bytes, at least 1.

mod front_matter;
mod journal;
mod names;
mod page;
mod reader;
mod references;
mod walk;

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use self::journal::Day;
use self::names::{End, Names, plain};
use self::page::{Contents, logseq_name};
use self::reader::Reader;
pub use self::reader::{SourceChanges, VaultWatch};
use self::walk::PageFile;
use super::intake::Intake;
use super::note::Note;
use super::properties::{EdgeParts, Properties};
use super::{BadLine, Format, Found, ImportError, ImportOptions, Imported, Problem, Progress};
use crate::base::open_file;
use crate::graph::{NodeIndex, Value};

/// Whose rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Logseq,
    /// Plain folders, too: without properties of a tool, the rules are the same.
    Obsidian,
}

impl Flavour {
    /// A folder that both tools use is Logseq's: to take a page for private that is not is the smaller mistake.
    fn of(root: &Path) -> Self {
        let has = |name: &str| root.join(name).is_dir();
        let logseq = has("logseq") || (!has(".obsidian") && (has("pages") || has("journals")));
        if logseq { Self::Logseq } else { Self::Obsidian }
    }
}

/// A page that was read.
#[derive(Debug)]
pub(super) struct Page {
    path: PathBuf,
    /// Of its bytes; `None` for one that cannot be read.
    hash: Option<blake3::Hash>,
    /// Path in the vault, without `.md`.
    file: String,
    key: String,
    aliases: Vec<String>,
    group: Option<String>,
    /// Not private.
    shown: bool,
    bytes: u64,
    contents: Contents,
}

/// Imports the vault in the folder `root`.
pub(super) fn import(
    root: &Path,
    options: &ImportOptions,
    progress: &mut dyn Progress,
) -> Result<Imported, ImportError> {
    Reader::new(root, options).read_all(progress).map(|(imported, _)| imported)
}

/// Bytes of its configuration that are read.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// What the vault's own configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    flavour: Flavour,
    journals: String,
    day_format: String,
}

impl Settings {
    fn of(root: &Path, flavour: Flavour) -> Self {
        let text = match flavour {
            Flavour::Logseq => {
                let mut text = String::new();
                let read = open_file(&root.join("logseq/config.edn"))
                    .and_then(|(file, _)| file.take(CONFIG_BYTES_MAX).read_to_string(&mut text));
                if read.is_ok() { text } else { String::new() }
            }
            Flavour::Obsidian => String::new(),
        };
        let setting = |key: &str, usual: &str| setting(&text, key).unwrap_or(usual).to_string();
        Self {
            flavour,
            journals: setting(":journals-directory", "journals"),
            day_format: setting(":journal/page-title-format", journal::DEFAULT_FORMAT),
        }
    }

    fn page(&self, file: &PageFile, mut contents: Contents, read: Option<(blake3::Hash, u64)>, shown: bool) -> Page {
        let (folder, stem) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
        let mut aliases: Vec<String> = std::mem::take(&mut contents.aliases).into_iter().map(String::from).collect();
        let (key, group) = match self.flavour {
            Flavour::Obsidian => {
                (file.name.clone(), Some(folder).filter(|folder| !folder.is_empty()).map(String::from))
            }
            Flavour::Logseq => {
                let day = Day::of_file(stem).filter(|_| folder == self.journals);
                let name = day.map_or_else(|| logseq_name(stem), |day| day.titled(&self.day_format));
                aliases.extend(day.into_iter().flat_map(Day::aliases));
                let key = contents.title.take().map_or_else(|| name.clone(), String::from);
                let namespace = key.rsplit_once('/').map(|(above, _)| above.to_string());
                aliases.push(name);
                (key, namespace.or_else(|| day.map(|_| "journal".into())))
            }
        };
        let (hash, bytes) = read.map_or((None, 0), |(hash, bytes)| (Some(hash), bytes));
        Page { path: file.path.clone(), hash, file: file.name.clone(), key, aliases, group, shown, bytes, contents }
    }
}

/// The text that `key` has in a file of EDN, where it stands on one line.
fn setting<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('"'));
    line?.split('"').next()
}

/// Turns pages into nodes and their references into edges.
struct Weave<'a> {
    root: &'a Path,
    pages: &'a [Page],
    names: Names,
    intake: Intake,
    /// Node of every page that has one.
    nodes: Vec<Option<NodeIndex>>,
    /// Pages that nobody has written, and tags, by plain name.
    others: HashMap<String, NodeIndex>,
    private_links: u64,
}

impl<'a> Weave<'a> {
    fn new(root: &'a Path, pages: &'a [Page], flavour: Flavour, intake: Intake) -> Self {
        let names = Names::of(pages, flavour);
        Self { root, nodes: vec![None; pages.len()], pages, names, intake, others: HashMap::new(), private_links: 0 }
    }

    fn run(mut self) -> Result<Imported, ImportError> {
        let pages = self.pages;
        for (place, page) in pages.iter().enumerate().filter(|(_, page)| page.shown) {
            let node = self.node(place, page, pages);
            let node = self.kept(page, 1, node)?;
            if let Some(slot) = self.nodes.get_mut(place) {
                *slot = node;
            }
        }
        for (place, page) in pages.iter().enumerate().filter(|(_, page)| page.shown) {
            if let Some(node) = self.nodes.get(place).copied().flatten() {
                self.edges(node, page, pages)?;
            }
        }
        let private = pages.iter().filter(|page| !page.shown).count() as u64;
        if private > 0 {
            self.intake.notes.add(Note::Private { pages: private, links: self.private_links });
        }
        self.intake.finish(Format::Vault)
    }

    /// As [`Intake::keep`], with the page's file.
    fn kept<T>(&mut self, page: &Page, line: u64, record: Result<T, Problem>) -> Result<Option<T>, ImportError> {
        match record {
            Err(Problem::Refused(limit)) if limit.is_limit() => {
                Err(ImportError::Limit { path: self.root.join(&page.file), line, limit })
            }
            Err(problem) => {
                self.intake.bad(BadLine {
                    unit: "line",
                    file: Some(Found::words(&page.file)),
                    line,
                    column: None,
                    problem,
                });
                Ok(None)
            }
            Ok(good) => Ok(Some(good)),
        }
    }

    fn node(&mut self, place: usize, page: &Page, pages: &[Page]) -> Result<NodeIndex, Problem> {
        for note in &page.contents.notes {
            self.intake.notes.add(note.clone());
        }
        // Two files of one name, as foo.md and Foo.md, are one page; in Obsidian the paths keep them apart.
        let first = self.names.page(&page.key).filter(|first| *first < place);
        if let (Some(first), Some(Some(node))) =
            (first.and_then(|first| pages.get(first)), first.and_then(|first| self.nodes.get(first)))
            && plain(&first.key) == plain(&page.key)
        {
            let note = Note::SameName { page: Found::words(&page.file), other: Found::words(&first.file) };
            self.intake.notes.add(note);
            return Ok(*node);
        }
        let mut properties = Properties::default();
        for property in &page.contents.properties {
            let private = |target| self.names.end(target, &page.file, pages) == End::Private;
            if property.targets.iter().any(private) {
                self.private_links += 1;
            } else {
                properties.push_spelled(&property.name, &property.value, &mut self.intake.notes);
            }
        }
        let mut parts = properties.into_node(&mut self.intake.notes)?;
        let stem = page.key.rsplit_once('/').map_or(page.key.as_str(), |(_, stem)| stem);
        if self.names.is_by_path() {
            parts.label = parts.label.or_else(|| Some(stem.into()));
        }
        parts.group = parts.group.or_else(|| page.group.as_deref().map(Box::from));
        parts.weight = parts.weight.or_else(|| Some((page.bytes.max(1) as f32).log10().max(1.0)));
        self.intake.new_node(&page.key, parts)
    }

    fn edges(&mut self, node: NodeIndex, page: &Page, pages: &[Page]) -> Result<(), ImportError> {
        let mut order: Vec<(NodeIndex, &'static str, u64)> = Vec::new();
        let mut counts: HashMap<NodeIndex, u32> = HashMap::new();
        for reference in &page.contents.references {
            let end = match self.names.end(&reference.target, &page.file, pages) {
                End::Private => {
                    self.private_links += u64::from(reference.relation != "property");
                    continue;
                }
                End::Page(place) => self.nodes.get(place).copied().flatten(),
                End::Missing(name) => {
                    let made = self.other(&name, &name, None);
                    self.kept(page, reference.line, made)?
                }
                End::Tag(name) => {
                    let made = self.tag(&name);
                    self.kept(page, reference.line, made)?
                }
            };
            if let Some(end) = end.filter(|end| *end != node) {
                let count = counts.entry(end).or_insert(0);
                if *count == 0 {
                    order.push((end, reference.relation, reference.line));
                }
                *count += 1;
            }
        }
        for (end, relation, line) in order {
            let weight = f64::from(counts.get(&end).copied().unwrap_or(1));
            let parts = EdgeParts { weight, relation: Some(relation.into()), ..EdgeParts::default() };
            let added = self.intake.edge(node, end, true, parts);
            self.kept(page, line, added)?;
        }
        Ok(())
    }

    /// The node of a page that nobody has written, or, with a group, of a tag.
    fn other(&mut self, key: &str, label: &str, group: Option<&str>) -> Result<NodeIndex, Problem> {
        let known = plain(key);
        if let Some(node) = self.others.get(&known) {
            return Ok(*node);
        }
        let made = self.intake.builder.find(key).is_none();
        let index = self.intake.builder.node(key)?;
        if let Some(node) = self.intake.builder.node_mut(index).filter(|_| made) {
            node.label = label.into();
            node.group = group.map(Box::from);
            if group.is_none() {
                node.attributes.push(("missing".into(), Value::Bool(true)));
            }
        }
        self.others.insert(known, index);
        Ok(index)
    }

    /// The node of a tag, with an edge to the tag it is nested in.
    fn tag(&mut self, name: &str) -> Result<NodeIndex, Problem> {
        let key = format!("#{name}");
        if let Some(node) = self.others.get(&plain(&key)) {
            return Ok(*node);
        }
        let mut above: Option<NodeIndex> = None;
        let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        for key in ends.filter_map(|end| name.get(..end)).filter(|part| !part.is_empty()).map(|part| format!("#{part}"))
        {
            let new = !self.others.contains_key(&plain(&key));
            let node = self.other(&key, &key, Some("tag"))?;
            if let Some(above) = above.filter(|above| new && *above != node) {
                let parts = EdgeParts { relation: Some("nested".into()), ..EdgeParts::default() };
                self.intake.edge(node, above, true, parts)?;
            }
            above = Some(node);
        }
        above.map_or_else(|| self.other(&key, &key, Some("tag")), Ok)
    }
}
