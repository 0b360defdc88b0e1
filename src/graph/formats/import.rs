//! The two entrances: a path, or bytes that are already here.

use std::fs::{self, File};
use std::io::{self, BufRead, ErrorKind, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::intake::Intake;
use super::note::Note;
use super::source::{Progress, Source};
use super::{BadLine, Format, Found, ImportError, dot, edge_list, gexf, gml, graphml, json, matrix_market, vault};
use crate::base::open_file;
use crate::graph::Graph;

/// Bytes of the head of a file that are looked at to find its format.
const SNIFFED_BYTES: usize = 8 * 1024;

/// What to import and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions {
    /// The format, or [`Format::Auto`].
    pub format: Format,
    /// Leave bad lines and records out, and report them, where otherwise they refuse the file.
    pub skip_bad: bool,
    /// Take the pages of a Logseq vault that do not say `public:: true`, too.
    pub vault_all_pages: bool,
    /// Most nodes, `graph.nodes_max`.
    pub nodes_max: usize,
    /// Most edges, `graph.edges_max`.
    pub edges_max: usize,
}

/// A graph and how it was come by.
#[derive(Debug)]
pub struct Imported {
    /// The graph.
    pub graph: Graph,
    /// The format it was read as; never [`Format::Auto`].
    pub format: Format,
    /// The first [`super::BAD_LINES_KEPT`] records that were left out, in file order.
    pub skipped: Vec<BadLine>,
    /// All records that were left out.
    pub skipped_count: u64,
    /// What the user may not expect.
    pub warnings: Vec<Note>,
}

/// Imports a file, or a folder of Markdown pages.
///
/// The same contents give the same graph, whatever order the file system lists a folder in. Edge lists and XML
/// are read as a stream; JSON is held whole while it is read.
///
/// # Errors
/// [`ImportError`], its message starting with `path`.
pub fn import_path(path: &Path, options: &ImportOptions, progress: &mut dyn Progress) -> Result<Imported, ImportError> {
    let about = fs::metadata(path).map_err(|reason| unreadable(path, reason))?;
    if about.is_dir() {
        return match options.format {
            Format::Auto | Format::Vault => vault::import(path, options, progress),
            format => Err(ImportError::Folder { path: path.into(), format }),
        };
    }
    if options.format == Format::Vault {
        return match about.is_file() {
            true => Err(ImportError::NotFolder { path: path.into() }),
            false => Err(ImportError::Special { path: path.into() }),
        };
    }
    let (mut file, about) = open_file(path).map_err(|reason| unreadable(path, reason))?;
    if is_parquet(&mut file, options.format).map_err(|reason| unreadable(path, reason))? {
        return import_parquet(path, file, options, progress);
    }
    import_source(path, Source::new(Box::new(file), about.len(), progress), options, None)
}

/// Imports the bytes of one file; `name` stands for its path, in messages and for its extension.
///
/// # Errors
/// [`ImportError`], its message starting with `name`.
pub fn import_bytes(name: &str, bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    let path = Path::new(name);
    if options.format == Format::Vault {
        return Err(ImportError::NotFolder { path: path.into() });
    }
    let mut nothing = ();
    import_source(path, Source::new(Box::new(bytes), bytes.len() as u64, &mut nothing), options, None)
}

/// The same, told how far it is, until `stop` is set: then the next record ends it.
///
/// # Errors
/// As [`import_bytes`], and [`ImportError::Stopped`].
pub fn import_bytes_until(
    name: &str,
    bytes: &[u8],
    options: &ImportOptions,
    progress: &mut dyn Progress,
    stop: &Arc<AtomicBool>,
) -> Result<Imported, ImportError> {
    let path = Path::new(name);
    if options.format == Format::Vault {
        return Err(ImportError::NotFolder { path: path.into() });
    }
    import_source(path, Source::new(Box::new(bytes), bytes.len() as u64, progress), options, Some(stop))
}

/// What a Parquet file starts with.
const PARQUET_MAGIC: &[u8] = b"PAR1";

/// Whether the file is to be read as Parquet; it is at its start after this.
fn is_parquet(file: &mut File, wanted: Format) -> io::Result<bool> {
    if wanted != Format::Auto {
        return Ok(wanted == Format::Parquet);
    }
    let mut head = Vec::with_capacity(PARQUET_MAGIC.len());
    file.take(PARQUET_MAGIC.len() as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head == PARQUET_MAGIC)
}

#[cfg(feature = "parquet")]
use super::parquet::import as import_parquet;

#[cfg(not(feature = "parquet"))]
fn import_parquet(path: &Path, _: File, _: &ImportOptions, _: &mut dyn Progress) -> Result<Imported, ImportError> {
    Err(ImportError::Binary {
        path: path.into(),
        what: "Parquet, which this build does not read; build it with --features parquet",
    })
}

