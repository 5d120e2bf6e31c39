//! Finishing: what some styles need that patches of pixels say badly, done to decoded pixels as far as the prompt
//! wants it: strokes, flat cells, smoothing along lines.

use imagegen_engine::Tensor;

use crate::conditioning::block_means;
use crate::strokes::picture_size;
use crate::{Error, Strength, Strokes, smoothed};

/// How a model wants its results finished, read from its files. What the prompt asks for is multiplied by a factor that
/// depends on the strength.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishRule {
    /// Pixels that strokes of weight 1 reach to either side.
    pub strokes: (f64, Factors),
    /// Side of a cell in pixels, at least 1.
    pub cells: (usize, Factors),
    /// Pixels that smoothing reaches to either side.
    pub smoothing: (f64, Factors),
}

/// Pairs (strength, factor), strengths rising; in straight lines between them. Empty: 1.
pub type Factors = Vec<(f64, f64)>;

/// How the results of a run are finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// The model's rule.
    pub rule: FinishRule,
    /// How much the prompt asks for strokes, 0 to 1.
    pub strokes: f64,
    /// How much the prompt asks for cells of one colour, as in pixel art, 0 to 1.
    pub cells: f64,
    /// How much the prompt asks for smoothing along lines, as in repaired photographs, 0 to 1.
    pub smoothing: f64,
}

impl Finish {
    /// Decoded `pixels` `[1, H, W, 3]` in -1..1, finished; strokes and smoothing follow the lines of `guide` of the same
    /// shape, or the pixels' own.
    ///
    /// Fails unless `guide` has the shape of `pixels`.
    pub(crate) fn done(
        &self,
        pixels: Tensor,
        guide: Option<&Tensor>,
        strength: Strength,
    ) -> Result<Tensor, Error> {
        let factor = |factors: &Factors| on_lines(factors, strength.get()).unwrap_or(1.0);
        let FinishRule {
            strokes: (reach, stroke_factors),
            cells: (side, cell_factors),
            smoothing: (smooth_reach, smooth_factors),
        } = &self.rule;
        let share = self.smoothing * factor(smooth_factors);
        let pixels = smoothed(pixels, guide, (*smooth_reach, share))?;
        let strokes = Strokes {
            reach: *reach,
            weight: self.strokes * factor(stroke_factors),
        };
        let pixels = strokes.drawn(pixels, guide)?;
        celled(pixels, *side, self.cells * factor(cell_factors))
    }
}

/// `pixels` `[1, H, W, 3]` in -1..1, a share `weight` of the way to cells of `cell` x `cell` pixels of their mean colour, all of
/// it from 1 on. Cells that hang over the edge have the mean with the edge repeated.
///
/// Fails for pixels of another shape, and for cells without a side.
pub fn celled(mut pixels: Tensor, cell: usize, weight: f64) -> Result<Tensor, Error> {
    if weight <= 0.0 {
        return Ok(pixels);
    }
    let [h, w] = picture_size(&pixels)?;
    if cell == 0 {
        return Err(Error::value("side of a cell", cell, "at least 1"));
    }
    let channels = 3;
    let means = block_means(pixels.data(), [h, w, channels], cell);
    let (columns, share) = (w.div_ceil(cell), weight.min(1.0) as f32);
    for (index, pixel) in pixels.data_mut().chunks_exact_mut(channels).enumerate() {
        let place = index / w / cell * columns + index % w / cell;
        for (value, &mean) in pixel.iter_mut().zip(&means[place * channels..]) {
            *value += share * (mean as f32 - *value);
        }
    }
    Ok(pixels)
}

/// The number at `at` on straight lines between `points` of rising places, the first's before them and the last's
/// behind; `None` without any.
pub(crate) fn on_lines(points: &[(f64, f64)], at: f64) -> Option<f64> {
    let above = points.partition_point(|&(place, _)| place < at);
    let below = above.checked_sub(1).map(|below| points[below]);
    match (below, points.get(above)) {
        (None, None) => None,
        (Some((_, number)), None) | (None, Some(&(_, number))) => Some(number),
        (Some((low, from)), Some(&(high, to))) => {
            Some(from + (to - from) * (at - low) / (high - low))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grain() -> Tensor {
        let numbers = (0..16 * 24 * 3).map(|v| (v * 37 % 101) as f32 / 101.0 - 0.5);
        Tensor::new([1, 16, 24, 3], numbers.collect()).unwrap()
    }

    fn finish([strokes, cells, smoothing]: [f64; 3]) -> Finish {
        let factors = || vec![(0.0, 0.0), (0.5, 1.0)];
        let rule = FinishRule {
            strokes: (4.0, factors()),
            cells: (8, factors()),
            smoothing: (0.5, vec![(0.25, 0.5)]),
        };
        Finish {
            rule,
            strokes,
            cells,
            smoothing,
        }
    }

    #[test]
    fn cells_have_their_mean_colour() {
        let row = |numbers: [f32; 5]| {
            let pixels = numbers.iter().flat_map(|&number| [number; 3]).collect();
            Tensor::new([1, 1, 5, 3], pixels).unwrap()
        };
        let before = row([0.1, 0.3, 0.5, 0.9, 0.4]);
        let at = |weight, want: [f32; 5]| {
            let got = celled(before.clone(), 2, weight).unwrap();
            for (got, want) in got.data().iter().zip(row(want).data()) {
                assert!((got - want).abs() < 1e-6, "{weight}: {got} {want}");
            }
        };
        at(1.0, [0.2, 0.2, 0.7, 0.7, 0.4]);
        at(3.0, [0.2, 0.2, 0.7, 0.7, 0.4]);
        at(0.5, [0.15, 0.25, 0.6, 0.8, 0.4]);
        at(0.0, [0.1, 0.3, 0.5, 0.9, 0.4]);
        let error = celled(before, 0, 1.0).unwrap_err().to_string();
        assert!(error.contains("at least 1"), "{error}");
    }

    #[test]
    fn text_and_strength_both_weigh() {
        let at = |finish: Finish, strength| {
            let strength = Strength::new(strength).unwrap();
            finish.done(grain(), None, strength).unwrap()
        };
        assert_eq!(at(finish([0.0, 0.0, 0.0]), 1.0), grain());
        assert_eq!(at(finish([1.0, 1.0, 0.0]), 0.0), grain());
        let (half, whole) = ([0.5, 0.0, 0.0], [1.0, 0.0, 0.0]);
        assert_eq!(at(finish(whole), 0.25), at(finish(half), 0.5));
        assert_ne!(at(finish(whole), 0.5), grain());
        let celled = celled(grain(), 8, 1.0).unwrap();
        assert_eq!(at(finish([0.0, 1.0, 0.0]), 0.75), celled);
        let smoothed = smoothed(grain(), None, (0.5, 0.5)).unwrap();
        assert_eq!(at(finish([0.0, 0.0, 1.0]), 0.4), smoothed);
    }
}
