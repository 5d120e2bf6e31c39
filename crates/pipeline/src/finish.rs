//! Finishing: what some styles need that patches of pixels say badly, done to decoded pixels as far as the prompt
//! wants it: smoothing along lines, washes of pigment, strokes, flat cells, grades of colour. What repeats from patch to
//! patch goes first.

mod cells;
mod grade;
mod lines;
mod pigment;
mod strokes;
mod weave;

use imagegen_engine::Tensor;

pub use cells::celled;
pub use grade::Grade;
pub(crate) use lines::{LUMA, picture_size};
pub use pigment::pigmented;
pub use strokes::{Strokes, smoothed};
pub use weave::unwoven;

use crate::{Error, Strength};

/// How a model wants its results finished, read from its files. What the prompt asks for is multiplied by a factor that
/// depends on the strength.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishRule {
    /// Side, in pixels, of the patches that a picture is made of; `None` where it has no weave.
    pub patch: Option<usize>,
    /// Strokes of weight 1.
    pub strokes: Reach,
    /// Smoothing along lines.
    pub smoothing: Reach,
    /// Side of a cell in pixels, at least 1.
    pub cell: usize,
    /// How far cells are gone for.
    pub cells: Factors,
    /// How far washes of pigment are gone for.
    pub pigment: Factors,
    /// What palette words ask for.
    pub grades: Vec<Grade>,
    /// How far grades are gone for.
    pub grading: Factors,
}

/// What is done along lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// Pixels to either side.
    pub pixels: f64,
    /// How far it is gone for.
    pub factors: Factors,
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
    /// How much the prompt asks for washes of pigment, as in watercolours, 0 to 1.
    pub pigment: f64,
    /// How much the prompt asks for each of the rule's grades, 0 to 1.
    pub grades: Vec<f64>,
}

impl Finish {
    /// Decoded `pixels` `[1, H, W, 3]` in -1..1, finished; what is done along lines follows those of `guide` of the same
    /// shape, or the pixels' own.
    ///
    /// Fails unless `guide` has the shape of `pixels`, and for sides that are not whole patches.
    pub(crate) fn done(
        &self,
        mut pixels: Tensor,
        guide: Option<&Tensor>,
        strength: Strength,
    ) -> Result<Tensor, Error> {
        let rule = &self.rule;
        let factor = |factors: &Factors| on_lines(factors, strength.get()).unwrap_or(1.0);
        if let Some(patch) = rule.patch {
            pixels = unwoven(pixels, patch)?;
        }
        let share = self.smoothing * factor(&rule.smoothing.factors);
        pixels = smoothed(pixels, guide, (rule.smoothing.pixels, share))?;
        pixels = pigmented(pixels, guide, self.pigment * factor(&rule.pigment))?;
        let strokes = Strokes {
            reach: rule.strokes.pixels,
            weight: self.strokes * factor(&rule.strokes.factors),
        };
        pixels = strokes.drawn(pixels, guide)?;
        pixels = celled(pixels, rule.cell, self.cells * factor(&rule.cells))?;
        for (grade, share) in rule.grades.iter().zip(&self.grades) {
            pixels = grade.graded(pixels, share * factor(&rule.grading))?;
        }
        Ok(pixels)
    }
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

    fn finish([strokes, cells, smoothing, pigment, grade]: [f64; 5]) -> Finish {
        let factors = || vec![(0.0, 0.0), (0.5, 1.0)];
        let rule = FinishRule {
            patch: None,
            strokes: Reach {
                pixels: 4.0,
                factors: factors(),
            },
            smoothing: Reach {
                pixels: 0.5,
                factors: vec![(0.25, 0.5)],
            },
            cell: 8,
            cells: factors(),
            pigment: factors(),
            grades: vec![darker()],
            grading: factors(),
        };
        Finish {
            rule,
            strokes,
            cells,
            smoothing,
            pigment,
            grades: vec![grade],
        }
    }

    fn darker() -> Grade {
        Grade {
            matrix: [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]],
            offset: [0.0; 3],
            gamma: 1.0,
        }
    }

    #[test]
    fn text_and_strength_both_weigh() {
        let at = |finish: Finish, strength| {
            let strength = Strength::new(strength).unwrap();
            finish.done(grain(), None, strength).unwrap()
        };
        assert_eq!(at(finish([0.0; 5]), 1.0), grain());
        assert_eq!(
            at(finish([1.0; 5]), 0.0),
            at(finish([0.0, 0.0, 1.0, 0.0, 0.0]), 0.0)
        );
        let (half, whole) = ([0.5, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(at(finish(whole), 0.25), at(finish(half), 0.5));
        assert_ne!(at(finish(whole), 0.5), grain());
        let celled = celled(grain(), 8, 1.0).unwrap();
        assert_eq!(at(finish([0.0, 1.0, 0.0, 0.0, 0.0]), 0.75), celled);
        let smoothed = smoothed(grain(), None, (0.5, 0.5)).unwrap();
        assert_eq!(at(finish([0.0, 0.0, 1.0, 0.0, 0.0]), 0.4), smoothed);
        let pigmented = pigmented(grain(), None, 0.5).unwrap();
        assert_eq!(at(finish([0.0, 0.0, 0.0, 1.0, 0.0]), 0.25), pigmented);
        let graded = darker().graded(grain(), 0.5).unwrap();
        assert_eq!(at(finish([0.0, 0.0, 0.0, 0.0, 0.5]), 0.5), graded);
        let mut woven = finish([0.0; 5]);
        woven.rule.patch = Some(4);
        assert_eq!(at(woven, 0.5), unwoven(grain(), 4).unwrap());
    }
}
