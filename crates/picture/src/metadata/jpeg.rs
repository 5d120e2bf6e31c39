//! Metadata in JPEG segments: EXIF and XMP.

use super::{Metadata, MetadataError, xmp};
use crate::container::jpeg::{APP0, APP1, MAX_PAYLOAD, START_OF_SCAN, push_segment, walk};
use crate::exif;

const XMP_PREFIX: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

fn exif_payload(metadata: &Metadata) -> Option<Vec<u8>> {
    let parameters = metadata.parameters.as_ref()?;
    Some([exif::PREFIX.as_slice(), &exif::write(parameters)].concat())
}

fn xmp_payload(metadata: &Metadata) -> Option<Vec<u8>> {
    if metadata.json.is_none() && metadata.source.is_none() {
        return None;
    }
    let packet = xmp::write(metadata.json.as_deref(), metadata.source);
    Some([XMP_PREFIX, packet.as_bytes()].concat())
}

/// Fails where a part is longer than a segment.
pub(super) fn check(metadata: &Metadata) -> Result<(), MetadataError> {
    let parts = [
        ("parameters text", exif_payload(metadata)),
        ("request JSON", xmp_payload(metadata)),
    ];
    for (part, payload) in parts {
        let got = payload.map_or(0, |payload| payload.len());
        if got > MAX_PAYLOAD {
            return Err(MetadataError {
                part,
                format: "JPEG",
                got,
                limit: MAX_PAYLOAD,
            });
        }
    }
    Ok(())
}

/// Puts `metadata`, which has passed [`check`], behind the JFIF header of `file`.
pub(crate) fn insert(file: Vec<u8>, metadata: &Metadata) -> Vec<u8> {
    let mut at = 2;
    walk(&file, |marker, payload, _| {
        if marker == APP0 {
            at += payload.len() + 4;
        }
        marker == APP0
    });
    let mut segments = Vec::new();
    for payload in [exif_payload(metadata), xmp_payload(metadata)]
        .into_iter()
        .flatten()
    {
        push_segment(&mut segments, APP1, &payload);
    }
    let mut out = file;
    out.splice(at..at, segments);
    out
}

/// Reads the segments before the first scan; of several the first counts.
pub(super) fn read(bytes: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    walk(bytes, |marker, payload, _| {
        if marker == APP1 && payload.starts_with(exif::PREFIX) {
            metadata.parameters = metadata.parameters.take().or(exif::read(payload).comment);
        } else if marker == APP1
            && let Some(packet) = payload.strip_prefix(XMP_PREFIX)
        {
            let packet = String::from_utf8_lossy(packet);
            metadata.json = metadata.json.take().or(xmp::json(&packet));
            metadata.source = metadata.source.or(xmp::source(&packet));
        }
        marker != START_OF_SCAN
    });
    metadata
}
