//! Which patch of the known part fits each patch of the unknown one.

use super::level::{Level, SIDE};

/// Sweeps of a search, each in the other direction.
const SWEEPS: usize = 2;

/// For each patch that holds unknown pixels, the best one found so far.
pub(super) struct Matches {
    width: usize,
    height: usize,
    /// By the patch's name; `NONE` where nothing is unknown.
    pub(super) found: Vec<u32>,
    /// Sum of squared differences.
    pub(super) cost: Vec<u32>,
}

/// Stands for no patch.
pub(super) const NONE: u32 = u32::MAX;

impl Matches {
    /// Any patch for each.
    pub(super) fn random(level: &Level) -> Self {
        let mut matches = Self::none(level);
        for &target in &level.targets {
            let draw = draw(target, 0, 0) as usize % level.sources.len();
            matches.found[target as usize] = level.sources[draw];
        }
        matches.measure(level);
        matches
    }

    fn none(level: &Level) -> Self {
        Self {
            width: level.width,
            height: level.height,
            found: vec![NONE; level.pixels.len()],
            cost: vec![u32::MAX; level.pixels.len()],
        }
    }

    /// The same at the next finer level.
    pub(super) fn refined(&self, fine: &Level) -> Self {
        let mut matches = Self::none(fine);
        for &target in &fine.targets {
            let (x, y) = (target as usize % fine.width, target as usize / fine.width);
            let half = [
                (x / 2).min(self.width - SIDE),
                (y / 2).min(self.height - SIDE),
            ];
            let found = self.found[half[1] * self.width + half[0]] as usize;
            let coarse = [found % self.width, found / self.width];
            // As far from the found patch as from the one it was found for.
            let place = |axis: usize, at: usize, most: usize| {
                (2 * coarse[axis] + at - 2 * half[axis]).min(most - SIDE)
            };
            let near = place(1, y, fine.height) * fine.width + place(0, x, fine.width);
            matches.found[target as usize] = match fine.is_source[near] {
                true => near as u32,
                false => nearest(&fine.sources, near as u32),
            };
        }
        matches.measure(fine);
        matches
    }

    /// Counts all costs anew, after pixels changed.
    fn measure(&mut self, level: &Level) {
        for &target in &level.targets {
            let found = self.found[target as usize];
            self.cost[target as usize] = distance(level, target, found, u32::MAX);
        }
    }

    /// Looks for better patches: those beside the ones that were found for neighbours, and random ones ever
    /// closer to the best.
    pub(super) fn search(&mut self, level: &Level, round: usize) {
        self.measure(level);
        for sweep in 0..SWEEPS {
            let seed = (round * SWEEPS + sweep) as u32;
            if seed.is_multiple_of(2) {
                for &target in &level.targets {
                    self.visit(level, target, seed, 1);
                }
            } else {
                for &target in level.targets.iter().rev() {
                    self.visit(level, target, seed, -1);
                }
            }
        }
    }

    /// Asks the neighbours that were visited before, at `-ahead`; then draws.
    fn visit(&mut self, level: &Level, target: u32, seed: u32, ahead: i64) {
        let width = self.width as i64;
        let place = target as usize;
        let mut best = (self.found[place], self.cost[place]);
        for step in [1, width] {
            let neighbour = usize::try_from(i64::from(target) - ahead * step);
            let found = neighbour
                .ok()
                .and_then(|neighbour| self.found.get(neighbour));
            if let Some(&found) = found.filter(|found| **found != NONE) {
                offer(level, target, i64::from(found) + ahead * step, &mut best);
            }
        }
        let mut reach = level.width.max(level.height) as i64;
        let mut count = 1;
        while reach >= 1 {
            let number = draw(target, seed, count);
            let away = |bits: u32| ((i64::from(bits) * (2 * reach + 1)) >> 16) - reach;
            let (x, y) = (i64::from(best.0) % width, i64::from(best.0) / width);
            let x = (x + away(number & 0xffff)).clamp(0, width - SIDE as i64);
            let y = (y + away(number >> 16)).clamp(0, (self.height - SIDE) as i64);
            offer(level, target, y * width + x, &mut best);
            reach /= 2;
            count += 1;
        }
        (self.found[place], self.cost[place]) = best;
    }
}

/// Takes a patch in place of the best so far, with its cost, where it may be taken and fits better.
fn offer(level: &Level, target: u32, candidate: i64, best: &mut (u32, u32)) {
    let name = usize::try_from(candidate).unwrap_or(usize::MAX);
    if level.is_source.get(name) != Some(&true) || name as u32 == best.0 {
        return;
    }
    let cost = distance(level, target, name as u32, best.1);
    if cost < best.1 {
        *best = (name as u32, cost);
    }
}

/// The patch of a list, ascending, whose name is closest.
fn nearest(sources: &[u32], name: u32) -> u32 {
    let after = sources.partition_point(|&source| source < name);
    let around = [after.checked_sub(1), Some(after)];
    let near = around
        .into_iter()
        .flatten()
        .filter_map(|place| sources.get(place));
    *near
        .min_by_key(|source| source.abs_diff(name))
        .expect("a level has sources")
}

/// The sum of squared differences of two patches, or some number that is not below `limit`.
fn distance(level: &Level, target: u32, source: u32, limit: u32) -> u32 {
    let pixels = level.pixels.as_flattened();
    let mut sum = 0;
    for row in 0..SIDE {
        let line = |patch: u32| {
            let start = (patch as usize + row * level.width) * 4;
            &pixels[start..start + SIDE * 4]
        };
        let pairs = line(target).iter().zip(line(source));
        sum += pairs
            .map(|(&a, &b)| {
                let difference = i32::from(i16::from(a) - i16::from(b));
                (difference * difference) as u32
            })
            .sum::<u32>();
        if sum >= limit {
            break;
        }
    }
    sum
}

/// A number that is as good as random, from a place and two counts.
fn draw(place: u32, seed: u32, count: u32) -> u32 {
    // The finaliser of MurmurHash3, after Weyl steps by odd constants.
    let mut bits = place
        .wrapping_mul(0x9e37_79b1)
        .wrapping_add(seed.wrapping_mul(0x85eb_ca77))
        .wrapping_add(count.wrapping_mul(0xc2b2_ae3d));
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    bits ^ (bits >> 16)
}
