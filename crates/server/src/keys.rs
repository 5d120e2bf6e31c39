//! Keys that let people and programs in. The file holds their hashes; a key itself is shown once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use imagegen::files::{Existing, write_whole};
use serde::{Deserialize, Serialize};

use crate::digest::{self, Digest};

/// How a key begins, so that people and scanners know one when they see it.
const PREFIX: &str = "imagegen_";
/// Name of the file in the data folder.
const FILE: &str = "keys.json";
/// Longest name, in characters.
const NAME: usize = 64;

/// Why keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The file could not be read or locked.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] imagegen::Error),
    /// The file holds something else.
    #[error("{path} is no list of keys: {source}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A name that is none.
    #[error("name is {got:?}, expected 1 to {NAME} characters without control characters")]
    Name {
        /// What came.
        got: String,
    },
    /// A name that stands for another key.
    #[error("a key named {name:?} exists already, expected another name")]
    Taken {
        /// The name.
        name: String,
    },
    /// No key has this name or number.
    #[error("no key is {got:?}, expected {known}")]
    Unknown {
        /// What was asked for.
        got: String,
        /// Which there are.
        known: String,
    },
    /// The system has no randomness to give.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Eight hexadecimal digits that name it for ever.
    pub id: String,
    /// What its owner called it.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    sha256: Digest,
}

/// A key that was made just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What is known of it.
    pub key: Key,
    /// The key itself, which nobody can show again.
    pub secret: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    keys: Vec<Key>,
}

/// The keys in a data folder. A change by another process is seen at the next look.
#[derive(Debug)]
pub struct Keys {
    folder: PathBuf,
    seen: Mutex<Seen>,
}

/// What was read last, and what the file looked like then.
#[derive(Debug, Default)]
struct Seen {
    stamp: Option<Stamp>,
    keys: Arc<Vec<Key>>,
}

type Stamp = (Option<SystemTime>, u64);

impl Keys {
    /// The keys in `folder`, which need not exist.
    ///
    /// Fails where the file is there and cannot be read.
    pub fn open(folder: &Path) -> Result<Self, KeysError> {
        let keys = Self {
            folder: folder.to_owned(),
            seen: Mutex::default(),
        };
        keys.list()?;
        Ok(keys)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Every key, in the order they were made.
    ///
    /// Fails where the file cannot be read.
    pub fn list(&self) -> Result<Arc<Vec<Key>>, KeysError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp()?;
        if stamp != seen.stamp {
            seen.keys = Arc::new(self.read()?.keys);
            seen.stamp = stamp;
        }
        Ok(Arc::clone(&seen.keys))
    }

    /// The file, where it is there and every key in it was revoked.
    ///
    /// Fails where it cannot be read.
    pub(crate) fn emptied(&self) -> Result<Option<PathBuf>, KeysError> {
        let emptied = self.list()?.is_empty() && self.stamp()?.is_some();
        Ok(emptied.then(|| self.path()))
    }

