//! `CACHE TABLE` and `UNCACHE TABLE`: upload the columns of a table and pin them on the device, or drop them.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::{TableReference, plan_datafusion_err, plan_err};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use tokio::sync::Semaphore;

use crate::columnar::encode::StringEncoding;
use crate::columnar::representation::Kind;
use crate::config::XlaOptions;
use crate::cores::cores;
use crate::exec::boundary::host_to_device::{HostToDeviceExec, LoadContext};
use crate::exec::scan::table_source::TableSource;
use crate::exec::state::column_cache::ColumnSource;
use crate::exec::state::context::DeviceContext;
use crate::exec::state::memory_mode::MemoryMode;
use crate::statement::show;
use crate::{frontend, tables};

/// A scan of a table, with the cache keys of its columns.
pub struct CacheableTable {
    pub scan: Arc<dyn ExecutionPlan>,
    /// The cache key of each column of the scan.
    pub sources: Vec<ColumnSource>,
}

impl CacheableTable {
    /// Opens columns `indices` of a table. Returns `None` if it is neither files nor rows in memory, because changes of
    /// its rows could then not be noticed.
    pub async fn open(ctx: &SessionContext, table: &TableReference, indices: Vec<usize>) -> Result<Option<Self>> {
        let provider = ctx.table_provider(table.clone()).await?;
        let scan = provider.scan(&ctx.state(), Some(&indices), &[], None).await?;
        let Some(source) = TableSource::of(&scan) else { return Ok(None) };
        let sources = source.column_sources(&scan.schema());
        Ok(Some(Self { scan, sources }))
    }
}

/// Returns the qualified name of a table, under which it stays pinned if the session's default schema changes.
fn full_name(ctx: &SessionContext, table: &TableReference) -> String {
    let state = ctx.state();
    let catalog = &state.config_options().catalog;
    table.clone().resolve(&catalog.default_catalog, &catalog.default_schema).to_string()
}

/// Uploads columns and pins them. Returns the rows of `SHOW CACHE` for the table.
///
/// # Errors
/// If the table or a column does not exist, a named column has no encoding, or the table is neither files nor rows in
/// memory. A column that does not fit `xla.memory_limit` waits on the host, but it is an error if it has a single chunk.
pub async fn cache(ctx: &SessionContext, table: TableReference, columns: Option<Vec<String>>) -> Result<DataFrame> {
    let state = ctx.state();
    let options = XlaOptions::of(state.config_options());
    if !options.cache_columns {
        return plan_err!(
            "CACHE TABLE: no query would use the columns, because xla.cache_columns is false; set it to true"
        );
    }
    let provider = ctx.table_provider(table.clone()).await?;
    let schema = provider.schema();
    let read = LogicalPlanBuilder::scan(table.clone(), provider_as_source(provider), None)?.build()?;
    frontend::check_sources(&read, &state).await?;
    let indices = chosen(&table, &schema, columns)?;
    let Some(cacheable) = CacheableTable::open(ctx, &table, indices).await? else {
        return plan_err!(
            "CACHE TABLE: {table} is neither files nor rows in memory (a view?), so its columns cannot be cached; copy \
             its rows into a table with CREATE TABLE AS"
        );
    };
    let task = ctx.task_ctx();
    let device = DeviceContext::of(&task)?;
    device.begin(&options);
    let scan = Arc::clone(&cacheable.scan);
    let border = HostToDeviceExec::try_new(cacheable.scan)
        .map_err(|reason| plan_datafusion_err!("CACHE TABLE {table}: {reason}"))?;
    let ordered = vec![StringEncoding::OrderedDictionary; cacheable.sources.len()];
    let to = LoadContext {
        device: &device,
        columns: &device.column_cache,
        options: &options,
        strings: &ordered,
        mode: MemoryMode::Resident,
        cores: &Arc::new(Semaphore::new(cores())),
    };
    border.load(&task, &to).await.map_err(|error| tables::locate_csv_value(error, &scan))?;
    device.column_cache.pin(&full_name(ctx, &table), cacheable.sources);
    show::cache(ctx, Some(&table)).await
}

/// Returns the requested columns, or all columns that have an encoding.
fn chosen(table: &TableReference, schema: &Schema, columns: Option<Vec<String>>) -> Result<Vec<usize>> {
    let is_encoded = |index: &usize| Kind::of(schema.field(*index).data_type()).is_some();
    let Some(columns) = columns else {
        let all: Vec<usize> = (0..schema.fields().len()).filter(is_encoded).collect();
        return if all.is_empty() { plan_err!("CACHE TABLE: no column of {table} has an encoding") } else { Ok(all) };
    };
    let index = |name: &String| match schema.index_of(name) {
        Ok(index) if is_encoded(&index) => Ok(index),
        Ok(index) => {
            plan_err!("CACHE TABLE: column {name} of type {} has no encoding", schema.field(index).data_type())
        }
        Err(_) => {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            plan_err!("CACHE TABLE: {table} has no column {name}; its columns are {}", names.join(", "))
        }
    };
    columns.iter().map(index).collect()
}

/// Drops the columns of a table from the device, pinned or not.
///
/// # Errors
/// If no column of the table was on the device, unless `if_exists`.
pub async fn uncache(ctx: &SessionContext, table: TableReference, if_exists: bool) -> Result<DataFrame> {
    let device = DeviceContext::of(&ctx.task_ctx())?;
    // A table that was dropped may still have pinned columns.
    let sources = match ctx.table_provider(table.clone()).await {
        Ok(provider) => {
            let all = (0..provider.schema().fields().len()).collect();
            CacheableTable::open(ctx, &table, all).await?.map_or(Vec::new(), |table| table.sources)
        }
        Err(_) => Vec::new(),
    };
    if !device.column_cache.release(&full_name(ctx, &table), &sources) && !if_exists {
        return plan_err!("UNCACHE TABLE: {table} is not cached; SHOW CACHE lists the cached tables");
    }
    ctx.read_empty()
}
