//! Metadata in WebP chunks: EXIF and XMP.

use super::{Metadata, xmp};
use crate::container::riff::chunks;
use crate::exif;

/// The EXIF chunk that says `metadata`.
pub(crate) fn exif(metadata: &Metadata) -> Option<Vec<u8>> {
    let carried = &metadata.carried;
    exif::write(&carried.exif, carried.dpi, metadata.parameters.as_deref())
}

/// The XMP chunk that says `metadata`.
pub(crate) fn xmp(metadata: &Metadata) -> Option<Vec<u8>> {
    if metadata.json.is_none() && metadata.source.is_none() {
        return None;
    }
    Some(xmp::write(metadata.json.as_deref(), metadata.source).into_bytes())
}

/// Reads the chunks; of several the first counts.
pub(super) fn read(bytes: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    for (kind, payload) in chunks(bytes) {
        match &kind {
            b"EXIF" => {
                metadata.parameters = metadata.parameters.or_else(|| exif::read(payload).comment);
            }
            b"XMP " => {
                let packet = String::from_utf8_lossy(payload);
                metadata.json = metadata.json.or_else(|| xmp::json(&packet));
                metadata.source = metadata.source.or(xmp::source(&packet));
            }
            _ => {}
        }
    }
    metadata
}
