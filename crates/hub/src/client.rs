//! The hub's HTTP API: what a repository holds, and the bytes of its files.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

use crate::Error;
use crate::repository::{RemoteFile, Repository, Snapshot, stays_inside};

/// The hub, where no mirror is named.
pub const ENDPOINT: &str = "https://huggingface.co";

/// Most times that an answer may send elsewhere.
const REDIRECTS: usize = 8;
/// Most bytes of an answer that is read as a whole.
const ANSWER_BYTES: u64 = 32 << 20;
/// Most pages of a listing.
const PAGES: usize = 100;
/// How long a hub may take to answer, and to send the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Letters that stand for themselves in a part of an address.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A hub, and who is asking.
#[derive(Debug)]
pub struct Hub {
    agent: Agent,
    /// Without a slash at its end.
    endpoint: String,
    token: Option<String>,
    /// How long to wait before asking again what broke off.
    pub(crate) pause: Duration,
}

impl Hub {
    /// A hub at an address such as [`ENDPOINT`]. The token is shown to it alone, never where it sends on to.
    ///
    /// Fails with [`Error::Endpoint`] where the address is none, and where a token would be readable on the way.
    pub fn new(endpoint: &str, token: Option<String>) -> Result<Self, Error> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let wrong = |expected| Error::Endpoint {
            got: endpoint.clone(),
            expected,
        };
        let uri: Uri = endpoint
            .parse()
            .map_err(|_| wrong("http:// or https:// and a host"))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let host = uri
            .host()
            .ok_or_else(|| wrong("http:// or https:// and a host"))?;
        if !["http", "https"].contains(&scheme) {
            return Err(wrong("http:// or https:// and a host"));
        }
        let token = token.filter(|token| !token.trim().is_empty());
        let near = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        if token.is_some() && scheme == "http" && !near {
            return Err(wrong("https://, since a token is sent"));
        }
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots = roots
            .iter()
            .map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("imagegen/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // Followed here, so that the token stays.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .build();
        Ok(Self {
            agent: config.into(),
            endpoint,
            token: token.map(|token| token.trim().to_owned()),
            pause: Duration::from_secs(2),
        })
    }

    /// As it is, but that it waits so long before it asks again what broke off; 2 seconds else.
    #[must_use]
    pub fn pausing(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// The files of a repository.
    ///
    /// Fails as the hub does, and with [`Error::Answer`] for a listing that leads out of the repository.
    pub fn snapshot(&self, repository: &Repository) -> Result<Snapshot, Error> {
        #[derive(Deserialize)]
        struct Revision {
            sha: String,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "type")]
            kind: String,
            path: String,
            #[serde(default)]
            size: u64,
            lfs: Option<Large>,
        }
        #[derive(Deserialize)]
        struct Large {
            oid: String,
            size: u64,
        }
        let about = format!("{}/api/models/{}", self.endpoint, repository.name);
        let revision = encoded(&repository.revision);
        let what = repository.to_string();
        let answer = self.ask(&format!("{about}/revision/{revision}"), repository, &what)?;
        let Revision { sha } = self.parsed(answer, "the commit of a revision")?;
        let mut files = Vec::new();
        let mut next = Some(format!("{about}/tree/{}?recursive=true", encoded(&sha)));
        for _ in 0..PAGES {
            let Some(url) = next.take() else { break };
            let answer = self.ask(&url, repository, &what)?;
            let link = answer
                .headers()
                .get("link")
                .and_then(|link| link.to_str().ok());
            next = link
                .and_then(next_page)
                .filter(|url| same_origin(url, &self.endpoint));
            let entries: Vec<Entry> = self.parsed(answer, "a list of files")?;
            for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
                if !stays_inside(&entry.path) {
                    return Err(Error::Answer {
                        host: self.host(),
                        got: format!("that {repository} has a file {:?}", entry.path),
                        expected: "paths inside of it",
                    });
                }
                files.push(RemoteFile {
                    size: entry.lfs.as_ref().map_or(entry.size, |large| large.size),
                    sha256: entry.lfs.map(|large| large.oid.to_lowercase()),
                    path: entry.path,
                });
            }
        }
        Ok(Snapshot { commit: sha, files })
    }

    /// A file's bytes from `from` on.
    pub(crate) fn open(
        &self,
        repository: &Repository,
        commit: &str,
        path: &str,
        from: u64,
    ) -> Result<Response<Body>, Error> {
        let parts: Vec<_> = path.split('/').map(encoded).collect();
        let (name, path) = (&repository.name, parts.join("/"));
        let url = format!(
            "{}/{name}/resolve/{}/{path}",
            self.endpoint,
            encoded(commit)
        );
        let what = format!("{path} of {repository}");
        self.get(&url, from, repository, &what)
    }

    /// The host, as people know it.
    pub(crate) fn host(&self) -> String {
        host_of(&self.endpoint)
    }

    fn ask(&self, url: &str, repository: &Repository, what: &str) -> Result<Response<Body>, Error> {
        self.get(url, 0, repository, what)
    }

    fn get(
        &self,
        url: &str,
        from: u64,
        repository: &Repository,
        what: &str,
    ) -> Result<Response<Body>, Error> {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let mut request = self.agent.get(&url);
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            // To the hub alone: others are shown what it signed.
            if let Some(token) = self
                .token
                .as_ref()
                .filter(|_| same_origin(&url, &self.endpoint))
            {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let answer = request.call().map_err(|error| Error::Offline {
                host: host_of(&url),
                cause: error.to_string(),
            })?;
            if !answer.status().is_redirection() {
                return self.checked(answer, &url, repository, what);
            }
            let location = answer.headers().get("location");
            let location = location.and_then(|location| location.to_str().ok());
            let to = location.and_then(|to| joined(&url, to));
            url = to.ok_or_else(|| Error::Answer {
                host: host_of(&url),
                got: format!("that {what} is at {:?}", location.unwrap_or_default()),
                expected: "an address that is as safe",
            })?;
        }
        Err(Error::Answer {
            host: self.host(),
            got: format!("that {what} is elsewhere, {REDIRECTS} times"),
            expected: "an address that has it",
        })
    }

    fn checked(
        &self,
        answer: Response<Body>,
        url: &str,
        repository: &Repository,
        what: &str,
    ) -> Result<Response<Body>, Error> {
        let status = answer.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(answer);
        }
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let (what, host) = (what.to_owned(), host_of(url));
        let token = self.token.is_some();
        Err(match (status, header("x-error-code")) {
            (_, "GatedRepo") => Error::Gated {
                repository: repository.name.clone(),
                page: format!("{}/{}", self.endpoint, repository.name),
                token,
            },
            (StatusCode::NOT_FOUND, _)
            | (_, "RepoNotFound" | "RevisionNotFound" | "EntryNotFound") => {
                Error::NotFound { what, host }
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Error::Refused {
                what,
                host,
                status: status.as_u16(),
                token,
            },
            (StatusCode::TOO_MANY_REQUESTS, _) => Error::Busy {
                host,
                retry_s: header("retry-after").parse().ok(),
            },
            _ => Error::Status {
                what,
                host,
                status: status.as_u16(),
            },
        })
    }

    fn parsed<T: serde::de::DeserializeOwned>(
        &self,
        answer: Response<Body>,
        expected: &'static str,
    ) -> Result<T, Error> {
        let mut bytes = Vec::new();
        let reader = answer.into_body().into_reader();
        let read = reader.take(ANSWER_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| Error::Offline {
            host: self.host(),
            cause: error.to_string(),
        })?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Answer {
            host: self.host(),
            got: format!("something else ({error})"),
            expected,
        })
    }
}

