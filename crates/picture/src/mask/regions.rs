//! Regions by their outline or colour: boxes, ellipses, a colour key.

use std::str::FromStr;

use super::{Mask, MaskError};
use crate::{Picture, Rect};

/// A colour, and how far from it still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColourKey {
    /// sRGB.
    pub colour: [u8; 3],
    /// Levels that each channel may be off, 0 to 255. Up to twice that, coverage fades.
    pub tolerance: u8,
}

impl ColourKey {
    /// What counts where nothing is named.
    pub const TOLERANCE: u8 = 24;
}

impl std::fmt::Display for ColourKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [r, g, b] = self.colour;
        write!(f, "#{r:02x}{g:02x}{b:02x}:{}", self.tolerance)
    }
}

impl FromStr for ColourKey {
    type Err = String;

    /// Reads `#rrggbb` or `#rrggbb:tolerance`, with or without `#`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("colour is {text:?}, expected RRGGBB or RRGGBB:TOLERANCE");
        let (colour, tolerance) = match text.split_once(':') {
            Some((colour, tolerance)) => (colour, tolerance.parse().map_err(|_| wrong())?),
            None => (text, Self::TOLERANCE),
        };
        let digits = colour.strip_prefix('#').unwrap_or(colour);
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
        let [_, r, g, b] = number.to_be_bytes();
        Ok(Self {
            colour: [r, g, b],
            tolerance,
        })
    }
}

/// An upright ellipse, in pixels of a picture; its parts outside are cut off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ellipse {
    /// Column and row of its middle.
    pub centre: [f64; 2],
    /// Half its width and height, above 0.
    pub radii: [f64; 2],
}

impl Mask {
    /// Covers a box.
    ///
    /// Fails with [`MaskError::NoPixels`] or [`MaskError::Outside`].
    pub fn add_box(&mut self, rect: Rect) -> Result<(), MaskError> {
        if rect.size.width == 0 || rect.size.height == 0 {
            return Err(MaskError::NoPixels { rect });
        }
        let end = |start: u32, length: u32| u64::from(start) + u64::from(length);
        let size = self.size;
        if end(rect.x, rect.size.width) > size.width.into()
            || end(rect.y, rect.size.height) > size.height.into()
        {
            return Err(MaskError::Outside { rect, size });
        }
        let columns = rect.x as usize..(rect.x + rect.size.width) as usize;
        let rows = self.coverage.chunks_exact_mut(size.width as usize);
        for row in rows.skip(rect.y as usize).take(rect.size.height as usize) {
            row[columns.clone()].fill(255);
        }
        Ok(())
    }

    /// Covers an ellipse: every pixel whose middle is inside.
    pub fn add_ellipse(&mut self, ellipse: Ellipse) {
        let Ellipse {
            centre: [x0, y0],
            radii: [rx, ry],
        } = ellipse;
        let width = self.size.width as usize;
        for (y, row) in self.coverage.chunks_exact_mut(width).enumerate() {
            let down = (y as f64 + 0.5 - y0) / ry;
            for (x, coverage) in row.iter_mut().enumerate() {
                let across = (x as f64 + 0.5 - x0) / rx;
                if across * across + down * down <= 1.0 {
                    *coverage = 255;
                }
            }
        }
    }

    /// What has a colour: 255 within its tolerance, fading to 0 at twice that.
    pub fn from_colour(picture: &Picture, key: ColourKey) -> Self {
        let tolerance = u32::from(key.tolerance);
        let cover = |rgb: &[u8]| {
            let off = rgb.iter().zip(key.colour).map(|(&a, b)| a.abs_diff(b));
            let off = u32::from(off.max().unwrap_or(0));
            match off {
                off if off <= tolerance => 255,
                off if off >= 2 * tolerance => 0,
                off => ((2 * tolerance - off) * 255 / tolerance) as u8,
            }
        };
        let coverage = picture.rgb().chunks_exact(3).map(cover);
        Self::new(picture.size(), coverage.collect())
    }
}
