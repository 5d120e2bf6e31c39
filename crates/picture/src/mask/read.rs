//! Pictures as masks: white changes, black stays, grey changes partly.

use super::{Mask, MaskError, MaskWarning};
use crate::{Filter, Picture, Size, resize_plane};

/// Coverage below this counts as 0: nearly black canvases and the noise JPEG leaves around edges.
pub const DARK: u8 = 16;
/// Coverage above this counts as 255, for the same reasons.
pub const LIGHT: u8 = 239;
/// Channels this far apart make a colour: JPEG turns grey into less.
const COLOUR: u8 = 48;
/// Share of coloured pixels from which a picture is no mask.
const COLOURED: f64 = 0.01;

/// A mask that was read from a picture, and what to know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadMask {
    /// The mask.
    pub mask: Mask,
    /// What was rounded or resized.
    pub warnings: Vec<MaskWarning>,
}

impl Mask {
    /// Reads a grey picture, with or without alpha: coverage is brightness (Rec. 601) times alpha. Below
    /// [`DARK`] it counts as 0, above [`LIGHT`] as 255.
    ///
    /// Fails with [`MaskError::Coloured`] where more than a hundredth of the visible pixels have colours.
    pub fn from_picture(picture: &Picture) -> Result<ReadMask, MaskError> {
        let share = coloured(picture);
        if share > COLOURED {
            return Err(MaskError::Coloured { share });
        }
        let alpha = |index: usize| picture.alpha().map_or(255, |alpha| alpha[index]);
        let (mut dark, mut light) = (0, 0);
        let pixels = picture.rgb().chunks_exact(3).enumerate();
        let coverage = pixels.map(|(index, rgb)| {
            let coverage = times(brightness(rgb), alpha(index));
            match coverage {
                1..DARK => dark += 1,
                value if value > LIGHT && value < 255 => light += 1,
                _ => {}
            }
            match coverage {
                0..DARK => 0,
                value if value > LIGHT => 255,
                value => value,
            }
        });
        let mask = Self::new(picture.size(), coverage.collect());
        let rounded = (dark + light > 0).then_some(MaskWarning::Rounded { dark, light });
        Ok(ReadMask {
            mask,
            warnings: rounded.into_iter().collect(),
        })
    }

    /// What a picture's own alpha leaves clear: 255 where it is fully transparent.
    pub fn from_transparency(picture: &Picture) -> Self {
        let size = picture.size();
        match picture.alpha() {
            Some(alpha) => Self::new(size, alpha.iter().map(|&a| 255 - a).collect()),
            None => Self::empty(size),
        }
    }

    /// Fails with [`MaskError::Size`] unless it has the size of its source.
    pub fn check_size(&self, source: Size) -> Result<(), MaskError> {
        if self.size == source {
            return Ok(());
        }
        Err(MaskError::Size {
            mask: self.size,
            source_size: source,
        })
    }

    /// The mask brought to another size, linearly; a copy where that is its size.
    ///
    /// Panics where a side of `size` is 0.
    pub fn fitted(&self, size: Size) -> Self {
        Self::new(
            size,
            resize_plane(&self.coverage, self.size, size, Filter::Bilinear),
        )
    }
}

/// Rec. 601 luma in thousandths, rounded; exact for grey.
fn brightness(rgb: &[u8]) -> u8 {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
}

/// Product of two shares of 255, rounded.
fn times(a: u8, b: u8) -> u8 {
    ((u32::from(a) * u32::from(b) + 127) / 255) as u8
}

/// Share of the visible pixels that have a colour.
fn coloured(picture: &Picture) -> f64 {
    let (mut coloured, mut visible) = (0u64, 0u64);
    for (index, rgb) in picture.rgb().chunks_exact(3).enumerate() {
        if picture.alpha().is_some_and(|alpha| alpha[index] < DARK) {
            continue;
        }
        visible += 1;
        let (low, high) = (rgb.iter().min(), rgb.iter().max());
        coloured += u64::from(high > low && high.zip(low).is_some_and(|(h, l)| h - l > COLOUR));
    }
    coloured as f64 / visible.max(1) as f64
}
