//! Random statements that are deep or long: lists, chains and nests of all that SQL lets one repeat, one inside another.

use std::fmt::Write;

use crate::fuzz::random::Random;

/// A statement, and what it is made of.
pub struct Statement {
    pub shape: String,
    pub sql: String,
}

impl Statement {
    /// A statement of at most about so many bytes; most are much shorter.
    pub fn random(random: &mut Random, longest: usize) -> Self {
        let digits = (longest as f64).log2();
        let bytes = 2f64.powf(6.0 + (digits - 6.0) * random.below(1000) as f64 / 1000.0) as usize;
        let mut maker = Maker { random, shape: Vec::new(), names: 0 };
        let before = match maker.random.below(32) {
            0 => "EXPLAIN ",
            1 => "EXPLAIN ANALYZE ",
            2 => "SUMMARIZE ",
            3 => "CREATE OR REPLACE TABLE made AS ",
            4 => "CREATE OR REPLACE VIEW seen AS ",
            5 => "-- a comment\n",
            _ => "",
        };
        let sql = format!("{before}{}", maker.query(bytes));
        maker.shape.dedup();
        maker.shape.truncate(8);
        Self { shape: maker.shape.join(", "), sql }
    }
}

struct Maker<'a> {
    random: &'a mut Random,
    shape: Vec<&'static str>,
    names: usize,
}

/// What a part of a statement gives: a number, a text, or whether something holds.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Integer,
    Float,
    Text,
    Truth,
}

