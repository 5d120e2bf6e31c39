//! Orders: what takes time becomes a job.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Answer};
use imagegen_jobs::Order;
use utoipa::IntoResponses;

use crate::app::{App, blocking};
use crate::auth::Caller;
use crate::body::Json;
use crate::error::{ApiError, ErrorBody};
use crate::wire::{
    GenerationRequest, InpaintRequest, JobBody, LadderRequest, TransformRequest, UpscaleRequest,
    VariationRequest,
};

/// Longest idempotency key, in bytes.
const KEY_BYTES: usize = 200;

/// What an order is answered with.
#[derive(IntoResponses)]
#[expect(
    dead_code,
    clippy::large_enum_variant,
    reason = "it stands for its description, no value is made"
)]
enum Answers {
    /// The job
    #[response(status = 202, headers(("Location" = String, description = "The job's address, relative to this one")))]
    Taken(JobBody),
    /// The body is no JSON
    #[response(status = 400)]
    NoJson(ErrorBody),
    /// No key
    #[response(status = 401)]
    NoKey(ErrorBody),
    /// The content type is no JSON
    #[response(status = 415)]
    OtherContent(ErrorBody),
    /// A field is wrong
    #[response(status = 422)]
    WrongField(ErrorBody),
    /// Too many jobs wait
    #[response(status = 429, headers(("Retry-After" = u64, description = "Seconds after which to try again")))]
    Full(ErrorBody),
}

/// Takes an order, once for each idempotency key.
async fn submit(
    app: Arc<App>,
    caller: Caller,
    headers: &HeaderMap,
    order: Order,
) -> Result<Response, ApiError> {
    let key = idempotency_key(headers)?;
    let jobs = app.jobs.clone();
    let taken = blocking(move || jobs.submit(&caller.owner, order, key.as_deref())).await?;
    let job = &taken.job;
    if !taken.again {
        let (id, kind) = (job.id, job.order.kind.kind().name());
        match app.config.log_prompts {
            true => tracing::info!("queued {kind} {id}, prompt {:?}", job.order.prompt),
            false => tracing::info!("queued {kind} {id}"),
        }
    }
    // Relative to this address, so that it holds behind any prefix.
    let location = [(header::LOCATION, format!("jobs/{}", job.id))];
    Ok((StatusCode::ACCEPTED, location, Answer(JobBody::from(job))).into_response())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=KEY_BYTES).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(ApiError::field(
            "invalid_value",
            "Idempotency-Key",
            format!("idempotency key is odd, expected 1 to {KEY_BYTES} visible characters"),
        )),
    }
}

/// The address of orders of one kind.
macro_rules! orders {
    ($(#[$about:meta])* $name:ident($request:ident) at $path:literal) => {
        $(#[$about])*
        #[utoipa::path(
            post, path = $path, tag = "orders", operation_id = stringify!($name), request_body = $request,
            params(("Idempotency-Key" = Option<String>, Header, description = "The same key again gives the same job")),
            responses(Answers)
        )]
        pub(crate) async fn $name(
            State(app): State<Arc<App>>,
            Extension(caller): Extension<Caller>,
            headers: HeaderMap,
            Json(request): Json<$request>,
        ) -> Result<Response, ApiError> {
            submit(app, caller, &headers, request.order()).await
        }
    };
}

orders! {
    /// Order pictures from a source
    transform(TransformRequest) at "/transforms"
}

/// Order pictures from text alone
#[utoipa::path(
    post, path = "/generations", tag = "orders", operation_id = "generate", request_body = GenerationRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again gives the same job")),
    responses(Answers)
)]
pub(crate) async fn generate(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(request): Json<GenerationRequest>,
) -> Result<Response, ApiError> {
    let jobs = app.jobs.clone();
    let name = request.model().map(str::to_owned);
    let meant = blocking(move || Ok::<_, ApiError>(jobs.known_model(name.as_deref()))).await?;
    // A model that is not there is refused with the order.
    let native = meant.map_or(1, |meant| meant.info.native_side);
    submit(app, caller, &headers, request.order(native)).await
}

orders! {
    /// Order a ladder
    ///
    /// One source, one seed, several strengths, and a sheet of them.
    ladder(LadderRequest) at "/ladders"
}

orders! {
    /// Order variations
    ///
    /// One source, several seeds without near-duplicates, and a sheet of them.
    vary(VariationRequest) at "/variations"
}

orders! {
    /// Order a part of a picture made anew
    ///
    /// Wherever the mask is 0, results are the source bit for bit. Mask pictures are put as sources are.
    inpaint(InpaintRequest) at "/inpaintings"
}

orders! {
    /// Order a larger picture
    ///
    /// Without a prompt the source is enlarged and no model runs; with one the model draws its detail anew, in windows.
    upscale(UpscaleRequest) at "/upscales"
}
