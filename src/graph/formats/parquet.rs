//! Apache Parquet: a table of edges, a row each, columns named as in the header of an edge list.
//!
//! The reader of pages is the `parquet` crate's own. It is not made for hostile files: a panic of it is caught and becomes an error, what the
//! file says of its unpacked size is limited, and files are only taken from this machine's folders.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::edge_list::{Hints, Names, add_between, weight_of};
use super::intake::Intake;
use super::properties::{EdgeParts, Properties, number, text};
use super::source::Progress;
use super::{Format, Found, ImportError, ImportOptions, Imported, Problem};
use crate::graph::Value;

/// Unpacked bytes that a file may have, as it says itself.
const UNPACKED_BYTES_MAX: i64 = 8 << 30;

/// Rows between two calls of [`Progress::at`].
const PROGRESS_ROWS: u64 = 1 << 16;

/// Reads a whole file.
pub(super) fn import(
    path: &Path,
    file: File,
    options: &ImportOptions,
    progress: &mut dyn Progress,
) -> Result<Imported, ImportError> {
    let read = catch_unwind(AssertUnwindSafe(|| read(path, file, options, progress)));
    read.unwrap_or_else(|_| Err(syntax(path, 0, "pages of a Parquet file", "what its reader cannot bear")))
}

fn read(
    path: &Path,
    file: File,
    options: &ImportOptions,
    progress: &mut dyn Progress,
) -> Result<Imported, ImportError> {
    let broken = |row, reason: ParquetError| syntax(path, row, "a whole Parquet file", &reason.to_string());
    let reader = SerializedFileReader::new(file).map_err(|reason| broken(0, reason))?;
    let about = reader.metadata();
    let unpacked = about.row_groups().iter().fold(0i64, |sum, group| sum.saturating_add(group.total_byte_size()));
    if unpacked > UNPACKED_BYTES_MAX {
        let found = format!("{unpacked} bytes");
        return Err(syntax(path, 0, "at most 8 GiB, unpacked", &found));
    }
    let rows = u64::try_from(about.file_metadata().num_rows()).unwrap_or(0);
    let fields = about.file_metadata().schema_descr().root_schema().get_fields();
    let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
    let Some((source, target, weight)) = Names::of(names.iter().copied()).ends() else {
        return Err(syntax(path, 0, "columns named source and target", &names.join(", ")));
    };
    let table = Table { source, target, weight };
    let mut intake = Intake::new(path, options);
    intake.unit = "row";
    let all = reader.get_row_iter(None).map_err(|reason| broken(0, reason))?;
    for (number, row) in (1..).zip(all) {
        let row = row.map_err(|reason| broken(number, reason))?;
        let edge = table.edge(&row, &mut intake);
        if let Some((keys, edge)) = intake.keep(number, None, edge)? {
            let [source, target] = &keys;
            let added = add_between([source, target], edge, Hints::default(), &mut intake);
            intake.keep(number, None, added)?;
        }
        if number % PROGRESS_ROWS == 0 {
            progress.at(number, rows.max(number), "rows");
        }
    }
    intake.finish(Format::Parquet)
}

fn syntax(path: &Path, row: u64, expected: &'static str, found: &str) -> ImportError {
    let found = Found::words(found).to_string();
    let found = if row > 0 { format!("in row {row}: {found}") } else { found };
    ImportError::Syntax { path: path.into(), line: 0, column: None, expected, found: found.into() }
}

/// Which column is what.
struct Table {
    source: usize,
    target: usize,
    weight: Option<usize>,
}

impl Table {
    /// The keys of both ends, and the edge.
    fn edge(&self, row: &Row, intake: &mut Intake) -> Result<([Box<str>; 2], EdgeParts), Problem> {
        let (mut source, mut target, mut weight) = (None, None, None);
        let mut properties = Properties::default();
        for (place, (name, field)) in row.get_column_iter().enumerate() {
            let Some(value) = value(field)? else { continue };
            match place {
                _ if place == self.source => source = text(&value),
                _ if place == self.target => target = text(&value),
                _ if Some(place) == self.weight => weight = Some(value),
                _ => properties.push(name, value, &mut intake.notes),
            }
        }
        let end =
            |key: Option<Box<str>>, expected| key.filter(|key| !key.is_empty()).ok_or(Problem::Missing { expected });
        let keys = [end(source, "a source node")?, end(target, "a target node")?];
        let mut parts = properties.into_edge(&mut intake.notes)?;
        if let Some(value) = weight {
            parts.weight = weight_of(number(&value), &text(&value).unwrap_or_default())?;
        }
        Ok((keys, parts))
    }
}

