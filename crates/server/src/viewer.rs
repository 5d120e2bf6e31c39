//! The description of the API as a document for programs (OpenAPI) and as a page for people.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use utoipa::OpenApi as _;
use utoipa::ToSchema as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::Server;
use utoipa::openapi::{Content, OpenApi, PathItem, Ref, ResponseBuilder};

use crate::app::App;
use crate::error::ErrorBody;
use crate::headers::PAGE_POLICY;
use crate::sessions;

/// What stands over the description.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "imagegen",
        description = "Turns pictures into new ones. Upload a source once and name it by its hash; what takes \
                       time is a job that goes on whatever becomes of the connection. Errors are \
                       `{\"error\": {\"code\", \"field\", \"message\"}}`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "sources", description = "Pictures to start from"),
        (name = "orders", description = "Asking for pictures"),
        (name = "jobs", description = "What became of orders"),
        (name = "models", description = "What does the work"),
        (name = "session", description = "Who is asking"),
    )
)]
struct About;

/// Routes of the description of `routes`.
pub(crate) fn routes(routes: OpenApi) -> Router<Arc<App>> {
    let document = Bytes::from(document(routes));
    Router::new()
        .route(
            "/openapi.json",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], document) }),
        )
        .route(
            "/docs",
            get(|| async { page("text/html; charset=utf-8", HTML) }),
        )
        .route(
            "/docs/viewer.css",
            get(|| async { page("text/css; charset=utf-8", CSS) }),
        )
        .route(
            "/docs/viewer.js",
            get(|| async { page("text/javascript; charset=utf-8", JS) }),
        )
}

const HTML: &str = include_str!("../viewer/viewer.html");
const CSS: &str = include_str!("../viewer/viewer.css");
const JS: &str = include_str!("../viewer/viewer.js");

fn page(media: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, media),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (headers, text)
}

/// The document. Its server is named relative to itself, so that it holds behind any prefix.
fn document(routes: OpenApi) -> String {
    let mut all = About::openapi();
    all.merge(routes);
    all.servers = Some(vec![Server::new(".")]);
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = all.components.get_or_insert_default();
    components.add_security_scheme("key", bearer);
    let cookie = ApiKey::Cookie(ApiKeyValue::new(sessions::COOKIE));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    // Any of them; the last is nobody, where no key is demanded.
    let scheme = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    all.security = Some(vec![
        scheme("key"),
        scheme("session"),
        SecurityRequirement::default(),
    ]);
    let schema = Ref::from_schema_name(ErrorBody::name());
    for path in all.paths.paths.values_mut() {
        for operation in operations(path) {
            everywhere(operation, &schema);
        }
    }
    all.to_json()
        .expect("the description holds only texts and numbers")
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        ..
    } = path;
    [get, put, post, delete].into_iter().flatten()
}

/// Says what the layers before every route may answer; the layers are in [`crate::app`].
fn everywhere(operation: &mut Operation, schema: &Ref) {
    let mut refusals = vec![
        ("403", "A page of another site asks"),
        ("421", "The host is a foreign name"),
    ];
    if operation.request_body.is_some() {
        refusals.push(("408", "The body comes too slowly"));
        refusals.push(("413", "The body is too long"));
    }
    for (status, why) in refusals {
        let content = Content::new(Some(schema.clone()));
        let response = ResponseBuilder::new()
            .description(why)
            .content("application/json", content)
            .build();
        let known = &mut operation.responses.responses;
        known
            .entry(status.to_owned())
            .or_insert_with(|| response.into());
    }
}
