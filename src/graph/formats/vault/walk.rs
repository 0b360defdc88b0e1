//! The pages of a vault, in an order that does not depend on the file system.

use std::fs;
use std::path::{Path, PathBuf};

use super::Flavour;
use super::references::without_md;
use crate::graph::formats::import::unreadable;
use crate::graph::formats::intake::Intake;
use crate::graph::formats::note::Note;
use crate::graph::formats::{BadLine, Found, ImportError, Problem};

/// Folders inside of each other.
const FOLDERS_MAX: usize = 64;

/// One page's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageFile {
    /// Path in the vault, with slashes, without `.md`.
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// All pages, sorted by path.
///
/// Hidden files and folders are passed over, and Logseq's own `logseq` folder with its backups. No symbolic link
/// is followed: what one leads to inside the vault is met anyway, and what lies outside is not the vault's.
pub(super) fn walk(root: &Path, flavour: Flavour, intake: &mut Intake) -> Result<Vec<PageFile>, ImportError> {
    let mut pages = Vec::new();
    let mut links = 0;
    let mut folders = vec![(root.to_path_buf(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        if depth > FOLDERS_MAX {
            return Err(ImportError::FoldersTooDeep { path: root.into(), limit: FOLDERS_MAX });
        }
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(reason) if depth == 0 => return Err(unreadable(root, reason)),
            Err(reason) => {
                intake.bad(unreadable_entry(&prefix, &reason));
                continue;
            }
        };
        for entry in entries {
            let (entry, kind) = match entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind))) {
                Ok(found) => found,
                Err(reason) => {
                    intake.bad(unreadable_entry(&prefix, &reason));
                    continue;
                }
            };
            let file_name = entry.file_name().to_string_lossy().into_owned();
            let name = format!("{prefix}{file_name}");
            let passed_over = file_name.starts_with('.') || (flavour == Flavour::Logseq && name == "logseq");
            if kind.is_symlink() {
                links += 1;
            } else if kind.is_dir() && !passed_over {
                folders.push((entry.path(), format!("{name}/"), depth + 1));
            } else if kind.is_file() && !passed_over && without_md(&name).len() < name.len() {
                pages.push(PageFile { name: without_md(&name).into(), path: entry.path() });
            }
        }
    }
    if links > 0 {
        intake.notes.add(Note::SymbolicLinks { count: links });
    }
    pages.sort_by(|left, right| (&left.name, &left.path).cmp(&(&right.name, &right.path)));
    Ok(pages)
}

/// The record of a file or folder that the system does not let be read.
pub(super) fn unreadable_entry(name: &str, reason: &std::io::Error) -> BadLine {
    BadLine {
        unit: "line",
        file: Some(Found::words(name)),
        line: 0,
        column: None,
        problem: Problem::Unreadable(reason.to_string().into()),
    }
}
