//! Names for the columns that the rewriting adds.

use std::cell::Cell;

use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

/// Makes qualifiers that no query uses: `__sub_1`, `__sub_2`, in the order of the plan, so that EXPLAIN is deterministic.
#[derive(Default)]
pub struct Names {
    made: Cell<usize>,
    depth: Cell<usize>,
}

impl Names {
    /// A new qualifier.
    pub fn qualifier(&self) -> String {
        self.made.set(self.made.get() + 1);
        format!("__sub_{}", self.made.get())
    }

    /// Runs `f` inside of a subquery.
    pub fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        self.depth.set(self.depth.get() + 1);
        let result = f();
        self.depth.set(self.depth.get() - 1);
        result
    }

    /// Whether this is inside of a subquery, so that outer values may be those of a query around it.
    pub fn is_within(&self) -> bool {
        self.depth.get() > 0
    }
}

/// `expr` under the name of the `i`-th field of `schema`.
pub fn named(expr: Expr, schema: &DFSchema, i: usize) -> Expr {
    let (qualifier, field) = schema.qualified_field(i);
    named_as(expr, qualifier.cloned(), field.name())
}

/// `expr` under a name.
pub fn named_as(expr: Expr, qualifier: Option<TableReference>, name: &str) -> Expr {
    let expr = expr.unalias();
    match &expr {
        Expr::Column(column) if column.relation == qualifier && column.name == name => expr,
        _ => expr.alias_qualified(qualifier, name),
    }
}

/// The `i`-th column of a plan.
pub fn column(plan: &LogicalPlan, i: usize) -> Expr {
    Expr::Column(Column::from(plan.schema().qualified_field(i)))
}

/// The first `n` columns of a plan.
pub fn columns(plan: &LogicalPlan, n: usize) -> impl Iterator<Item = Expr> + '_ {
    (0..n).map(|i| column(plan, i))
}

/// A projection.
pub fn project(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Projection::try_new(exprs, plan.into()).map(LogicalPlan::Projection)
}
