//! Low-frequency colour: cells of a coarse grid, each the mean light of its pixels, compared by CIEDE2000.

use super::lab::{Lab, ciede2000, light};
use crate::{Picture, Size};

/// Cells on the longer side: what remains of a picture when one squints.
const CELLS: u32 = 32;

/// Mean CIEDE2000 over the cells of two pictures of one size.
pub(super) fn shift(one: &Picture, other: &Picture) -> f64 {
    let light = std::array::from_fn(|level| light(level as u8));
    let (cells, others) = (cells(one, &light), cells(other, &light));
    let pairs = cells.iter().zip(others);
    let sum: f64 = pairs.map(|(&one, other)| ciede2000(one, other)).sum();
    sum / cells.len() as f64
}

/// The cells' colours, row by row. Light is averaged, not stored values: that is what mixes in the eye.
fn cells(picture: &Picture, light: &[f64; 256]) -> Vec<Lab> {
    let Size { width, height } = picture.size();
    let longest = width.max(height);
    let count = |side: u32| (side * CELLS).div_ceil(longest).min(side);
    let (columns, rows) = (count(width), count(height));
    let border = |i: u32, count: u32, side: u32| (i * side / count) as usize;
    let mut out = Vec::with_capacity((columns * rows) as usize);
    for row in 0..rows {
        for column in 0..columns {
            let ys = border(row, rows, height)..border(row + 1, rows, height);
            let xs = border(column, columns, width)..border(column + 1, columns, width);
            let pixels = (ys.len() * xs.len()) as f64;
            let mut sums = [0.0; 3];
            for y in ys {
                let line = &picture.rgb()[y * width as usize * 3..];
                for pixel in line[xs.start * 3..xs.end * 3].chunks_exact(3) {
                    for (sum, &level) in sums.iter_mut().zip(pixel) {
                        *sum += light[usize::from(level)];
                    }
                }
            }
            out.push(Lab::of_light(sums.map(|sum| sum / pixels)));
        }
    }
    out
}
