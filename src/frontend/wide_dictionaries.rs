//! `wide_dictionaries`: dictionary columns of 8 or 16 bits, as pandas writes categoricals, get keys of 32 bits at the scan. Each file
//! has a dictionary of its own; together they have more values than small keys can number ("Dictionary key bigger than the key type").

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::optimizer::AnalyzerRule;

use crate::frontend::applies;

/// The rule.
#[derive(Debug)]
pub struct WideDictionaries;

impl AnalyzerRule for WideDictionaries {
    fn name(&self) -> &str {
        "wide_dictionaries"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if !applies(self.name(), config) || !has_narrow_keys(&plan)? {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(|plan| {
            if reads_narrow_keys(&plan) {
                widen(plan).map(Transformed::yes)
            } else {
                // The types of what it reads may have changed.
                plan.recompute_schema().map(Transformed::no)
            }
        })
        .data()
    }
}

fn has_narrow_keys(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|plan| {
        found = reads_narrow_keys(plan);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether this is a scan of a column with small keys.
fn reads_narrow_keys(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::TableScan(scan) if scan.projected_schema.fields().iter().any(|f| wide(f.data_type()).is_some()))
}

/// The type with keys of 32 bits; `None` for others. Keys of 16 bits without a sign are those of partition columns.
fn wide(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Dictionary(keys, values) if matches!(**keys, DataType::Int8 | DataType::UInt8 | DataType::Int16) => {
            Some(DataType::Dictionary(Box::new(DataType::Int32), values.clone()))
        }
        _ => None,
    }
}

/// The scan below a projection that casts its columns.
fn widen(scan: LogicalPlan) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = scan
        .schema()
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::from((qualifier, field));
            match wide(field.data_type()) {
                Some(data_type) => cast(column, data_type).alias_qualified(qualifier.cloned(), field.name()),
                None => column,
            }
        })
        .collect();
    LogicalPlanBuilder::from(scan).project(columns)?.build()
}
