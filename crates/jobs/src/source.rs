//! Sources that were put.

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
