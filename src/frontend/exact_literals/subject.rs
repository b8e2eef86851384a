//! What is compared with a literal: an expression, or the argument of a cast around it.
//!
//! DataFusion moves a literal below the cast also where values change on the way up: `CAST(1.5 AS BIGINT) = 1` becomes `1.5 = 1.0`,
//! and `TRY_CAST(300 AS TINYINT) <> 5` becomes `300 <> 5`, which is not NULL.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, lit};

/// How a cast of decimals changes the digits after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub digits: u32,
    /// To the nearest value, half away from zero; otherwise towards zero.
    pub rounds: bool,
}

pub struct Subject {
    pub x: Expr,
    pub data_type: DataType,
    pub nullable: bool,
    pub dropped: Option<Dropped>,
    /// The subject is NULL where this is not true.
    guard: Option<Expr>,
    pub is_below_cast: bool,
}

impl Subject {
    pub fn of(expr: &Expr, schema: &DFSchema) -> Option<Self> {
        below_cast(expr, schema).or_else(|| {
            let data_type = expr.get_type(schema).ok()?;
            let nullable = expr.nullable(schema).ok()?;
            Some(Self { x: expr.clone(), data_type, nullable, dropped: None, guard: None, is_below_cast: false })
        })
    }

    /// The comparison for the expression that this subject was made of, which is NULL where the cast fails.
    pub fn guarded(&self, op: Operator, comparison: Expr) -> Expr {
        let Some(guard) = &self.guard else { return comparison };
        let otherwise = match op {
            Operator::IsDistinctFrom => Some(Box::new(lit(true))),
            Operator::IsNotDistinctFrom => Some(Box::new(lit(false))),
            _ => None,
        };
        Expr::Case(Case::new(None, vec![(Box::new(guard.clone()), Box::new(comparison))], otherwise))
    }
}

/// The argument of a cast that DataFusion would wrongly leave out.
fn below_cast(expr: &Expr, schema: &DFSchema) -> Option<Subject> {
    let (x, to, is_try) = match expr {
        Expr::Cast(cast) => (cast.expr.as_ref(), cast.field.data_type(), false),
        Expr::TryCast(cast) => (cast.expr.as_ref(), cast.field.data_type(), true),
        _ => return None,
    };
    let data_type = x.get_type(schema).ok()?;
    if !is_try && is_wider(&data_type, to) {
        return below_cast(x, schema);
    }
    let scales = (scale(&data_type), scale(to));
    let dropped = match scales {
        (Some(from), Some(to)) if to < from && to >= 0 => {
            Some(Dropped { digits: (from - to).try_into().ok()?, rounds: true })
        }
        (Some(from), None) if from > 0 && to.is_integer() => {
            Some(Dropped { digits: from.try_into().ok()?, rounds: false })
        }
        _ => None,
    };
    let widens_time = match (&data_type, to) {
        (DataType::Timestamp(from, zone), DataType::Timestamp(to, other)) => {
            from < to && zone.is_some() == other.is_some()
        }
        _ => false,
    };
    let is_exact = |t: &DataType| t.is_integer() || scale(t).is_some();
    let may_be_null = is_try && is_exact(&data_type) && is_exact(to);
    if (dropped.is_none() && !widens_time && !may_be_null) || x.is_volatile() {
        return None;
    }
    Some(Subject {
        x: x.clone(),
        nullable: x.nullable(schema).ok()?,
        data_type,
        dropped,
        guard: may_be_null.then(|| expr.clone().is_not_null()),
        is_below_cast: true,
    })
}

/// Whether all values of an exact type are values of another.
fn is_wider(from: &DataType, to: &DataType) -> bool {
    match (digits(from), digits(to)) {
        (Some((whole, scale)), Some((wider, larger))) => whole <= wider && scale <= larger,
        _ => false,
    }
}

/// The digits before and after the point of an exact type. Unsigned types are left out: a signed type is not wider.
fn digits(data_type: &DataType) -> Option<(i16, i16)> {
    Some(match data_type {
        DataType::Int8 => (3, 0),
        DataType::Int16 => (5, 0),
        DataType::Int32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => (i16::from(*precision) - i16::from(*scale), i16::from(*scale)),
        _ => return None,
    })
}

fn scale(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => Some(*scale),
        _ => None,
    }
}
