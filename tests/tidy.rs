//! The rules that keep the code as it is meant to be and that neither rustc nor clippy can hold: who may import whom, what every
//! file opens with, and how long it may grow. Each failure names file and line and says what to do. (What no file may do is in
//! `[lints]` of Cargo.toml.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The modules of `src/`, lowest first. A module imports from the rows above it, never from its own row or below.
const LAYERS: &[&[&str]] = &[
    &["cache_dir", "config", "cores", "elementary", "error", "host_functions", "program"],
    &["hlo", "runtime", "frontend", "large_stack"],
    &["columnar"],
    &["kernels"],
    &["expr"],
    &["exec"],
    &["planner"],
    &["calibration", "plan", "tables", "tpch"],
    &["plan_cache", "statement"],
    &["session"],
    &["dataframe"],
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
        allowed: |module| !["elementary", "hlo", "kernels", "program"].contains(&module),
        why: "elementary, hlo, kernels and program know no DataFusion; pass what they need as their own types",
    },
];

/// The rooms of `src/expr/` (its folders and the files beside them), lowest floor first. A file uses files of its own room
/// and of the floors below, by import or by calling a method that another file adds to a type.
const FLOORS_OF_EXPR: &[&[&str]] =
    &[&["fallback", "ir"], &["tracer"], &["time"], &["lower"], &["functions"], &["convert"]];

/// The rooms of `src/exec/`, lowest first.
const FLOORS_OF_EXEC: &[&[&str]] = &[
    &["fallback_error", "shape_hash", "state", "strategy"],
    &["required_encodings", "scan", "trace"],
    &["run"],
    &["device_operator"],
    &["device_exec", "step_operator"],
    &["runtime_filter", "spill"],
    &["open", "operator"],
    &["placement"],
    &["boundary"],
];

/// Files that may reach each other in a circle.
const LARGEST_CIRCLE: usize = 3;

/// Methods of the standard library: a call of one says nothing, even where a type of ours has a method of that name.
const OF_STD: &[&str] = &["clone", "collect", "get", "insert", "is_empty", "iter", "len", "next", "push", "take"];

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
    let test_only: Vec<String> = all.iter().flat_map(test_only_modules).collect();
    let is_test_only = |path: &str| {
        test_only
            .iter()
            .any(|module| path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')))
    };
    all.into_iter().filter(|source| source.path.starts_with("src/") && !is_test_only(&source.path)).collect()
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
fn folders_of_expr_form_floors() {
    let complaints = floors("expr", FLOORS_OF_EXPR);
    check("the folders of src/expr use only floors below (the floors are in tests/tidy.rs)", complaints);
}

#[test]
fn folders_of_exec_form_floors() {
    let complaints = floors("exec", FLOORS_OF_EXEC);
    check("the folders of src/exec use only floors below (the floors are in tests/tidy.rs)", complaints);
}

/// Memory is a policy: it reads what an operator declares, and no operator asks for it.
#[test]
fn operators_know_no_memory_modes() {
    let mut complaints = Vec::new();
    for source in library().iter().filter(|source| source.path.starts_with("src/exec/operator/")) {
        for (number, line) in source.code() {
            if ["MemoryMode", "memory_mode", "engine.mode", "exec::spill"].iter().any(|word| line.contains(word)) {
                complaints.push(format!("{}:{number}: declare what the operator needs in its row scope", source.path));
            }
        }
    }
    check("operators know nothing of memory modes", complaints);
}

/// One file uses another: by a path, or by calling a method that the other adds to a type of a third.
struct Use {
    from: usize,
    to: usize,
    line: usize,
    what: String,
}

/// What is wrong with the floors of `src/{module}/`: rooms without one, uses that do not go down, and circles of files.
fn floors(module: &str, floors: &[&[&str]]) -> Vec<String> {
    let folder = format!("src/{module}/");
    let files: Vec<Source> = library().into_iter().filter(|file| file.path.starts_with(&folder)).collect();
    let room = |file: &Source| {
        let inside = &file.path[folder.len()..];
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs").to_string()
    };
    let floor = |room: &str| floors.iter().position(|row| row.contains(&room));
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| room(file) != "mod" && floor(&room(file)).is_none()) {
        complaints.push(format!("{}:1: `{}` has no floor; give it one in tests/tidy.rs", file.path, room(file)));
    }
    let uses = uses(module, &files);
    for Use { from, to, line, what } in &uses {
        let (from, to) = (&files[*from], &files[*to]);
        let (own, theirs) = (room(from), room(to));
        let below = floor(&own).is_none_or(|own| floor(&theirs).is_some_and(|theirs| theirs < own));
        if own != theirs && !below {
            complaints.push(format!(
                "{}:{line}: `{own}` uses `{theirs}` ({what} of {}): it is not below; move what both need down",
                from.path, to.path
            ));
        }
    }
    for circle in circles(files.len(), &uses).into_iter().filter(|circle| circle.len() > LARGEST_CIRCLE) {
        let names: Vec<_> = circle.iter().map(|file| files[*file].path.as_str()).collect();
        complaints.push(format!("{} files reach each other in a circle: {}", circle.len(), names.join(", ")));
        for Use { from, to, line, what } in &uses {
            if circle.contains(from) && circle.contains(to) {
                complaints.push(format!("    {}:{line} uses {what} of {}", files[*from].path, files[*to].path));
            }
        }
    }
    complaints
}

