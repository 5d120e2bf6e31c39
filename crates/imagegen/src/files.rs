//! The one module that knows paths: reading sources, mapping weights, writing results whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imagegen_model::Bytes;
use imagegen_picture::Limits;

use crate::{Error, Source};

/// Reads and decodes a source picture.
///
/// Fails with [`Error::Read`], [`Error::TooLong`] or [`Error::Source`], having read no more than
/// `limits` allow.
pub fn read_source(path: &Path, limits: &Limits) -> Result<Source, Error> {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let bytes = read_limited(path, limits.bytes)?;
    Source::decode(name, &bytes, limits)
}

fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if facts.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    if facts.len() > limit {
        return Err(Error::TooLong {
            path: path.to_owned(),
            size: facts.len(),
            limit,
        });
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells a pipe that is too long.
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLong {
            path: path.to_owned(),
            size: bytes.len() as u64,
            limit,
        });
    }
    Ok(bytes)
}

/// Reads a small text file.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// Maps a weight file into memory; pages are read when they are used.
#[allow(unsafe_code, reason = "the one memory-map call")]
pub(crate) fn map(path: &Path) -> Result<Bytes, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        return Ok(Arc::new(Vec::new())); // an empty file cannot be mapped
    }
    // SAFETY: the map is private and read-only. If another program cuts the file while it is being
    // read, the system ends this process; weights are copied into packed form while loading and the
    // map is dropped then, so the window is short and nothing is read wrongly.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(failed)?;
    Ok(Arc::new(map))
}

/// What to do when a result's name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Replace the file, whole.
    Replace,
    /// Leave it and add a number to the new name.
    Keep,
}

/// Writes `bytes` so that the final name only ever holds a whole file. Gives the path written.
///
/// Fails with [`Error::Write`]; then nothing is left behind and an existing file is untouched.
pub fn write_whole(path: &Path, bytes: &[u8], existing: Existing) -> Result<PathBuf, Error> {
    let failed = |source: io::Error| Error::Write {
        path: path.to_owned(),
        source,
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".imagegen-");
    #[cfg(unix)]
    builder.permissions(readable());
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(failed)?;
    if existing == Existing::Replace {
        file.persist(path).map_err(|error| failed(error.error))?;
        return Ok(path.to_owned());
    }
    for number in 1.. {
        let name = numbered(path, number);
        match file.persist_noclobber(&name) {
            Ok(_) => return Ok(name),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.file,
            Err(error) => return Err(failed(error.error)),
        }
    }
    unreachable!("some number is free")
}

/// For everyone, as far as the user's mask allows; temporary files are private otherwise.
#[cfg(unix)]
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o666)
}

/// `a.png`, `a-2.png`, `a-3.png`, ...
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

/// A file name for a result: source, prompt and seed, of letters every system allows.
pub fn default_name(source: Option<&str>, prompt: &str, seed: u64, extension: &str) -> String {
    let stem = source
        .and_then(|name| Path::new(name).file_stem())
        .map(|s| s.to_string_lossy());
    let parts = [
        slug(stem.as_deref().unwrap_or(""), 60),
        slug(prompt, 40),
        seed.to_string(),
    ];
    let name: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}.{extension}", name.join("-"))
}

/// Letters and digits of `text`, everything else one hyphen, at most `limit` characters.
fn slug(text: &str, limit: usize) -> String {
    let mut slug = String::new();
    for c in text.chars().take(limit) {
        if c.is_alphanumeric() {
            slug.extend(c.to_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_source_prompt_and_seed() {
        let name = default_name(Some("My Photo.JPG"), "oil painting, warm/../..", 7, "png");
        assert_eq!(name, "my-photo-oil-painting-warm-7.png");
        assert_eq!(default_name(None, "", 7, "webp"), "7.webp");
        let long = default_name(Some(&"a".repeat(300)), &"b".repeat(300), u64::MAX, "png");
        assert!(long.len() < 140);
    }

    #[test]
    fn an_existing_file_is_kept_or_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        assert_eq!(write_whole(&path, b"1", Existing::Keep).unwrap(), path);
        let second = write_whole(&path, b"2", Existing::Keep).unwrap();
        assert_eq!(second, folder.path().join("a-2.png"));
        assert_eq!(fs::read(&path).unwrap(), b"1");
        write_whole(&path, b"3", Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"3");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "nothing else is left"
        );
    }

    #[test]
    fn an_unwritable_place_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("a.png");
        let error = write_whole(&path, b"1", Existing::Replace)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("cannot write ") && error.contains("missing"),
            "{error}"
        );
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write_whole(&path, b"1", Existing::Replace).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_source_over_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.png");
        fs::write(&path, [0; 100]).unwrap();
        let limits = Limits {
            bytes: 99,
            ..Limits::default()
        };
        let error = read_source(&path, &limits).unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooLong {
                    size: 100,
                    limit: 99,
                    ..
                }
            ),
            "{error}"
        );
        let error = read_source(folder.path(), &limits).unwrap_err().to_string();
        assert!(error.contains("directory"), "{error}");
    }
}
