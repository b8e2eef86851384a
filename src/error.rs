//! Errors of the layers below DataFusion, and their only conversion to `DataFusionError`.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::DataFusionError;

/// The error of a scalar subquery that has more than one row, on the host and on the device.
pub const SUBQUERY_HAS_ROWS: &str = "a subquery used as an expression returned more than one row; \
                                     add LIMIT 1, with an ORDER BY that says which, or an aggregate such as max()";

/// The error of a sum that its result type does not hold, on the host and on the device.
pub fn sum_out_of_range(result: &DataType) -> String {
    let (name, remedy) = match result {
        DataType::Int64 => ("BIGINT".to_string(), "cast the argument to DECIMAL(38, 0)"),
        DataType::UInt64 => ("BIGINT UNSIGNED".to_string(), "cast the argument to DECIMAL(38, 0)"),
        DataType::Decimal128(precision, scale) if *scale > 0 => (
            format!("DECIMAL({precision}, {scale})"),
            "cast the argument to a DECIMAL with fewer digits after the point, or to DOUBLE",
        ),
        DataType::Decimal128(precision, scale) => {
            (format!("DECIMAL({precision}, {scale})"), "cast the argument to DOUBLE")
        }
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            (format!("DECIMAL({precision}, {scale})"), "cast the argument to a DECIMAL of 38 digits")
        }
        DataType::Duration(_) => ("its duration".to_string(), "cast the argument to a duration of a coarser unit"),
        DataType::Interval(_) => ("INTERVAL".to_string(), "sum a number instead, such as EXTRACT(EPOCH FROM x)"),
        other => (other.to_string(), "cast the argument to DOUBLE"),
    };
    format!("a sum is out of the range of {name}: {remedy}")
}

/// The error of `+ - *` or a negation of integers that the type does not hold, on the host and on the device. `operation` is its text,
/// with the operands where they are known.
pub fn integer_out_of_range(data_type: &DataType, operation: &str) -> String {
    let name = match data_type {
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INT UNSIGNED",
        _ => "BIGINT UNSIGNED",
    };
    format!(
        "{name} out of range: {operation}; cast an operand to a wider type, such as DECIMAL(38, 0), or set \
         xla.checked_arithmetic to false for numbers that wrap"
    )
}

/// The error of a decimal that has more digits than its type, on the host and on the device.
pub fn decimal_out_of_range(data_type: &DataType) -> String {
    let (precision, scale) = match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (*precision, *scale),
        _ => (38, 0),
    };
    format!(
        "DECIMAL({precision}, {scale}) out of range: a result of + - * or / has more than {precision} digits; cast the \
         operands to a DECIMAL with fewer digits after the point, or to DOUBLE"
    )
}

/// Result type of the layers below DataFusion.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error, with the attempted operation and, where known, a remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// XLA failed. It also covers transfers whose size or type does not match the buffer.
    #[error("{what}: {message}")]
    Xla {
        /// The attempted operation, e.g. `compiling q1_pipeline`.
        what: String,
        /// XLA's message, without its stack trace.
        message: String,
    },

    /// The arguments of a call do not match the program's signature. This is a bug in Parallax.
    #[error("program {program}: {message}")]
    Signature {
        /// Name of the program.
        program: String,
        /// The mismatch: which parameter, what it expects and what it got.
        message: String,
    },

    /// The device memory limit is exceeded.
    #[error(
        "{operator} asked for {requested} bytes of device memory; {used} of the {limit} bytes allowed are in use \
         (raise the option xla.memory_limit, or read fewer columns or rows)"
    )]
    DeviceMemory {
        /// Name of the operator that requested the memory.
        operator: String,
        /// Bytes requested.
        requested: u64,
        /// Bytes in use at the time of the request.
        used: u64,
        /// Limit in bytes.
        limit: u64,
    },

    /// A requested device does not exist.
    #[error("{asked}: {available}")]
    NoSuchDevice {
        /// The request.
        asked: String,
        /// What is available, and how to get more.
        available: String,
    },

    /// An option or environment variable has an invalid value.
    #[error("invalid value {value:?} for {name}: expected {expected}")]
    Setting {
        /// Name of the option or variable.
        name: String,
        /// Its current value.
        value: String,
        /// What a valid value looks like.
        expected: String,
    },

    /// An unsupported operation, with the reason.
    #[error("{0}")]
    Unsupported(String),

    /// An error of DataFusion, passed through.
    #[error(transparent)]
    DataFusion(Box<DataFusionError>),
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::DataFusion(Box::new(error))
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::DataFusion(error) => *error,
            Error::DeviceMemory { .. } => Self::ResourcesExhausted(error.to_string()),
            Error::NoSuchDevice { .. } | Error::Setting { .. } => Self::Configuration(error.to_string()),
            Error::Unsupported(reason) => Self::NotImplemented(reason),
            Error::Signature { .. } => Self::Internal(error.to_string()),
            Error::Xla { .. } => Self::External(Box::new(error)),
        }
    }
}
