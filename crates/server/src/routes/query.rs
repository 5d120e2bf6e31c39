//! What stands in addresses: names of jobs and sources, and what follows the question mark.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use imagegen_jobs::JobId;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// What follows the question mark, read strictly.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let read = Query::try_from_uri(&parts.uri);
        read.map(|Query(value)| Self(value)).map_err(|rejection| {
            let words = rejection.body_text();
            let words = words
                .rsplit("query string: ")
                .next()
                .unwrap_or(&words)
                .to_owned();
            // The reader names the field before what is wrong with it, where it knows it.
            let (path, words) = match words.split_once(": ") {
                Some((path, rest)) if !path.contains(' ') => (path.to_owned(), rest.to_owned()),
                _ => (String::new(), words),
            };
            if let Some(expected) = wanted(&words) {
                return wrong(&path, &given(&parts.uri, &path), expected);
            }
            let mut error = crate::body::field_error(&path, &words);
            error.message = error
                .message
                .replace("the body is wrong", "the query is wrong");
            error.status = StatusCode::BAD_REQUEST;
            error
        })
    }
}

/// What was expected where the reader says only what it could not do.
fn wanted(words: &str) -> Option<&'static str> {
    if words.contains("not `true` or `false`") {
        return Some("true or false");
    }
    let numbers = ["digit", "integer", "number too"];
    let number = numbers.iter().any(|part| words.contains(part));
    number.then_some("a whole number")
}

/// What a query says of a field.
fn given(uri: &Uri, field: &str) -> String {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let pairs = pairs.map(|Query(pairs)| pairs).unwrap_or_default();
    let pair = pairs.into_iter().find(|(name, _)| name == field);
    pair.map(|(_, value)| value).unwrap_or_default()
}

/// A field of a query that is wrong.
pub(super) fn wrong(field: &str, got: &str, expected: &str) -> ApiError {
    let got: String = got.chars().take(64).collect();
    let message = format!("{field} is {got:?}, expected {expected}");
    let mut error = ApiError::field("invalid_value", field, message);
    error.status = StatusCode::BAD_REQUEST;
    error
}

/// A job by its name.
///
/// Fails with 404 for what is no name.
pub(crate) fn job_id(text: &str) -> Result<JobId, ApiError> {
    text.parse().map_err(|_| no_job(text))
}

pub(crate) fn no_job(id: &str) -> ApiError {
    let id: String = id.chars().take(64).collect();
    ApiError::not_found("unknown_job", format!("job {id:?} is not known"))
}

/// A source by its hash.
///
/// Fails with 404 for what is no hash: nothing else ever reaches a folder.
pub(crate) fn source_hash(text: &str) -> Result<&str, ApiError> {
    let hash = text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if hash { Ok(text) } else { Err(no_source(text)) }
}

pub(crate) fn no_source(sha256: &str) -> ApiError {
    let sha256: String = sha256.chars().take(64).collect();
    let message = format!("source {sha256:?} is not known, expected the hash of one that was put");
    ApiError::not_found("unknown_source", message)
}

/// A side of a smaller picture.
///
/// Fails with 400 outside 16 to 2048 pixels.
pub(crate) fn side(side: Option<u32>) -> Result<Option<u32>, ApiError> {
    match side {
        Some(got) if !(16..=2048).contains(&got) => {
            let message = format!("side is {got}, expected 16 to 2048");
            let mut error = ApiError::field("side_out_of_range", "side", message);
            error.status = StatusCode::BAD_REQUEST;
            Err(error)
        }
        side => Ok(side),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_and_names_of_jobs_pass() {
        assert!(source_hash(&"0a".repeat(32)).is_ok());
        for bad in [
            "",
            "..",
            "../../etc/passwd",
            &"0A".repeat(32),
            &"0a".repeat(33),
            &format!("{}/.", "0a".repeat(31)),
        ] {
            assert!(source_hash(bad).is_err(), "{bad}");
            assert!(job_id(bad).is_err(), "{bad}");
        }
    }
}
