//! The durable store: the graph as rows of a SQLite file, its numbered log, settings, layout.
//!
//! The `store` thread owns the file while the engine runs ([`StoreThread`]); before it starts, `supervise` opens and loads it.
//! The commands `check-store`, `backup`, `restore` and `compact` are functions here. What a change means is `graph`'s.

#![forbid(unsafe_code)]

mod backup;
mod check;
mod entry;
mod error;
mod file;
mod keep;
mod layout;
mod load;
mod lock;
mod order;
mod place;
mod rows;
mod schema;
mod sqlite;
mod turn;

pub use backup::{BackupSize, CompactSize, backup, compact, restore};
pub use check::{CheckReport, check};
pub use entry::{About, Entry, Layout, Loaded, LogPage, Retry};
pub use error::{FailureKind, StoreError};
pub use keep::{BackupJob, Store};
pub use load::{read, read_settings};
pub use order::{StoreOrder, StoreReport};
pub use place::default_path;
pub use sqlite::SqliteStore;
pub use turn::{StoreLanes, StoreThread};
