//! Runs the program and looks at what comes out.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

/// The cache of every test that only reads: TPC-H at scale factor 0.001, kept between runs.
pub static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli");
    parallax::tpch::ensure(&cache.join("tpch/sf0.001"), 0.001, &|_| ()).unwrap();
    cache
});

#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn command(cache: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.args(args).env("PARALLAX_CACHE", cache).env_remove("XDG_CACHE_HOME");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn finish(mut child: Child, input: &str) -> Ran {
    // A program that leaves without reading its input is no failure of the test.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn run_in(cache: &Path, args: &[&str], input: &str) -> Ran {
    finish(command(cache, args).spawn().unwrap(), input)
}

/// Runs on the small TPC-H data.
pub fn run(args: &[&str], input: &str) -> Ran {
    run_in(&CACHE, &[&["--scale", "0.001"], args].concat(), input)
}

/// Runs on a folder of these files.
pub fn run_on(files: &[(&str, &str)], args: &[&str], input: &str) -> Ran {
    let dir = folder(files);
    run_in(&CACHE, &[&["--data", dir.path().to_str().unwrap()], args].concat(), input)
}

pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// A small file.
pub const SALES: (&str, &str) = ("sales.csv", "region,amount\nnorth,10\nsouth,2.5\n,7\n");

#[track_caller]
pub fn check_ok(ran: Ran, out: &str) {
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), out, ""));
}

/// Exit code 1, no output, and one line on stderr that holds all of `parts`.
#[track_caller]
pub fn check_error(ran: Ran, parts: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    check_error_line(&ran.err, parts);
}

#[track_caller]
pub fn check_error_line(err: &str, parts: &[&str]) {
    assert!(err.starts_with("error: ") && err.ends_with('\n') && err.lines().count() == 1, "{err}");
    for part in parts {
        assert!(err.contains(part), "no '{part}' in {err}");
    }
}
