//! Metadata in JPEG segments: EXIF and XMP.

use super::{Carried, Metadata, MetadataError, xmp};
use crate::container::jpeg::{APP0, APP1, MAX_PAYLOAD, START_OF_SCAN, push_segment, walk};
use crate::exif;

const XMP_PREFIX: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

fn exif_payload(metadata: &Metadata) -> Option<Vec<u8>> {
    let Carried { exif, dpi } = &metadata.carried;
    let parameters = metadata.parameters.as_deref();
    // The JFIF header holds the resolution; readers of EXIF tags look for it among them too.
    let dpi = dpi.filter(|_| !exif.is_empty());
    let block = exif::write(exif, dpi, parameters)?;
    Some([exif::PREFIX.as_slice(), &block].concat())
}

/// Whether what is carried over from a source fits beside the rest.
pub(crate) fn has_room_for_carried(metadata: &Metadata) -> bool {
    exif_payload(metadata).is_none_or(|payload| payload.len() <= MAX_PAYLOAD)
}

/// Pixels per inch for the JFIF header, which holds whole numbers.
pub(crate) fn density(carried: &Carried) -> Option<(u16, u16)> {
    let whole = |dpi: f32| {
        let near = dpi.round();
        (near <= f32::from(u16::MAX)).then_some(near as u16)
    };
    let (x, y) = carried.dpi?;
    whole(x).zip(whole(y))
}

fn xmp_payload(metadata: &Metadata) -> Option<Vec<u8>> {
    if metadata.json.is_none() && metadata.source.is_none() {
        return None;
    }
    let packet = xmp::write(metadata.json.as_deref(), metadata.source);
    Some([XMP_PREFIX, packet.as_bytes()].concat())
}

/// Fails where a part is longer than a segment, whatever is carried over.
pub(super) fn check(metadata: &Metadata) -> Result<(), MetadataError> {
    let own = Metadata {
        carried: Carried::default(),
        ..metadata.clone()
    };
    let parts = [
        ("parameters text", exif_payload(&own)),
        ("request JSON", xmp_payload(&own)),
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

/// Puts `metadata`, which has passed [`check`] and [`has_room_for_carried`], behind the JFIF header of
/// `file`.
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