/// Which of the files of `src/{module}/` uses which, once for each thing used.
fn uses(module: &str, files: &[Source]) -> Vec<Use> {
    let root = format!("crate::{module}::");
    let file_of = |path: &[String]| {
        (1..=path.len()).rev().find_map(|n| {
            let inside = path[..n].join("/");
            let names = [format!("src/{module}/{inside}.rs"), format!("src/{module}/{inside}/mod.rs")];
            files.iter().position(|file| names.contains(&file.path))
        })
    };
    let added: Vec<Vec<String>> = files.iter().map(added_methods).collect();
    // A method counts if one file alone adds it.
    let adds = |name: &str| {
        let mut adding = (0..files.len()).filter(|file| added[*file].iter().any(|method| method == name));
        adding.next().filter(|_| adding.next().is_none() && !OF_STD.contains(&name))
    };
    let mut found: Vec<Use> = Vec::new();
    for (from, file) in files.iter().enumerate() {
        let lines: Vec<_> = file.code_before_tests().collect();
        for (at, (line, _)) in lines.iter().enumerate() {
            // A path may go on over lines; one that begins on a later line is found there.
            let paths = paths(&lines[at..], &root).into_iter();
            let imported = paths.filter_map(|path| Some((file_of(&path)?, format!("`{}`", path.join("::")))));
            let called = called_methods(lines[at].1).filter_map(|name| Some((adds(name)?, format!("method `{name}`"))));
            for (to, what) in imported.chain(called) {
                let known = found.iter().any(|used| used.from == from && used.to == to && used.what == what);
                if to != from && !known {
                    found.push(Use { from, to, line: *line, what });
                }
            }
        }
    }
    found
}

/// The paths after `root` that begin on the first of `lines`: two of `crate::a::{b::C, d}`, for `root` `crate::a::`.
fn paths(lines: &[(usize, &str)], root: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let Some((_, first)) = lines.first() else { return found };
    for (at, _) in first.match_indices(root) {
        let rest: Vec<&str> =
            std::iter::once(&first[at + root.len()..]).chain(lines[1..].iter().map(|(_, line)| *line)).collect();
        let text = if rest[0].contains('{') { rest.join(" ") } else { rest[0].to_string() };
        path_tree(&text, &mut Vec::new(), &mut found);
    }
    found
}

