//! The picture everything here works on: 8-bit sRGB with an optional alpha plane.
//! Knows nothing of files. Produced by `decode`, consumed by all else.

use crate::Rect;
use crate::fit::cut_picture;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Size {
    /// A size of `width` by `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels, `width * height`.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Width and height exchanged.
    pub const fn turned(self) -> Self {
        Self::new(self.height, self.width)
    }

    /// This size by `to / from`, sides rounded and at least 1.
    pub(crate) fn scaled(self, to: u32, from: u32) -> Self {
        let side = |side: u32| {
            let (side, to, from) = (u64::from(side), u64::from(to), u64::from(from));
            u32::try_from((side * to + from / 2) / from)
                .unwrap_or(u32::MAX)
                .max(1)
        };
        Self::new(side(self.width), side(self.height))
    }

    /// Number of pixels as an index into memory. Callers have the pixels in memory or have checked
    /// limits, so the value fits.
    pub(crate) fn len(self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Pixels handed in by a caller do not make a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// A side is 0.
    #[error("picture size is {0}, expected at least 1x1")]
    NoPixels(Size),
    /// A plane has another number of values than the size asks for.
    #[error("{plane} plane has {got} values, expected {expected} for {size}")]
    Length {
        /// `rgb` or `alpha`.
        plane: &'static str,
        /// Values handed in.
        got: usize,
        /// Values that `size` asks for.
        expected: u64,
        /// Size named by the caller.
        size: Size,
    },
}

/// An upright picture: `[H, W, 3]` u8 sRGB, and alpha `[H, W]` u8 (0 clear, 255 opaque) where it has one.
/// Colours are not premultiplied.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    size: Size,
    rgb: Vec<u8>,
    alpha: Option<Vec<u8>>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.alpha.is_some() {
            "rgb and alpha"
        } else {
            "rgb"
        };
        write!(f, "Picture({}, {kind})", self.size)
    }
}

impl Picture {
    /// A picture of `rgb` `[H, W, 3]` and, where given, `alpha` `[H, W]`.
    ///
    /// Fails with [`PictureError`] where a side is 0 or a plane has the wrong length.
    pub fn new(size: Size, rgb: Vec<u8>, alpha: Option<Vec<u8>>) -> Result<Self, PictureError> {
        if size.width == 0 || size.height == 0 {
            return Err(PictureError::NoPixels(size));
        }
        check_length("rgb", rgb.len(), size.pixels().saturating_mul(3), size)?;
        if let Some(alpha) = &alpha {
            check_length("alpha", alpha.len(), size.pixels(), size)?;
        }
        Ok(Self { size, rgb, alpha })
    }

    /// A picture of one `colour`.
    ///
    /// Fails with [`PictureError::NoPixels`] where a side is 0.
    pub fn filled(size: Size, colour: [u8; 3]) -> Result<Self, PictureError> {
        Self::new(size, colour.repeat(size.len()), None)
    }

    /// For planes this crate made itself, whose lengths hold by construction.
    pub(crate) fn from_planes(size: Size, rgb: Vec<u8>, alpha: Option<Vec<u8>>) -> Self {
        debug_assert_eq!(rgb.len(), size.len() * 3);
        debug_assert!(alpha.as_ref().is_none_or(|alpha| alpha.len() == size.len()));
        Self { size, rgb, alpha }
    }

    /// Width and height, at least 1 each.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Colours, `[H, W, 3]` sRGB.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Alpha, `[H, W]`, 0 clear to 255 opaque.
    pub fn alpha(&self) -> Option<&[u8]> {
        self.alpha.as_deref()
    }

    /// Colours and alpha, given away.
    pub fn into_planes(self) -> (Vec<u8>, Option<Vec<u8>>) {
        (self.rgb, self.alpha)
    }

    /// Colour at column `x` of row `y`. Panics outside the picture.
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        assert!(
            x < self.size.width && y < self.size.height,
            "pixel {x},{y} of {}",
            self.size
        );
        let at = (y as usize * self.size.width as usize + x as usize) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// The part of the picture in `rect`.
    ///
    /// Panics where it does not lie inside.
    pub fn part(&self, rect: Rect) -> Self {
        cut_picture(self, rect)
    }

    /// A black picture of `size` with this one at column `x` of row `y`; opaque around it where this one has
    /// alpha.
    ///
    /// Panics where it does not fit.
    pub fn placed(&self, size: Size, [x, y]: [u32; 2]) -> Self {
        let mut rgb = vec![0; size.len() * 3];
        let mut alpha = self.alpha.as_ref().map(|_| vec![255; size.len()]);
        let width = self.size.width as usize;
        for row in 0..self.size.height as usize {
            let to = (y as usize + row) * size.width as usize + x as usize;
            let from = row * width;
            rgb[to * 3..(to + width) * 3].copy_from_slice(&self.rgb[from * 3..(from + width) * 3]);
            if let (Some(to_alpha), Some(from_alpha)) = (&mut alpha, &self.alpha) {
                to_alpha[to..to + width].copy_from_slice(&from_alpha[from..from + width]);
            }
        }
        Self::from_planes(size, rgb, alpha)
    }

    /// The same colours with `alpha` `[H, W]` in place of what was there; `None` makes it opaque.
    ///
    /// Fails with [`PictureError::Length`] where `alpha` is of another size.
    pub fn with_alpha(self, alpha: Option<Vec<u8>>) -> Result<Self, PictureError> {
        Self::new(self.size, self.rgb, alpha)
    }

    /// True where some pixel is not fully opaque.
    pub fn is_transparent(&self) -> bool {
        self.alpha
            .as_ref()
            .is_some_and(|alpha| alpha.iter().any(|&a| a != 255))
    }
}

fn check_length(
    plane: &'static str,
    got: usize,
    expected: u64,
    size: Size,
) -> Result<(), PictureError> {
    if got as u64 == expected {
        return Ok(());
    }
    Err(PictureError::Length {
        plane,
        got,
        expected,
        size,
    })
}
