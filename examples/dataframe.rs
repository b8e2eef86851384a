//! DataFusion's DataFrame API on the device, over TPC-H's lineitem: `cargo run --example dataframe`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{avg, count, sum};
use datafusion::prelude::{col, lit};
use parallax::session::Session;
use parallax::tpch::Table;

#[tokio::main]
async fn main() -> Result<()> {
    run().await
}

pub async fn run() -> Result<()> {
    // Under `always`, an operator that cannot run on the device is an error that says why.
    let session = Session::builder().set("xla.placement", "always").build()?;

    // 6,005 rows of lineitem.
    let batches = Table::Lineitem.part(0.001, 1, 1).collect::<Result<Vec<RecordBatch>, _>>()?;
    let table = MemTable::try_new(batches[0].schema(), vec![batches])?;
    session.context().register_table("lineitem", Arc::new(table))?;

    let frame = session
        .table("lineitem")
        .await?
        .filter(col("l_quantity").lt_eq(lit(10)).and(col("l_shipmode").in_list(vec![lit("AIR"), lit("RAIL")], false)))?
        .aggregate(
            vec![col("l_returnflag")],
            vec![
                count(lit(1)).alias("lines"),
                sum(col("l_extendedprice") * (lit(1) - col("l_discount"))).alias("revenue"),
                avg(col("l_quantity")).alias("quantity"),
            ],
        )?
        .sort(vec![col("l_returnflag").sort(true, false)])?;

    let plan = pretty_format_batches(&frame.clone().explain(false, false)?.collect().await?)?.to_string();
    println!("{plan}\n");
    assert!(plan.contains("XlaAggregateExec") && plan.contains("XlaFilterExec"), "both run on the device:\n{plan}");

    let text = pretty_format_batches(&frame.collect().await?)?.to_string();
    println!("{text}");
    let expected = [
        "+--------------+-------+-------------+----------+",
        "| l_returnflag | lines | revenue     | quantity |",
        "+--------------+-------+-------------+----------+",
        "| A            | 98    | 556858.9949 | 5.938775 |",
        "| N            | 175   | 978243.8797 | 5.834285 |",
        "| R            | 80    | 399125.1036 | 5.237500 |",
        "+--------------+-------+-------------+----------+",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    Ok(())
}
