//! GIF, TIFF and BMP through `image`, for sources only.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::tiff::TiffDecoder;
use image::error::ImageError;
use image::{AnimationDecoder, DynamicImage, ExtendedColorType, ImageDecoder};

use super::{ColourKind, DecodeError, Layout, Limits, Raw, Samples, SourceFormat, Stored, Warning};
use crate::container::gif;
use crate::{Orientation, Size};

/// Samples as the decoder gives them, the same converted, the picture.
fn bytes_per_pixel(decoder: &impl ImageDecoder) -> u64 {
    2 * u64::from(decoder.color_type().bytes_per_pixel()) + 4
}

pub(super) fn read_tiff(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let fault = |error| fault(error, SourceFormat::Tiff, bytes.len());
    let mut decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(fault)?;
    let icc = decoder.icc_profile().ok().flatten();
    let orientation = decoder
        .orientation()
        .ok()
        .map(|orientation| orientation.to_exif());
    let mut stored = read(decoder, limits, SourceFormat::Tiff, bytes.len())?;
    if stored.colour == ColourKind::Cmyk {
        // The decoder has converted already, so a profile of print colours no longer applies.
        stored.warnings.push(Warning::CmykApproximated);
    } else {
        stored.icc = icc;
    }
    stored.orientation = orientation.and_then(|value| Orientation::from_exif(value.into()));
    Ok(stored)
}

pub(super) fn read_bmp(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let fault = |error| fault(error, SourceFormat::Bmp, bytes.len());
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(fault)?;
    let mut stored = read(decoder, limits, SourceFormat::Bmp, bytes.len())?;
    stored.dpi = bmp_dpi(bytes);
    Ok(stored)
}

/// Pixels per inch, of the headers that say it.
fn bmp_dpi(bytes: &[u8]) -> Option<(f32, f32)> {
    const METRES_PER_INCH: f32 = 0.0254;
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
    let (x, y) = (number(38)?, number(42)?);
    let said = number(14)? >= 40 && x > 0 && y > 0;
    said.then_some((x as f32 * METRES_PER_INCH, y as f32 * METRES_PER_INCH))
}

fn read(
    mut decoder: impl ImageDecoder,
    limits: &Limits,
    format: SourceFormat,
    got: usize,
) -> Result<Stored, DecodeError> {
    let fault = |error| fault(error, format, got);
    let (width, height) = decoder.dimensions();
    let size = Size::new(width, height);
    limits.check(size, bytes_per_pixel(&decoder))?;
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.memory);
    decoder.set_limits(decoder_limits).map_err(fault)?;
    let (colour, bit_depth) = stored_colour(decoder.original_color_type());
    let image = DynamicImage::from_decoder(decoder).map_err(fault)?;
    Ok(stored(raw(image, size), format, colour, bit_depth))
}

pub(super) fn read_gif(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let fault = |error| fault(error, SourceFormat::Gif, bytes.len());
    // The decoder calls every break in the data the same.
    if gif::first_frame_end(bytes).is_none() {
        return Err(DecodeError::Truncated {
            format: SourceFormat::Gif,
            got: bytes.len() as u64,
        });
    }
    let decoder = GifDecoder::new(Cursor::new(bytes)).map_err(fault)?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width, height);
    // Two frames of four channels, the canvas, the picture.
    limits.check(size, 3 * 4 + 4)?;
    let mut frames = decoder.into_frames();
    let first = match frames.next() {
        Some(frame) => frame.map_err(fault)?.into_buffer(),
        None => return Err(damaged(SourceFormat::Gif, "no frame".into())),
    };
    let raw = raw(DynamicImage::ImageRgba8(first), size);
    let mut stored = stored(raw, SourceFormat::Gif, ColourKind::Palette, 8);
    if frames.next().is_some_and(|frame| frame.is_ok()) {
        stored.warnings.push(Warning::Animated);
    }
    Ok(stored)
}

fn stored(raw: Raw, format: SourceFormat, colour: ColourKind, bit_depth: u8) -> Stored {
    Stored {
        raw,
        format,
        colour,
        bit_depth,
        icc: None,
        exif: None,
        dpi: None,
        orientation: None,
        warnings: Vec::new(),
    }
}

fn raw(image: DynamicImage, size: Size) -> Raw {
    let (layout, samples) = match image {
        DynamicImage::ImageLuma8(image) => (Layout::Grey, Samples::U8(image.into_raw())),
        DynamicImage::ImageLumaA8(image) => (Layout::GreyAlpha, Samples::U8(image.into_raw())),
        DynamicImage::ImageRgb8(image) => (Layout::Rgb, Samples::U8(image.into_raw())),
        DynamicImage::ImageRgba8(image) => (Layout::RgbAlpha, Samples::U8(image.into_raw())),
        DynamicImage::ImageLuma16(image) => (Layout::Grey, Samples::U16(image.into_raw())),
        DynamicImage::ImageLumaA16(image) => (Layout::GreyAlpha, Samples::U16(image.into_raw())),
        DynamicImage::ImageRgb16(image) => (Layout::Rgb, Samples::U16(image.into_raw())),
        // 16 bit with alpha, and floats, which clamp to 0..1.
        image => (
            Layout::RgbAlpha,
            Samples::U16(image.into_rgba16().into_raw()),
        ),
    };
    Raw {
        size,
        layout,
        samples,
    }
}

fn stored_colour(colour: ExtendedColorType) -> (ColourKind, u8) {
    use ExtendedColorType as C;
    let channels = u16::from(colour.channel_count());
    let depth = (colour.bits_per_pixel() / channels) as u8;
    let kind = match colour {
        C::Cmyk8 | C::Cmyk16 => ColourKind::Cmyk,
        _ => match channels {
            1 => ColourKind::Grey,
            2 => ColourKind::GreyAlpha,
            3 => ColourKind::Rgb,
            _ => ColourKind::RgbAlpha,
        },
    };
    (kind, depth)
}

fn fault(error: ImageError, format: SourceFormat, got: usize) -> DecodeError {
    match error {
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated {
                format,
                got: got as u64,
            }
        }
        ImageError::Unsupported(kind) => DecodeError::UnsupportedKind {
            format,
            kind: kind.to_string(),
        },
        other => damaged(format, other.to_string()),
    }
}

fn damaged(format: SourceFormat, reason: String) -> DecodeError {
    DecodeError::Damaged { format, reason }
}
