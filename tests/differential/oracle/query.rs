//! Writes queries in the common dialect of SQLite, DuckDB and Parallax: joins of all kinds, subqueries in every place,
//! grouping, set operations.

use crate::fuzz::random::Random;
use crate::oracle::data::{COLUMNS, TABLES};
use crate::oracle::dialect::Dialect;
use crate::oracle::tree::{Class, Group, Sql};

/// A column or another expression that a query may use.
#[derive(Clone)]
pub struct Atom {
    pub sql: Sql,
    pub class: Class,
    /// A column, and not the call of an aggregate: subqueries may use it, too.
    is_column: bool,
}

/// A table or a common table expression, with the names and classes of its columns.
#[derive(Clone)]
struct Relation {
    name: String,
    columns: Vec<(String, Class)>,
}

const OUTPUTS: [Class; 8] =
    [Class::Integer, Class::Integer, Class::Integer, Class::Float, Class::Text, Class::Text, Class::Date, Class::Truth];

/// How many subqueries and how many nested levels a statement has at most.
const SUBQUERIES: usize = 4;
const LEVELS: usize = 3;

pub struct Writer {
    /// Decides everything but the literals, so that statements of one structure share device programs.
    pub structure: Random,
    pub literals: Random,
    /// What each level of queries may use, the innermost last.
    pub(super) scopes: Vec<Vec<Atom>>,
    relations: Vec<Relation>,
    names: usize,
    pub(super) subqueries: usize,
}

impl Writer {
    pub fn new(structure: Random, literals: Random) -> Self {
        let columns = || COLUMNS.iter().map(|(name, _, class)| (name.to_string(), *class)).collect();
        let relations = (0..TABLES).map(|n| Relation { name: format!("t{n}"), columns: columns() }).collect();
        Self { structure, literals, scopes: Vec::new(), relations, names: 0, subqueries: SUBQUERIES }
    }

    pub fn statement(&mut self) -> Sql {
        let mut parts = Vec::new();
        if self.structure.one_in(6) {
            let outputs = self.some_outputs(3);
            let (body, columns) = self.query(&outputs, 1);
            let name = self.name("w");
            parts.push(Sql::text(format!("WITH {name} AS (")));
            parts.push(body);
            parts.push(Sql::text(") "));
            self.relations.push(Relation { name, columns });
        }
        let outputs = self.some_outputs(4);
        parts.push(self.query(&outputs, 0).0);
        Sql::Sequence(parts)
    }

    fn some_outputs(&mut self, most: usize) -> Vec<Class> {
        (0..1 + self.structure.below(most)).map(|_| *self.structure.pick(&OUTPUTS)).collect()
    }

    fn name(&mut self, letter: &str) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    pub(super) fn may_nest(&self) -> bool {
        self.subqueries > 0 && self.scopes.len() < LEVELS
    }

    /// Returns a query with outputs of these types, and its columns.
    fn query(&mut self, outputs: &[Class], depth: usize) -> (Sql, Vec<(String, Class)>) {
        let names: Vec<String> = outputs.iter().map(|_| self.name("o")).collect();
        let group = self.names;
        let columns = names.iter().zip(outputs).map(|(name, class)| (name.clone(), *class)).collect();
        let body = match self.structure.below(7) {
            0 if depth < 3 => self.set_operation(outputs, &names, group, depth),
            1 | 2 => self.grouped(outputs, &names, group, depth),
            _ => self.plain(outputs, &names, group, depth),
        };
        let mut parts = vec![body];
        if self.structure.one_in(if depth == 0 { 2 } else { 6 }) {
            // A LIMIT in a subquery only makes sense with the order.
            parts.push(self.total_order(&names, group, depth > 0));
        }
        (Sql::of(Class::Query, parts), columns)
    }

