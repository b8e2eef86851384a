//! What a query's filter leaves of Parquet files, by the statistics of their row groups and pages: known before a value is read.
//! Rows that are left out are those that no filter above would keep; what was read of the others is never kept as the table.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::datasource::physical_plan::parquet::{
    PagePruningAccessPlanFilter, ParquetAccessPlan, RowGroupAccess, RowGroupAccessPlanFilter,
};
use datafusion::parquet::arrow::arrow_reader::RowSelection;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::exec::scan::parquet::table::{ParquetFile, ParquetTable};

/// A row group, as far as it is read.
pub struct RowGroup {
    pub index: usize,
    pub rows: usize,
    /// The rows that are read, if not all.
    pub selection: Option<RowSelection>,
}

impl RowGroup {
    /// All row groups of a file whole.
    pub fn all_of(file: &ParquetFile) -> Vec<Self> {
        let groups = file.metadata().row_groups().iter().enumerate();
        groups.map(|(index, group)| Self { index, rows: group.num_rows() as usize, selection: None }).collect()
    }
}

impl ParquetTable {
    /// What `predicate` leaves of each file's row groups. `schema` is that of the table's files.
    pub fn pruned(&self, predicate: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Vec<Vec<RowGroup>> {
        self.files.iter().map(|file| prune(file, predicate, schema).unwrap_or_else(|| RowGroup::all_of(file))).collect()
    }
}

/// `None` if the statistics of a file say nothing of the predicate.
fn prune(file: &ParquetFile, predicate: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Option<Vec<RowGroup>> {
    let is_plain = |column: &datafusion::physical_expr::expressions::Column| {
        let field = schema.field_with_name(column.name()).ok();
        field.is_some_and(|field| file.holds(field.name(), field.data_type()))
    };
    if !collect_columns(predicate).iter().all(is_plain) {
        return None;
    }
    let metadata = file.metadata();
    let parquet_schema = metadata.file_metadata().schema_descr();
    let metrics = ParquetFileMetrics::new(0, "", &ExecutionPlanMetricsSet::new());
    let mut plan = ParquetAccessPlan::new_all(metadata.num_row_groups());
    let by_group = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(Arc::clone(predicate));
    if let Some(by_group) = by_group.ok().filter(|by_group| !by_group.always_true()) {
        let mut filter = RowGroupAccessPlanFilter::new(plan);
        filter.prune_by_statistics(schema, parquet_schema, metadata.row_groups(), &by_group, &metrics);
        plan = filter.build();
    }
    let by_page = PagePruningAccessPlanFilter::new(predicate, Arc::clone(schema));
    let plan = by_page.prune_plan_with_page_index(plan, schema, parquet_schema, metadata, &metrics);
    let groups = plan.into_inner().into_iter().enumerate().filter_map(|(index, access)| {
        let all = metadata.row_group(index).num_rows() as usize;
        match access {
            RowGroupAccess::Skip => None,
            RowGroupAccess::Scan => Some(RowGroup { index, rows: all, selection: None }),
            RowGroupAccess::Selection(selection) => {
                Some(RowGroup { index, rows: selection.row_count(), selection: Some(selection) })
            }
        }
    });
    Some(groups.filter(|group| group.rows > 0).collect())
}
