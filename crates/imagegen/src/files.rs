//! The one module that knows paths: reading sources, mapping weights, writing results whole.

mod shelf;

pub use shelf::{Shelf, Shelvable, Shelved, Shelves};

use std::fs::{self, File};
use std::io::{self, Read};
#[cfg(unix)]
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imagegen_model::{Bytes, FileBytes};
use imagegen_picture::Limits;
use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;
use sha2::{Digest, Sha256};
use unicode_segmentation::UnicodeSegmentation;

use crate::recipe::SourceMark;
use crate::request::hex;
use crate::unfinished::UNFINISHED;
use crate::{Embedding, Error, Lora, Source};

/// Most bytes of a file's name; common file systems take no more.
pub const NAME_BYTES: usize = 255;

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

/// Reads and decodes a source picture from `reader` to its end; `name` stands for its file.
///
/// Fails as [`read_source`].
pub fn read_source_from(reader: impl Read, name: &str, limits: &Limits) -> Result<Source, Error> {
    let bytes = read_to_limit(reader, Path::new(name), limits.bytes)?;
    Source::decode(name, &bytes, limits)
}

/// Most bytes of a textual inversion's file.
const EMBEDDING_BYTES: u64 = 16 << 20;

/// Reads a textual inversion from a safetensors file. Its word is `name`, or the file's name without its ending.
///
/// Fails with [`Error::Read`] or [`Error::TooLong`], as [`Embedding::read`], and with [`Error::Setting`] for a pickle.
pub fn read_embedding(path: &Path, name: Option<&str>) -> Result<Embedding, Error> {
    let (file, stem) = names(path)?;
    let bytes = read_limited(path, EMBEDDING_BYTES)?;
    Embedding::read(name.unwrap_or(&stem), &file, bytes)
}

/// Most bytes of a LoRA's file.
const LORA_BYTES: u64 = 4 << 30;

/// Reads a LoRA from a safetensors file. Prompts call it by the file's name without its ending.
///
/// Fails with [`Error::Read`] or [`Error::TooLong`], as [`Lora::read`], and with [`Error::Setting`] for a pickle.
pub fn read_lora(path: &Path) -> Result<Lora, Error> {
    let (file, stem) = names(path)?;
    Lora::read(&stem, &file, read_limited(path, LORA_BYTES)?)
}

/// A safetensors file's name, with its ending and without. Fails with [`Error::Setting`] for a pickle.
fn names(path: &Path) -> Result<(String, String), Error> {
    let base = |part: Option<&std::ffi::OsStr>| {
        part.map_or_else(String::new, |part| part.to_string_lossy().into_owned())
    };
    let file = base(path.file_name());
    let ending = base(path.extension()).to_lowercase();
    if ["pt", "bin", "ckpt", "pth"].contains(&ending.as_str()) {
        let expected =
            "a .safetensors file; convert it where it is trusted, since pickles run code";
        return Err(Error::setting(
            file,
            "a Python pickle, which is never opened",
            expected,
        ));
    }
    Ok((file, base(path.file_stem())))
}

/// Reads a whole file of at most `limit` bytes.
///
/// Fails with [`Error::Read`] or [`Error::TooLong`].
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
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
    read_to_limit(file, path, limit)
}

fn read_to_limit(reader: impl Read, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a pipe that is too long.
    let read = reader.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLong {
            path: path.to_owned(),
            size: bytes.len() as u64,
            limit,
        });
    }
    Ok(bytes)
}

