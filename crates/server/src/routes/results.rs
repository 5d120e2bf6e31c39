//! Pictures of jobs: results, sheets, previews.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use imagegen::Format;
use imagegen::files::default_name;
use imagegen_jobs::{Job, PictureKind};
use serde::Deserialize;
use utoipa::IntoParams;

use super::query::{Params, side};
use super::sources::{FOR_EVER, answer, store};
use crate::app::{App, blocking};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::shown;
use crate::wire::SourceBody;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PictureParams {
    /// `png` (where absent), `jpeg` or `webp`.
    #[param(example = "png")]
    format: Option<String>,
    /// At most this many pixels a side, for a look; such pictures carry no recipe.
    #[param(minimum = 16, maximum = 2048)]
    side: Option<u32>,
    /// Whether the picture is to be saved, under a name that tells what it is.
    #[serde(default)]
    download: bool,
}

/// What is asked of a picture, checked.
struct Wish {
    format: Format,
    side: Option<u32>,
    download: bool,
}

impl PictureParams {
    fn wish(self) -> Result<Wish, ApiError> {
        let named = self.format.as_deref().unwrap_or("png");
        let format = Format::from_extension(named).map_err(|_| {
            let got: String = named.chars().take(64).collect();
            let message = format!("format is {got:?}, expected png, jpeg or webp");
            let mut error = ApiError::field("invalid_value", "format", message);
            error.status = StatusCode::BAD_REQUEST;
            error
        })?;
        Ok(Wish {
            format,
            side: side(self.side)?,
            download: self.download,
        })
    }
}

