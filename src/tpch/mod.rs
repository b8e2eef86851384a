//! TPC-H: generates its eight tables at any scale factor, in memory or as Parquet files, and provides its queries.

mod dataset;
mod query;
mod table;

pub use crate::tpch::dataset::{ensure, is_complete};
pub use crate::tpch::query::query;
pub use crate::tpch::table::{Table, check_scale};

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;

/// Generates the eight tables in memory and returns them with their names, in the order of [`Table::ALL`].
///
/// # Errors
/// If [`check_scale`] rejects the scale factor.
pub fn tables(scale: f64) -> Result<Vec<(&'static str, Vec<RecordBatch>)>> {
    check_scale(scale)?;
    Table::ALL
        .iter()
        .map(|table| Ok((table.name(), table.part(scale, 1, 1).collect::<std::result::Result<Vec<_>, _>>()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::tpch::tables;

    #[test]
    fn tables_have_the_number_of_rows_in_the_specification() {
        let rows: Vec<(&str, usize)> = tables(0.001)
            .unwrap()
            .into_iter()
            .map(|(name, batches)| (name, batches.iter().map(|batch| batch.num_rows()).sum()))
            .collect();
        let expected = [
            ("lineitem", 6005),
            ("orders", 1500),
            ("partsupp", 800),
            ("part", 200),
            ("customer", 150),
            ("supplier", 10),
            ("nation", 25),
            ("region", 5),
        ];
        assert_eq!(rows, expected);
    }
}
