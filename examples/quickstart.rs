//! A session, an in-memory table and a query: `cargo run --example quickstart`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use datafusion::arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::Result;
use parallax::session::Session;

#[tokio::main]
async fn main() -> Result<()> {
    run().await
}

pub async fn run() -> Result<()> {
    // A session on the CPU. `Session::builder()` selects another device, several devices, or other options.
    let session = Session::new()?;

    // Any DataFusion table works: Parquet and CSV files through `session.register_path`, or Arrow batches as here.
    let sales = RecordBatch::try_from_iter([
        ("city", Arc::new(StringArray::from(vec!["Oslo", "Bergen", "Oslo", "Tromsø", "Bergen", "Oslo"])) as _),
        ("units", Arc::new(Int64Array::from(vec![3, 5, 2, 7, 1, 4])) as _),
        ("price", Arc::new(Float64Array::from(vec![10.0, 12.5, 11.0, 9.0, 20.0, 10.5])) as _),
    ])?;
    session.context().register_batch("sales", sales)?;

    // The filter, the arithmetic and the aggregates run on the device, in one XLA program.
    let sql = "SELECT city, count(*) AS sales, sum(units * price) AS revenue FROM sales \
               WHERE units > 1 GROUP BY city ORDER BY city";
    let text = pretty_format_batches(&session.collect(sql).await?)?.to_string();
    println!("{sql}\n\n{text}");

    let expected = [
        "+--------+-------+---------+",
        "| city   | sales | revenue |",
        "+--------+-------+---------+",
        "| Bergen | 1     | 62.5    |",
        "| Oslo   | 3     | 94.0    |",
        "| Tromsø | 1     | 63.0    |",
        "+--------+-------+---------+",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    Ok(())
}
