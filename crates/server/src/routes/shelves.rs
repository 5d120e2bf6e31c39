//! LoRAs and embeddings that orders may name.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use imagegen::files::Shelved;

use crate::app::{App, blocking};
use crate::error::{ApiError, ErrorBody};
use crate::wire::ShelvedBody;

/// List the LoRAs
///
/// By name; none where the service was given no folder of them.
#[utoipa::path(
    get, path = "/loras", tag = "models", operation_id = "list_loras",
    responses(
        (status = 200, description = "All of them", body = Vec<ShelvedBody>),
        (status = 401, description = "No key", body = ErrorBody),
    )
)]
pub(crate) async fn loras(State(app): State<Arc<App>>) -> Result<Json<Vec<ShelvedBody>>, ApiError> {
    let jobs = app.jobs.clone();
    Ok(listed(blocking(move || jobs.loras()).await?))
}

/// List the embeddings
///
/// Textual inversions, by the words that texts name them with; none where the service was given no folder of them.
#[utoipa::path(
    get, path = "/embeddings", tag = "models", operation_id = "list_embeddings",
    responses(
        (status = 200, description = "All of them", body = Vec<ShelvedBody>),
        (status = 401, description = "No key", body = ErrorBody),
    )
)]
pub(crate) async fn embeddings(
    State(app): State<Arc<App>>,
) -> Result<Json<Vec<ShelvedBody>>, ApiError> {
    let jobs = app.jobs.clone();
    Ok(listed(blocking(move || jobs.embeddings()).await?))
}

fn listed(files: Option<Vec<Shelved>>) -> Json<Vec<ShelvedBody>> {
    let files = files.unwrap_or_default().into_iter();
    Json(files.map(ShelvedBody::from).collect())
}
