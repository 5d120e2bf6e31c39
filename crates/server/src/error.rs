//! Why a request was refused: a status, a stable code, the field where there is one, a sentence.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use imagegen::RunError;
use imagegen_picture::{DecodeError, Fault};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) field: Option<String>,
    pub(crate) message: String,
    /// Seconds after which another try makes sense.
    pub(crate) retry_s: Option<u64>,
    /// Whether the connection is of no more use.
    close: bool,
}

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorFields,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorFields {
    /// A stable name for programs.
    #[schema(example = "strength_out_of_range")]
    code: String,
    /// The field of the request that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "strength")]
    field: Option<String>,
    /// A sentence for people: subject, got, expected.
    #[schema(example = "strength is 1.4, expected 0 to 1")]
    message: String,
}

/// A code that a log line may quote; see [`crate::log`].
#[derive(Debug, Clone)]
pub(crate) struct Code(pub(crate) String);

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            field: None,
            message: message.into(),
            retry_s: None,
            close: false,
        }
    }

    /// A field of the request that is wrong.
    pub(crate) fn field(
        code: impl Into<String>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
        error.field = Some(field.into());
        error
    }

    pub(crate) fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Too much of something for now.
    pub(crate) fn busy(code: &str, message: impl Into<String>, retry_s: u64) -> Self {
        Self {
            retry_s: Some(retry_s.max(1)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
        }
    }

    /// Something of ours broke; the cause goes to the log.
    pub(crate) fn internal(code: &str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(code, %cause, "failed a request");
        let message = "the service failed, its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, message)
    }

    /// The same, and the connection ends with the answer.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

impl From<ApiError> for ErrorBody {
    fn from(error: ApiError) -> Self {
        Self {
            error: ErrorFields {
                code: error.code,
                field: error.field,
                message: error.message,
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, retry_s, close) = (self.status, self.retry_s, self.close);
        let code = Code(self.code.clone());
        let mut response = (status, Json(ErrorBody::from(self))).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = retry_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(code);
        response
    }
}

impl From<imagegen_jobs::Error> for ApiError {
    fn from(error: imagegen_jobs::Error) -> Self {
        use imagegen_jobs::Error as E;
        let message = error.to_string();
        match error {
            E::Library(error) => library(error),
            E::Lora(error) => Self {
                field: Some("loras".to_owned()),
                ..library(error)
            },
            E::UnknownModel { .. } => Self::field("unknown_model", "model", message),
            E::UnknownSource { .. } => Self::field("unknown_source", "source", message),
            E::SourceDamaged { .. } => Self::field("source_lost", "source", message),
            E::Value { field, got, .. } => Self::field(value_code(field, &got), field, message),
            E::QueueFull { retry_s, .. } => Self::busy("queue_full", message, retry_s),
            E::TooMany { retry_s, .. } => Self::busy("too_many_jobs", message, retry_s),
            E::KeyReused { .. } => Self::field("key_reused", "Idempotency-Key", message),
            E::ShutDown => ending(),
            error => Self::internal(error.code(), &error),
        }
    }
}

/// The service ends.
pub(crate) fn ending() -> ApiError {
    ApiError {
        retry_s: Some(5),
        ..ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "shutting_down",
            "the service is shutting down, try again when it is back",
        )
    }
}

/// A number that is out of its range has a code of its own.
fn value_code(field: &str, got: &str) -> String {
    match got.parse::<f64>() {
        Ok(_) => format!("{}_out_of_range", field.replace('.', "_")),
        Err(_) => "invalid_value".to_owned(),
    }
}

impl From<imagegen::Error> for ApiError {
    fn from(error: imagegen::Error) -> Self {
        library(error)
    }
}

fn library(error: imagegen::Error) -> ApiError {
    use imagegen::Error as E;
    let message = error.to_string();
    match error {
        E::Source { cause, .. } => decoding(&cause),
        E::NoRecipe { .. } => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_recipe", message),
        E::Setting { subject, got, .. } => match request_field(&subject) {
            Some(field) => ApiError::field(value_code(field, &got), field, message),
            None if subject.starts_with("the recipe in ") => {
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_recipe", message)
            }
            None => ApiError::internal("model", &message),
        },
        E::Prompt { which, .. } => ApiError::field(
            "invalid_value",
            request_field(which).unwrap_or("prompt"),
            message,
        ),
        E::UnknownName { what: "LoRA", .. } => ApiError::field("unknown_lora", "prompt", message),
        E::UnknownName { .. } => ApiError::field("unknown_embedding", "prompt", message),
        E::Lora { .. } => ApiError::field("invalid_value", "loras", message),
        E::Embedding { .. } => ApiError::field("invalid_value", "prompt", message),
        E::NeedsMask { .. } => ApiError::field("invalid_value", "model", message),
        E::Mask(_) => ApiError::field("invalid_value", "mask", message),
        E::Fit(_) => ApiError::field("invalid_value", "size", message),
        E::Encode(_) => ApiError::field("invalid_value", "prompt", message),
        E::Run(RunError::Value { subject, got, .. }) => match request_field(subject) {
            Some(field) => ApiError::field(value_code(field, &got), field, message),
            None => ApiError::internal("run", &message),
        },
        E::Run(RunError::UnknownSampler { .. }) => {
            ApiError::field("unknown_sampler", "sampler", message)
        }
        E::Run(RunError::NoSteps { .. }) => ApiError::field("invalid_value", "strength", message),
        E::UnknownModel { .. } => ApiError::field("unknown_model", "model", message),
        E::Memory { .. } => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "memory", message),
        error => ApiError::internal("run", &error),
    }
}