/// Get a result
///
/// A picture that carries how it was made.
#[utoipa::path(
    get, path = "/jobs/{id}/results/{index}", tag = "jobs", operation_id = "get_result",
    params(
        ("id" = String, Path, description = "The job's name"),
        ("index" = usize, Path, description = "Which result, counted from 0"),
        PictureParams,
    ),
    responses(
        (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/*"),
        (status = 400, description = "The query is wrong", body = ErrorBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job or result", body = ErrorBody),
        (status = 422, description = "The picture does not fit the format", body = ErrorBody),
    )
)]
pub(crate) async fn result(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((id, index)): Path<(String, String)>,
    Params(params): Params<PictureParams>,
) -> Result<Response, ApiError> {
    let wish = params.wish()?;
    let job = app.own_job(&caller, &id).await?;
    let (index, seed) = found(&job, &index)?;
    let png = stored(&app, &job, PictureKind::Result(index)).await?;
    let name = file_name(&job, seed, wish.format);
    serve(&app, png, &wish, &name).await
}

/// Get a sheet
///
/// All results of a ladder or of variations, side by side.
#[utoipa::path(
    get, path = "/jobs/{id}/sheet", tag = "jobs", operation_id = "get_sheet",
    params(("id" = String, Path, description = "The job's name"), PictureParams),
    responses(
        (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/*"),
        (status = 400, description = "The query is wrong", body = ErrorBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job, or no sheet", body = ErrorBody),
        (status = 422, description = "The picture does not fit the format", body = ErrorBody),
    )
)]
pub(crate) async fn sheet(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Params(params): Params<PictureParams>,
) -> Result<Response, ApiError> {
    let wish = params.wish()?;
    let job = app.own_job(&caller, &id).await?;
    let png = stored(&app, &job, PictureKind::Sheet).await?;
    let seed = job.order.seed.unwrap_or_default();
    let name = format!(
        "{}-{}",
        job.order.kind.kind().name(),
        file_name(&job, seed, wish.format)
    );
    serve(&app, png, &wish, &name).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PreviewParams {
    /// Makes addresses differ; the latest preview is the answer whatever it says.
    #[serde(rename = "number")]
    #[param(rename = "number")]
    _number: Option<String>,
}

/// Get a preview
///
/// The latest look at a running job, as PNG.
#[utoipa::path(
    get, path = "/jobs/{id}/preview", tag = "jobs", operation_id = "get_preview",
    params(("id" = String, Path, description = "The job's name"), PreviewParams),
    responses(
        (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/png"),
        (status = 400, description = "The query is wrong", body = ErrorBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job, or no preview", body = ErrorBody),
    )
)]
pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    _number: Params<PreviewParams>,
) -> Result<Response, ApiError> {
    let job = app.own_job(&caller, &id).await?;
    let png = stored(&app, &job, PictureKind::Preview).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

/// Take a result as a source
#[utoipa::path(
    post, path = "/jobs/{id}/results/{index}/source", tag = "jobs", operation_id = "take_result",
    params(
        ("id" = String, Path, description = "The job's name"),
        ("index" = usize, Path, description = "Which result, counted from 0"),
    ),
    responses(
        (status = 201, description = "It is a source now", body = SourceBody),
        (status = 200, description = "It was a source before", body = SourceBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 404, description = "No such job or result", body = ErrorBody),
        (status = 413, description = "The picture is too large", body = ErrorBody),
        (status = 429, description = "Too many requests at a time", body = ErrorBody),
    )
)]
pub(crate) async fn to_source(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((id, index)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let job = app.own_job(&caller, &id).await?;
    let (index, seed) = found(&job, &index)?;
    let _pass = app.enter(&caller.owner)?;
    let png = stored(&app, &job, PictureKind::Result(index)).await?;
    let name = file_name(&job, seed, Format::Png);
    Ok(answer(&store(&app, &caller, &name, png).await?))
}

fn no_picture() -> ApiError {
    ApiError::not_found("unknown_picture", "the job has no such picture")
}

/// A result that is there: its index and its seed.
fn found(job: &Job, index: &str) -> Result<(usize, u64), ApiError> {
    let index: usize = index.parse().map_err(|_| no_picture())?;
    let result = job.results.iter().find(|result| result.index == index);
    result
        .map(|result| (index, result.recipe.row_seed()))
        .ok_or_else(no_picture)
}

async fn stored(app: &App, job: &Job, which: PictureKind) -> Result<Bytes, ApiError> {
    let png = app.jobs.picture(&job.id, which).await?;
    png.ok_or_else(no_picture)
}

/// What a result is called: source, prompt and seed.
fn file_name(job: &Job, seed: u64, format: Format) -> String {
    let source = job.source_name.as_deref();
    default_name(source, &job.order.prompt, seed, format.extension())
}

/// Hands a stored PNG over as it is wished.
async fn serve(app: &App, png: Bytes, wish: &Wish, name: &str) -> Result<Response, ApiError> {
    let (format, side) = (wish.format, wish.side);
    let bytes = if format == Format::Png && side.is_none() {
        png
    } else {
        let _one = app.pictures.acquire().await;
        // What we made is not held to the limits of uploads.
        let limits = imagegen_picture::Limits::default();
        let made = blocking(move || shown::converted(&png, format, side, &limits)).await?;
        Bytes::from(made)
    };
    let headers = [
        (header::CONTENT_TYPE, format.media_type()),
        (header::CACHE_CONTROL, FOR_EVER),
    ];
    let mut response = (headers, bytes).into_response();
    let place = if wish.download {
        "attachment"
    } else {
        "inline"
    };
    if let Ok(value) = HeaderValue::from_str(&disposition(place, name)) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// A name in a header, for old readers in ASCII and for others whole.
fn disposition(place: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ascii: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    let whole: String = name
        .bytes()
        .map(|byte| match byte {
            byte if plain(char::from(byte)) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    format!("{place}; filename=\"{ascii}\"; filename*=UTF-8''{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_headers_whole() {
        assert_eq!(
            disposition("inline", "a-7.png"),
            "inline; filename=\"a-7.png\"; filename*=UTF-8''a-7.png"
        );
        let text = disposition("attachment", "夜 \"x\"\r\n.png");
        assert!(text.is_ascii() && !text.contains(['\r', '\n']), "{text}");
        assert!(text.contains("%E5%A4%9C%20%22x%22%0D%0A.png"), "{text}");
    }
}
