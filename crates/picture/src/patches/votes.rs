//! Pixels from the patches that cover them.

use super::level::{Level, SIDE, Use};
use super::matches::{Matches, NONE};
use crate::Size;
use crate::mask::{Mask, depth};

/// By how much less a patch counts for each pixel its middle lies deeper in what is unknown: what is near
/// the known part is better founded.
const DEEPER: f32 = 0.85;
/// Depths at which patches still differ.
const DEEPEST: usize = 40;

/// How much each patch counts.
pub(super) struct Votes {
    /// By the name of the patch.
    trust: Vec<f32>,
}

impl Votes {
    pub(super) fn new(level: &Level) -> Self {
        let coverage = level.uses.iter().map(|&used| match used {
            Use::Unknown => 255,
            _ => 0,
        });
        let size = Size::new(level.width as u32, level.height as u32);
        let depths = depth(&Mask::new(size, coverage.collect()));
        let mut powers = vec![1.0];
        for _ in 0..DEEPEST {
            powers.push(powers[powers.len() - 1] * DEEPER);
        }
        let mut trust = vec![0.0; depths.len()];
        for &target in &level.targets {
            let middle = target as usize + SIDE / 2 * level.width + SIDE / 2;
            trust[target as usize] = powers[(depths[middle] as usize).min(DEEPEST)];
        }
        Self { trust }
    }

    /// Gives each unknown pixel the mean of what the patches over it say, the better the match the more.
    pub(super) fn mean(&self, level: &mut Level, matches: &Matches) {
        self.each(level, matches, |votes, pixels| {
            let costs: f32 = votes.iter().map(|vote| vote.cost).sum();
            let usual = costs / votes.len() as f32 + 1.0;
            let (mut sums, mut all) = ([0.0; 4], 0.0);
            for vote in votes {
                let likely = usual / (usual + 4.0 * vote.cost);
                let weight = vote.trust * likely * likely;
                all += weight;
                for (sum, &value) in sums.iter_mut().zip(&pixels[vote.pixel]) {
                    *sum += weight * f32::from(value);
                }
            }
            sums.map(|sum| (sum / all).round() as u8)
        });
    }

    /// Gives each unknown pixel what the best patch over it says.
    pub(super) fn best(&self, level: &mut Level, matches: &Matches) {
        self.each(level, matches, |votes, pixels| {
            let best = votes.iter().min_by(|a, b| a.cost.total_cmp(&b.cost));
            pixels[best.expect("a patch covers every unknown pixel").pixel]
        });
    }

    fn each(
        &self,
        level: &mut Level,
        matches: &Matches,
        choose: impl Fn(&[Vote], &[[u8; 4]]) -> [u8; 4],
    ) {
        let (width, height) = (level.width, level.height);
        let before = level.pixels.clone();
        let mut votes = Vec::with_capacity(SIDE * SIDE);
        for index in 0..before.len() {
            if level.uses[index] != Use::Unknown {
                continue;
            }
            let (x, y) = (index % width, index / width);
            let span =
                |at: usize, length: usize| at.saturating_sub(SIDE - 1)..=at.min(length - SIDE);
            votes.clear();
            for top in span(y, height) {
                for left in span(x, width) {
                    let patch = top * width + left;
                    let found = matches.found[patch];
                    debug_assert!(found != NONE, "a patch with an unknown pixel is a target");
                    votes.push(Vote {
                        pixel: found as usize + index - patch,
                        cost: matches.cost[patch] as f32,
                        trust: self.trust[patch],
                    });
                }
            }
            level.pixels[index] = choose(&votes, &before);
        }
    }
}

/// What one patch says of one pixel.
struct Vote {
    /// The pixel it would take.
    pixel: usize,
    cost: f32,
    trust: f32,
}
