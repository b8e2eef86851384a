//! Why an operator stays on the host: typed, shown in EXPLAIN, and the text of the error under `always`.

use std::fmt;

use datafusion::arrow::datatypes::DataType;

/// Every reason that the planner can give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FallbackReason {
    /// A column or expression of a type without a device encoding.
    Type { what: String, data_type: DataType },
    /// An expression without a device form.
    Expression { expression: String, why: String },
    /// An aggregate function without a device form.
    Aggregate { function: String, why: String },
    /// Group keys that have no dense ids.
    GroupKeys { keys: String, why: String },
    /// An operator without a device form.
    Operator { name: String },
    /// Constants: there are no rows of a table to work on. No error under `always`.
    NoRows,
    /// A limit right above a scan, which takes it over. No error under `always`.
    LimitOfScan,
    /// DataFusion put the operator in after placement.
    AddedLater { name: String },
}

impl FallbackReason {
    pub fn expression(expression: impl fmt::Display, why: impl Into<String>) -> Self {
        Self::Expression { expression: expression.to_string(), why: why.into() }
    }

    /// Whether there was work that the device could have done.
    pub fn is_work(&self) -> bool {
        !matches!(self, Self::NoRows | Self::LimitOfScan)
    }
}

impl fmt::Display for FallbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { what, data_type } => {
                write!(f, "{what} has type {data_type}, which has no device encoding yet")
            }
            Self::Expression { expression, why } => write!(f, "{expression}: {why}"),
            Self::Aggregate { function, why } => write!(f, "{function}: {why}"),
            Self::GroupKeys { keys, why } => write!(f, "GROUP BY {keys}: {why}"),
            Self::Operator { name } => write!(f, "{name} has no device form yet"),
            Self::NoRows => f.write_str("constants only, no rows of a table"),
            Self::LimitOfScan => f.write_str("the scan below takes the limit over"),
            Self::AddedLater { name } => write!(f, "DataFusion added this {name} after operators were placed"),
        }
    }
}
