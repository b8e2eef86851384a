//! The aggregate functions of this folder as DataFusion's functions of the same names: numbers reach them as they are, where
//! DataFusion's own round integers and decimals to doubles first.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::plan_err;
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility};

use crate::frontend::aggregate::average::Average;
use crate::frontend::aggregate::moments::Moments;
use crate::frontend::aggregate::number::{argument_type, factor};
use crate::frontend::aggregate::state::{AggregateState, Finish, ManyGroups, OneGroup};
use crate::frontend::aggregate::statistic::Statistic;
use crate::frontend::aggregate::sum::ExactSum;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Average,
    Statistic(Statistic),
}

/// A function that computes without rounding its arguments.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExactAggregate {
    name: String,
    kind: Kind,
    signature: Signature,
}

impl ExactAggregate {
    /// The function that takes the place of DataFusion's `name` over arguments of these types, if there is one.
    pub fn in_place_of(name: &str, arguments: &[DataType]) -> Option<Self> {
        let kind = match name {
            // Its own averages of decimals and durations are exact.
            "avg" if arguments.iter().all(|a| a.is_numeric() && !a.is_decimal() || a.is_null()) => Kind::Average,
            "avg" => return None,
            _ => Kind::Statistic(Statistic::of(name).filter(|statistic| *statistic != Statistic::Count)?),
        };
        arguments.iter().all(|argument| argument_type(argument).is_some()).then(|| Self {
            name: name.to_string(),
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }
}

/// Whether the function is one of this folder, which means what DataFusion's of the same name does.
pub fn is_exact(function: &AggregateUDF) -> bool {
    function.inner().is::<ExactAggregate>() || function.inner().is::<ExactSum>()
}

impl AggregateUDFImpl for ExactAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let coerce = |argument: &DataType| match argument_type(argument) {
            Some(data_type) => Ok(data_type),
            None => plan_err!("{} takes numbers, and {argument} is none; cast it to DOUBLE or DECIMAL", self.name),
        };
        match self.kind {
            Kind::Statistic(statistic) if statistic.arguments() == 2 => {
                let [y, x] = take_function_args(&self.name, arguments)?;
                Ok(vec![coerce(y)?, coerce(x)?])
            }
            _ => {
                let [argument] = take_function_args(&self.name, arguments)?;
                Ok(vec![coerce(argument)?])
            }
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let fields = match self.kind {
            Kind::Average => Average::fields(),
            Kind::Statistic(_) => Moments::fields(),
        };
        let field =
            |(name, data_type)| Arc::new(Field::new(format_state_name(args.name, name), data_type, false)) as FieldRef;
        Ok(fields.into_iter().map(field).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(match self.kind {
            Kind::Average => Box::new(OneGroup::new(average())),
            Kind::Statistic(statistic) => Box::new(OneGroup::new(finish(statistic, args.expr_fields))),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(match self.kind {
            Kind::Average => Box::new(OneGroup::sliding(average())),
            Kind::Statistic(statistic) => Box::new(OneGroup::sliding(finish(statistic, args.expr_fields))),
        })
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match self.kind {
            Kind::Average => Box::new(ManyGroups::new(average())),
            Kind::Statistic(statistic) => Box::new(ManyGroups::new(finish(statistic, args.expr_fields))),
        })
    }
}

fn average() -> Finish<Average> {
    Arc::new(Average::value)
}

/// What a statistic of these arguments makes of the moments.
fn finish(statistic: Statistic, arguments: &[FieldRef]) -> Finish<Moments> {
    let factor_of = |argument: Option<&FieldRef>| argument.map_or(1.0, |argument| factor(argument.data_type()));
    let factors = [factor_of(arguments.last()), factor_of(arguments.first())];
    Arc::new(move |moments| statistic.value(&moments.summary(factors)))
}
