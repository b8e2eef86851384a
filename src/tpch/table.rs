//! The eight tables of TPC-H, and the generation of their parts.

use datafusion::arrow::record_batch::{RecordBatchIterator, RecordBatchReader};
use datafusion::error::{DataFusionError, Result};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

/// One of the eight tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The line items of orders, the largest table.
    Lineitem,
    /// The orders.
    Orders,
    /// The parts that each supplier has, with their cost.
    Partsupp,
    /// The parts.
    Part,
    /// The customers.
    Customer,
    /// The suppliers.
    Supplier,
    /// 25 nations.
    Nation,
    /// 5 regions.
    Region,
}

impl Table {
    /// All tables, the largest first, so that two threads that take one after another finish at about the same time.
    pub const ALL: [Self; 8] = [
        Self::Lineitem,
        Self::Orders,
        Self::Partsupp,
        Self::Part,
        Self::Customer,
        Self::Supplier,
        Self::Nation,
        Self::Region,
    ];

    /// Returns the name in the specification, which is also the name of the SQL table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lineitem => "lineitem",
            Self::Orders => "orders",
            Self::Partsupp => "partsupp",
            Self::Part => "part",
            Self::Customer => "customer",
            Self::Supplier => "supplier",
            Self::Nation => "nation",
            Self::Region => "region",
        }
    }

    /// Returns the number of rows at a scale factor. For lineitem it is approximate, because orders have a random number of
    /// line items.
    pub fn rows(self, scale: f64) -> u64 {
        let at_scale_1: u64 = match self {
            Self::Lineitem => 6_001_215,
            Self::Orders => 1_500_000,
            Self::Partsupp => 800_000,
            Self::Part => 200_000,
            Self::Customer => 150_000,
            Self::Supplier => 10_000,
            Self::Nation => return 25,
            Self::Region => return 5,
        };
        (at_scale_1 as f64 * scale) as u64
    }

    /// Generates part `part` (from 1) of `parts`. The concatenated parts are the table.
    pub fn part(self, scale: f64, part: i32, parts: i32) -> Box<dyn RecordBatchReader + Send> {
        match self {
            // The generators of the two tables of fixed size do not support parts, so the first part is the whole table.
            Self::Nation | Self::Region if part > 1 => {
                Box::new(RecordBatchIterator::new([], self.part(scale, 1, 1).schema()))
            }
            Self::Lineitem => Box::new(LineItemArrow::new(LineItemGenerator::new(scale, part, parts))),
            Self::Orders => Box::new(OrderArrow::new(OrderGenerator::new(scale, part, parts))),
            Self::Partsupp => Box::new(PartSuppArrow::new(PartSuppGenerator::new(scale, part, parts))),
            Self::Part => Box::new(PartArrow::new(PartGenerator::new(scale, part, parts))),
            Self::Customer => Box::new(CustomerArrow::new(CustomerGenerator::new(scale, part, parts))),
            Self::Supplier => Box::new(SupplierArrow::new(SupplierGenerator::new(scale, part, parts))),
            Self::Nation => Box::new(NationArrow::new(NationGenerator::new(scale, part, parts))),
            Self::Region => Box::new(RegionArrow::new(RegionGenerator::new(scale, part, parts))),
        }
    }
}

/// Checks a scale factor. Below 0.001 there are too few suppliers for the foreign keys, and above 1000 the data exceeds
/// the disk of one machine.
///
/// # Errors
/// If it is outside 0.001 to 1000, or not a number.
pub fn check_scale(scale: f64) -> Result<()> {
    if (0.001..=1000.0).contains(&scale) {
        return Ok(());
    }
    Err(DataFusionError::Configuration(format!("scale factor {scale} is not between 0.001 and 1000")))
}

#[cfg(test)]
mod tests {
    use crate::tpch::{Table, check_scale};

    #[test]
    fn concatenated_parts_are_the_table() {
        let keys = |table: Table, part, parts| -> Vec<_> {
            table.part(0.001, part, parts).map(|batch| batch.unwrap().column(0).to_data()).collect()
        };
        for table in Table::ALL {
            let rows = |part, parts| keys(table, part, parts).iter().map(|keys| keys.len()).sum::<usize>();
            assert_eq!(rows(1, 3) + rows(2, 3) + rows(3, 3), rows(1, 1), "{}", table.name());
        }
        assert_ne!(keys(Table::Orders, 1, 3), keys(Table::Orders, 2, 3));
    }

    #[test]
    fn scales_out_of_range_are_refused() {
        for scale in [0.0, -1.0, 0.0005, 1001.0, f64::NAN, f64::INFINITY] {
            assert!(check_scale(scale).is_err(), "{scale}");
        }
        assert!(check_scale(0.001).is_ok());
    }
}
