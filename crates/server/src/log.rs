//! One line for each request: method, address, status, time. No query, since a search is part of a prompt; no
//! body, no key.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::error::Code;

/// Writes the line and counts the request.
pub(crate) async fn requests(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let since = Instant::now();
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(200).collect();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let seconds = since.elapsed().as_secs_f64();
    let status = response.status();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics.request(known(&method), route, status, seconds);
    line(&method, &path, &response, seconds);
    response
}

fn line(method: &Method, path: &str, response: &Response, seconds: f64) {
    let status = response.status();
    let milliseconds = (seconds * 1e4).round() / 10.0;
    let code = response.extensions().get::<Code>();
    match code {
        Some(Code(code)) if status != StatusCode::NOT_FOUND || code != "no_route" => {
            tracing::info!(
                "refused {method} {path} {} {code} in {milliseconds} ms",
                status.as_u16()
            );
        }
        _ if matches!(path, "/healthz" | "/readyz" | "/metrics") => {
            tracing::debug!(
                "answered {method} {path} {} in {milliseconds} ms",
                status.as_u16()
            );
        }
        _ => tracing::info!(
            "answered {method} {path} {} in {milliseconds} ms",
            status.as_u16()
        ),
    }
}

/// A method as a label: whoever makes up methods makes up no labels.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
