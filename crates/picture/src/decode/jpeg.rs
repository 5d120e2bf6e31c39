//! JPEG: the markers are walked first, for the true end, the size and the profile; then `zune-jpeg` runs
//! on exactly the first picture, on its portable path.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::entropy;
use super::{ColourKind, DecodeError, Layout, Limits, Raw, Samples, SourceFormat, Stored, Warning};
use crate::container::jpeg::{APP0, APP1, APP2, START_OF_SCAN, walk};
use crate::{Size, exif};

const APP14: u8 = 0xEE;
const ICC_PREFIX: &[u8] = b"ICC_PROFILE\0";

/// What the markers say.
#[derive(Default)]
struct Markers {
    frame: Option<Frame>,
    exif: Option<Vec<u8>>,
    icc: Vec<(u8, Vec<u8>)>,
    dpi: Option<(f32, f32)>,
    adobe: bool,
    scans: bool,
}

struct Frame {
    header: Vec<u8>,
    kind: u8,
    bit_depth: u8,
    size: Size,
    /// Identifiers of the components.
    components: Vec<u8>,
    /// Progressive: per component and coefficient the lowest bit delivered so far, 255 for none.
    delivered: Vec<[u8; 64]>,
}

pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let mut markers = Markers::default();
    let end = walk(bytes, |marker, payload, _| {
        markers.visit(marker, payload);
        true
    });
    let truncated = DecodeError::Truncated {
        format: SourceFormat::Jpeg,
        got: bytes.len() as u64,
    };
    let Some(frame) = markers.frame.take() else {
        return Err(if end.is_none() {
            truncated
        } else {
            damaged("no frame header")
        });
    };
    check_kind(&frame)?;
    limits.check(frame.size, bytes_per_pixel(&frame))?;
    let end = end.ok_or(truncated)?;
    if !markers.scans {
        return Err(damaged("no scan"));
    }

    let mut warnings = Vec::new();
    let raw = pixels(&bytes[..end], &frame, markers.adobe, &mut warnings)?;
    if let Some(missing) = frame.missing_share() {
        warnings.push(Warning::Unfinished { missing });
    }
    if !frame.is_progressive()
        && let Some(missing) = entropy::missing_share(&bytes[..end], &frame.header)
    {
        warnings.push(Warning::Missing { missing });
    }
    let colour = match raw.layout {
        Layout::Grey => ColourKind::Grey,
        Layout::Cmyk => ColourKind::Cmyk,
        _ => ColourKind::Rgb,
    };
    Ok(Stored {
        raw,
        format: SourceFormat::Jpeg,
        colour,
        bit_depth: frame.bit_depth,
        icc: markers.profile(),
        exif: markers.exif,
        dpi: markers.dpi,
        orientation: None,
        warnings,
    })
}

impl Markers {
    fn visit(&mut self, marker: u8, payload: &[u8]) {
        match marker {
            APP0 if payload.starts_with(b"JFIF\0") => self.dpi = jfif_dpi(payload),
            APP1 if self.exif.is_none() => {
                self.exif = payload.strip_prefix(exif::PREFIX).map(<[u8]>::to_vec);
            }
            APP2 => {
                if let Some([number, _count, part @ ..]) = payload.strip_prefix(ICC_PREFIX) {
                    self.icc.push((*number, part.to_vec()));
                }
            }
            APP14 => self.adobe |= payload.starts_with(b"Adobe"),
            START_OF_SCAN => {
                self.scans = true;
                if let Some(frame) = &mut self.frame {
                    frame.deliver(payload);
                }
            }
            // C4, C8 and CC are tables and reserved, the others frame headers.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) && self.frame.is_none() => {
                self.frame = Frame::parse(marker, payload);
            }
            _ => {}
        }
    }

    fn profile(&mut self) -> Option<Vec<u8>> {
        self.icc.sort_by_key(|(number, _)| *number);
        let parts = std::mem::take(&mut self.icc);
        (!parts.is_empty()).then(|| parts.into_iter().flat_map(|(_, part)| part).collect())
    }
}

fn jfif_dpi(payload: &[u8]) -> Option<(f32, f32)> {
    let field = |at: usize| Some(u16::from_be_bytes(*payload.get(at..)?.first_chunk::<2>()?));
    let (x, y) = (f32::from(field(8)?), f32::from(field(10)?));
    match (payload[7], x > 0.0 && y > 0.0) {
        (1, true) => Some((x, y)),
        (2, true) => Some((x * 2.54, y * 2.54)),
        _ => None,
    }
}

impl Frame {
    fn parse(kind: u8, payload: &[u8]) -> Option<Self> {
        let &[bit_depth, h1, h0, w1, w0, count, ref rest @ ..] = payload else {
            return None;
        };
        let size = Size::new(
            u16::from_be_bytes([w1, w0]).into(),
            u16::from_be_bytes([h1, h0]).into(),
        );
        let components: Vec<u8> = rest.chunks_exact(3).map(|component| component[0]).collect();
        let delivered = vec![[255; 64]; components.len()];
        let whole = components.len() == usize::from(count);
        whole.then_some(Self {
            header: payload.to_vec(),
            kind,
            bit_depth,
            size,
            components,
            delivered,
        })
    }

    fn is_progressive(&self) -> bool {
        self.kind == 0xC2
    }

