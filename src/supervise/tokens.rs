//! The file of named tokens: that nobody else may read it, and that every line of it is one.

use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::StartError;
use crate::base::clock::unix_ms;
use crate::mcp::{Server, tokens};

/// Bytes of the file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Wrong lines that are told of.
const PROBLEMS_SHOWN_MAX: usize = 20;

/// Rights of a group and of everybody.
const OTHERS: u32 = 0o077;

/// Lets the owners of the tokens in the file in.
pub(super) fn add(server: &mut Server, path: &Path) -> Result<(), StartError> {
    let refuse = |reason: String| StartError::Tokens { path: path.to_owned(), reason };
    let text = read(path).map_err(|error| refuse(error.to_string()))?;
    let found = tokens(&text).map_err(|problems| {
        let mut lines: Vec<String> = problems.iter().take(PROBLEMS_SHOWN_MAX).map(ToString::to_string).collect();
        if problems.len() > PROBLEMS_SHOWN_MAX {
            lines.push(format!("and {} more lines", problems.len() - PROBLEMS_SHOWN_MAX));
        }
        refuse(lines.join("\n  "))
    })?;
    let now_ms = unix_ms();
    for token in found {
        let (name, line) = (token.admitted.principal.name.clone(), token.line);
        if token.admitted.until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            tracing::warn!("mcp.tokens_file {}: line {line}: the token of {name} has expired", path.display());
        }
        if !server.add_token_until(&token.token, token.admitted) {
            return Err(refuse(format!("line {line}: TOKEN is the one of mcp.token_file")));
        }
    }
    Ok(())
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
