//! Runs many cases in blocks, each in its own process, which bounds the number of programs that one process compiles.

use std::process::Command;
use std::time::Instant;

use crate::number;

/// Runs `PARALLAX_FUZZ_CASES` cases from `PARALLAX_FUZZ_SEED` on, `all` by default. A block of at most `block` cases runs
/// in this process by `run(first, cases)`; more run as processes of this same test.
pub fn run(test: &str, all: u64, block: u64, run: impl FnOnce(u64, u64)) {
    let first = number("PARALLAX_FUZZ_SEED").unwrap_or(0);
    let cases = number("PARALLAX_FUZZ_CASES").unwrap_or(all);
    if cases <= block {
        return run(first, cases);
    }
    let start = Instant::now();
    let mut failed = Vec::new();
    let mut at = first;
    while at < first + cases {
        // Blocks begin with a shape.
        let next = ((at / block + 1) * block).min(first + cases);
        let status = Command::new(std::env::current_exe().expect("the path of this test"))
            .args(["--ignored", "--exact", test, "--nocapture", "--quiet"])
            .env("PARALLAX_FUZZ_SEED", at.to_string())
            .env("PARALLAX_FUZZ_CASES", (next - at).to_string())
            .status()
            .expect("a process for a block of cases");
        if !status.success() {
            failed.push(format!("{at} to {}: {status}", next - 1));
        }
        at = next;
        let seconds = start.elapsed().as_secs_f64();
        let done = at - first;
        eprintln!("{done} of {cases} cases, {:.0} a second, {} blocks failed", done as f64 / seconds, failed.len());
    }
    assert!(failed.is_empty(), "blocks of cases that failed (the failures are above):\n{}", failed.join("\n"));
}
