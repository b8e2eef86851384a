//! The reasons why something stays on the host. EXPLAIN shows them, and under `xla.placement = always` they are errors.

use std::fmt;

use datafusion::arrow::datatypes::DataType;

/// Why something stays on the host. Most reasons are known when a query is planned, and some only when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FallbackReason {
    /// A column or expression of a type without a device encoding.
    Type { what: String, data_type: DataType },
    /// An expression without a device form.
    Expression { expression: String, why: String },
    /// An aggregate function without a device form.
    Aggregate { function: String, why: String },
    /// An operator of DataFusion's without a device form.
    Operator { name: String },
    /// An operator that stops after a number of rows by itself, without a limit above it.
    RowLimitInOperator { operator: String },
    /// A join that does not have two inputs.
    JoinInputs { inputs: usize },
    /// An input that never ends.
    UnboundedStream,
    /// A recursive query that would produce rows until its reader stops.
    StreamingRecursion,
    /// A partial aggregate without its final aggregate above it: the device runs both as one operator.
    PartialAggregateAlone,
    /// A final aggregate without its partial aggregate below it.
    FinalAggregateAlone,
    /// Constants: there are no rows of a table to work on. No error under `always`.
    NoRows,
    /// A limit right above a scan, which applies it. No error under `always`.
    LimitOfScan,
    /// An operator that DataFusion added after placement.
    AddedLater { name: String },
}

/// Most characters of an expression that a reason shows.
const LONGEST_EXPRESSION: usize = 500;

impl FallbackReason {
    pub fn expression(expression: impl fmt::Display, why: impl Into<String>) -> Self {
        let mut expression = expression.to_string();
        if let Some((end, _)) = expression.char_indices().nth(LONGEST_EXPRESSION) {
            expression.replace_range(end.., " ..");
        }
        Self::Expression { expression, why: why.into() }
    }

    /// A name of the variant that stays the same, for programs that count or group reasons.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Type { .. } => "type",
            Self::Expression { .. } => "expression",
            Self::Aggregate { .. } => "aggregate",
            Self::Operator { .. } => "operator",
            Self::RowLimitInOperator { .. } => "row_limit_in_operator",
            Self::JoinInputs { .. } => "join_inputs",
            Self::UnboundedStream => "unbounded_stream",
            Self::StreamingRecursion => "streaming_recursion",
            Self::PartialAggregateAlone => "partial_aggregate_alone",
            Self::FinalAggregateAlone => "final_aggregate_alone",
            Self::NoRows => "no_rows",
            Self::LimitOfScan => "limit_of_scan",
            Self::AddedLater { .. } => "added_later",
        }
    }

    /// The column, expression, function or operator that the reason is about, if it is about one.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::Type { what, .. } => Some(what),
            Self::Expression { expression, .. } => Some(expression),
            Self::Aggregate { function, .. } => Some(function),
            Self::Operator { name } | Self::AddedLater { name } => Some(name),
            Self::RowLimitInOperator { operator } => Some(operator),
            Self::JoinInputs { .. }
            | Self::UnboundedStream
            | Self::StreamingRecursion
            | Self::PartialAggregateAlone
            | Self::FinalAggregateAlone
            | Self::NoRows
            | Self::LimitOfScan => None,
        }
    }

    /// Whether there was work that the device could have done.
    pub fn is_work(&self) -> bool {
        !matches!(self, Self::NoRows | Self::LimitOfScan)
    }
}

impl std::error::Error for FallbackReason {}

impl fmt::Display for FallbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { what, data_type } => {
                write!(f, "{what} has type {data_type}, which has no device encoding yet")
            }
            Self::Expression { expression, why } => write!(f, "{expression}: {why}"),
            Self::Aggregate { function, why } => write!(f, "{function}: {why}"),
            Self::Operator { name } => write!(f, "{name} has no device form yet"),
            Self::RowLimitInOperator { operator } => write!(f, "a row limit inside {operator} has no device form yet"),
            Self::JoinInputs { inputs } => write!(f, "a join of {inputs} inputs has no device form yet"),
            Self::UnboundedStream => f.write_str("an unbounded stream cannot be loaded onto the device"),
            Self::StreamingRecursion => {
                f.write_str("a recursive query that stops only with its reader cannot be loaded onto the device")
            }
            Self::PartialAggregateAlone => {
                f.write_str("a partial aggregate runs on the device only together with its final aggregate")
            }
            Self::FinalAggregateAlone => {
                f.write_str("a final aggregate runs on the device only together with its partial aggregate")
            }
            Self::NoRows => f.write_str("constants only, no rows of a table"),
            Self::LimitOfScan => f.write_str("the scan below applies the limit"),
            Self::AddedLater { name } => write!(f, "DataFusion added this {name} after operators were placed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::expr::fallback::FallbackReason;

    #[test]
    fn reasons_are_data() {
        let reason = FallbackReason::RowLimitInOperator { operator: "FilterExec".to_string() };
        assert_eq!((reason.kind(), reason.subject()), ("row_limit_in_operator", Some("FilterExec")));
        assert_eq!(reason.to_string(), "a row limit inside FilterExec has no device form yet");
        assert!(reason.is_work() && !FallbackReason::LimitOfScan.is_work());
        assert_eq!(FallbackReason::UnboundedStream.subject(), None);
    }
}
