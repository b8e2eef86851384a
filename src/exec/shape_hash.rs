//! Hashes of expressions that leave literal values out: what two runs of a statement with other constants have in common.

use std::hash::{Hash, Hasher};

use crate::expr::ir::{DeviceExpr, Node};

/// Hashes the typed tree of an expression. Literals count by their type and whether they are NULL.
pub fn hash_expr(expr: &DeviceExpr, mut state: &mut dyn Hasher) {
    expr.data_type.hash(&mut state);
    std::mem::discriminant(&expr.node).hash(&mut state);
    let mut all = |children: &[&DeviceExpr]| {
        children.len().hash(&mut state);
        children.iter().for_each(|child| hash_expr(child, state));
    };
    match &expr.node {
        Node::Column(column) => column.hash(&mut state),
        Node::Literal(value) => value.is_null().hash(&mut state),
        Node::Subquery(_) => {}
        Node::Negate(e) | Node::Not(e) | Node::IsNull(e) => all(&[e]),
        Node::And(l, r) | Node::Or(l, r) => all(&[l, r]),
        Node::Arithmetic(op, l, r) | Node::Difference(op, l, r) => {
            all(&[l, r]);
            std::mem::discriminant(op).hash(&mut state);
        }
        Node::Bitwise(op, l, r) => {
            all(&[l, r]);
            std::mem::discriminant(op).hash(&mut state);
        }
        Node::Compare(direction, l, r) => {
            all(&[l, r]);
            std::mem::discriminant(direction).hash(&mut state);
        }
        Node::Distinct(not_distinct, l, r) => {
            all(&[l, r]);
            not_distinct.hash(&mut state);
        }
        Node::Shift { operand, months, days, nanos, subtract } => {
            all(&[operand, nanos]);
            (*months != 0, *days != 0, subtract).hash(&mut state);
        }
        Node::Function(function, args) => {
            all(&args.iter().collect::<Vec<_>>());
            format!("{function:?}").hash(&mut state);
        }
        Node::InList { operand, list, negated } => {
            all(&[operand]);
            all(&list.iter().collect::<Vec<_>>());
            negated.hash(&mut state);
        }
        Node::Case { branches, otherwise } => {
            for (condition, value) in branches {
                all(&[condition, value]);
            }
            all(&otherwise.iter().map(Box::as_ref).collect::<Vec<_>>());
        }
        Node::Cast { operand, safe } => {
            all(&[operand]);
            safe.hash(&mut state);
        }
        Node::Lookup { operands, function } => {
            all(&operands.iter().collect::<Vec<_>>());
            function.to_string().hash(&mut state);
        }
    }
}

/// Hashes several expressions in order.
pub fn hash_exprs<'a>(exprs: impl IntoIterator<Item = &'a DeviceExpr>, mut state: &mut dyn Hasher) {
    let mut n = 0usize;
    for expr in exprs {
        hash_expr(expr, state);
        n += 1;
    }
    n.hash(&mut state);
}

/// Hashes any value.
pub fn hash_value(value: impl Hash, mut state: &mut dyn Hasher) {
    value.hash(&mut state);
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher};

    use datafusion::arrow::datatypes::DataType;
    use datafusion::common::ScalarValue;

    use crate::exec::shape_hash::hash_expr;
    use crate::expr::ir::{DeviceExpr, Node};
    use crate::hlo::Comparison;

    fn hash(column: usize, data_type: DataType, literal: i64) -> u64 {
        let column = DeviceExpr::new(Node::Column(column), data_type.clone());
        let literal = DeviceExpr::new(Node::Literal(ScalarValue::Int64(Some(literal))), data_type);
        let compare = Node::Compare(Comparison::Lt, Box::new(column), Box::new(literal));
        let mut state = DefaultHasher::new();
        hash_expr(&DeviceExpr::new(compare, DataType::Boolean), &mut state);
        state.finish()
    }

    #[test]
    fn columns_and_types_count_and_values_of_literals_do_not() {
        let expected = hash(1, DataType::Decimal128(10, 2), 5);
        assert_eq!(hash(1, DataType::Decimal128(10, 2), 77), expected);
        assert_ne!(hash(2, DataType::Decimal128(10, 2), 5), expected);
        assert_ne!(hash(1, DataType::Decimal128(12, 4), 5), expected);
    }
}
