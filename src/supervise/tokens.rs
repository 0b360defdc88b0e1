//! The file of named tokens: that nobody else may read it, that every line of it is one, and that it is read again when it changes.

use std::fs::{File, Metadata, metadata};
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::StartError;
use crate::base::clock::unix_ms;
use crate::handoff::Producer;
use crate::mcp::{NamedToken, Server, tokens};

/// Bytes of the file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Wrong lines that are told of.
const PROBLEMS_SHOWN_MAX: usize = 20;

/// Rights of a group and of everybody.
const OTHERS: u32 = 0o077;

/// Time between two looks at the file. A change counts when it is the same in two of them: whoever writes has ended then.
const LOOK: Duration = Duration::from_secs(1);

/// A server that lets the owners of the tokens in the file in.
pub(super) fn named(server: &Server, path: &Path) -> Result<Server, StartError> {
    with_file(server, path).map_err(|reason| StartError::Tokens { path: path.to_owned(), reason })
}

fn with_file(server: &Server, path: &Path) -> Result<Server, String> {
    let text = read(path).map_err(|error| error.to_string())?;
    let found = tokens(&text).map_err(|problems| {
        let mut lines: Vec<String> = problems.iter().take(PROBLEMS_SHOWN_MAX).map(ToString::to_string).collect();
        if problems.len() > PROBLEMS_SHOWN_MAX {
            lines.push(format!("and {} more lines", problems.len() - PROBLEMS_SHOWN_MAX));
        }
        lines.join("\n  ")
    })?;
    let now_ms = unix_ms();
    for NamedToken { admitted, line, .. } in &found {
        if admitted.until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            let name = &admitted.principal.name;
            tracing::warn!("mcp.tokens_file {}: line {line}: the token of {name} has expired", path.display());
        }
    }
    server.with_named(found).map_err(|problem| problem.to_string())
}

/// What tells that a file is another one: device, inode, bytes, and when its content and its rights changed, s and ns.
type Stamp = (u64, u64, u64, [i64; 4]);

fn stamp(path: &Path) -> Option<Stamp> {
    let found = metadata(path).ok()?;
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    Some((found.dev(), found.ino(), found.size(), times))
}

/// The file, which is looked at now and then: who may come in is always who stands in it.
pub(super) struct TokensFile {
    path: PathBuf,
    server: Arc<Server>,
    renewed: Producer<Arc<Server>>,
    looked: Instant,
    /// What was read last, and what was seen last; `None` is no file.
    read: Option<Stamp>,
    seen: Option<Stamp>,
}

impl TokensFile {
    /// The file that `server` has its tokens from.
    pub(super) fn new(path: &Path, server: Arc<Server>, renewed: Producer<Arc<Server>>) -> Self {
        let stamp = stamp(path);
        Self { path: path.to_owned(), server, renewed, looked: Instant::now(), read: stamp, seen: stamp }
    }

    /// Reads the file again when it is another one. One that cannot be taken changes nothing.
    pub(super) fn look(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let found = stamp(&self.path);
        let settled = std::mem::replace(&mut self.seen, found) == found;
        if !settled || found == self.read {
            return;
        }
        let path = self.path.display();
        match with_file(&self.server, &self.path) {
            Ok(server) => {
                // A lane that is full: control has not looked for a second.
                if self.renewed.push(Arc::new(server)).is_err() {
                    return;
                }
                tracing::info!("mcp.tokens_file {path}: it has changed, and is in force as it is now");
            }
            Err(reason) => tracing::error!("mcp.tokens_file {path}: the tokens of before stay in force: {reason}"),
        }
        self.read = found;
    }
}

fn read(path: &Path) -> Result<String, Error> {
    // Not to wait for somebody to write into what turns out to be a pipe.
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    check(&file.metadata()?)?;
    let mut text = String::new();
    file.by_ref().take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => Error::new(ErrorKind::InvalidData, "it is not UTF-8"),
        _ => error,
    })?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn check(found: &Metadata) -> Result<(), Error> {
    if !found.is_file() {
        return Err(Error::other("it is not a file"));
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        let words = format!("others than its user have rights to it (mode {mode:04o}): chmod 600 it");
        return Err(Error::new(ErrorKind::PermissionDenied, words));
    }
    Ok(())
}
