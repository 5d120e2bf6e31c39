//! The page's files.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use sha2::{Digest, Sha256};

use crate::hall::Hall;

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Every file under `folder` but what tools make.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("node_modules") || path.ends_with("dist") {
            continue;
        }
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn the_page_is_built_from_these_sources() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let web = here.join("../../web");
    let mut found = Vec::new();
    files(&web, &mut found);
    let line = |path: &PathBuf| {
        let name = path
            .strip_prefix(&web)
            .unwrap()
            .to_str()
            .unwrap()
            .replace('\\', "/");
        format!("{}  {name}\n", hex(&fs::read(path).unwrap()))
    };
    let mut lines: Vec<String> = found.iter().map(line).collect();
    lines.sort();
    let built = fs::read_to_string(here.join("page/sources.sha256")).unwrap();
    let words = "the page is older than web/: run `npm ci && npm run build` there and commit crates/server/page";
    assert_eq!(built.trim(), hex(lines.concat().as_bytes()), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_under_any_prefix_and_loads_nothing_from_elsewhere() {
    let hall = Hall::open().await;
    let answer = hall.client.get(hall.url("/")).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    let tag = answer.headers()["etag"].clone();
    let html = answer.text().await.unwrap();
    let again = hall.client.get(hall.url("/")).header("if-none-match", tag);
    assert_eq!(
        again.send().await.unwrap().status(),
        StatusCode::NOT_MODIFIED
    );
    let mut linked = 0;
    for part in html.split(['"', '\'']) {
        assert!(
            !part.starts_with('/') && !part.starts_with("http"),
            "{part}"
        );
        if let Some(path) = part.strip_prefix("./") {
            linked += 1;
            let answer = hall
                .client
                .get(hall.url(&format!("/{path}")))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let keep = answer.headers()["cache-control"]
                .to_str()
                .unwrap()
                .to_owned();
            assert_eq!(
                path.starts_with("assets/"),
                keep.contains("immutable"),
                "{path}"
            );
            let media = answer.headers()["content-type"].to_str().unwrap();
            assert_ne!(media, "application/octet-stream", "{path}");
        }
    }
    assert!(linked >= 2, "{html}");
}
