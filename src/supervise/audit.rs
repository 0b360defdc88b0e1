//! The audit log: a file of JSON Lines beside the store, written by a thread of its own, and read by `swarmcast audit`.
//!
//! It is apart from the store, because it outlives what a restore puts back, and because whoever looks into it needs no tool. A line is
//! written as soon as the call is over, and is on the disk within a second.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::sync::Parker;
use serde_json::Value;

use super::StartError;
use super::topology::{AUDIT, LaneMaker};
use crate::config::{AuditFilter, McpOptions};
use crate::handoff::{Consumer, Doorbell, Producer};
use crate::mcp::AuditRecord;

/// The longest that a line waits for the disk.
const SYNC: Duration = Duration::from_secs(1);

/// Bytes that wait while the file cannot be written.
const UNWRITTEN_BYTES_MAX: usize = 4 << 20;

/// The file of a store, and the one before it.
fn files(store: &Path) -> (PathBuf, PathBuf) {
    let beside = |end: &str| {
        let mut name = store.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    (beside(".audit.jsonl"), beside(".audit.1.jsonl"))
}

/// Two files, together no longer than is allowed: when the newer one is full it becomes the older one.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    older: PathBuf,
    /// Of each.
    bytes_max: u64,
    file: File,
    bytes: u64,
}

impl Log {
    fn open(store: &Path, bytes_max: u64) -> io::Result<Self> {
        let (path, older) = files(store);
        let mut file = begin(&path)?;
        let mut bytes = file.metadata()?.len();
        // An engine that was killed may have left half a line.
        let mut last = [b'\n'];
        if bytes > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n")?;
            bytes += 1;
        }
        Ok(Self { path, older, bytes_max: bytes_max / 2, file, bytes })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.bytes_max {
            self.file.sync_data()?;
            fs::rename(&self.path, &self.older)?;
            self.file = begin(&self.path)?;
            self.bytes = 0;
        }
        self.file.write_all(lines)?;
        self.bytes += lines.len() as u64;
        Ok(())
    }
}

fn begin(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)
}

/// The thread that writes.
pub(super) struct Auditor {
    records: Consumer<AuditRecord>,
    log: Log,
    parker: Parker,
    bell: Arc<Doorbell>,
}

/// Opens the file of the store; `None` where nothing is kept, or nobody wants records.
pub(super) fn prepare(
    store: Option<&Path>,
    options: &McpOptions,
    lanes: &mut LaneMaker,
) -> Result<Option<(Producer<AuditRecord>, Auditor)>, StartError> {
    let Some(store) = store.filter(|_| options.audit_mib > 0) else { return Ok(None) };
    let failed = |reason| StartError::System { step: "opening the audit log beside the store (mcp.audit_mib)", reason };
    let log = Log::open(store, u64::from(options.audit_mib) << 20).map_err(failed)?;
    let parker = Parker::new();
    let unparker = parker.unparker().clone();
    let bell = Arc::new(Doorbell::new(Box::new(move || unparker.unpark())));
    let (out, records) = lanes.make(&AUDIT, None, &bell);
    Ok(Some((out, Auditor { records, log, parker, bell })))
}

impl Auditor {
    /// What wakes it.
    pub(super) fn bell(&self) -> Arc<Doorbell> {
        Arc::clone(&self.bell)
    }

    /// Writes until `stop` is set, and what has come until then.
    pub(super) fn run(self, stop: &AtomicBool) {
        let Self { mut records, mut log, parker, bell } = self;
        let (mut lines, mut synced, mut is_dirty, mut fails) = (Vec::new(), Instant::now(), false, false);
        loop {
            let is_over = stop.load(Ordering::Acquire);
            while lines.len() < UNWRITTEN_BYTES_MAX {
                let Some(record) = records.pop() else { break };
                lines.extend_from_slice(record.line().as_bytes());
            }
            let mut done = Ok(());
            if !lines.is_empty() {
                done = log.write(&lines);
                if done.is_ok() {
                    lines.clear();
                    is_dirty = true;
                }
            }
            if is_dirty && (is_over || synced.elapsed() >= SYNC) {
                done = done.and_then(|()| log.file.sync_data());
                (is_dirty, synced) = (false, Instant::now());
            }
            if let Err(error) = &done
                && !fails
            {
                tracing::error!(%error, path = %log.path.display(), "the audit log cannot be written; it is tried again");
            }
            fails = done.is_err();
            if is_over {
                return;
            }
            bell.arm();
            if (records.is_empty() || fails) && !stop.load(Ordering::Acquire) {
                parker.park_timeout(SYNC);
            }
            bell.disarm();
        }
    }
}

/// Prints the records that are kept, the oldest first.
pub(super) fn print(store: &Path, filter: &AuditFilter, mut out: impl Write) -> io::Result<()> {
    let (path, older) = files(store);
    let mut last: VecDeque<String> = VecDeque::new();
    for path in [older, path] {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        };
        for line in BufReader::new(file).lines() {
            let line = line?;
            let Ok(record) = serde_json::from_str::<Value>(&line) else { continue };
            let is = |field: &str, wanted: Option<&String>| {
                wanted.is_none_or(|wanted| record.get(field).is_some_and(|found| *found == **wanted))
            };
            if !is("principal", filter.principal.as_ref()) || !is("tool", filter.tool.as_ref()) {
                continue;
            }
            match filter.last {
                None => writeln!(out, "{line}")?,
                Some(0) => {}
                Some(most) => {
                    if last.len() >= most {
                        last.pop_front();
                    }
                    last.push_back(line);
                }
            }
        }
    }
    for line in last {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(store: &Path, filter: &AuditFilter) -> Vec<String> {
        let mut out = Vec::new();
        print(store, filter, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn two_files_hold_the_newest_and_no_more() {
        let folder = std::env::temp_dir().join(format!("swarmcast-audit-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let store = folder.join("graph.db");
        let line = |n: u32| format!("{{\"time\":{n},\"principal\":\"p{}\",\"tool\":\"t\"}}\n", n % 2);
        let mut log = Log::open(&store, 400).unwrap();
        // Five lines fill a file.
        for n in 0..12 {
            log.write(line(n).as_bytes()).unwrap();
        }
        let (path, older) = files(&store);
        assert!(fs::metadata(&path).unwrap().len() + fs::metadata(&older).unwrap().len() <= 400);
        let kept = all(&store, &AuditFilter::default());
        assert_eq!(
            (kept.first().unwrap(), kept.last().unwrap()),
            (&line(5).trim().to_owned(), &line(11).trim().to_owned())
        );
        let of = |last, principal: Option<&str>, tool: Option<&str>| {
            let filter = AuditFilter { last, principal: principal.map(Into::into), tool: tool.map(Into::into) };
            all(&store, &filter).len()
        };
        assert_eq!((of(Some(2), None, None), of(None, Some("p1"), None), of(None, None, Some("u"))), (2, 4, 0));
        // Half a line, of an engine that was killed, spoils no other one.
        log.file.write_all(b"{\"time\":").unwrap();
        let mut log = Log::open(&store, 400).unwrap();
        log.write(line(12).as_bytes()).unwrap();
        assert_eq!(all(&store, &AuditFilter::default()).last().unwrap(), line(12).trim());
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(&folder).unwrap();
    }
}
