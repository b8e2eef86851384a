//! The program under construction: its parameters and where their values come from, the error sites of its fallible
//! expressions, and the relation that flows through it.

pub mod bounded;
pub mod concatenate;
pub mod dictionary;
pub mod error;
pub mod exact;
pub mod float;
pub mod integer;
pub mod literal;
pub mod select;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};

use crate::columnar::decode::ColumnSpec;
use crate::columnar::dictionary::Dictionary;
use crate::columnar::representation::Representation;
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::hlo::{Builder, ReduceKind, Scalar, Value};
use crate::kernels::Lowering;
use crate::kernels::reduce::{Reduction, reduce_all};
use crate::program::ElementType::{self, F32, S32};
use crate::program::Shape;

/// Where the value of a program parameter comes from.
#[derive(Clone, Debug)]
pub enum Input {
    /// Array `part` of column `column` of the chunk: its value arrays, then its validity.
    Column { column: usize, part: usize },
    /// Live rows of the chunk, a scalar s32.
    RowCount,
    /// Rows of the chunk that were selected, s32[capacity], as many as the row count says.
    Selection,
    /// A whole array that is the same for every chunk, by number.
    Side(usize),
    /// Accumulator `index` of worker `worker`.
    Accumulator { worker: usize, index: usize },
    /// Bytes that are the same for every chunk: a literal, a key offset, a lookup table.
    Constant { shape: Shape, bytes: Vec<u8> },
}

/// The values of a traced column: arrays of the chunk's capacity, or scalars for literals.
#[derive(Clone, Debug)]
pub enum Values {
    Pred(Value),
    Int(Int),
    Float(Value),
}

/// A column of the relation, as HLO values.
#[derive(Clone, Debug)]
pub struct TracedColumn {
    pub values: Values,
    /// `pred`; `None` where no row is NULL. Under a NULL the values are unspecified.
    pub valid: Option<Value>,
    pub data_type: DataType,
    pub dictionary: Option<Arc<Dictionary>>,
}

/// What one operator hands the next while a program is traced: columns, and the rows that still count.
#[derive(Clone, Debug)]
pub struct TracedRelation {
    pub columns: Vec<TracedColumn>,
    /// `pred[capacity]`; `None` where every row counts.
    pub mask: Option<Value>,
    pub capacity: usize,
}

/// A program being traced.
pub struct Tracer {
    pub builder: Builder,
    pub inputs: Vec<Input>,
    /// The error of each site; a site's code is its index + 1.
    pub errors: Vec<ExpressionError>,
    /// How kernels are lowered: what the device is decides.
    pub lowering: Lowering,
    /// Elementwise error codes, s32: 0 or a site.
    codes: Option<Value>,
    /// The greatest code of relations that have been left behind, a scalar.
    settled: Option<Value>,
    /// Rows for which the current expression is evaluated.
    active: Option<Value>,
    /// The float parameters that are the same whatever the query's literals are.
    floats: Vec<((ElementType, Vec<u8>), Value)>,
}

impl Tracer {
    pub fn new(name: &str) -> Self {
        Self {
            builder: Builder::new(name),
            inputs: Vec::new(),
            errors: Vec::new(),
            lowering: Lowering::Portable,
            codes: None,
            settled: None,
            active: None,
            floats: Vec::new(),
        }
    }

    pub fn parameter(&mut self, shape: Shape, input: Input) -> Value {
        self.inputs.push(input);
        self.builder.parameter(shape)
    }

    /// A scalar parameter that does not change the program's text when its value changes.
    pub fn scalar_parameter(&mut self, element_type: ElementType, value: i128) -> Value {
        let bytes = integer_bytes(element_type, value);
        let shape = Shape::scalar(element_type);
        self.parameter(shape.clone(), Input::Constant { shape, bytes })
    }

    /// A scalar float that XLA does not see: it would turn a division by a constant into a multiplication by its reciprocal.
    pub fn float_parameter(&mut self, element_type: ElementType, value: f64) -> Value {
        let bytes = match element_type {
            F32 => (value as f32).to_le_bytes().to_vec(),
            _ => value.to_le_bytes().to_vec(),
        };
        let known = (element_type, bytes);
        if let Some((_, parameter)) = self.floats.iter().find(|(float, _)| *float == known) {
            return *parameter;
        }
        let shape = Shape::scalar(element_type);
        let parameter = self.parameter(shape.clone(), Input::Constant { shape, bytes: known.1.clone() });
        self.floats.push((known, parameter));
        parameter
    }

    /// A lookup table `[n]`, padded to a power of two with zeros, so that dictionaries of similar size share programs.
    pub fn table_parameter(&mut self, element_type: ElementType, mut bytes: Vec<u8>) -> Value {
        let n = (bytes.len() / element_type.size_bytes()).next_power_of_two().max(16);
        bytes.resize(n * element_type.size_bytes(), 0);
        let shape = Shape::new(element_type, [n]);
        self.parameter(shape.clone(), Input::Constant { shape, bytes })
    }

    /// Narrows the rows for which errors count, for the time of `f`.
    pub fn with_active<T>(&mut self, condition: Option<Value>, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = self.active;
        self.active = and_valid(&mut self.builder, outer, condition)?;
        let out = f(self);
        self.active = outer;
        out
    }