    /// ORDER BY all outputs, so that rows that tie are equal, with a LIMIT.
    fn total_order(&mut self, names: &[String], group: Group, always_limit: bool) -> Sql {
        let keys = names.iter().map(|name| {
            let direction =
                *self.structure.pick(&["ASC NULLS FIRST", "ASC NULLS LAST", "DESC NULLS FIRST", "DESC NULLS LAST"]);
            Sql::text(format!("{name} {direction}"))
        });
        let keys = keys.collect();
        let mut parts = vec![Sql::text(" ORDER BY "), Sql::List { items: keys, separator: ", ", group: Some(group) }];
        if always_limit || self.structure.one_in(2) {
            let mut limit = format!(" LIMIT {}", self.literals.between(0, 6));
            if self.structure.one_in(3) {
                limit += &format!(" OFFSET {}", self.literals.between(0, 3));
            }
            parts.push(if always_limit { Sql::text(limit) } else { Sql::optional(Sql::text(limit)) });
        }
        Sql::TotalOrder(Box::new(Sql::Sequence(parts)))
    }

    fn plain(&mut self, outputs: &[Class], names: &[String], group: Group, depth: usize) -> Sql {
        // A query of one row without tables.
        if depth > 0 && self.structure.one_in(20) {
            self.scopes.push(Vec::new());
            let items = self.items(outputs, names, 1);
            let condition = if self.structure.one_in(2) { self.clause("WHERE", 1) } else { Sql::text("") };
            self.scopes.pop();
            return Sql::Sequence(vec![Sql::text("SELECT "), Sql::list_of(items, group), condition]);
        }
        let (source, scope) = self.source(depth);
        self.scopes.push(scope);
        let items = self.items(outputs, names, 2);
        let condition = if self.structure.one_in(3) { Sql::text("") } else { self.clause("WHERE", 2) };
        self.scopes.pop();
        let distinct = if self.structure.one_in(5) { Sql::optional(Sql::text("DISTINCT ")) } else { Sql::text("") };
        Sql::Sequence(vec![
            Sql::text("SELECT "),
            distinct,
            Sql::list_of(items, group),
            Sql::text(" FROM "),
            source,
            condition,
        ])
    }

    fn items(&mut self, outputs: &[Class], names: &[String], depth: usize) -> Vec<Sql> {
        let item = |(class, name): (&Class, &String)| {
            let value = self.value(*class, depth);
            Sql::Sequence(vec![value, Sql::text(format!(" AS {name}"))])
        };
        outputs.iter().zip(names).map(item).collect()
    }

    /// A WHERE, HAVING or ON clause.
    fn clause(&mut self, keyword: &str, depth: usize) -> Sql {
        let condition = self.truth(depth);
        Sql::optional(Sql::Sequence(vec![Sql::text(format!(" {keyword} ")), condition]))
    }

    fn grouped(&mut self, outputs: &[Class], names: &[String], group: Group, depth: usize) -> Sql {
        let (source, scope) = self.source(depth);
        self.scopes.push(scope);
        let condition = if self.structure.one_in(2) { self.clause("WHERE", 1) } else { Sql::text("") };
        // The keys, of which one may be an expression, and then aggregates: what stands above uses nothing else.
        let mut atoms: Vec<Atom> = Vec::new();
        for _ in 0..*self.structure.pick(&[0, 1, 1, 1, 2, 2]) {
            let class = *self.structure.pick(&OUTPUTS);
            let depth = usize::from(self.structure.one_in(5));
            let column = self.atom(class).filter(|_| depth == 0);
            let is_column = column.is_some();
            let key = match column {
                Some(atom) => atom,
                None => self.value(class, 1),
            };
            // A constant would be the number of an output.
            let is_constant = !key.render(Dialect::Sqlite).contains('.');
            if !is_constant && !atoms.iter().any(|atom| atom.sql == key) {
                atoms.push(Atom { sql: key, class, is_column });
            }
        }
        let keys: Vec<Sql> = atoms.iter().map(|atom| atom.sql.clone()).collect();
        if keys.is_empty() {
            // One row, whatever the input.
            let calls: Vec<_> = outputs.iter().map(|class| self.aggregate(*class)).collect();
            self.scopes.pop();
            let items = calls.into_iter().zip(names);
            let items = items.map(|(call, name)| Sql::Sequence(vec![call, Sql::text(format!(" AS {name}"))])).collect();
            let outputs = Sql::list_of(items, group);
            return Sql::Sequence(vec![Sql::text("SELECT "), outputs, Sql::text(" FROM "), source, condition]);
        }
        for class in outputs.iter().chain(&[Class::Integer, Class::Integer]) {
            let call = self.aggregate(*class);
            atoms.push(Atom { sql: call, class: *class, is_column: false });
        }
        self.scopes.pop();
        self.scopes.push(atoms);
        let items = self.items(outputs, names, 1);
        let having = if self.structure.one_in(3) { self.clause("HAVING", 1) } else { Sql::text("") };
        self.scopes.pop();
        Sql::Sequence(vec![
            Sql::text("SELECT "),
            Sql::list_of(items, group),
            Sql::text(" FROM "),
            source,
            condition,
            Sql::text(" GROUP BY "),
            Sql::list(keys, ", "),
            having,
        ])
    }

