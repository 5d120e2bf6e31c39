//! Sources and examples.

use imagegen_jobs::SourceEntry;
use serde::Serialize;
use utoipa::ToSchema;

/// A source that was put.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceBody {
    /// SHA-256 of its bytes: its name from now on.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    /// Its file's name.
    name: String,
    /// In pixels, upright.
    width: u32,
    /// In pixels, upright.
    height: u32,
    /// `JPEG`, `PNG`, `WebP`, `TIFF`, `BMP` or `GIF`.
    format: String,
    /// Length of the file.
    bytes: u64,
    /// What a person should know about how it is read.
    warnings: Vec<String>,
}

impl From<&SourceEntry> for SourceBody {
    fn from(entry: &SourceEntry) -> Self {
        Self {
            sha256: entry.sha256.clone(),
            name: entry.name.clone(),
            width: entry.width,
            height: entry.height,
            format: entry.format.clone(),
            bytes: entry.bytes,
            warnings: entry.warnings.clone(),
        }
    }
}

/// A picture to try things on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExampleBody {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// Whose it is and under which licence.
    pub(crate) credit: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
}
