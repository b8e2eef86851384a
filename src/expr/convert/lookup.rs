//! Turns expressions that have no form in HLO into lookups, where they read columns of few distinct values only.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::PhysicalExpr;

use crate::columnar::representation::Kind;
use crate::expr::ir::{DeviceExpr, Node};

/// The most columns that a lookup may read: its table has one entry for each combination of their values.
const MAX_LOOKUP_COLUMNS: usize = 3;

/// A lookup for `expr`; `None` if it is volatile, or reads a column whose type may have many values.
pub fn try_lookup(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<DeviceExpr> {
    let data_type = expr.data_type(schema).ok()?;
    Kind::of(&data_type)?;
    let mut columns: Vec<Column> = collect_columns(expr).into_iter().collect();
    columns.sort_by_key(|column| column.index());
    let types: Vec<DataType> = columns.iter().map(|c| schema.field(c.index()).data_type().clone()).collect();
    if types.is_empty() || types.len() > MAX_LOOKUP_COLUMNS || !types.iter().all(is_countable) || is_volatile(expr) {
        return None;
    }
    let function = expr
        .clone()
        .transform(|e| {
            let at = e.downcast_ref::<Column>().and_then(|own| columns.iter().position(|c| c.index() == own.index()));
            Ok(match at {
                Some(at) => Transformed::yes(Arc::new(Column::new("value", at)) as Arc<dyn PhysicalExpr>),
                None => Transformed::no(e),
            })
        })
        .ok()?
        .data;
    let operands =
        columns.iter().zip(types).map(|(column, t)| DeviceExpr::new(Node::Column(column.index()), t)).collect();
    Some(DeviceExpr::new(Node::Lookup { operands, function }, data_type))
}

/// Why the call of a function that has no other form cannot be a lookup either.
pub fn no_lookup(call: &ScalarFunctionExpr, schema: &Schema) -> String {
    let name = call.fun().name();
    let columns: BTreeSet<usize> = call.args().iter().flat_map(collect_columns).map(|column| column.index()).collect();
    let mut types = columns.iter().map(|column| schema.field(*column).data_type());
    if columns.len() > MAX_LOOKUP_COLUMNS {
        return format!(
            "the function {name} reads {} columns; it has a device form for at most {MAX_LOOKUP_COLUMNS}",
            columns.len()
        );
    }
    match types.find(|data_type| !is_countable(data_type)) {
        Some(data_type) if Kind::of(data_type).is_some() => format!(
            "the function {name} reads {data_type}; it has a device form for columns of text, dates, booleans and integers of 8 or 16 \
             bits"
        ),
        Some(data_type) => format!("the function {name} reads {data_type}, which has no device form yet"),
        None => format!("the function {name} has no device form yet"),
    }
}

/// Whether columns of this type have few enough values for a lookup. Dates usually have, and are checked at run time.
fn is_countable(data_type: &DataType) -> bool {
    let small =
        matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 | DataType::Date32);
    small || matches!(Kind::of(data_type), Some(Kind::String | Kind::Boolean))
}
