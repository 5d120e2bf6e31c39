//! A mask for people to look at.

use super::Mask;
use crate::{Picture, WHITE, flatten};

/// The colour of what is repainted; rare in photographs.
const TINT: [u8; 3] = [255, 0, 96];

impl Mask {
    /// The picture with what is repainted tinted, more the more it is covered, and a line where coverage
    /// ends. Without alpha.
    ///
    /// Panics where the mask is not of the picture's size.
    pub fn over(&self, picture: &Picture) -> Picture {
        assert_eq!(self.size, picture.size(), "mask and picture differ in size");
        let (mut rgb, _) = flatten(picture, WHITE).into_planes();
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let covered = |x: usize, y: usize| self.coverage[y * width + x] > 0;
        for (index, pixel) in rgb.chunks_exact_mut(3).enumerate() {
            let (x, y) = (index % width, index / width);
            let beside = [
                (x.wrapping_sub(1), y),
                (x + 1, y),
                (x, y.wrapping_sub(1)),
                (x, y + 1),
            ];
            let edge = covered(x, y)
                && beside
                    .into_iter()
                    .any(|(x, y)| x < width && y < height && !covered(x, y));
            // Half tint at full coverage, so that what is below stays visible.
            let share = if edge {
                255
            } else {
                u32::from(self.coverage[index]) / 2
            };
            for (value, tint) in pixel.iter_mut().zip(TINT) {
                let sum = u32::from(tint) * share + u32::from(*value) * (255 - share);
                *value = ((sum + 127) / 255) as u8;
            }
        }
        Picture::from_planes(self.size, rgb, None)
    }
}
