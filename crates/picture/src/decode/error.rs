//! Why a file gives no picture, and whose fault it is.

use super::SourceFormat;
use crate::{LooksLike, Size};

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file is empty, broken or no picture: another file is needed.
    File,
    /// The file asks for more than the limits allow: raise them or take a smaller one.
    Limit,
    /// The file may be fine, but this build does not read its kind: convert it.
    Unsupported,
}

/// Why bytes give no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are no bytes at all.
    #[error("file is empty (0 bytes), expected a picture")]
    Empty,
    /// The content is something else.
    #[error(
        "file of {got} bytes is {looks_like}, expected a picture (JPEG, PNG, WebP, TIFF, BMP or GIF)"
    )]
    NotAPicture {
        /// What it looks like.
        looks_like: LooksLike,
        /// Bytes in the file.
        got: u64,
    },
    /// A picture of a format this build does not read.
    #[error("file is {0}, expected JPEG, PNG, WebP, TIFF, BMP or GIF")]
    UnsupportedFormat(LooksLike),
    /// A kind of a known format that this build does not read.
    #[error("{format} file is of an unsupported kind: {kind}")]
    UnsupportedKind {
        /// Its format.
        format: SourceFormat,
        /// The kind, in the format's own words.
        kind: String,
    },
    /// The file ends before its picture does.
    #[error("{format} file is truncated: it ends after {got} bytes, before the picture's end")]
    Truncated {
        /// Its format.
        format: SourceFormat,
        /// Bytes that are there.
        got: u64,
    },
    /// The file's content breaks its format's rules.
    #[error("{format} file is damaged: {reason}")]
    Damaged {
        /// Its format.
        format: SourceFormat,
        /// What is broken, in the decoder's words.
        reason: String,
    },
    /// The file claims a size without pixels.
    #[error("picture size is {0}, expected at least 1x1")]
    NoPixels(Size),
    /// The file is longer than the limit.
    #[error("file has {got} bytes, expected at most {limit}")]
    TooManyBytes {
        /// Bytes in the file.
        got: u64,
        /// The limit.
        limit: u64,
    },
    /// The claimed size is over the limit.
    #[error("picture claims {size} = {} pixels, expected at most {limit}", size.pixels())]
    TooManyPixels {
        /// Claimed size.
        size: Size,
        /// The limit.
        limit: u64,
    },
    /// Decoding would take more memory than the limit.
    #[error("picture of {size} needs {need} bytes of memory to decode, expected at most {limit}")]
    TooMuchMemory {
        /// Claimed size.
        size: Size,
        /// Bytes needed.
        need: u64,
        /// The limit.
        limit: u64,
    },
}

impl DecodeError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Empty
            | Self::NotAPicture { .. }
            | Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::NoPixels(_) => Fault::File,
            Self::UnsupportedFormat(_) | Self::UnsupportedKind { .. } => Fault::Unsupported,
            Self::TooManyBytes { .. } | Self::TooManyPixels { .. } | Self::TooMuchMemory { .. } => {
                Fault::Limit
            }
        }
    }
}
