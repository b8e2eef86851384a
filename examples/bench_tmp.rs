//! temporary
use std::sync::Arc;
use std::time::Instant;
use datafusion::datasource::MemTable;
use datafusion::prelude::*;
#[global_allocator]
static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
#[tokio::main]
async fn main() -> datafusion::error::Result<()> {
    let nodf = std::env::var("NODF").is_ok();
    let sf: f64 = std::env::args().nth(1).map_or(1.0, |s| s.parse().unwrap());
    let session = parallax::session::Session::new()?;
    let ctx = SessionContext::new();
    session.register_dir(std::path::Path::new(&format!("/tmp/pc/tpch/sf{sf}"))).await?;
    let batches = session.context().sql("select * from lineitem").await?;
    let _ = session.context().sql("set xla.placement='never'").await?.collect().await?;
    let schema = batches.schema().inner().clone();
    let parts = session.context().sql("select * from lineitem").await?.collect_partitioned().await?;
    let _ = session.context().sql("set xla.placement='always'").await?.collect().await?;
    let t = Arc::new(MemTable::try_new(schema, parts)?);
    ctx.register_table("lineitem", t.clone())?;
    session.context().deregister_table("lineitem")?;
    session.context().register_table("lineitem", t)?;
    for n in [6u8, 1] {
        let sql = std::fs::read_to_string(format!("sql-tests/tpch/q{n:02}.sql"))?;
        let sql = sql.trim().trim_end_matches(';');
        let mut df = vec![]; let mut px = vec![];
        let s = Instant::now(); session.collect(sql).await?; println!("cold {:?}", s.elapsed());
        for _ in 0..9 {
            let s = Instant::now(); if nodf { df.push(0.0) } else { ctx.sql(sql).await?.collect().await?; df.push(s.elapsed().as_secs_f64()*1e3); }
            let s = Instant::now(); let _r = session.collect(sql).await?; px.push(s.elapsed().as_secs_f64()*1e3);
        }
        println!("q{n} df {df:.1?}\n   px {px:.1?}");
        df.sort_by(f64::total_cmp); px.sort_by(f64::total_cmp);
        println!("q{n} best ratio {:.2} median {:.2}", df[0]/px[0], df[4]/px[4]);
        let r = session.collect(&format!("explain analyze {sql}")).await?;
        println!("{}", datafusion::arrow::util::pretty::pretty_format_batches(&r)?);
    }
    Ok(())
}
