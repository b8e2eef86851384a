//! `UnionSchema`: a column of a UNION is nullable if it is in one of the inputs.
//!
//! DataFusion decides it when it reads the statement, and never again. Rules that make a column nullable later, as a subquery that
//! becomes a join does, are not seen: `SELECT (SELECT 1 FROM u) FROM t UNION SELECT 2` fails with "Internal error: Physical input
//! schema should be the same as the one converted from logical input schema". This rule comes last in the analysis.
//!
//! Found by the comparison with SQLite and DuckDB (`make fuzz-oracles`).

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{LogicalPlan, Union};
use datafusion::optimizer::AnalyzerRule;

use crate::frontend::applies;

/// The rule.
#[derive(Debug)]
pub struct UnionSchema;

impl AnalyzerRule for UnionSchema {
    fn name(&self) -> &str {
        "union_schema"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if !applies(self.name(), config) || !holds_stale(&plan)? {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Union(union) if is_stale(&union) => refreshed(union).map(Transformed::yes),
            other => other.recompute_schema().map(Transformed::yes),
        })
        .data()
    }
}

fn holds_stale(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|plan| {
        found |= matches!(plan, LogicalPlan::Union(union) if is_stale(union));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_nullable(union: &Union, column: usize) -> bool {
    union.inputs.iter().any(|input| input.schema().field(column).is_nullable())
}

fn is_stale(union: &Union) -> bool {
    let n = union.schema.fields().len();
    // Inputs of other widths are another rule's matter.
    let same_width = union.inputs.iter().all(|input| input.schema().fields().len() == n);
    same_width && (0..n).any(|column| is_nullable(union, column) && !union.schema.field(column).is_nullable())
}

fn refreshed(union: Union) -> Result<LogicalPlan> {
    let fields = (0..union.schema.fields().len()).map(|column| {
        let (qualifier, field) = union.schema.qualified_field(column);
        let nullable = field.is_nullable() || is_nullable(&union, column);
        (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(nullable)))
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), union.schema.metadata().clone())?;
    Ok(LogicalPlan::Union(Union { inputs: union.inputs, schema: Arc::new(schema) }))
}
