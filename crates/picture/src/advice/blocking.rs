//! JPEG blocking: how much more often a visible lone step lies on one of the eight lines a grid of 8
//! pixels can have than on the others. Steps between blocks are what Wang, Sheikh and Bovik,
//! "No-reference perceptual quality assessment of JPEG compressed images", 2002, weigh by their size;
//! counting them instead keeps strong edges and fine texture from deciding.

use crate::{Picture, Size};

/// Side of a JPEG block in pixels.
const GRID: usize = 8;
/// Smallest side in pixels that is measured: three inner lines of the grid.
const SMALLEST: u32 = 32;
/// A step counts from this many levels on. Steps of 1 to 4 levels are in smooth skies of good JPEGs too.
const VISIBLE: i16 = 6;

/// Blocking of a picture, 0 to 1: the mean over columns and rows of the share of places on the grid's
/// lines with a step less that on other lines. The grid may start anywhere, so crops are measured too;
/// pictures resized after their compression have none. None for a side under 32 pixels.
pub(super) fn blocking(picture: &Picture) -> Option<f64> {
    let Size { width, height } = picture.size();
    if width < SMALLEST || height < SMALLEST {
        return None;
    }
    let width = width as usize;
    let luma: Vec<i16> = picture.rgb().chunks_exact(3).map(luma).collect();
    let columns = excess(&steps_across(&luma, width), height as usize);
    let rows = excess(&steps_down(&luma, width), width);
    Some((columns + rows) / 2.0)
}

/// Rec. 601 luma in whole levels.
fn luma(pixel: &[u8]) -> i16 {
    let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
    ((299 * red + 587 * green + 114 * blue + 500) / 1000) as i16
}

/// True where the step from `b` to `c` shows and its neighbours on the line are far smaller.
fn lone_step(a: i16, b: i16, c: i16, d: i16) -> bool {
    let (before, step, after) = ((b - a).abs(), (c - b).abs(), (d - c).abs());
    step >= VISIBLE && step > 2 * before.max(after)
}

/// Lone steps between each column and its next; the first and last column have none.
fn steps_across(luma: &[i16], width: usize) -> Vec<u32> {
    let mut steps = vec![0; width - 3];
    for row in luma.chunks_exact(width) {
        let fours = row.windows(4);
        for (count, four) in steps.iter_mut().zip(fours) {
            *count += u32::from(lone_step(four[0], four[1], four[2], four[3]));
        }
    }
    steps
}

/// Lone steps between each row and its next.
fn steps_down(luma: &[i16], width: usize) -> Vec<u32> {
    let fours = luma.windows(4 * width).step_by(width);
    fours
        .map(|rows| {
            let (above, below) = rows.split_at(2 * width);
            let (a, b) = above.split_at(width);
            let (c, d) = below.split_at(width);
            let steps = (0..width).map(|x| u32::from(lone_step(a[x], b[x], c[x], d[x])));
            steps.sum()
        })
        .collect()
}

/// Share of steps on the grid's lines, those of the eight phases with most of them, less the mean share
/// on the others. Each line has `places`.
fn excess(steps: &[u32], places: usize) -> f64 {
    let shares: [f64; GRID] = std::array::from_fn(|phase| {
        let lines = steps.iter().skip(phase).step_by(GRID);
        let places = lines.len() * places;
        let sum: u64 = lines.map(|&count| u64::from(count)).sum();
        sum as f64 / places as f64
    });
    let most = shares.iter().copied().fold(0.0, f64::max);
    let others = (shares.iter().sum::<f64>() - most) / (GRID - 1) as f64;
    most - others
}
