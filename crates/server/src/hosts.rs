//! Who may call from a browser: the name it reached us under, and the page the call comes from.
//!
//! A page of another site can make a browser call any address. What it cannot choose is what the browser says
//! of it: the name it looked up (a foreign name that was made to point here, "rebinding", is not ours) and
//! where the page is from.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;

/// Refuses what a foreign page or a foreign name asks for.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let config = &app.config;
    let host = match host_of(request.uri(), request.headers()) {
        Some(host) => host.to_owned(),
        None => return no_host().into_response(),
    };
    if !is_ours(&host, &config.hosts) {
        return foreign_host(&host).into_response();
    }
    let asks = Asks {
        host: &host,
        hosts: &config.hosts,
        origins: &config.origins,
    };
    if !asks.may(request.method(), request.uri(), request.headers()) {
        return foreign_page().into_response();
    }
    next.run(request).await
}

/// The host that a request names: in its line, else in its header. `None` for none, several or odd ones.
fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    if let Some(authority) = uri.authority() {
        return Some(authority.as_str());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    let odd = |c: char| !c.is_ascii_graphic() || "/@\\?#,".contains(c);
    (hosts.next().is_none() && !host.is_empty() && !host.contains(odd)).then_some(host)
}

/// A host without its port, and without brackets.
fn name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Whether a request says that a page of one of these `origins` makes it: pages of others that were allowed.
pub(crate) fn is_of_page(origins: &[String], headers: &HeaderMap) -> bool {
    let is_one = |said: &HeaderValue| {
        let said = said.as_bytes();
        origins
            .iter()
            .any(|one| one.as_bytes().eq_ignore_ascii_case(said))
    };
    headers.get_all(header::ORIGIN).iter().any(is_one)
}

/// Whether a host is one of ours: an address in figures, which no name server can turn on us, this machine, or
/// one that was allowed.
fn is_ours(host: &str, allowed: &[String]) -> bool {
    let name = name(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|one| one.eq_ignore_ascii_case(name))
}

/// What a request is held against.
struct Asks<'a> {
    host: &'a str,
    hosts: &'a [String],
    origins: &'a [String],
}

impl Asks<'_> {
    /// Whether the page that asks may ask this.
    fn may(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if let Some(origin) = origins.next() {
            let one = origins.next().is_none();
            return one && origin.to_str().is_ok_and(|origin| self.knows(origin));
        }
        // No origin: an address that was typed, a link, a picture on a page, or a program.
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        match header("sec-fetch-site") {
            Some("cross-site" | "same-site") if reads => {
                // Links from elsewhere lead to the page; its parts are nobody else's.
                header("sec-fetch-mode") == Some("navigate") || !uri.path().starts_with("/api/")
            }
            Some("cross-site" | "same-site") => false,
            _ => true,
        }
    }

    /// Whether an origin is this service's own, under whatever name it goes, or one that was allowed.
    fn knows(&self, origin: &str) -> bool {
        if self
            .origins
            .iter()
            .any(|one| one.eq_ignore_ascii_case(origin))
        {
            return true;
        }
        let Some((scheme, host)) = origin.split_once("://") else {
            return false; // "null"
        };
        if !matches!(scheme, "http" | "https") {
            return false;
        }
        let allowed = |one: &String| one.eq_ignore_ascii_case(name(host));
        host.eq_ignore_ascii_case(self.host) || self.hosts.iter().any(allowed)
    }
}

fn no_host() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "no_host",
        "the request names no host, or several, expected one",
    )
}

fn foreign_host(host: &str) -> ApiError {
    let host: String = host.chars().take(100).collect();
    let message = format!(
        "host is {host:?}, expected an address in figures, localhost or a name given with --host"
    );
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", message)
}

fn foreign_page() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "foreign_page",
        "the request comes from a page of another site, expected this service's own page or one \
         given with --allow-origin",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ours_where_no_name_server_decides() {
        let allowed = ["pictures.example".to_owned()];
        for host in [
            "127.0.0.1:7860",
            "192.168.1.5",
            "[::1]:7860",
            "localhost:7860",
            "LOCALHOST",
            "pictures.example",
            "Pictures.Example.:443",
        ] {
            assert!(is_ours(host, &allowed), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7860",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "xpictures.example",
            "",
        ] {
            assert!(!is_ours(host, &allowed), "{host}");
        }
    }

    fn may(method: Method, headers: &[(&'static str, &str)]) -> bool {
        let asks = Asks {
            host: "127.0.0.1:7860",
            hosts: &["pictures.example".to_owned()],
            origins: &["https://editor.example".to_owned()],
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        asks.may(&method, &Uri::from_static("/api/v1/jobs"), &map)
    }

    #[test]
    fn foreign_pages_change_nothing() {
        for origin in [
            "http://127.0.0.1:7860",
            "https://127.0.0.1:7860",
            "https://pictures.example",
            "https://pictures.example:8443",
            "https://editor.example",
        ] {
            assert!(may(Method::POST, &[("origin", origin)]), "{origin}");
            assert!(may(Method::GET, &[("origin", origin)]), "{origin}");
        }
        for origin in [
            "null",
            "https://evil.example",
            "http://127.0.0.1:9999",
            "http://localhost",
            "file://",
            "chrome-extension://127.0.0.1:7860",
            "https://editor.example.evil.example",
        ] {
            assert!(!may(Method::POST, &[("origin", origin)]), "{origin}");
            assert!(!may(Method::DELETE, &[("origin", origin)]), "{origin}");
            assert!(!may(Method::GET, &[("origin", origin)]), "{origin}");
        }
        assert!(may(Method::POST, &[]), "programs say nothing");
        for site in ["cross-site", "same-site"] {
            assert!(!may(Method::POST, &[("sec-fetch-site", site)]), "{site}");
            assert!(!may(Method::GET, &[("sec-fetch-site", site)]), "{site}");
        }
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ];
        assert!(may(Method::GET, &link));
        assert!(!may(Method::POST, &link), "a form of another site");
        assert!(may(Method::POST, &[("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn hosts_come_one_at_a_time() {
        let uri = Uri::from_static("/");
        let mut headers = HeaderMap::new();
        assert_eq!(host_of(&uri, &headers), None);
        headers.append(header::HOST, "a".parse().unwrap());
        assert_eq!(host_of(&uri, &headers), Some("a"));
        headers.append(header::HOST, "b".parse().unwrap());
        assert_eq!(host_of(&uri, &headers), None);
        for odd in ["", "a b", "a/b", "u@a", "a,b"] {
            headers.clear();
            headers.append(header::HOST, odd.parse().unwrap());
            assert_eq!(host_of(&uri, &headers), None, "{odd:?}");
        }
    }
}
