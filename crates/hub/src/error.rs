//! Why a model could not be had: subject, got, expected.

use std::path::PathBuf;

/// A model could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name is none of a repository.
    #[error("repository {got:?} is none, expected OWNER/NAME or OWNER/NAME@REVISION")]
    Repository {
        /// What came.
        got: String,
    },
    /// The address of a hub is none, or one that a token must not go to.
    #[error("the hub's address is {got:?}, expected {expected}")]
    Endpoint {
        /// What came.
        got: String,
        /// What was needed.
        expected: &'static str,
    },
    /// No answer came, or it broke off again and again.
    #[error("cannot reach {host}: {cause}")]
    Offline {
        /// Where.
        host: String,
        /// Why.
        cause: String,
    },
    /// There is no such repository, revision or file.
    #[error("{what} is not on {host}, or not for everybody")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Where.
        host: String,
    },
    /// A repository is for those who accepted its licence.
    #[error("{repository} is for those who accepted its licence at {page}{}", with_token(*token))]
    Gated {
        /// Which.
        repository: String,
        /// Where it can be accepted.
        page: String,
        /// Whether a token was shown.
        token: bool,
    },
    /// The token is not accepted, or may not do this.
    #[error("{host} refuses {what}: status {status}{}", with_token(*token))]
    Refused {
        /// What was asked for.
        what: String,
        /// Where.
        host: String,
        /// What was answered.
        status: u16,
        /// Whether a token was shown.
        token: bool,
    },
    /// The hub wants fewer requests.
    #[error("{host} wants fewer requests (status 429){}", retry_s.map_or_else(String::new, |seconds| format!(", again in {seconds} s")))]
    Busy {
        /// Where.
        host: String,
        /// Seconds after which to try again, where it says so.
        retry_s: Option<u64>,
    },
    /// Another answer than a file.
    #[error("{host} answers {what} with status {status}, expected 200")]
    Status {
        /// What was asked for.
        what: String,
        /// Where.
        host: String,
        /// What was answered.
        status: u16,
    },
    /// An answer is not what a hub says.
    #[error("{host} says {got}, expected {expected}")]
    Answer {
        /// Who.
        host: String,
        /// What came.
        got: String,
        /// What was needed.
        expected: &'static str,
    },
    /// A file is not what the hub lists.
    #[error("{file} has {got}, expected {expected}; nothing of it was kept")]
    Differs {
        /// Which file.
        file: String,
        /// Its hash or size.
        got: String,
        /// The listed one.
        expected: String,
    },
    /// A repository has nothing that could be run.
    #[error("{repository} has {got}, expected {expected}")]
    Nothing {
        /// Which.
        repository: String,
        /// What it has.
        got: String,
        /// What was needed.
        expected: String,
    },
    /// Something of the name is there already.
    #[error("{} is there already, expected a name that is free (--name) or that it is removed first", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// Another process pulls the same.
    #[error("{} is being pulled by another process", path.display())]
    InUse {
        /// What.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot write {}: {source}{}", path.display(), full(source))]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

fn with_token(token: bool) -> &'static str {
    match token {
        true => ", with the token in HF_TOKEN",
        false => ", and no token is set (HF_TOKEN)",
    }
}

fn full(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as K;
    match source.kind() {
        K::StorageFull | K::QuotaExceeded => "; what is there is kept, and the next pull goes on",
        _ => "",
    }
}

impl Error {
    /// What may help, where something does.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Gated { page, token: false, .. } => Some(format!(
                "accept the licence at {page}, make a token in your settings there, and set HF_TOKEN to it"
            )),
            Self::Gated { page, .. } => Some(format!(
                "accept the licence at {page} with the account that HF_TOKEN belongs to; the token must be allowed \
                 to read gated repositories"
            )),
            Self::NotFound { .. } | Self::Refused { token: false, .. } => Some(
                "check the name; private repositories need a token in HF_TOKEN; `imagegen models --available` lists \
                 some that are for everybody"
                    .to_owned(),
            ),
            Self::Refused { .. } => Some("make a new token that may read, and set HF_TOKEN to it".to_owned()),
            Self::Offline { .. } => Some(
                "run the command again to go on where it stopped; HF_ENDPOINT names a mirror".to_owned(),
            ),
            Self::Busy { .. } => Some(
                "run the command again later to go on where it stopped; with a token in HF_TOKEN more is allowed"
                    .to_owned(),
            ),
            Self::Differs { .. } => Some(
                "run the command again; if it is so again, the mirror or the network changes files".to_owned(),
            ),
            _ => None,
        }
    }
}
