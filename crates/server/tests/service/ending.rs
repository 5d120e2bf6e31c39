//! The orderly end, and what is there after it.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;

use crate::hall::{Hall, PATIENCE, events, json_of, text};

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_and_the_running_job_goes_on_later() {
    let hall = Hall::with(|config, _| config.times.heartbeat = Duration::from_millis(50)).await;
    let source = hall.put("a.png").await;
    let id = text(&json_of(hall.order_long(&source).await, 202).await["id"]);
    let since = Instant::now();
    loop {
        let job = json_of(hall.get(&format!("/jobs/{id}")).await, 200).await;
        if job["progress"]["step"].as_u64() > Some(0) {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stream = hall.get(&format!("/jobs/{id}/events")).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let (folder, told) = tokio::join!(hall.close(), stream.text());
    let told = told.unwrap();
    let seen = events(&told);
    assert_eq!(seen.last().unwrap().0, "shutdown", "{seen:?}");
    assert_eq!(seen.last().unwrap().1, json!({}));

    let hall = Hall::on(folder, |_, _| {}).await;
    let job = json_of(hall.get(&format!("/jobs/{id}")).await, 200).await;
    assert!(
        matches!(job["state"].as_str(), Some("queued" | "running")),
        "{job}"
    );
    assert!(
        job["attempts"].as_u64() <= Some(1),
        "an orderly end is no failed attempt: {job}"
    );
    let answer = hall.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(answer.status(), StatusCode::OK);
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_keep_a_silent_stream_alive() {
    let hall = Hall::with(|config, _| config.times.heartbeat = Duration::from_millis(20)).await;
    let source = hall.put("a.png").await;
    let first = text(&json_of(hall.order_long(&source).await, 202).await["id"]);
    let second = text(&json_of(hall.order_long(&source).await, 202).await["id"]);
    // The second job waits: nothing is to be said of it.
    let mut stream = hall.get(&format!("/jobs/{second}/events")).await;
    let mut told = String::new();
    let since = Instant::now();
    while !told.contains("\n:") {
        let piece = stream.chunk().await.unwrap().unwrap();
        told.push_str(&String::from_utf8_lossy(&piece));
        assert!(since.elapsed() < PATIENCE, "{told}");
    }
    for id in [second, first] {
        hall.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_does_not_die_with_its_clients_connection() {
    let hall = Hall::open().await;
    let source = hall.put("a.png").await;
    let body = json!({"source": source, "prompt": "winter", "steps": 6, "strength": 1});
    let id = hall.order("/transforms", &body).await;
    let stream = hall.get(&format!("/jobs/{id}/events")).await;
    drop(stream);
    assert_eq!(hall.follow(&id).await.last().unwrap().0, "done");
}
