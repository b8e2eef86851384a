//! The place of a value in a CSV file that its column does not take. The reader says its column by number, a line that counts from
//! where it began to read, and no file.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::physical_plan::{CsvSource, FileScanConfig, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

/// A value that the reader has refused.
struct Refused<'a> {
    value: &'a str,
    data_type: &'a str,
    column: usize,
}

/// Adds the place to an error about a value in a local file of `plan`. Other errors pass.
pub fn locate(error: DataFusionError, plan: &Arc<dyn ExecutionPlan>) -> DataFusionError {
    let text = error.strip_backtrace();
    let Some(refused) = refused(&text) else { return error };
    let mut scans = Vec::new();
    collect_scans(plan, &mut scans);
    for scan in scans {
        let Some(scan) = scan.downcast_ref::<DataSourceExec>() else { continue };
        let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>() else { continue };
        let Some(source) = config.file_source().downcast_ref::<CsvSource>() else { continue };
        let schema = source.table_schema().file_schema();
        let Some(field) = schema.fields().get(refused.column) else { continue };
        for path in local_files(config) {
            if let Some(line) = line_of(&path, source, schema.fields().len(), &refused) {
                return DataFusionError::Execution(format!(
                    "{}, line {line}, column {}: '{}' is no {}; the types of the columns are those of the first rows, and \
                     CREATE EXTERNAL TABLE with a list of columns gives others",
                    path.display(),
                    field.name(),
                    refused.value,
                    refused.data_type,
                ));
            }
        }
    }
    error
}

/// Adds the place to an error about a value in a local file that `query` reads. Other errors pass.
pub async fn locate_of(error: DataFusionError, state: &SessionState, query: &LogicalPlan) -> DataFusionError {
    if refused(&error.strip_backtrace()).is_none() {
        return error;
    }
    match state.create_physical_plan(query).await {
        Ok(plan) => locate(error, &plan),
        Err(_) => error,
    }
}

/// Reads `Error while parsing value '4.x4' as type 'Float32' for column 1 at line 4`.
fn refused(text: &str) -> Option<Refused<'_>> {
    let (_, rest) = text.split_once("Error while parsing value '")?;
    let (value, rest) = rest.split_once("' as type '")?;
    let (data_type, rest) = rest.split_once("' for column ")?;
    let (column, _) = rest.split_once(" at line ")?;
    Some(Refused { value, data_type, column: column.parse().ok()? })
}

fn collect_scans<'a>(plan: &'a Arc<dyn ExecutionPlan>, out: &mut Vec<&'a Arc<dyn ExecutionPlan>>) {
    let children = plan.children();
    if children.is_empty() {
        out.push(plan);
    }
    for child in children {
        collect_scans(child, out);
    }
}

fn local_files(config: &FileScanConfig) -> BTreeSet<PathBuf> {
    if config.object_store_url.as_str() != "file:///"
        || config.file_compression_type != FileCompressionType::UNCOMPRESSED
    {
        return BTreeSet::new();
    }
    let files = config.file_groups.iter().flat_map(|group| group.files());
    files.map(|file| Path::new("/").join(file.object_meta.location.as_ref())).collect()
}

/// The line of the first row with the value; `None` if the file has no such row, or cannot be read.
fn line_of(path: &Path, source: &CsvSource, columns: usize, refused: &Refused<'_>) -> Option<usize> {
    let fields: Vec<Field> = (0..columns).map(|i| Field::new(i.to_string(), DataType::Utf8, true)).collect();
    let mut builder = ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_header(source.has_header())
        .with_delimiter(source.delimiter())
        .with_quote(source.quote())
        .with_truncated_rows(source.truncate_rows());
    if let Some(escape) = source.escape() {
        builder = builder.with_escape(escape);
    }
    if let Some(comment) = source.comment() {
        builder = builder.with_comment(comment);
    }
    let mut line = if source.has_header() { 2 } else { 1 };
    for batch in builder.build(File::open(path).ok()?).ok()? {
        let batch = batch.ok()?;
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().filter_map(|column| column.as_string_opt::<i32>());
            let mut newlines = 0;
            for (i, values) in values.enumerate() {
                if i == refused.column && values.value(row) == refused.value {
                    return Some(line);
                }
                newlines += values.value(row).matches('\n').count();
            }
            line += 1 + newlines;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use crate::tables::{csv_value, register_path};

    #[tokio::test]
    async fn a_value_that_does_not_fit_has_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let rows: String = (0..2000).map(|i| format!("{i},x\n")).collect();
        let path = dir.path().join("v.csv");
        std::fs::write(&path, format!("a,\"b,c\"\n{rows}1,\"two\nlines\"\nzwei,y\n3,z\n")).unwrap();
        let ctx = SessionContext::new();
        register_path(&ctx, "v", &path).await.unwrap();
        let plan = ctx.sql("SELECT sum(a) FROM v").await.unwrap().create_physical_plan().await.unwrap();
        let error = datafusion::physical_plan::collect(plan.clone(), ctx.task_ctx()).await.unwrap_err();
        let text = csv_value::locate(error, &plan).strip_backtrace();
        assert!(text.contains("v.csv, line 2004, column a: 'zwei' is no Int64"), "{text}");
    }
}
