//! `CREATE TABLE t AS SELECT ..`: the columns take NULLs, as in every other database. DataFusion makes a column NOT NULL whose values
//! cannot be NULL in the query, and a later INSERT of NULL fails; and where its logical planner alone knows that they cannot, the
//! statement fails ("Mismatch between schema and batches").

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::logical_expr::{CreateMemoryTable, DdlStatement, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;

/// Runs a plan. The table that it creates takes NULLs in every column.
///
/// # Errors
/// Those of the plan.
pub async fn run(ctx: &SessionContext, plan: LogicalPlan) -> Result<DataFrame> {
    match &plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) if is_plain(create) => {
            let exists = ctx.table_provider(create.name.clone()).await.is_ok();
            // DataFusion knows what to do, or to say, about a table that is there.
            if !exists || (create.or_replace && !create.if_not_exists) {
                return fill(ctx, create, exists).await;
            }
        }
        _ => {}
    }
    ctx.execute_logical_plan(plan).await
}

/// Whether all that there is to a statement is its rows, and their columns have different names.
fn is_plain(create: &CreateMemoryTable) -> bool {
    let mut names = HashSet::new();
    let distinct = create.input.schema().fields().iter().all(|field| names.insert(field.name()));
    distinct && create.constraints.is_empty() && create.column_defaults.is_empty() && !create.temporary
}

async fn fill(ctx: &SessionContext, create: &CreateMemoryTable, exists: bool) -> Result<DataFrame> {
    let frame = DataFrame::new(ctx.state(), create.input.as_ref().clone());
    let schema = frame.schema().as_arrow();
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let nullable = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let mut partitions = Vec::new();
    for batches in frame.collect_partitioned().await? {
        let batches = batches.iter().map(|batch| RecordBatch::try_new(Arc::clone(&nullable), batch.columns().to_vec()));
        partitions.push(batches.collect::<std::result::Result<Vec<_>, _>>()?);
    }
    let table = Arc::new(MemTable::try_new(nullable, partitions)?);
    if exists {
        ctx.deregister_table(create.name.clone())?;
    }
    ctx.register_table(create.name.clone(), table)?;
    Ok(DataFrame::new(ctx.state(), LogicalPlanBuilder::empty(false).build()?))
}
