//! The program under construction: its parameters and the sources of their values, its error sites, and the columns and
//! relations that flow through it. The files of this folder add the arithmetic that all lowerings share.

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
    /// Array `part` of column `column` of the chunk. The value arrays come first, then the validity.
    Column { column: usize, part: usize },
    /// The number of live rows of the chunk, a scalar s32.
    RowCount,
    /// The selected rows of the chunk, s32[capacity]. The row count is their number.
    Selection,
    /// A whole array that is the same for every chunk, by its number.
    Side(usize),
    /// Accumulator `index` of worker `worker`.
    Accumulator { worker: usize, index: usize },
    /// Bytes that are the same for every chunk: a literal, a key offset, a lookup table.
    Constant { shape: Shape, bytes: Vec<u8> },
}

/// The values of a traced column: arrays `[capacity]`, or scalars for literals.
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
    /// A `pred`, false for NULL; `None` if no row is NULL. The value of a NULL row is unspecified.
    pub valid: Option<Value>,
    pub data_type: DataType,
    pub dictionary: Option<Arc<Dictionary>>,
}

/// What an operator passes to the next while a program is traced: the columns and the mask of live rows.
#[derive(Clone, Debug)]
pub struct TracedRelation {
    pub columns: Vec<TracedColumn>,
    /// `pred[capacity]`; `None` if all rows are live.
    pub mask: Option<Value>,
    pub capacity: usize,
}

/// A program being traced.
pub struct Tracer {
    pub builder: Builder,
    pub inputs: Vec<Input>,
    /// The error of each site; a site's code is its index + 1.
    pub errors: Vec<ExpressionError>,
    /// How kernels are lowered, which depends on the device.
    pub lowering: Lowering,
    /// The error code of each row, s32: 0, or that of a site.
    codes: Option<Value>,
    /// The greatest code of the relations before the current one, a scalar.
    settled: Option<Value>,
    /// The rows for which the current expression is evaluated.
    active: Option<Value>,
    /// The float parameters so far; each value is one parameter.
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

    /// A scalar parameter. The program's text does not depend on its value.
    pub fn scalar_parameter(&mut self, element_type: ElementType, value: i128) -> Value {
        let bytes = integer_bytes(element_type, value);
        let shape = Shape::scalar(element_type);
        self.parameter(shape.clone(), Input::Constant { shape, bytes })
    }

    /// A scalar float as a parameter, because XLA turns a division by a constant into a multiplication by its reciprocal.
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

    /// A lookup table `[n]`, padded with zeros to a power of two so that dictionaries of similar size share programs.
    pub fn table_parameter(&mut self, element_type: ElementType, mut bytes: Vec<u8>) -> Value {
        let n = (bytes.len() / element_type.size_bytes()).next_power_of_two().max(16);
        bytes.resize(n * element_type.size_bytes(), 0);
        let shape = Shape::new(element_type, [n]);
        self.parameter(shape.clone(), Input::Constant { shape, bytes })
    }

    /// Runs `f` with errors counting only for rows where `condition` is set.
    pub fn with_active<T>(&mut self, condition: Option<Value>, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = self.active;
        self.active = and_valid(&mut self.builder, outer, condition)?;
        let out = f(self);
        self.active = outer;
        out
    }

    /// Adds an error site: the query fails with `error` if `flag` is set in a row that is active and not NULL.
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
        // The codes so far belong to another relation, before an operator that changed the number of rows.
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

    /// The greatest error code of all rows, a scalar s32; `None` if no site can fail.
    pub fn error_code(&mut self) -> Result<Option<Value>> {
        self.settle_codes()?;
        Ok(self.settled.take())
    }

    /// Broadcasts a scalar to `[capacity]`.
    pub fn broadcast(&mut self, value: Value, capacity: usize) -> Result<Value> {
        if self.builder.shape(value).rank() == 0 { Ok(self.builder.broadcast(value, &[capacity])?) } else { Ok(value) }
    }

    /// Broadcasts a scalar to the dimensions of `like`. An array stays: `like` may be a literal.
    pub fn broadcast_like(&mut self, value: Value, like: Value) -> Result<Value> {
        let dims = self.builder.shape(like).dims.clone();
        let stays = self.builder.shape(value).rank() > 0 || dims.is_empty();
        if stays { Ok(value) } else { Ok(self.builder.broadcast(value, &dims)?) }
    }

    /// `table[index]`, for an index that is an array or a scalar.
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

    /// The arrays of a result column, each `[capacity]`: the values, then the validity. The spec says how to decode them.
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
    /// Fails if the strings of this column have row numbers instead of ordered codes. That would be a mistake of
    /// `exec::column_use`, and must not become a wrong answer.
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

/// The conjunction of two optional masks; `None` stands for all true.
pub fn and_valid(b: &mut Builder, lhs: Option<Value>, rhs: Option<Value>) -> Result<Option<Value>> {
    Ok(match (lhs, rhs) {
        (Some(l), Some(r)) => Some(b.and(l, r)?),
        (l, r) => l.or(r),
    })
}

fn integer_bytes(element_type: ElementType, value: i128) -> Vec<u8> {
    value.to_le_bytes()[..element_type.size_bytes()].to_vec()
}