/// What a field holds; `None` for nothing, and for a number that is not finite, which is how pandas writes nothing.
fn value(field: &Field) -> Result<Option<Value>, Problem> {
    let float = |float: f64| float.is_finite().then_some(Value::Float(float));
    Ok(match field {
        Field::Null => None,
        Field::Bool(truth) => Some(Value::Bool(*truth)),
        Field::Byte(whole) => Some(Value::Int(i64::from(*whole))),
        Field::Short(whole) => Some(Value::Int(i64::from(*whole))),
        Field::Int(whole) => Some(Value::Int(i64::from(*whole))),
        Field::Long(whole) => Some(Value::Int(*whole)),
        Field::UByte(whole) => Some(Value::Int(i64::from(*whole))),
        Field::UShort(whole) => Some(Value::Int(i64::from(*whole))),
        Field::UInt(whole) => Some(Value::Int(i64::from(*whole))),
        Field::Float16(half) => float(half.to_f64()),
        Field::Float(single) => float(f64::from(*single)),
        Field::Double(double) => float(*double),
        Field::Str(text) => Some(Value::Text(text.as_str().into())),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Some(Value::Text(text.into())),
            Err(_) => return Err(Problem::NotUtf8 { found: Found::bytes(bytes.data()) }),
        },
        // Dates, decimals, lists: as they are written.
        other => Some(Value::Text(other.to_string().into())),
    })
}

#[cfg(test)]
mod tests {
    use super::super::import_path;
    use super::super::tests::SMALL as OPTIONS;
    use super::*;

    fn sample(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parquet").join(name)
    }

    #[test]
    fn tables_of_other_tools_are_read_whatever_packs_them() {
        let mut first: Option<String> = None;
        for name in ["snappy.parquet", "zstd.parquet", "plain.pq", "gzip_rows.parquet"] {
            let Imported { graph, format, skipped_count, .. } =
                import_path(&sample(name), &OPTIONS, &mut ()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((format, skipped_count), (Format::Parquet, 0));
            assert_eq!((graph.nodes().len(), graph.edges().len()), (34, 78), "{name}");
            let edge = &graph.edges()[0];
            let ends = [edge.source, edge.target].map(|index| graph.node(index).unwrap().key.to_string());
            assert_eq!((ends, edge.weight), (["0".into(), "1".into()], 4.0), "{name}");
            let shown = format!("{:?}", graph.edges());
            assert!(shown.contains("met") && shown.contains("1977"), "{name}: {:?}", graph.edges()[0]);
            assert_eq!(*first.get_or_insert_with(|| shown.clone()), shown, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_row() {
        let refusal =
            |name: &str, options: &ImportOptions| import_path(&sample(name), options, &mut ()).unwrap_err().to_string();
        let error = refusal("bad.parquet", &OPTIONS);
        for part in [
            "row 2: expected a target node, found nothing",
            "row 3: expected a weight, a finite number >= 0, found \"-1\"",
            "row 4: expected a source node, found nothing",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let skipping = ImportOptions { skip_bad: true, ..OPTIONS };
        let imported = import_path(&sample("bad.parquet"), &skipping, &mut ()).unwrap();
        assert_eq!((imported.graph.edges().len(), imported.skipped_count), (2, 3));
        let error = refusal("nodes.parquet", &OPTIONS);
        assert!(error.contains("expected columns named source and target, found id, label"), "{error}");
        let error = refusal("snappy.parquet", &ImportOptions { edges_max: 77, ..OPTIONS });
        assert!(error.contains("more than 77 edges"), "{error}");
        let error = super::super::import_bytes("g.parquet", b"PAR1\0\0PAR1", &OPTIONS).unwrap_err().to_string();
        assert!(error.contains("only read from a file of this machine"), "{error}");
    }

    #[test]
    fn no_damage_does_more_than_refuse_the_file() {
        let whole = std::fs::read(sample("zstd.parquet")).unwrap();
        let path = std::env::temp_dir().join(format!("swarmcast-parquet-{}", std::process::id()));
        let mut refused = 0;
        for turn in 0..1_500usize {
            let mut bytes = whole.clone();
            if turn < 300 {
                bytes.truncate(turn * whole.len() / 300);
            } else {
                for flip in 0..1 + turn % 3 {
                    let mixed = (turn * 2_654_435_761 + flip * 40_503) % whole.len();
                    bytes[mixed] ^= 1 << (turn % 8);
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            let options = ImportOptions { format: Format::Parquet, ..OPTIONS };
            refused += usize::from(import_path(&path, &options, &mut ()).is_err());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(refused > 300, "{refused}");
    }
}
