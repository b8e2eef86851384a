//! The typed expression tree that every lowering starts from, with every operator and function that it can hold.
//! Every tree that `convert` builds lowers; `convert` refuses the rest.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;

use crate::hlo::Comparison;

/// A node and the Arrow type of its value.
#[derive(Clone, Debug)]
pub struct DeviceExpr {
    pub node: Node,
    pub data_type: DataType,
}

#[derive(Clone, Debug)]
pub enum Node {
    Column(usize),
    /// A run-time parameter of the program.
    Literal(ScalarValue),
    /// The value of a scalar subquery, known when the program is traced.
    Subquery(Arc<dyn PhysicalExpr>),
    Arithmetic(ArithmeticOp, Box<DeviceExpr>, Box<DeviceExpr>),
    Bitwise(BitwiseOp, Box<DeviceExpr>, Box<DeviceExpr>),
    Negate(Box<DeviceExpr>),
    /// Subtracts dates and timestamps, and adds and subtracts durations.
    Difference(ArithmeticOp, Box<DeviceExpr>, Box<DeviceExpr>),
    /// Adds an interval to a date, time or timestamp. `subtract` applies to `nanos`, a duration, only: `months` and
    /// `days` carry their sign.
    Shift {
        operand: Box<DeviceExpr>,
        months: i32,
        days: i32,
        nanos: Box<DeviceExpr>,
        subtract: bool,
    },
    /// A scalar function that is lowered to HLO.
    Function(Function, Vec<DeviceExpr>),
    Compare(Comparison, Box<DeviceExpr>, Box<DeviceExpr>),
    /// `IS [NOT] DISTINCT FROM`; the flag is true for IS NOT DISTINCT FROM.
    Distinct(bool, Box<DeviceExpr>, Box<DeviceExpr>),
    And(Box<DeviceExpr>, Box<DeviceExpr>),
    Or(Box<DeviceExpr>, Box<DeviceExpr>),
    Not(Box<DeviceExpr>),
    IsNull(Box<DeviceExpr>),
    InList {
        operand: Box<DeviceExpr>,
        list: Vec<DeviceExpr>,
        negated: bool,
    },
    /// Conditions are booleans; conversion turns CASE with an operand into comparisons.
    Case {
        branches: Vec<(DeviceExpr, DeviceExpr)>,
        otherwise: Option<Box<DeviceExpr>>,
    },
    /// With `safe` a value that does not fit becomes NULL (TRY_CAST) instead of an error.
    Cast {
        operand: Box<DeviceExpr>,
        safe: bool,
    },
    /// A deterministic function of columns with few distinct values, such as strings. DataFusion evaluates it once for
    /// each combination of values, NULL included, and the program looks the result up. The expression refers to its
    /// operands as columns 0, 1 ...
    Lookup {
        operands: Vec<DeviceExpr>,
        function: Arc<dyn PhysicalExpr>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithmeticOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl ArithmeticOp {
    /// The operator as SQL writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitwiseOp {
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

/// A scalar function; the node holds its arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    Choice(Choice),
    Math(Math),
    Math2(Math2),
    Exact(ExactMath),
    DatePart(DatePart),
    DateTrunc(DateTrunc),
    DateBin(DateBin),
    MakeDate,
    MakeTime,
    ToLocalTime,
    /// `to_timestamp` of a float, which counts seconds and fractions of a second.
    ToTimestamp,
}

/// Chooses among values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Greatest,
    Least,
    NullIf,
}

/// A function of one float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Math {
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Cbrt,
    Ceil,
    Cos,
    Cosh,
    Cot,
    Degrees,
    Exp,
    Floor,
    Ln,
    Log10,
    Log2,
    Radians,
    Signum,
    Sin,
    Sinh,
    Sqrt,
    Tan,
    Tanh,
    Trunc,
}

/// A function of two floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Math2 {
    Atan2,
    /// The logarithm of the second argument to the base of the first.
    Log,
    Nanvl,
    Power,
}

/// A function whose result is exact: of integers and decimals, and those of floats that round or test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactMath {
    Abs,
    Ceil,
    Floor,
    /// Rounds to a number of decimal places; a negative number counts places before the point.
    Round(i32),
    Trunc(i32),
    RoundFloat(i32),
    TruncFloat(i32),
    Gcd,
    Lcm,
    Factorial,
    /// A number of rows that may not exceed one.
    SingleRow,
    IsNan,
    IsZero,
    /// A float with one form of NaN and of zero.
    CanonicalFloat,
    /// Integers whose result must fit their type.
    Checked(ArithmeticOp),
    CheckedNegate,
    /// A decimal that may not have more digits than its type.
    WithinPrecision,
}

/// A field of a date or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatePart {
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Epoch,
}

impl DatePart {
    /// Whether the field depends on the time of day only.
    pub fn is_of_day(self) -> bool {
        use DatePart::{Hour, Microsecond, Millisecond, Minute, Nanosecond, Second};
        matches!(self, Hour | Minute | Second | Millisecond | Microsecond | Nanosecond)
    }
}

/// The precision to which `date_trunc` truncates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateTrunc {
    /// A number of nanoseconds, at most a day.
    Nanos(i128),
    Week,
    Month,
    Quarter,
    Year,
}

/// The bins of `date_bin`: all have one width, and one begins at the origin.
#[derive(Clone, Debug, PartialEq)]
pub struct DateBin {
    pub stride: Stride,
    /// In nanoseconds.
    pub origin: i64,
}

/// The width of a bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stride {
    Nanoseconds(i64),
    Months(i32),
}

impl DeviceExpr {
    pub fn new(node: Node, data_type: DataType) -> Self {
        Self { node, data_type }
    }

    /// Calls `f(column, only)` for every use of a column; `only` is true where the expression needs no more than a function
    /// of the column's values, or whether they are NULL.
    pub fn visit_columns(&self, f: &mut impl FnMut(usize, bool)) {
        let only_column = |e: &DeviceExpr| match e.node {
            Node::Column(index) => Some(index),
            _ => None,
        };
        let mut visit = |e: &DeviceExpr| e.visit_columns(f);
        match &self.node {
            Node::Column(index) => f(*index, false),
            Node::Literal(_) | Node::Subquery(_) => {}
            Node::Arithmetic(_, l, r)
            | Node::Bitwise(_, l, r)
            | Node::Difference(_, l, r)
            | Node::Compare(_, l, r)
            | Node::Distinct(_, l, r)
            | Node::And(l, r)
            | Node::Or(l, r) => {
                visit(l);
                visit(r);
            }
            Node::IsNull(e) => match only_column(e) {
                Some(index) => f(index, true),
                None => visit(e),
            },
            Node::Negate(e) | Node::Not(e) => visit(e),
            Node::Cast { operand, .. } => visit(operand),
            Node::Lookup { operands, .. } => match operands.as_slice() {
                [operand] if only_column(operand).is_some() => {
                    only_column(operand).into_iter().for_each(|i| f(i, true))
                }
                _ => operands.iter().for_each(visit),
            },
            Node::Shift { operand, nanos, .. } => {
                visit(operand);
                visit(nanos);
            }
            Node::Function(_, args) => args.iter().for_each(visit),
            Node::InList { operand, list, .. } => {
                visit(operand);
                list.iter().for_each(visit);
            }
            Node::Case { branches, otherwise } => {
                for (condition, value) in branches {
                    visit(condition);
                    visit(value);
                }
                if let Some(value) = otherwise {
                    visit(value);
                }
            }
        }
    }
}
