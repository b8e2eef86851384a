//! Adds Parallax to a program that uses DataFusion, with one line: `cargo run --example embed`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use parallax::session::SessionStateBuilderExt;

#[tokio::main]
async fn main() -> Result<()> {
    run().await
}

pub async fn run() -> Result<()> {
    // The existing program has its own configuration, catalog, functions and rules.
    let config = SessionConfig::new().with_batch_size(4096);
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();

    // The one line that is new.
    let builder = builder.with_parallax()?;

    let context = SessionContext::new_with_state(builder.build());

    // From here on everything is as before, but operators run on the device where possible.
    context.sql("CREATE TABLE points AS VALUES (1, 0.5), (2, 1.5), (3, NULL), (4, 4.0)").await?.collect().await?;
    let sql = "SELECT count(column2) AS n, sum(column2 * column1) AS weighted FROM points WHERE column1 > 1";
    let text = pretty_format_batches(&context.sql(sql).await?.collect().await?)?.to_string();
    println!("{sql}\n\n{text}\n");

    let expected = ["+---+----------+", "| n | weighted |", "+---+----------+", "| 2 | 19.0     |", "+---+----------+"];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);

    // EXPLAIN shows where each operator runs, and why an operator stays on the host.
    let sql = "EXPLAIN SELECT column1 FROM points WHERE column1 > 1 ORDER BY column2";
    let text = pretty_format_batches(&context.sql(sql).await?.collect().await?)?.to_string();
    println!("{sql}\n\n{text}");
    assert!(text.contains("XlaFilterExec"), "the filter runs on the device:\n{text}");
    Ok(())
}
