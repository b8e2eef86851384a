//! Fuzzing of deep and long statements, up to a megabyte of text: each gives rows or a clear error in bounded time, and none ends the
//! process.
//!
//! ```text
//! make fuzz-deep                                              2,000 statements, which `make fuzz` runs, too
//! make fuzz-deep PARALLAX_FUZZ_SEED=4711 PARALLAX_FUZZ_CASES=1    one of them again; it is printed if it is short
//! cargo test --test differential -- --ignored --exact deep::growth --nocapture    how the time of each shape grows
//! ```

mod growth;
mod statement;

use std::time::{Duration, Instant};

use parallax::session::Session;

use crate::deep::statement::Statement;
use crate::fuzz::random::Random;
use crate::{blocks, runtime};

/// Statements of the ordinary test.
const FEW: u64 = 20;

/// The longest of the ordinary test, and of `make fuzz-deep`.
const SHORT: usize = 20_000;
const LONG: usize = 1_000_000;

/// More than any statement takes in a debug build on two cores.
const LIMIT: Duration = Duration::from_secs(120);

/// What an error that says something never holds.
const INDECENT: [&str; 5] =
    ["panicked", "Internal error", "This issue was likely caused by a bug", "the statement failed", "ParserError("];

#[test]
fn deep_and_long_statements() {
    run(1_000_000, FEW, SHORT);
}

#[test]
#[ignore = "minutes: `make fuzz-deep`"]
fn fuzz() {
    blocks::run("deep::fuzz", 2_000, 100, |first, cases| run(first, cases, LONG));
}

fn run(first: u64, cases: u64, longest: usize) {
    let sessions = ["never", "auto", "always"].map(|placement| {
        let session = Session::builder().set("xla.placement", placement).build().unwrap();
        let table = "CREATE TABLE t(a BIGINT, b INT, x DOUBLE, s VARCHAR) AS VALUES \
                     (1, 10, 0.5, 'x'), (2, 20, 1.5, 'y'), (3, NULL, NULL, NULL)";
        runtime().block_on(session.collect(table)).unwrap();
        (placement, session)
    });
    let (mut rows, mut errors) = (0, 0);
    for case in first..first + cases {
        let statement = Statement::random(&mut Random::of(&[case]), longest);
        let (placement, session) = &sessions[(case % 3) as usize];
        let about = format!("{case}: {} of {} bytes on {placement}", statement.shape, statement.sql.len());
        // If the process ends, this is its last word.
        println!("{about}");
        if cases == 1 && statement.sql.len() < 5_000 {
            println!("{}", statement.sql);
        }
        let start = Instant::now();
        let answer = runtime().block_on(session.collect(&statement.sql));
        let took = start.elapsed();
        match answer {
            Ok(_) => rows += 1,
            Err(error) => {
                errors += 1;
                let error = error.strip_backtrace();
                println!("    {}", error.chars().take(200).collect::<String>());
                let indecent = INDECENT.iter().find(|part| error.contains(**part));
                assert!(
                    indecent.is_none() && error.len() < 3_000,
                    "{about}: {}",
                    error.chars().take(3_000).collect::<String>()
                );
            }
        }
        println!("    {took:?}");
        assert!(took < LIMIT, "{about} took {took:?}");
    }
    println!("{rows} statements gave rows, {errors} an error");
    assert!(rows > 0 || cases < 10, "no statement gave rows");
}
