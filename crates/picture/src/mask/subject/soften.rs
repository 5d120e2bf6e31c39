//! A coarse line brought to the picture's size: it follows the picture's edges (guided filter, He, Sun,
//! Tang 2010, on luma), with soft coverage where the edge is soft.

use super::super::Mask;
use crate::fidelity::plane::Plane;
use crate::{Filter, Picture, Size, resize, resize_plane};

/// Longest side at which edges are followed, in pixels.
const SIDE: u32 = 1024;
/// Variance of luma below which an area counts as flat, in squared levels.
const FLAT: f64 = 16.0;
/// Coverage is stretched around the middle by this, since the filter blurs.
const STRETCH: f64 = 2.0;

/// `labels` of size `small`, 0 or 255, as a mask of the size of `picture`.
pub(super) fn to_size(labels: &[u8], small: Size, picture: &Picture) -> Mask {
    let size = picture.size();
    let longest = size.width.max(size.height);
    let (guide, middle) = match longest > SIDE {
        true => {
            let middle = size.scaled(SIDE, longest);
            (resize(picture, middle, Filter::Bilinear), middle)
        }
        false => (picture.clone(), size),
    };
    let coarse = resize_plane(labels, small, middle, Filter::Bilinear);
    let reach = (middle.width.max(middle.height) as usize)
        .div_ceil(small.width.max(small.height) as usize)
        * 2;
    let fine = guided(&coarse, &Plane::luma(&guide), reach);
    Mask::new(size, resize_plane(&fine, middle, size, Filter::Bilinear))
}

/// The labels as a straight function of luma in each window of `reach` to both sides.
fn guided(labels: &[u8], guide: &Plane, reach: usize) -> Vec<u8> {
    let labels: Vec<f64> = labels
        .iter()
        .map(|&label| f64::from(label) / 255.0)
        .collect();
    let mean = |values: &[f64]| means(values, guide.width, reach);
    let product =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let (mean_guide, mean_labels) = (mean(&guide.values), mean(&labels));
    let mean_square = mean(&product(&guide.values, &guide.values));
    let mean_product = mean(&product(&guide.values, &labels));
    let mut slope = Vec::with_capacity(labels.len());
    let mut start = Vec::with_capacity(labels.len());
    for i in 0..labels.len() {
        let variance = mean_square[i] - mean_guide[i] * mean_guide[i];
        let together = mean_product[i] - mean_guide[i] * mean_labels[i];
        let rise = together / (variance.max(0.0) + FLAT);
        slope.push(rise);
        start.push(mean_labels[i] - rise * mean_guide[i]);
    }
    let (slope, start) = (mean(&slope), mean(&start));
    let value = |i: usize| {
        let share = slope[i] * guide.values[i] + start[i];
        let stretched = (share - 0.5) * STRETCH + 0.5;
        (stretched.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    (0..labels.len()).map(value).collect()
}

/// Means over windows of `reach` to both sides, cut at the edges.
fn means(values: &[f64], width: usize, reach: usize) -> Vec<f64> {
    let height = values.len() / width;
    let mut wide = Vec::with_capacity(values.len());
    for row in values.chunks_exact(width) {
        for x in 0..width {
            let window = &row[x.saturating_sub(reach)..(x + reach + 1).min(width)];
            wide.push(window.iter().sum::<f64>() / window.len() as f64);
        }
    }
    let mut out = vec![0.0; values.len()];
    for y in 0..height {
        let rows = y.saturating_sub(reach)..(y + reach + 1).min(height);
        let line = &mut out[y * width..(y + 1) * width];
        for row in rows.clone() {
            let from = &wide[row * width..][..width];
            line.iter_mut()
                .zip(from)
                .for_each(|(sum, value)| *sum += value);
        }
        line.iter_mut().for_each(|sum| *sum /= rows.len() as f64);
    }
    out
}
