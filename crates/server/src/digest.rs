//! Secrets: random words for people and cookies, kept as hashes, compared in constant time.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Bytes of randomness in a secret. A plain hash is enough for so much of it: nothing can be guessed.
const BYTES: usize = 32;

/// SHA-256 of a secret, all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Digest(String);

impl Digest {
    pub(crate) fn of(secret: &str) -> Self {
        Self(hex(&Sha256::digest(secret.as_bytes())))
    }

    /// Whether both are of one secret. Takes the same time wherever they differ.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

/// A new secret of 64 hexadecimal digits.
///
/// Fails where the system has no randomness to give.
pub(crate) fn secret() -> Result<String, getrandom::Error> {
    random::<BYTES>()
}

/// `N` random bytes in hexadecimal.
pub(crate) fn random<const N: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_known_by_their_digest() {
        let (one, two) = (secret().unwrap(), secret().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
        assert!(Digest::of(&one).is(&Digest::of(&one)));
        assert!(!Digest::of(&one).is(&Digest::of(&two)));
        assert!(!Digest::of(&one).is(&Digest(String::new())));
    }
}
