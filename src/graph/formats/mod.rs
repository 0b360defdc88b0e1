//! Importers: files of other tools to a [`super::Graph`]. Exporters: [`export`].
//!
//! [`import_path`] and [`import_bytes`] find the format out, read it, and hand back either a graph with what was
//! skipped and what to know, or one [`ImportError`] that says where the file is wrong, what was expected there and
//! what was found. They run on a worker thread or before start-up, never in a turn. Files are not trusted: every
//! line, nesting and count is bounded.

mod cursor;
mod difference;
mod dot;
mod edge_list;
mod error;
pub mod export;
mod format;
mod gexf;
mod gml;
mod graphml;
mod import;
mod intake;
mod json;
mod matrix_market;
mod note;
#[cfg(feature = "parquet")]
mod parquet;
mod properties;
mod source;
mod vault;
mod watch;
mod xml;

pub use difference::{difference, difference_until};
pub use error::{BAD_LINES_KEPT, BAD_LINES_SHOWN, BadLine, Found, ImportError, Problem};
pub use format::{Format, UnknownFormat};
pub use import::{ImportOptions, Imported, import_bytes, import_bytes_until, import_path};
pub use note::Note;
pub use source::Progress;
pub use vault::SourceChanges;
pub use watch::SourceWatch;

#[cfg(test)]
mod tests;
