//! What every request can reach, and the way it takes to its route.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, extract::State};
use imagegen_jobs::Jobs;
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::Config;
use crate::error::ApiError;
use crate::gate::Gate;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::sessions::Sessions;
use crate::{auth, body, headers, hosts, log, routes};

/// Pictures that are decoded or encoded at one time, for all callers together.
const PICTURES_AT_ONCE: usize = 2;

/// What every request can reach.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) jobs: Jobs,
    pub(crate) keys: Keys,
    /// Whether there were keys at the start: from then on one is demanded, whatever is revoked.
    pub(crate) keyed: bool,
    pub(crate) sessions: Sessions,
    pub(crate) metrics: Metrics,
    /// Costly requests.
    pub(crate) gate: Gate,
    /// Streams of events.
    pub(crate) streams: Gate,
    pub(crate) pictures: Arc<Semaphore>,
    pub(crate) adviser: Arc<Semaphore>,
    /// Turns true when the service ends.
    pub(crate) ending: watch::Receiver<bool>,
}

impl App {
    pub(crate) fn new(
        config: Config,
        jobs: Jobs,
        keys: Keys,
        keyed: bool,
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self {
            keyed,
            sessions: Sessions::open(&config.data),
            metrics: Metrics::new(jobs.clone()),
            gate: Gate::new(config.limits.at_once),
            streams: Gate::new(config.limits.streams),
            pictures: Arc::new(Semaphore::new(PICTURES_AT_ONCE)),
            adviser: Arc::new(Semaphore::new(1)),
            config,
            jobs,
            keys,
            ending,
        }
    }

    /// Whether the service has been told to end.
    pub(crate) fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }
}

/// Carries out work that blocks, away from the threads that answer.
///
/// Fails as the work does, and where it panics.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Send + 'static,
    ApiError: From<E>,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(ApiError::internal("panicked", &error)),
    }
}

/// The service as one router. What a request passes stands last to first: the log hears of everything.
pub(crate) fn router(app: Arc<App>) -> Router {
    let times = app.config.times;
    let guarded = routes::guarded().layer(middleware::from_fn_with_state(
        Arc::clone(&app),
        auth::guard,
    ));
    let (api, document) = routes::open().merge(guarded).split_for_parts();
    let metrics = routes::metrics().layer(middleware::from_fn_with_state(
        Arc::clone(&app),
        auth::guard,
    ));
    let api = api
        .merge(crate::viewer::routes(document))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method);
    Router::new()
        .nest("/api/v1", api)
        .merge(metrics)
        .merge(routes::health())
        .merge(crate::page::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            refuse_at_end,
        ))
        .layer(cors(&app.config.origins))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            hosts::guard,
        ))
        .layer(DefaultBodyLimit::disable()) // every route reads within limits of its own
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            body::drain(times, request, next)
        }))
        .layer(middleware::from_fn(headers::secure))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            log::requests,
        ))
        .with_state(app)
}

async fn no_route() -> ApiError {
    ApiError::not_found("no_route", "there is nothing at this address")
}

async fn no_method(method: Method) -> ApiError {
    let message = format!("method is {method}, expected another one at this address");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "no_method", message)
}

fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let words = cause.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| cause.downcast_ref::<&str>().copied());
    ApiError::internal("panicked", &words.unwrap_or("without words")).into_response()
}

/// Refuses new work once the service ends; what only looks is still answered.
async fn refuse_at_end(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.is_ending() && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return crate::error::ending().into_response();
    }
    next.run(request).await
}

/// Lets pages of the named origins call the service with a key; cookies stay at home.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| origin.parse().ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([header::LOCATION, header::RETRY_AFTER])
}
