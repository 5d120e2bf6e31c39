//! Masks: how much of each pixel may change. 255 is repainted, 0 is kept, never inverted.
//!
//! Coverage is 8 bit: mask files are, every operation is then one on integers with the same bytes on every
//! CPU, and 100 megapixels take 100 MB. A mask comes from a picture ([`Mask::from_picture`]), boxes, a
//! colour, ellipses or the subject ([`subject`]), and has its picture's size from then on.

mod cells;
mod depth;
mod morphology;
mod read;
mod regions;
mod show;
mod subject;

pub use depth::depth;
pub use read::{DARK, LIGHT, ReadMask};
pub use regions::{ColourKey, Ellipse};
pub use subject::{Doubt, Subject, subject};

use crate::fit::cut;
use crate::{Picture, Rect, Size};

/// Coverage of each pixel of a picture, `[H, W]` u8: 0 is kept, 255 repainted, between them partly.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    size: Size,
    coverage: Vec<u8>,
}

/// A mask cannot be had from what was given.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// A mask picture has another size than its source.
    #[error("mask is {mask}, expected the source's size {source_size}")]
    Size {
        /// The mask's size.
        mask: Size,
        /// The source's.
        source_size: Size,
    },
    /// A mask picture has colours.
    #[error(
        "mask has colours in {} of its pixels, expected a grey picture: white changes, black stays",
        percent(*.share)
    )]
    Coloured {
        /// Share of coloured pixels, above 0 to 1.
        share: f64,
    },
    /// A box has no pixels.
    #[error("box {} has no pixels, expected a width and a height of at least 1", box_text(.rect))]
    NoPixels {
        /// The box.
        rect: Rect,
    },
    /// A box reaches over the picture's edge.
    #[error("box {} is not inside the picture of {size}", box_text(.rect))]
    Outside {
        /// The box.
        rect: Rect,
        /// The picture's size.
        size: Size,
    },
}

/// What a person should know about a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum MaskWarning {
    /// Nearly black or nearly white pixels count as black and white.
    Rounded {
        /// Pixels below [`DARK`] that are not black.
        dark: u64,
        /// Pixels above [`LIGHT`] that are not white.
        light: u64,
    },
    /// The mask was brought to the source's size.
    Resized {
        /// Its own size.
        from: Size,
        /// The source's.
        to: Size,
    },
    /// No pixel may change.
    Empty,
    /// Every pixel is repainted.
    Full,
    /// The subject may not be what was found.
    Doubt(Doubt),
}

impl std::fmt::Display for MaskWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rounded { dark, light } => write!(
                f,
                "mask is not only black, white and clear grey: {dark} pixels darker than {DARK} of 255 count \
                 as black, {light} lighter than {LIGHT} as white"
            ),
            Self::Resized { from, to } => {
                write!(
                    f,
                    "mask is {from} and was brought to the source's size {to}"
                )
            }
            Self::Empty => f.write_str("mask is empty: no pixel may change"),
            Self::Full => f.write_str("mask is full: every pixel is repainted"),
            Self::Doubt(doubt) => doubt.fmt(f),
        }
    }
}

fn box_text(rect: &Rect) -> String {
    let Rect { x, y, size } = rect;
    format!("{x},{y},{},{}", size.width, size.height)
}

/// A share as people read it: 0.5 % is not 1 %.
fn percent(share: f64) -> String {
    if share < 0.1 {
        format!("{:.1} %", share * 100.0)
    } else {
        format!("{:.0} %", share * 100.0)
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({}, {})", self.size, percent(self.share()))
    }
}

impl Mask {
    /// A mask of `coverage` `[H, W]`.
    ///
    /// Panics where the plane is not of `size`.
    pub fn new(size: Size, coverage: Vec<u8>) -> Self {
        assert_eq!(coverage.len(), size.len(), "coverage is not of size {size}");
        Self { size, coverage }
    }

    /// A mask that keeps every pixel.
    pub fn empty(size: Size) -> Self {
        Self::new(size, vec![0; size.len()])
    }