    /// What the file looks like; `None` where there is none.
    fn stamp(&self) -> Result<Option<Stamp>, KeysError> {
        match fs::metadata(self.path()) {
            Ok(facts) => Ok(Some((facts.modified().ok(), facts.len()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn read(&self) -> Result<KeyFile, KeysError> {
        let text = match fs::read_to_string(self.path()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(KeyFile::default()),
            Err(source) => return Err(self.failed(source)),
        };
        serde_json::from_str(&text).map_err(|source| KeysError::Content {
            path: self.path(),
            source,
        })
    }

    fn failed(&self, source: io::Error) -> KeysError {
        KeysError::File {
            path: self.path(),
            source,
        }
    }

    /// Changes the file while no other process does.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut KeyFile) -> Result<T, KeysError>,
    ) -> Result<T, KeysError> {
        fs::create_dir_all(&self.folder).map_err(|source| self.failed(source))?;
        let lock = fs::File::create(self.folder.join("keys.lock"));
        let lock = lock.map_err(|source| self.failed(source))?;
        lock.lock().map_err(|source| self.failed(source))?;
        let mut file = self.read()?;
        let done = change(&mut file)?;
        let text = serde_json::to_string_pretty(&file).expect("keys hold only texts and numbers");
        write_whole(&self.path(), text.as_bytes(), Existing::Replace)?;
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stamp = None;
        Ok(done)
    }

    /// Makes a key.
    ///
    /// Fails where the name is none or taken, and where the file cannot be changed.
    pub fn add(&self, name: &str) -> Result<NewKey, KeysError> {
        let length = name.chars().count();
        if name.trim() != name || !(1..=NAME).contains(&length) || name.contains(char::is_control) {
            return Err(KeysError::Name {
                got: name.to_owned(),
            });
        }
        let secret = format!("{PREFIX}{}", digest::secret()?);
        let id = digest::random::<4>()?;
        self.change(|file| {
            if file.keys.iter().any(|key| key.name == name || key.id == id) {
                return Err(KeysError::Taken {
                    name: name.to_owned(),
                });
            }
            let key = Key {
                id,
                name: name.to_owned(),
                created_ms: now_ms(),
                sha256: Digest::of(&secret),
            };
            file.keys.push(key.clone());
            Ok(NewKey { key, secret })
        })
    }

    /// Drops the key of this name or number; whoever used it is out at once.
    ///
    /// Fails where there is none and where the file cannot be changed.
    pub fn revoke(&self, which: &str) -> Result<Key, KeysError> {
        self.change(|file| {
            let at = file
                .keys
                .iter()
                .position(|key| key.id == which || key.name == which);
            match at {
                Some(at) => Ok(file.keys.remove(at)),
                None => Err(KeysError::Unknown {
                    got: which.to_owned(),
                    known: known(&file.keys),
                }),
            }
        })
    }

    /// The key that `secret` is. Looks at every key, so that time does not tell which one it is like.
    pub(crate) fn find(&self, secret: &str) -> Result<Option<Key>, KeysError> {
        let digest = Digest::of(secret);
        let mut found = None;
        for key in self.list()?.iter() {
            if key.sha256.is(&digest) {
                found = Some(key.clone());
            }
        }
        Ok(found)
    }

    /// The key of this number.
    pub(crate) fn get(&self, id: &str) -> Result<Option<Key>, KeysError> {
        Ok(self.list()?.iter().find(|key| key.id == id).cloned())
    }
}

fn known(keys: &[Key]) -> String {
    let names: Vec<_> = keys.iter().map(|key| format!("{:?}", key.name)).collect();
    match names.is_empty() {
        true => "one that exists; there are none".to_owned(),
        false => format!("one of {}", names.join(", ")),
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_once_and_kept_as_a_hash() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        let made = keys.add("phone").unwrap();
        assert!(made.secret.starts_with(PREFIX) && made.secret.len() == PREFIX.len() + 64);
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(!text.contains(&made.secret[PREFIX.len()..]), "{text}");
        assert!(text.contains("phone"));
        assert_eq!(keys.find(&made.secret).unwrap(), Some(made.key.clone()));
        let mut near = made.secret.clone();
        near.pop();
        for wrong in ["", "imagegen_", &near, &format!("{}0", made.secret)] {
            assert_eq!(keys.find(wrong).unwrap(), None, "{wrong}");
        }
    }

    #[test]
    fn another_process_is_seen_and_revoked_keys_are_out() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (
            Keys::open(folder.path()).unwrap(),
            Keys::open(folder.path()).unwrap(),
        );
        let one = there.add("one").unwrap();
        let two = there.add("two").unwrap();
        assert_eq!(here.list().unwrap().len(), 2);
        there.revoke(&one.key.id).unwrap();
        assert_eq!(here.find(&one.secret).unwrap(), None);
        there.revoke("two").unwrap();
        assert_eq!(here.find(&two.secret).unwrap(), None);
        let error = there.revoke("two").unwrap_err().to_string();
        assert!(error.contains("there are none"), "{error}");
    }

    #[test]
    fn names_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        for bad in ["", " a", "a\nb", &"x".repeat(65)] {
            assert!(
                matches!(keys.add(bad), Err(KeysError::Name { .. })),
                "{bad:?}"
            );
        }
        keys.add("a").unwrap();
        assert!(matches!(keys.add("a"), Err(KeysError::Taken { .. })));
        fs::write(folder.path().join(FILE), "{}").unwrap();
        assert!(matches!(
            Keys::open(folder.path()),
            Err(KeysError::Content { .. })
        ));
    }
}
