//! Who is asking: a key as a bearer token for programs, a session's cookie for people, nobody in particular
//! where the service demands no key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;
use crate::keys::{Key, KeysError};
use crate::{hosts, sessions};

/// Who owns what is made where no key is demanded.
const NOBODY: &str = "local";

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Owner of jobs and sources: the number of the key.
    pub(crate) owner: String,
    /// What the key is called; `None` where none is demanded.
    pub(crate) name: Option<String>,
}

impl App {
    /// Whether requests need a key: where others can reach the service, and wherever keys were made.
    pub(crate) fn key_required(&self) -> Result<bool, KeysError> {
        Ok(self.config.is_exposed() || self.keyed || !self.keys.list()?.is_empty())
    }

    /// Who is asking; `None` for strangers.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, KeysError> {
        if !self.key_required()? {
            return Ok(Some(Caller {
                owner: NOBODY.to_owned(),
                name: None,
            }));
        }
        let key = match bearer(headers) {
            Some(secret) => self.keys.find(secret)?,
            None => self.signed_in(headers)?,
        };
        Ok(key.map(|key| Caller {
            owner: key.id,
            name: Some(key.name),
        }))
    }

    /// The key that a session's cookie stands for. It counts on this service's own page alone.
    fn signed_in(&self, headers: &HeaderMap) -> Result<Option<Key>, KeysError> {
        if hosts::is_of_page(&self.config.origins, headers) {
            return Ok(None);
        }
        let session = sessions::cookie(headers).and_then(|secret| self.sessions.key(secret));
        session.map_or(Ok(None), |id| self.keys.get(&id))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Lets in who has a key, and says who it is.
pub(crate) async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    match app.caller(request.headers()) {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Ok(None) => stranger().into_response(),
        Err(error) => ApiError::internal("keys", &error).into_response(),
    }
}

pub(crate) fn stranger() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "no_key",
        "the request has no valid key, expected \"Authorization: Bearer imagegen_...\" or a session",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens_are_found() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(with("Bearer"), None);
    }
}
