//! Source conditioning: what networks that see the source are shown of it.

use imagegen_engine::Tensor;

use crate::Strength;
use crate::finish::on_lines;

/// Strengths this close above a limit still count as the limit: 0.7 + 0.15 is not 0.85 in binary.
const LIMIT_SLACK: f64 = 1e-6;

/// What a network is shown of the source, in channels behind those of the noised latents.
#[derive(Debug, Clone, PartialEq)]
pub enum Conditioning {
    /// The source, less of it the greater the strength.
    Faded(ConditioningRule),
    /// A mask, 1 where the picture is made anew, and the latents of what the mask leaves: networks made for
    /// inpainting, which run under a mask alone.
    Masked,
    /// The source whatever the strength, and guidance by it: InstructPix2Pix.
    Instructed,
}

impl Conditioning {
    /// Channels of the network's input behind those of the noised latents, of which there are `latents`.
    pub fn channels(&self, latents: usize) -> usize {
        match self {
            Self::Faded(_) | Self::Instructed => latents,
            Self::Masked => 1 + latents,
        }
    }

    /// How far estimates go from the source channels at a strength; 1 as far as the network says.
    pub fn change(&self, strength: Strength) -> f64 {
        match self {
            Self::Faded(rule) => rule.change(strength),
            Self::Masked | Self::Instructed => 1.0,
        }
    }

    /// What the network's output is to the source channels.
    pub fn relation(&self) -> Relation {
        match self {
            Self::Faded(rule) => rule.relation,
            Self::Masked | Self::Instructed => Relation::Apart,
        }
    }
}

/// What a network's output is to the source channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Nothing: it is the estimate.
    Apart,
    /// It is added to them.
    Added,
    /// Its last [`Relation::MIXING`] channels say how their colours are mixed, and the others are added. Of latents that
    /// are patches of a picture of three colours, all of one colour, then all of the next.
    Mixed,
}

impl Relation {
    /// Channels of two matrices of colours: for a patch's mean and for what each pixel has beside it.
    pub const MIXING: usize = 2 * 9;

    /// Channels of the network's output, of `latents` channels of latents.
    pub fn channels(self, latents: usize) -> usize {
        match self {
            Self::Apart | Self::Added => latents,
            Self::Mixed => latents + Self::MIXING,
        }
    }
}

/// How a model wants its source faded, read from the model's files.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditioningRule {
    /// Pairs (limit, factor), limits rising: up to the limit the source is low-passed by the factor.
    /// Factor 1 is the source itself, 0 nothing at all. See [`low_pass`].
    pub low_pass_by_strength: Vec<(f64, usize)>,
    /// The factor above the last limit.
    pub above: usize,
    /// What the network's output is to the source channels.
    pub relation: Relation,
    /// Pairs (strength, share), strengths rising: what share of the way from the source channels to the network's estimate
    /// is gone, in straight lines between the strengths; above 1 is further than the network says. Empty: all of it. Of
    /// networks whose output is relative to the source.
    pub change_by_strength: Vec<(f64, f64)>,
}

impl ConditioningRule {
    /// The share of the network's change at a strength.
    pub fn change(&self, strength: Strength) -> f64 {
        on_lines(&self.change_by_strength, strength.get()).unwrap_or(1.0)
    }

    /// The low-pass factor at a strength.
    pub fn factor(&self, strength: Strength) -> usize {
        let within = |(limit, _): &&(f64, usize)| strength.get() <= limit + LIMIT_SLACK;
        self.low_pass_by_strength
            .iter()
            .find(within)
            .map_or(self.above, |&(_, factor)| factor)
    }
}

/// `pixels` `[N, H, W, C]` without detail finer than `factor` pixels, same shape.
///
/// Means of `factor` x `factor` blocks (the last row and column repeated where a block hangs over the
/// edge), enlarged again bilinearly with half-pixel centres and clamped edges. Factor 1 is the pixels
/// themselves, factor 0 zeros. Fails unless `pixels` has four sizes.
pub fn low_pass(pixels: &Tensor, factor: usize) -> Result<Tensor, imagegen_engine::Error> {
    let [n, h, w, c] = pixels.nhwc("low_pass input")?;
    match factor {
        0 => return Ok(Tensor::zeros([n, h, w, c])),
        1 => return Ok(pixels.clone()),
        _ => {}
    }
    let (blocks_h, blocks_w) = (h.div_ceil(factor), w.div_ceil(factor));
    let side = factor as f64;
    let (rows, columns) = (enlarged(h, blocks_h, side), enlarged(w, blocks_w, side));
    let mut data = Vec::with_capacity(pixels.data().len());
    for picture in pixels.data().chunks_exact((h * w * c).max(1)) {
        let means = block_means(picture, [h, w, c], factor);
        let mean = |row: usize, column: usize, channel: usize| {
            means[(row * blocks_w + column) * c + channel]
        };
        for row in &rows {
            for column in &columns {
                for channel in 0..c {
                    let between = between(row, column, |y, x| mean(y, x, channel));
                    data.push(between as f32);
                }
            }
        }
    }
    Tensor::new([n, h, w, c], data)
}

