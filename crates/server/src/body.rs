//! Bodies of requests: read within limits of length and time, and drained where a request is refused, so that
//! its client reads the answer instead of a broken connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::{Instant, timeout, timeout_at};

use crate::app::App;
use crate::config::{Limits, Times};
use crate::error::ApiError;

/// Most bytes that are thrown away after a refusal; a client that sends more is cut off.
const DRAINED: u64 = 256 << 20;

/// Reads a body of at most `limit` bytes; `what` it is goes into the refusal.
///
/// Fails with 413 where it is longer and 408 where it is slower than `times` allow.
pub(crate) async fn read(
    body: Body,
    headers: &HeaderMap,
    (what, limit): (&str, u64),
    times: &Times,
) -> Result<Bytes, ApiError> {
    if declared(headers).is_some_and(|length| length > limit) {
        return Err(too_large(what, limit));
    }
    let end = Instant::now() + times.body;
    let mut read = BytesMut::new();
    let mut body = body;
    loop {
        let next = (Instant::now() + times.pause).min(end);
        let frame = match timeout_at(next, body.frame()).await {
            Err(_) => return Err(too_slow(times)),
            Ok(None) => return Ok(read.freeze()),
            Ok(Some(Err(error))) => return Err(broken(&error)),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(piece) = frame.into_data() {
            if (read.len() + piece.len()) as u64 > limit {
                return Err(too_large(what, limit));
            }
            read.extend_from_slice(&piece);
        }
    }
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// A limit in words: `10 MiB (10485760 bytes)`.
fn in_words(limit: u64) -> String {
    match limit {
        0..1024 => format!("{limit} bytes"),
        1024..1_048_576 => format!("{} KiB ({limit} bytes)", Short(limit as f64 / 1024.0)),
        _ => format!("{} MiB ({limit} bytes)", Short(limit as f64 / 1_048_576.0)),
    }
}

/// A number without needless noughts.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", (self.0 * 10.0).round() / 10.0)
    }
}

pub(crate) fn too_large(what: &str, limit: u64) -> ApiError {
    let message = format!("{what} is too large, expected at most {}", in_words(limit));
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

pub(crate) fn too_slow(times: &Times) -> ApiError {
    let message = format!(
        "the body came too slowly, expected a piece every {} s and all of it in {} s",
        times.pause.as_secs_f64(),
        times.body.as_secs_f64()
    );
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message).closing()
}

pub(crate) fn broken(error: &dyn std::fmt::Display) -> ApiError {
    let message = format!("the body broke off: {error}");
    ApiError::new(StatusCode::BAD_REQUEST, "broken_body", message).closing()
}

/// A JSON document, read strictly: an unknown field is refused by its name.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let media = parts.headers.get(header::CONTENT_TYPE);
        if !media.is_some_and(is_json) {
            let message = "content type is no JSON, expected application/json";
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                message,
            ));
        }
        let limits: &Limits = &app.config.limits;
        let limit = ("the JSON document", limits.json_bytes);
        let bytes = read(body, &parts.headers, limit, &app.config.times).await?;
        parse(&bytes).map(Self)
    }
}

fn is_json(media: &HeaderValue) -> bool {
    let text = media.to_str().unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // First as JSON whatever it says: a document that breaks off must not pass for a wrong field.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| {
        let message = format!("the body is no JSON: {error}, expected an object");
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    })?;
    if let Some(kind) = other_than_object(bytes) {
        let message = format!("the body is {kind}, expected an object");
        return Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_value",
            message,
        ));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        field_error(&path, &error.into_inner().to_string())
    })
}

/// What a JSON document is where it is no object: the reader would take an array for a list of fields.
fn other_than_object(document: &[u8]) -> Option<&'static str> {
    match document.trim_ascii_start().first()? {
        b'{' => None,
        b'[' => Some("an array"),
        b'"' => Some("a text"),
        b'n' => Some("null"),
        b't' | b'f' => Some("true or false"),
        _ => Some("a number"),
    }
}

