//! Strokes: what painted styles have, and patches of pixels cannot say. A result's colours are drawn out along
//! the lines of a picture (line integral convolution, Cabral and Leedom 1993, along the structure tensor's
//! eigenvectors) and sharpened, so that fine grain becomes brush strokes.

use imagegen_engine::Tensor;

use crate::Error;
use crate::conditioning::{between, block_means, enlarged};
use crate::elementwise::zip;

/// Side, in pixels, of the cells in which directions are averaged.
const CELL: usize = 4;
/// Blurs of the averaged directions, in cells, and what each weighs: where a place has no lines of its own, its
/// surroundings' count.
const SCALES: [(f64, f64); 3] = [(1.0, 1.0), (2.5, 0.25), (6.0, 0.1)];
/// The structure tensor (xx, xy, yy) of a place that says nothing, of Sobel gradients of tones of 0 to 1: strokes
/// rise to the right.
const RESTING: [f64; 3] = [0.9e-4, 2.2e-4, 5.1e-4];
/// Weights of red, green and blue in a tone (Rec. 601).
pub(crate) const LUMA: [f64; 3] = [0.299, 0.587, 0.114];
/// How much of what a blur takes away is added to strokes of weight 1.
const SHARPENING: f64 = 1.5;
/// The blur's deviation in pixels.
const SHARPENING_BLUR: f64 = 2.0;
const COLOURS: usize = 3;

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
    let [h, w] = picture_size(&pixels)?;
    let guide = guide.unwrap_or(&pixels);
    if guide.shape() != pixels.shape() {
        let expected = format!("{:?}", pixels.shape());
        return Err(imagegen_engine::Error::shape("guide", guide.shape(), expected).into());
    }
    let lines = directions(guide.data(), [h, w]);
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

/// Height and width of `[1, H, W, 3]`; fails for other shapes and for a picture without pixels.
pub(crate) fn picture_size(pixels: &Tensor) -> Result<[usize; 2], Error> {
    match pixels.nhwc("picture")? {
        [1, h, w, COLOURS] if h > 0 && w > 0 => Ok([h, w]),
        _ => {
            let shape = pixels.shape();
            Err(imagegen_engine::Error::shape("picture", shape, "[1, H, W, 3]").into())
        }
    }
}

/// The unit vector (x, y) along the lines at every pixel of a picture in -1..1.
fn directions(picture: &[f32], [h, w]: [usize; 2]) -> Vec<[f32; 2]> {
    let products = gradient_products(picture, [h, w]);
    let cells = [h.div_ceil(CELL), w.div_ceil(CELL), COLOURS];
    let means = block_means(&products, [h, w, COLOURS], CELL);
    drop(products);
    let means: Vec<f32> = means.into_iter().map(|mean| mean as f32).collect();
    let mut tensors: Vec<f64> = RESTING.iter().copied().cycle().take(means.len()).collect();
    for (scale, weight) in SCALES {
        let blurred = blurred(&means, cells, scale);
        for (sum, part) in tensors.iter_mut().zip(blurred) {
            *sum += weight * f64::from(part);
        }
    }
    let (rows, columns) = (
        enlarged(h, cells[0], CELL as f64),
        enlarged(w, cells[1], CELL as f64),
    );
    let mut lines = Vec::with_capacity(h * w);
    for row in &rows {
        for column in &columns {
            let part = |part: usize| {
                between(row, column, |y, x| {
                    tensors[(y * cells[1] + x) * COLOURS + part]
                })
            };
            lines.push(along_edge([part(0), part(1), part(2)]));
        }
    }
    lines
}

/// The unit vector across the gradient of a structure tensor: its eigenvector of the smaller eigenvalue.
fn along_edge([xx, xy, yy]: [f64; 3]) -> [f32; 2] {
    let (difference, twice) = (xx - yy, 2.0 * xy);
    let size = (difference * difference + twice * twice).sqrt();
    // Of twice the gradient's angle.
    let cosine = if size > 0.0 { difference / size } else { 1.0 };
    let along_x = ((1.0 + cosine) / 2.0).max(0.0).sqrt();
    let along_y = ((1.0 - cosine) / 2.0).max(0.0).sqrt();
    let gradient_y = if twice < 0.0 { -along_y } else { along_y };
    [-gradient_y as f32, along_x as f32]
}

/// Structure tensors (xx, xy, yy) of each pixel by itself, by Sobel's gradients; edges are repeated outwards.
fn gradient_products(picture: &[f32], [h, w]: [usize; 2]) -> Vec<f32> {
    let tone = |colour: &[f32]| {
        let parts = LUMA.iter().zip(colour);
        parts
            .map(|(weight, &value)| weight * (f64::from(value) + 1.0) / 2.0)
            .sum()
    };
    let tones: Vec<f64> = picture.chunks_exact(COLOURS).map(tone).collect();
    let mut products = Vec::with_capacity(h * w * COLOURS);
    for y in 0..h {
        let rows = [y.saturating_sub(1), y, (y + 1).min(h - 1)];
        for x in 0..w {
            let columns = [x.saturating_sub(1), x, (x + 1).min(w - 1)];
            let at = |row: usize, column: usize| tones[rows[row] * w + columns[column]];
            let down = |column| at(0, column) + 2.0 * at(1, column) + at(2, column);
            let across = |row| at(row, 0) + 2.0 * at(row, 1) + at(row, 2);
            let (dx, dy) = (down(2) - down(0), across(2) - across(0));
            products.extend([dx * dx, dx * dy, dy * dy].map(|product| product as f32));
        }
    }
    products
}