    /// Records that rows where `flag` is set, that are active and not NULL, make the query fail with `error`.
    pub fn fail(&mut self, flag: Value, valid: Option<Value>, error: ExpressionError) -> Result<()> {
        self.errors.push(error);
        let b = &mut self.builder;
        let relevant = and_valid(b, self.active, valid)?;
        let flag = match relevant {
            Some(relevant) => b.and(relevant, flag)?,
            None => flag,
        };
        let site = b.constant(Scalar::S32(self.errors.len() as i32));
        let none = b.constant(Scalar::S32(0));
        let code = b.select(flag, site, none)?;
        // Rows of another relation, before an operator that changed their number.
        if let Some(codes) = self.codes
            && self.builder.shape(codes) != self.builder.shape(code)
        {
            self.settle_codes()?;
        }
        self.codes = Some(match self.codes {
            Some(codes) => self.builder.maximum(codes, code)?,
            None => code,
        });
        Ok(())
    }

    /// Reduces the codes so far to a scalar.
    fn settle_codes(&mut self) -> Result<()> {
        let Some(codes) = self.codes.take() else { return Ok(()) };
        let code = if self.builder.shape(codes).rank() == 0 {
            codes
        } else {
            let reduction = Reduction { operand: codes, kind: ReduceKind::Maximum, total_type: S32 };
            reduce_all(&mut self.builder, &[reduction])?[0]
        };
        self.settled = Some(match self.settled {
            Some(before) => self.builder.maximum(before, code)?,
            None => code,
        });
        Ok(())
    }

    /// The error code of all rows, a scalar s32, if any site can fail.
    pub fn error_code(&mut self) -> Result<Option<Value>> {
        self.settle_codes()?;
        Ok(self.settled.take())
    }

    /// Makes a scalar an array of `capacity`.
    pub fn broadcast(&mut self, value: Value, capacity: usize) -> Result<Value> {
        if self.builder.shape(value).rank() == 0 { Ok(self.builder.broadcast(value, &[capacity])?) } else { Ok(value) }
    }

    /// A scalar made an array of the dimensions of `like`.
    pub fn broadcast_like(&mut self, value: Value, like: Value) -> Result<Value> {
        let dims = self.builder.shape(like).dims.clone();
        if self.builder.shape(value).dims == dims { Ok(value) } else { Ok(self.builder.broadcast(value, &dims)?) }
    }

    /// `table[index]`, for an array or a scalar index.
    pub fn gather(&mut self, table: Value, index: Value) -> Result<Value> {
        let b = &mut self.builder;
        if b.shape(index).rank() == 1 {
            return Ok(b.take(table, index)?);
        }
        let index = b.reshape(index, &[1])?;
        let taken = b.take(table, index)?;
        Ok(b.reshape(taken, &[])?)
    }

    pub fn all_valid(&mut self, columns: &[&TracedColumn]) -> Result<Option<Value>> {
        let mut valid = None;
        for column in columns {
            valid = and_valid(&mut self.builder, valid, column.valid)?;
        }
        Ok(valid)
    }

    /// The arrays of a result column, values then validity, each `[capacity]`, and what they are.
    pub fn output(&mut self, column: &TracedColumn, capacity: usize) -> Result<(Vec<Value>, ColumnSpec)> {
        let (values, representation) = match &column.values {
            Values::Pred(v) => (vec![*v], Representation::Pred),
            Values::Float(v) => (vec![*v], Representation::Float(self.builder.element_type(*v))),
            Values::Int(int) => match int.limbs {
                Limbs::Narrow(v) => (vec![v], Representation::Int(self.builder.element_type(v))),
                Limbs::Wide(w) => (vec![w.hi, w.lo], Representation::Wide),
            },
        };
        let mut arrays = Vec::with_capacity(values.len() + 1);
        for value in values.into_iter().chain(column.valid) {
            arrays.push(self.broadcast(value, capacity)?);
        }
        let spec = ColumnSpec {
            data_type: column.data_type.clone(),
            representation,
            nullable: column.valid.is_some(),
            dictionary: column.dictionary.clone(),
        };
        Ok((arrays, spec))
    }
}

impl TracedColumn {
    /// Refuses strings that are held by row where their values are asked for: a mistake of `exec::column_use`, which must not
    /// become a wrong answer.
    pub fn check_ordered(&self) -> Result<()> {
        if self.dictionary.as_ref().is_some_and(|dictionary| !dictionary.is_ordered()) {
            return Err(DataFusionError::Internal("strings that only pass through were compared".to_string()));
        }
        Ok(())
    }

    /// The values of a boolean column.
    pub fn pred(&self) -> Result<Value> {
        match &self.values {
            Values::Pred(v) => Ok(*v),
            _ => Err(self.unexpected("a boolean")),
        }
    }

    /// The values of an integer-like column.
    pub fn int(&self) -> Result<&Int> {
        match &self.values {
            Values::Int(int) => Ok(int),
            _ => Err(self.unexpected("an integer")),
        }
    }

    /// The values of a float column.
    pub fn float(&self) -> Result<Value> {
        match &self.values {
            Values::Float(v) => Ok(*v),
            _ => Err(self.unexpected("a float")),
        }
    }

    fn unexpected(&self, wanted: &str) -> DataFusionError {
        DataFusionError::Internal(format!("device expression of type {} used as {wanted}", self.data_type))
    }

    pub fn boolean(value: Value, valid: Option<Value>) -> Self {
        Self { values: Values::Pred(value), valid, data_type: DataType::Boolean, dictionary: None }
    }
}

/// The conjunction of two optional masks; `None` is all true.
pub fn and_valid(b: &mut Builder, lhs: Option<Value>, rhs: Option<Value>) -> Result<Option<Value>> {
    Ok(match (lhs, rhs) {
        (Some(l), Some(r)) => Some(b.and(l, r)?),
        (l, r) => l.or(r),
    })
}

fn integer_bytes(element_type: ElementType, value: i128) -> Vec<u8> {
    value.to_le_bytes()[..element_type.size_bytes()].to_vec()
}
