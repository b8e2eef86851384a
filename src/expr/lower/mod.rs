//! Lowers a device expression into the program being traced. Each node has one arm here; each family has its own file.

pub mod arithmetic;
pub mod bitwise;
pub mod case;
pub mod cast;
pub mod choice;
pub mod comparison;
mod decimal_to_float;
mod elementary;
pub mod exact_math;
pub mod function;
pub mod in_list;
pub mod logic;
pub mod lookup;
pub mod math;
pub mod subquery;

use datafusion::error::{DataFusionError, Result};

use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::lower::in_list::literals;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer};

impl DeviceExpr {
    /// Traces this expression over `input`. The values are arrays `[capacity]`, or scalars if it reads no column.
    pub fn trace(&self, t: &mut Tracer, input: &TracedRelation) -> Result<TracedColumn> {
        match &self.node {
            Node::Column(index) => input.columns.get(*index).cloned().ok_or_else(|| {
                DataFusionError::Internal(format!("column {index} of a relation of {}", input.columns.len()))
            }),
            Node::Literal(value) => t.literal(value, &self.data_type),
            Node::Subquery(subquery) => t.subquery(subquery, &self.data_type),
            Node::Arithmetic(op, lhs, rhs) => {
                let (l, r) = (lhs.trace(t, input)?, rhs.trace(t, input)?);
                t.arithmetic(*op, &l, &r, &self.data_type)
            }
            Node::Bitwise(op, lhs, rhs) => {
                let (l, r) = (lhs.trace(t, input)?, rhs.trace(t, input)?);
                t.bitwise(*op, &l, &r, &self.data_type)
            }
            Node::Negate(operand) => {
                let operand = operand.trace(t, input)?;
                t.negate_column(&operand)
            }
            Node::Difference(op, lhs, rhs) => {
                let (l, r) = (lhs.trace(t, input)?, rhs.trace(t, input)?);
                t.difference(*op, &l, &r, &self.data_type)
            }
            Node::Shift { operand, months, days, nanos, subtract } => {
                let (operand, nanos) = (operand.trace(t, input)?, nanos.trace(t, input)?);
                t.shift(&operand, *months, *days, &nanos, *subtract)
            }
            Node::Function(function, args) => {
                let args = args.iter().map(|arg| arg.trace(t, input)).collect::<Result<Vec<_>>>()?;
                t.scalar_function(function, &args, &self.data_type)
            }
            Node::Compare(direction, lhs, rhs) => {
                let (l, r) = (lhs.trace(t, input)?, rhs.trace(t, input)?);
                t.compare_columns(*direction, &l, &r)
            }
            Node::Distinct(not_distinct, lhs, rhs) => {
                let (l, r) = (lhs.trace(t, input)?, rhs.trace(t, input)?);
                t.distinct(*not_distinct, &l, &r)
            }
            Node::And(lhs, rhs) | Node::Or(lhs, rhs) => {
                let is_and = matches!(self.node, Node::And(..));
                let l = lhs.trace(t, input)?;
                t.connective(is_and, &l, |t| rhs.trace(t, input))
            }
            Node::Not(operand) => {
                let operand = operand.trace(t, input)?;
                let value = t.builder.not(operand.pred()?)?;
                Ok(TracedColumn::boolean(value, operand.valid))
            }
            Node::IsNull(operand) => {
                let operand = operand.trace(t, input)?;
                t.null_test(&operand)
            }
            Node::InList { operand, list, negated } => {
                let operand = operand.trace(t, input)?;
                if let Some(literals) = literals(list) {
                    return t.in_set(&operand, &literals, *negated);
                }
                let list = list.iter().map(|item| item.trace(t, input)).collect::<Result<Vec<_>>>()?;
                t.in_list(&operand, &list, *negated)
            }
            Node::Case { branches, otherwise } => {
                t.case(branches, otherwise.as_deref(), &self.data_type, |t, value| value.trace(t, input))
            }
            Node::Cast { operand, safe } => {
                let operand = operand.trace(t, input)?;
                t.cast(&operand, &self.data_type, *safe)
            }
            Node::Lookup { operands, function } => {
                let operands = operands.iter().map(|operand| operand.trace(t, input)).collect::<Result<Vec<_>>>()?;
                t.lookup(&operands, function, &self.data_type)
            }
        }
    }
}