/// Means of the colours that lie within `reach` pixels along the lines, to either side of each pixel.
fn integrals(pixels: &[f32], lines: &[[f32; 2]], [h, w]: [usize; 2], reach: f64) -> Vec<f32> {
    let steps = reach.ceil() as usize;
    let (right, bottom) = ((w - 1) as f32, (h - 1) as f32);
    let whole = 1.0 / (1.0 + 2.0 * reach) as f32;
    let mut means = Vec::with_capacity(pixels.len());
    for index in 0..h * w {
        let mut sum: [f32; COLOURS] = std::array::from_fn(|c| pixels[index * COLOURS + c]);
        for way in [1.0f32, -1.0] {
            let (mut x, mut y) = ((index % w) as f32, (index / w) as f32);
            let mut last = lines[index].map(|part| way * part);
            for step in 0..steps {
                let nearest = (y.round_ties_even() as usize) * w + x.round_ties_even() as usize;
                let [dx, dy] = lines[nearest];
                // Lines have no front and no back.
                let turned = if dx * last[0] + dy * last[1] < 0.0 {
                    -1.0
                } else {
                    1.0
                };
                last = [turned * dx, turned * dy];
                x = (x + last[0]).clamp(0.0, right);
                y = (y + last[1]).clamp(0.0, bottom);
                let share = (reach - step as f64).min(1.0) as f32;
                let colour = sampled(pixels, [h, w], [y, x]);
                for (sum, value) in sum.iter_mut().zip(colour) {
                    *sum += share * value;
                }
            }
        }
        means.extend(sum.map(|sum| whole * sum));
    }
    means
}

/// The colour between four pixels; `y` and `x` are inside the picture.
fn sampled(pixels: &[f32], [h, w]: [usize; 2], [y, x]: [f32; 2]) -> [f32; COLOURS] {
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = ((top + 1).min(h - 1), (left + 1).min(w - 1));
    let (down, across) = (y - top as f32, x - left as f32);
    let row = |row: usize, colour: usize| {
        let from = pixels[(row * w + left) * COLOURS + colour];
        from + across * (pixels[(row * w + right) * COLOURS + colour] - from)
    };
    std::array::from_fn(|colour| {
        let upper = row(top, colour);
        upper + down * (row(bottom, colour) - upper)
    })
}

/// `[h, w, channels]` through a Gaussian of so many pixels' deviation, cut off at three of them; edges are repeated
/// outwards.
fn blurred(numbers: &[f32], [h, w, channels]: [usize; 3], deviation: f64) -> Vec<f32> {
    let radius = (3.0 * deviation).ceil() as usize;
    let bell = |offset: usize| {
        let apart = offset.abs_diff(radius) as f64 / deviation;
        libm::exp(-apart * apart / 2.0)
    };
    let kernel: Vec<f64> = (0..=2 * radius).map(bell).collect();
    let total: f64 = kernel.iter().sum();
    let kernel: Vec<f64> = kernel.iter().map(|weight| weight / total).collect();
    let place =
        |at: usize, offset: usize, size: usize| (at + offset).saturating_sub(radius).min(size - 1);
    let width = w * channels;
    let mut down = vec![0.0; width];
    let mut out = Vec::with_capacity(numbers.len());
    for y in 0..h {
        down.fill(0.0);
        for (offset, weight) in kernel.iter().enumerate() {
            let row = &numbers[place(y, offset, h) * width..][..width];
            for (sum, &number) in down.iter_mut().zip(row) {
                *sum += weight * f64::from(number);
            }
        }
        for x in 0..w {
            for channel in 0..channels {
                let terms = kernel.iter().enumerate();
                let term = |(offset, weight): (usize, &f64)| {
                    weight * down[place(x, offset, w) * channels + channel]
                };
                out.push(terms.map(term).sum::<f64>() as f32);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strokes(weight: f64) -> Strokes {
        Strokes { reach: 4.0, weight }
    }

    fn picture([h, w]: [usize; 2], pixel: impl Fn(usize, usize) -> f32) -> Tensor {
        let places = (0..h).flat_map(|y| (0..w).map(move |x| (y, x)));
        let data = places.flat_map(|(y, x)| [pixel(y, x); COLOURS]).collect();
        Tensor::new([1, h, w, COLOURS], data).unwrap()
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
    fn directions_are_those_of_edges() {
        let shown = |slope: fn(f32, f32) -> f32| {
            let picture = picture([24, 24], |y, x| slope(y as f32, x as f32) / 24.0);
            directions(picture.data(), [24, 24])[12 * 24 + 12]
        };
        let close = |[x, y]: [f32; 2], [u, v]: [f32; 2]| (x * v - y * u).abs() < 0.02;
        assert!(close(shown(|y, _| y), [1.0, 0.0]));
        assert!(close(shown(|_, x| x), [0.0, 1.0]));
        assert!(close(shown(|y, x| x - y), [1.0, 1.0]));
        assert!(close(shown(|y, x| x + y), [1.0, -1.0]));
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
