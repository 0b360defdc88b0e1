//! What an importer did that its user may not expect, short of refusing the file.

use super::Format;
use crate::limits::{ATTRIBUTES_MAX, TEXT_BYTES_MAX};

/// Notes that are kept; past it they are only counted.
const NOTES_MAX: usize = 100;

/// Something to tell the user about an import that succeeded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Note {
    /// The contents are certain and the extension says otherwise; the contents were believed.
    #[error("the file's extension says {extension}, its contents {contents}; read as {contents}")]
    Extension {
        /// What the extension says.
        extension: Format,
        /// What the first bytes say.
        contents: Format,
    },
    /// The file has no nodes.
    #[error("the graph has no nodes")]
    NoNodes,
    /// Attribute texts were cut.
    #[error("{count} attribute texts longer than {TEXT_BYTES_MAX} bytes were cut, the first in `{name}`")]
    TextCut {
        /// Texts that were cut.
        count: u64,
        /// Attribute of the first.
        name: Box<str>,
    },
    /// Attributes were left out.
    #[error("{count} attributes past {ATTRIBUTES_MAX} of a node or edge were left out, the first `{name}`")]
    AttributesDropped {
        /// Attributes that were left out.
        count: u64,
        /// Name of the first.
        name: Box<str>,
    },
    /// Times in the file were not read.
    #[error("the file is dynamic; its times were left out and everything in it taken as always there")]
    TimesIgnored,
    /// Nodes inside of nodes.
    #[error("{count} nested graphs were flattened: their nodes and edges stand beside the others")]
    Flattened {
        /// Nested graphs.
        count: u64,
    },
    /// Places at the rim of a node where edges end.
    #[error("{count} ends of edges name a port; the ports were left out")]
    Ports {
        /// Ends of edges.
        count: u64,
    },
    /// A page nests blocks deeper than the cap.
    #[error("{page}: blocks deeper than {limit} levels were left out (block depth), the first in line {line}")]
    BlockDepth {
        /// The page's file.
        page: Box<str>,
        /// First line that was left out.
        line: u64,
        /// Levels.
        limit: usize,
    },
    /// A block has more references than the cap.
    #[error("{page}: line {line}: references past {limit} of one block were left out (references per block)")]
    BlockReferences {
        /// The page's file.
        page: Box<str>,
        /// Line of the first one left out.
        line: u64,
        /// References.
        limit: usize,
    },
    /// A page has more blocks than the cap.
    #[error("{page}: blocks past {limit} were left out (blocks per page), from line {line}")]
    Blocks {
        /// The page's file.
        page: Box<str>,
        /// First line that was left out.
        line: u64,
        /// Blocks.
        limit: usize,
    },
    /// Links of the file system were passed over.
    #[error("{count} symbolic links were not followed")]
    SymbolicLinks {
        /// Links.
        count: u64,
    },
    /// Two pages have one name.
    #[error("{page}: its name is that of {other}; both are one node")]
    SameName {
        /// The later page's file.
        page: Box<str>,
        /// The earlier page's file.
        other: Box<str>,
    },
    /// Links to private pages were left out. Says how many and never which.
    #[error("{pages} pages are private and were left out, with {links} links to them")]
    Private {
        /// Private pages.
        pages: u64,
        /// Links and properties that name one.
        links: u64,
    },
    /// More notes than are kept.
    #[error("and {count} more notes")]
    More {
        /// Notes that are not listed.
        count: u64,
    },
}

/// Collects notes: those that count are merged, the others bounded in number.
#[derive(Debug, Default)]
pub(super) struct Notes {
    list: Vec<Note>,
    more: u64,
    text_cut: Option<(u64, Box<str>)>,
    dropped: Option<(u64, Box<str>)>,
    flattened: u64,
    ports: u64,
}

impl Notes {
    pub(super) fn add(&mut self, note: Note) {
        if self.list.contains(&note) {
            return;
        }
        if self.list.len() < NOTES_MAX { self.list.push(note) } else { self.more += 1 }
    }

    pub(super) fn text_cut(&mut self, name: &str) {
        self.text_cut.get_or_insert_with(|| (0, name.into())).0 += 1;
    }

    pub(super) fn attribute_dropped(&mut self, name: &str) {
        self.dropped.get_or_insert_with(|| (0, name.into())).0 += 1;
    }

    pub(super) fn flattened(&mut self) {
        self.flattened += 1;
    }

    pub(super) fn port(&mut self) {
        self.ports += 1;
    }

    pub(super) fn into_list(mut self) -> Vec<Note> {
        let merged = [
            self.text_cut.map(|(count, name)| Note::TextCut { count, name }),
            self.dropped.map(|(count, name)| Note::AttributesDropped { count, name }),
            (self.flattened > 0).then_some(Note::Flattened { count: self.flattened }),
            (self.ports > 0).then_some(Note::Ports { count: self.ports }),
            (self.more > 0).then_some(Note::More { count: self.more }),
        ];
        self.list.extend(merged.into_iter().flatten());
        self.list
    }
}
