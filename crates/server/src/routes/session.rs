//! Signing in and out, and what may be asked for.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::{App, blocking};
use crate::body::Json;
use crate::error::{ApiError, ErrorBody};
use crate::keys::KeysError;
use crate::sessions::{BeginError, cookie, set_cookie};
use crate::wire::{LimitsBody, SessionBody, SignIn};

impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        Self::internal("keys", &error)
    }
}

impl From<BeginError> for ApiError {
    fn from(error: BeginError) -> Self {
        Self::internal("session", &error)
    }
}

/// Ask who is asking
///
/// Needs no key, and says whether one is needed.
#[utoipa::path(
    get, path = "/session", tag = "session", operation_id = "get_session",
    responses((status = 200, description = "Who is asking, and what may be asked for", body = SessionBody))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Answer<SessionBody>, ApiError> {
    let caller = app.caller(&headers)?;
    Ok(Answer(SessionBody {
        key_required: app.key_required()?,
        signed_in: caller.is_some(),
        name: caller.and_then(|caller| caller.name),
        version: env!("CARGO_PKG_VERSION"),
        limits: LimitsBody::from(&app.config.limits),
    }))
}

/// Sign in
///
/// Sets a cookie for people; programs send their key with each request.
#[utoipa::path(
    post, path = "/session", tag = "session", operation_id = "begin_session", request_body = SignIn,
    responses(
        (status = 204, description = "Signed in", headers(("Set-Cookie" = String))),
        (status = 400, description = "The body is no JSON", body = ErrorBody),
        (status = 401, description = "The key is wrong", body = ErrorBody),
        (status = 415, description = "The content type is no JSON", body = ErrorBody),
        (status = 422, description = "A field is wrong", body = ErrorBody),
    )
)]
pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Json(form): Json<SignIn>,
) -> Result<Response, ApiError> {
    let Some(key) = app.keys.find(form.key.trim())? else {
        tracing::warn!("refused to sign in: the key is wrong");
        let message = "the key is wrong, expected one that imagegen keys add printed";
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "wrong_key",
            message,
        ));
    };
    let state = Arc::clone(&app);
    let secret = blocking(move || state.sessions.begin(&key.id)).await?;
    let cookie = set_cookie(Some(&secret), is_secure(&headers));
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Sign out
#[utoipa::path(
    delete, path = "/session", tag = "session", operation_id = "end_session",
    responses((status = 204, description = "Signed out", headers(("Set-Cookie" = String))))
)]
pub(crate) async fn end(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(secret) = cookie(&headers) {
        let (state, secret) = (Arc::clone(&app), secret.to_owned());
        blocking(move || state.sessions.end(&secret).map_err(BeginError::from)).await?;
    }
    let cookie = set_cookie(None, is_secure(&headers));
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Whether the browser talks to us, or to the proxy before us, over TLS.
fn is_secure(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    header("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
        || header("origin").is_some_and(|origin| origin.starts_with("https://"))
}