/// Finds the file in `folder` (not in folders inside it) whose contents have the hash of `mark`: the
/// one of that name first, then the others by name. Files over `limit` bytes are passed over.
///
/// `None` where there is none; fails with [`Error::Read`] where the folder cannot be read.
pub fn find_source(folder: &Path, mark: &SourceMark, limit: u64) -> Result<Option<PathBuf>, Error> {
    let failed = |source| Error::Read {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort_by_key(|path| {
        (
            path.file_name().is_none_or(|name| *name != *mark.name),
            path.clone(),
        )
    });
    // A file that cannot be read is not the one, or will be missed by its name.
    let matches = |path: &PathBuf| {
        let bytes = read_limited(path, limit);
        bytes.is_ok_and(|bytes| hex(&Sha256::digest(&bytes)) == mark.sha256)
    };
    Ok(paths.into_iter().find(matches))
}

/// Fails with [`Error::Write`] unless files can be made in `folder`. Leaves nothing behind.
pub fn check_folder(folder: &Path) -> Result<(), Error> {
    let place = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let made = UNFINISHED.begin(place);
    made.map(drop).map_err(|source| Error::Write {
        path: place.to_owned(),
        source: plain(source),
    })
}

/// Removes what [`write_whole`] has begun and not finished, for a program that ends at once. Writes of
/// other threads fail from then on.
pub fn abandon_unfinished() {
    UNFINISHED.abandon();
}

/// A path from the root, with links followed.
pub(crate) fn full(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// The last part of a path, fit to be read.
pub(crate) fn base_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Reads a text file of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, Error> {
    String::from_utf8(read_limited(path, limit)?).map_err(|error| Error::Read {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
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
    let facts = file.metadata().map_err(failed)?;
    if facts.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    if facts.len() == 0 {
        return Ok(Arc::new(Vec::new())); // an empty file cannot be mapped
    }
    // SAFETY: the map is private and read-only. A program that writes to the file meanwhile could change
    // what is read here: every byte is a number of a tensor or is checked where it is parsed, so no value
    // breaks the program's rules. One that cuts the file ends this process by a signal. The map is dropped
    // when the model is loaded.
    let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
    Ok(Arc::new(MappedFile(map)))
}

/// A weight file in memory, as far as it is being read.
struct MappedFile(Mmap);

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FileBytes for MappedFile {
    /// Takes the pages out of this process' memory; the system reads them again, from its cache as a rule, where they are
    /// used once more.
    #[cfg(unix)]
    #[allow(unsafe_code, reason = "advice on the one memory map")]
    fn passed(&self, range: Range<usize>) {
        let (advice, start) = (UncheckedAdvice::DontNeed, range.start);
        // SAFETY: the map is of a file and is never written to, so that its pages come back as they were.
        let taken = unsafe { self.0.unchecked_advise_range(advice, start, range.len()) };
        drop(taken); // a system that does not take it changes nothing
    }
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
        source: plain(source),
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = UNFINISHED.begin(folder).map_err(failed)?;
    file.write(bytes).map_err(failed)?;
    if existing == Existing::Replace {
        file.name(path, existing).map_err(failed)?;
        return Ok(path.to_owned());
    }
    for number in 1.. {
        let name = numbered(path, number);
        match file.name(&name, existing) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    unreachable!("some number is free")
}

/// What the system says, without the name of the temporary file, which says nothing to a person.
fn plain(error: io::Error) -> io::Error {
    match error.get_ref() {
        Some(_) => io::Error::from(error.kind()),
        None => error,
    }
}

/// `a.png`, `a-2.png`, `a-3.png`, ...
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    beside(path, &format!("-{number}"), None)
}

/// A file beside `path`: its stem, `tail`, and `extension` (the path's own for `None`). The stem is cut
/// where the name would be too long.
pub fn beside(path: &Path, tail: &str, extension: Option<&str>) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let own = path.extension().map(|own| own.to_string_lossy());
    let end = match extension.or(own.as_deref()) {
        Some(extension) => format!("{tail}.{extension}"),
        None => tail.to_owned(),
    };
    path.with_file_name(cut_name(&stem, &end))
}

/// `stem` and `end` as a file name of at most [`NAME_BYTES`]. The stem is cut between two letters, where
/// a letter is what a reader sees as one, accents included.
pub fn cut_name(stem: &str, end: &str) -> String {
    let room = NAME_BYTES.saturating_sub(end.len());
    let mut kept = 0;
    for (at, letter) in stem.grapheme_indices(true) {
        if at + letter.len() > room {
            break;
        }
        kept = at + letter.len();
    }
    stem[..kept].to_owned() + end
}

/// The start of a result's file name: source and prompt, of letters every system allows; may be empty.
pub fn default_stem(source: Option<&str>, prompt: &str) -> String {
    let stem = source
        .and_then(|name| Path::new(name).file_stem())
        .map(|s| s.to_string_lossy());
    let parts = [slug(stem.as_deref().unwrap_or(""), 60), slug(prompt, 40)];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// A file name for a result: source, prompt and seed, of letters every system allows.
pub fn default_name(source: Option<&str>, prompt: &str, seed: u64, extension: &str) -> String {
    let stem = default_stem(source, prompt);
    let hyphen = if stem.is_empty() { "" } else { "-" };
    cut_name(&stem, &format!("{hyphen}{seed}.{extension}"))
}

/// Letters and digits of `text`, everything else one hyphen, at most `limit` letters.
fn slug(text: &str, limit: usize) -> String {
    let mut slug = String::new();
    for letter in text.graphemes(true).take(limit) {
        // Accents written as characters of their own belong to the letter before them.
        if letter.starts_with(char::is_alphanumeric) {
            slug.extend(
                letter
                    .chars()
                    .flat_map(char::to_lowercase)
                    .filter(|c| !c.is_control()),
            );
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
    fn what_is_passed_of_a_mapped_file_can_be_read_again() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let content: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        fs::write(&path, &content).unwrap();
        let mapped = map(&path).unwrap();
        for range in [0..300_000, 5_000..5_001, 4_000..299_999, 7..7] {
            assert!((*mapped).as_ref() == content);
            mapped.passed(range);
        }
        assert!((*mapped).as_ref() == content);
    }

    #[test]
    fn names_hold_source_prompt_and_seed() {
        let name = default_name(Some("My Photo.JPG"), "oil painting, warm/../..", 7, "png");
        assert_eq!(name, "my-photo-oil-painting-warm-7.png");
        assert_eq!(default_name(None, "", 7, "webp"), "7.webp");
        let long = default_name(Some(&"a".repeat(300)), &"b".repeat(300), u64::MAX, "png");
        assert!(long.len() < 140);
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        // Letters of one to eleven bytes; the last is a family of three, joined.
        for letter in ["a", "é", "e\u{301}", "夜", "👩\u{200d}👧"] {
            for end in [".png", "-12345.webp"] {
                let name = cut_name(&letter.repeat(300), end);
                assert!(name.len() <= NAME_BYTES && name.len() > NAME_BYTES - letter.len());
                let stem = name.strip_suffix(end).unwrap();
                assert_eq!(stem.len() % letter.len(), 0, "{letter}");
            }
        }
        assert_eq!(cut_name("short", ".png"), "short.png");
        let night = "夜".repeat(200);
        let name = default_name(Some(&night), &night, u64::MAX, "png");
        assert!(
            name.len() <= NAME_BYTES && name.ends_with("-18446744073709551615.png"),
            "{name}"
        );
        let second = numbered(Path::new(&name), 2);
        let second = second.to_str().unwrap();
        assert!(
            second.len() <= NAME_BYTES && second.ends_with("-2.png"),
            "{second}"
        );
    }

    #[test]
    fn accents_stay_with_their_letters() {
        let name = default_name(Some("cafe\u{301} Noir.jpg"), "", 1, "png");
        assert_eq!(name, "cafe\u{301}-noir-1.png");
    }

    #[test]
    fn files_beside_a_file_share_its_stem() {
        let path = Path::new("out/sheet.png");
        assert_eq!(beside(path, "-0.35", None), Path::new("out/sheet-0.35.png"));
        assert_eq!(beside(path, "", Some("jpg")), Path::new("out/sheet.jpg"));
    }

    #[test]
    fn sources_are_found_by_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let mark = |name: &str, bytes: &[u8]| SourceMark {
            name: name.to_owned(),
            sha256: hex(&Sha256::digest(bytes)),
        };
        for (name, bytes) in [("a", b"one"), ("b", b"two"), ("c", b"one"), ("d", b"big")] {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        fs::create_dir(folder.path().join("e")).unwrap();
        let find = |name, bytes| find_source(folder.path(), &mark(name, bytes), 3).unwrap();
        let path = |name| Some(folder.path().join(name));
        assert_eq!(find("c", b"one"), path("c"), "its own name comes first");
        assert_eq!(find("elsewhere", b"one"), path("a"));
        assert_eq!(find("a", b"three"), None);
        let (over, none) = (mark("d", b"big"), folder.path().join("none"));
        assert_eq!(find_source(folder.path(), &over, 2).unwrap(), None);
        assert!(find_source(&none, &over, 9).is_err());
    }

    #[test]
    fn folders_are_checked_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        check_folder(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = check_folder(&folder.path().join("none")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
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