/// Reads `a::{b, c::D}` as paths; what follows is ignored.
fn path_tree(text: &str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let mut depth = 1;
        let end = group.find(|c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        let mut depth = 0;
        let parts = group[..end.unwrap_or(group.len())].split(|c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        parts.filter(|part| !part.trim().is_empty()).for_each(|part| path_tree(part, before, found));
        return;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    before.push(text[..end].to_string());
    match text[end..].strip_prefix("::") {
        Some(rest) => path_tree(rest, before, found),
        None => found.push(before.clone()),
    }
    before.pop();
}

/// The methods that a file adds to types that it does not define.
fn added_methods(file: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut adding = false;
    for (_, line) in file.code_before_tests() {
        if let Some(header) = line.strip_prefix("impl") {
            // After the parameters of `impl<'a, T>`.
            let header = match header.strip_prefix('<').and_then(|header| header.split_once("> ")) {
                Some((_, header)) => header,
                None => header,
            };
            let name = words(header).find(|word| !word.is_empty()).unwrap_or_default();
            let defines = ["struct", "enum", "union", "trait"].iter().any(|keyword| {
                file.code().any(|(_, line)| words(line).zip(words(line).skip(1)).any(|pair| pair == (*keyword, name)))
            });
            adding = !header.contains(" for ") && !defines;
        } else if line.starts_with('}') {
            adding = false;
        } else if adding && line.starts_with("    ") && !line.starts_with("     ") {
            let after = words(line).skip_while(|word| *word != "fn").nth(1);
            found.extend(after.map(str::to_string));
        }
    }
    found
}

/// The names of the methods that a line calls.
fn called_methods(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices('.').filter_map(|(at, _)| {
        let rest = &line[at + 1..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        (end > 0 && (rest[end..].starts_with('(') || rest[end..].starts_with("::<"))).then_some(&rest[..end])
    })
}

/// The sets of files of which each reaches every other: strongly connected components of more than one file.
fn circles(n_files: usize, uses: &[Use]) -> Vec<Vec<usize>> {
    let reached_from = |start: usize| {
        let mut reached = vec![false; n_files];
        let mut open = vec![start];
        while let Some(file) = open.pop() {
            for used in uses.iter().filter(|used| used.from == file) {
                if !std::mem::replace(&mut reached[used.to], true) {
                    open.push(used.to);
                }
            }
        }
        reached
    };
    let reached: Vec<Vec<bool>> = (0..n_files).map(reached_from).collect();
    let circle_of = |file: usize| -> Vec<usize> {
        (0..n_files).filter(|other| reached[file][*other] && reached[*other][file]).collect()
    };
    (0..n_files)
        .map(circle_of)
        .enumerate()
        .filter(|(file, circle)| circle.len() > 1 && circle[0] == *file)
        .map(|(_, circle)| circle)
        .collect()
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

/// The modules that a file declares as `#[cfg(test)] mod name;`, as paths without `.rs`.
fn test_only_modules(parent: &Source) -> Vec<String> {
    let lines: Vec<_> = parent.code().map(|(_, line)| line.trim()).collect();
    let declared = lines
        .windows(2)
        .filter(|pair| pair[0] == "#[cfg(test)]")
        .filter_map(|pair| pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ")?.strip_suffix(';'));
    let folder = match parent.path.strip_suffix("/mod.rs").or(parent.path.strip_suffix("/lib.rs")) {
        Some(folder) => folder,
        None => parent.path.trim_end_matches(".rs"),
    };
    declared.map(|name| format!("{folder}/{name}")).collect()
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

#[test]
fn circles_count_imports_and_methods() {
    let file = |name: &str, text: &str| Source { path: format!("src/m/{name}"), text: text.to_string() };
    let files = [
        file(
            "engine.rs",
            "use crate::m::{\n    plan::{self, Plan},\n};\nstruct Engine;\nfn f(e: &Engine) {\n    e.join();\n}\n",
        ),
        file("plan.rs", "pub struct Plan;\n#[cfg(test)]\nmod tests {\n    use crate::m::join;\n}\n"),
        file("join.rs", "use crate::m::engine::Engine;\nimpl Engine {\n    pub fn join(&self) {}\n}\n"),
    ];
    let uses = uses("m", &files);
    let pairs: Vec<_> = uses.iter().map(|used| (used.from, used.to, used.line)).collect();
    assert_eq!(pairs, [(0, 1, 1), (0, 1, 1), (0, 2, 6), (2, 0, 1)]);
    assert_eq!(circles(files.len(), &uses), [vec![0, 2]]);
}
