//! Sessions of people who signed in with a key: a cookie with a secret, kept as its hash. They outlive a
//! restart and end with their key.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, header};
use imagegen::files::{Existing, write_whole};
use serde::{Deserialize, Serialize};

use crate::digest::{self, Digest};
use crate::keys::now_ms;

/// Name of the cookie.
pub(crate) const COOKIE: &str = "imagegen_session";
/// Name of the file in the data folder.
const FILE: &str = "sessions.json";
/// How long a session lasts.
const LIFE_S: u64 = 30 * 24 * 3600;
/// Most sessions; the oldest go first.
const MOST: usize = 1000;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Session {
    sha256: Digest,
    key: String,
    until_ms: u64,
}

/// Everyone who is signed in.
#[derive(Debug)]
pub(crate) struct Sessions {
    path: PathBuf,
    all: Mutex<Vec<Session>>,
}

impl Sessions {
    /// The sessions that are remembered in `folder`; none where the file cannot be read.
    pub(crate) fn open(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).unwrap_or_default();
        Self {
            path,
            all: Mutex::new(serde_json::from_str(&text).unwrap_or_default()),
        }
    }

    fn hold(&self) -> MutexGuard<'_, Vec<Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs in with the key of this number. Gives the secret for the cookie.
    ///
    /// Fails where there is no randomness or the file cannot be written.
    pub(crate) fn begin(&self, key: &str) -> Result<String, BeginError> {
        let secret = digest::secret()?;
        let now = now_ms();
        let mut all = self.hold();
        all.retain(|session| session.until_ms > now);
        let spare = (all.len() + 1).saturating_sub(MOST);
        all.drain(..spare);
        all.push(Session {
            sha256: Digest::of(&secret),
            key: key.to_owned(),
            until_ms: now + LIFE_S * 1000,
        });
        self.save(&all)?;
        Ok(secret)
    }

    /// The number of the key that the session of this secret was begun with.
    pub(crate) fn key(&self, secret: &str) -> Option<String> {
        let (digest, now) = (Digest::of(secret), now_ms());
        let mut found = None;
        for session in self.hold().iter() {
            if session.sha256.is(&digest) && session.until_ms > now {
                found = Some(session.key.clone());
            }
        }
        found
    }

    /// Signs out.
    ///
    /// Fails where the file cannot be written; the session is over nevertheless until a restart.
    pub(crate) fn end(&self, secret: &str) -> Result<(), imagegen::Error> {
        let digest = Digest::of(secret);
        let mut all = self.hold();
        all.retain(|session| !session.sha256.is(&digest));
        self.save(&all)
    }

    fn save(&self, all: &[Session]) -> Result<(), imagegen::Error> {
        let text = serde_json::to_vec(all).expect("sessions hold only texts and numbers");
        write_whole(&self.path, &text, Existing::Replace)?;
        Ok(())
    }
}

/// Why nobody can sign in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Write(#[from] imagegen::Error),
}

/// The secret in a request's cookie.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// The header that sets the cookie, or drops it for no secret. Has no domain and no path: it goes back to this
/// host and to addresses beside the one that set it alone, whatever prefix a proxy puts before them.
pub(crate) fn set_cookie(secret: Option<&str>, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    let (value, age) = match secret {
        Some(secret) => (secret, LIFE_S),
        None => ("", 0),
    };
    format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Max-Age={age}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_outlive_a_restart_and_end_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Sessions::open(folder.path()).begin("abcd").unwrap();
        let again = Sessions::open(folder.path());
        assert_eq!(again.key(&secret).as_deref(), Some("abcd"));
        assert_eq!(again.key("other"), None);
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(!text.contains(&secret));
        again.end(&secret).unwrap();
        assert_eq!(Sessions::open(folder.path()).key(&secret), None);
    }

    #[test]
    fn old_sessions_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(folder.path());
        let first = sessions.begin("k").unwrap();
        for session in sessions.hold().iter_mut() {
            session.until_ms = 1;
        }
        assert_eq!(sessions.key(&first), None, "it is over");
        sessions.begin("k").unwrap();
        assert_eq!(sessions.hold().len(), 1);
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; imagegen_session=xyz".parse().unwrap());
        assert_eq!(cookie(&headers), Some("xyz"));
        headers.clear();
        headers.append(header::COOKIE, "ximagegen_session=xyz".parse().unwrap());
        assert_eq!(cookie(&headers), None);
    }
}