impl Maker<'_> {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    fn has(&mut self, shape: &'static str) {
        self.shape.push(shape);
    }

    /// How often a piece of so many bytes fits.
    fn times(&mut self, bytes: usize, piece: usize) -> usize {
        (bytes / piece.max(1)).max(1)
    }

    /// Splits the bytes among few large parts or many small ones, and joins these.
    fn parts(&mut self, bytes: usize, separator: &str, make: impl Fn(&mut Self, usize) -> String) -> String {
        let most = (bytes / (separator.len() + 6)).max(2);
        let n = match self.random.below(3) {
            0 => 2 + self.random.below(3),
            1 => 2 + self.random.below(most.min(40)),
            _ => most,
        };
        let each = (bytes / n).saturating_sub(separator.len());
        let mut sql = String::with_capacity(bytes);
        for i in 0..n {
            if i > 0 {
                sql.push_str(separator);
            }
            sql.push_str(&make(self, each));
        }
        sql
    }

    fn nest(&mut self, bytes: usize, open: &str, close: &str, kind: Kind) -> String {
        // Half of the nests are within the limit of a session.
        let piece = open.len() + close.len();
        let mut n = self.times(bytes, piece);
        if self.random.one_in(2) {
            n = n.min(1 + self.random.below(400));
        }
        let inner = self.expr(bytes.saturating_sub(n * piece).min(200), kind);
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    }

    /// A column or a constant, in a table with the columns of `t`.
    fn leaf(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Integer => match self.random.below(4) {
                0 => self.random.below(1000).to_string(),
                1 => "b".to_string(),
                _ => "a".to_string(),
            },
            Kind::Float => self.random.pick(&["x", "x", "0.5", "1e3", "2.25"]).to_string(),
            Kind::Text => self.random.pick(&["s", "s", "'x'", "'yz'", "''"]).to_string(),
            Kind::Truth => {
                let column = *self.random.pick(&["a", "b"]);
                format!("{column} {} {}", self.random.pick(&["=", "<>", "<", ">="]), self.random.below(10))
            }
        }
    }

    fn expr(&mut self, bytes: usize, kind: Kind) -> String {
        if bytes < 16 {
            return self.leaf(kind);
        }
        match self.random.below(10) {
            0 => {
                self.has("parentheses");
                return self.nest(bytes, "(", ")", kind);
            }
            1 => {
                self.has("case in case");
                let other = self.leaf(kind);
                return self.nest(bytes, "CASE WHEN a > 1 THEN ", &format!(" ELSE {other} END"), kind);
            }
            2 => {
                self.has("branches");
                let branches = self.parts(bytes, " ", |maker, _| {
                    let (when, then) = (maker.leaf(Kind::Truth), maker.leaf(kind));
                    format!("WHEN {when} THEN {then}")
                });
                return format!("CASE {branches} END");
            }
            3 => {
                self.has("coalesce");
                let other = self.leaf(kind);
                return self.nest(bytes, "coalesce(", &format!(", {other})"), kind);
            }
            4 if bytes > 100 && bytes < 20_000 => {
                self.has("scalar subquery");
                let (value, condition) = (self.expr(bytes / 2, kind), self.expr(bytes / 2, Kind::Truth));
                return format!("(SELECT max({value}) FROM t WHERE {condition})");
            }
            _ => {}
        }
        match kind {
            Kind::Integer | Kind::Float => self.number(bytes, kind),
            Kind::Text => self.text(bytes),
            Kind::Truth => self.truth(bytes),
        }
    }

    fn number(&mut self, bytes: usize, kind: Kind) -> String {
        match self.random.below(6) {
            0 => {
                self.has("sum of constants");
                let (first, n) = (self.leaf(kind), self.times(bytes, 4));
                format!("{first}{}", " + 1".repeat(n))
            }
            1 => {
                self.has("calls");
                self.nest(bytes, "abs(", ")", kind)
            }
            2 => {
                self.has("signs");
                let n = self.times(bytes, 2);
                format!("{}{}", "- ".repeat(n), self.leaf(kind))
            }
            3 if kind == Kind::Integer => {
                self.has("casts");
                let n = self.times(bytes, 8);
                format!("{}{}", self.leaf(kind), "::BIGINT".repeat(n))
            }
            4 => {
                self.has("length");
                format!("length({})", self.expr(bytes - 8, Kind::Text))
            }
            _ => {
                self.has("arithmetic");
                let operator = *self.random.pick(&[" + ", " - ", " * "]);
                self.parts(bytes, operator, |maker, bytes| maker.expr(bytes, kind))
            }
        }
    }

    fn text(&mut self, bytes: usize) -> String {
        match self.random.below(6) {
            0 => {
                self.has("concatenation of constants");
                let (first, n) = (self.leaf(Kind::Text), self.times(bytes, 7));
                format!("{first}{}", " || 'x'".repeat(n))
            }
            1 => {
                self.has("text calls");
                self.nest(bytes, "replace(", ", 'x', 'y')", Kind::Text)
            }
            2 => {
                self.has("concat");
                format!("concat({})", self.parts(bytes, ", ", |maker, _| maker.leaf(Kind::Text)))
            }
            3 => {
                self.has("long text");
                format!("'{}'", "long ".repeat(bytes / 5))
            }
            _ => {
                self.has("concatenation");
                self.parts(bytes, " || ", |maker, bytes| maker.expr(bytes, Kind::Text))
            }
        }
    }

    fn truth(&mut self, bytes: usize) -> String {
        match self.random.below(12) {
            0 => {
                self.has("or");
                self.parts(bytes, " OR ", |maker, _| maker.leaf(Kind::Truth))
            }
            1 => {
                self.has("and");
                self.parts(bytes, " AND ", |maker, _| maker.leaf(Kind::Truth))
            }
            2 => {
                self.has("or of conditions");
                self.parts(bytes, " OR ", |maker, bytes| format!("({})", maker.expr(bytes, Kind::Truth)))
            }
            3 => {
                self.has("and of conditions");
                self.parts(bytes, " AND ", |maker, bytes| format!("({})", maker.expr(bytes, Kind::Truth)))
            }
            4 => {
                self.has("not");
                let n = self.times(bytes, 4);
                format!("{}{}", "NOT ".repeat(n), self.leaf(Kind::Truth))
            }
            5 => {
                self.has("in");
                format!("a IN ({})", self.parts(bytes, ", ", |maker, _| maker.random.below(100_000).to_string()))
            }
            6 => {
                self.has("in texts");
                format!(
                    "s NOT IN ({})",
                    self.parts(bytes, ", ", |maker, _| format!("'t{}'", maker.random.below(100_000)))
                )
            }
            7 => {
                self.has("in of expressions");
                format!("a IN ({})", self.parts(bytes, ", ", |maker, bytes| maker.expr(bytes.min(60), Kind::Integer)))
            }
            8 => {
                self.has("between");
                let operator = *self.random.pick(&[" AND ", " OR "]);
                self.parts(bytes, operator, |maker, _| format!("b BETWEEN {} AND 30", maker.random.below(40)))
            }
            9 => {
                self.has("like");
                self.parts(bytes, " OR ", |maker, _| format!("s LIKE '%{}_'", maker.random.below(1000)))
            }
            10 if bytes > 100 && bytes < 20_000 => {
                self.has("exists");
                let condition = self.expr(bytes - 60, Kind::Truth);
                format!("EXISTS (SELECT 1 FROM t AS {} WHERE {condition})", self.name())
            }
            _ => {
                self.has("comparison");
                let kind = *self.random.pick(&[Kind::Integer, Kind::Float, Kind::Text]);
                let (left, right) = (self.expr(bytes / 2, kind), self.expr(bytes / 2, kind));
                format!("{left} {} {right}", self.random.pick(&["=", "<", ">="]))
            }
        }
    }

    fn any_kind(&mut self) -> Kind {
        *self.random.pick(&[Kind::Integer, Kind::Float, Kind::Text, Kind::Truth])
    }

    fn query(&mut self, bytes: usize) -> String {
        match self.random.below(18) {
            12 => {
                self.has("correlated");
                let n = self.times(bytes, 70).min(1 + self.random.below(12));
                let opens = [
                    "EXISTS (SELECT 1 FROM t AS t# WHERE t#.a >= t@.a AND ",
                    "t@.a < (SELECT sum(a) FROM t AS t# WHERE t#.a >= t@.a AND ",
                    "t@.b NOT IN (SELECT t#.a FROM t AS t# WHERE t#.a <> t@.a AND ",
                ];
                let mut sql = "SELECT count(*) FROM t AS t0 WHERE ".to_string();
                for i in 1..=n {
                    let open = *self.random.pick(&opens);
                    sql.push_str(&open.replace('#', &i.to_string()).replace('@', &(i - 1).to_string()));
                }
                format!("{sql}true{}", ")".repeat(n))
            }
            13 => {
                self.has("doubling with");
                let n = self.times(bytes, 60);
                let n = if self.random.one_in(2) { n.min(1 + self.random.below(7)) } else { n };
                let mut sql = "WITH w0 AS (SELECT a FROM t)".to_string();
                for i in 1..n {
                    let _ = write!(sql, ", w{i} AS (SELECT x.a FROM w{0} AS x JOIN w{0} AS y ON x.a = y.a)", i - 1);
                }
                format!("{sql} SELECT count(*) FROM w{}", n - 1)
            }
            0 => {
                self.has("set operations");
                let operator = *self.random.pick(&[" UNION ALL ", " UNION ", " INTERSECT ", " EXCEPT "]);
                self.parts(bytes, operator, |maker, bytes| match bytes {
                    0..40 => format!("SELECT {}", maker.random.below(100)),
                    _ => format!("SELECT {} FROM t", maker.expr(bytes - 14, Kind::Integer)),
                })
            }
            1 => {
                self.has("alternating set operations");
                let n = self.times(bytes, 38);
                format!("SELECT 0{}", " UNION SELECT 1 UNION ALL SELECT 2".repeat(n))
            }
            2 => {
                self.has("tables in tables");
                let n = self.times(bytes, 16);
                let n = if self.random.one_in(2) { n.min(1 + self.random.below(100)) } else { n };
                format!("SELECT a FROM {}t{}", "(SELECT * FROM ".repeat(n), ")".repeat(n))
            }
            3 => {
                self.has("with");
                let n = self.times(bytes, 36);
                let n = if self.random.one_in(2) { n.min(1 + self.random.below(100)) } else { n };
                let mut sql = "WITH w0 AS (SELECT a FROM t)".to_string();
                for i in 1..n {
                    let _ = write!(sql, ", w{i} AS (SELECT a FROM w{})", i - 1);
                }
                format!("{sql} SELECT count(*) FROM w{}", n - 1)
            }
            4 => {
                self.has("values");
                let rows = self.parts(bytes, ", ", |maker, _| format!("({}, 'v')", maker.random.below(1000)));
                format!("SELECT count(*), max(column1) FROM (VALUES {rows})")
            }
            5 => {
                self.has("columns");
                let list = self.parts(bytes, ", ", |maker, bytes| {
                    let kind = maker.any_kind();
                    let (expr, name) = (maker.expr(bytes.saturating_sub(10), kind), maker.name());
                    format!("{expr} AS {name}")
                });
                format!("SELECT {list} FROM t")
            }
            6 => {
                self.has("aggregates");
                let list = self.parts(bytes, ", ", |maker, bytes| {
                    let function = *maker.random.pick(&["sum", "min", "max", "count"]);
                    let (expr, name) = (maker.expr(bytes.saturating_sub(16), Kind::Integer), maker.name());
                    format!("{function}({expr}) AS {name}")
                });
                format!("SELECT {list} FROM t GROUP BY b")
            }
            7 => {
                self.has("keys");
                let keys = self.parts(bytes, ", ", |maker, bytes| {
                    let kind = maker.any_kind();
                    maker.expr(bytes, kind)
                });
                match self.random.below(2) {
                    0 => format!("SELECT count(*) FROM t GROUP BY {keys}"),
                    _ => format!("SELECT a FROM t ORDER BY {keys}"),
                }
            }
            8 => {
                self.has("joins");
                let n = self.times(bytes, 40);
                let n = if self.random.one_in(2) { n.min(1 + self.random.below(12)) } else { n };
                let kind = *self.random.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
                let mut sql = "SELECT count(*) FROM t AS t0".to_string();
                for i in 1..=n {
                    let _ = write!(sql, " {kind} t AS t{i} ON t{i}.a = t{}.a", i - 1);
                }
                sql
            }
            9 => {
                self.has("long names");
                let name = "n".repeat(bytes / 3);
                format!("SELECT \"{name}\" AS {name} FROM (SELECT a AS \"{name}\" FROM t) AS u")
            }
            10 => {
                self.has("windows");
                let list = self.parts(bytes, ", ", |maker, _| {
                    let name = maker.name();
                    format!("sum(a + {}) OVER (ORDER BY b) AS {name}", maker.random.below(100))
                });
                format!("SELECT {list} FROM t")
            }
            11 => {
                self.has("subqueries in subqueries");
                let n = self.times(bytes, 40);
                let n = if self.random.one_in(2) { n.min(1 + self.random.below(20)) } else { n };
                format!("SELECT a FROM t WHERE {}a = 1{}", "a IN (SELECT b - 9 FROM t WHERE ".repeat(n), ")".repeat(n))
            }
            _ => {
                self.has("condition");
                format!("SELECT count(*) FROM t WHERE {}", self.expr(bytes, Kind::Truth))
            }
        }
    }
}
