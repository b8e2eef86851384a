//! The README says what the code says, and shows what the program prints.

use std::path::Path;
use std::process::{Command, Stdio};

use parallax::config::XlaOptions;

#[test]
fn every_option_stands_in_the_readme_with_its_description() {
    let readme = include_str!("../README.md");
    for (name, _, description) in XlaOptions::documentation() {
        let row = format!("| `{name}` | {description} |");
        assert!(readme.contains(&row), "README.md lacks this row of the table of options:\n{row}");
    }
}

/// A number is `N`, with any unit of time: digits and how many of them differ from run to run.
fn without_digits(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        let c = if c.is_ascii_digit() { 'N' } else { c };
        let goes_on = text.ends_with('N') && (c == 'N' || c == '.' || c == ',');
        if !goes_on {
            text.push(c);
        }
    }
    text.replace("N min N s", "N ms").replace(" in N s ", " in N ms ")
}

/// Whether `shown` is `printed`, where a line `...` stands for any lines and `...` at the end of a line for the rest of it.
fn is_shown(shown: &[&str], printed: &[String]) -> Result<(), String> {
    let mut printed = printed.iter();
    let mut skips = false;
    for line in shown {
        if *line == "..." {
            skips = true;
            continue;
        }
        let expected = without_digits(line);
        let matches = |line: &&String| match expected.strip_suffix("...") {
            Some(start) => line.starts_with(start),
            None => **line == expected,
        };
        let next = if skips { printed.find(matches) } else { printed.next().filter(matches) };
        next.ok_or_else(|| format!("the program does not print this line of README.md here:\n{line}"))?;
        skips = false;
    }
    printed.next().map_or(Ok(()), |line| Err(format!("README.md ends before the program prints\n{line}")))
}

#[test]
fn the_tour_is_the_one_that_the_readme_shows() {
    let readme = include_str!("../README.md");
    let shown = readme.split_once("$ make run </dev/null\n").and_then(|(_, rest)| rest.split_once("```"));
    let shown: Vec<&str> = shown.expect("a tour in README.md").0.lines().collect();
    // The data is kept between runs.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let output = Command::new(env!("CARGO_BIN_EXE_parallax"))
        .env("PARALLAX_CACHE", cache)
        .env_remove("XDG_CACHE_HOME")
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let printed: Vec<String> = text.lines().map(without_digits).collect();
    if let Err(difference) = is_shown(&shown, &printed) {
        panic!("{difference}\n\nIt prints:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn digits_do_not_matter_and_words_do() {
    let printed: Vec<String> = ["1 row in 12.3 ms (host)", "a", "b", "c: 1"].map(without_digits).to_vec();
    assert_eq!(is_shown(&["1 row in 1.25 s (host)", "...", "c: ..."], &printed), Ok(()));
    assert_eq!(is_shown(&["1 row in 2 min 3 s (host)", "a", "b", "c: 23"], &printed), Ok(()));
    assert!(is_shown(&["1 row in 12.3 ms (device)", "..."], &printed).is_err());
    assert!(is_shown(&["1 row in 12.3 ms (host)", "a"], &printed).is_err());
}
