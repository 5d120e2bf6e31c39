//! How a picture was made, inside the picture: the text other tools read, our own JSON, and the IPTC
//! mark of AI generation.
//!
//! | format | text | JSON | IPTC digital source type | resolution |
//! |---|---|---|---|---|
//! | PNG | iTXt `parameters` | iTXt `imagegen` | XMP in iTXt `XML:com.adobe.xmp` | `pHYs` |
//! | JPEG | EXIF user comment | XMP `imagegen:request` | XMP | JFIF |
//! | WebP | EXIF user comment | XMP `imagegen:request` | XMP | EXIF |
//!
//! Beside it stands what the source said of itself, see [`Carried`]: its EXIF tags in the format's EXIF
//! block (`eXIf` in PNG), its resolution there too.
//!
//! Strings are kept as they are, with one exception: characters that XML cannot hold (control characters,
//! U+FFFE, U+FFFF) go into XMP as JSON escapes, which mean the same inside a JSON string. Adds no clock, no
//! path and no name of its own.

mod a1111;
mod carried;
pub(crate) mod jpeg;
pub(crate) mod png;
pub(crate) mod webp;
mod xmp;

pub use a1111::{A1111Fields, a1111_parameters};
pub use carried::Carried;

pub use crate::exif::ExifTags;
use crate::{Format, container};

/// How much of a picture was made by a model, in IPTC's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigitalSource {
    /// Made by a model from text alone.
    Trained,
    /// Made by a model from another picture, or in part of one.
    CompositeWithTrained,
}

impl DigitalSource {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Trained, Self::CompositeWithTrained];

    /// The IPTC NewsCodes address.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Trained => {
                "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
            }
            Self::CompositeWithTrained => {
                "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
            }
        }
    }
}

/// What a picture says about its making. Absent parts are not written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// AUTOMATIC1111's text, as [`a1111_parameters`] builds it.
    pub parameters: Option<String>,
    /// Our own JSON document.
    pub json: Option<String>,
    /// The IPTC mark of AI generation.
    pub source: Option<DigitalSource>,
    /// What the source file said of itself. [`read`] leaves it empty; [`decode`](crate::decode) has it.
    pub carried: Carried,
}

impl Metadata {
    /// True where nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The metadata does not fit the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} takes {got} bytes, expected at most {limit} in {format}; PNG has room for it")]
pub struct MetadataError {
    /// Which part.
    pub part: &'static str,
    /// The format.
    pub format: &'static str,
    /// Bytes as they would be written.
    pub got: usize,
    /// Most bytes.
    pub limit: usize,
}

/// Checks that `metadata` fits `format`, so that it can be known before a long run.
///
/// Fails with [`MetadataError`] for texts over some 32,000 characters or JSON over some 64,000 bytes in
/// JPEG; other formats have room. What is carried over from a source never makes it fail: [`encode`]
/// leaves it out where the texts leave no room for it.
///
/// [`encode`]: crate::encode
pub fn check(metadata: &Metadata, format: Format) -> Result<(), MetadataError> {
    match format {
        Format::Jpeg { .. } => jpeg::check(metadata),
        Format::Png | Format::WebP => Ok(()),
    }
}

/// What a PNG, JPEG or WebP file says about its making, ours or other tools'. Empty where it says nothing
/// or is no such file; a broken file gives what can be read.
pub fn read(bytes: &[u8]) -> Metadata {
    if bytes.starts_with(&container::png::SIGNATURE) {
        png::read(bytes)
    } else if bytes.starts_with(&container::jpeg::START) {
        jpeg::read(bytes)
    } else if container::riff::is_webp(bytes) {
        webp::read(bytes)
    } else {
        Metadata::default()
    }
}