    /// Notes which bits of which coefficients a scan brings.
    fn deliver(&mut self, scan: &[u8]) {
        let Some((&count, rest)) = scan.split_first() else {
            return;
        };
        let Some((components, &[first, last, bits, ..])) =
            rest.split_at_checked(2 * usize::from(count))
        else {
            return;
        };
        for id in components.chunks_exact(2).map(|component| component[0]) {
            let Some(at) = self
                .components
                .iter()
                .position(|&component| component == id)
            else {
                continue;
            };
            for k in usize::from(first)..=usize::from(last).min(63) {
                self.delivered[at][k] = self.delivered[at][k].min(bits & 15);
            }
        }
    }

    /// Share of the passes over coefficients that a progressive file lacks, where it lacks some.
    fn missing_share(&self) -> Option<f32> {
        if !self.is_progressive() {
            return None;
        }
        let all = self.delivered.iter().flatten();
        let missing: f32 = all
            .map(|&bit| {
                if bit == 255 {
                    1.0
                } else {
                    f32::from(bit) / 14.0
                }
            })
            .sum();
        (missing > 0.0).then(|| missing / (64.0 * self.components.len() as f32))
    }
}

fn check_kind(frame: &Frame) -> Result<(), DecodeError> {
    let kind = match frame.kind {
        0xC0..=0xC2 if frame.bit_depth != 8 => format!("{} bits per sample", frame.bit_depth),
        0xC0..=0xC2 if matches!(frame.components.len(), 1 | 3 | 4) => return Ok(()),
        0xC0..=0xC2 => format!("{} colour components", frame.components.len()),
        0xC3 | 0xCB => "lossless JPEG".into(),
        0xC9 | 0xCA => "arithmetic coding".into(),
        _ => "hierarchical JPEG".into(),
    };
    Err(DecodeError::UnsupportedKind {
        format: SourceFormat::Jpeg,
        kind,
    })
}

/// Decoder's samples and the picture; progressive files keep all coefficients as 16 bit.
fn bytes_per_pixel(frame: &Frame) -> u64 {
    let components = frame.components.len() as u64;
    let coefficients = if frame.is_progressive() {
        2 * components
    } else {
        0
    };
    coefficients + components + 3
}

fn pixels(
    bytes: &[u8],
    frame: &Frame,
    adobe: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Raw, DecodeError> {
    let (space, samples) = match decode(bytes, frame, true) {
        Ok(decoded) => decoded,
        // The rules are broken somewhere; a picture that can still be had comes with a warning.
        Err(strict) => {
            let decoded = decode(bytes, frame, false).map_err(|error| damaged(&error))?;
            warnings.push(Warning::Damaged { reason: strict });
            decoded
        }
    };
    let layout = match space {
        ColorSpace::Luma => Layout::Grey,
        ColorSpace::CMYK | ColorSpace::YCCK => Layout::Cmyk,
        _ => Layout::Rgb,
    };
    if samples.len() != frame.size.len() * layout.channels() {
        return Err(damaged("the size of the data differs from the header's"));
    }
    let samples = match layout {
        Layout::Cmyk => cmyk(samples, space == ColorSpace::YCCK, adobe),
        _ => samples,
    };
    Ok(Raw {
        size: frame.size,
        layout,
        samples: Samples::U8(samples),
    })
}

/// Runs the decoder; answers the colour space of the samples, which is grey, RGB, CMYK or YCCK.
fn decode(bytes: &[u8], frame: &Frame, strict: bool) -> Result<(ColorSpace, Vec<u8>), String> {
    let options = DecoderOptions::default()
        .set_use_unsafe(false) // the portable path, the same on every CPU
        .set_strict_mode(strict)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder
        .decode_headers()
        .map_err(|error| error.to_string())?;
    let space = match decoder.input_colorspace() {
        // The decoder takes Adobe's "no transform" for CMYK until it counts the components.
        _ if frame.components.len() == 3 => ColorSpace::RGB,
        Some(ColorSpace::YCbCr) | None => ColorSpace::RGB,
        Some(space) => space,
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(space));
    let samples = decoder.decode().map_err(|error| error.to_string())?;
    Ok((space, samples))
}

/// Print colours with 0 for no ink. Adobe's files store them inverted.
fn cmyk(mut samples: Vec<u8>, ycck: bool, adobe: bool) -> Vec<u8> {
    for pixel in samples.chunks_exact_mut(4) {
        if ycck {
            let [r, g, b] = ycc_to_rgb([pixel[0], pixel[1], pixel[2]]);
            pixel[..3].copy_from_slice(&[r, g, b]);
        }
        if adobe {
            pixel.iter_mut().for_each(|ink| *ink = 255 - *ink);
        }
    }
    samples
}

/// JFIF's conversion in 16-bit fixed point.
fn ycc_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    // 1.402, 0.344136, 0.714136, 1.772, each times 2^16.
    let r = y + 91_881 * cr;
    let g = y - 22_553 * cb - 46_802 * cr;
    let b = y + 116_130 * cb;
    [r, g, b].map(|v| ((v + (1 << 15)) >> 16).clamp(0, 255) as u8)
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Damaged {
        format: SourceFormat::Jpeg,
        reason: reason.into(),
    }
}
