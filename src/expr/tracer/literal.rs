//! Literals and other values of a query as parameters of the program, so that its text does not depend on them.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};

use crate::columnar::dictionary::Dictionary;
use crate::columnar::range::Range;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{Input, TracedColumn, Tracer, Values};
use crate::hlo::Scalar;
use crate::kernels::wide::Wide;
use crate::program::ElementType::{self, F32, Pred};
use crate::program::Shape;

impl Tracer {
    /// An integer as a parameter, two if it needs two limbs. Its range is exact, so the program's text changes only if another
    /// value needs another width.
    pub fn int_parameter(&mut self, value: i128) -> Int {
        let range = Range::new(value, value);
        let limbs = match range.storage() {
            Some(element_type) => Limbs::Narrow(self.scalar_parameter(element_type, value)),
            None => {
                let hi = self.scalar_parameter(ElementType::S64, value >> 64);
                let lo = self.scalar_parameter(ElementType::U64, i128::from(value as u64));
                Limbs::Wide(Wide { hi, lo })
            }
        };
        Int { limbs, range }
    }

    /// A literal as parameters of the program.
    pub fn literal(&mut self, value: &ScalarValue, data_type: &DataType) -> Result<TracedColumn> {
        if let ScalarValue::Dictionary(_, value) = value {
            return self.literal(value, data_type);
        }
        let null = value.is_null();
        let valid = if null { Some(self.builder.constant(Scalar::Pred(false))) } else { None };
        let mut dictionary = None;
        let values = match value {
            number if integer_of(number).is_some() => {
                let number = integer_of(number).flatten().unwrap_or(0);
                Values::Int(self.int_parameter(number))
            }
            ScalarValue::Null => Values::Pred(self.builder.constant(Scalar::Pred(false))),
            ScalarValue::Boolean(v) => {
                let shape = Shape::scalar(Pred);
                let bytes = vec![u8::from(v.unwrap_or(false))];
                Values::Pred(self.parameter(shape.clone(), Input::Constant { shape, bytes }))
            }
            ScalarValue::Float32(v) => {
                let shape = Shape::scalar(F32);
                let bytes = v.unwrap_or(0.0).to_le_bytes().to_vec();
                Values::Float(self.parameter(shape.clone(), Input::Constant { shape, bytes }))
            }
            ScalarValue::Float64(v) => {
                let shape = Shape::scalar(ElementType::F64);
                let bytes = v.unwrap_or(0.0).to_le_bytes().to_vec();
                Values::Float(self.parameter(shape.clone(), Input::Constant { shape, bytes }))
            }
            ScalarValue::Utf8(v) | ScalarValue::LargeUtf8(v) | ScalarValue::Utf8View(v) => {
                dictionary = Some(Dictionary::of(&[v.as_deref().unwrap_or("")]));
                let zero = self.builder.constant(Scalar::S32(0));
                Values::Int(Int { limbs: Limbs::Narrow(zero), range: Range::new(0, 0) })
            }
            other => {
                return Err(DataFusionError::Internal(format!("literal {other} has no device encoding")));
            }
        };
        Ok(TracedColumn { values, valid, data_type: data_type.clone(), dictionary })
    }
}

/// The value of a literal that is encoded as an integer; `None` for other literals, `Some(None)` for NULL.
pub fn integer_of(value: &ScalarValue) -> Option<Option<i128>> {
    Some(match value {
        ScalarValue::Int8(v) => v.map(i128::from),
        ScalarValue::Int16(v) => v.map(i128::from),
        ScalarValue::Int32(v)
        | ScalarValue::Date32(v)
        | ScalarValue::Time32Second(v)
        | ScalarValue::Time32Millisecond(v)
        | ScalarValue::IntervalYearMonth(v)
        | ScalarValue::Decimal32(v, _, _) => v.map(i128::from),
        ScalarValue::Int64(v)
        | ScalarValue::Date64(v)
        | ScalarValue::Time64Microsecond(v)
        | ScalarValue::Time64Nanosecond(v)
        | ScalarValue::TimestampSecond(v, _)
        | ScalarValue::TimestampMillisecond(v, _)
        | ScalarValue::TimestampMicrosecond(v, _)
        | ScalarValue::TimestampNanosecond(v, _)
        | ScalarValue::DurationSecond(v)
        | ScalarValue::DurationMillisecond(v)
        | ScalarValue::DurationMicrosecond(v)
        | ScalarValue::DurationNanosecond(v)
        | ScalarValue::Decimal64(v, _, _) => v.map(i128::from),
        ScalarValue::UInt8(v) => v.map(i128::from),
        ScalarValue::UInt16(v) => v.map(i128::from),
        ScalarValue::UInt32(v) => v.map(i128::from),
        ScalarValue::UInt64(v) => v.map(i128::from),
        ScalarValue::Decimal128(v, _, _) => *v,
        _ => return None,
    })
}
