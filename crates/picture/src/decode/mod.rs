//! Bytes to an upright sRGB picture, within limits that are checked before memory is taken.
//!
//! Content decides the format. What was lost or changed on the way is in [`Decoded::warnings`].

mod entropy;
mod error;
mod facts;
mod jpeg;
mod others;
mod png;
mod raw;
mod webp;

pub use error::{DecodeError, Fault};
pub use facts::{ColourKind, Facts, SourceFormat, Warning};
pub(crate) use raw::{Layout, Raw, Samples};

use crate::{Orientation, Picture, Size, colour, container, exif, sniff};

/// What a file may ask for. Checked against what the file claims, before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest file, in bytes.
    pub bytes: u64,
    /// Most pixels, width times height.
    pub pixels: u64,
    /// Most memory to decode in, in bytes: the decoder's own, the decoded samples and the picture made of
    /// them, as estimated from the file's header.
    pub memory: u64,
}

impl Default for Limits {
    /// 64 MiB of file, 100 megapixels, 1 GiB of memory.
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            pixels: 100_000_000,
            memory: 1 << 30,
        }
    }
}

impl Limits {
    /// Checks a claimed size whose decoding takes `bytes_per_pixel`.
    fn check(&self, size: Size, bytes_per_pixel: u64) -> Result<(), DecodeError> {
        if size.width == 0 || size.height == 0 {
            return Err(DecodeError::NoPixels(size));
        }
        if size.pixels() > self.pixels {
            return Err(DecodeError::TooManyPixels {
                size,
                limit: self.pixels,
            });
        }
        let need = size.pixels().saturating_mul(bytes_per_pixel);
        if need > self.memory {
            return Err(DecodeError::TooMuchMemory {
                size,
                need,
                limit: self.memory,
            });
        }
        Ok(())
    }
}

/// A decoded picture and what is known of its file.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Upright, sRGB, 8 bit; alpha where the file has it.
    pub picture: Picture,
    /// What the file was.
    pub facts: Facts,
    /// What a person should know: lost, changed or guessed. Empty for most files.
    pub warnings: Vec<Warning>,
}

/// What a format's reader hands back: samples as stored, and the file's own words about them.
struct Stored {
    raw: Raw,
    format: SourceFormat,
    colour: ColourKind,
    bit_depth: u8,
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    /// From the container; EXIF's is used where this is `None`.
    dpi: Option<(f32, f32)>,
    orientation: Option<Orientation>,
    warnings: Vec<Warning>,
}

/// Decodes `bytes` to an upright 8-bit sRGB picture `[H, W, 3]` with alpha `[H, W]` where there is some.
///
/// Reads JPEG, PNG, WebP, TIFF, BMP and GIF (of animations the first frame, with a warning). EXIF
/// orientation is applied, ICC profiles are converted, 16-bit samples are rounded to 8. Bytes behind the
/// end of a JPEG are ignored; missing bytes are an error.
///
/// Fails with [`DecodeError`]; [`DecodeError::fault`] tells the file's faults from limits.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if bytes.len() as u64 > limits.bytes {
        return Err(DecodeError::TooManyBytes {
            got: bytes.len() as u64,
            limit: limits.bytes,
        });
    }
    let stored = match format_of(bytes) {
        Some(SourceFormat::Jpeg) => jpeg::read(bytes, limits)?,
        Some(SourceFormat::Png) => png::read(bytes, limits)?,
        Some(SourceFormat::WebP) => webp::read(bytes, limits)?,
        Some(SourceFormat::Gif) => others::read_gif(bytes, limits)?,
        Some(SourceFormat::Tiff) => others::read_tiff(bytes, limits)?,
        Some(SourceFormat::Bmp) => others::read_bmp(bytes, limits)?,
        None => return Err(unreadable(bytes)),
    };
    Ok(finish(stored, bytes))
}

/// The format that the first bytes tell.
fn format_of(bytes: &[u8]) -> Option<SourceFormat> {
    if bytes.starts_with(&container::jpeg::START) {
        Some(SourceFormat::Jpeg)
    } else if bytes.starts_with(&container::png::SIGNATURE) {
        Some(SourceFormat::Png)
    } else if container::riff::is_webp(bytes) {
        Some(SourceFormat::WebP)
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Some(SourceFormat::Gif)
    } else if bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*") {
        Some(SourceFormat::Tiff)
    } else if bytes.starts_with(b"BM") && bytes.len() > 26 && bytes[6..10] == [0; 4] {
        Some(SourceFormat::Bmp) // the four reserved bytes tell it from text that begins with BM
    } else {
        None
    }
}

fn unreadable(bytes: &[u8]) -> DecodeError {
    let starts: [(&[u8], SourceFormat); 4] = [
        (&container::jpeg::START, SourceFormat::Jpeg),
        (&container::png::SIGNATURE, SourceFormat::Png),
        (b"RIFF", SourceFormat::WebP),
        (b"GIF8", SourceFormat::Gif),
    ];
    if let Some((_, format)) = starts.iter().find(|(magic, _)| magic.starts_with(bytes)) {
        return DecodeError::Truncated {
            format: *format,
            got: bytes.len() as u64,
        };
    }
    if bytes.starts_with(b"RIFF") && bytes.len() < 12 {
        return DecodeError::Truncated {
            format: SourceFormat::WebP,
            got: bytes.len() as u64,
        };
    }
    let looks_like = sniff::sniff(bytes);
    if looks_like.is_picture() {
        return DecodeError::UnsupportedFormat(looks_like);
    }
    DecodeError::NotAPicture {
        looks_like,
        got: bytes.len() as u64,
    }
}

fn finish(stored: Stored, bytes: &[u8]) -> Decoded {
    let whole = (stored.format == SourceFormat::Tiff).then_some(bytes); // EXIF is TIFF
    let block = stored.exif.as_deref().or(whole);
    let tags = block.map(exif::read).unwrap_or_default();
    let orientation = stored.orientation.or(tags.orientation).unwrap_or_default();
    let mut warnings = stored.warnings;
    let facts = Facts {
        format: stored.format,
        stored_size: stored.raw.size,
        size: orientation.upright_size(stored.raw.size),
        colour: stored.colour,
        bit_depth: stored.bit_depth,
        had_profile: stored.icc.is_some(),
        orientation,
        dpi: stored.dpi.or(tags.dpi),
        exif: stored.exif,
        exif_tags: tags.tags,
        place: tags.place,
    };
    let picture = colour::to_srgb(stored.raw, stored.icc.as_deref(), &mut warnings);
    Decoded {
        picture: orientation.apply(picture),
        facts,
        warnings,
    }
}
