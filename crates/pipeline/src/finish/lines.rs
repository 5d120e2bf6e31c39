//! The lines of a picture: which way they run at each pixel, walks along them, and what is between pixels.

use imagegen_engine::Tensor;

use crate::Error;
use crate::conditioning::{between, block_means, enlarged};

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
pub(super) const COLOURS: usize = 3;

/// The tone of a colour.
pub(super) fn tone(colours: [f64; COLOURS]) -> f64 {
    let parts = LUMA.iter().zip(colours);
    parts.map(|(weight, colour)| weight * colour).sum()
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

/// The unit vectors (x, y) along the lines of `guide`, or of the pixels themselves, and the picture's size.
///
/// Fails for pixels that are not `[1, H, W, 3]`, and unless `guide` has the same shape.
pub(super) fn lines_of(
    pixels: &Tensor,
    guide: Option<&Tensor>,
) -> Result<(Vec<[f32; 2]>, [usize; 2]), Error> {
    let size = picture_size(pixels)?;
    let guide = guide.unwrap_or(pixels);
    if guide.shape() != pixels.shape() {
        let expected = format!("{:?}", pixels.shape());
        return Err(imagegen_engine::Error::shape("guide", guide.shape(), expected).into());
    }
    Ok((directions(guide.data(), size), size))
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
    let toned = |colour: &[f32]| tone([0, 1, 2].map(|c| (f64::from(colour[c]) + 1.0) / 2.0));
    let tones: Vec<f64> = picture.chunks_exact(COLOURS).map(toned).collect();
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

/// A walk along lines in steps of a pixel: each goes the way of the nearest pixel's line, turned to go on.
pub(super) struct Walk<'a> {
    lines: &'a [[f32; 2]],
    width: usize,
    corner: [f32; 2],
    place: [f32; 2],
    last: [f32; 2],
}

impl<'a> Walk<'a> {
    /// From a pixel, whose line is followed one way, 1, or the other, -1.
    pub(super) fn new(lines: &'a [[f32; 2]], [h, w]: [usize; 2], index: usize, way: f32) -> Self {
        Self {
            lines,
            width: w,
            corner: [(h - 1) as f32, (w - 1) as f32],
            place: [(index / w) as f32, (index % w) as f32],
            last: lines[index].map(|part| way * part),
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = [f32; 2];

    /// The next place, y and x, inside the picture.
    fn next(&mut self) -> Option<[f32; 2]> {
        let [y, x] = self.place.map(|part| part.round_ties_even() as usize);
        let [dx, dy] = self.lines[y * self.width + x];
        // Lines have no front and no back.
        let turned = if dx * self.last[0] + dy * self.last[1] < 0.0 {
            -1.0
        } else {
            1.0
        };
        self.last = [turned * dx, turned * dy];
        let [bottom, right] = self.corner;
        self.place = [
            (self.place[0] + self.last[1]).clamp(0.0, bottom),
            (self.place[1] + self.last[0]).clamp(0.0, right),
        ];
        Some(self.place)
    }
}

/// The colour between four pixels; `y` and `x` are inside the picture.
pub(super) fn sampled(pixels: &[f32], [h, w]: [usize; 2], [y, x]: [f32; 2]) -> [f32; COLOURS] {
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
pub(super) fn blurred(numbers: &[f32], [h, w, channels]: [usize; 3], deviation: f64) -> Vec<f32> {
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
    let (width, aside) = (w * channels, radius * channels);
    // A row blurred downwards, its ends repeated to either side.
    let mut down = vec![0.0; width + 2 * aside];
    let mut across = vec![0.0; width];
    let mut out = Vec::with_capacity(numbers.len());
    for y in 0..h {
        let (before, rest) = down.split_at_mut(aside);
        let (row, behind) = rest.split_at_mut(width);
        row.fill(0.0);
        for (offset, weight) in kernel.iter().enumerate() {
            let above = &numbers[place(y, offset, h) * width..][..width];
            for (sum, &number) in row.iter_mut().zip(above) {
                *sum += weight * f64::from(number);
            }
        }
        for pixel in before.chunks_exact_mut(channels) {
            pixel.copy_from_slice(&row[..channels]);
        }
        for pixel in behind.chunks_exact_mut(channels) {
            pixel.copy_from_slice(&row[width - channels..]);
        }
        across.fill(0.0);
        for (offset, weight) in kernel.iter().enumerate() {
            let beside = &down[offset * channels..][..width];
            for (sum, &number) in across.iter_mut().zip(beside) {
                *sum += weight * number;
            }
        }
        out.extend(across.iter().map(|&sum| sum as f32));
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A grey picture.
    pub(in crate::finish) fn picture(
        [h, w]: [usize; 2],
        pixel: impl Fn(usize, usize) -> f32,
    ) -> Tensor {
        let places = (0..h).flat_map(|y| (0..w).map(move |x| (y, x)));
        let data = places.flat_map(|(y, x)| [pixel(y, x); COLOURS]).collect();
        Tensor::new([1, h, w, COLOURS], data).unwrap()
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
}
