//! Synthetic data for files that the suite reads but the published crate does not contain: the same columns with other
//! values. Records over them cannot return the expected rows in any run, so their runs are compared with each other.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    TimestampNanosecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;

/// A text file: its path in DataFusion's repository, its header, the number of rows, and a function that creates a row.
struct Lines {
    path: &'static str,
    header: &'static str,
    rows: u64,
    row: fn(u64, &mut Numbers) -> String,
}

const AGGREGATE: &str = "c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13";

const FILES: &[Lines] = &[
    Lines { path: "testing/data/csv/aggregate_test_100.csv", header: AGGREGATE, rows: 100, row: |_, n| aggregate(n) },
    Lines {
        path: "testing/data/csv/aggregate_test_100_with_dates.csv",
        header: "c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15",
        rows: 100,
        row: |i, n| format!("{},{},{}T{:02}:00:00", aggregate(n), date(i / 3), date(i), n.below(24)),
    },
    Lines {
        path: "datafusion/core/tests/data/aggregate_simple.csv",
        header: "c1,c2,c3",
        rows: 15,
        row: |i, _| {
            let k = (i as f64).sqrt().floor() + 1.0;
            format!("{:.5},{:.12},{}", k * 1e-5, k * 1e-12, k as u64 % 2 == 1)
        },
    },
    Lines {
        path: "datafusion/core/tests/data/aggregate_agg_multi_order.csv",
        header: "c1,c2,c3",
        rows: 10,
        row: |i, _| format!("{},{},{}", i + 1, (i + 1) * 10 / 3, i % 4),
    },
    Lines {
        path: "datafusion/core/tests/data/convert_first_last.csv",
        header: "c1,c2,c3",
        rows: 10,
        row: |i, _| format!("{},{},{}", i + 1, 10 - i, i * 2),
    },
    Lines {
        path: "datafusion/core/tests/data/window_1.csv",
        header: "ts,inc_col,desc_col",
        rows: 100,
        row: |i, n| format!("{},{},{}", 262 + i * 4 + n.below(3), 5 + i * 3 + n.below(3), 900 - i * 5 - n.below(4)),
    },
    Lines {
        path: "datafusion/core/tests/data/window_2.csv",
        header: "a0,a,b,c,d",
        rows: 100,
        row: |i, n| format!("1,{},{},{i},{}", i / 50, i / 25, n.below(5)),
    },
    Lines {
        path: "datafusion/core/tests/data/null_cases.csv",
        header: "c1,c2,c3",
        rows: 100,
        row: |i, n| {
            let or_null = |value: u64, keep: bool| if keep { value.to_string() } else { String::new() };
            let (a, b) = (n.below(100), n.below(100));
            format!("{},{},{i}", or_null(a, a % 7 != 0), or_null(b, b % 11 != 0))
        },
    },
    Lines {
        path: "datafusion/core/tests/data/decimal_data.csv",
        header: "c1,c2,c3,c4,c5",
        rows: 15,
        row: |i, n| {
            let k = (i as f64 * 2.0).sqrt().floor() as u64 + 1;
            format!("0.{k:05},{:e},{k},{},{}.{k:06}", k as f64 * 1e-12, n.below(2) == 0, n.below(3))
        },
    },
    Lines {
        path: "datafusion/core/tests/data/timestamps.csv",
        header: "name,ts",
        rows: 10,
        row: |i, n| format!("{},{}T{:02}:30:00", ["Jorge", "Andy", "Ada"][n.below(3) as usize], date(i * 40), i),
    },
    Lines {
        path: "datafusion/core/tests/data/partitioned_csv/partition-0.csv",
        header: "",
        rows: 11,
        row: partition::<0>,
    },
    Lines {
        path: "datafusion/core/tests/data/partitioned_csv/partition-1.csv",
        header: "",
        rows: 11,
        row: partition::<1>,
    },
    Lines {
        path: "datafusion/core/tests/data/partitioned_csv/partition-2.csv",
        header: "",
        rows: 11,
        row: partition::<2>,
    },
    Lines {
        path: "datafusion/core/tests/data/partitioned_csv/partition-3.csv",
        header: "",
        rows: 11,
        row: partition::<3>,
    },
    Lines {
        path: "datafusion/core/tests/data/recursive_cte/balance.csv",
        header: "time,name,account_balance",
        rows: 10,
        row: |i, _| format!("{},{},{}", i / 5 + 1, ["John", "Jane", "Ada", "Tim", "Eve"][i as usize % 5], 100 + i * 10),
    },
    Lines {
        path: "datafusion/core/tests/data/recursive_cte/growth.csv",
        header: "name,account_growth",
        rows: 5,
        row: |i, _| format!("{},{}", ["John", "Jane", "Ada", "Tim", "Eve"][i as usize % 5], 3 + i),
    },
    Lines {
        path: "datafusion/core/tests/data/recursive_cte/prices.csv",
        header: "Index,product,price,prices_row_num",
        rows: 20,
        row: |i, n| format!("{},{},{}.5,{}", i + 1, ["Holden", "Mercedes"][i as usize % 2], n.below(500), i + 1),
    },
    Lines {
        path: "datafusion/core/tests/data/recursive_cte/sales.csv",
        header: "region_id,salesperson_id,sale_amount",
        rows: 12,
        row: |i, n| format!("{},{},{}", 101 + i % 3, 1 + i % 6, 100 + n.below(900)),
    },
    Lines {
        path: "datafusion/core/tests/data/recursive_cte/salespersons.csv",
        header: "salesperson_id,manager_id",
        rows: 6,
        row: |i, _| format!("{},{}", i + 1, i.div_ceil(2)),
    },
    Lines {
        path: "datafusion/core/tests/tpch-csv/customer.csv",
        header: "c_custkey,c_name,c_address,c_nationkey,c_phone,c_acctbal,c_mktsegment,c_comment",
        rows: 9,
        row: |i, n| {
            let (nation, cents) = (n.below(25), n.below(900_000));
            let segment = ["BUILDING", "MACHINERY", "AUTOMOBILE"][n.below(3) as usize];
            format!(
                "{},Customer#{i:09},street {i},{nation},{}-100-{i:03},{},{segment},words {i}",
                i + 1,
                nation + 10,
                money(cents)
            )
        },
    },
    Lines {
        path: "datafusion/core/tests/tpch-csv/orders.csv",
        header: "o_orderkey,o_custkey,o_orderstatus,o_totalprice,o_orderdate,o_orderpriority,o_clerk,o_shippriority,o_comment",
        rows: 10,
        row: |i, n| {
            let (customer, cents) = (n.below(9) + 1, n.below(20_000_000));
            format!("{},{customer},O,{},{},5-LOW,Clerk#{i:09},0,words {i}", i + 1, money(cents), date(i * 100))
        },
    },
    Lines {
        path: "datafusion/core/tests/tpch-csv/lineitem.csv",
        header: "l_orderkey,l_partkey,l_suppkey,l_linenumber,l_quantity,l_extendedprice,l_discount,l_tax,l_returnflag,\
                 l_linestatus,l_shipdate,l_commitdate,l_receiptdate,l_shipinstruct,l_shipmode,l_comment",
        rows: 20,
        row: |i, n| {
            let (part, quantity, cents) = (n.below(10) + 1, n.below(50) + 1, n.below(9_000_000));
            let mode = ["AIR", "AIR REG", "TRUCK"][n.below(3) as usize];
            format!(
                "{},{part},{},{},{quantity},{},0.04,0.02,N,O,{},{},{},DELIVER IN PERSON,{mode},words {i}",
                i / 2 + 1,
                n.below(10) + 1,
                i % 2 + 1,
                money(cents),
                date(i),
                date(i + 9),
                date(i + 20),
            )
        },
    },
    Lines {
        path: "datafusion/core/tests/tpch-csv/part.csv",
        header: "p_partkey,p_name,p_mfgr,p_brand,p_type,p_size,p_container,p_retailprice,p_comment",
        rows: 10,
        row: |i, n| {
            let (brand, size, cents) = (n.below(55), n.below(50) + 1, n.below(200_000));
            format!(
                "{},part {i},Manufacturer#1,Brand#{brand},SMALL STEEL,{size},SM CASE,{},words {i}",
                i + 1,
                money(cents)
            )
        },
    },
];

