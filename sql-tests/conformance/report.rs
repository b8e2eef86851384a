//! Writes docs/conformance.md: the results of the runs by file, and what differs.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::conformance::engine::Run;
use crate::conformance::file::{FileOutcome, RecordOutcome};
use crate::conformance::verdict::{Verdict, verdict};

/// Groups of files that should run on the device, by the prefixes of their names.
const GROUPS: &[(&str, &[&str])] = &[
    ("aggregate", &["aggregate", "agg_func", "count_star", "distinct_on", "min_max/"]),
    ("join", &["join", "sort_merge_join", "nested_loop_join", "lateral_join", "eliminate_outer", "null_aware", "pwmj"]),
    ("order by", &["order", "topk", "subquery_sort"]),
    ("group by", &["group", "grouping", "optimizer_group_by"]),
    ("decimal", &["decimal"]),
    ("date and time", &["datetime/", "date_bin", "to_timestamp"]),
    ("string", &["string/", "strings", "string_numeric"]),
    ("case", &["case", "coalesce", "nullif", "nvl"]),
    ("cte", &["cte"]),
    ("subquery", &["subquery"]),
    ("union", &["union.", "union_by_name", "intersection"]),
    ("limit", &["limit"]),
];

const DEVICE_RUNS: [Run; 2] = [Run::Auto, Run::Device];

/// Sums over the records of one or more files.
#[derive(Default)]
struct Sums {
    records: usize,
    passed: [usize; 4],
    /// Records that pass with plain DataFusion and not with `never`: another plan, something else.
    changed_plans: usize,
    changed: usize,
    failed: usize,
    explain: usize,
    /// Records that also fail with `never` but have the same result in both other runs.
    agree: usize,
    disagree: usize,
    selects: usize,
    with_work: usize,
    device: usize,
    wholly: usize,
    reasons: BTreeMap<String, usize>,
}

