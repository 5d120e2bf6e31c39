//! Advice about a source and what is meant to be made of it.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json as Answer};
use imagegen::{
    Fit, LookForFaces, PromptMode, Sampling, Settings, Strength, StrengthRule, Transform, Wanted,
};

use super::query::source_hash;
use crate::app::{App, blocking};
use crate::auth::Caller;
use crate::body::Json;
use crate::error::{ApiError, ErrorBody};
use crate::wire::{AdviceRequest, ForecastBody};

/// Ask for advice
///
/// Looks at a source and at what is meant to be made of it. Makes nothing.
#[utoipa::path(
    post, path = "/advice", tag = "sources", operation_id = "advise", request_body = AdviceRequest,
    responses(
        (status = 200, description = "What is to be known", body = ForecastBody),
        (status = 400, description = "The body is no JSON", body = ErrorBody),
        (status = 401, description = "No key", body = ErrorBody),
        (status = 415, description = "The content type is no JSON", body = ErrorBody),
        (status = 422, description = "A field is wrong", body = ErrorBody),
        (status = 429, description = "Too many requests at a time", body = ErrorBody),
    )
)]
pub(crate) async fn advise(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<AdviceRequest>,
) -> Result<Answer<ForecastBody>, ApiError> {
    let _pass = app.enter(&caller.owner)?;
    source_hash(&request.source)
        .map_err(|error| ApiError::field("unknown_source", "source", error.message))?;
    let source = app.jobs.decoded(&request.source).await?;
    let _one = app.adviser.acquire().await;
    let jobs = app.jobs.clone();
    blocking(move || {
        let model = jobs.model(request.model.as_deref())?;
        let strength = request.strength.unwrap_or(model.defaults().strength);
        let mode = request.prompt_mode.as_deref().map(str::parse::<PromptMode>);
        let meant = Transform {
            source: &source,
            enlarge: None,
            strength: Strength::new(strength).map_err(imagegen::Error::from)?,
            size: Wanted::Source,
            fit: Fit::Keep,
            settings: Settings {
                prompt: request.prompt,
                negative_prompt: request.negative_prompt,
                prompt_mode: mode.transpose()?.unwrap_or_default(),
                steps: request.steps,
                guidance_scale: None,
                seed: 0,
                sampler: None,
                sampling: Sampling::default(),
                loras: Vec::new(),
                loras_settled: false,
                embeddings: Vec::new(),
                refiner: None,
                rule: StrengthRule::default(),
            },
        };
        let forecast = model.forecast(&meant, LookForFaces::Always)?;
        Ok::<_, ApiError>(Answer(ForecastBody::from(&forecast)))
    })
    .await
}
