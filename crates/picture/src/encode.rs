//! Pictures to bytes that carry how they were made. Knows nothing of paths and clocks.

use std::io::Cursor;

use image::codecs::jpeg::{JpegEncoder, PixelDensity, PixelDensityUnit};

use crate::exif;
use crate::metadata::{self, Carried, MetadataError};
use crate::{Metadata, Picture, Size, WHITE, flatten};

/// A format that results are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Lossless, 8 bit, with alpha where the picture has it.
    #[default]
    Png,
    /// Lossy, full colour resolution (4:4:4), no alpha.
    Jpeg {
        /// 1 smallest to 100 best.
        quality: u8,
    },
    /// Lossless, with alpha where the picture has it.
    WebP,
}

/// The extension of a name is none we write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("extension is {got:?}, expected png, jpg, jpeg or webp")]
pub struct UnknownExtension {
    /// The extension, as given.
    pub got: String,
}

/// Why a picture gives no file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// JPEG quality outside its range: the caller's fault.
    #[error("JPEG quality is {0}, expected 1 to 100")]
    Quality(u8),
    /// A side is longer than the format can say.
    #[error("picture is {size}, expected at most {limit} pixels a side in {format}")]
    TooLarge {
        /// The format.
        format: &'static str,
        /// The picture's size.
        size: Size,
        /// Most pixels a side.
        limit: u32,
    },
    /// The metadata does not fit the format.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The encoder failed.
    #[error("cannot encode {format}: {reason}")]
    Encoder {
        /// The format.
        format: &'static str,
        /// The encoder's words.
        reason: String,
    },
}

/// What was lost in writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeWarning {
    /// The format has no alpha: clear parts were laid on this colour.
    AlphaFlattened {
        /// The colour, sRGB.
        on: [u8; 3],
    },
    /// The prompt leaves no room in JPEG for the source's EXIF tags.
    ExifLeftOut,
}

impl std::fmt::Display for EncodeWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AlphaFlattened { on: [r, g, b] } => write!(
                f,
                "JPEG has no transparency, clear parts are laid on #{r:02x}{g:02x}{b:02x}"
            ),
            Self::ExifLeftOut => f.write_str(
                "the source's EXIF data is left out, the prompt leaves no room for it in JPEG; PNG has \
                 room for both",
            ),
        }
    }
}

/// An encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The file.
    pub bytes: Vec<u8>,
    /// What was lost; empty for lossless formats.
    pub warnings: Vec<EncodeWarning>,
}

impl Format {
    /// JPEG at the quality used where none is named: 95.
    pub const JPEG: Self = Self::Jpeg { quality: 95 };

    /// The format that a file name's extension asks for, without its dot, in any case.
    ///
    /// Fails with [`UnknownExtension`], which lists the known ones.
    pub fn from_extension(extension: &str) -> Result<Self, UnknownExtension> {
        match extension.to_ascii_lowercase().as_str() {
            "png" => Ok(Self::Png),
            "jpg" | "jpeg" => Ok(Self::JPEG),
            "webp" => Ok(Self::WebP),
            _ => Err(UnknownExtension {
                got: extension.into(),
            }),
        }
    }

    /// The usual extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg { .. } => "jpg",
            Self::WebP => "webp",
        }
    }

    /// The media type, as HTTP names it.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg { .. } => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }

    /// True where alpha is kept. Known before a run, so that a person can be told before it.
    pub fn keeps_alpha(self) -> bool {
        !matches!(self, Self::Jpeg { .. })
    }

    /// The format's name and the most pixels a side it can say.
    pub fn limit(self) -> (&'static str, u32) {
        match self {
            Self::Png => ("PNG", i32::MAX as u32),
            Self::Jpeg { .. } => ("JPEG", 65_535),
            Self::WebP => ("WebP", 16_384),
        }
    }
}

/// Encodes `picture` with `metadata` in it. The same input gives the same bytes everywhere.
///
/// Fails with [`EncodeError`] where the quality is outside 1..100, the picture is too large for the format
/// or the metadata too long for it (see [`metadata::check`]).
pub fn encode(
    picture: &Picture,
    format: Format,
    metadata: &Metadata,
) -> Result<Encoded, EncodeError> {
    let size = picture.size();
    let (name, limit) = format.limit();
    if size.width.max(size.height) > limit {
        return Err(EncodeError::TooLarge {
            format: name,
            size,
            limit,
        });
    }
    metadata::check(metadata, format)?;
    let mut warnings = Vec::new();
    let bytes = match format {
        Format::Png => encode_png(picture, metadata)?,
        Format::WebP => encode_webp(picture, metadata)?,
        Format::Jpeg { quality } => {
            if !(1..=100).contains(&quality) {
                return Err(EncodeError::Quality(quality));
            }
            if picture.is_transparent() {
                warnings.push(EncodeWarning::AlphaFlattened { on: WHITE });
            }
            let mut metadata = metadata.clone();
            if !metadata::jpeg::has_room_for_carried(&metadata) {
                warnings.push(EncodeWarning::ExifLeftOut);
                metadata.carried.exif = metadata::ExifTags::default();
            }
            encode_jpeg(&flatten(picture, WHITE), quality, &metadata)?
        }
    };
    Ok(Encoded { bytes, warnings })
}

