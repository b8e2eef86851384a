//! The integers of a traced column: the arrays that hold them, and their known range.

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};

use crate::columnar::range::Range;
use crate::hlo::Value;
use crate::kernels::wide::Wide;

/// The range of a 64-bit integer.
pub const I64: Range = Range { min: i64::MIN as i128, max: i64::MAX as i128 };

/// The values of a column that is encoded as integers: numbers, decimals, dates and times, codes of strings.
#[derive(Clone, Copy, Debug)]
pub struct Int {
    pub limbs: Limbs,
    /// The value of every row that is not NULL is within this range.
    pub range: Range,
}

#[derive(Clone, Copy, Debug)]
pub enum Limbs {
    /// Signed, 8 to 64 bits.
    Narrow(Value),
    Wide(Wide),
}

/// The range of an Arrow type that is encoded as integers.
pub fn type_range(data_type: &DataType) -> Result<Range> {
    Range::of_type(data_type)
        .ok_or_else(|| DataFusionError::Internal(format!("{data_type} is not an integer on the device")))
}

/// 10 to a power; an error if it overflows 128 bits.
pub fn power_of_ten(power: u32) -> Result<i128> {
    10i128.checked_pow(power).ok_or_else(|| {
        let error = ArrowError::ArithmeticOverflow(format!("Overflow happened on: 10 ^ {power}"));
        DataFusionError::ArrowError(Box::new(error), None)
    })
}
