//! Grades: what palette words ask of a picture's colours.

use imagegen_engine::Tensor;

use super::lines::{COLOURS, picture_size};
use crate::Error;

/// A grade of colours in 0..1: a matrix (a row for each new colour) times red, green and blue, plus an offset, within
/// 0..1, to a power.
#[derive(Debug, Clone, PartialEq)]
pub struct Grade {
    /// The matrix.
    pub matrix: [[f64; 3]; 3],
    /// What is added.
    pub offset: [f64; 3],
    /// The exponent, above 0.
    pub gamma: f64,
}

impl Grade {
    /// `pixels` `[1, H, W, 3]` in -1..1, a share of the way to what the grade makes of them, all of it from 1 on.
    ///
    /// Fails for pixels of another shape.
    pub fn graded(&self, mut pixels: Tensor, share: f64) -> Result<Tensor, Error> {
        if share <= 0.0 {
            return Ok(pixels);
        }
        picture_size(&pixels)?;
        let share = share.min(1.0);
        for pixel in pixels.data_mut().chunks_exact_mut(COLOURS) {
            let colours = [0, 1, 2].map(|c| (f64::from(pixel[c]) + 1.0) / 2.0);
            for ((value, row), offset) in pixel.iter_mut().zip(self.matrix).zip(self.offset) {
                let terms = row
                    .iter()
                    .zip(colours)
                    .map(|(weight, colour)| weight * colour);
                let mixed = (terms.sum::<f64>() + offset).clamp(0.0, 1.0);
                let new = 2.0 * libm::pow(mixed, self.gamma) - 1.0;
                *value += (share * (new - f64::from(*value))) as f32;
            }
        }
        Ok(pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grade_mixes_lifts_and_bends_colours() {
        let grade = Grade {
            matrix: [[0.5, 0.5, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]],
            offset: [0.0, 0.0, -0.25],
            gamma: 2.0,
        };
        // In 0..1 these are 0.25, 0.75 and 0.5.
        let pixel = || Tensor::new([1, 1, 1, 3], vec![-0.5, 0.5, 0.0]).unwrap();
        let at = |share| grade.graded(pixel(), share).unwrap().data().to_vec();
        assert_eq!(at(1.0), [-0.5, 1.0, -0.875]);
        assert_eq!(at(2.0), [-0.5, 1.0, -0.875]);
        assert_eq!(at(0.5), [-0.5, 0.75, -0.4375]);
        assert_eq!(at(0.0), pixel().data());
    }
}