fn failed(format: &'static str) -> impl Fn(&dyn std::fmt::Display) -> EncodeError {
    move |reason| EncodeError::Encoder {
        format,
        reason: reason.to_string(),
    }
}

/// Colours and alpha of each pixel together, `[H, W, 4]`; `None` where there is no alpha.
fn rgba(picture: &Picture) -> Option<Vec<u8>> {
    let pixels = picture.rgb().chunks_exact(3).zip(picture.alpha()?);
    Some(
        pixels
            .flat_map(|(rgb, &a)| [rgb[0], rgb[1], rgb[2], a])
            .collect(),
    )
}

fn encode_png(picture: &Picture, metadata: &Metadata) -> Result<Vec<u8>, EncodeError> {
    let failed = failed("PNG");
    let Size { width, height } = picture.size();
    let mut bytes = Vec::new();
    let mut info = png::Info::with_size(width, height);
    let Carried { exif, dpi } = &metadata.carried;
    // Without tags there is no need for a block: the resolution has a chunk of its own.
    let block = exif::write(exif, dpi.filter(|_| !exif.is_empty()), None);
    info.exif_metadata = block.map(Into::into);
    let mut encoder = png::Encoder::with_info(&mut bytes, info).map_err(|error| failed(&error))?;
    encoder.set_pixel_dims(dpi.map(per_metre));
    let rgba = rgba(picture);
    encoder.set_color(if rgba.is_some() {
        png::ColorType::Rgba
    } else {
        png::ColorType::Rgb
    });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::RelativeColorimetric);
    for (keyword, text) in metadata::png::texts(metadata) {
        encoder
            .add_itxt_chunk(keyword.into(), text)
            .map_err(|error| failed(&error))?;
    }
    let mut writer = encoder.write_header().map_err(|error| failed(&error))?;
    let samples = rgba.as_deref().unwrap_or(picture.rgb());
    writer
        .write_image_data(samples)
        .map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))?;
    Ok(bytes)
}

/// Pixels per inch in PNG's whole pixels per metre.
fn per_metre((x, y): (f32, f32)) -> png::PixelDimensions {
    let pixels = |dpi: f32| (f64::from(dpi) / 0.0254).round() as u32;
    png::PixelDimensions {
        xppu: pixels(x),
        yppu: pixels(y),
        unit: png::Unit::Meter,
    }
}

fn encode_jpeg(
    picture: &Picture,
    quality: u8,
    metadata: &Metadata,
) -> Result<Vec<u8>, EncodeError> {
    let Size { width, height } = picture.size();
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(Cursor::new(&mut bytes), quality);
    if let Some(density) = metadata::jpeg::density(&metadata.carried) {
        let unit = PixelDensityUnit::Inches;
        encoder.set_pixel_density(PixelDensity { density, unit });
    }
    encoder
        .encode(picture.rgb(), width, height, image::ExtendedColorType::Rgb8)
        .map_err(|error| failed("JPEG")(&error))?;
    Ok(metadata::jpeg::insert(bytes, metadata))
}

fn encode_webp(picture: &Picture, metadata: &Metadata) -> Result<Vec<u8>, EncodeError> {
    let Size { width, height } = picture.size();
    let mut bytes = Vec::new();
    let mut encoder = image_webp::WebPEncoder::new(&mut bytes);
    if let Some(exif) = metadata::webp::exif(metadata) {
        encoder.set_exif_metadata(exif);
    }
    if let Some(xmp) = metadata::webp::xmp(metadata) {
        encoder.set_xmp_metadata(xmp);
    }
    let rgba = rgba(picture);
    let kind = if rgba.is_some() {
        image_webp::ColorType::Rgba8
    } else {
        image_webp::ColorType::Rgb8
    };
    let samples = rgba.as_deref().unwrap_or(picture.rgb());
    encoder
        .encode(samples, width, height, kind)
        .map_err(|error| failed("WebP")(&error))?;
    Ok(bytes)
}
