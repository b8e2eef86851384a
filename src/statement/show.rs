//! `SHOW CACHE` lists the cached columns, `SHOW PROGRAMS` the compiled programs, and `SHOW TABLES` the tables.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use crate::columnar::representation::Representation;
use crate::columnar::table::DeviceColumn;
use crate::exec::state::column_cache::{CachedColumn, ColumnSource};
use crate::exec::state::context::DeviceContext;
use crate::statement::cache::CacheableTable;

/// Its tables have no cached columns.
const INFORMATION_SCHEMA: &str = "information_schema";

/// The query behind `SHOW TABLES`. DataFusion's own would also list the tables of information_schema.
pub const TABLES: &str = "SELECT table_schema, table_name, table_type FROM information_schema.tables \
                          WHERE table_schema <> 'information_schema' ORDER BY table_schema, table_name";

/// Returns a row per cached column and device, sorted by table and column. `only` restricts it to one table.
pub async fn cache(ctx: &SessionContext, only: Option<&TableReference>) -> Result<DataFrame> {
    let device = DeviceContext::of(&ctx.task_ctx())?;
    let names = match only {
        Some(table) => names_of(ctx, table, table.to_string()).await?,
        None => all_names(ctx).await,
    };
    let mut rows: Vec<(Option<Name>, CachedColumn)> = Vec::new();
    for column in device.column_cache.inventory() {
        let name = names.get(&column.source).cloned().or_else(|| file_name(&column.source));
        if only.is_none() || names.contains_key(&column.source) {
            rows.push((name, column));
        }
    }
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let rows: Vec<_> = rows
        .iter()
        .flat_map(|(name, column)| (0..column.column.chunks.len()).map(move |device| (name, column, device)))
        .collect();
    let of_all = |f: &dyn Fn(&CachedColumn, usize) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, column, device)| f(column, *device))))
    };
    let table = rows.iter().map(|(name, ..)| name.as_ref().map(|(table, ..)| table));
    let column = rows.iter().map(|(name, ..)| name.as_ref().map(|(_, _, column)| column));
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("table_name", Arc::new(table.collect::<StringArray>()) as ArrayRef, true),
        ("column_name", Arc::new(column.collect::<StringArray>()), true),
        ("encoding", Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, c, _)| encoding(&c.column)))), false),
        ("rows", of_all(&|c, _| c.rows as u64), false),
        ("device", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(.., device)| *device as u32))), false),
        ("bytes", of_all(&|c, device| c.column.device_bytes(device) as u64), false),
        ("host_bytes", of_all(&|c, _| c.column.host_bytes() as u64), false),
        ("hits", of_all(&|c, _| c.hits), false),
        ("pinned", Arc::new(BooleanArray::from_iter(rows.iter().map(|(_, c, _)| Some(c.pinned)))), false),
    ])?;
    ctx.read_batch(batch)
}

/// Returns a row per compiled program, in the order of their first runs.
pub fn programs(ctx: &SessionContext) -> Result<DataFrame> {
    let programs = DeviceContext::of(&ctx.task_ctx())?.mesh.runtime().programs();
    let shapes = programs.iter().map(|p| p.parameters.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let texts = |texts: Vec<String>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("program", texts(programs.iter().map(|p| p.name.clone()).collect())),
        ("hash", texts(programs.iter().map(|p| format!("{:016x}", p.text_hash)).collect())),
        ("shapes", texts(shapes.collect())),
        ("devices", Arc::new(UInt32Array::from_iter_values(programs.iter().map(|p| p.n_replicas as u32)))),
        (
            "compile_ms",
            Arc::new(Float64Array::from_iter_values(programs.iter().map(|p| p.compile_time.as_secs_f64() * 1e3))),
        ),
        ("hits", Arc::new(UInt64Array::from_iter_values(programs.iter().map(|p| p.hits)))),
    ])?;
    ctx.read_batch(batch)
}

/// Describes the encoding of a column: `s16`, `f64 + validity`, `s8 codes of 7 strings`.
fn encoding(column: &DeviceColumn) -> String {
    let values = match column.representation {
        Representation::Pred => "pred".to_string(),
        Representation::Float(element) | Representation::Int(element) => element.to_string(),
        Representation::Wide => "s64 x 2".to_string(),
    };
    let strings = match &column.dictionary {
        Some(dictionary) if dictionary.is_ordered() => format!(" codes of {} strings", dictionary.len()),
        Some(_) => " row numbers of strings".to_string(),
        None => String::new(),
    };
    let mut encoding = format!("{values}{strings}");
    for (holds, what) in
        [(column.has_nulls, " + validity"), (column.unique, ", unique"), (column.ascending, ", ascending")]
    {
        if holds {
            encoding.push_str(what);
        }
    }
    encoding
}

/// `(table, column index, column name)`, the sort order of the rows.
type Name = (String, usize, String);

type Names = HashMap<ColumnSource, Name>;

/// Returns the names of the columns of a table, which is shown as `label`.
async fn names_of(ctx: &SessionContext, table: &TableReference, label: String) -> Result<Names> {
    let schema = ctx.table_provider(table.clone()).await?.schema();
    let all = (0..schema.fields().len()).collect();
    let Some(cacheable) = CacheableTable::open(ctx, table, all).await? else { return Ok(Names::new()) };
    let fields = schema.fields().iter().enumerate();
    let names = fields.map(|(number, field)| (label.clone(), number, field.name().clone()));
    Ok(cacheable.sources.into_iter().zip(names).collect())
}

/// Returns the names of the columns of all tables of the session, as queries write them. Omits tables that cannot be read.
async fn all_names(ctx: &SessionContext) -> Names {
    let defaults = ctx.state().config_options().catalog.clone();
    let mut names = Names::new();
    for catalog_name in ctx.catalog_names() {
        let Some(catalog) = ctx.catalog(&catalog_name) else { continue };
        for schema_name in catalog.schema_names().into_iter().filter(|name| name != INFORMATION_SCHEMA) {
            let Some(schema) = catalog.schema(&schema_name) else { continue };
            let mut tables = schema.table_names();
            tables.sort();
            for table in tables {
                let label = match (*catalog_name == defaults.default_catalog, *schema_name == defaults.default_schema) {
                    (true, true) => table.clone(),
                    (true, false) => format!("{schema_name}.{table}"),
                    (false, _) => format!("{catalog_name}.{schema_name}.{table}"),
                };
                let table = TableReference::full(catalog_name.as_str(), schema_name.as_str(), table);
                names.extend(names_of(ctx, &table, label).await.unwrap_or_default());
            }
        }
    }
    names
}

/// Names a column of files that belong to no table of the session after the path of the first file.
fn file_name(source: &ColumnSource) -> Option<Name> {
    let ColumnSource::Files { set, column } = source else { return None };
    let name = column.split_once(':').map_or(column.as_str(), |(name, _)| name);
    set.files.first().map(|file| (file.path.clone(), 0, name.to_string()))
}
