//! Why a store could not be opened, read or written.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// What went wrong, and the way out of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "the store {} is in use{}: its lock {} is taken; end that process, choose another file with --store FILE, or keep nothing with --ephemeral",
        path.display(), holder.map(|pid| format!(" by process {pid}")).unwrap_or_default(), lock.display()
    )]
    Locked {
        /// The store.
        path: PathBuf,
        /// The lock beside it.
        lock: PathBuf,
        /// Who has it, where the lock says so.
        holder: Option<u32>,
    },
    /// The folder is not there.
    #[error("the store {} cannot be kept: there is no folder {}; make it, or choose another file with --store FILE", path.display(), folder.display())]
    NoFolder {
        /// The store.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// Nothing is there.
    #[error("there is no store {}; name one with --store FILE", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is gone, and its write-ahead log is not.
    #[error("the store {0} is missing, but {0}-wal with its newest changes is there; put the file back, or move {0}-wal away to begin anew", path.display())]
    Orphan {
        /// The store.
        path: PathBuf,
    },
    /// Not SQLite's.
    #[error("{} is not a store: it is no SQLite database; choose another file with --store FILE, or bring back a backup with `swarmcast restore`", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A pipe, a folder, a device.
    #[error("{} {reason}; choose another file with --store FILE", path.display())]
    NoFile {
        /// What was to be a store.
        path: PathBuf,
        /// What it is, in words that follow the path.
        reason: String,
    },
    /// Another program's.
    #[error("{} is a database of another program (application id {application_id:#010x}); choose another file with --store FILE", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// As the file says.
        application_id: i32,
    },
    /// Another version's.
    #[error("the store {} has format {found}, and this version reads format {known}; use the newer swarmcast that wrote it, or bring back an older backup with `swarmcast restore`", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: i32,
        /// Ours.
        known: i32,
    },
    /// Shorter than it says.
    #[error("the store {} was cut off: it has {found} bytes of {expected}; bring back a backup with `swarmcast restore`, or save what is left with `sqlite3 {} .recover`", path.display(), path.display())]
    Truncated {
        /// The store.
        path: PathBuf,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// Its pages do not hang together.
    #[error("the store {} is damaged: {text}; bring back a backup with `swarmcast restore`, or save what is left with `sqlite3 {} .recover`", path.display(), path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What was found.
        text: String,
    },
    /// A row that no graph can have.
    #[error("the store {}: {table} {id}: {reason}; put it right with sqlite3, or bring back a backup with `swarmcast restore`", path.display())]
    Row {
        /// The store.
        path: PathBuf,
        /// Which table.
        table: &'static str,
        /// Which row.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// One file under several names has several locks.
    #[error("the store {} has {names} names (hard links), and its write-ahead log belongs to one; remove the others, or make a copy with `swarmcast backup`", path.display())]
    Linked {
        /// The store.
        path: PathBuf,
        /// How many.
        names: u64,
    },
    /// Something is there already.
    #[error("{} is there already{way_out}", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// What to do.
        way_out: &'static str,
    },
    /// A graph is there already.
    #[error("the store {} holds a graph already: a whole graph goes into an empty one", path.display())]
    NotEmpty {
        /// The store.
        path: PathBuf,
    },
    /// An entry that is not the next one.
    #[error("version {found} came where {expected} was due")]
    Order {
        /// Due.
        expected: u64,
        /// Given.
        found: u64,
    },
    /// The log does not go back that far.
    #[error("the log begins with version {first}, and {from} was asked for: take the whole graph instead")]
    Trimmed {
        /// Asked for.
        from: u64,
        /// Oldest there is.
        first: u64,
    },
    /// Acknowledged entries are not in the file.
    #[error("the store {} has version {found}, and {acknowledged} was acknowledged: the file was replaced; restart to go on from what it holds", path.display())]
    Replaced {
        /// The store.
        path: PathBuf,
        /// In the file.
        found: u64,
        /// Acknowledged.
        acknowledged: u64,
    },
    /// No room.
    #[error("{doing} {}: the disk is full", path.display())]
    Full {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
    },
    /// Another program holds it for writing.
    #[error("{doing} {}: another program has it locked", path.display())]
    Busy {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{doing} {}: {reason}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system or SQLite says.
        reason: String,
    },
}

/// What a failed commit means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No room on the disk: passes when there is.
    Full,
    /// The disk or file system failed.
    Io,
    /// Another program has the file locked.
    Busy,
    /// The file is not what it was: passes by a restart or a restore only.
    Damaged,
    /// Entries came out of order.
    Order,
}

impl FailureKind {
    /// The name in answers and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "disk_full",
            Self::Io => "io_error",
            Self::Busy => "busy",
            Self::Damaged => "damaged",
            Self::Order => "out_of_order",
        }
    }
}

impl StoreError {
    /// What SQLite's answer to `doing` something to `path` means.
    pub(super) fn sqlite(doing: &'static str, path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { doing, path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { doing, path },
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, text: error.to_string() },
            _ => Self::Io { doing, path, reason: error.to_string() },
        }
    }

    /// What the system's answer to `doing` something to `path` means.
    pub(super) fn io(doing: &'static str, path: &Path, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull => Self::Full { doing, path: path.to_owned() },
            _ => Self::Io { doing, path: path.to_owned(), reason: error.to_string() },
        }
    }

    /// What it means for whoever waits for a commit.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::Full { .. } => FailureKind::Full,
            Self::Busy { .. } | Self::Locked { .. } => FailureKind::Busy,
            Self::Order { .. } => FailureKind::Order,
            Self::Io { .. }
            | Self::NoFolder { .. }
            | Self::Absent { .. }
            | Self::Exists { .. }
            | Self::Trimmed { .. } => FailureKind::Io,
            Self::Orphan { .. }
            | Self::NotADatabase { .. }
            | Self::NoFile { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::Row { .. }
            | Self::Linked { .. }
            | Self::NotEmpty { .. }
            | Self::Replaced { .. } => FailureKind::Damaged,
        }
    }

    /// 1 for what the machine refused, 2 for what the user gave.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Full { .. } | Self::Busy { .. } | Self::Io { .. } => 1,
            _ => 2,
        }
    }
}
