//! Models that orders may name.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::{App, blocking};
use crate::error::{ApiError, ErrorBody};
use crate::wire::ModelBody;

/// List the models
///
/// The default one first. Folders of models are looked into again.
#[utoipa::path(
    get, path = "/models", tag = "models", operation_id = "list_models",
    responses(
        (status = 200, description = "All of them", body = Vec<ModelBody>),
        (status = 401, description = "No key", body = ErrorBody),
    )
)]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<ModelBody>>, ApiError> {
    let jobs = app.jobs.clone();
    let models = blocking(move || Ok::<_, ApiError>(jobs.models())).await?;
    let bodies = models.iter().map(|entry| ModelBody::of(entry, &models));
    Ok(Json(bodies.collect()))
}
