//! File formats of tables: recognises them by file name, configures DataFusion's readers, and describes invalid files.

use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::error::Result;
use datafusion::execution::SessionState;

/// The extensions that messages list.
pub const FORMATS: &str = ".parquet, .csv, .json or .arrow";

/// Extensions of table files. One of [`COMPRESSIONS`] may follow the extension of a text format.
const EXTENSIONS: &[(&str, Format)] = &[
    ("parquet", Format::Parquet),
    ("csv", Format::Csv),
    ("tsv", Format::Tsv),
    ("json", Format::Json),
    ("ndjson", Format::Json),
    ("jsonl", Format::Json),
    ("arrow", Format::Arrow),
    ("feather", Format::Arrow),
];

const COMPRESSIONS: &[&str] = &["gz", "bz2", "xz", "zst"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Parquet,
    Csv,
    Tsv,
    Json,
    Arrow,
}

impl Format {
    const fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv | Self::Json)
    }
}

/// Splits `CSV.gz` into its format and its compression.
fn parse(extension: &str) -> Option<(Format, Option<&str>)> {
    let (name, compression) = match extension.split_once('.') {
        Some((name, compression)) => (name, Some(compression)),
        None => (extension, None),
    };
    let (_, format) = EXTENSIONS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    let is_known = compression
        .is_none_or(|given| format.is_text() && COMPRESSIONS.iter().any(|known| given.eq_ignore_ascii_case(known)));
    is_known.then_some((*format, compression))
}

/// Returns the extension of a table file, in its original case: `parquet`, `CSV`, `csv.gz`. Returns `None` for other files.
pub fn extension(name: &str) -> Option<&str> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let dots = name.rmatch_indices('.').take(2).map(|(at, _)| at);
    dots.filter_map(|at| name.get(at + 1..)).find(|extension| parse(extension).is_some())
}

/// Returns the [`extension`] of a path.
pub fn extension_of(path: &Path) -> Option<&str> {
    extension(path.file_name()?.to_str()?)
}

/// Returns the reader for files with this extension.
pub fn file_format(state: &SessionState, extension: &str) -> Result<Arc<dyn FileFormat>> {
    let options = state.default_table_options();
    let (format, compression) = parse(extension).unwrap_or((Format::Parquet, None));
    let compression = compression.map_or(Ok(FileCompressionType::UNCOMPRESSED), FileCompressionType::from_str)?;
    Ok(match format {
        Format::Parquet => Arc::new(ParquetFormat::new().with_options(options.parquet)),
        // Quoted line breaks must not split a row. This restricts a file to one thread.
        Format::Csv | Format::Tsv => {
            let csv =
                CsvFormat::default().with_options(options.csv).with_has_header(true).with_newlines_in_values(true);
            let csv = if format == Format::Tsv { csv.with_delimiter(b'\t') } else { csv };
            Arc::new(csv.with_file_compression_type(compression))
        }
        Format::Json => {
            Arc::new(JsonFormat::default().with_options(options.json).with_file_compression_type(compression))
        }
        Format::Arrow => Arc::new(ArrowFormat),
    })
}

/// Describes a file that cannot be read, to follow `x.csv is`.
pub fn complaint(file: &Path) -> &'static str {
    let format = extension_of(file).and_then(parse);
    match format {
        Some((Format::Parquet, _)) => "not a valid Parquet file",
        Some((Format::Json, None)) if starts_with_bracket(file) => "a JSON array; write one object per line instead",
        Some((Format::Json, _)) => "not JSON with one object per line",
        Some((Format::Arrow, _)) => "not a valid Arrow IPC file",
        _ => "not a CSV file with a header line",
    }
}

fn starts_with_bracket(file: &Path) -> bool {
    let mut start = [0; 64];
    let read = std::fs::File::open(file).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    start.iter().take(read).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

#[cfg(test)]
mod tests {
    use crate::tables::format::extension;

    #[test]
    fn extensions_are_recognised() {
        for (name, expected) in [
            ("a.parquet", Some("parquet")),
            ("dir.csv/a.b.CSV", Some("CSV")),
            ("a.csv.gz", Some("csv.gz")),
            ("a.ndjson.zst", Some("ndjson.zst")),
            ("a.parquet.gz", None),
            ("a.txt", None),
            ("a.gz", None),
            ("csv", None),
            ("dir.csv/a", None),
        ] {
            assert_eq!(extension(name), expected, "{name}");
        }
    }
}
