//! Integers of a traced column: the arrays that hold them and the range that is known of them.

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};

use crate::columnar::range::Range;
use crate::hlo::Value;
use crate::kernels::wide::Wide;

/// The range of a 64-bit integer.
pub const I64: Range = Range { min: i64::MIN as i128, max: i64::MAX as i128 };

/// Values of an integer-like column.
#[derive(Clone, Copy, Debug)]
pub struct Int {
    pub limbs: Limbs,
    /// Holds for every row that is not NULL.
    pub range: Range,
}

#[derive(Clone, Copy, Debug)]
pub enum Limbs {
    /// Signed, 8 to 64 bits.
    Narrow(Value),
    Wide(Wide),
}

/// The range of an Arrow type that is an integer on the device.
pub fn type_range(data_type: &DataType) -> Result<Range> {
    Range::of_type(data_type)
        .ok_or_else(|| DataFusionError::Internal(format!("{data_type} is not an integer on the device")))
}

/// 10 to a power; fails where 128 bits overflow.
pub fn power_of_ten(power: u32) -> Result<i128> {
    10i128.checked_pow(power).ok_or_else(|| {
        let error = ArrowError::ArithmeticOverflow(format!("Overflow happened on: 10 ^ {power}"));
        DataFusionError::ArrowError(Box::new(error), None)
    })
}
