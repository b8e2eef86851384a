//! The SQL of the 22 TPC-H queries, with the validation parameters of the specification (TPC-H 3.0.1, clause 2.4).

macro_rules! queries {
    ($($number:literal)*) => {
        [$(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql-tests/tpch/q", $number, ".sql"))),*]
    };
}

const QUERIES: [&str; 22] = queries!(
    "01" "02" "03" "04" "05" "06" "07" "08" "09" "10" "11" "12" "13" "14" "15" "16" "17" "18" "19" "20" "21" "22"
);

/// Returns the SQL of query `n`, 1 to 22: a comment line and one statement. Returns an empty string for any other `n`.
pub fn query(n: u8) -> &'static str {
    usize::from(n).checked_sub(1).and_then(|index| QUERIES.get(index)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use crate::tpch::query;

    #[test]
    fn every_query_is_one_statement_with_its_number_in_a_comment() {
        for n in 1..=22 {
            assert!(query(n).starts_with(&format!("-- TPC-H Q{n}: ")), "Q{n}");
            assert_eq!(DFParser::parse_sql(query(n)).unwrap().len(), 1, "Q{n}");
            assert!(!query(n).contains(":1"), "Q{n}");
        }
        assert_eq!(query(0), "");
        assert_eq!(query(23), "");
    }
}
