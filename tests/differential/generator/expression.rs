//! Random expressions of a given type, as SQL text.
//!
//! Every function first draws a number and builds only the form that the number selects, so that recursion costs only
//! what is drawn. Form 0 is a leaf, towards which proptest shrinks. An expression is **total** if it cannot fail at run
//! time.

use std::sync::Arc;

use proptest::prelude::*;

use crate::generator::table::{self, Column};
use crate::generator::value::Type;

/// The columns in scope.
#[derive(Clone, Debug)]
pub struct Expressions {
    pub columns: Arc<Vec<Column>>,
}

pub type Sql = BoxedStrategy<String>;

impl Expressions {
    fn names(&self, keep: impl Fn(&Column) -> bool) -> Vec<String> {
        self.columns.iter().filter(|c| keep(c)).map(|c| c.name.clone()).collect()
    }

    /// Returns a type that some column has, so that comparisons involve data.
    pub fn some_type(&self, keep: impl Fn(Type) -> bool) -> BoxedStrategy<Type> {
        let types: Vec<_> = self.columns.iter().map(|c| c.data_type).filter(|t| keep(*t)).collect();
        if types.is_empty() { Just(Type::Int64).boxed() } else { prop::sample::select(types).boxed() }
    }

    /// Returns a column of the type if there is one, else a literal. For booleans, returns a test of any column
    /// instead.
    pub fn leaf(&self, data_type: Type) -> Sql {
        let names = self.names(|c| c.data_type == data_type);
        if names.is_empty() && data_type == Type::Boolean {
            return prop::sample::select(self.names(|_| true)).prop_map(|c| format!("({c} IS NULL)")).boxed();
        }
        if names.is_empty() {
            return self.literal(data_type);
        }
        prop_oneof![9 => prop::sample::select(names), 1 => self.literal(data_type)].boxed()
    }

    fn literal(&self, data_type: Type) -> Sql {
        let value = prop_oneof![
            6 => table::small(data_type).prop_map(Some),
            3 => table::wild(data_type).prop_map(Some),
            1 => Just(None),
        ];
        value.prop_map(move |value| data_type.literal(value.as_ref())).boxed()
    }

    /// Returns any expression of a type, for a projection.
    pub fn of_type(&self, data_type: Type, depth: u32, total: bool) -> Sql {
        match data_type {
            Type::Boolean => self.boolean(depth, total),
            t if t.is_integer() => self.integer(t, depth, total),
            t if t.is_float() => self.float(t, depth),
            t if t.is_decimal() => self.decimal(t, depth, total),
            t => self.plain(t, depth),
        }
    }

    /// Returns a predicate.
    pub fn boolean(&self, depth: u32, total: bool) -> Sql {
        if depth == 0 {
            return self.leaf(Type::Boolean);
        }
        let this = self.clone();
        let next = depth - 1;
        (0..14u8)
            .prop_flat_map(move |form| {
                let some = this.some_type(|_| true);
                let left = this.boolean(next, total);
                // Whether the right side is evaluated for a row may depend on the left side of other rows.
                let right = this.boolean(next, true);
                let inner = this.clone();
                match form {
                    0 => this.leaf(Type::Boolean),
                    1..=3 => some.prop_flat_map(move |t| inner.comparison(t, next, total)).boxed(),
                    4 => (left, right).prop_map(|(a, b)| format!("({a} AND {b})")).boxed(),
                    5 => (left, right).prop_map(|(a, b)| format!("({a} OR {b})")).boxed(),
                    6 => left.prop_map(|a| format!("(NOT {a})")).boxed(),
                    7 => (some, any::<bool>())
                        .prop_flat_map(move |(t, not)| {
                            let not = if not { " NOT" } else { "" };
                            inner.of_type(t, next, total).prop_map(move |e| format!("({e} IS{not} NULL)"))
                        })
                        .boxed(),
                    8 => some.prop_flat_map(move |t| inner.between(t, next)).boxed(),
                    9 | 10 => some.prop_flat_map(move |t| inner.in_list(t, next)).boxed(),
                    12 => this.test(),
                    11 => {
                        let parts = (this.boolean(next, true), this.boolean(next, true), this.boolean(next, true));
                        parts.prop_map(|(a, b, c)| format!("(CASE WHEN {a} THEN {b} ELSE {c} END)")).boxed()
                    }
                    _ => {
                        let tests = ["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE"].map(str::to_string).to_vec();
                        (left, prop::sample::select(tests)).prop_map(|(a, test)| format!("({a} {test})")).boxed()
                    }
                }
            })
            .boxed()
    }

