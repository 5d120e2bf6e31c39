//! PNG of every kind: palettes, colour keys and small depths are expanded, 16 bit is kept.

use std::io::{Cursor, ErrorKind};

use super::{ColourKind, DecodeError, Layout, Limits, Raw, Samples, SourceFormat, Stored, Warning};
use crate::Size;

/// Room for the decoder's rows, profiles and texts, beside the pixels.
const DECODER_BYTES: usize = 64 << 20;

pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let mut decoder = png::Decoder::new_with_limits(
        Cursor::new(bytes),
        png::Limits {
            bytes: DECODER_BYTES.min(usize::try_from(limits.memory).unwrap_or(usize::MAX)),
        },
    );
    decoder.set_transformations(png::Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    let fault = |error| fault(error, bytes.len());
    let header = decoder.read_header_info().map_err(fault)?;
    let size = Size::new(header.width, header.height);
    limits.check(size, bytes_per_pixel(header))?;

    let mut reader = decoder.read_info().map_err(fault)?;
    let (layout, depth) = output(&reader)?;
    let samples_len = size.len() * layout.channels();
    let mut samples = vec![
        0;
        samples_len
            * if depth == png::BitDepth::Sixteen {
                2
            } else {
                1
            }
    ];
    reader.next_frame(&mut samples).map_err(fault)?;
    // Reads to the end mark, so that a file cut behind its pixels is noticed too.
    reader.finish().map_err(fault)?;

    let info = reader.info();
    let samples = match depth {
        png::BitDepth::Sixteen => Samples::U16(wide(&samples)),
        _ => Samples::U8(samples),
    };
    let mut warnings = Vec::new();
    if info
        .animation_control
        .is_some_and(|control| control.num_frames > 1)
    {
        warnings.push(Warning::Animated);
    }
    Ok(Stored {
        raw: Raw {
            size,
            layout,
            samples,
        },
        format: SourceFormat::Png,
        colour: colour_kind(info),
        bit_depth: info.bit_depth as u8,
        icc: info.icc_profile.as_ref().map(|icc| icc.to_vec()),
        exif: info.exif_metadata.as_ref().map(|exif| exif.to_vec()),
        dpi: info.pixel_dims.and_then(dpi),
        orientation: None,
        warnings,
    })
}

fn output<R: std::io::BufRead + std::io::Seek>(
    reader: &png::Reader<R>,
) -> Result<(Layout, png::BitDepth), DecodeError> {
    let (colour, depth) = reader.output_color_type();
    let layout = match colour {
        png::ColorType::Grayscale => Layout::Grey,
        png::ColorType::GrayscaleAlpha => Layout::GreyAlpha,
        png::ColorType::Rgb => Layout::Rgb,
        png::ColorType::Rgba => Layout::RgbAlpha,
        png::ColorType::Indexed => return Err(damaged("palette could not be expanded".into())),
    };
    Ok((layout, depth))
}

/// Expanded samples and the picture, both with alpha, which a later chunk may bring.
fn bytes_per_pixel(header: &png::Info<'_>) -> u64 {
    let wide = if header.bit_depth == png::BitDepth::Sixteen {
        2
    } else {
        1
    };
    let channels = match header.color_type {
        png::ColorType::Grayscale | png::ColorType::GrayscaleAlpha => 2,
        _ => 4,
    };
    channels * wide + 4
}

fn wide(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

fn colour_kind(info: &png::Info<'_>) -> ColourKind {
    match (info.color_type, info.trns.is_some()) {
        (png::ColorType::Grayscale, false) => ColourKind::Grey,
        (png::ColorType::Grayscale, true) | (png::ColorType::GrayscaleAlpha, _) => {
            ColourKind::GreyAlpha
        }
        (png::ColorType::Rgb, false) => ColourKind::Rgb,
        (png::ColorType::Rgb, true) | (png::ColorType::Rgba, _) => ColourKind::RgbAlpha,
        (png::ColorType::Indexed, _) => ColourKind::Palette,
    }
}

fn dpi(pixels: png::PixelDimensions) -> Option<(f32, f32)> {
    const METRES_PER_INCH: f32 = 0.0254;
    let known = pixels.unit == png::Unit::Meter && pixels.xppu > 0 && pixels.yppu > 0;
    known.then_some((
        pixels.xppu as f32 * METRES_PER_INCH,
        pixels.yppu as f32 * METRES_PER_INCH,
    ))
}

fn fault(error: png::DecodingError, got: usize) -> DecodeError {
    match error {
        png::DecodingError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            DecodeError::Truncated {
                format: SourceFormat::Png,
                got: got as u64,
            }
        }
        png::DecodingError::LimitsExceeded => damaged(format!(
            "its chunks need more than {DECODER_BYTES} bytes beside the pixels"
        )),
        other => damaged(other.to_string()),
    }
}

fn damaged(reason: String) -> DecodeError {
    DecodeError::Damaged {
        format: SourceFormat::Png,
        reason,
    }
}