fn encoded(part: &str) -> String {
    utf8_percent_encode(part, PLAIN).to_string()
}

fn host_of(url: &str) -> String {
    let uri = url.parse::<Uri>().ok();
    let host = uri.and_then(|uri| uri.authority().map(ToString::to_string));
    host.unwrap_or_else(|| url.to_owned())
}

/// Whether two addresses have scheme, host and port in common.
fn same_origin(one: &str, two: &str) -> bool {
    let origin = |url: &str| {
        let uri: Uri = url.parse().ok()?;
        let port = uri.port_u16().or(match uri.scheme_str()? {
            "http" => Some(80),
            _ => Some(443),
        });
        Some((
            uri.scheme_str()?.to_owned(),
            uri.host()?.to_lowercase(),
            port,
        ))
    };
    origin(one).is_some_and(|one| Some(one) == origin(two))
}

/// Where an answer of `url` sends on to; `None` for what is no address, and from a safe one to one that is not.
fn joined(url: &str, to: &str) -> Option<String> {
    let from: Uri = url.parse().ok()?;
    if to.starts_with('/') && !to.starts_with("//") {
        return Some(format!(
            "{}://{}{to}",
            from.scheme_str()?,
            from.authority()?
        ));
    }
    let scheme = to.parse::<Uri>().ok()?.scheme_str()?.to_owned();
    let safe = scheme == "https" || (scheme == "http" && from.scheme_str() == Some("http"));
    safe.then(|| to.to_owned())
}

/// The address of the next page in a `Link` header.
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    Some(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_safe_ways_alone() {
        let new = |endpoint| Hub::new(endpoint, Some("secret".to_owned()));
        assert!(new("https://example.org/").is_ok() && new("http://127.0.0.1:9").is_ok());
        assert!(
            new("http://example.org")
                .unwrap_err()
                .to_string()
                .contains("a token is sent")
        );
        assert!(Hub::new("http://example.org", None).is_ok());
        for bad in ["example.org", "ftp://example.org", ""] {
            assert!(Hub::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_joined_and_compared() {
        let hub = "https://hub.org/a/b";
        assert_eq!(joined(hub, "/c?d").as_deref(), Some("https://hub.org/c?d"));
        assert_eq!(
            joined(hub, "https://cdn.org/x").as_deref(),
            Some("https://cdn.org/x")
        );
        assert_eq!(joined(hub, "http://cdn.org/x"), None);
        assert_eq!(joined(hub, "//cdn.org/x"), None);
        assert!(same_origin("https://hub.org/a", "https://HUB.org:443"));
        assert!(!same_origin("https://hub.org/a", "http://hub.org"));
        assert!(!same_origin(
            "https://hub.org/a",
            "https://hub.org.evil.org"
        ));
        assert!(!same_origin("http://127.0.0.1:80/a", "http://127.0.0.1:81"));
        let link = "<https://hub.org/t?cursor=x>; rel=\"next\"";
        assert_eq!(
            next_page(link).as_deref(),
            Some("https://hub.org/t?cursor=x")
        );
    }
}