    fn comparison(&self, data_type: Type, depth: u32, total: bool) -> Sql {
        let operators = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"];
        let operator = prop::sample::select(operators.map(str::to_string).to_vec());
        let (left, right) = (self.comparable(data_type, depth, total), self.comparable(data_type, depth, total));
        (left, operator, right).prop_map(|(a, op, b)| format!("({a} {op} {b})")).boxed()
    }

    /// Returns a comparable operand. For floats these are only columns and literals, whose NaNs come from the data.
    fn comparable(&self, data_type: Type, depth: u32, total: bool) -> Sql {
        if data_type.is_float() {
            return prop_oneof![2 => self.leaf(data_type), 1 => self.literal(data_type)].boxed();
        }
        self.of_type(data_type, depth, total)
    }

    fn between(&self, data_type: Type, depth: u32) -> Sql {
        let value = self.comparable(data_type, depth.min(1), true);
        (value, self.leaf(data_type), self.leaf(data_type), any::<bool>())
            .prop_map(|(value, low, high, not)| {
                let not = if not { "NOT " } else { "" };
                format!("({value} {not}BETWEEN {low} AND {high})")
            })
            .boxed()
    }

    fn in_list(&self, data_type: Type, depth: u32) -> Sql {
        let value = self.comparable(data_type, depth.min(1), true);
        let list = prop::collection::vec(self.literal(data_type), 1..6);
        (value, list, any::<bool>())
            .prop_map(|(value, list, not)| {
                let not = if not { "NOT " } else { "" };
                format!("({value} {not}IN ({}))", list.join(", "))
            })
            .boxed()
    }

    pub fn integer(&self, data_type: Type, depth: u32, total: bool) -> Sql {
        if depth == 0 {
            return self.leaf(data_type);
        }
        let this = self.clone();
        let next = depth - 1;
        (0..12u8)
            .prop_flat_map(move |form| {
                let (a, b) = (this.integer(data_type, next, total), this.integer(data_type, next, total));
                let signed = data_type.bounds().is_some_and(|(low, _)| low < 0);
                let negatable = this.names(|c| signed && c.data_type == data_type);
                let narrower = Type::INTEGERS.into_iter().filter(|t| t.widens_to(data_type)).collect::<Vec<_>>();
                let inner = this.clone();
                match form {
                    0 => this.leaf(data_type),
                    1 => (a, b).prop_map(|(a, b)| format!("({a} + {b})")).boxed(),
                    2 => (a, b).prop_map(|(a, b)| format!("({a} - {b})")).boxed(),
                    3 => (a, b).prop_map(|(a, b)| format!("({a} * {b})")).boxed(),
                    // Negate only columns. DataFusion wraps the minimum of an array and fails on that of a scalar, and
                    // a CASE may be either, depending on the batch.
                    4 if !negatable.is_empty() => {
                        prop::sample::select(negatable).prop_map(|c| format!("(- {c})")).boxed()
                    }
                    5 if !total => (a, b).prop_map(|(a, b)| format!("({a} / {b})")).boxed(),
                    6 if !total => (a, b).prop_map(|(a, b)| format!("({a} % {b})")).boxed(),
                    7 => prop::sample::select(narrower)
                        .prop_flat_map(move |t| {
                            inner.integer(t, next, total).prop_map(move |e| format!("CAST({e} AS {data_type})"))
                        })
                        .boxed(),
                    8 => this.risky_cast(data_type, next, total),
                    9 | 10 => this.integer_function(data_type, total),
                    _ => this.case(data_type, next, total),
                }
            })
            .boxed()
    }

    /// Returns a cast that may fail, or a cast of a boolean, which may not.
    fn risky_cast(&self, to: Type, depth: u32, total: bool) -> Sql {
        if total {
            return self.boolean(depth, total).prop_map(move |e| format!("CAST({e} AS {to})")).boxed();
        }
        let this = self.clone();
        self.some_type(|t| t.is_integer() || t.is_float() || t.is_decimal())
            .prop_flat_map(move |from| this.of_type(from, depth.min(1), total))
            .prop_map(move |e| format!("CAST({e} AS {to})"))
            .boxed()
    }

