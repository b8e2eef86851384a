//! SUM of integers, decimals, durations and intervals that is right or an error. DataFusion's wraps around: two of 9e37 as
//! DECIMAL(38, 0) add up to less than zero, and sums of more digits than the type has are printed without the first ones.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, i256};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Operator, ReversedUDAF, SetMonotonicity,
    Signature,
};

use crate::frontend::aggregate::distinct::{self, Distinct};
use crate::frontend::aggregate::total::{ManyTotals, OneTotal, Total};

/// DataFusion's SUM with an exact total.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExactSum {
    replaced: AggregateUDF,
    /// The argument is made of integers that are so short that `sum(a + 1)` may be `sum(a) + count(a)`, which overflows nowhere.
    short: bool,
}

impl ExactSum {
    /// The function in the place of DataFusion's SUM of an argument of this type; `None` for others.
    pub fn in_place_of(function: &AggregateUDF, argument: &DataType, short: bool) -> Option<Self> {
        let exact = argument.is_integer()
            || argument.is_decimal()
            || matches!(argument, DataType::Duration(_) | DataType::Interval(_));
        (function.name() == "sum" && exact).then(|| Self { replaced: function.clone(), short })
    }
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        self.replaced.name()
    }

    fn signature(&self) -> &Signature {
        self.replaced.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.replaced.coerce_types(arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.replaced.return_type(arguments)
    }

    /// The sum so far in all its bits, which sums of parts must have if the whole has them or not; with DISTINCT the values.
    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.is_distinct {
            return Ok(distinct::state_fields(&args));
        }
        let state = match args.return_type() {
            DataType::Decimal256(..) | DataType::Interval(_) => i256::STATE,
            _ => i128::STATE,
        };
        let fields = self.replaced.state_fields(args)?;
        let widened = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(state.clone()));
        Ok(fields.iter().map(widened).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let result = args.return_field.data_type().clone();
        if args.is_distinct {
            return Distinct::boxed(args.expr_fields, Box::new(move || Ok(one_total(&result))));
        }
        Ok(one_total(&result))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let result = args.return_field.data_type().clone();
        Ok(match result {
            DataType::Decimal256(..) | DataType::Interval(_) => Box::new(ManyTotals::<i256>::new(result)),
            _ => Box::new(ManyTotals::<i128>::new(result)),
        })
    }

    fn simplify_expr_op_literal(
        &self,
        call: &AggregateFunction,
        argument: &Expr,
        op: Operator,
        literal: &Expr,
        is_left: bool,
    ) -> Result<Option<Expr>> {
        match self.short {
            true => self.replaced.simplify_expr_op_literal(call, argument, op, literal, is_left),
            // The sum and the product would wrap around.
            false => Ok(None),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.replaced.inner().set_monotonicity(data_type)
    }
}

fn one_total(result: &DataType) -> Box<dyn Accumulator> {
    match result {
        DataType::Decimal256(..) | DataType::Interval(_) => Box::new(OneTotal::<i256>::new(result.clone())),
        _ => Box::new(OneTotal::<i128>::new(result.clone())),
    }
}