/// What serde says about a field, with the field apart.
pub(crate) fn field_error(path: &str, words: &str) -> ApiError {
    // Lines and columns mean nothing to who fills in a form.
    let words = words.split(" at line ").next().unwrap_or(words);
    let quoted = || words.split('`').nth(1).unwrap_or_default().to_owned();
    let (code, field) = if words.starts_with("unknown field ") {
        ("unknown_field", quoted())
    } else if words.starts_with("missing field ") {
        ("missing_field", quoted())
    } else if words.starts_with("duplicate field ") {
        ("duplicate_field", quoted())
    } else {
        ("invalid_value", path.to_owned())
    };
    let message = match (code, field.as_str()) {
        ("invalid_value", "" | ".") => format!("the body is wrong: {words}"),
        ("invalid_value", field) => format!("{field}: {words}"),
        _ => words.to_owned(),
    };
    let mut error = ApiError::field(code, field, message);
    error.field = error
        .field
        .filter(|field| !matches!(field.as_str(), "" | "." | "?"));
    error
}

/// The rest of a request's body, shared between whoever reads it and whoever drains it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Rest>>);

struct Rest {
    body: Body,
    begun: bool,
    over: bool,
}

impl Shared {
    fn hold(&self) -> MutexGuard<'_, Rest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut rest = self.hold();
        rest.begun = true;
        let frame = Pin::new(&mut rest.body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = &frame {
            rest.over = true;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.hold().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.hold().body.size_hint()
    }
}

/// Reads what a refused request still sends before the answer goes out: a client that is cut off in the middle
/// of its upload reports a broken connection and never reads why.
pub(crate) async fn drain(times: Times, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // Such a client waits for leave to send; the answer is all it needs.
    let waits = parts.headers.contains_key(header::EXPECT);
    let shared = Shared(Arc::new(Mutex::new(Rest {
        body,
        begun: false,
        over: false,
    })));
    let mut rest = shared.clone();
    let request = Request::from_parts(parts, Body::new(shared));
    let mut response = next.run(request).await;
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response;
    }
    if response.status() == StatusCode::REQUEST_TIMEOUT {
        return response; // more would come as slowly; such answers close the connection themselves
    }
    let (begun, over) = {
        let held = rest.hold();
        (held.begun, held.over || held.body.is_end_stream())
    };
    let whole = over || ((begun || !waits) && finish(&mut rest, times).await);
    if !whole {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Throws the rest away; false where it is too long or too slow.
async fn finish(rest: &mut Shared, times: Times) -> bool {
    let all = async {
        let mut drained = 0;
        while drained <= DRAINED {
            match timeout(times.pause, rest.frame()).await {
                Ok(None) => return true,
                Ok(Some(Ok(frame))) => drained += frame.data_ref().map_or(0, Bytes::len) as u64,
                Ok(Some(Err(_))) | Err(_) => return false,
            }
        }
        false
    };
    timeout(times.drain, all).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        steps: u8,
    }

    fn refused(text: &str) -> (String, Option<String>, String) {
        let error = parse::<Form>(text.as_bytes()).unwrap_err();
        (error.code, error.field, error.message)
    }

    #[test]
    fn refusals_name_the_field() {
        assert_eq!(parse::<Form>(br#"{"steps": 3}"#).unwrap().steps, 3);
        let (code, field, message) = refused(r#"{"stesp": 3}"#);
        assert_eq!(
            (code.as_str(), field.as_deref()),
            ("unknown_field", Some("stesp"))
        );
        assert_eq!(message, "unknown field `stesp`, expected `steps`");
        let (code, field, _) = refused("{}");
        assert_eq!(
            (code.as_str(), field.as_deref()),
            ("missing_field", Some("steps"))
        );
        let (code, field, message) = refused(r#"{"steps": "many"}"#);
        assert_eq!(
            (code.as_str(), field.as_deref()),
            ("invalid_value", Some("steps"))
        );
        assert!(
            message.starts_with("steps: invalid type: string"),
            "{message}"
        );
        for (other, kind) in [
            ("[]", "an array"),
            (" [3]", "an array"),
            ("null", "null"),
            ("\"steps\"", "a text"),
            ("-3", "a number"),
            ("false", "true or false"),
        ] {
            let (code, field, message) = refused(other);
            assert_eq!((code.as_str(), field), ("invalid_value", None));
            assert_eq!(message, format!("the body is {kind}, expected an object"));
        }
        for broken in [
            "",
            "{",
            "{\"steps\": \"ma",
            "{\"steps\": 3} x",
            "nonsense",
            "[3",
        ] {
            assert_eq!(refused(broken).0, "invalid_json", "{broken}");
        }
    }

    #[test]
    fn limits_are_named_in_words() {
        assert_eq!(in_words(10 << 20), "10 MiB (10485760 bytes)");
        assert_eq!(in_words(256 << 10), "256 KiB (262144 bytes)");
        assert_eq!(in_words(1_500_000), "1.4 MiB (1500000 bytes)");
    }
}
