//! The aggregate functions of this folder as DataFusion's functions of the same names: numbers reach them as they are, where
//! DataFusion's own round integers and decimals to doubles first.

use std::sync::Arc;

use datafusion::arrow::array::Int64Array;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::plan_err;
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility};

use crate::frontend::aggregate::average::Average;
use crate::frontend::aggregate::distinct::{self, Distinct, DistinctAggregate};
use crate::frontend::aggregate::moments::Moments;
use crate::frontend::aggregate::number::{argument_type, factor};
use crate::frontend::aggregate::state::{AggregateState, Finish, ManyGroups, OneGroup, doubles};
use crate::frontend::aggregate::statistic::Statistic;
use crate::frontend::aggregate::sum::ExactSum;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Average,
    /// Of durations, which is one.
    AverageDuration,
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
            "avg" if matches!(arguments, [DataType::Duration(_)]) => Kind::AverageDuration,
            // Its own averages of decimals are exact.
            "avg" if arguments.iter().all(|a| a.is_numeric() && !a.is_decimal() || a.is_null()) => Kind::Average,
            "avg" => return None,
            _ => Kind::Statistic(Statistic::of(name).filter(|statistic| *statistic != Statistic::Count)?),
        };
        let takes = |argument: &DataType| kind == Kind::AverageDuration || argument_type(argument).is_some();
        arguments.iter().all(takes).then(|| Self {
            name: name.to_string(),
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }
}

/// Whether the function is one of this folder, which means what DataFusion's of the same name does.
pub fn is_exact(function: &AggregateUDF) -> bool {
    let inner = function.inner();
    inner.is::<ExactAggregate>() || inner.is::<ExactSum>() || inner.is::<DistinctAggregate>()
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
            Kind::AverageDuration => Ok(arguments.to_vec()),
            _ => {
                let [argument] = take_function_args(&self.name, arguments)?;
                Ok(vec![coerce(argument)?])
            }
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.kind, arguments) {
            (Kind::AverageDuration, [duration]) => Ok(duration.clone()),
            _ => Ok(DataType::Float64),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.is_distinct {
            return Ok(distinct::state_fields(&args));
        }
        let fields = match self.kind {
            Kind::Average | Kind::AverageDuration => Average::fields(),
            Kind::Statistic(_) => Moments::fields(),
        };
        let field =
            |(name, data_type)| Arc::new(Field::new(format_state_name(args.name, name), data_type, false)) as FieldRef;
        Ok(fields.into_iter().map(field).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match self.kind {
            Kind::Average => one_group(average(), &args, OneGroup::new),
            Kind::AverageDuration => one_group(average_duration(args.return_type()), &args, OneGroup::new),
            Kind::Statistic(statistic) => one_group(finish(statistic, args.expr_fields), &args, OneGroup::new),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match self.kind {
            Kind::Average => one_group(average(), &args, OneGroup::sliding),
            Kind::AverageDuration => one_group(average_duration(args.return_type()), &args, OneGroup::sliding),
            Kind::Statistic(statistic) => one_group(finish(statistic, args.expr_fields), &args, OneGroup::sliding),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match self.kind {
            Kind::Average => Box::new(ManyGroups::new(average())),
            Kind::AverageDuration => Box::new(ManyGroups::new(average_duration(args.return_type()))),
            Kind::Statistic(statistic) => Box::new(ManyGroups::new(finish(statistic, args.expr_fields))),
        })
    }
}

fn one_group<S: AggregateState>(
    finish: Finish<S>,
    args: &AccumulatorArgs,
    new: fn(Finish<S>) -> OneGroup<S>,
) -> Result<Box<dyn Accumulator>> {
    if args.is_distinct {
        return Distinct::boxed(args.expr_fields, Box::new(move || Ok(Box::new(OneGroup::new(Arc::clone(&finish))))));
    }
    Ok(Box::new(new(finish)))
}

fn average() -> Finish<Average> {
    doubles(Average::value)
}

fn average_duration(result: &DataType) -> Finish<Average> {
    let result = result.clone();
    Arc::new(move |averages| {
        let integers = Int64Array::from_iter(averages.iter().map(Average::integer));
        Ok(cast(&integers, &result)?)
    })
}

/// What a statistic of these arguments makes of the moments.
fn finish(statistic: Statistic, arguments: &[FieldRef]) -> Finish<Moments> {
    let factor_of = |argument: Option<&FieldRef>| argument.map_or(1.0, |argument| factor(argument.data_type()));
    let factors = [factor_of(arguments.last()), factor_of(arguments.first())];
    doubles(move |moments: &Moments| statistic.value(&moments.summary(factors)))
}
