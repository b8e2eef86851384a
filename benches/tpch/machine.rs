//! What a figure depends on and the code does not say: the processor, the memory, the commit, the day.

use std::path::Path;
use std::process::Command;

/// The processor, where the system says.
pub fn processor() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    format!("{} ({})", model.trim_start_matches([' ', '\t', ':']), std::env::consts::ARCH)
}

/// Threads that every engine gets: one for each core.
pub fn threads() -> usize {
    parallax::cores::cores()
}

/// GiB of memory that the machine has.
pub fn memory_gib() -> f64 {
    memory("MemTotal:")
}

/// GiB that could be had now without swapping.
pub fn free_memory_gib() -> f64 {
    memory("MemAvailable:")
}

fn memory(field: &str) -> f64 {
    let about = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = about.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
    kib / f64::from(1 << 20)
}

/// The XLA that was linked, by the name of its folder (scripts/fetch-xla).
pub fn xla_version() -> String {
    let folder = std::env::var("XLA_EXTENSION_DIR").unwrap_or_default();
    Path::new(&folder).file_name().map_or("unknown".to_string(), |name| name.to_string_lossy().into_owned())
}

/// The commit that was built, with `+` where files differ from it.
pub fn revision() -> String {
    match (output("git", &["rev-parse", "--short", "HEAD"]), output("git", &["status", "--porcelain", "-uno"])) {
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => format!("{commit}+"),
        _ => "unknown".to_string(),
    }
}

/// The day, as 2026-11-21.
pub fn date() -> String {
    output("date", &["-u", "+%F"]).unwrap_or_else(|| "an unknown day".to_string())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}
