//! Sources, examples, advice, models.

use reqwest::StatusCode;
use serde_json::json;

use crate::hall::{Hall, json_of, painted, refusal, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_put_once() {
    let hall = Hall::open().await;
    let bytes = painted(80, 64, 9);
    let first = hall.upload("/sources?name=a%20b.png", bytes.clone()).await;
    let first = json_of(first, 201).await;
    assert_eq!(
        (&first["name"], &first["width"], &first["height"]),
        (&json!("a b.png"), &json!(80), &json!(64))
    );
    assert_eq!(
        (&first["format"], &first["bytes"]),
        (&json!("PNG"), &json!(bytes.len()))
    );
    let again = json_of(hall.upload("/sources", bytes.clone()).await, 200).await;
    assert_eq!(again["sha256"], first["sha256"]);
    let form = reqwest::multipart::Form::new().part(
        "file",
        reqwest::multipart::Part::bytes(bytes.clone()).file_name("c.png"),
    );
    let request = hall
        .client
        .post(hall.url("/api/v1/sources"))
        .multipart(form);
    assert_eq!(
        json_of(request.send().await.unwrap(), 200).await["sha256"],
        first["sha256"]
    );
    let other = reqwest::multipart::Form::new().text("picture", "x");
    let request = hall
        .client
        .post(hall.url("/api/v1/sources"))
        .multipart(other);
    let refused = refusal(request.send().await.unwrap(), 422).await;
    assert_eq!(
        refused,
        ("unknown_field".to_owned(), Some("picture".to_owned()))
    );

    let path = format!("/sources/{}", text(&first["sha256"]));
    let answer = hall.get(&path).await;
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert!(
        answer.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(answer.bytes().await.unwrap(), bytes);
    let answer = hall.get(&format!("{path}?side=40")).await;
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    let small = answer.bytes().await.unwrap();
    let small = imagegen_picture::decode(&small, &imagegen_picture::Limits::default()).unwrap();
    assert_eq!(
        (small.picture.size().width, small.picture.size().height),
        (40, 32)
    );
    for query in ["side=1", "side=9999", "side=x", "sides=40"] {
        let answer = hall.get(&format!("{path}?{query}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    let answer = hall.get(&format!("/sources/{}", "0".repeat(64))).await;
    assert_eq!(refusal(answer, 404).await.0, "unknown_source");
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_become_sources() {
    let hall = Hall::open().await;
    let all = json_of(hall.get("/examples").await, 200).await;
    let all = all.as_array().unwrap();
    assert!(all.len() >= 3);
    for example in all {
        let id = text(&example["id"]);
        assert!(!text(&example["credit"]).is_empty());
        let answer = hall.get(&format!("/examples/{id}?side=64")).await;
        assert_eq!(answer.headers()["content-type"], "image/jpeg");
        let source = json_of(hall.post(&format!("/examples/{id}"), &json!({})).await, 201).await;
        assert_eq!(source["width"], example["width"]);
    }
    let answer = hall.get("/examples/none").await;
    assert_eq!(refusal(answer, 404).await.0, "unknown_example");
}

#[tokio::test(flavor = "multi_thread")]
async fn advice_looks_and_makes_nothing() {
    let hall = Hall::open().await;
    let answer = hall.post("/examples/portrait", &json!({})).await;
    let source = text(&json_of(answer, 201).await["sha256"]);
    let asks = json!({"source": source, "prompt": "oil painting", "strength": 0.7, "steps": 10});
    let seen = json_of(hall.post("/advice", &asks).await, 200).await;
    assert_eq!(seen["faces"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(
        (&seen["runs"], &seen["measures"]["width"]),
        (&json!(7), &json!(512))
    );
    let advice = seen["advice"].as_array().unwrap();
    let faces = advice
        .iter()
        .find(|advice| advice["kind"] == "faces-at-risk")
        .unwrap();
    assert_eq!(faces["severity"], "warning");
    assert!(faces["suggested"].as_f64().unwrap() < 0.6, "{faces}");
    assert!(
        text(&faces["message"]).contains("stay below 0.6"),
        "{faces}"
    );
    for (body, code, field) in [
        (json!({"source": "zz"}), "unknown_source", "source"),
        (
            json!({"source": "0".repeat(64)}),
            "unknown_source",
            "source",
        ),
        (
            json!({"source": source, "strength": 2}),
            "strength_out_of_range",
            "strength",
        ),
        (
            json!({"source": source, "model": "none"}),
            "unknown_model",
            "model",
        ),
        (
            json!({"source": source, "mood": 1}),
            "unknown_field",
            "mood",
        ),
    ] {
        let refused = refusal(hall.post("/advice", &body).await, 422).await;
        assert_eq!(refused, (code.to_owned(), Some(field.to_owned())), "{body}");
    }
    let jobs = json_of(hall.get("/jobs").await, 200).await;
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_and_health_are_told() {
    let hall = Hall::open().await;
    let models = json_of(hall.get("/models").await, 200).await;
    let model = &models[0];
    assert_eq!(
        (&model["name"], &model["is_default"]),
        (&json!("starter"), &json!(true))
    );
    assert!(
        model["samplers"]
            .as_array()
            .unwrap()
            .contains(&json!("euler_a"))
    );
    assert!(model["defaults"]["steps"].as_u64().unwrap() > 0);
    assert_eq!(text(&model["sha256"]).len(), 64);
    let session = json_of(hall.get("/session").await, 200).await;
    assert_eq!(session["limits"]["picture_bytes"], 10 << 20);
    let health = hall.client.get(hall.url("/healthz")).send().await.unwrap();
    assert_eq!(json_of(health, 200).await["status"], "ok");
    let since = std::time::Instant::now();
    loop {
        let ready = hall.client.get(hall.url("/readyz")).send().await.unwrap();
        if ready.status() == StatusCode::OK {
            break;
        }
        assert!(since.elapsed() < crate::hall::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let metrics = hall.client.get(hall.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        "imagegen_http_requests_total{method=\"GET\",route=\"/api/v1/models\",status=\"200\"} 1\n",
        "imagegen_jobs{state=\"queued\"} 0\n",
        "imagegen_jobs_finished_total{state=\"done\"} 0\n",
        "imagegen_jobs_submitted_total 0\n",
        "# EOF\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    let answer = hall
        .client
        .patch(hall.url("/api/v1/jobs"))
        .send()
        .await
        .unwrap();
    assert!(answer.headers().contains_key("allow"));
    assert_eq!(refusal(answer, 405).await.0, "no_method");
}
