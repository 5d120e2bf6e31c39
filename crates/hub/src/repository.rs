//! Repositories, and what one holds at a commit.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A repository of models, and which state of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// `OWNER/NAME`; a few old ones have no owner.
    pub name: String,
    /// A branch, tag or commit.
    pub revision: String,
}

impl Repository {
    /// Its name without the owner.
    pub fn own_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

impl FromStr for Repository {
    type Err = Error;

    /// Reads `OWNER/NAME`, or `OWNER/NAME@REVISION`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let sound = |part: &str| {
            !part.is_empty()
                && part.chars().all(letters)
                && !part.starts_with('.')
                && !part.contains("..")
        };
        let parts: Vec<_> = name.split('/').collect();
        let branch = |c: char| letters(c) || c == '/';
        let fits = (1..=2).contains(&parts.len())
            && parts.into_iter().all(sound)
            && !revision.is_empty()
            && revision.chars().all(branch)
            && !revision.contains("..");
        match fits {
            true => Ok(Self {
                name: name.to_owned(),
                revision: revision.to_owned(),
            }),
            false => Err(Error::Repository {
                got: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            "main" => f.write_str(&self.name),
            revision => write!(f, "{}@{revision}", self.name),
        }
    }
}

/// What a repository holds at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit.
    pub commit: String,
    /// Its files.
    pub files: Vec<RemoteFile>,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Where it is, parts joined by `/`; never outside of the repository.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal, of those that the hub keeps as large files.
    pub sha256: Option<String>,
}

/// Whether a path that a hub lists stays in its folder, on every system.
pub(crate) fn stays_inside(path: &str) -> bool {
    let sound = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.contains(|c: char| "\\:".contains(c) || c.is_control())
    };
    path.split('/').all(sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_read() {
        let read = |text: &str| text.parse::<Repository>();
        let plain = read("stabilityai/sd-turbo").unwrap();
        assert_eq!(
            (plain.revision.as_str(), plain.own_name()),
            ("main", "sd-turbo")
        );
        assert_eq!(plain.to_string(), "stabilityai/sd-turbo");
        assert_eq!(read("gpt2@refs/pr/1").unwrap().revision, "refs/pr/1");
        for bad in [
            "",
            "a/b/c",
            "/b",
            "a/",
            "a/..",
            "../b",
            "a/b@",
            "a/b@..",
            "a b/c",
            "a/b?x",
            "https://a/b",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_that_leave_their_folder_are_known() {
        for good in ["a", "unet/config.json", "a..b/c"] {
            assert!(stays_inside(good), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            "a\\b",
            "C:/a",
            "./a",
            "a\n",
        ] {
            assert!(!stays_inside(bad), "{bad}");
        }
    }
}
