//! GREATEST, LEAST and NULLIF; COALESCE, NVL and NVL2 are CASE before they come here.

use datafusion::error::Result;

use crate::columnar::representation::Kind;
use crate::expr::functions::{Call, Converted, Function};
use crate::expr::ir::Node;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Scalar, Value};
use crate::kernels::order_key;

/// A choice among values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Greatest,
    Least,
    NullIf,
}

fn choice(call: &Call, choice: Choice) -> Converted {
    let args = call.args()?;
    let kind = Kind::of(call.data_type);
    let same = args.iter().all(|arg| arg.data_type == *call.data_type || kind == Some(Kind::String));
    match same && !args.is_empty() {
        true => Ok(Node::Function(Function::Choice(choice), args)),
        false => Err(call.refuse("arguments of different types have no device form")),
    }
}

pub fn convert_greatest(call: &Call) -> Converted {
    choice(call, Choice::Greatest)
}

pub fn convert_least(call: &Call) -> Converted {
    choice(call, Choice::Least)
}

pub fn convert_nullif(call: &Call) -> Converted {
    choice(call, Choice::NullIf)
}

impl Tracer {
    pub fn choose(&mut self, choice: Choice, args: &[TracedColumn]) -> Result<TracedColumn> {
        let data_type = args[0].data_type.clone();
        let args = self.unify_dictionaries(args)?;
        let mut result = args[0].clone();
        for arg in &args[1..] {
            result = match choice {
                Choice::NullIf => {
                    let valid = and_valid(&mut self.builder, result.valid, arg.valid)?;
                    let mut gone = self.compare_signed(Comparison::Eq, &result, arg)?;
                    if let Some(valid) = valid {
                        gone = self.builder.and(gone, valid)?;
                    }
                    let kept = self.builder.not(gone)?;
                    let valid = match result.valid {
                        Some(valid) => self.builder.and(valid, kept)?,
                        None => kept,
                    };
                    TracedColumn { valid: Some(valid), ..result }
                }
                Choice::Greatest => self.better(Comparison::Ge, arg, &result)?,
                Choice::Least => self.better(Comparison::Le, arg, &result)?,
            };
        }
        result.data_type = data_type;
        Ok(result)
    }

    /// `one` where it compares so with `other`, or that is NULL.
    fn better(&mut self, direction: Comparison, one: &TracedColumn, other: &TracedColumn) -> Result<TracedColumn> {
        let better = self.compare_signed(direction, one, other)?;
        let always = self.builder.constant(Scalar::Pred(true));
        let (l, r) = (one.valid.unwrap_or(always), other.valid.unwrap_or(always));
        let alone: Value = self.builder.not(r)?;
        let taken = self.builder.or(better, alone)?;
        let taken = self.builder.and(taken, l)?;
        self.select_column(taken, one, other)
    }

    /// As arrow's own kernels compare, which know two zeros.
    pub fn compare_signed(&mut self, direction: Comparison, lhs: &TracedColumn, rhs: &TracedColumn) -> Result<Value> {
        Ok(match (&lhs.values, &rhs.values) {
            (Values::Float(l), Values::Float(r)) => {
                let l = order_key::from_float(&mut self.builder, *l)?;
                let r = order_key::from_float(&mut self.builder, *r)?;
                self.builder.compare(l, r, direction)?
            }
            (Values::Pred(l), Values::Pred(r)) => self.builder.compare(*l, *r, direction)?,
            _ => self.compare_int(lhs.int()?, rhs.int()?, direction)?,
        })
    }
}
