//! `CREATE TABLE t AS SELECT ..`: the columns take NULLs, as in every other database. DataFusion makes a column NOT NULL whose values
//! cannot be NULL in the query, and a later INSERT of NULL fails.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;

/// Runs a plan. The table that it creates takes NULLs in every column.
///
/// # Errors
/// Those of the plan.
pub async fn run(ctx: &SessionContext, plan: LogicalPlan) -> Result<DataFrame> {
    let name = match &plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) if create.constraints.is_empty() => {
            create.name.clone()
        }
        _ => return ctx.execute_logical_plan(plan).await,
    };
    let before = ctx.table_provider(name.clone()).await.ok();
    let frame = ctx.execute_logical_plan(plan).await?;
    let created = ctx.table_provider(name.clone()).await?;
    // IF NOT EXISTS leaves a table alone.
    if before.is_none_or(|before| !Arc::ptr_eq(&before, &created)) {
        take_nulls(ctx, name, created.as_ref()).await?;
    }
    Ok(frame)
}

async fn take_nulls(ctx: &SessionContext, name: TableReference, created: &dyn TableProvider) -> Result<()> {
    let Some(table) = created.downcast_ref::<MemTable>() else { return Ok(()) };
    let schema = created.schema();
    if schema.fields().iter().all(|field| field.is_nullable()) {
        return Ok(());
    }
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let nullable = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let mut partitions = Vec::with_capacity(table.batches.len());
    for partition in &table.batches {
        let batches = partition.read().await;
        let batches = batches.iter().map(|batch| RecordBatch::try_new(Arc::clone(&nullable), batch.columns().to_vec()));
        partitions.push(batches.collect::<std::result::Result<Vec<_>, _>>()?);
    }
    ctx.deregister_table(name.clone())?;
    ctx.register_table(name, Arc::new(MemTable::try_new(nullable, partitions)?)).map(drop)
}
