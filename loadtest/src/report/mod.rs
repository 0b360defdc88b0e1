//! What comes out of a run: a table, JSON, `.hlog`, CSV, HTML and Markdown.
//!
//! JSON holds everything; the other forms can be made of it again at any time.

mod csv;
mod drift;
mod hlog;
mod html;
mod markdown;
mod model;
mod rows;
pub mod show;
mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};

pub use drift::Drift;
pub use hlog::HlogWriter;
pub use model::{
    ALL, FigureValue, GroupReport, KIND, Report, STATS, SliceReport, ThresholdResult, TimingValues, ToolReport,
    VERSION, Verdict, schema,
};
pub use rows::{Row, rows};
pub use table::{progress_line, text};

use crate::record::PackError;

/// Which files are wanted, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// The whole report.
    pub json: Option<PathBuf>,
    /// Histograms for standard HdrHistogram readers, an interval a slice.
    pub hlog: Option<PathBuf>,
    /// A row per slice and group.
    pub csv: Option<PathBuf>,
    /// One page with plots.
    pub html: Option<PathBuf>,
    /// For a pull request.
    pub markdown: Option<PathBuf>,
}

/// Why a report cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("{path} is not a report of swarmcast-load: {why}", path = path.display())]
    NotAReport {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is a report of another version.
    #[error(
        "{path} has report version {said}, this program reads version {VERSION}: use the swarmcast-load that wrote it",
        path = path.display()
    )]
    OtherVersion {
        /// Which.
        path: PathBuf,
        /// Its version.
        said: u64,
    },
    /// A histogram inside cannot be read or written.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A table or log could not be put into text.
    #[error("cannot write the {form}: {why}")]
    Form {
        /// Which form.
        form: &'static str,
        /// Why.
        why: String,
    },
}

/// Reads the JSON of a run.
///
/// # Errors
/// When the file cannot be read, is no report, or is one of another version.
pub fn read(path: &Path) -> Result<Report, ReportError> {
    let bytes = std::fs::read(path).map_err(|source| ReportError::Io { path: path.to_owned(), source })?;
    let not = |why: String| ReportError::NotAReport { path: path.to_owned(), why };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| not(error.to_string()))?;
    if value.get("report").and_then(serde_json::Value::as_str) != Some(KIND) {
        return Err(not(format!("it does not say \"report\": \"{KIND}\"")));
    }
    match value.get("version").and_then(serde_json::Value::as_u64) {
        None => return Err(not("it names no version".to_owned())),
        Some(said) if said != u64::from(VERSION) => {
            return Err(ReportError::OtherVersion { path: path.to_owned(), said });
        }
        Some(_) => {}
    }
    serde_json::from_value(value).map_err(|error| not(error.to_string()))
}

/// Writes what is wanted. Each file appears whole or not at all.
///
/// # Errors
/// When a file cannot be written, or a histogram of the report cannot be read.
pub fn write(report: &Report, to: &Outputs) -> Result<(), ReportError> {
    if let Some(path) = &to.json {
        let text = serde_json::to_string(report);
        let mut text = text.map_err(|error| ReportError::Form { form: "JSON", why: error.to_string() })?;
        text.push('\n');
        replace(path, text.as_bytes())?;
    }
    if let Some(path) = &to.hlog {
        replace(path, &hlog::render(report)?)?;
    }
    if let Some(path) = &to.csv {
        replace(path, &csv::render(report)?)?;
    }
    if let Some(path) = &to.html {
        replace(path, html::render(report)?.as_bytes())?;
    }
    if let Some(path) = &to.markdown {
        replace(path, markdown::render(report).as_bytes())?;
    }
    Ok(())
}

/// Writes beside `path`, then renames: who reads it sees the old file or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let failed = |source| ReportError::Io { path: path.to_owned(), source };
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = std::fs::File::create(&beside).and_then(|mut file| file.write_all(bytes));
    let done = written.and_then(|()| std::fs::rename(&beside, path));
    done.map_err(|source| {
        // The part is of no use to anyone; the first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
        failed(source)
    })
}
