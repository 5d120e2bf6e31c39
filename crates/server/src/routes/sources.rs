//! Sources: put once, named by their hash from then on.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use imagegen::files::{NAME_BYTES, cut_name};
use imagegen_jobs::SourceEntry;
use serde::Deserialize;
use tokio::runtime::Handle;
use utoipa::IntoParams;

use super::query::{Params, no_source, side, source_hash};
use crate::app::{App, blocking};
use crate::auth::Caller;
use crate::body;
use crate::error::{ApiError, ErrorBody};
use crate::shown;
use crate::wire::SourceBody;

/// Something under this hash never changes.
pub(super) const FOR_EVER: &str = "private, max-age=31536000, immutable";
/// What a picture is called that comes without a name.
const NAMELESS: &str = "picture";
/// Room for what stands around a picture in a form.
const AROUND: u64 = 64 << 10;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutParams {
    /// The file's name, for people.
    name: Option<String>,
}

/// Put a source
///
/// The body is the picture itself, of any content type, or a form with one field `file`.
#[utoipa::path(
    post, path = "/sources", tag = "sources", operation_id = "put_source", params(PutParams),
    request_body(content(
        (Vec<u8> = "application/octet-stream"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"),
        (FileForm = "multipart/form-data"),
    )),
    responses(
        (status = 201, description = "It is there now", body = SourceBody),
        (status = 200, description = "It was there before", body = SourceBody),
        (status = 400, description = "The body or the query is broken", body = ErrorBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 408, description = "The body came too slowly", body = ErrorBody),
        (status = 413, description = "The picture is too large", body = ErrorBody),
        (status = 415, description = "The body is no picture this service reads", body = ErrorBody),
        (status = 422, description = "The picture is damaged or has too many pixels", body = ErrorBody),
        (status = 429, description = "Too many requests at a time", body = ErrorBody),
    )
)]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<PutParams>,
    request: Request,
) -> Result<Response, ApiError> {
    let _pass = app.enter(&caller.owner)?;
    let (name, bytes) = match is_form(request.headers()) {
        true => form(&app, request).await?,
        false => (None, picture(&app, request).await?),
    };
    let name = params.name.or(name).unwrap_or_default();
    let entry = store(&app, &caller, &base_name(&name), bytes).await?;
    Ok(answer(&entry))
}

/// A form with a picture.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the form, which is read field by field")]
pub(crate) struct FileForm {
    /// The picture.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

fn is_form(headers: &HeaderMap) -> bool {
    let media = headers
        .get(header::CONTENT_TYPE)
        .map(|media| media.as_bytes());
    media.is_some_and(|media| {
        let form = b"multipart/form-data";
        media.len() >= form.len() && media[..form.len()].eq_ignore_ascii_case(form)
    })
}

/// A whole picture from a body.
pub(super) async fn picture(app: &App, request: Request) -> Result<Bytes, ApiError> {
    let (parts, body) = request.into_parts();
    let limit = ("the picture", app.config.limits.picture_bytes);
    body::read(body, &parts.headers, limit, &app.config.times).await
}

/// The one file of a form, and its name.
async fn form(app: &App, request: Request) -> Result<(Option<String>, Bytes), ApiError> {
    let limits = &app.config.limits;
    let (parts, body) = request.into_parts();
    let limit = ("the picture", limits.picture_bytes + AROUND);
    let read = body::read(body, &parts.headers, limit, &app.config.times).await;
    let bytes = read.map_err(|error| match error.status {
        // Whoever sends a form thinks of its picture, not of what stands around it.
        StatusCode::PAYLOAD_TOO_LARGE => body::too_large("the picture", limits.picture_bytes),
        _ => error,
    })?;
    let broken = |error: &dyn std::fmt::Display| {
        let message = format!("the form is broken: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, "broken_form", message)
    };
    let request = Request::from_parts(parts, Body::from(bytes));
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| broken(&error.body_text()))?;
    let mut found = None;
    while let Some(field) = form
        .next_field()
        .await
        .map_err(|error| broken(&error.body_text()))?
    {
        let label = field.name().unwrap_or_default().to_owned();
        if label != "file" || found.is_some() {
            let message = format!("form has a field {label:?}, expected one field \"file\" alone");
            return Err(ApiError::field("unknown_field", label, message));
        }
        let name = field.file_name().map(str::to_owned);
        let bytes = field
            .bytes()
            .await
            .map_err(|error| broken(&error.body_text()))?;
        if bytes.len() as u64 > limits.picture_bytes {
            return Err(body::too_large("the picture", limits.picture_bytes));
        }
        found = Some((name, bytes));
    }
    found.ok_or_else(|| ApiError::field("missing_field", "file", "the form has no field \"file\""))
}

/// A file's name without folders, and without what acts on terminals.
fn base_name(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let base: String = base
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_BYTES)
        .collect();
    match base.trim() {
        "" | "." | ".." => NAMELESS.to_owned(),
        base => cut_name(base, ""),
    }
}

