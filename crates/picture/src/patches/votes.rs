//! Pixels from the patches that cover them.

use super::level::{Level, SIDE, Use};
use super::matches::{Matches, NONE};

/// By how much less a patch counts for each pixel its middle lies deeper in what is unknown: what is near
/// the known part is better founded.
const DEEPER: f32 = 0.78;
/// Depth from which all patches count the same.
const DEEPEST: usize = 40;

/// What one patch says of one pixel.
struct Vote {
    /// The pixel it would take.
    pixel: usize,
    /// How badly it fits.
    cost: f32,
    /// The patch.
    patch: usize,
}

/// Gives each unknown pixel the mean of what the patches over it say, the better the match the more.
pub(super) fn mean(level: &mut Level, matches: &Matches) {
    let trust = trust(level);
    each(level, matches, |votes, pixels| {
        let usual = usual(votes);
        let (mut sums, mut all) = ([0.0; 4], 0.0);
        for vote in votes {
            let likely = usual / (usual + 4.0 * vote.cost);
            let weight = trust[vote.patch] * likely * likely;
            all += weight;
            for (sum, &value) in sums.iter_mut().zip(&pixels[vote.pixel]) {
                *sum += weight * f32::from(value);
            }
        }
        sums.map(|sum| (sum / all).round() as u8)
    });
}

/// Gives each unknown pixel what the best patch over it says. Patches that lie deeper fit each other better,
/// since all of them were made to; were cost alone asked, those that lead in from the edge would never win.
pub(super) fn best(level: &mut Level, matches: &Matches) {
    let trust = trust(level);
    each(level, matches, |votes, pixels| {
        let usual = usual(votes);
        let doubt = |vote: &Vote| (vote.cost + usual) / trust[vote.patch];
        let best = votes.iter().min_by(|a, b| doubt(a).total_cmp(&doubt(b)));
        pixels[best.expect("a patch covers every unknown pixel").pixel]
    });
}

/// The mean cost, above 0.
fn usual(votes: &[Vote]) -> f32 {
    let costs: f32 = votes.iter().map(|vote| vote.cost).sum();
    costs / votes.len() as f32 + 1.0
}

/// How much each patch counts, by its name.
fn trust(level: &Level) -> Vec<f32> {
    let mut powers = vec![1.0];
    for _ in 0..DEEPEST {
        powers.push(powers[powers.len() - 1] * DEEPER);
    }
    let mut trust = vec![0.0; level.depths.len()];
    for &target in &level.targets {
        let middle = target as usize + SIDE / 2 * level.width + SIDE / 2;
        trust[target as usize] = powers[(level.depths[middle] as usize).min(DEEPEST)];
    }
    trust
}

/// Gives each unknown pixel what `choose` makes of the votes for it.
fn each(level: &mut Level, matches: &Matches, choose: impl Fn(&[Vote], &[[u8; 4]]) -> [u8; 4]) {
    let (width, height) = (level.width, level.height);
    let mut votes = Vec::with_capacity(SIDE * SIDE);
    for index in 0..level.pixels.len() {
        if level.uses[index] != Use::Unknown {
            continue;
        }
        let (x, y) = (index % width, index / width);
        let span = |at: usize, length: usize| at.saturating_sub(SIDE - 1)..=at.min(length - SIDE);
        votes.clear();
        for top in span(y, height) {
            for left in span(x, width) {
                let patch = top * width + left;
                let found = matches.found[patch];
                debug_assert!(found != NONE, "a patch with an unknown pixel is a target");
                votes.push(Vote {
                    pixel: found as usize + index - patch,
                    cost: matches.cost[patch] as f32,
                    patch,
                });
            }
        }
        // Patches that are taken from hold no unknown pixel, so this changes none that is read.
        level.pixels[index] = choose(&votes, &level.pixels);
    }
}