/// The field of a request that the library means.
fn request_field(subject: &str) -> Option<&'static str> {
    Some(match subject {
        "strength" => "strength",
        "strength rule" => "strength_rule",
        "steps" => "steps",
        "guidance" | "guidance scale" | "guidance_scale" => "guidance_scale",
        "sampler" => "sampler",
        "schedule" => "schedule",
        "eta" => "eta",
        "guidance rescale" => "guidance_rescale",
        "guidance until" => "guidance_until",
        "cache interval" => "cache_interval",
        "token merging" => "token_merging",
        "image guidance" => "image_guidance",
        "colours" => "colours",
        "wash" => "wash",
        "clip skip" => "clip_skip",
        "noise" => "noise",
        "variation strength" => "variation_strength",
        "size" => "size",
        "prompt" => "prompt",
        "negative prompt" => "negative_prompt",
        "prompt mode" => "prompt_mode",
        "tiles" => "tiles",
        "vae tiling" => "vae_tiling",
        "refiner" => "refiner",
        "the refiner's start" => "refiner_at",
        // What it is, and what it sees of a source.
        _ if subject.starts_with("the refiner ") || subject.starts_with("what the refiner ") => {
            "refiner"
        }
        _ => return None,
    })
}

/// Bytes that give no picture.
pub(crate) fn decoding(cause: &DecodeError) -> ApiError {
    let (status, code) = match (cause, cause.fault()) {
        (DecodeError::TooManyBytes { .. }, _) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        (_, Fault::Limit) => (StatusCode::UNPROCESSABLE_ENTITY, "too_many_pixels"),
        (DecodeError::NotAPicture { .. }, _) | (_, Fault::Unsupported) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_picture")
        }
        _ => (StatusCode::UNPROCESSABLE_ENTITY, "unusable_source"),
    };
    ApiError::new(status, code, cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_have_a_code_of_their_own() {
        let error = imagegen_jobs::Error::Value {
            field: "strength",
            got: "1.4".to_owned(),
            expected: "0 to 1".to_owned(),
        };
        let error = ApiError::from(error);
        assert_eq!(error.code, "strength_out_of_range");
        assert_eq!(error.field.as_deref(), Some("strength"));
        assert_eq!(error.message, "strength is 1.4, expected 0 to 1");
    }

    #[test]
    fn a_full_queue_says_when_to_come_again() {
        let error = ApiError::from(imagegen_jobs::Error::QueueFull {
            limit: 64,
            retry_s: 0,
        });
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
