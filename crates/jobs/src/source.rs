//! Sources that were put.

use std::sync::Arc;

use bytes::Bytes;
use imagegen::Source;
use imagegen_picture::Limits;

use crate::clock::now_ms;
use crate::shared::{Shared, hash, is_hash, locked};
use crate::{Error, pictures};

/// Longest name of a source, in bytes, as file systems have it.
const NAME_BYTES: usize = 255;

/// A source that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEntry {
    /// SHA-256 of its bytes, in hexadecimal: its name from now on.
    pub sha256: String,
    /// Its file's base name, as it was put.
    pub name: String,
    /// In pixels, upright.
    pub width: u32,
    /// In pixels, upright.
    pub height: u32,
    /// `JPEG`, `PNG`, `WebP`, `TIFF`, `BMP` or `GIF`.
    pub format: String,
    /// Length of the file.
    pub bytes: u64,
    /// What a person should know about how it is read.
    pub warnings: Vec<String>,
    /// Whether it was there before.
    pub known: bool,
}

/// Stores a source that can be decoded within `limits`.
pub(crate) fn put(
    shared: &Shared,
    owner: &str,
    name: &str,
    bytes: Bytes,
    limits: &Limits,
) -> Result<SourceEntry, Error> {
    let name = base_name(name);
    if let Some(known) = known(shared, &bytes, &name)? {
        let _held = locked(&shared.sources);
        // Unless it was dropped just now; then it is put anew.
        if shared.database.source(&known.sha256)?.is_some() {
            shared.database.add_source(&known, owner, now_ms())?;
            return Ok(known);
        }
    }
    let source = Source::decode(name, &bytes, limits)?;
    let facts = &source.decoded.facts;
    let entry = SourceEntry {
        sha256: source.sha256.clone(),
        name: source.name.clone(),
        width: facts.size.width,
        height: facts.size.height,
        format: facts.format.to_string(),
        bytes: bytes.len() as u64,
        warnings: source
            .decoded
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect(),
        known: false,
    };
    {
        let _held = locked(&shared.sources);
        shared
            .pictures
            .put(&pictures::source(&entry.sha256), bytes)?;
        shared.database.add_source(&entry, owner, now_ms())?;
    }
    shared.keep_decoded(Arc::new(source));
    Ok(entry)
}

/// The entry of bytes that were put before and are whole.
fn known(shared: &Shared, bytes: &Bytes, name: &str) -> Result<Option<SourceEntry>, Error> {
    let sha256 = hash(bytes);
    let Some(entry) = shared.database.source(&sha256)? else {
        return Ok(None);
    };
    let stored = shared.pictures.get(&pictures::source(&sha256))?;
    let whole = stored.is_some_and(|stored| stored == bytes);
    Ok(whole.then(|| SourceEntry {
        name: name.to_owned(),
        ..entry
    }))
}

/// A stored source's bytes.
pub(crate) fn bytes(shared: &Shared, sha256: &str) -> Result<Option<Bytes>, Error> {
    if !is_hash(sha256) || shared.database.source(sha256)?.is_none() {
        return Ok(None);
    }
    shared.pictures.get(&pictures::source(sha256))
}

/// The last part of a path of any system, without control characters, as long as a file's name may be.
fn base_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or("");
    let mut kept: String = last.chars().filter(|c| !c.is_control()).collect();
    while kept.len() > NAME_BYTES {
        kept.pop();
    }
    match kept.as_str() {
        "." | ".." => String::new(),
        _ => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_files_own() {
        for (name, kept) in [
            ("photo.jpg", "photo.jpg"),
            ("/etc/../photo.jpg", "photo.jpg"),
            ("C:\\pictures\\photo.jpg", "photo.jpg"),
            ("..", ""),
            ("a/", ""),
            ("夜\u{0}\n.png", "夜.png"),
        ] {
            assert_eq!(base_name(name), kept);
        }
        let long = base_name(&"夜".repeat(100));
        assert_eq!(long, "夜".repeat(85));
    }
}
