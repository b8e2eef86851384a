//! The typed expression tree that every lowering starts from. What is in here lowers for any data; what does not is
//! refused by `convert`.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;

use crate::expr::functions::Function;
use crate::expr::lower::bitwise::BitwiseOp;
use crate::hlo::Comparison;

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
    /// Differences of dates and timestamps, sums and differences with durations.
    Difference(ArithmeticOp, Box<DeviceExpr>, Box<DeviceExpr>),
    /// A date, time or timestamp plus an interval. Only `nanos`, a duration, is to be subtracted where the flag is set:
    /// months and days have their sign.
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
    /// `IS [NOT] DISTINCT FROM`; true in the flag is IS NOT DISTINCT FROM.
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
    /// Conditions are booleans; CASE with an operand has been turned into comparisons.
    Case {
        branches: Vec<(DeviceExpr, DeviceExpr)>,
        otherwise: Option<Box<DeviceExpr>>,
    },
    /// `safe`: a value that does not fit is NULL (TRY_CAST) rather than an error.
    Cast {
        operand: Box<DeviceExpr>,
        safe: bool,
    },
    /// Any deterministic function of strings and other columns of few values: evaluated by DataFusion once per combination of
    /// values (and of NULL), then looked up. The expression refers to its operands as columns 0, 1 ...
    Lookup {
        operands: Vec<DeviceExpr>,
        function: Arc<dyn PhysicalExpr>,
    },
}

impl DeviceExpr {
    pub fn new(node: Node, data_type: DataType) -> Self {
        Self { node, data_type }
    }

    /// Input columns that the expression reads.
    pub fn columns(&self) -> BTreeSet<usize> {
        let mut out = BTreeSet::new();
        self.visit_columns(&mut |column, _| {
            out.insert(column);
        });
        out
    }

    /// Calls `f(column, only)` wherever a column is read; `only` where nothing but a function of it, or whether it is NULL, is asked.
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
