//! WebP, lossy and lossless, through `image-webp`, which is integer arithmetic without vector paths.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::{ColourKind, DecodeError, Layout, Limits, Raw, Samples, SourceFormat, Stored, Warning};
use crate::container::riff;
use crate::{Size, exif};

pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let truncated = DecodeError::Truncated {
        format: SourceFormat::WebP,
        got: bytes.len() as u64,
    };
    // The decoder leaves missing rows grey; the header knows the length.
    let length = riff::claimed_length(bytes).filter(|&length| length <= bytes.len() as u64);
    let Some(length) = length else {
        return Err(truncated);
    };
    let bytes = &bytes[..length as usize];

    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(fault)?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width, height);
    let layout = if decoder.has_alpha() {
        Layout::RgbAlpha
    } else {
        Layout::Rgb
    };
    // Samples, the decoder's own planes or transforms, the picture.
    limits.check(size, 4 + 4 + 4)?;
    decoder.set_memory_limit(usize::try_from(limits.memory).unwrap_or(usize::MAX));

    let mut warnings = Vec::new();
    let mut samples = vec![0; size.len() * layout.channels()];
    if decoder.is_animated() {
        decoder.read_frame(&mut samples).map_err(fault)?;
        if decoder.num_frames() > 1 {
            warnings.push(Warning::Animated);
        }
    } else {
        decoder.read_image(&mut samples).map_err(fault)?;
    }
    let colour = if layout.has_alpha() {
        ColourKind::RgbAlpha
    } else {
        ColourKind::Rgb
    };
    let block = decoder.exif_metadata().map_err(fault)?;
    Ok(Stored {
        raw: Raw {
            size,
            layout,
            samples: Samples::U8(samples),
        },
        format: SourceFormat::WebP,
        colour,
        bit_depth: 8,
        icc: decoder.icc_profile().map_err(fault)?,
        exif: block.map(|block| block.strip_prefix(exif::PREFIX).unwrap_or(&block).to_vec()),
        dpi: None,
        orientation: None,
        warnings,
    })
}

fn fault(error: DecodingError) -> DecodeError {
    DecodeError::Damaged {
        format: SourceFormat::WebP,
        reason: error.to_string(),
    }
}
