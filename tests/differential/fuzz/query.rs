//! Random SQL over `t0`, `t1` and `t2`. The structure comes from one stream of random numbers and the literals from
//! another, so that one structure with many literals shares its programs.
//!
//! The generator avoids constructs whose result in DataFusion depends on the order of rows: MIN, MAX and statistics of
//! wild floats, sums that are rounded, LIMIT without a total order (except for a count of it), and ORDER BY of rounded
//! results.

use crate::fuzz::data::{Column, Domain, Shape};
use crate::fuzz::random::Random;
use crate::generator::value::{Type, Value};

pub struct Query {
    pub sql: String,
    /// ORDER BY names every column, so the order of rows is unique.
    pub ordered: bool,
}

/// A column in scope: `a.k0`.
#[derive(Clone)]
struct Scoped {
    sql: String,
    column: Column,
}

pub struct Writer<'a> {
    pub shape: &'a Shape,
    pub structure: Random,
    pub literals: Random,
}

const ALIASES: [&str; 3] = ["a", "b", "c"];

impl Writer<'_> {
    pub fn query(&mut self) -> Query {
        match self.structure.below(20) {
            0..=5 => self.rows(),
            6..=11 => self.aggregate(),
            12 | 13 => self.set_operation(),
            14 | 15 => self.subquery(),
            16 => self.distinct(),
            17 => self.distinct_on(),
            18 => self.counted_limit(),
            _ => self.over_aggregate(),
        }
    }

    fn unordered(sql: String) -> Query {
        Query { sql, ordered: false }
    }

    /// Returns FROM, and the columns in scope.
    fn source(&mut self) -> (String, Vec<Scoped>) {
        let tables = match self.structure.below(10) {
            0..=2 => 1,
            3..=7 => 2,
            _ => 3,
        };
        let mut order = [0, 1, 2];
        for i in (1..3).rev() {
            order.swap(i, self.structure.below(i + 1));
        }
        let mut scope = self.scope(order[0], ALIASES[0]);
        let mut from = format!("t{} {}", order[0], ALIASES[0]);
        for n in 1..tables {
            let (table, alias) = (order[n], ALIASES[n]);
            let own = self.scope(table, alias);
            let kind = *self.structure.pick(&[
                "JOIN",
                "JOIN",
                "JOIN",
                "LEFT JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "FULL JOIN",
                "FULL JOIN",
                "LEFT SEMI JOIN",
                "LEFT ANTI JOIN",
                "RIGHT SEMI JOIN",
                "RIGHT ANTI JOIN",
                "CROSS JOIN",
            ]);
            if kind == "CROSS JOIN" {
                from = format!("{from} CROSS JOIN t{table} {alias}");
                scope.extend(own);
                if tables == 3 {
                    break;
                }
                continue;
            }
            let on = self.condition(&scope, &own);
            from = format!("{from} {kind} t{table} {alias} ON {on}");
            match kind {
                "LEFT SEMI JOIN" | "LEFT ANTI JOIN" => {}
                "RIGHT SEMI JOIN" | "RIGHT ANTI JOIN" => scope = own,
                _ => scope.extend(own),
            }
        }
        (from, scope)
    }

    fn scope(&self, table: usize, alias: &str) -> Vec<Scoped> {
        let columns = self.shape.tables[table].iter();
        columns.map(|c| Scoped { sql: format!("{alias}.{}", c.name), column: c.clone() }).collect()
    }

    fn condition(&mut self, left: &[Scoped], right: &[Scoped]) -> String {
        let keys = match self.structure.below(12) {
            0 => 0,
            1..=7 => 1,
            8..=10 => 2,
            _ => 3,
        };
        let mut parts = Vec::new();
        let first = self.structure.below(3);
        for k in 0..keys {
            let name = ["k0", "k1", "k2"][(first + k) % 3];
            let candidates: Vec<_> = left.iter().filter(|c| c.column.name == name).collect();
            let l = self.structure.pick(&candidates).sql.clone();
            let r = right.iter().find(|c| c.column.name == name).map(|c| c.sql.clone()).unwrap_or_default();
            parts.push(format!("{l} = {r}"));
        }
        if parts.is_empty() || self.structure.one_in(3) {
            parts.push(self.residual(left, right));
        }
        if self.structure.one_in(12) {
            parts.push(self.predicate(right, 1));
        }
        parts.join(" AND ")
    }

    fn residual(&mut self, left: &[Scoped], right: &[Scoped]) -> String {
        let name = *self.structure.pick(&["v", "f", "p", "s", "d", "v"]);
        let of =
            |side: &[Scoped]| side.iter().find(|c| c.column.name == name).map(|c| c.sql.clone()).unwrap_or_default();
        let (l, r) = (of(left), of(right));
        let op = *self.structure.pick(&["<", "<=", ">", "<>", ">="]);
        match (name, self.structure.below(4)) {
            ("v", 0) => format!("{l} + {r} {op} {}", self.literals.between(-20, 20)),
            ("v", 1) => format!("({l} {op} {r} OR {l} IS NULL)"),
            _ => format!("{l} {op} {r}"),
        }
    }

    fn literal(&mut self, column: &Column) -> String {
        let data_type = column.data_type;
        let value = match data_type {
            Type::Boolean => Value::Integer(self.literals.between(0, 1)),
            Type::Date => Value::Integer(self.literals.between(8_999, 9_020)),
            t if t.is_float() => Value::Float(self.literals.between(-40, 40) as f64 / 8.0),
            Type::Decimal(_, scale) => Value::Integer(self.literals.between(-4, 6) * 10i128.pow(scale as u32) / 2),
            t if t.is_string() => Value::Text(self.literals.pick(&["a", "ab", "b", "zz", "abcdefghijkl"]).to_string()),
            _ => Value::Integer(self.literals.between(1, 9)),
        };
        data_type.literal(Some(&value))
    }

    fn any<'c>(&mut self, scope: &'c [Scoped], keep: impl Fn(&Column) -> bool) -> Option<&'c Scoped> {
        let kept: Vec<_> = scope.iter().filter(|c| keep(&c.column)).collect();
        if kept.is_empty() { None } else { Some(*self.structure.pick(&kept)) }
    }

    fn predicate(&mut self, scope: &[Scoped], depth: usize) -> String {
        let column = self.structure.pick(scope).clone();
        let form = self.structure.below(if depth > 0 { 11 } else { 7 });
        match form {
            0..=2 => {
                let op = *self.structure.pick(&["=", "<", "<=", ">", "<>", ">=", "IS DISTINCT FROM"]);
                // DataFusion reads `a IS DISTINCT FROM b AND c` as `a IS DISTINCT FROM (b AND c)`.
                format!("({} {op} {})", column.sql, self.literal(&column.column))
            }
            3 => format!("{} IS {}NULL", column.sql, self.structure.pick(&["", "NOT "])),
            4 => {
                let list: Vec<_> = (0..3).map(|_| self.literal(&column.column)).collect();
                format!("{} {}IN ({})", column.sql, self.structure.pick(&["", "NOT "]), list.join(", "))
            }
            5 => {
                let (low, high) = (self.literal(&column.column), self.literal(&column.column));
                format!("{} BETWEEN {low} AND {high}", column.sql)
            }
            6 => match self.any(scope, |c| c.data_type.is_string()) {
                Some(text) => format!("{} LIKE '{}'", text.sql, self.structure.pick(&["a%", "%b%", "abc%", "_b"])),
                None => format!("{} IS NOT NULL", column.sql),
            },
            7 | 8 => format!("({} AND {})", self.predicate(scope, depth - 1), self.predicate(scope, depth - 1)),
            9 => format!("({} OR {})", self.predicate(scope, depth - 1), self.predicate(scope, depth - 1)),
            _ => format!("NOT ({})", self.predicate(scope, depth - 1)),
        }
    }

    fn filter(&mut self, scope: &[Scoped], keyword: &str) -> String {
        if self.structure.one_in(3) { format!(" {keyword} {}", self.predicate(scope, 2)) } else { String::new() }
    }

    /// Returns an output, mostly a column. It is exact regardless of the order of rows.
    fn output(&mut self, scope: &[Scoped]) -> String {
        let column = self.structure.pick(scope).clone();
        let number = self.any(scope, |c| c.name == "v").map(|c| c.sql.clone());
        match (self.structure.below(12), number) {
            (0, Some(v)) => format!("{v} + {}", self.literals.between(1, 9)),
            (1, Some(v)) => {
                format!("CASE WHEN {} THEN {v} ELSE {} END", self.predicate(scope, 1), self.literals.between(1, 9))
            }
            (2, _) => format!("coalesce({}, {})", column.sql, self.literal(&column.column)),
            (3, _) => format!("{} IS NULL", column.sql),
            (4, Some(v)) => format!("{v} % {}", self.literals.between(2, 9)),
            _ => column.sql,
        }
    }

    /// Returns `SELECT outputs`, and the number of outputs.
    fn outputs(&mut self, scope: &[Scoped]) -> (String, usize) {
        let n = 1 + self.structure.below(4);
        let outputs: Vec<_> = (0..n).map(|i| format!("{} AS e{i}", self.output(scope))).collect();
        (outputs.join(", "), n)
    }

    /// Returns ORDER BY over every output with an optional LIMIT, or neither.
    fn order(&mut self, n: usize) -> (String, bool) {
        if !self.structure.one_in(2) {
            return (String::new(), false);
        }
        let mut names: Vec<_> = (0..n).collect();
        for i in (1..n).rev() {
            names.swap(i, self.structure.below(i + 1));
        }
        let keys: Vec<_> = names
            .iter()
            .map(|i| {
                let way = *self.structure.pick(&["", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST"]);
                format!("e{i}{way}")
            })
            .collect();
        let limit = match self.structure.below(6) {
            0 | 1 => format!(" LIMIT {}", self.literals.between(1, 30)),
            2 => format!(" LIMIT {} OFFSET {}", self.literals.between(1, 30), self.literals.between(1, 30)),
            3 if self.structure.one_in(3) => format!(" OFFSET {}", self.literals.between(1, 30)),
            4 if self.structure.one_in(6) => " LIMIT 0".to_string(),
            _ => String::new(),
        };
        (format!(" ORDER BY {}{limit}", keys.join(", ")), true)
    }

    fn rows(&mut self) -> Query {
        let (from, scope) = self.source();
        let (outputs, n) = self.outputs(&scope);
        let filter = self.filter(&scope, "WHERE");
        let (order, ordered) = self.order(n);
        Query { sql: format!("SELECT {outputs} FROM {from}{filter}{order}"), ordered }
    }

    fn call(&mut self, scope: &[Scoped], exact: bool) -> String {
        let tame = |c: &Column| c.is_tame();
        let any = self.any(scope, tame).unwrap_or(&scope[0]).sql.clone();
        let pick = |writer: &mut Self, names: &[&str]| {
            let name = *writer.structure.pick(names);
            writer.any(scope, |c| c.name == name).unwrap_or(&scope[0]).sql.clone()
        };
        let number = pick(self, &["v", "p", "f"]);
        let (v, f, p, b) = (pick(self, &["v"]), pick(self, &["f"]), pick(self, &["p"]), pick(self, &["b"]));
        let key = self.structure.pick(scope).sql.clone();
        let call = match self.structure.below(if exact { 18 } else { 26 }) {
            0 | 1 => "count(*)".to_string(),
            2 => format!("count({key})"),
            3 | 4 => format!("count(DISTINCT {key})"),
            5 | 6 => format!("sum({number})"),
            7 => format!("sum(DISTINCT {v})"),
            8 => format!("min({any})"),
            9 => format!("max({any})"),
            10 => format!("bool_and({b})"),
            11 => format!("bool_or({b})"),
            12 => format!("{}({v})", self.structure.pick(&["bit_and", "bit_or", "bit_xor"])),
            13 => format!("median({})", if self.structure.one_in(2) { &v } else { &p }),
            14 => format!("first_value({any} ORDER BY {any})"),
            15 => format!("last_value({any} ORDER BY {any} DESC NULLS FIRST)"),
            16 => format!("sum(DISTINCT {p})"),
            17 => format!("sum({v} * {})", self.literals.between(2, 9)),
            18 | 19 => format!("avg({number})"),
            20 => format!("{}({f})", self.structure.pick(&["stddev", "stddev_pop", "var_samp", "var_pop"])),
            21 => format!("{}({f}, {v})", self.structure.pick(&["corr", "covar_samp", "covar_pop"])),
            22 => {
                let name =
                    *self.structure.pick(&["regr_slope", "regr_intercept", "regr_count", "regr_avgx", "regr_r2"]);
                format!("{name}({f}, {v})")
            }
            23 => format!("avg(DISTINCT {f})"),
            24 => format!("percentile_cont(0.25) WITHIN GROUP (ORDER BY {f})"),
            _ => format!("avg({p})"),
        };
        if self.structure.one_in(5) {
            return format!("{call} FILTER (WHERE {})", self.predicate(scope, 1));
        }
        call
    }

    fn aggregate(&mut self) -> Query {
        let (from, scope) = self.source();
        let filter = self.filter(&scope, "WHERE");
        let exact = self.structure.one_in(2);
        let calls = 1 + self.structure.below(3);
        let calls: Vec<_> = (0..calls).map(|_| self.call(&scope, exact)).collect();
        let n_keys = *self.structure.pick(&[0, 1, 1, 1, 2, 2, 3]);
        let mut keys: Vec<String> = Vec::new();
        for _ in 0..n_keys {
            let key = self.structure.pick(&scope).clone();
            let key = match self.structure.below(8) {
                0 => format!("{} IS NULL", key.sql),
                1 if key.column.name == "v" => format!("{} % 3", key.sql),
                _ => key.sql,
            };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let mut outputs = keys.clone();
        let group = match (keys.len(), self.structure.below(8)) {
            (0, _) => String::new(),
            (1, 0) => {
                outputs.push(format!("grouping({})", keys[0]));
                format!(" GROUP BY ROLLUP ({})", keys[0])
            }
            (_, 0) => {
                let sets: Vec<_> = keys.iter().map(|k| format!("({k})")).collect();
                format!(" GROUP BY GROUPING SETS ({}, ({}), ())", sets.join(", "), keys.join(", "))
            }
            (_, 1) => {
                outputs.push(format!("grouping({})", keys[0]));
                let form = *self.structure.pick(&["ROLLUP", "CUBE"]);
                format!(" GROUP BY {form} ({})", keys.join(", "))
            }
            _ => format!(" GROUP BY {}", keys.join(", ")),
        };
        let having = match self.structure.one_in(5) && !keys.is_empty() {
            true => format!(" HAVING count(*) > {}", self.literals.between(1, 4)),
            false => String::new(),
        };
        outputs.extend(calls);
        let (order, ordered) = if exact { self.order(outputs.len()) } else { (String::new(), false) };
        let outputs: Vec<_> = outputs.iter().enumerate().map(|(i, e)| format!("{e} AS e{i}")).collect();
        Query { sql: format!("SELECT {} FROM {from}{filter}{group}{having}{order}", outputs.join(", ")), ordered }
    }

    fn simple_select(&mut self, table: usize, columns: &[&str]) -> String {
        let scope = self.scope(table, "a");
        let outputs: Vec<_> = columns.iter().enumerate().map(|(i, c)| format!("a.{c} AS e{i}")).collect();
        let filter = self.filter(&scope, "WHERE");
        format!("SELECT {} FROM t{table} a{filter}", outputs.join(", "))
    }

    fn set_operation(&mut self) -> Query {
        let n = 1 + self.structure.below(3);
        let columns: Vec<_> = (0..n).map(|_| *self.structure.pick(&["k0", "k1", "k2", "v", "s", "b"])).collect();
        let mut sql = self.simple_select(0, &columns);
        for table in 1..=1 + self.structure.below(2) {
            let op =
                *self.structure.pick(&["UNION ALL", "UNION", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"]);
            sql = format!("({sql}) {op} ({})", self.simple_select(table, &columns));
        }
        if self.structure.one_in(3) {
            let key = self.structure.below(n);
            return Self::unordered(format!("SELECT e{key}, count(*) AS n FROM ({sql}) u GROUP BY e{key}"));
        }
        let (order, ordered) = self.order(n);
        Query { sql: format!("SELECT * FROM ({sql}) u{order}"), ordered }
    }

    fn subquery(&mut self) -> Query {
        let scope = self.scope(0, "a");
        let inner = self.scope(1, "b");
        let (outputs, n) = self.outputs(&scope);
        let key = *self.structure.pick(&["k0", "k1", "k2"]);
        let not = *self.structure.pick(&["", "NOT "]);
        let within = self.filter(&inner, "WHERE");
        let also = self.filter(&inner, "AND");
        let residual =
            if self.structure.one_in(3) { format!(" AND {}", self.residual(&scope, &inner)) } else { String::new() };
        let exists = format!("EXISTS (SELECT 1 FROM t1 b WHERE b.{key} = a.{key}{residual}{also})");
        let function = *self.structure.pick(&["min", "max", "sum", "count", "avg"]);
        let condition = match self.structure.below(9) {
            0 => format!("a.{key} {not}IN (SELECT b.{key} FROM t1 b{within})"),
            1 => format!("{not}{exists}"),
            2 => format!("({exists} OR {})", self.predicate(&scope, 1)),
            3 => format!("(a.{key} {not}IN (SELECT b.{key} FROM t1 b{within}) OR {})", self.predicate(&scope, 0)),
            4 => format!("a.v > (SELECT {function}(b.v) FROM t1 b{within})"),
            5 => format!("a.v >= (SELECT {function}(b.v) FROM t1 b WHERE b.{key} = a.{key}{also})"),
            6 => format!("(SELECT count(*) FROM t1 b WHERE b.{key} = a.{key}{also}) > {}", self.literals.between(1, 3)),
            7 => format!("a.v < (SELECT {function}(b.v) FROM t2 b) AND {exists}"),
            _ => format!("a.p <> (SELECT max(b.p) FROM t1 b WHERE b.{key} = a.{key})"),
        };
        let (order, ordered) = self.order(n);
        Query { sql: format!("SELECT {outputs} FROM t0 a WHERE {condition}{order}"), ordered }
    }

    fn distinct(&mut self) -> Query {
        let (from, scope) = self.source();
        let (outputs, n) = self.outputs(&scope);
        let filter = self.filter(&scope, "WHERE");
        let (order, ordered) = self.order(n);
        Query { sql: format!("SELECT DISTINCT {outputs} FROM {from}{filter}{order}"), ordered }
    }

    fn distinct_on(&mut self) -> Query {
        let (from, scope) = self.source();
        let mut columns = Vec::new();
        for _ in 0..3 {
            let column = self.any(&scope, |c| c.domain != Domain::Wild).map(|c| c.sql.clone());
            columns.extend(column.filter(|c| !columns.contains(c)));
        }
        if columns.is_empty() {
            return self.rows();
        }
        let keys: Vec<_> = columns
            .iter()
            .map(|c| format!("{c}{}", self.structure.pick(&["", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST"])))
            .collect();
        let outputs: Vec<_> = columns.iter().enumerate().map(|(i, c)| format!("{c} AS e{i}")).collect();
        Self::unordered(format!(
            "SELECT DISTINCT ON ({}) {} FROM {from} ORDER BY {}",
            columns[0],
            outputs.join(", "),
            keys.join(", ")
        ))
    }

    fn counted_limit(&mut self) -> Query {
        let (from, scope) = self.source();
        let filter = self.filter(&scope, "WHERE");
        let key = self.structure.pick(&scope).sql.clone();
        let order = if self.structure.one_in(2) { format!(" ORDER BY {key}") } else { String::new() };
        let offset =
            if self.structure.one_in(2) { format!(" OFFSET {}", self.literals.between(1, 20)) } else { String::new() };
        Self::unordered(format!(
            "SELECT count(*) AS n FROM (SELECT {key} AS e0 FROM {from}{filter}{order} LIMIT {}{offset}) u",
            self.literals.between(1, 60)
        ))
    }

    /// Returns a join over an aggregation.
    fn over_aggregate(&mut self) -> Query {
        let scope = self.scope(1, "b");
        let key = *self.structure.pick(&["k0", "k1", "k2", "s", "d"]);
        let call = self.call(&scope, true);
        let filter = self.filter(&scope, "WHERE");
        let kind =
            *self.structure.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]);
        let right = if kind.contains("SEMI") || kind.contains("ANTI") { "" } else { ", g.n AS e2" };
        let inner = format!("SELECT b.{key} AS k, {call} AS n FROM t1 b{filter} GROUP BY b.{key}");
        Self::unordered(format!("SELECT a.{key} AS e0, a.v AS e1{right} FROM t0 a {kind} ({inner}) g ON a.{key} = g.k"))
    }
}
