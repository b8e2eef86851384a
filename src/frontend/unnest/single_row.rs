//! `single_row(count)`: the number of rows of a scalar subquery, or an error if there is more than one.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::as_int64_array;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::error::SUBQUERY_HAS_ROWS;

/// The function. It is in no registry, so that no query can call it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SingleRow {
    signature: Signature,
}

impl SingleRow {
    pub fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SingleRow {
    fn name(&self) -> &str {
        "single_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [count] = args.args.as_slice() else { return plan_err!("single_row takes a count") };
        let array: ArrayRef = count.to_array(args.number_rows)?;
        let counts = as_int64_array(&array)?;
        if (0..counts.len()).any(|i| counts.is_valid(i) && counts.value(i) > 1) {
            return exec_err!("{SUBQUERY_HAS_ROWS}");
        }
        Ok(count.clone())
    }
}
