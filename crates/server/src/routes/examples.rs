//! Examples: pictures to try things on.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::query::{Params, side};
use super::sources::{SideParams, answer, store};
use crate::app::{App, blocking};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody, decoding};
use crate::examples::{EXAMPLES, Example};
use crate::shown;
use crate::wire::{ExampleBody, SourceBody};

/// List the examples
#[utoipa::path(
    get, path = "/examples", tag = "sources", operation_id = "list_examples",
    responses(
        (status = 200, description = "All of them", body = Vec<ExampleBody>),
        (status = 401, description = "No key", body = ErrorBody),
    )
)]
pub(crate) async fn list() -> Json<Vec<ExampleBody>> {
    let body = |example: &Example| ExampleBody {
        id: example.id,
        title: example.title,
        credit: example.credit,
        width: example.width,
        height: example.height,
    };
    Json(EXAMPLES.iter().map(body).collect())
}

fn find(id: &str) -> Result<&'static Example, ApiError> {
    let found = EXAMPLES.iter().find(|example| example.id == id);
    found.ok_or_else(|| ApiError::not_found("unknown_example", "there is no such example"))
}

/// Get an example
///
/// The file itself, or a small JPEG of it.
#[utoipa::path(
    get, path = "/examples/{id}", tag = "sources", operation_id = "get_example",
    params(("id" = String, Path, description = "Its name"), SideParams),
    responses(
        (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/*"),
        (status = 400, description = "The query is wrong", body = ErrorBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such example", body = ErrorBody),
    )
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Params(params): Params<SideParams>,
) -> Result<Response, ApiError> {
    let example = find(&id)?;
    let (media, bytes) = match side(params.side)? {
        None if example.file.ends_with(".png") => ("image/png", Bytes::from_static(example.bytes)),
        None => ("image/jpeg", Bytes::from_static(example.bytes)),
        Some(side) => {
            let _one = app.pictures.acquire().await;
            let limits = app.config.limits.decoding();
            let small = blocking(move || {
                let decoded = imagegen_picture::decode(example.bytes, &limits);
                let decoded = decoded.map_err(|cause| decoding(&cause))?;
                shown::preview(&decoded.picture, side)
            });
            ("image/jpeg", Bytes::from(small.await?))
        }
    };
    let keep = "private, max-age=86400";
    let headers = [(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, keep)];
    Ok((headers, bytes).into_response())
}

/// Take an example as a source
#[utoipa::path(
    post, path = "/examples/{id}", tag = "sources", operation_id = "take_example",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 201, description = "It is a source now", body = SourceBody),
        (status = 200, description = "It was a source before", body = SourceBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such example", body = ErrorBody),
        (status = 429, description = "Too many requests at a time", body = ErrorBody),
    )
)]
pub(crate) async fn take(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let example = find(&id)?;
    let _pass = app.enter(&caller.owner)?;
    let bytes = Bytes::from_static(example.bytes);
    Ok(answer(&store(&app, &caller, example.file, bytes).await?))
}