    /// The call of an aggregate over the innermost scope. It uses a column of its own scope.
    pub(super) fn aggregate(&mut self, class: Class) -> Sql {
        let own = self.scopes.last().is_some_and(|scope| !scope.is_empty());
        if !own {
            return self.value(class, 0);
        }
        let call = match (class, self.structure.below(8)) {
            (Class::Integer, 0..=2) => Sql::text("count(*)"),
            (Class::Integer, 3) => {
                let argument = self.own_atom(None).sql;
                let distinct = Sql::optional(Sql::text("DISTINCT "));
                Sql::Sequence(vec![Sql::text("count("), distinct, argument, Sql::text(")")])
            }
            (Class::Integer, _) => self.call(&["sum", "min", "max", "sum", "sum(DISTINCT"], Class::Integer),
            (Class::Float, _) => self.call(&["avg", "sum", "min", "max"], Class::Float),
            (Class::Truth, _) => {
                let count = self.aggregate(Class::Integer);
                let n = self.literals.between(0, 4);
                return Sql::of(Class::Truth, vec![Sql::text("("), count, Sql::text(format!(" > {n})"))]);
            }
            (class, _) => self.call(&["min", "max"], class),
        };
        let mut parts = vec![call];
        if self.structure.one_in(6) {
            // With outer columns alone, count(*) would belong to the outer query.
            let outer = self.scopes.len().saturating_sub(1);
            let outer: Vec<_> = self.scopes.drain(..outer).collect();
            let condition = self.without_subqueries(|writer| writer.truth(1));
            self.scopes.splice(0..0, outer);
            parts.push(Sql::optional(Sql::Sequence(vec![Sql::text(" FILTER (WHERE "), condition, Sql::text(")")])));
        }
        Sql::of(class, parts)
    }

    fn call(&mut self, names: &[&str], class: Class) -> Sql {
        let name = *self.structure.pick(names);
        let open = if name.ends_with("DISTINCT") { format!("{name} ") } else { format!("{name}(") };
        let column = self.own_atom(Some(class));
        let argument = match (column.class.is(class), self.structure.below(4)) {
            (true, 0) if matches!(class, Class::Integer | Class::Float) => {
                let other = self.without_subqueries(|writer| writer.value(class, 0));
                Sql::of(class, vec![Sql::text("("), column.sql, Sql::text(" + "), other, Sql::text(")")])
            }
            (true, _) => column.sql,
            // The scope has no column of this class.
            (false, _) => {
                let value = self.without_subqueries(|writer| writer.value(class, 0));
                let parts = vec![
                    Sql::text("CASE WHEN "),
                    column.sql,
                    Sql::text(" IS NOT NULL THEN "),
                    value,
                    Sql::text(" END"),
                ];
                Sql::of(class, parts)
            }
        };
        Sql::Sequence(vec![Sql::text(open), argument, Sql::text(")")])
    }

