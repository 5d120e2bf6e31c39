//! `docs/untrusted-input.md` names tests; they exist, and every row has one.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of every Rust file in `folder` and below.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *text += &fs::read_to_string(path).unwrap();
        }
    }
}

#[test]
fn every_row_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/untrusted-input.md")).unwrap();
    let mut code = String::new();
    for part in ["crates", "conformance"] {
        sources(&root().join(part), &mut code);
    }
    let header = |row: &str| row.starts_with("| input") || row.starts_with("|---");
    let rows: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with('|') && !header(line))
        .collect();
    assert!(rows.len() > 60, "the page has {} rows", rows.len());
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 4, "{row}");
        let tests: Vec<_> = cells[3].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            let is_script = test.starts_with("e2e/") && root().join(test).is_file();
            let found = is_script || code.contains(&format!("fn {test}("));
            assert!(found, "there is no test {test}: {row}");
        }
    }
}
