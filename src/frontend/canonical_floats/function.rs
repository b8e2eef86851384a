//! `canonical_float(x)`: x with one form of NaN and of zero.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float16Type, Float32Type, Float64Type};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function. It is in no registry, so that no query can call it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CanonicalFloat {
    signature: Signature,
}

/// Its only instance.
pub fn canonical_float() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::from(CanonicalFloat { signature }))
    });
    Arc::clone(&FUNCTION)
}

/// The function of a constant; other types than floats are returned as they are.
pub fn canonical_value(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float64(Some(x)) => ScalarValue::Float64(Some(double(x))),
        ScalarValue::Float32(Some(x)) => ScalarValue::Float32(Some(single(x))),
        ScalarValue::Float16(Some(x)) => ScalarValue::Float16(Some(half(x))),
        other => other,
    }
}

/// Whether a constant is a number with one form: neither zero nor NaN.
pub fn is_plain(value: &ScalarValue) -> bool {
    let number = match value {
        ScalarValue::Float64(Some(x)) => *x,
        ScalarValue::Float32(Some(x)) => f64::from(*x),
        ScalarValue::Float16(Some(x)) => x.to_f64(),
        _ => return false,
    };
    number != 0.0 && !number.is_nan()
}

type Half = <Float16Type as datafusion::arrow::datatypes::ArrowPrimitiveType>::Native;

fn double(x: f64) -> f64 {
    // -0.0 + 0.0 is 0.0.
    if x.is_nan() { f64::NAN } else { x + 0.0 }
}

fn single(x: f32) -> f32 {
    if x.is_nan() { f32::NAN } else { x + 0.0 }
}

fn half(x: Half) -> Half {
    if x.is_nan() { Half::NAN } else { x + Half::ZERO }
}

impl ScalarUDFImpl for CanonicalFloat {
    fn name(&self) -> &str {
        "canonical_float"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [argument] if argument.is_floating() => Ok(argument.clone()),
            _ => internal_err!("canonical_float of {arguments:?}"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match args.args.into_iter().next() {
            Some(ColumnarValue::Scalar(value)) => ColumnarValue::Scalar(canonical_value(value)),
            Some(ColumnarValue::Array(array)) => ColumnarValue::Array(canonical_array(&array)),
            None => return internal_err!("canonical_float of nothing"),
        })
    }
}

fn canonical_array(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float64 => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(double)),
        DataType::Float32 => Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(single)),
        DataType::Float16 => Arc::new(array.as_primitive::<Float16Type>().unary::<_, Float16Type>(half)),
        _ => Arc::clone(array),
    }
}
