//! The description of the API.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::hall::{Hall, json_of};

#[tokio::test(flavor = "multi_thread")]
async fn every_address_is_described_with_its_answers() {
    let hall = Hall::open().await;
    let document = json_of(hall.get("/openapi.json").await, 200).await;
    assert_eq!(
        document["servers"][0]["url"], ".",
        "it holds behind any prefix"
    );
    let ways: Vec<_> = document["security"].as_array().unwrap().iter().collect();
    assert_eq!(
        ways,
        [&json!({"key": []}), &json!({"session": []}), &json!({})]
    );
    let paths = document["paths"].as_object().unwrap();
    let mut described: Vec<_> = paths.keys().map(String::as_str).collect();
    described.sort_unstable();
    let expected = [
        "/advice",
        "/embeddings",
        "/examples",
        "/examples/{id}",
        "/generations",
        "/inpaintings",
        "/jobs",
        "/jobs/{id}",
        "/jobs/{id}/cancel",
        "/jobs/{id}/events",
        "/jobs/{id}/favourite",
        "/jobs/{id}/preview",
        "/jobs/{id}/results/{index}",
        "/jobs/{id}/results/{index}/source",
        "/jobs/{id}/sheet",
        "/ladders",
        "/loras",
        "/models",
        "/recipes",
        "/session",
        "/sources",
        "/sources/{sha256}",
        "/transforms",
        "/upscales",
        "/variations",
    ];
    assert_eq!(described, expected);
    let mut names = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let which = format!("{method} {path}");
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{which}"
            );
            let responses = operation["responses"].as_object().unwrap();
            let mut refusals = vec!["403", "421"];
            if !operation["requestBody"].is_null() {
                refusals.extend(["408", "413"]);
            }
            if !path.starts_with("/session") {
                refusals.push("401");
            }
            for status in refusals {
                assert!(responses.contains_key(status), "{which}: {status}");
            }
            names.push(operation["operationId"].as_str().unwrap().to_owned());
        }
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names.len(),
        count,
        "every operation has a name of its own: {names:?}"
    );
    references(&document, &document);
}

/// Every reference leads somewhere.
fn references(value: &Value, document: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get("$ref") {
                let place = to.trim_start_matches('#');
                assert!(document.pointer(place).is_some(), "{to}");
            }
            fields
                .values()
                .for_each(|value| references(value, document));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, document)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_it_without_leaving_the_service() {
    let hall = Hall::open().await;
    for (path, media) in [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/viewer.js", "text/javascript; charset=utf-8"),
        ("/docs/viewer.css", "text/css; charset=utf-8"),
    ] {
        let answer = hall.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()["content-type"], media);
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(policy.contains("script-src 'self'"), "{policy}");
        let text = answer.text().await.unwrap();
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{path}"
        );
        assert!(
            !text.contains("=\"/") && !text.contains("innerHTML"),
            "{path}"
        );
    }
}
