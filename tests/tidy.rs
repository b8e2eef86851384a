//! The rules that keep the code as it is meant to be: who may import whom, what every file opens with, how long it may
//! grow, and what no file may do. Each failure names file and line and says what to do.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The modules of `src/`, lowest first. A module imports from the rows above it, never from its own row or below.
const LAYERS: &[&[&str]] = &[
    &["cache_dir", "config", "cores", "error", "host_functions", "program"],
    &["hlo", "runtime"],
    &["columnar"],
    &["kernels"],
    &["expr"],
    &["exec"],
    &["planner"],
    &["calibration", "plan_cache", "statement", "tables", "tpch"],
    &["session"],
    &["dataframe", "sample"],
    &["shell"],
    &["cli"],
    &["main"],
];

/// Imports that the layers would allow and the design does not: `(module, what it may not see, why)`.
const NEVER: &[(&str, &str, &str)] = &[
    ("kernels", "columnar", "kernels are written in HLO and know no encodings"),
    ("kernels", "runtime", "kernels are text; they run nothing"),
    ("expr", "runtime", "expressions are traced, not run"),
    ("planner", "runtime", "the planner never sees a device"),
];

/// Crates that only some modules may use.
struct ForeignCrate {
    name: &'static str,
    allowed: fn(&str) -> bool,
    why: &'static str,
}

const FOREIGN: &[ForeignCrate] = &[
    ForeignCrate {
        name: "xla",
        allowed: |module| module == "runtime",
        why: "only runtime talks to XLA; ask it for what is missing",
    },
    ForeignCrate {
        name: "datafusion",
        allowed: |module| !["hlo", "kernels", "program"].contains(&module),
        why: "hlo, kernels and program know no DataFusion; pass what they need as their own types",
    },
];

const MOST_LINES: usize = 700;

/// A file of the crate.
struct Source {
    /// Relative to the crate's root, with forward slashes.
    path: String,
    text: String,
}

impl Source {
    /// The module below `src/` that the file belongs to.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let name = inside.split('/').next()?;
        Some(name.strip_suffix(".rs").unwrap_or(name))
    }

    /// Lines with their numbers, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// As [`Source::code`], up to the tests at the end of the file.
    fn code_before_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<_> = self.code().collect();
        // `#[cfg(test)] mod tests {` ends the code; `#[cfg(test)] mod goldens;` does not.
        let end = lines.windows(2).position(|pair| {
            pair[0].1.trim() == "#[cfg(test)]" && pair[1].1.contains("mod ") && !pair[1].1.trim_end().ends_with(';')
        });
        let end = end.unwrap_or(lines.len());
        lines.into_iter().take(end)
    }
}

/// The files of `src/` that are compiled into the library: no test-only modules.
fn library() -> Vec<Source> {
    let all = sources();
    let test_only: Vec<_> = all.iter().map(|source| is_test_only(source, &all)).collect();
    let kept =
        all.into_iter().zip(test_only).filter(|(source, test_only)| source.path.starts_with("src/") && !test_only);
    kept.map(|(source, _)| source).collect()
}

/// Every .rs file of the crate.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "sql-tests", "benches", "examples", "tests"].map(|f| root.join(f)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                let path = path.strip_prefix(root).expect("a path below the root").to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Fails with every complaint at once.
fn check(rule: &str, complaints: Vec<String>) {
    let mut text = String::new();
    for complaint in &complaints {
        let _ = writeln!(text, "{complaint}");
    }
    assert!(complaints.is_empty(), "{rule}\n\n{text}");
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// The first path segments after `root::` in a line: one of `crate::exec::x`, more of `crate::{exec, hlo::y}`.
fn segments<'a>(line: &'a str, root: &str) -> Vec<&'a str> {
    let identifier = |text: &'a str| {
        let text = text.trim_start();
        &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
    };
    let mut found = Vec::new();
    for (at, _) in line.match_indices(root) {
        // `datafusion::` is not the end of `parallax_datafusion::`, and `crate::` not that of `$crate::`.
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &line[at + root.len()..];
        match rest.strip_prefix('{') {
            None => found.push(identifier(rest)),
            Some(group) => {
                let mut depth = 0;
                let parts = group.split(|c: char| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    c == ',' && depth == 0
                });
                found.extend(parts.map(identifier).filter(|name| !name.is_empty()));
            }
        }
    }
    found
}

