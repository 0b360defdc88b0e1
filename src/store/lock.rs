//! One process at a time writes a store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Held as long as it lives, and let go by the system when its process ends in whatever way.
///
/// It is a file of its own, `FILE.lock`: SQLite's own locks would keep `sqlite3` and backups out as well, and the file itself
/// cannot be locked beside them, since closing any descriptor of it would end SQLite's.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

/// The store's path without links, so that every way to it has the same lock: the file's own, or its folder's and its name.
pub(super) fn real_path(path: &Path) -> Result<PathBuf, StoreError> {
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let no_folder = || StoreError::NoFolder { path: path.to_owned(), folder: folder.to_owned() };
    let name = path.file_name().ok_or_else(no_folder)?;
    Ok(folder.canonicalize().map_err(|_| no_folder())?.join(name))
}

/// `path` with `suffix` after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl StoreLock {
    /// Takes the lock of the store at `path`, a [`real_path`].
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let lock = beside(path, ".lock");
        let io = |error: std::io::Error| StoreError::io("locking", &lock, &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut file);
                return Err(StoreError::Locked { path: path.to_owned(), lock, holder });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        // For whoever finds it taken. A full disk is no reason not to read a store.
        let noted = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::warn!("{}: who holds it could not be noted: {error}", lock.display());
        }
        Ok(Self { _file: file })
    }
}

/// The process that a lock names, if it runs.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    let pid = text.trim().parse().ok()?;
    (!Path::new("/proc/self").exists() || Path::new("/proc").join(format!("{pid}")).exists()).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it_until_the_first_lets_go() {
        let folder = std::env::temp_dir().join(format!("swarmcast-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = real_path(&folder.join("graph.db")).unwrap();
        let first = StoreLock::take(&path).unwrap();
        let link = folder.join("link.db");
        std::fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for way in [&path, &link] {
            let error = StoreLock::take(&real_path(way).unwrap()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            let pid = std::process::id().to_string();
            assert!(text.contains(&pid) && text.contains("graph.db.lock") && text.contains("--ephemeral"), "{text}");
        }
        drop(first);
        StoreLock::take(&path).unwrap();
        let missing = real_path(&folder.join("no/graph.db")).unwrap_err().to_string();
        assert!(missing.contains("there is no folder"), "{missing}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