/// Means of blocks, `[ceil(H / factor), ceil(W / factor), C]` in f64; edges are repeated outwards.
pub(crate) fn block_means(picture: &[f32], [h, w, c]: [usize; 3], factor: usize) -> Vec<f64> {
    let (blocks_h, blocks_w) = (h.div_ceil(factor), w.div_ceil(factor));
    let mut means = vec![0.0; blocks_h * blocks_w * c];
    for row in 0..blocks_h * factor {
        for column in 0..blocks_w * factor {
            let from = (row.min(h - 1) * w + column.min(w - 1)) * c;
            let to = (row / factor * blocks_w + column / factor) * c;
            for channel in 0..c {
                means[to + channel] += f64::from(picture[from + channel]);
            }
        }
    }
    let count = (factor * factor) as f64;
    means.iter_mut().for_each(|mean| *mean /= count);
    means
}

/// Where a pixel of the enlarged picture lies between two blocks.
pub(crate) struct Between {
    low: usize,
    high: usize,
    share: f64,
}

/// The number between the four blocks around a pixel, in straight lines; `at` says a block's by row and column.
pub(crate) fn between(row: &Between, column: &Between, at: impl Fn(usize, usize) -> f64) -> f64 {
    let across = |y| {
        let (left, right) = (at(y, column.low), at(y, column.high));
        left + column.share * (right - left)
    };
    let (top, bottom) = (across(row.low), across(row.high));
    top + row.share * (bottom - top)
}

/// Where each pixel of a side of so many lies between blocks of `factor` pixels.
pub(crate) fn enlarged(pixels: usize, blocks: usize, factor: f64) -> Vec<Between> {
    let place = |pixel: usize| {
        let place = ((pixel as f64 + 0.5) / factor - 0.5).max(0.0);
        let low = place.floor() as usize;
        Between {
            low,
            high: (low + 1).min(blocks - 1),
            share: place - low as f64,
        }
    };
    (0..pixels).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factor_follows_the_limits() {
        let rule = ConditioningRule {
            low_pass_by_strength: vec![(0.85, 1), (0.95, 2), (0.99, 8)],
            above: 0,
            relation: Relation::Added,
            change_by_strength: Vec::new(),
        };
        for (strength, factor) in [
            (0.0, 1),
            (0.5, 1),
            (0.7 + 0.15, 1),
            (0.86, 2),
            (0.95, 2),
            (0.97, 8),
            (0.995, 0),
            (1.0, 0),
        ] {
            assert_eq!(
                rule.factor(Strength::new(strength).unwrap()),
                factor,
                "strength {strength}"
            );
        }
    }

    #[test]
    fn change_lies_on_straight_lines_between_the_strengths_that_are_named() {
        let rule = |change_by_strength| ConditioningRule {
            low_pass_by_strength: Vec::new(),
            above: 1,
            relation: Relation::Mixed,
            change_by_strength,
        };
        let at = |rule: &ConditioningRule, strength| rule.change(Strength::new(strength).unwrap());
        let none = rule(Vec::new());
        assert_eq!((at(&none, 0.0), at(&none, 0.3)), (1.0, 1.0));
        let some = rule(vec![(0.1, 0.25), (0.5, 1.0), (1.0, 1.5)]);
        for (strength, want) in [
            (0.0, 0.25),
            (0.1, 0.25),
            (0.3, 0.625),
            (0.5, 1.0),
            (0.75, 1.25),
            (1.0, 1.5),
        ] {
            assert!((at(&some, strength) - want).abs() < 1e-12, "{strength}");
        }
    }

    #[test]
    fn a_flat_picture_stays_flat_at_any_size() {
        for (h, w) in [(1, 1), (5, 7), (8, 16)] {
            let flat = Tensor::new([1, h, w, 3], vec![0.25; h * w * 3]).unwrap();
            for factor in [1, 2, 3, 8] {
                assert_eq!(low_pass(&flat, factor).unwrap(), flat);
            }
            assert_eq!(low_pass(&flat, 0).unwrap(), Tensor::zeros([1, h, w, 3]));
        }
    }

    #[test]
    fn means_are_enlarged_between_block_centres() {
        let row = Tensor::new([1, 1, 4, 1], vec![0.0, 2.0, 4.0, 6.0]).unwrap();
        // Means 1 and 5, centres at 0.5 and 2.5; the height is one pixel, repeated.
        assert_eq!(low_pass(&row, 2).unwrap().data(), [1.0, 2.0, 4.0, 5.0]);
    }
}