    /// A mask that repaints every pixel.
    pub fn full(size: Size) -> Self {
        Self::new(size, vec![255; size.len()])
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Coverage, `[H, W]`.
    pub fn coverage(&self) -> &[u8] {
        &self.coverage
    }

    /// Share of the picture it covers, grey counted in part, 0 to 1.
    pub fn share(&self) -> f64 {
        let sum: u64 = self.coverage.iter().map(|&c| u64::from(c)).sum();
        sum as f64 / (255 * self.size.pixels()).max(1) as f64
    }

    /// Whether it keeps every pixel.
    pub fn is_empty(&self) -> bool {
        self.coverage.iter().all(|&c| c == 0)
    }

    /// Whether it repaints every pixel.
    pub fn is_full(&self) -> bool {
        self.coverage.iter().all(|&c| c == 255)
    }

    /// [`MaskWarning::Empty`] or [`MaskWarning::Full`], where it is.
    pub fn extreme(&self) -> Option<MaskWarning> {
        match (self.is_empty(), self.is_full()) {
            (true, _) => Some(MaskWarning::Empty),
            (_, true) => Some(MaskWarning::Full),
            _ => None,
        }
    }

    /// The smallest part of the picture that holds every pixel that may change; `None` for an empty mask.
    pub fn bounds(&self) -> Option<Rect> {
        let width = self.size.width as usize;
        let (mut left, mut right, mut top, mut bottom) = (width, 0, None, 0);
        for (y, row) in self.coverage.chunks_exact(width).enumerate() {
            let Some(first) = row.iter().position(|&c| c > 0) else {
                continue;
            };
            let last = row.iter().rposition(|&c| c > 0).unwrap_or(first);
            (left, right) = (left.min(first), right.max(last));
            top.get_or_insert(y);
            bottom = y;
        }
        let top = top?;
        Some(Rect {
            x: left as u32,
            y: top as u32,
            size: Size::new((right - left + 1) as u32, (bottom - top + 1) as u32),
        })
    }

    /// What was kept is repainted and the other way round.
    pub fn inverted(mut self) -> Self {
        self.coverage.iter_mut().for_each(|c| *c = 255 - *c);
        self
    }

    /// Repaints all that was kept wholly, and keeps what was to change in any part.
    pub(crate) fn inverted_support(mut self) -> Self {
        let turned = |c: &mut u8| *c = if *c == 0 { 255 } else { 0 };
        self.coverage.iter_mut().for_each(turned);
        self
    }

    /// The part of the mask in `rect`.
    ///
    /// Panics where it does not lie inside.
    pub fn part(&self, rect: Rect) -> Self {
        Self::new(rect.size, cut::<1>(&self.coverage, self.size, rect))
    }

    /// A mask of `size` with this one at column `x` of row `y`, and `around` where it is not.
    ///
    /// Panics where it does not fit.
    pub fn placed(&self, size: Size, [x, y]: [u32; 2], around: u8) -> Self {
        let mut coverage = vec![around; size.len()];
        let rows = self.coverage.chunks_exact(self.size.width as usize);
        for (row, from) in rows.enumerate() {
            let start = (y as usize + row) * size.width as usize + x as usize;
            coverage[start..start + from.len()].copy_from_slice(from);
        }
        Self::new(size, coverage)
    }

    /// What either covers: the larger coverage.
    ///
    /// Panics where the sizes differ.
    pub fn union(&self, other: &Self) -> Self {
        self.with(other, u8::max)
    }

    /// What this covers and `other` does not: where `other` is 255 nothing may change.
    ///
    /// Panics where the sizes differ.
    pub fn minus(&self, other: &Self) -> Self {
        self.with(other, |this, other| this.min(255 - other))
    }

    fn with(&self, other: &Self, combine: impl Fn(u8, u8) -> u8) -> Self {
        assert_eq!(self.size, other.size, "masks of different sizes");
        let pairs = self.coverage.iter().zip(&other.coverage);
        Self::new(self.size, pairs.map(|(&a, &b)| combine(a, b)).collect())
    }

    /// The mask as a grey picture, as [`Mask::from_picture`] reads it.
    pub fn picture(&self) -> Picture {
        let rgb = self.coverage.iter().flat_map(|&c| [c; 3]).collect();
        Picture::from_planes(self.size, rgb, None)
    }
}