#[test]
fn imports_go_down_only() {
    let mut complaints = Vec::new();
    for source in library() {
        let Some(module) = source.module().filter(|module| *module != "lib") else { continue };
        let Some(own) = layer(module) else {
            complaints.push(format!("{}:1: module `{module}` has no layer; give it one in tests/tidy.rs", source.path));
            continue;
        };
        for (number, line) in source.code() {
            let roots: &[&str] = if module == "main" { &["crate::", "parallax::"] } else { &["crate::"] };
            for used in roots.iter().flat_map(|root| segments(line, root)) {
                if used == module || layer(used).is_none() {
                    continue;
                }
                let below = layer(used).is_some_and(|theirs| theirs < own);
                let never = NEVER.iter().find(|(from, to, _)| *from == module && *to == used);
                let why = match (below, never) {
                    (true, None) => continue,
                    (true, Some((_, _, why))) => *why,
                    (false, _) => "it is not below; move what both need down",
                };
                complaints.push(format!("{}:{number}: `{module}` imports `{used}`: {why}", source.path));
            }
        }
    }
    check("imports go down only (the layers are in tests/tidy.rs and in docs/architecture.md)", complaints);
}

#[test]
fn crates_stay_where_they_belong() {
    let mut complaints = Vec::new();
    for source in library() {
        let Some(module) = source.module().filter(|module| *module != "lib") else { continue };
        for (number, line) in source.code() {
            for ForeignCrate { name, allowed, why } in FOREIGN {
                let used = !segments(line, &format!("{name}::")).is_empty();
                if used && !allowed(module) {
                    complaints.push(format!("{}:{number}: `{module}` uses the crate `{name}`: {why}", source.path));
                }
            }
        }
    }
    check("some crates belong to some modules", complaints);
}

#[test]
fn every_file_opens_with_what_it_is() {
    let complaints = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{}:1: open the file with a `//!` line that says what it is", source.path))
        .collect();
    check("the first line of a file says what it is", complaints);
}

#[test]
fn files_stay_short() {
    let complaints = sources()
        .iter()
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(source, lines)| {
            format!("{}:{MOST_LINES}: {lines} lines; split it by what it does (aim for 400)", source.path)
        })
        .collect();
    check("no file is longer than 700 lines", complaints);
}

#[test]
fn raw_code_stays_in_runtime() {
    let mut complaints = Vec::new();
    let keyword = "unsafe";
    for source in library().iter().filter(|source| !source.path.starts_with("src/runtime/")) {
        for (number, line) in source.code() {
            if words(line).any(|word| word == keyword) {
                complaints.push(format!("{}:{number}: `{keyword}` belongs below src/runtime/", source.path));
            }
        }
    }
    check("what the compiler cannot check is in one place", complaints);
}

#[test]
fn imports_are_named() {
    let mut complaints = Vec::new();
    // Spelt in two halves, so that this file does not find itself.
    let glob = concat!("use super", "::*");
    for source in sources() {
        for (number, line) in source.code().filter(|(_, line)| line.contains(glob)) {
            let line = line.trim();
            complaints.push(format!("{}:{number}: `{line}`: import by full path what is used", source.path));
        }
    }
    check("imports name what they import", complaints);
}

#[test]
fn the_library_does_not_panic() {
    let mut complaints = Vec::new();
    for source in library() {
        for (number, line) in source.code_before_tests() {
            for (found, instead) in [
                (".unwrap()", "return an error, or `unwrap_or_..`"),
                ("panic!(", "return an error"),
                ("todo!(", "write it, or return an error that says what is missing"),
                ("unimplemented!(", "write it, or return an error that says what is missing"),
            ] {
                if line.contains(found) {
                    complaints.push(format!("{}:{number}: `{found}` in the library: {instead}", source.path));
                }
            }
        }
    }
    check("the library returns errors", complaints);
}

/// Whether the file is, or is below, a module that its parent declares as `#[cfg(test)] mod name;`.
fn is_test_only(source: &Source, sources: &[Source]) -> bool {
    sources.iter().any(|parent| {
        let lines: Vec<_> = parent.code().map(|(_, line)| line.trim()).collect();
        let declared = lines
            .windows(2)
            .filter(|pair| pair[0] == "#[cfg(test)]")
            .filter_map(|pair| pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ")?.strip_suffix(';'));
        let folder = match parent.path.strip_suffix("/mod.rs").or(parent.path.strip_suffix("/lib.rs")) {
            Some(folder) => folder,
            None => parent.path.trim_end_matches(".rs"),
        };
        let below = |name: &str| {
            source.path == format!("{folder}/{name}.rs") || source.path.starts_with(&format!("{folder}/{name}/"))
        };
        declared.into_iter().any(below)
    })
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[test]
fn segments_reads_paths_and_groups() {
    assert_eq!(segments("use crate::exec::Node;", "crate::"), ["exec"]);
    assert_eq!(
        segments("use crate::{error::Error, hlo::{self, Builder}, program};", "crate::"),
        ["error", "hlo", "program"]
    );
    assert_eq!(segments("let x: crate::a::B = crate::c();", "crate::"), ["a", "c"]);
    assert!(segments("my_xla::f()", "xla::").is_empty());
    assert!(segments("crate::xla::f()", "xla::").is_empty());
}
