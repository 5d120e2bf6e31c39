//! Every dependency has a licence that fits a program under MIT or Apache-2.0.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;

/// Permissive licences; an expression passes when one of its alternatives is made of these alone.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn fits(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" OR ").any(|one| {
        one.split(" AND ")
            .all(|part| ALLOWED.contains(&part.trim()))
    })
}

#[test]
fn expressions_are_judged() {
    assert!(fits("MIT OR GPL-3.0") && fits("MIT/Apache-2.0") && fits("MIT AND BSD-3-Clause"));
    assert!(!fits("GPL-3.0") && !fits("MIT AND GPL-3.0") && !fits(""));
}

/// What may be used beside [`ALLOWED`] by what never ships, such as the driver of a browser in tests.
const ALLOWED_IN_TOOLS: &[&str] = &["MPL-2.0"];

#[test]
fn every_dependency_may_be_used() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let shipped = shipped(&metadata);
    assert!(shipped.len() > 50 && shipped.len() < packages.len());
    let unfit: Vec<_> = packages
        .iter()
        .filter(|package| package["source"].is_string())
        .filter(|package| {
            let licence = package["license"].as_str().unwrap_or_default();
            let ships = shipped.contains(package["id"].as_str().unwrap());
            !fits(licence) && (ships || !ALLOWED_IN_TOOLS.contains(&licence))
        })
        .map(|package| format!("{} {}", package["name"], package["license"]))
        .collect();
    assert!(unfit.is_empty(), "unfit licences: {unfit:#?}");
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Ids of what the binary is built from: everything it reaches but by what tests alone need.
fn shipped(metadata: &Value) -> HashSet<&str> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let node = |id: &str| nodes.iter().find(|node| node["id"] == id).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let binary = packages.iter().find(|one| one["name"] == "imagegen-cli");
    let mut waiting = vec![binary.unwrap()["id"].as_str().unwrap()];
    let mut reached = HashSet::new();
    while let Some(id) = waiting.pop() {
        if !reached.insert(id) {
            continue;
        }
        for used in node(id)["deps"].as_array().unwrap() {
            let kinds = used["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                waiting.push(used["pkg"].as_str().unwrap());
            }
        }
    }
    reached
}
