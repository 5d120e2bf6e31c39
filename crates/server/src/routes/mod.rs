//! Every address of the service.

mod advice;
mod events;
mod examples;
mod health;
mod jobs;
mod models;
mod orders;
mod query;
mod recipes;
mod results;
mod session;
mod shelves;
mod sources;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::ApiError;
use crate::gate::Pass;

type Routes = OpenApiRouter<Arc<App>>;

/// Addresses that need no key.
pub(crate) fn open() -> Routes {
    OpenApiRouter::new().routes(routes!(session::get, session::begin, session::end))
}

/// Addresses that need a key where one is demanded.
pub(crate) fn guarded() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(sources::put))
        .routes(routes!(sources::get))
        .routes(routes!(examples::list))
        .routes(routes!(examples::get, examples::take))
        .routes(routes!(advice::advise))
        .routes(routes!(orders::transform))
        .routes(routes!(orders::generate))
        .routes(routes!(orders::ladder))
        .routes(routes!(orders::vary))
        .routes(routes!(orders::inpaint))
        .routes(routes!(orders::upscale))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get, jobs::remove))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::favour, jobs::unfavour))
        .routes(routes!(events::follow))
        .routes(routes!(results::result))
        .routes(routes!(results::sheet))
        .routes(routes!(results::preview))
        .routes(routes!(results::to_source))
        .routes(routes!(models::list))
        .routes(routes!(shelves::loras))
        .routes(routes!(shelves::embeddings))
        .routes(routes!(recipes::read))
}

/// Whether the service lives and takes work: for whoever looks after it, without a key.
pub(crate) fn health() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(health::lives))
        .route("/readyz", get(health::ready))
}

/// Figures, with a key where one is demanded.
pub(crate) fn metrics() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(health::metrics))
}

impl App {
    /// Lets one more costly request of `owner` in.
    ///
    /// Fails with 429 where it has too many under way.
    fn enter(&self, owner: &str) -> Result<Pass, ApiError> {
        self.gate.enter(owner).ok_or_else(|| {
            let most = self.config.limits.at_once;
            let message = format!("{most} of your requests are under way already, expected less");
            ApiError::busy("too_many_requests", message, 1)
        })
    }
}
