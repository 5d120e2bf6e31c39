//! What a picture says of its making.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use imagegen::Recipe;

use super::sources::picture;
use crate::app::{App, blocking};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};

/// Read a recipe
///
/// The body is a picture that imagegen made; the answer is what it says of its making.
#[utoipa::path(
    post, path = "/recipes", tag = "sources", operation_id = "read_recipe",
    request_body(content((Vec<u8> = "application/octet-stream"), (Vec<u8> = "image/png"))),
    responses(
        (status = 200, description = "The recipe", body = Object),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 408, description = "The body came too slowly", body = ErrorBody),
        (status = 413, description = "The picture is too large", body = ErrorBody),
        (status = 422, description = "The picture does not say how it was made", body = ErrorBody),
        (status = 429, description = "Too many requests at a time", body = ErrorBody),
    )
)]
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Recipe>, ApiError> {
    let _pass = app.enter(&caller.owner)?;
    let bytes = picture(&app, request).await?;
    let _one = app.pictures.acquire().await;
    blocking(move || Recipe::read("the picture", &bytes))
        .await
        .map(Json)
}