    fn case(&self, data_type: Type, depth: u32, total: bool) -> Sql {
        // Branches may fail: both DataFusion and the device evaluate them only for the rows that reach them.
        let branch = |depth| self.of_type(data_type, depth, total);
        let searched = (self.boolean(depth, true), branch(depth), self.boolean(depth, true), branch(0), branch(depth))
            .prop_map(|(c, a, d, b, e)| format!("(CASE WHEN {c} THEN {a} WHEN {d} THEN {b} ELSE {e} END)"));
        let open =
            (self.boolean(depth, true), branch(depth)).prop_map(|(c, a)| format!("(CASE WHEN {c} THEN {a} END)"));
        let filled = (branch(depth), branch(0)).prop_map(|(a, b)| format!("COALESCE({a}, {b})"));
        let this = self.clone();
        let simple = (self.some_type(|t| !t.is_float()), branch(0), branch(depth)).prop_flat_map(move |(of, a, b)| {
            (this.leaf(of), this.literal(of))
                .prop_map(move |(value, test)| format!("(CASE {value} WHEN {test} THEN {a} ELSE {b} END)"))
        });
        prop_oneof![2 => searched, 1 => open, 1 => filled, 1 => simple].boxed()
    }

    /// Nests arithmetic only over tame columns, for which every intermediate value is exact.
    pub fn float(&self, data_type: Type, depth: u32) -> Sql {
        let tame = self.names(|c| c.data_type == data_type && c.is_tame());
        let deep = depth > 1 && data_type == Type::Float64 && !tame.is_empty();
        if depth == 0 {
            return self.leaf(data_type);
        }
        let this = self.clone();
        (0..9u8)
            .prop_flat_map(move |form| {
                let operand = || match deep {
                    true => prop_oneof![prop::sample::select(tame.clone()), this.exact(&tame)].boxed(),
                    false => this.leaf(data_type),
                };
                let (a, b) = (operand(), operand());
                let inner = this.clone();
                match form {
                    0 => this.leaf(data_type),
                    1 => (a, b).prop_map(|(a, b)| format!("({a} + {b})")).boxed(),
                    2 => (a, b).prop_map(|(a, b)| format!("({a} - {b})")).boxed(),
                    3 => (a, b).prop_map(|(a, b)| format!("({a} * {b})")).boxed(),
                    4 => (a, b).prop_map(|(a, b)| format!("({a} / {b})")).boxed(),
                    5 => inner
                        .some_type(|t| t.is_integer() || t.is_decimal())
                        .prop_flat_map(move |t| inner.leaf(t).prop_map(move |e| format!("CAST({e} AS {data_type})")))
                        .boxed(),
                    6 | 7 => this.float_function(data_type),
                    _ => this.case(data_type, 0, true),
                }
            })
            .boxed()
    }

    fn exact(&self, tame: &[String]) -> Sql {
        let one = || prop::sample::select(tame.to_vec());
        let operators = prop::sample::select(vec!["+", "-", "*"]);
        (one(), operators, one()).prop_map(|(a, op, b)| format!("({a} {op} {b})")).boxed()
    }

    /// Arithmetic changes precision and scale, so a total decimal is a column, a literal or a CASE.
    pub fn decimal(&self, data_type: Type, depth: u32, total: bool) -> Sql {
        if depth == 0 {
            return self.leaf(data_type);
        }
        let this = self.clone();
        (0..10u8)
            .prop_flat_map(move |form| {
                let (a, b) = (this.leaf(data_type), this.leaf(data_type));
                let integer = this.leaf(Type::Int32);
                match form {
                    1 if !total => (a, b).prop_map(|(a, b)| format!("({a} + {b})")).boxed(),
                    2 if !total => (a, b).prop_map(|(a, b)| format!("({a} - {b})")).boxed(),
                    3 if !total => (a, b).prop_map(|(a, b)| format!("({a} * {b})")).boxed(),
                    4 if !total => (a, b).prop_map(|(a, b)| format!("({a} / {b})")).boxed(),
                    5 if !total => (a, integer).prop_map(|(a, b)| format!("({a} * {b})")).boxed(),
                    6 => a.prop_map(|a| format!("(- {a})")).boxed(),
                    7 => this.case(data_type, 0, true),
                    8 => (a, b).prop_map(|(a, b)| format!("greatest({a}, {b})")).boxed(),
                    9 => (prop::sample::select(vec!["abs", "trunc", "round"]), a)
                        .prop_map(|(f, a)| format!("{f}({a})"))
                        .boxed(),
                    _ => this.leaf(data_type),
                }
            })
            .boxed()
    }

    /// Returns dates, times and strings: columns, literals, CASE and functions.
    fn plain(&self, data_type: Type, depth: u32) -> Sql {
        if depth == 0 {
            return self.leaf(data_type);
        }
        let function = match data_type.is_string() {
            true => self.string_function(data_type),
            false => self.time_function(data_type),
        };
        prop_oneof![3 => self.leaf(data_type), 1 => self.case(data_type, 0, true), 3 => function].boxed()
    }
}