impl Sums {
    fn of<'a>(records: impl IntoIterator<Item = &'a RecordOutcome>) -> Self {
        let mut sums = Self::default();
        for record in records {
            sums.add(record);
        }
        sums
    }

    fn add(&mut self, record: &RecordOutcome) {
        self.records += 1;
        for (slot, run) in self.passed.iter_mut().zip(Run::ALL) {
            *slot += usize::from(record.passed(run));
        }
        if record.passed(Run::Plain) && !record.passed(Run::Never) {
            match verdict(record, Run::Never) {
                Verdict::Explain => self.changed_plans += 1,
                _ => self.changed += 1,
            }
        }
        let verdicts = DEVICE_RUNS.map(|run| verdict(record, run));
        let fails = verdicts.iter().any(|v| !matches!(v, Verdict::Same | Verdict::Explain));
        let never_passed = record.passed(Run::Never);
        self.failed += usize::from(fails && never_passed);
        self.explain += usize::from(verdicts.contains(&Verdict::Explain));
        self.agree += usize::from(!never_passed && !fails);
        self.disagree += usize::from(!never_passed && fails);
        if !record.is_select() {
            return;
        }
        self.selects += 1;
        let Some(placed) = record.of(Run::Auto).and_then(|r| r.observed.placed.as_ref()) else { return };
        self.with_work += usize::from(placed.work);
        self.device += usize::from(placed.device_node);
        self.wholly += usize::from(placed.device_node && placed.reasons.is_empty());
        // A record counts once for each reason, however many operators report it.
        let mut reasons = placed.reasons.clone();
        reasons.sort();
        reasons.dedup();
        for reason in reasons {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    fn reasons(&self, most: usize) -> String {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        let rest: usize = reasons.iter().skip(most).map(|(_, n)| **n).sum();
        let mut texts: Vec<_> = reasons.iter().take(most).map(|(reason, n)| format!("{n} {}", cell(reason))).collect();
        if rest > 0 {
            texts.push(format!("{rest} others"));
        }
        texts.join("; ")
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn percent(part: usize, whole: usize) -> String {
    if whole == 0 { "-".to_string() } else { format!("{:.1} %", 100.0 * part as f64 / whole as f64) }
}

/// Counts the records that pass with `never` and fail in another run.
pub fn regressions(files: &[FileOutcome]) -> usize {
    Sums::of(files.iter().flat_map(|f| &f.records)).failed
}

/// Returns the table of files.
pub fn table(files: &[FileOutcome]) -> String {
    let mut out = String::from(
        "| file | records | plain | never | auto | device | fail | other plan | agree | disagree | SELECT | with work | device | wholly | reasons |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
    );
    let mut row = |name: &str, s: &Sums, most: usize| {
        let [plain, never, auto, device] = s.passed;
        let _ = writeln!(
            out,
            "| {name} | {} | {plain} | {never} | {auto} | {device} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            s.records,
            s.failed,
            s.explain,
            s.agree,
            s.disagree,
            s.selects,
            s.with_work,
            s.device,
            s.wholly,
            s.reasons(most)
        );
    };
    for file in files {
        row(&file.name, &Sums::of(&file.records), 4);
    }
    row("**all**", &Sums::of(files.iter().flat_map(|f| &f.records)), 0);
    out
}

fn groups(files: &[FileOutcome]) -> String {
    let mut out = String::from(
        "| files | SELECT | with work | device | of all | of those with work | wholly |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for (group, prefixes) in GROUPS {
        let inside = files.iter().filter(|f| prefixes.iter().any(|prefix| f.name.starts_with(prefix)));
        let s = Sums::of(inside.flat_map(|f| &f.records));
        let _ = writeln!(
            out,
            "| {group} | {} | {} | {} | {} | {} | {} |",
            s.selects,
            s.with_work,
            s.device,
            percent(s.device, s.selects),
            percent(s.device, s.with_work),
            s.wholly
        );
    }
    out
}

/// Returns the failed records, one line each.
fn open(files: &[FileOutcome]) -> String {
    let mut out = String::new();
    for file in files {
        for record in &file.records {
            let found: Vec<_> = DEVICE_RUNS
                .into_iter()
                .map(|run| (run, verdict(record, run)))
                .filter(|(_, v)| !matches!(v, Verdict::Same | Verdict::Explain))
                .map(|(run, v)| format!("{}: {}", run.name(), v.text()))
                .collect();
            if !found.is_empty() {
                let note = if record.passed(Run::Never) { "" } else { " (also fails with `never`)" };
                let _ = writeln!(out, "- `{}` {}{note}", record.at, found.join(", "));
            }
        }
    }
    if out.is_empty() { "None.\n".to_string() } else { out }
}

/// Returns the records that pass with `plain` and have another outcome with `never`, by file and kind of difference.
fn changed(files: &[FileOutcome]) -> String {
    let mut out = String::new();
    for file in files {
        let mut found: BTreeMap<Verdict, Vec<&str>> = BTreeMap::new();
        for record in &file.records {
            let verdict = verdict(record, Run::Never);
            if record.passed(Run::Plain) && !matches!(verdict, Verdict::Same | Verdict::Explain) {
                found.entry(verdict).or_default().push(line_of(&record.at));
            }
        }
        if !found.is_empty() {
            let found: Vec<_> = found.iter().map(|(v, lines)| format!("{}: {}", v.text(), lines.join(", "))).collect();
            let _ = writeln!(out, "- `{}` {}", file.name, found.join("; "));
        }
    }
    if out.is_empty() { "None.\n".to_string() } else { out }
}

/// Returns the line of a record, of which `at` also names the file.
fn line_of(at: &str) -> &str {
    at.rsplit(':').next().map_or(at, |line| line.trim_end_matches(')'))
}

/// Returns the complete report.
pub fn markdown(files: &[FileOutcome]) -> String {
    let all = Sums::of(files.iter().flat_map(|f| &f.records));
    let [plain, never, auto, device] = all.passed;
    let mut reasons: Vec<_> = all.reasons.iter().collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let reasons: String = reasons.iter().map(|(reason, n)| format!("| {n} | {} |\n", cell(reason))).collect();
    format!(
        "# DataFusion's published suite\n\n\
        <!-- Written by `make conformance`; do not edit. -->\n\n\
        Each .slt file of the crate datafusion-sqllogictest 55.2.0 is run four times in new sessions:\n\n\
        | run | session |\n|---|---|\n\
        | `plain` | DataFusion as it is |\n\
        | `never` | DataFusion's operators, with the rules of the frontend |\n\
        | `auto` | Parallax with default options, on one CPU device |\n\
        | `device` | Parallax on two devices, with chunks of 1024 rows |\n\n\
        `auto` and `device` are configured with the costs of a slow host, so that every operator with a device form runs on\n\
        the device, however small its input. The files below `spark/` need functions of another crate and are not run.\n\n\
        Of {} records, {plain} pass with `plain`, {never} with `never`, {auto} with `auto` and {device} with `device`. **{}\n\
        records pass with `never` and fail in a run with device nodes.** {} EXPLAIN records show another plan because it has\n\
        device nodes; they are not counted as failures.\n\n\
        Of the records that pass with `plain`, the rules of the frontend change {}: {} are EXPLAIN records with another plan,\n\
        the others are listed [below](#what-the-rules-change).\n\n\
        Most records that fail with `never` read files that are not published. Synthetic files replace some of these\n\
        (`sql-tests/conformance/standin.rs`). {} records that fail with `never` return the same rows, or an error, in the runs\n\
        with device nodes; {} do not.\n\n\
        ## Where SELECT ran\n\n\
        A SELECT is a record that returns rows with `never`. *With work*: an operator other than a scan reads rows of a table.\n\
        *Device*: at least one device node ran. *Wholly*: no operator stayed on the host.\n\n\
        {}\n\
        ## Why operators stayed on the host\n\n\
        The number of records with at least one operator that stayed on the host for this reason.\n\n\
        | records | reason |\n|--:|---|\n{reasons}\n\
        ## Failures\n\n\
        - *another order*: the same rows, where ORDER BY does not determine the order or DataFusion does not respect it\n\
        \x20 (`pwmj.slt`: its merge join returns the second key in descending order).\n\
        - *rows instead of an error*: DataFusion exceeds the memory pool that the file sets, or evaluates a division that AND\n\
        \x20 and OR would skip.\n\
        - *other rows*: a LIMIT or window over unordered rows, or a result that DataFusion estimates and Parallax computes\n\
        \x20 exactly.\n\
        - *last digits of floats*: floats are summed in another order.\n\n\
        `make conformance` prints the name of a file with the SQL and both outputs of each failure.\n\n\
        {}\n\
        ## What the rules change\n\n\
        Records that pass with `plain` and have another outcome with `never`, by line, EXPLAIN left out.\n\n\
        - *other rows*: there is one NaN, whatever its sign; NULL is not in the result of `NOT IN .. OR NOT IN ..`; `corr` of one\n\
        \x20 pair is NULL, also of NaN; small keys of dictionaries are widened; logarithms of REAL are right to its last bit.\n\
        - *rows instead of an error*: columns of one name, LATERAL joins, signs before text, divisions that AND or OR guards.\n\
        - *another error*: the same error in other words.\n\
        - *last digits of floats*: averages are rounded once, at the end, and logarithms are right to the last bit.\n\n\
        {}\n\
        ## Files\n\n\
        *fail*: records that pass with `never` and fail in another run. *other plan*: EXPLAIN records with another plan.\n\
        *agree*, *disagree*: records that fail with `never`, where the other runs return the same or not.\n\n{}",
        all.records,
        all.failed,
        all.explain,
        all.changed + all.changed_plans,
        all.changed_plans,
        all.agree,
        all.disagree,
        groups(files),
        open(files),
        changed(files),
        table(files)
    )
}

/// Returns every failure with its SQL and both outputs, for debugging.
pub fn failures(files: &[FileOutcome]) -> String {
    let mut out = String::new();
    for file in files {
        for record in &file.records {
            for run in [Run::Never, Run::Auto, Run::Device] {
                let (found, baseline) = (verdict(record, run), run.baseline());
                if matches!(found, Verdict::Same | Verdict::Explain) {
                    continue;
                }
                let output = |r: Run| match record.of(r).and_then(|r| r.observed.output.as_ref()) {
                    Some(Ok(rows)) => shorten(rows),
                    Some(Err(error)) => format!("error: {error}"),
                    None => "(nothing)".to_string(),
                };
                let sql = record.of(Run::Plain).map_or("", |r| r.observed.sql.as_str());
                let passed = if record.passed(baseline) { "passed" } else { "failed, too" };
                let _ = writeln!(
                    out,
                    "=== {} {}: {} ({base} {passed})\n{sql}\n--- {base}\n{}\n--- {}\n{}\n",
                    record.at,
                    run.name(),
                    found.text(),
                    output(baseline),
                    run.name(),
                    output(run),
                    base = baseline.name()
                );
            }
        }
    }
    out
}

fn shorten(rows: &[String]) -> String {
    let mut text = rows.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    if rows.len() > 20 {
        let _ = write!(text, "\n... {} rows", rows.len());
    }
    text
}

/// Checks the expected result of the two smoke-test files.
pub fn check_smoke(files: &[FileOutcome]) -> Result<(), String> {
    let s = Sums::of(files.iter().flat_map(|f| &f.records));
    let found = format!(
        "{} records, passed {:?}, {} other plans, {} agree; {} SELECT, {} with work, {} device, {} wholly",
        s.records, s.passed, s.explain, s.agree, s.selects, s.with_work, s.device, s.wholly
    );
    let expected =
        "11 records, passed [10, 10, 9, 9], 1 other plans, 1 agree; 5 SELECT, 4 with work, 4 device, 3 wholly";
    if found == expected { Ok(()) } else { Err(format!("expected {expected}\nfound    {found}")) }
}
