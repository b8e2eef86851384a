//! Aggregates of the distinct values of their arguments: an accumulator that hands each value on once, to the accumulator of the
//! function without DISTINCT, also in windows that slide.
//!
//! DataFusion's own sums and averages of distinct values round or wrap around as its plain ones do, are missing for some types and for
//! frames that slide, and its functions of two arguments count equal pairs twice.

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::mem::size_of_val;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

/// Makes accumulators of the function without DISTINCT.
pub type Make = Box<dyn Fn() -> Result<Box<dyn Accumulator>> + Send + Sync>;

/// The accumulator of one group, also of a window that slides.
pub struct Distinct {
    converter: RowConverter,
    /// How many rows have these values.
    rows: HashMap<Box<[u8]>, u64>,
    /// Bytes of the keys of `rows`.
    key_bytes: usize,
    make: Make,
    inner: Box<dyn Accumulator>,
    /// `inner` counts values that have left the window.
    stale: bool,
}

impl Distinct {
    /// The accumulator over arguments of these types.
    ///
    /// # Errors
    /// If the arguments cannot be compared.
    pub fn boxed(arguments: &[FieldRef], make: Make) -> Result<Box<dyn Accumulator>> {
        let fields = arguments.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let (converter, inner) = (RowConverter::new(fields)?, make()?);
        Ok(Box::new(Self { converter, rows: HashMap::new(), key_bytes: 0, make, inner, stale: false }))
    }

    /// The distinct values, in an order that depends on nothing else.
    fn values(&self) -> Result<Vec<ArrayRef>> {
        let mut keys: Vec<&[u8]> = self.rows.keys().map(AsRef::as_ref).collect();
        keys.sort_unstable();
        let parser = self.converter.parser();
        Ok(self.converter.convert_rows(keys.into_iter().map(|key| parser.parse(key)))?)
    }

    /// `inner` over what is in the window.
    fn refresh(&mut self) -> Result<()> {
        if self.stale {
            self.inner = (self.make)()?;
            self.inner.update_batch(&self.values()?)?;
            self.stale = false;
        }
        Ok(())
    }
}

impl Debug for Distinct {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Distinct({} values, {:?})", self.rows.len(), self.inner)
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let converted = self.converter.convert_columns(values)?;
        let mut new = Vec::new();
        for (row, key) in converted.iter().enumerate() {
            let key: &[u8] = key.as_ref();
            match self.rows.get_mut(key) {
                Some(count) => *count += 1,
                None => {
                    self.key_bytes += key.len();
                    self.rows.insert(key.into(), 1);
                    new.push(row as u32);
                }
            }
        }
        if new.is_empty() || self.stale { Ok(()) } else { self.inner.update_batch(&picked(values, new)?) }
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let converted = self.converter.convert_columns(values)?;
        let mut gone = Vec::new();
        for (row, key) in converted.iter().enumerate() {
            let key: &[u8] = key.as_ref();
            let Some(count) = self.rows.get_mut(key) else { continue };
            *count -= 1;
            if *count == 0 {
                self.rows.remove(key);
                self.key_bytes -= key.len();
                gone.push(row as u32);
            }
        }
        if gone.is_empty() || self.stale {
            return Ok(());
        }
        if self.inner.supports_retract_batch() {
            return self.inner.retract_batch(&picked(values, gone)?);
        }
        self.stale = true;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.refresh()?;
        self.inner.evaluate()
    }

    fn size(&self) -> usize {
        let entries = self.rows.capacity() * (size_of::<Box<[u8]>>() + size_of::<u64>() + 1);
        size_of_val(self) + self.converter.size() + entries + self.key_bytes + self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |values| SingleRowListArrayBuilder::new(values).with_nullable(true).build_list_scalar();
        Ok(self.values()?.into_iter().map(list).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |state| state.len());
        for row in 0..rows {
            let values: Vec<ArrayRef> = states.iter().map(|state| state.as_list::<i32>().value(row)).collect();
            self.update_batch(&values)?;
        }
        Ok(())
    }
}

fn picked(values: &[ArrayRef], rows: Vec<u32>) -> Result<Vec<ArrayRef>> {
    let rows = UInt32Array::from(rows);
    Ok(values.iter().map(|values| take(values, &rows, None)).collect::<std::result::Result<_, _>>()?)
}

/// The state of [`Distinct`]: a list of the values of each argument.
pub fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
    let list = |(i, field): (usize, &FieldRef)| {
        let item = Field::new_list_field(field.data_type().clone(), true);
        Arc::new(Field::new_list(format_state_name(args.name, &format!("distinct {i}")), item, false)) as FieldRef
    };
    args.input_fields.iter().enumerate().map(list).collect()
}

/// A function of DataFusion that is right without DISTINCT, with DISTINCT.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DistinctAggregate {
    replaced: AggregateUDF,
}

impl DistinctAggregate {
    /// The function in the place of DataFusion's with DISTINCT, if there is one for these arguments.
    pub fn in_place_of(function: &AggregateUDF, arguments: &[DataType]) -> Option<Self> {
        let applies = match (function.name(), arguments) {
            // DataFusion has none for frames that slide.
            ("avg", [argument]) => argument.is_decimal(),
            // DataFusion counts equal pairs twice.
            ("regr_count", [y, x]) => y.is_numeric() && x.is_numeric(),
            _ => false,
        };
        applies.then(|| Self { replaced: function.clone() })
    }

    fn distinct(&self, args: &AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let (function, name) = (self.replaced.clone(), args.name.to_string());
        let (return_field, fields) = (Arc::clone(&args.return_field), args.expr_fields.to_vec());
        let make = move || {
            function.accumulator(AccumulatorArgs {
                return_field: Arc::clone(&return_field),
                schema: &Schema::empty(),
                expr_fields: &fields,
                ignore_nulls: false,
                order_bys: &[],
                is_reversed: false,
                name: &name,
                is_distinct: false,
                exprs: &[],
            })
        };
        Distinct::boxed(args.expr_fields, Box::new(make))
    }
}

impl AggregateUDFImpl for DistinctAggregate {
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

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.is_distinct { Ok(state_fields(&args)) } else { self.replaced.state_fields(args) }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct { self.distinct(&args) } else { self.replaced.accumulator(args) }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct { self.distinct(&args) } else { self.replaced.create_sliding_accumulator(args) }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct && self.replaced.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.replaced.create_groups_accumulator(args)
    }

    fn is_nullable(&self) -> bool {
        self.replaced.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.replaced.default_value(data_type)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.replaced.inner().set_monotonicity(data_type)
    }
}
