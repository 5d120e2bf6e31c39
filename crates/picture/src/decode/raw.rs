//! Decoded samples as the file stores them, before colour conversion.

use crate::Size;

/// Channels of a pixel, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Grey,
    GreyAlpha,
    Rgb,
    RgbAlpha,
    /// 0 is no ink.
    Cmyk,
}

impl Layout {
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::RgbAlpha | Self::Cmyk => 4,
        }
    }

    pub(crate) fn has_alpha(self) -> bool {
        matches!(self, Self::GreyAlpha | Self::RgbAlpha)
    }
}

/// Samples of all pixels, channels together, full range of their type.
pub(crate) enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
}

/// Stored pixels: `[H, W, channels of layout]`.
pub(crate) struct Raw {
    pub(crate) size: Size,
    pub(crate) layout: Layout,
    pub(crate) samples: Samples,
}