fn import_source(
    path: &Path,
    mut source: Source<'_>,
    options: &ImportOptions,
    stop: Option<&Arc<AtomicBool>>,
) -> Result<Imported, ImportError> {
    let mut intake = Intake::new(path, options);
    if let Some(stop) = stop {
        intake.stop_at(stop);
    }
    let format = open(path, &mut source, options.format, &mut intake)?;
    match format {
        Format::Csv | Format::Tsv | Format::Whitespace => edge_list::read(source, format, &mut intake)?,
        Format::Json => json::read(source, &mut intake)?,
        Format::GraphMl => graphml::read(source, &mut intake)?,
        Format::Gexf => gexf::read(source, &mut intake)?,
        Format::Gml => gml::read(source, &mut intake)?,
        Format::Dot => dot::read(source, &mut intake)?,
        Format::MatrixMarket => matrix_market::read(source, options.nodes_max, &mut intake)?,
        Format::Parquet => return Err(ImportError::Binary { path: path.into(), what: PARQUET_IN_A_FILE }),
        Format::Auto | Format::Vault => return Err(ImportError::NotFolder { path: path.into() }),
    }
    intake.finish(format)
}

/// Refuses what is no text, passes a byte order mark over, and settles the format.
fn open(path: &Path, source: &mut Source<'_>, wanted: Format, intake: &mut Intake) -> Result<Format, ImportError> {
    let total = source.total();
    let buffered = source.fill_buf().map_err(|reason| unreadable(path, reason))?;
    let head = buffered.get(..SNIFFED_BYTES).unwrap_or(buffered);
    if let Some(what) = not_text(head) {
        return Err(ImportError::Binary { path: path.into(), what });
    }
    let mark = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let text = String::from_utf8_lossy(head.get(mark..).unwrap_or_default()).into_owned();
    if text.trim().is_empty() && head.len() as u64 >= total {
        return Err(ImportError::Empty { path: path.into() });
    }
    source.consume(mark);
    if wanted != Format::Auto {
        return Ok(wanted);
    }
    let extension = Format::of_extension(path);
    let contents = Format::of_signature(&text);
    if let (Some(extension), Some(contents)) = (extension, contents)
        && extension != contents
    {
        intake.notes.add(Note::Extension { extension, contents });
    }
    contents.or(extension).or_else(|| edge_list::guess(&whole_lines(&text))).ok_or_else(|| {
        let first_line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        ImportError::Unknown { path: path.into(), first_line: Found::new(first_line) }
    })
}

/// `head` without a last line that the sniffing may have cut.
fn whole_lines(head: &str) -> String {
    match head.rfind('\n') {
        Some(end) if head.len() >= SNIFFED_BYTES - 8 => head.get(..=end).unwrap_or(head).into(),
        _ => head.into(),
    }
}

/// Pages of a few bytes may unpack to gigabytes, so nobody may send them.
const PARQUET_IN_A_FILE: &str = "Parquet, which is only read from a file of this machine";

/// What a file is that is no text in UTF-8.
fn not_text(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 7] = [
        (PARQUET_MAGIC, PARQUET_IN_A_FILE),
        (b"\x1f\x8b", "a gzip archive; unpack it first"),
        (b"BZh", "a bzip2 archive; unpack it first"),
        (b"PK\x03\x04", "a zip archive; unpack it first"),
        (b"\xfd7zXZ", "an xz archive; unpack it first"),
        (b"\xff\xfe", "UTF-16; save the file as UTF-8"),
        (b"\xfe\xff", "UTF-16; save the file as UTF-8"),
    ];
    let start = known.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what);
    start.or_else(|| head.contains(&0).then_some("binary data (a zero byte)"))
}

/// The rest of `source` as text, for the formats that are held whole.
pub(super) fn whole(source: &mut Source<'_>, path: &Path) -> Result<String, ImportError> {
    let mut bytes = Vec::new();
    loop {
        let chunk = source.fill_buf().map_err(|reason| unreadable(path, reason))?;
        let count = chunk.len();
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(chunk);
        source.consume(count);
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        ImportError::NotUtf8 { path: path.into(), line: 1 + newlines(good) }
    })
}

/// Line ends in `bytes`.
pub(super) fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The error for a file or folder that the system refuses.
pub(super) fn unreadable(path: &Path, reason: io::Error) -> ImportError {
    match reason.kind() {
        ErrorKind::NotFound => ImportError::NotFound { path: path.into() },
        ErrorKind::InvalidInput => ImportError::Special { path: path.into() },
        _ => ImportError::Unreadable { path: path.into(), reason },
    }
}
