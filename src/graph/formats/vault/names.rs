//! What a reference leads to.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use super::page::logseq_name;
use super::references::Target;
use super::{Flavour, Page};

/// Where a reference ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At this page.
    Page(usize),
    /// At a private page, or at one below it: nothing of it may be shown.
    Private,
    /// At a page that nobody has written yet, by name.
    Missing(String),
    /// At a tag of Obsidian, without its `#`.
    Tag(String),
}

/// Every name of every page, without regard to case and to how accents are composed. macOS composes them
/// differently in file names than keyboards do in text; a private page must be known by either.
pub(super) struct Names {
    flavour: Flavour,
    by_name: HashMap<String, usize>,
    by_file: HashMap<String, usize>,
}

impl Names {
    /// Collects the names of `pages`. Where two pages claim one, a public page goes before a private one, a name
    /// before an alias, a short path before a long one, and then the order of `pages` decides.
    pub(super) fn of(pages: &[Page], flavour: Flavour) -> Self {
        let mut names = Self { flavour, by_name: HashMap::new(), by_file: HashMap::new() };
        let mut order: Vec<usize> = (0..pages.len()).collect();
        order.sort_by_key(|place| pages.get(*place).map(|page| (!page.shown, page.file.matches('/').count())));
        let ordered = || order.iter().filter_map(|place| pages.get(*place).map(|page| (*place, page)));
        for (place, page) in ordered() {
            names.by_file.entry(plain(&page.file)).or_insert(place);
            names.by_name.entry(plain(&page.key)).or_insert(place);
        }
        if flavour == Flavour::Obsidian {
            for (place, page) in ordered() {
                let mut rest = page.file.as_str();
                while let Some((_, tail)) = rest.split_once('/') {
                    names.by_name.entry(plain(tail)).or_insert(place);
                    rest = tail;
                }
            }
        }
        for (place, page) in ordered() {
            for alias in &page.aliases {
                names.by_name.entry(plain(alias)).or_insert(place);
            }
        }
        names
    }

    /// Whether pages are keyed by path, so that their names are the last part of it.
    pub(super) fn is_by_path(&self) -> bool {
        self.flavour == Flavour::Obsidian
    }

    /// The page of this name.
    pub(super) fn page(&self, name: &str) -> Option<usize> {
        self.by_name.get(&plain(name)).copied()
    }

    /// What `target` leads to from the page in `file`.
    pub(super) fn end(&self, target: &Target, file: &str, pages: &[Page]) -> End {
        let (found, missing) = match target {
            Target::Tag(name) => return End::Tag(name.to_string()),
            Target::Page(name) if self.flavour == Flavour::Obsidian => {
                let path = if name.starts_with("./") || name.starts_with("../") {
                    joined(file, name)
                } else {
                    name.to_string()
                };
                let path = path.trim_start_matches('/').to_string();
                (self.page(&path), path)
            }
            Target::Page(name) => (self.logseq_page(name), name.to_string()),
            Target::File(path) => self.file(path, file),
        };
        let hidden = |place: usize| pages.get(place).is_none_or(|page| !page.shown);
        match found {
            Some(place) if hidden(place) => End::Private,
            Some(place) => End::Page(place),
            // The name of a page below a private one in a namespace gives the private one's name away.
            None if self.flavour == Flavour::Logseq
                && above(&missing).any(|name| self.page(name).is_some_and(hidden)) =>
            {
                End::Private
            }
            None => End::Missing(missing),
        }
    }

    /// A Logseq page by its name, else by its file, else by what stands before a heading: Logseq knows only the
    /// first, but people who use both tools write the others, and a private page must be known by them too.
    fn logseq_page(&self, name: &str) -> Option<usize> {
        let file = || self.by_file.get(&plain(&joined("", name))).copied();
        self.page(name).or_else(file).or_else(|| self.page(name.split(['#', '^']).next()?))
    }

    /// A link to a file: from its own folder, else from the vault's, else by name.
    fn file(&self, path: &str, from: &str) -> (Option<usize>, String) {
        let near = joined(from, path);
        let top = joined("", path);
        let found = self.by_file.get(&plain(&near)).or_else(|| self.by_file.get(&plain(&top))).copied();
        match self.flavour {
            Flavour::Logseq => {
                let name = logseq_name(path.rsplit('/').next().unwrap_or(path));
                (found.or_else(|| self.page(&name)), name)
            }
            Flavour::Obsidian => (found.or_else(|| self.page(&top)), near),
        }
    }
}

/// The names above `name` in its namespace.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').filter_map(|(at, _)| name.get(..at))
}

/// `path` as seen from the page in `file`; dots do not lead out of the vault.
fn joined(file: &str, path: &str) -> String {
    let folder = if path.starts_with('/') { "" } else { file.rsplit_once('/').map_or("", |(folder, _)| folder) };
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A name as it is compared.
pub(super) fn plain(name: &str) -> String {
    let name = name.trim();
    if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        name.nfc().collect::<String>().to_lowercase().nfc().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_composition() {
        assert_eq!(plain(" Cafe\u{301} ÉTÉ "), plain("café été"));
        assert_ne!(plain("cafe"), plain("café"));
    }

    #[test]
    fn paths_join_within_the_vault() {
        assert_eq!(joined("a/b/page", "../c"), "a/c");
        assert_eq!(joined("page", "../../c"), "c");
        assert_eq!(joined("a/page", "/x/./y"), "x/y");
    }
}
