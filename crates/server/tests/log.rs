//! What the log says, and what it keeps to itself. A process of its own: a log is one for all tests.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "service/hall.rs"]
#[allow(dead_code, reason = "the other suite uses the rest of it")]
mod hall;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use hall::Hall;
use serde_json::json;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_stay_out_of_the_log_unless_asked_for() {
    let kept = Kept::default();
    let writer = kept.clone();
    tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();
    let order = json!({"prompt": "zebra\n\u{1b}[31m", "negative_prompt": "giraffe", "width": 64, "height": 64, "steps": 1});
    let wrong = json!({"prompt": "zebra", "sampler": "okapi"});
    let hall = Hall::open().await;
    let id = hall.order("/generations", &order).await;
    hall.follow(&id).await;
    hall.get("/jobs?search=zebra").await;
    hall.post("/generations", &wrong).await;
    hall.post("/session", &json!({"key": "imagegen_secret"}))
        .await;
    hall.close().await;
    let text = kept.text();
    for line in [
        "answered POST /api/v1/generations 202 in ",
        "refused POST /api/v1/generations 422 invalid_value in ",
        "answered GET /api/v1/jobs 200 in ",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line}: {text}");
    }
    for secret in ["zebra", "giraffe", "okapi", "imagegen_secret"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let hall = Hall::with(|config, _| config.log_prompts = true).await;
    hall.order("/generations", &order).await;
    hall.close().await;
    let text = kept.text();
    assert!(text.contains("prompt \"zebra\\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}