/// Puts a picture into the store, within limits.
pub(super) async fn store(
    app: &App,
    caller: &Caller,
    name: &str,
    bytes: Bytes,
) -> Result<SourceEntry, ApiError> {
    let _one = app.pictures.acquire().await;
    let limits = app.config.limits.decoding();
    Ok(app
        .jobs
        .put_source(&caller.owner, name, bytes, &limits)
        .await?)
}

pub(super) fn answer(entry: &SourceEntry) -> Response {
    let status = match entry.known {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    (status, Json(SourceBody::from(entry))).into_response()
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SideParams {
    /// A JPEG with at most this many pixels a side, in place of the file itself.
    #[param(minimum = 16, maximum = 2048)]
    pub(super) side: Option<u32>,
}

/// Get a source
///
/// The file as it was put, or a small upright JPEG of it.
#[utoipa::path(
    get, path = "/sources/{sha256}", tag = "sources", operation_id = "get_source",
    params(("sha256" = String, Path, description = "Its hash"), SideParams),
    responses(
        (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/*"),
        (status = 400, description = "The query is wrong", body = ErrorBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such source", body = ErrorBody),
    )
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(sha256): Path<String>,
    Params(params): Params<SideParams>,
) -> Result<Response, ApiError> {
    let sha256 = source_hash(&sha256)?;
    let side = side(params.side)?;
    let (jobs, hash) = (app.jobs.clone(), sha256.to_owned());
    // Asks the database, which blocks.
    let entry = blocking(move || Handle::current().block_on(jobs.source(&hash))).await?;
    let entry = entry.ok_or_else(|| no_source(sha256))?;
    let (media, bytes) = match side {
        None => {
            let bytes = app.jobs.source_bytes(sha256).await?;
            let bytes = bytes.ok_or_else(|| no_source(sha256))?;
            (media_type(&entry.format), bytes)
        }
        Some(side) => {
            let _one = app.pictures.acquire().await;
            let source = app.jobs.decoded(sha256).await?;
            let small = blocking(move || shown::preview(source.picture(), side)).await?;
            ("image/jpeg", Bytes::from(small))
        }
    };
    let headers = [
        (header::CONTENT_TYPE, media),
        (header::CACHE_CONTROL, FOR_EVER),
    ];
    Ok((headers, bytes).into_response())
}

fn media_type(format: &str) -> &'static str {
    match format {
        "JPEG" => "image/jpeg",
        "PNG" => "image/png",
        "WebP" => "image/webp",
        "TIFF" => "image/tiff",
        "BMP" => "image/bmp",
        "GIF" => "image/gif",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_no_folder_and_no_control_character() {
        assert_eq!(base_name("photo.jpg"), "photo.jpg");
        assert_eq!(base_name("../../etc/passwd"), "passwd");
        assert_eq!(base_name("C:\\pictures\\a.png"), "a.png");
        assert_eq!(base_name("a\n\u{1b}[31m.png"), "a[31m.png");
        for none in ["", "/", "..", "a/..", "\0"] {
            assert_eq!(base_name(none), NAMELESS, "{none:?}");
        }
        assert!(base_name(&"夜".repeat(400)).len() <= NAME_BYTES);
    }
}