/// Generates the numbers of a fixed sequence.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ (self.0 >> 29)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }
}

/// Returns a row of DataFusion's `aggregate_test_100`: signed and unsigned integers of every width, both float types,
/// and text.
fn aggregate(n: &mut Numbers) -> String {
    let c1 = ["a", "b", "c", "d", "e"][n.below(5) as usize];
    let (c2, c3, c4) = (n.below(5) + 1, n.next() as i8, n.next() as i16);
    let (c5, c6) = (n.next() as i32, (n.next() ^ (n.next() << 32)) as i64);
    let (c7, c8, c9) = (n.next() as u8, n.next() as u16, (n.next() >> 7) as u32);
    let (c10, c11, c12) =
        (n.next() ^ (n.next() << 32), n.below(1 << 24) as f32 / 16_777_216.0, n.below(1 << 40) as f64);
    let c13: String =
        (0..30).map(|_| char::from(b"abcdefghijkLMNOPQRSTUVWXYZ0123456789"[n.below(36) as usize])).collect();
    format!("{c1},{c2},{c3},{c4},{c5},{c6},{c7},{c8},{c9},{c10},{c11},{},{c13}", c12 / 1_099_511_627_776.0)
}

fn partition<const N: u64>(i: u64, _: &mut Numbers) -> String {
    format!("{N},{i},{}", i.is_multiple_of(2))
}

