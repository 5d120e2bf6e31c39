//! Strokes: what painted styles have, and patches of pixels cannot say. A result's colours are drawn out along
//! the lines of a picture (line integral convolution, Cabral and Leedom 1993, along the structure tensor's
//! eigenvectors) and sharpened, so that fine grain becomes brush strokes.

use imagegen_engine::Tensor;

use super::lines::{COLOURS, Walk, blurred, lines_of, sampled};
use crate::Error;
use crate::elementwise::zip;

/// How much of what a blur takes away is added to strokes of weight 1.
const SHARPENING: f64 = 1.5;
/// The blur's deviation in pixels.
const SHARPENING_BLUR: f64 = 2.0;

/// The strokes of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strokes {
    /// Pixels that strokes of weight 1 reach to either side.
    pub reach: f64,
    /// How strong they are: 0 none; above 1 they are longer and no stronger.
    pub weight: f64,
}

impl Strokes {
    /// `pixels` `[1, H, W, 3]` in -1..1, drawn out along the lines of `guide` of the same shape, or along their own;
    /// as they are at weight 0.
    ///
    /// Fails for pixels of another shape, and unless `guide` has the same.
    pub fn drawn(&self, pixels: Tensor, guide: Option<&Tensor>) -> Result<Tensor, Error> {
        let share = self.weight.min(1.0);
        let how = (self.reach * self.weight, share, SHARPENING * share);
        along_lines(pixels, guide, how)
    }
}

/// `pixels` `[1, H, W, 3]`, a share of the way to means of `reach` pixels to either side along the lines of `guide` of
/// the same shape, or along their own: what takes noise away and keeps edges. All of it from a share of 1 on.
///
/// Fails for pixels of another shape, and unless `guide` has the same.
pub fn smoothed(
    pixels: Tensor,
    guide: Option<&Tensor>,
    (reach, share): (f64, f64),
) -> Result<Tensor, Error> {
    along_lines(pixels, guide, (reach, share.min(1.0), 0.0))
}

/// A share of the way to means along lines, sharpened.
fn along_lines(
    pixels: Tensor,
    guide: Option<&Tensor>,
    (reach, share, sharpening): (f64, f64, f64),
) -> Result<Tensor, Error> {
    if share <= 0.0 {
        return Ok(pixels);
    }
    let (lines, [h, w]) = lines_of(&pixels, guide)?;
    let long = integrals(pixels.data(), &lines, [h, w], reach);
    drop(lines);
    let sharp = match sharpening > 0.0 {
        true => sharpened(long, [h, w], sharpening as f32),
        false => long,
    };
    let share = share as f32;
    Ok(zip(
        "strokes",
        &pixels,
        &Tensor::new([1, h, w, COLOURS], sharp)?,
        |from, to| from + share * (to - from),
    )?)
}

/// `pixels` with `amount` of what a blur takes away on top, within -1..1.
fn sharpened(mut pixels: Vec<f32>, [h, w]: [usize; 2], amount: f32) -> Vec<f32> {
    let smooth = blurred(&pixels, [h, w, COLOURS], SHARPENING_BLUR);
    for (value, smooth) in pixels.iter_mut().zip(smooth) {
        *value = (*value + amount * (*value - smooth)).clamp(-1.0, 1.0);
    }
    pixels
}

