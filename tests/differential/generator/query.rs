//! Random queries over `t`: filters, projections and aggregates, and filters below each of them.

use proptest::prelude::*;

use crate::generator::expression::Expressions;
use crate::generator::table::Column;
use crate::generator::value::Type;

/// The main operator of a query.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Filter,
    Projection,
    Aggregate,
}

/// Maximum depth of the expressions.
const DEPTH: u32 = 3;

pub fn strategy(expressions: Expressions, kind: Kind) -> BoxedStrategy<String> {
    match kind {
        Kind::Filter => filter(&expressions),
        Kind::Projection => projection(&expressions),
        Kind::Aggregate => aggregate(&expressions),
    }
}

fn filter(expressions: &Expressions) -> BoxedStrategy<String> {
    let names: Vec<_> = expressions.columns.iter().map(|c| c.name.clone()).collect();
    let all = 1..=names.len();
    (prop::sample::subsequence(names, all), expressions.boolean(DEPTH, false))
        .prop_map(|(columns, predicate)| format!("SELECT {} FROM t WHERE {predicate}", columns.join(", ")))
        .boxed()
}

fn projection(expressions: &Expressions) -> BoxedStrategy<String> {
    let inner = expressions.clone();
    let types: Vec<_> = expressions.columns.iter().map(|c| c.data_type).chain([Type::Boolean, Type::Int64]).collect();
    let outputs = prop::collection::vec(prop::sample::select(types), 1..4)
        .prop_flat_map(move |types| types.into_iter().map(|t| inner.of_type(t, DEPTH, false)).collect::<Vec<_>>());
    // Errors in rows that a filter removed must not surface.
    (outputs, prop::option::weighted(0.4, expressions.boolean(2, true)))
        .prop_map(|(outputs, predicate)| {
            let outputs: Vec<_> = outputs.iter().enumerate().map(|(i, e)| format!("{e} AS e{i}")).collect();
            format!("SELECT {} FROM t{}", outputs.join(", "), clause("WHERE", predicate))
        })
        .boxed()
}

fn aggregate(expressions: &Expressions) -> BoxedStrategy<String> {
    let keys: Vec<_> = expressions
        .columns
        .iter()
        .filter(|c| c.is_tame() && !c.data_type.is_float())
        .map(|c| c.name.clone())
        .chain(expressions.columns.iter().map(|c| format!("{} IS NULL", c.name)).take(2))
        .collect();
    let most = keys.len().min(4);
    let grouped = prop_oneof![1 => Just(Vec::new()), 3 => prop::sample::subsequence(keys, 1..=most)];
    let expressions = expressions.clone();
    grouped
        .prop_flat_map(move |keys| {
            let call = call(&expressions, !keys.is_empty());
            let having = match keys.is_empty() {
                true => Just(None).boxed(),
                false => prop::option::weighted(0.2, Just("count(*) > 1".to_string())).boxed(),
            };
            let predicate = prop::option::weighted(0.5, expressions.boolean(2, true));
            (Just(keys), prop::collection::vec(call, 1..5), predicate, having)
        })
        .prop_map(|(keys, calls, predicate, having)| {
            let outputs: Vec<_> = keys
                .iter()
                .enumerate()
                .map(|(i, key)| format!("{key} AS k{i}"))
                .chain(calls.iter().enumerate().map(|(i, call)| format!("{call} AS a{i}")))
                .collect();
            let group = (!keys.is_empty()).then(|| keys.join(", "));
            format!(
                "SELECT {} FROM t{}{}{}",
                outputs.join(", "),
                clause("WHERE", predicate),
                clause("GROUP BY", group),
                clause("HAVING", having),
            )
        })
        .boxed()
}

fn clause(keyword: &str, text: Option<String>) -> String {
    text.map(|text| format!(" {keyword} {text}")).unwrap_or_default()
}

/// Returns one aggregate call whose result does not depend on the order of rows.
fn call(expressions: &Expressions, grouped: bool) -> BoxedStrategy<String> {
    let columns = |keep: fn(&Column, bool) -> bool| {
        let names: Vec<_> = expressions.columns.iter().filter(|c| keep(c, grouped)).map(|c| c.name.clone()).collect();
        if names.is_empty() { vec!["1".to_string()] } else { names }
    };
    let any_column = prop::sample::select(columns(|_, _| true));
    let ordered = prop::sample::select(columns(|c, grouped| !grouped || c.is_tame() || !c.data_type.is_float()));
    let summable = prop::sample::select(columns(|c, _| match c.data_type {
        Type::Float32 | Type::Float64 | Type::Decimal(38, _) => c.is_tame(),
        Type::Decimal(..) => true,
        t => t.is_integer(),
    }));
    let averageable = prop::sample::select(columns(|c, _| match c.data_type {
        Type::Float32 | Type::Float64 | Type::Int64 | Type::UInt64 | Type::Decimal(38, _) => c.is_tame(),
        Type::Decimal(..) => true,
        t => t.is_integer(),
    }));
    let computed = expressions.integer(Type::Int64, 2, true);
    let call = prop_oneof![
        1 => Just("count(*)".to_string()),
        2 => any_column.prop_map(|c| format!("count({c})")),
        3 => summable.prop_map(|c| format!("sum({c})")),
        1 => computed.clone().prop_map(|e| format!("sum({e})")),
        2 => averageable.prop_map(|c| format!("avg({c})")),
        2 => ordered.clone().prop_map(|c| format!("min({c})")),
        2 => ordered.prop_map(|c| format!("max({c})")),
        1 => computed.prop_map(|e| format!("max({e})")),
    ];
    (call, prop::option::weighted(0.25, expressions.boolean(2, true)))
        .prop_map(|(call, filter)| match filter {
            Some(filter) => format!("{call} FILTER (WHERE {filter})"),
            None => call,
        })
        .boxed()
}
