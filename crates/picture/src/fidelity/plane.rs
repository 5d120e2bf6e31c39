//! One channel in f64 and the few filters that measures are made of. Knows nothing of colour spaces
//! beyond luma.

use crate::{Picture, Size};

/// Values `[H, W]`, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<f64>,
}

impl Plane {
    /// Rec. 601 luma of the stored (gamma) values, 0 to 255.
    pub(crate) fn luma(picture: &Picture) -> Self {
        let Size { width, height } = picture.size();
        let luma = |pixel: &[u8]| {
            0.299 * f64::from(pixel[0]) + 0.587 * f64::from(pixel[1]) + 0.114 * f64::from(pixel[2])
        };
        Self {
            width: width as usize,
            height: height as usize,
            values: picture.rgb().chunks_exact(3).map(luma).collect(),
        }
    }

    pub(crate) fn at(&self, x: usize, y: usize) -> f64 {
        self.values[y * self.width + x]
    }

    /// Sum in rows of values, then of rows: one order, and less rounding than one long sum.
    pub(crate) fn mean(&self) -> f64 {
        let rows = self.values.chunks_exact(self.width);
        let sum: f64 = rows.map(|row| row.iter().sum::<f64>()).sum();
        sum / self.values.len() as f64
    }

    /// `combine` of each pair of values of two planes of one size.
    pub(crate) fn zip(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        let pairs = self.values.iter().zip(&other.values);
        Self {
            values: pairs.map(|(&a, &b)| combine(a, b)).collect(),
            ..*self
        }
    }

    /// Means of 2x2 values; a last odd column or row is left out. A side of 1 stays.
    pub(crate) fn half(&self) -> Self {
        let step = |side: usize| if side == 1 { 0 } else { 1 };
        let (across, down) = (step(self.width), step(self.height));
        let (width, height) = ((self.width / 2).max(1), (self.height / 2).max(1));
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (left, top) = (x * 2, y * 2);
                let upper = self.at(left, top) + self.at(left + across, top);
                let lower = self.at(left, top + down) + self.at(left + across, top + down);
                values.push((upper + lower) * 0.25);
            }
        }
        Self {
            width,
            height,
            values,
        }
    }

    /// Weighed sums over `across` columns and `down` rows, only where all of them are inside: the result
    /// is `len - 1` smaller on each side.
    pub(crate) fn filter_inside(&self, across: &[f64], down: &[f64]) -> Self {
        let width = self.width + 1 - across.len();
        let height = self.height + 1 - down.len();
        let mut wide = vec![0.0; width * self.height];
        for (row, out) in self
            .values
            .chunks_exact(self.width)
            .zip(wide.chunks_exact_mut(width))
        {
            for (k, &weight) in across.iter().enumerate() {
                for (sum, &value) in out.iter_mut().zip(&row[k..]) {
                    *sum += weight * value;
                }
            }
        }
        let mut values = vec![0.0; width * height];
        for (y, out) in values.chunks_exact_mut(width).enumerate() {
            for (k, &weight) in down.iter().enumerate() {
                for (sum, &value) in out.iter_mut().zip(&wide[(y + k) * width..]) {
                    *sum += weight * value;
                }
            }
        }
        Self {
            width,
            height,
            values,
        }
    }

    /// The plane with its border values repeated `margin` times outwards.
    pub(crate) fn bordered(&self, margin: usize) -> Self {
        let width = self.width + 2 * margin;
        let height = self.height + 2 * margin;
        let inside = |at: usize, side: usize| at.saturating_sub(margin).min(side - 1);
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            let row = inside(y, self.height) * self.width;
            values.extend((0..width).map(|x| self.values[row + inside(x, self.width)]));
        }
        Self {
            width,
            height,
            values,
        }
    }
}

/// `len` weights of a Gaussian of `sigma` samples around the middle, their sum 1.
pub(crate) fn gaussian(len: usize, sigma: f64) -> Vec<f64> {
    let middle = (len as f64 - 1.0) / 2.0;
    let weight = |i: usize| {
        let distance = (i as f64 - middle) / sigma;
        libm::exp(-0.5 * distance * distance)
    };
    let weights: Vec<f64> = (0..len).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}
