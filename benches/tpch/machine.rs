//! The environment of a measurement: processor, memory, commit and date.

use std::path::Path;
use std::process::Command;

/// Returns the processor, if the system reports it.
pub fn processor() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    format!("{} ({})", model.trim_start_matches([' ', '\t', ':']), std::env::consts::ARCH)
}

/// Returns the number of threads that every engine gets, which is the number of cores.
pub fn threads() -> usize {
    parallax::cores::cores()
}

/// Returns the machine's memory in GiB.
pub fn memory_gib() -> f64 {
    memory("MemTotal:")
}

/// Returns the memory in GiB that is available without swapping.
pub fn free_memory_gib() -> f64 {
    memory("MemAvailable:")
}

fn memory(field: &str) -> f64 {
    let about = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = about.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
    kib / f64::from(1 << 20)
}

/// Returns the version of the linked XLA, from the name of its folder (scripts/fetch-xla).
pub fn xla_version() -> String {
    let folder = std::env::var("XLA_EXTENSION_DIR").unwrap_or_default();
    Path::new(&folder).file_name().map_or("unknown".to_string(), |name| name.to_string_lossy().into_owned())
}

/// Returns the commit, followed by `+` if files differ from it.
pub fn revision() -> String {
    match (output("git", &["rev-parse", "--short", "HEAD"]), output("git", &["status", "--porcelain", "-uno"])) {
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => format!("{commit}+"),
        _ => "unknown".to_string(),
    }
}

/// Returns the date, as 2026-11-21.
pub fn date() -> String {
    output("date", &["-u", "+%F"]).unwrap_or_else(|| "an unknown day".to_string())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}
