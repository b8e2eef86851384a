//! Lowers scalar subqueries. DataFusion runs them before the operators that use them, so their values are literals when a
//! program is traced.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ColumnarValue;

use crate::expr::tracer::{TracedColumn, Tracer};

impl Tracer {
    /// The value of a subquery, which must have run.
    pub fn subquery(&mut self, subquery: &Arc<dyn PhysicalExpr>, data_type: &DataType) -> Result<TracedColumn> {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let no_columns = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
        let value = match subquery.evaluate(&no_columns)? {
            ColumnarValue::Scalar(value) => value,
            ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0)?,
        };
        self.literal(&value, data_type)
    }
}
