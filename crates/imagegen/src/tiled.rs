//! Image-to-image on a picture larger than its model works at: window by window, blended where windows overlap.
//!
//! Meant for low strengths, which draw detail and leave the composition alone: each window knows its own part of the picture only.

use std::ops::ControlFlow;

use imagegen_engine::Tensor;
use imagegen_pipeline::{
    Error as RunError, Img2Img, Networks, Outcome, Progress, Settings, StepRecord, Strength,
    img2img,
};

use crate::windows::overlapping;

/// The part of a window that overlaps the next one, at least.
const OVERLAP: u32 = 4;

/// A run in windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiled<'a> {
    /// Pixels `[1, H, W, 3]` in −1..1, sides multiples of `grid`.
    pub(crate) source: &'a Tensor,
    /// How far to move away from the source.
    pub(crate) strength: Strength,
    /// The rest; window `i` takes seeds counted up by `i`, so that windows do not share their noise.
    pub(crate) settings: Settings,
    /// Longest side of a window, in pixels; a multiple of `grid`.
    pub(crate) side: u32,
    /// The codec's grid, in pixels.
    pub(crate) grid: u32,
}

/// Where the windows of a side lie: first pixels, and their common length.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Axis {
    starts: Vec<usize>,
    length: usize,
}

impl Tiled<'_> {
    /// How many windows there are.
    pub(crate) fn windows(side: u32, grid: u32, size: [u32; 2]) -> usize {
        let count = |whole: u32| Axis::of(whole, side, grid).starts.len();
        count(size[0]) * count(size[1])
    }

    /// Runs every window. Steps are counted through all of them.
    ///
    /// Fails as `img2img` does.
    pub(crate) fn run(
        &self,
        networks: &mut Networks<'_, '_>,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, RunError> {
        let [_, height, width, _] = self.source.nhwc("tiled source")?;
        let rows = Axis::of(height as u32, self.side, self.grid);
        let columns = Axis::of(width as u32, self.side, self.grid);
        let windows = rows.starts.len() * columns.starts.len();
        let mut sum = vec![0f32; height * width * 3];
        let mut facts = None;
        for index in 0..windows {
            let (row, column) = (index / columns.starts.len(), index % columns.starts.len());
            let (top, left) = (rows.starts[row], columns.starts[column]);
            let window = self.cut([top, left], [rows.length, columns.length])?;
            let request = Img2Img {
                source: &window,
                strength: self.strength,
                settings: self.settings.of_part(index),
            };
            let mut counted = |record: &StepRecord<'_>| -> ControlFlow<()> {
                progress.step(&StepRecord {
                    step: index * record.steps + record.step,
                    steps: windows * record.steps,
                    ..*record
                })
            };
            let made = img2img(&request, networks, &mut counted)?;
            let (down, across) = (rows.shares(row, height), columns.shares(column, width));
            for (y, line) in made
                .pixels
                .data()
                .chunks_exact(columns.length * 3)
                .enumerate()
            {
                let place = &mut sum[((top + y) * width + left) * 3..][..columns.length * 3];
                for (x, (place, colour)) in place
                    .chunks_exact_mut(3)
                    .zip(line.chunks_exact(3))
                    .enumerate()
                {
                    let share = down[y] * across[x];
                    place
                        .iter_mut()
                        .zip(colour)
                        .for_each(|(place, colour)| *place += share * colour);
                }
            }
            facts.get_or_insert(made.facts);
        }
        Ok(Outcome {
            pixels: Tensor::new([1, height, width, 3], sum)?,
            facts: facts.expect("there is at least one window"),
        })
    }

    /// The window at `[top, left]`, `[1, h, w, 3]`.
    fn cut(
        &self,
        [top, left]: [usize; 2],
        [height, width]: [usize; 2],
    ) -> Result<Tensor, RunError> {
        let stride = self.source.shape()[2];
        let mut pixels = Vec::with_capacity(height * width * 3);
        for y in top..top + height {
            pixels.extend_from_slice(&self.source.data()[(y * stride + left) * 3..][..width * 3]);
        }
        Ok(Tensor::new([1, height, width, 3], pixels)?)
    }
}

impl Axis {
    fn of(whole: u32, side: u32, grid: u32) -> Self {
        let length = side.min(whole);
        let overlap = side / OVERLAP / grid * grid;
        let starts = overlapping(whole, length, overlap, grid);
        Self {
            starts: starts.into_iter().map(|start| start as usize).collect(),
            length: length as usize,
        }
    }

    /// What window `index` of a side of `whole` pixels adds to each of its pixels: from nothing to all of it over an overlap, so that
    /// the shares of all windows sum up to 1 everywhere.
    fn shares(&self, index: usize, whole: usize) -> Vec<f32> {
        let place = |at: usize| {
            let weight = |start: usize| -> f64 {
                let end = start + self.length;
                if !(start..end).contains(&at) {
                    return 0.0;
                }
                // Distance from either end; the ends of the side are no ends.
                let before = if start == 0 {
                    self.length
                } else {
                    at - start + 1
                };
                let behind = if end == whole { self.length } else { end - at };
                before.min(behind).min(self.length / OVERLAP as usize) as f64
            };
            let sum: f64 = self.starts.iter().map(|&start| weight(start)).sum();
            (weight(self.starts[index]) / sum) as f32
        };
        let start = self.starts[index];
        (start..start + self.length).map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_up_to_one() {
        for whole in [64, 512, 528, 1000, 1536, 2064] {
            let axis = Axis::of(whole / 16 * 16, 512, 16);
            let whole = whole as usize / 16 * 16;
            let mut sums = vec![0f32; whole];
            for index in 0..axis.starts.len() {
                let shares = axis.shares(index, whole);
                assert!(shares.iter().all(|share| *share > 0.0), "{whole}");
                for (sum, share) in sums[axis.starts[index]..].iter_mut().zip(shares) {
                    *sum += share;
                }
            }
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{whole}");
        }
    }

    #[test]
    fn windows_are_counted() {
        assert_eq!(Tiled::windows(512, 16, [512, 512]), 1);
        assert_eq!(Tiled::windows(512, 16, [528, 512]), 2);
        assert_eq!(Tiled::windows(512, 16, [1024, 1024]), 9);
    }
}
