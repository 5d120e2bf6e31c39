//! For whoever looks after the service.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::{App, blocking};
use crate::error::ApiError;
use crate::metrics::Metrics;

/// Prometheus' own text format, as OpenMetrics writes it.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process lives.
pub(crate) async fn lives() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// The service takes work: its worker is there, its model loaded, and nobody has told it to end.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let jobs = app.jobs.clone();
    let queue = blocking(move || jobs.queue()).await?;
    let (status, word) = match (app.is_ending(), queue.ready) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "ending"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "loading"),
        (false, true) => (StatusCode::OK, "ready"),
    };
    let body = json!({
        "status": word,
        "queued": queue.queued,
        "running": queue.running.is_some(),
        "wait_s": queue.wait_s,
    });
    Ok((status, Json(body)).into_response())
}

/// All figures.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let registry = app.metrics.registry();
    let written = blocking(move || {
        let text = Metrics::text(&registry);
        text.map_err(|error| ApiError::internal("metrics", &error))
    });
    Ok(([(header::CONTENT_TYPE, TEXT)], written.await?).into_response())
}
