//! The README says what the code says.

use parallax::config::XlaOptions;

#[test]
fn every_option_stands_in_the_readme_with_its_description() {
    let readme = include_str!("../README.md");
    for (name, _, description) in XlaOptions::documentation() {
        let row = format!("| `{name}` | {description} |");
        assert!(readme.contains(&row), "README.md lacks this row of the table of options:\n{row}");
    }
}