    fn without_subqueries<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        let subqueries = std::mem::take(&mut self.subqueries);
        let written = write(self);
        self.subqueries = subqueries;
        written
    }

    /// A column of the innermost scope, of this type if there is one.
    fn own_atom(&mut self, class: Option<Class>) -> Atom {
        let scope = self.scopes.last().cloned().unwrap_or_default();
        let fits: Vec<_> = scope.iter().filter(|atom| class.is_none_or(|class| atom.class.is(class))).collect();
        match fits.is_empty() {
            true => self.structure.pick(&scope).clone(),
            false => (*self.structure.pick(&fits)).clone(),
        }
    }

    /// A column of a type, mostly of the innermost scope.
    pub(super) fn atom(&mut self, class: Class) -> Option<Sql> {
        let innermost = self.scopes.len().checked_sub(1)?;
        let level = match innermost > 0 && self.structure.one_in(4) {
            true => self.structure.below(innermost),
            false => innermost,
        };
        let fits = |level: usize| -> Vec<Sql> {
            let scope = self.scopes[level].iter();
            let usable = scope.filter(|atom| level == innermost || atom.is_column);
            usable.filter(|atom| atom.class.is(class)).map(|atom| atom.sql.clone()).collect()
        };
        let found = if fits(level).is_empty() { fits(innermost) } else { fits(level) };
        (!found.is_empty()).then(|| self.structure.pick(&found).clone())
    }

    fn set_operation(&mut self, outputs: &[Class], names: &[String], group: Group, depth: usize) -> Sql {
        let operator = *self.structure.pick(&["UNION ALL", "UNION", "INTERSECT", "EXCEPT"]);
        let side = |writer: &mut Self| {
            let body = match writer.structure.below(5) {
                0 => writer.grouped(outputs, names, group, depth + 1),
                1 if depth < 2 => writer.over_query(outputs, names, group, depth + 1),
                _ => writer.plain(outputs, names, group, depth + 1),
            };
            Sql::of(Class::Query, vec![body])
        };
        let (left, right) = (side(self), side(self));
        Sql::Sequence(vec![left, Sql::text(format!(" {operator} ")), right])
    }

    /// All columns of a derived table.
    fn over_query(&mut self, outputs: &[Class], names: &[String], group: Group, depth: usize) -> Sql {
        let (query, columns) = self.query(outputs, depth);
        let alias = self.name("u");
        let items = columns.iter().zip(names).map(|((column, class), name)| {
            let column = Sql::of(*class, vec![Sql::text(format!("{alias}.{column}"))]);
            Sql::Sequence(vec![column, Sql::text(format!(" AS {name}"))])
        });
        let items = items.collect();
        Sql::Sequence(vec![
            Sql::text("SELECT "),
            Sql::list_of(items, group),
            Sql::text(" FROM ("),
            query,
            Sql::text(format!(") {alias}")),
        ])
    }

    /// What stands after FROM, and its columns.
    fn source(&mut self, depth: usize) -> (Sql, Vec<Atom>) {
        let (mut source, mut scope) = self.relation(depth);
        let more = match depth {
            0 => *self.structure.pick(&[0, 0, 1, 1, 2]),
            _ => *self.structure.pick(&[0, 0, 0, 1]),
        };
        for _ in 0..more {
            let (other, columns) = self.relation(depth + 1);
            let kind = *self.structure.pick(&[
                "JOIN",
                "JOIN",
                "LEFT JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "FULL JOIN",
                "CROSS JOIN",
            ]);
            let mut parts = vec![source, Sql::text(format!(" {kind} ")), other];
            if kind != "CROSS JOIN" {
                parts.push(Sql::text(" ON "));
                parts.push(self.join_condition(&scope, &columns));
            }
            scope.extend(columns);
            source = Sql::of(Class::Source, parts);
        }
        (source, scope)
    }

    fn join_condition(&mut self, left: &[Atom], right: &[Atom]) -> Sql {
        let pairs: Vec<_> = left
            .iter()
            .flat_map(|l| right.iter().filter(|r| r.class == l.class).map(move |r| (l.sql.clone(), r.sql.clone())))
            .collect();
        let mut conditions = Vec::new();
        if !pairs.is_empty() {
            for _ in 0..1 + usize::from(self.structure.one_in(4)) {
                let (l, r) = self.structure.pick(&pairs).clone();
                let operator = *self.structure.pick(&["=", "=", "=", "=", "IS NOT DISTINCT FROM", "<", "<>"]);
                let parts = vec![Sql::text("("), l, Sql::text(format!(" {operator} ")), r, Sql::text(")")];
                conditions.push(Sql::of(Class::Truth, parts));
            }
        }
        if conditions.is_empty() || self.structure.one_in(4) {
            let both = left.iter().chain(right).cloned().collect();
            self.scopes.push(both);
            // Rarely with a subquery.
            let condition = match self.structure.one_in(6) {
                true => self.truth(1),
                false => self.without_subqueries(|writer| writer.truth(1)),
            };
            self.scopes.pop();
            conditions.push(condition);
        }
        Sql::of(Class::Truth, vec![Sql::list(conditions, " AND ")])
    }

    /// A table or a derived table under an alias.
    fn relation(&mut self, depth: usize) -> (Sql, Vec<Atom>) {
        let alias = self.name("a");
        let (sql, columns) = if depth < 2 && self.structure.one_in(8) {
            let outputs = self.some_outputs(3);
            let (query, columns) = self.query(&outputs, depth + 1);
            (vec![Sql::text("("), query, Sql::text(format!(") {alias}"))], columns)
        } else {
            let relation = self.structure.pick(&self.relations).clone();
            (vec![Sql::text(format!("{} {alias}", relation.name))], relation.columns)
        };
        let atoms = columns.into_iter().map(|(name, class)| {
            let sql = Sql::of(class, vec![Sql::text(format!("{alias}.{name}"))]);
            Atom { sql, class, is_column: true }
        });
        (Sql::of(Class::Source, sql), atoms.collect())
    }

    /// A subquery with outputs of these types.
    pub(super) fn subquery(&mut self, outputs: &[Class]) -> Sql {
        self.subqueries = self.subqueries.saturating_sub(1);
        self.query(outputs, self.scopes.len().min(2)).0
    }

    /// A subquery of at most one row with one output.
    pub(super) fn scalar_subquery(&mut self, class: Class) -> Sql {
        self.subqueries = self.subqueries.saturating_sub(1);
        let depth = self.scopes.len().min(2);
        let name = self.name("o");
        let names = std::slice::from_ref(&name);
        let group = self.names;
        if self.structure.one_in(4) {
            let mut parts = vec![self.plain(&[class], names, group, depth)];
            let order =
                *self.structure.pick(&["ASC NULLS FIRST", "ASC NULLS LAST", "DESC NULLS FIRST", "DESC NULLS LAST"]);
            parts.push(Sql::text(format!(" ORDER BY {name} {order} LIMIT 1")));
            if self.structure.one_in(4) {
                parts.push(Sql::optional(Sql::text(format!(" OFFSET {}", self.literals.between(0, 2)))));
            }
            return Sql::of(Class::Query, parts);
        }
        // An aggregate without GROUP BY.
        let (source, scope) = self.source(depth);
        self.scopes.push(scope);
        let call = self.aggregate(class);
        let condition = if self.structure.one_in(5) { Sql::text("") } else { self.clause("WHERE", 2) };
        self.scopes.pop();
        let call = match (class, self.structure.below(6)) {
            (Class::Integer | Class::Float, 0) => {
                let n = self.literals.between(-1, 2);
                Sql::of(class, vec![Sql::text("coalesce("), call, Sql::text(format!(", {n})"))])
            }
            _ => call,
        };
        Sql::of(
            Class::Query,
            vec![Sql::text("SELECT "), call, Sql::text(format!(" AS {name} FROM ")), source, condition],
        )
    }
}

impl Sql {
    /// The outputs of a query.
    fn list_of(items: Vec<Self>, group: Group) -> Self {
        Self::List { items, separator: ", ", group: Some(group) }
    }
}
