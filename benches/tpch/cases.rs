//! The queries that are timed: the 22 TPC-H queries, and small queries for one operator each. None has a window
//! function.

use parallax::tpch::{self, Table};

/// A query to time.
pub struct Case {
    pub name: String,
    pub sql: String,
    /// Whether it counts in the geometric means.
    pub tpch: bool,
    /// Whether its ORDER BY leaves no ties, so that rows must come in the same order.
    pub ordered: bool,
}

/// Small queries over lineitem, orders, partsupp and `s` (see [`crate::data::random_table`]).
const MICRO: [(&str, &str); 11] = [
    ("filter-sum", "SELECT count(*), sum(a) FROM s WHERE c BETWEEN 0 AND 500000000"),
    ("group by 10", "SELECT g10, count(*), sum(a), max(c) FROM s GROUP BY g10 ORDER BY g10"),
    ("group by 1k", "SELECT g1k, count(*), sum(a), max(c) FROM s GROUP BY g1k ORDER BY g1k"),
    (
        "group by 1M",
        "SELECT count(*), max(n), sum(total) FROM (SELECT g, count(*) AS n, sum(a) AS total FROM s GROUP BY g) AS t",
    ),
    (
        "group by orderkey",
        "SELECT count(*), max(n), sum(q) FROM \
         (SELECT l_orderkey, count(*) AS n, sum(l_quantity) AS q FROM lineitem GROUP BY l_orderkey) AS t",
    ),
    (
        "join N:1",
        "SELECT count(*), sum(l_quantity), sum(o_totalprice) FROM lineitem JOIN orders ON l_orderkey = o_orderkey",
    ),
    (
        "join N:M",
        "SELECT count(*), sum(l_quantity), sum(ps_supplycost) FROM lineitem JOIN partsupp ON l_partkey = ps_partkey",
    ),
    ("sort", "SELECT key, g, a, b, c FROM s ORDER BY key"),
    ("top-k", "SELECT key, g, a, b, c FROM s ORDER BY key DESC LIMIT 100"),
    ("LIKE comment", "SELECT count(*) FROM orders WHERE o_comment LIKE '%special%requests%'"),
    ("LIKE type", "SELECT count(*), sum(p_size) FROM part WHERE p_type LIKE '%BRASS%'"),
];

impl Case {
    /// Returns all queries, in order.
    pub fn all() -> Vec<Self> {
        let tpch = (1..=22).map(|number| Self {
            name: format!("Q{number}"),
            sql: tpch::query(number).to_string(),
            tpch: true,
            // Q11 sorts by a value that several parts may have.
            ordered: number != 11,
        });
        let micro = MICRO.into_iter().map(|(name, sql)| Self {
            name: name.to_string(),
            sql: sql.to_string(),
            tpch: false,
            ordered: true,
        });
        tpch.chain(micro).collect()
    }

    /// Returns the tables that the query reads.
    pub fn tables(&self) -> Vec<&'static str> {
        let words: Vec<&str> = self.sql.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let names = Table::ALL.iter().map(|table| table.name()).chain(["s"]);
        names.filter(|name| words.contains(name)).collect()
    }
}
