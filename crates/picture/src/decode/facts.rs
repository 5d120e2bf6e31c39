//! What a source file was, and what a person should know about how it was read.

use crate::exif::ExifTags;
use crate::{Orientation, Size};

/// A format that [`decode`](crate::decode) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceFormat {
    /// JPEG, baseline and progressive.
    Jpeg,
    /// PNG of every kind.
    Png,
    /// WebP, lossy and lossless.
    WebP,
    /// TIFF, its first page.
    Tiff,
    /// Windows bitmap.
    Bmp,
    /// GIF, its first frame.
    Gif,
}

impl std::fmt::Display for SourceFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
        })
    }
}

/// How a file stores its colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColourKind {
    /// Grey, bilevel included.
    Grey,
    /// Grey with alpha or a colour key.
    GreyAlpha,
    /// Red, green, blue (or what JPEG and WebP make of them).
    Rgb,
    /// Red, green, blue with alpha or a colour key.
    RgbAlpha,
    /// Indices into a table of colours.
    Palette,
    /// Print colours.
    Cmyk,
}

/// What the file was before it became a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its format, from its content.
    pub format: SourceFormat,
    /// Size as stored, before orientation.
    pub stored_size: Size,
    /// Size of the upright picture.
    pub size: Size,
    /// How colours were stored.
    pub colour: ColourKind,
    /// Bits per stored sample, 1 to 32; for a palette the bits of an index.
    pub bit_depth: u8,
    /// True where the file brought an ICC profile.
    pub had_profile: bool,
    /// Orientation that was applied; the picture is upright.
    pub orientation: Orientation,
    /// Pixels per inch across and down, of the stored picture, where the file says.
    pub dpi: Option<(f32, f32)>,
    /// The raw EXIF block, without JPEG's prefix. May hold places, names and a thumbnail: do not pass it
    /// on unread. Its orientation tag is already applied.
    pub exif: Option<Vec<u8>>,
    /// What a result may keep of it; of TIFF files too, whose tags are EXIF's own.
    pub exif_tags: ExifTags,
    /// Whether it says where the picture was taken. Never passed on.
    pub place: bool,
}

/// What a person should know about how a file was read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The file moves; its first frame is used.
    Animated,
    /// The colour profile could not be applied; colours are taken as sRGB.
    ProfileUnusable {
        /// Why.
        reason: String,
    },
    /// Print colours without a usable profile: converted by the plain formula.
    CmykApproximated,
    /// The picture could be read, but not as the format's rules ask; parts may be wrong or grey.
    Damaged {
        /// What is broken, in the decoder's words.
        reason: String,
    },
    /// A JPEG whose data stops or breaks early although an end mark follows: the rest is grey.
    Missing {
        /// Share of the picture's blocks that is missing, above 0, at most 1.
        missing: f32,
    },
    /// A progressive JPEG without its last scans: it looks whole but lacks detail.
    Unfinished {
        /// Share of its detail passes that is missing, above 0, at most 1.
        missing: f32,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Animated => f.write_str("file is animated, only its first frame is used"),
            Self::ProfileUnusable { reason } => {
                write!(
                    f,
                    "colour profile is not used, colours are taken as sRGB: {reason}"
                )
            }
            Self::CmykApproximated => f.write_str(
                "file has print colours (CMYK) without a usable profile, colours are approximate",
            ),
            Self::Damaged { reason } => {
                write!(
                    f,
                    "file is damaged, parts of the picture may be wrong: {reason}"
                )
            }
            Self::Missing { missing } => {
                let share = missing * 100.0;
                write!(
                    f,
                    "picture data stops early, {share:.1} % of the picture is missing"
                )
            }
            Self::Unfinished { missing } => {
                let share = missing * 100.0;
                write!(
                    f,
                    "progressive JPEG lacks {share:.0} % of its detail, it looks blurred"
                )
            }
        }
    }
}