/// Means of the colours that lie within `reach` pixels along the lines, to either side of each pixel.
fn integrals(pixels: &[f32], lines: &[[f32; 2]], [h, w]: [usize; 2], reach: f64) -> Vec<f32> {
    let steps = reach.ceil() as usize;
    let whole = 1.0 / (1.0 + 2.0 * reach) as f32;
    let mut means = Vec::with_capacity(pixels.len());
    for index in 0..h * w {
        let mut sum: [f32; COLOURS] = std::array::from_fn(|c| pixels[index * COLOURS + c]);
        for way in [1.0, -1.0] {
            for (step, place) in Walk::new(lines, [h, w], index, way).take(steps).enumerate() {
                let share = (reach - step as f64).min(1.0) as f32;
                let colour = sampled(pixels, [h, w], place);
                for (sum, value) in sum.iter_mut().zip(colour) {
                    *sum += share * value;
                }
            }
        }
        means.extend(sum.map(|sum| whole * sum));
    }
    means
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::picture;
    use super::*;

    fn strokes(weight: f64) -> Strokes {
        Strokes { reach: 4.0, weight }
    }

    fn at(tensor: &Tensor, y: usize, x: usize) -> f32 {
        let [_, _, w, _] = tensor.nhwc("picture").unwrap();
        tensor.data()[(y * w + x) * COLOURS]
    }

    #[test]
    fn a_flat_picture_stays_flat_and_no_weight_changes_nothing() {
        let flat = picture([20, 12], |_, _| 0.25);
        let drawn = strokes(1.0).drawn(flat.clone(), None).unwrap();
        for (got, want) in drawn.data().iter().zip(flat.data()) {
            assert!((got - want).abs() < 1e-6, "{got}");
        }
        let grain = picture(
            [16, 16],
            |y, x| if (y * 7 + x * 5) % 3 == 0 { 0.5 } else { -0.5 },
        );
        assert_eq!(strokes(0.0).drawn(grain.clone(), None).unwrap(), grain);
    }

    #[test]
    fn colours_run_along_the_lines_of_the_guide_and_not_across() {
        let stripes = picture([32, 32], |_, x| if x / 4 % 2 == 0 { 0.8 } else { -0.8 });
        let dot = picture([32, 32], |y, x| if (y, x) == (16, 16) { 1.0 } else { 0.0 });
        let drawn = strokes(1.0).drawn(dot, Some(&stripes)).unwrap();
        let (along, across) = (at(&drawn, 19, 16), at(&drawn, 16, 19));
        assert!(along > 0.1, "{along}");
        assert!(
            across < 0.0,
            "sharpening darkens beside the stroke: {across}"
        );
        assert!(at(&drawn, 22, 16).abs() < 0.05, "the stroke has an end");
    }

    #[test]
    fn more_weight_moves_more() {
        let grain = picture([32, 32], |y, x| {
            ((y * 31 + x * 17) % 11) as f32 / 11.0 - 0.5
        });
        let moved = |weight: f64| {
            let drawn = strokes(weight).drawn(grain.clone(), None).unwrap();
            let apart = drawn.data().iter().zip(grain.data());
            apart.map(|(a, b)| (a - b).abs()).sum::<f32>()
        };
        let (little, half, whole) = (moved(0.1), moved(0.5), moved(1.0));
        assert!(
            0.0 < little && little < half && half < whole,
            "{little} {half} {whole}"
        );
    }

    #[test]
    fn smoothing_takes_noise_away_and_keeps_edges() {
        let edge = |noise: f32| {
            picture([32, 32], move |y, x| {
                let side = if x < 16 { -0.5 } else { 0.5 };
                side + noise * if (y * 7 + x * 5) % 3 == 0 { 1.0 } else { -0.5 }
            })
        };
        let (clean, noisy) = (edge(0.0), edge(0.1));
        let better = smoothed(noisy.clone(), Some(&clean), (0.5, 1.0)).unwrap();
        let off = |picture: &Tensor| {
            let apart = picture.data().iter().zip(clean.data());
            apart.map(|(a, b)| (a - b).powi(2)).sum::<f32>()
        };
        assert!(
            off(&better) < 0.5 * off(&noisy),
            "{} {}",
            off(&better),
            off(&noisy)
        );
        assert_eq!(smoothed(noisy.clone(), None, (0.5, 0.0)).unwrap(), noisy);
    }

    #[test]
    fn pictures_and_guides_of_other_shapes_are_refused() {
        let error = strokes(1.0)
            .drawn(
                picture([16, 16], |_, _| 0.0),
                Some(&picture([16, 32], |_, _| 0.0)),
            )
            .unwrap_err()
            .to_string();
        assert!(error.contains("guide"), "{error}");
        for shape in [[2, 16, 16, 3], [1, 16, 16, 1], [1, 0, 16, 3]] {
            let error = strokes(1.0).drawn(Tensor::zeros(shape), None).unwrap_err();
            assert!(error.to_string().contains("[1, H, W, 3]"), "{error}");
        }
    }
}