/// Returns the date `days` days after 2019-01-01, with months of 28 days.
fn date(days: u64) -> String {
    format!("{}-{:02}-{:02}", 2019 + days / 336, days / 28 % 12 + 1, days % 28 + 1)
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Writes all synthetic files below `root`.
pub fn write(root: &Path) -> io::Result<()> {
    for (seed, file) in (1..).zip(FILES) {
        let mut numbers = Numbers(seed * 0x9e37_79b9);
        let header = Some(file.header.to_string()).filter(|header| !header.is_empty());
        let rows = (0..file.rows).map(|row| (file.row)(row, &mut numbers));
        let lines: Vec<String> = header.into_iter().chain(rows).collect();
        let path = root.join(file.path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(path, lines.join("\n") + "\n")?;
    }
    let path = root.join("parquet-testing/data/alltypes_plain.parquet");
    fs::create_dir_all(path.parent().unwrap_or(root))?;
    all_types(&path).map_err(io::Error::other)
}

/// Writes eight rows of every type, as in the file of that name: ids out of order, dates months apart.
fn all_types(path: &Path) -> datafusion::error::Result<()> {
    let ids = [4, 5, 6, 7, 2, 3, 0, 1];
    let int = |f: fn(i32) -> i32| Arc::new(Int32Array::from_iter_values(ids.map(f))) as ArrayRef;
    let bytes = |f: fn(i32) -> String| Arc::new(BinaryArray::from_iter_values(ids.map(f))) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", int(|i| i)),
        ("bool_col", Arc::new(BooleanArray::from_iter(ids.map(|i| Some(i % 2 == 0))))),
        ("tinyint_col", int(|i| i % 2)),
        ("smallint_col", int(|i| i % 2)),
        ("int_col", int(|i| i % 2)),
        ("bigint_col", Arc::new(Int64Array::from_iter_values(ids.map(|i| i64::from(i % 2) * 10)))),
        ("float_col", Arc::new(Float32Array::from_iter_values(ids.map(|i| (i % 2) as f32 * 1.1)))),
        ("double_col", Arc::new(Float64Array::from_iter_values(ids.map(|i| f64::from(i % 2) * 10.1)))),
        ("date_string_col", bytes(|i| format!("{:02}/01/09", i / 2 + 1))),
        ("string_col", bytes(|i| (i % 2).to_string())),
        (
            "timestamp_col",
            Arc::new(TimestampNanosecondArray::from_iter_values(
                ids.map(|i| (1_230_768_000 + i64::from(i / 2) * 2_678_400 + i64::from(i % 2) * 60) * 1_000_000_000),
            )),
        ),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))?;
    let mut writer = ArrowWriter::try_new(fs::File::create(path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}
